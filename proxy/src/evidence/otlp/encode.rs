//! A record's JSON as an OTLP log record, by the table in [`fields`](crate::evidence::fields).
//!
//! This is the form that everything else is held to: the bytes in the spool are those of this message, and an export or
//! what a collector kept is brought to this form before its leaf hash is compared.

use std::borrow::Cow;

use jiff::Timestamp;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, SeverityNumber};
use serde_json::Value;

use crate::evidence::fields::{DERIVED, FIELDS, Place, UID};

/// The log record of a record's JSON; `None` where that is not the JSON of a record.
pub fn log_record(json: &Value) -> Option<LogRecord> {
    let kind = Kind::of(json)?;
    let time: Timestamp = text(json, "/time")?.parse().ok()?;
    let nanoseconds = u64::try_from(time.as_nanosecond()).unwrap_or(0);
    let severity = kind.severity(json);
    Some(LogRecord {
        time_unix_nano: nanoseconds,
        observed_time_unix_nano: nanoseconds,
        severity_number: severity.into(),
        severity_text: severity_text(severity).into(),
        body: Some(AnyValue { value: Some(Any::StringValue(kind.body(json))) }),
        trace_id: hex(json.pointer("/trace/id")),
        span_id: hex(json.pointer("/trace/span")),
        attributes: attributes(kind.uid(json)?, json),
        event_name: kind.event_name(json).into(),
        ..LogRecord::default()
    })
}

/// The kinds of records, each with what OTLP wants beside the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Decision,
    Close,
    Policy,
    Checkpoint,
    Gap,
    Act,
}

impl Kind {
    fn of(json: &Value) -> Option<Kind> {
        Some(match text(json, "/kind")? {
            "decision" => Kind::Decision,
            "close" => Kind::Close,
            "policy" => Kind::Policy,
            "checkpoint" => Kind::Checkpoint,
            "gap" => Kind::Gap,
            "grant" | "exception" | "mode" | "admin" => Kind::Act,
            _ => return None,
        })
    }

    fn uid(self, json: &Value) -> Option<String> {
        let id = text(json, "/id")?;
        Some(match self {
            Kind::Close => format!("{id}/close"),
            Kind::Decision | Kind::Policy | Kind::Checkpoint | Kind::Gap | Kind::Act => id.to_owned(),
        })
    }

    fn event_name(self, json: &Value) -> Cow<'static, str> {
        let name = match self {
            Kind::Decision => "gatepass.decision",
            Kind::Close => "gatepass.connection.closed",
            Kind::Policy if text(json, "/result") == Some("activated") => "gatepass.policy.activated",
            Kind::Policy => "gatepass.policy.rejected",
            Kind::Checkpoint => "gatepass.evidence.checkpoint",
            Kind::Gap => "gatepass.evidence.gap",
            Kind::Act => {
                let word = |path| text(json, path).unwrap_or_default();
                return format!("gatepass.{}.{}", word("/kind"), word("/action")).into();
            }
        };
        name.into()
    }

    fn severity(self, json: &Value) -> SeverityNumber {
        match self {
            Kind::Decision if text(json, "/outcome") == Some("admitted") => SeverityNumber::Info,
            Kind::Decision | Kind::Gap => SeverityNumber::Warn,
            Kind::Close => match text(json, "/ending") {
                Some("client_closed" | "upstream_closed" | "idle" | "max_duration" | "drained") => SeverityNumber::Info,
                Some("error") => SeverityNumber::Error,
                Some(_) | None => SeverityNumber::Warn,
            },
            Kind::Policy if text(json, "/result") == Some("activated") => SeverityNumber::Info,
            Kind::Policy => SeverityNumber::Error,
            Kind::Act if matches!(text(json, "/kind"), Some("grant" | "mode")) => SeverityNumber::Warn,
            Kind::Checkpoint | Kind::Act => SeverityNumber::Info,
        }
    }

    fn body(self, json: &Value) -> String {
        let word = |path| text(json, path).unwrap_or_default();
        match self {
            Kind::Decision | Kind::Act => word("/reason/text").to_owned(),
            Kind::Close => format!("the connection ended: {}", word("/ending")),
            Kind::Policy => {
                format!("the policy {} {} was {}", word("/policy/bundle"), word("/policy/digest"), word("/result"))
            }
            Kind::Checkpoint => "the records so far are signed".to_owned(),
            Kind::Gap => "records are missing here".to_owned(),
        }
    }
}

fn text<'j>(json: &'j Value, pointer: &str) -> Option<&'j str> {
    json.pointer(pointer)?.as_str()
}

pub(in crate::evidence) fn severity_text(severity: SeverityNumber) -> &'static str {
    match severity {
        SeverityNumber::Info => "INFO",
        SeverityNumber::Warn => "WARN",
        SeverityNumber::Error => "ERROR",
        _ => "",
    }
}

/// The attributes of a record: its own key, then the fields in the order of the table, then what follows from them.
fn attributes(uid: String, json: &Value) -> Vec<KeyValue> {
    let named = FIELDS.iter().filter_map(|field| {
        let value = field.path.split('.').try_fold(json, |value, key| value.get(key))?;
        match field.place {
            Place::Attribute(name) => Some(key_value(name, any(value))),
            Place::Seconds(name) => value.as_f64().map(|ms| key_value(name, Any::DoubleValue(ms / 1000.0))),
            Place::Resource(_) | Place::EventName | Place::Time | Place::Body | Place::TraceId | Place::SpanId => None,
        }
    });
    let derived = DERIVED.iter().filter_map(|derived| Some(key_value(derived.name, any(&(derived.value)(json)?))));
    std::iter::once(key_value(UID, Any::StringValue(uid))).chain(named).chain(derived).collect()
}

/// The bytes that hexadecimal digits stand for; none where there are no digits.
fn hex(text: Option<&Value>) -> Vec<u8> {
    let text = text.and_then(Value::as_str).unwrap_or_default();
    let pairs = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    pairs.map_while(|pair| u8::from_str_radix(pair?, 16).ok()).collect()
}

/// A JSON value as an OTLP value. Null is a value without one.
fn any(value: &Value) -> Any {
    match value {
        Value::Null => Any::StringValue("null".into()),
        Value::Bool(value) => Any::BoolValue(*value),
        Value::Number(number) => match number.as_i64() {
            Some(number) => Any::IntValue(number),
            None => Any::DoubleValue(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => Any::StringValue(text.clone()),
        Value::Array(values) => Any::ArrayValue(ArrayValue { values: values.iter().map(optional).collect() }),
        Value::Object(map) => {
            let entry = |(key, value): (&String, &Value)| KeyValue {
                key: key.clone(),
                value: Some(optional(value)),
                ..KeyValue::default()
            };
            Any::KvlistValue(KeyValueList { values: map.iter().map(entry).collect() })
        }
    }
}

fn optional(value: &Value) -> AnyValue {
    AnyValue { value: (!value.is_null()).then(|| any(value)) }
}

fn key_value(key: &str, value: Any) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}
