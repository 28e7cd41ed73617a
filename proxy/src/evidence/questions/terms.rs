//! The terms on the record of a grant or an exception, read where they stand.

use serde_json::Value;

use crate::evidence::otlp::message::{Any, members, pair};

/// `details` of a record, in either form. What is not there, or has another type, is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Terms<'a> {
    /// None.
    #[default]
    None,
    /// In the spool: the bytes of a `KeyValueList`.
    Map(&'a [u8]),
    /// On a line of an export.
    Json(&'a Value),
}

impl<'a> Terms<'a> {
    fn in_map(map: &'a [u8], key: &str) -> Option<Any<'a>> {
        let pairs = members(map).map_while(|member| pair(member.ok()?).ok());
        pairs.into_iter().find(|(name, _)| *name == key).map(|(_, any)| any)
    }

    /// A text.
    pub fn text(self, key: &str) -> Option<&'a str> {
        match self {
            Terms::None => None,
            Terms::Map(map) => match Terms::in_map(map, key) {
                Some(Any::Text(text)) => Some(text),
                Some(_) | None => None,
            },
            Terms::Json(json) => json.get(key)?.as_str(),
        }
    }

    /// A number.
    pub fn int(self, key: &str) -> Option<i64> {
        match self {
            Terms::None => None,
            Terms::Map(map) => match Terms::in_map(map, key) {
                Some(Any::Int(number)) => Some(number),
                Some(_) | None => None,
            },
            Terms::Json(json) => json.get(key)?.as_i64(),
        }
    }

    /// A list of texts.
    pub fn texts(self, key: &str) -> Vec<&'a str> {
        match self {
            Terms::None => Vec::new(),
            Terms::Map(map) => match Terms::in_map(map, key) {
                Some(Any::Array(list)) => members(list)
                    .filter_map(|member| match Any::read(member.ok()?) {
                        Ok(Any::Text(text)) => Some(text),
                        Ok(_) | Err(_) => None,
                    })
                    .collect(),
                Some(_) | None => Vec::new(),
            },
            Terms::Json(json) => {
                json.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
            }
        }
    }

    /// For whom.
    pub fn whom(self) -> String {
        self.texts("identities").join(",")
    }

    /// `host:port`, or as much of it as there is.
    pub fn places(self) -> String {
        let places = [self.texts("hosts"), self.texts("cidrs")].concat();
        format!("{}:{}", places.join(","), self.texts("ports").join(","))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_there_or_is_something_else_is_empty() {
        let json = json!({"identities": ["a", 1, "b"], "ports": ["443"], "ends": 5, "waited_s": "long"});
        let terms = Terms::Json(&json);
        assert_eq!((terms.text("ends"), terms.int("waited_s"), terms.int("none")), (None, None, None));
        assert_eq!((terms.whom(), terms.places()), ("a,b".to_owned(), ":443".to_owned()));
        for terms in [Terms::None, Terms::Map(b"\xff"), Terms::Map(b"")] {
            assert_eq!((terms.text("ends"), terms.int("ends"), terms.whom()), (None, None, String::new()));
        }
    }
}
