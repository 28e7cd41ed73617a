//! A record as an OTLP log record, by the table in [`fields`](crate::evidence::fields).

use gatepass_policy::decision::Effect;
use jiff::Timestamp;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber};
use opentelemetry_proto::tonic::resource::v1::Resource;
use serde_json::Value;

use crate::evidence::fields::{FIELDS, Place, UID};
use crate::evidence::queue::Item;
use crate::evidence::record::{CloseRecord, DecisionRecord, PolicyRecord};
use crate::evidence::spelling::microseconds;
use crate::evidence::words::{Ending, Outcome, PolicyResult};

/// The conventions that the attributes' names follow.
const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

/// What OTLP wants beside the fields.
struct Frame {
    uid: String,
    event_name: &'static str,
    severity: SeverityNumber,
    body: String,
    time: Timestamp,
}

pub(super) fn log_record(item: &Item) -> LogRecord {
    // Serialising a record cannot fail (string keys, no custom errors); an empty object would only lose attributes.
    let (json, frame) = match item {
        Item::Decision(record) => (serde_json::to_value(&**record), of_decision(record)),
        Item::Close(record, _) => (serde_json::to_value(record), of_close(record)),
        Item::Policy(record) => (serde_json::to_value(record), of_policy(record)),
    };
    let json = json.unwrap_or_default();
    let nanoseconds = u64::try_from(microseconds(frame.time).as_nanosecond()).unwrap_or(0);
    LogRecord {
        time_unix_nano: nanoseconds,
        observed_time_unix_nano: nanoseconds,
        severity_number: frame.severity.into(),
        severity_text: severity_text(frame.severity).into(),
        body: Some(AnyValue { value: Some(Any::StringValue(frame.body)) }),
        trace_id: hex(json.pointer("/trace/id")),
        span_id: hex(json.pointer("/trace/span")),
        attributes: attributes(frame.uid, &json),
        event_name: frame.event_name.into(),
        ..LogRecord::default()
    }
}

/// Who sends: the same on every request.
pub(super) fn resource(gateway: &str) -> Resource {
    let mut attributes = vec![
        text_attribute("service.name", "gatepass"),
        text_attribute("service.version", env!("CARGO_PKG_VERSION")),
        text_attribute("service.instance.id", gateway),
    ];
    // Linux tells the host's name here; without it the attribute is left out.
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if !host.trim().is_empty() {
        attributes.push(text_attribute("host.name", host.trim()));
    }
    Resource { attributes, ..Resource::default() }
}

pub(super) fn request(resource: &Resource, log_records: Vec<LogRecord>) -> ExportLogsServiceRequest {
    let scope = InstrumentationScope {
        name: "gatepass.decision".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        ..InstrumentationScope::default()
    };
    let scope_logs = vec![ScopeLogs { scope: Some(scope), log_records, schema_url: SCHEMA_URL.into() }];
    let resource = Some(resource.clone());
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs { resource, scope_logs, schema_url: SCHEMA_URL.into() }],
    }
}

fn of_decision(record: &DecisionRecord) -> Frame {
    let severity = match (record.effect, record.outcome) {
        (Effect::Allow, Outcome::Admitted) => SeverityNumber::Info,
        (Effect::Allow, Outcome::Failed | Outcome::Refused) | (Effect::Deny, _) => SeverityNumber::Warn,
    };
    Frame {
        uid: record.id.to_string(),
        event_name: "gatepass.decision",
        severity,
        body: record.reason.text.as_str().to_owned(),
        time: record.time,
    }
}

fn of_close(record: &CloseRecord) -> Frame {
    let severity = match record.ending {
        Ending::ClientClosed | Ending::UpstreamClosed | Ending::Idle | Ending::MaxDuration | Ending::Drained => {
            SeverityNumber::Info
        }
        Ending::Expired | Ending::PolicyChanged | Ending::GrantEnded | Ending::ModeChanged | Ending::Limit => {
            SeverityNumber::Warn
        }
        Ending::Error => SeverityNumber::Error,
    };
    let body = format!("the connection ended: {}", record.ending.as_str());
    Frame {
        uid: format!("{}/close", record.id),
        event_name: "gatepass.connection.closed",
        severity,
        body,
        time: record.time,
    }
}

fn of_policy(record: &PolicyRecord) -> Frame {
    let (event_name, severity) = match record.result {
        PolicyResult::Activated => ("gatepass.policy.activated", SeverityNumber::Info),
        PolicyResult::Rejected => ("gatepass.policy.rejected", SeverityNumber::Error),
    };
    let body = format!("the policy {} {} was {}", record.policy.bundle, record.policy.digest, record.result.as_str());
    Frame { uid: record.id.to_string(), event_name, severity, body, time: record.time }
}

fn severity_text(severity: SeverityNumber) -> &'static str {
    match severity {
        SeverityNumber::Info => "INFO",
        SeverityNumber::Warn => "WARN",
        SeverityNumber::Error => "ERROR",
        _ => "",
    }
}

/// The attributes of a record: its own key, then the fields in the order of the table.
fn attributes(uid: String, json: &Value) -> Vec<KeyValue> {
    let named = FIELDS.iter().filter_map(|field| {
        let value = field.path.split('.').try_fold(json, |value, key| value.get(key))?;
        match field.place {
            Place::Attribute(name) => Some(key_value(name, any(value))),
            Place::Seconds(name) => value.as_f64().map(|ms| key_value(name, Any::DoubleValue(ms / 1000.0))),
            Place::Resource(_) | Place::EventName | Place::Time | Place::Body | Place::TraceId | Place::SpanId => None,
        }
    });
    std::iter::once(key_value(UID, Any::StringValue(uid))).chain(named).collect()
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

fn text_attribute(key: &str, value: &str) -> KeyValue {
    key_value(key, Any::StringValue(value.into()))
}
