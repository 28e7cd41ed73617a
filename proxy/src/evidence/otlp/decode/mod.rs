//! The JSON of a record from the bytes in the spool, by the table in [`fields`](crate::evidence::fields): what
//! `encode` makes of a record's JSON is read back as the same JSON, keys in the order of the contract.

use jiff::Timestamp;
use serde_json::{Map, Number, Value};

use super::message::{Any, Envelope, Garbled, log_record, members, pair};
use crate::evidence::fields::{FIELDS, Place};
use crate::evidence::spelling::Hex;

/// How deep values may be nested: records reach four (`nearest`, its entry, `failed`, its list), and this bounds what
/// other bytes can do to the stack.
const DEPTH: usize = 16;

/// The record as its JSON. Attributes that the table does not have are left out.
///
/// # Errors
///
/// [`Garbled`] where the bytes are not those of a record.
pub fn record(bytes: &[u8], gateway: &str) -> Result<Value, Garbled> {
    let mut found: [Option<Any<'_>>; FIELDS.len()] = [None; FIELDS.len()];
    let mut search = Search::default();
    let envelope = log_record(bytes, |name, value| {
        if let Some(slot) = search.field(name).and_then(|place| found.get_mut(place)) {
            *slot = Some(value);
        }
        Ok(())
    })?;
    let kind = kind(envelope.event).ok_or(Garbled)?;
    let mut json = Map::new();
    for (field, found) in FIELDS.iter().zip(found) {
        let value = match (field.place, found) {
            (Place::Attribute(_), Some(any)) => value(any, DEPTH)?,
            (Place::Seconds(_), Some(any)) => milliseconds(any),
            (Place::Attribute(_) | Place::Seconds(_), None) => continue,
            (Place::EventName, _) => kind.into(),
            (Place::Resource(_), _) => gateway.into(),
            (Place::Time, _) => time(&envelope)?,
            (Place::Body, _) if matches!(kind, "decision" | "grant" | "exception" | "mode" | "admin") => {
                envelope.body.into()
            }
            (Place::TraceId, _) if !envelope.trace.is_empty() => Hex(envelope.trace).to_string().into(),
            (Place::SpanId, _) if !envelope.span.is_empty() => Hex(envelope.span).to_string().into(),
            (Place::Body | Place::TraceId | Place::SpanId, _) => continue,
        };
        put(&mut json, field.path, value);
    }
    Ok(Value::Object(json))
}

/// What kind of record an event is.
pub fn kind(event: &str) -> Option<&'static str> {
    Some(match event.strip_prefix("gatepass.")? {
        "decision" => "decision",
        "connection.closed" => "close",
        "evidence.checkpoint" => "checkpoint",
        "evidence.gap" => "gap",
        other => match other.split_once('.')?.0 {
            "policy" => "policy",
            "mode" => "mode",
            "grant" => "grant",
            "exception" => "exception",
            "admin" => "admin",
            _ => return None,
        },
    })
}

/// Finds the field of an attribute. Records have their attributes in the order of the table, so each search begins where
/// the last one ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct Search(usize);

impl Search {
    /// The place in the table of the field that is this attribute.
    pub fn field(&mut self, attribute: &str) -> Option<usize> {
        let has = |place: &usize| match FIELDS.get(*place).map(|field| field.place) {
            Some(Place::Attribute(name) | Place::Seconds(name)) => name == attribute,
            Some(
                Place::Resource(_) | Place::EventName | Place::Time | Place::Body | Place::TraceId | Place::SpanId,
            )
            | None => false,
        };
        let place = (self.0..FIELDS.len()).find(has).or_else(|| (0..self.0).find(has))?;
        self.0 = place + 1;
        Some(place)
    }
}

fn time(envelope: &Envelope<'_>) -> Result<Value, Garbled> {
    Timestamp::from_nanosecond(envelope.time.into()).map(|time| time.to_string().into()).map_err(|_| Garbled)
}

/// Seconds as the whole milliseconds that they were.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast of a fraction saturates")]
fn milliseconds(any: Any<'_>) -> Value {
    match any {
        Any::Double(seconds) => ((seconds * 1000.0).round() as u64).into(),
        Any::Int(seconds) => seconds.saturating_mul(1000).into(),
        Any::Null | Any::Text(_) | Any::Bool(_) | Any::Array(_) | Any::Map(_) => Value::Null,
    }
}

fn value(any: Any<'_>, depth: usize) -> Result<Value, Garbled> {
    let depth = depth.checked_sub(1).ok_or(Garbled)?;
    Ok(match any {
        Any::Null => Value::Null,
        Any::Text(text) => text.into(),
        Any::Bool(truth) => truth.into(),
        Any::Int(number) => number.into(),
        Any::Double(number) => Number::from_f64(number).map_or(Value::Null, Value::Number),
        Any::Array(message) => {
            let member = |member: Result<_, _>| value(Any::read(member?)?, depth);
            members(message).map(member).collect::<Result<Vec<Value>, Garbled>>()?.into()
        }
        Any::Map(message) => {
            let entry = |member: Result<_, _>| {
                let (key, any) = pair(member?)?;
                Ok((key.to_owned(), value(any, depth)?))
            };
            Value::Object(members(message).map(entry).collect::<Result<Map<_, _>, Garbled>>()?)
        }
    })
}

/// Put a value where its dotted path says.
fn put(json: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            json.insert(path.to_owned(), value);
        }
        Some((first, rest)) => {
            if let Value::Object(inner) = json.entry(first).or_insert_with(|| Value::Object(Map::new())) {
                put(inner, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests;
