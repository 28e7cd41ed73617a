//! A request's body: JSON within a bound, of the right shape, and no key twice.

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body, Incoming};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::operation::Operation;
use super::shape::Shape;
use crate::admin::problem::{Fault, Problem};

/// The time that a body may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Faults of one body that are told; the rest would help nobody.
const FAULTS_MAX: usize = 32;
/// A key longer than this is not repeated in a fault.
const KEY_MAX: usize = 64;

/// Read and check the body of a request that changes something.
///
/// A form of a web page can send three content types only (`text/plain` and the two of forms) without asking first, and
/// JSON is none of them.
pub(in crate::admin) async fn read(
    method: &Method,
    headers: &HeaderMap,
    body: Incoming,
    operation: &Operation,
) -> Result<Value, Problem> {
    let empty = body.is_end_stream();
    if !(is_json(headers) || (method == Method::DELETE && empty && !headers.contains_key(header::CONTENT_TYPE))) {
        let detail = "what changes something is asked with `Content-Type: application/json`";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    if headers.contains_key(header::CONTENT_ENCODING) {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "a body is taken as it is, not compressed"));
    }
    let max = operation.body_max();
    let too_long = || Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is longer than {max} bytes"));
    if body.size_hint().lower() > max as u64 {
        return Err(too_long());
    }
    let collected = match tokio::time::timeout(PATIENCE, Limited::new(body, max).collect()).await {
        Err(_) => return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "the body did not come in 10 s")),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => return Err(too_long()),
        Ok(Err(_)) => return Err(Problem::new(StatusCode::BAD_REQUEST, "the body ended too early")),
        Ok(Ok(collected)) => collected.to_bytes(),
    };
    match (&operation.body, collected.is_empty()) {
        (None, true) => Ok(Value::Object(Map::new())),
        (None, false) => parse(&collected, &Shape::Object(&[])),
        (Some(body), _) => parse(&collected, &body.shape),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut fields = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else { return false };
    let Ok(text) = field.to_str() else { return false };
    let (kind, parameters) = text.split_once(';').unwrap_or((text, ""));
    let plain = parameters.trim();
    kind.trim().eq_ignore_ascii_case("application/json")
        && (plain.is_empty() || plain.eq_ignore_ascii_case("charset=utf-8"))
}

/// The value of this shape, or everything that is wrong with it.
pub(super) fn parse(bytes: &[u8], shape: &Shape) -> Result<Value, Problem> {
    let mut twice = Vec::new();
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Seed { at: String::new(), twice: &mut twice }.deserialize(&mut reader);
    let value = value.and_then(|value| reader.end().map(|()| value));
    let value = value.map_err(|error| {
        let detail = format!("not JSON, line {}, column {}", error.line(), error.column());
        Problem::faults("the body is not JSON", vec![Fault::new("", detail)])
    })?;
    let mut faults: Vec<Fault> = twice.into_iter().map(|at| Fault::new(at, "is given twice")).collect();
    shape.faults(&value, "", &mut faults);
    if faults.is_empty() {
        return Ok(value);
    }
    faults.truncate(FAULTS_MAX);
    for fault in &mut faults {
        if fault.field.len() > KEY_MAX || fault.field.chars().any(char::is_control) {
            fault.field = fault.field.chars().filter(|c| !c.is_control()).take(KEY_MAX).collect();
        }
    }
    Err(Problem::faults("the body is not as it has to be", faults))
}

/// Reads a value and notes each key that stands twice in one object: serde_json would keep the last of them, another
/// reader the first.
struct Seed<'t> {
    at: String,
    twice: &'t mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let at = format!("{}[{}]", self.at, list.len());
            match items.next_element_seed(Seed { at, twice: self.twice })? {
                Some(item) => list.push(item),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let (mut map, mut seen) = (Map::new(), HashSet::new());
        while let Some(key) = entries.next_key::<String>()? {
            let at = if self.at.is_empty() { key.clone() } else { format!("{}.{key}", self.at) };
            if !seen.insert(key.clone()) && self.twice.len() < FAULTS_MAX {
                self.twice.push(at.clone());
            }
            let value = entries.next_value_seed(Seed { at, twice: self.twice })?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::super::shape::Field;
    use super::*;

    const SHAPE: Shape = Shape::Object(&[
        Field::required("ttl", Shape::Integer { min: 1, max: 3600 }, "seconds"),
        Field::optional("hosts", Shape::List { of: &Shape::Text { max: 9 }, min: 1, max: 2 }, "hosts"),
        Field::optional("drill", Shape::Boolean, "whether"),
        Field::optional("at", Shape::Time, "when"),
    ]);

    fn faults(text: &str) -> Vec<String> {
        match parse(text.as_bytes(), &SHAPE) {
            Ok(_) => Vec::new(),
            Err(problem) => {
                assert_eq!(problem.status, StatusCode::BAD_REQUEST);
                problem.errors.iter().map(|fault| format!("{} {}", fault.field, fault.detail)).collect()
            }
        }
    }

    #[test]
    fn a_whole_body_is_taken() {
        assert_eq!(
            faults("{\"ttl\": 60, \"hosts\": [\"a\"], \"drill\": true, \"at\": \"2027-01-31T00:00:00Z\"}"),
            [""; 0]
        );
    }

    #[test]
    fn a_number_out_of_all_bounds_is_no_number_of_seconds() {
        for ttl in [
            "18446744073709551615",
            "-1",
            "0",
            "1e99",
            "1e1",
            "\"1h\"",
            "\"9223372036854775807s\"",
            "null",
            "3601",
            "1.5",
        ] {
            let body = format!("{{\"ttl\": {ttl}}}");
            assert_eq!(faults(&body), ["ttl is not a whole number from 1 to 3600"], "{ttl}");
        }
    }

    #[test]
    fn every_fault_is_told_with_its_field() {
        assert_eq!(
            faults(
                "{\"hosts\": [\"a\", 5, \"c\"], \"tll\": 1, \"drill\": \"yes\", \"drill\": 1, \"at\": \"tomorrow\"}"
            ),
            [
                "drill is given twice",
                "tll is not a field here",
                "ttl is missing",
                "hosts has 3 items; 1 to 2 are taken",
                "drill is not `true` or `false`",
                "at is not a time such as `2027-01-31T00:00:00Z`",
            ]
        );
        assert_eq!(faults("{\"ttl\": 1, \"hosts\": [5]}"), ["hosts[0] is not text"]);
        assert_eq!(faults("{\"ttl\": 1, \"hosts\": [\"a\\u0000\"]}").len(), 1);
        assert_eq!(faults("[]"), [" is not an object"]);
    }

    #[test]
    fn what_is_not_json_is_told_with_its_place() {
        for text in ["", "{", "{\"ttl\": 1} x", "{\"ttl\": 1, }", "\u{feff}{}", "{'ttl': 1}", "{\"ttl\": 01}"] {
            let told = faults(text);
            assert!(told.len() == 1 && told[0].contains("not JSON, line 1"), "{text}: {told:?}");
        }
        let deep = "[".repeat(100_000);
        assert_eq!(faults(&deep).len(), 1, "nesting has a bound");
    }
}
