//! JSON in which nothing is said twice: of two values under one name one reader believes the first, another the last.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::{Map, Number, Value};

/// Why a text is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is no JSON, or not the JSON of anything that is known here.
    Other,
    /// An object has two values of one name.
    Twice,
}

/// Parse one value.
pub(super) fn parse(text: &[u8]) -> Result<Value, Refused> {
    let mut from = serde_json::Deserializer::from_slice(text);
    let value = Once.deserialize(&mut from).and_then(|value| from.end().map(|()| value));
    // What the visitor below refuses is well formed.
    value.map_err(|error| if error.classify() == Category::Data { Refused::Twice } else { Refused::Other })
}

struct Once;

impl<'de> DeserializeSeed<'de> for Once {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Once {
    type Value = Value;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
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

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        // JSON has no number that is none.
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = from.next_element_seed(Once)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut values = Map::new();
        while let Some(name) = from.next_key::<String>()? {
            let value = from.next_value_seed(Once)?;
            if values.insert(name, value).is_some() {
                return Err(A::Error::custom("two values have one name"));
            }
        }
        Ok(Value::Object(values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_what_the_usual_parser_makes_of_it() {
        for text in [r#"{"a":[1,-2,3.5,1e300,"\u0061\n",null,true,{"a":{}}],"b":18446744073709551615}"#, " [] ", "7"] {
            assert_eq!(parse(text.as_bytes()), Ok(serde_json::from_str(text).unwrap()), "{text}");
        }
        let deep = "[".repeat(100_000);
        for text in ["", "{", "{} {}", "{\"a\":1,}", "nothing", "1e999", deep.as_str()] {
            assert_eq!(parse(text.as_bytes()), Err(Refused::Other), "{text:.20}");
        }
    }

    #[test]
    fn what_has_one_name_twice_is_refused_however_deep_it_is_and_however_it_is_spelled() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":2}"#, r#"[{"b":{"a":[],"c":0,"a":[]}}]"#] {
            assert_eq!(parse(text.as_bytes()), Err(Refused::Twice), "{text}");
        }
    }
}
