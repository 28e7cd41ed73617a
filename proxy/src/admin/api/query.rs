//! A request's query: each parameter once, percent-encoded, and of the shape that its operation says.

use serde_json::Value;

use super::shape::{Field, Need, Shape};
use crate::admin::problem::{Fault, Problem};

/// The parameters of a request.
#[derive(Clone, Debug, Default)]
pub struct Query(Vec<(&'static str, Value)>);

impl Query {
    /// Read what an operation takes, or everything that is wrong.
    pub(in crate::admin) fn parse(query: &str, fields: &'static [Field]) -> Result<Query, Problem> {
        let mut found = Vec::new();
        let mut faults = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let Some(field) = fields.iter().find(|field| field.name == key) else {
                let known = fields.iter().map(|field| format!("`{}`", field.name)).collect::<Vec<_>>().join(", ");
                let shown: String = key.chars().take(64).collect();
                faults.push(Fault::new(shown, format!("is not a parameter here; those are {known}")));
                continue;
            };
            let Some(value) = decoded(value).map(|text| typed(text, &field.shape)) else {
                faults.push(Fault::new(field.name, "is not percent-encoded UTF-8"));
                continue;
            };
            if found.iter().any(|(name, _)| *name == field.name) {
                faults.push(Fault::new(field.name, "is given twice"));
            }
            field.shape.faults(&value, field.name, &mut faults);
            found.push((field.name, value));
        }
        for field in fields.iter().filter(|field| field.need == Need::Required) {
            if found.iter().all(|(name, _)| *name != field.name) {
                faults.push(Fault::new(field.name, "is missing"));
            }
        }
        if faults.is_empty() {
            return Ok(Query(found));
        }
        Err(Problem::faults("the query is not as it has to be", faults))
    }

    /// The text of a parameter.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.value(name).and_then(Value::as_str)
    }

    /// The number of a parameter.
    pub fn number(&self, name: &str) -> Option<usize> {
        self.value(name).and_then(Value::as_u64).and_then(|number| usize::try_from(number).ok())
    }

    fn value(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// As it was written, with `after` in the place of what it had.
    pub(in crate::admin) fn continued(&self, after: &str) -> String {
        let kept = self.0.iter().filter(|(name, _)| *name != "after");
        let mut pairs: Vec<String> = kept
            .map(|(name, value)| match value {
                Value::String(text) => format!("{name}={}", encoded(text)),
                other => format!("{name}={other}"),
            })
            .collect();
        pairs.push(format!("after={}", encoded(after)));
        pairs.join("&")
    }
}

/// A query is text; what has to be a number is read as one.
fn typed(text: String, shape: &Shape) -> Value {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match shape {
        Shape::Integer { .. } if plain => text.parse::<u64>().map_or(Value::String(text), Value::from),
        Shape::Boolean if text == "true" || text == "false" => Value::Bool(text == "true"),
        Shape::Text { .. }
        | Shape::Lines { .. }
        | Shape::Id
        | Shape::Time
        | Shape::Integer { .. }
        | Shape::Boolean
        | Shape::Word(_)
        | Shape::List { .. }
        | Shape::Object(_)
        | Shape::Described(_) => Value::String(text),
    }
}

/// Percent-decoded (RFC 3986 section 2.1); `None` where that is malformed or not UTF-8.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let high = char::from(rest.next()?).to_digit(16)?;
                let low = char::from(rest.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Percent-encoded, all but what RFC 3986 section 2.3 leaves alone.
pub fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}
