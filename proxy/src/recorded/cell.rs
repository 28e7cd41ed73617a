//! A value of a record in any of the forms that records have: in the spool, on a line of JSON, in a column.

use parquet::data_type::ByteArray;
use serde_json::{Map, Value};

use crate::evidence::otlp::message::{Any, Garbled, members, pair, utf8};

/// A value, where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cell<'a> {
    Text(&'a str),
    Int(i64),
    Bool(bool),
    List(List<'a>),
    Pairs(Pairs<'a>),
}

/// A list of texts.
#[derive(Clone, Copy, Debug, Default)]
pub enum List<'a> {
    /// There is none.
    #[default]
    None,
    /// The bytes of an `ArrayValue`.
    Wire(&'a [u8]),
    /// Of a line.
    Json(&'a [Value]),
    /// Of a Parquet file.
    Column(&'a [ByteArray]),
}

/// A map of texts.
#[derive(Clone, Copy, Debug, Default)]
pub enum Pairs<'a> {
    /// There is none.
    #[default]
    None,
    /// The bytes of a `KeyValueList`.
    Wire(&'a [u8]),
    /// Of a line.
    Json(&'a Map<String, Value>),
    /// Of a Parquet file: the text of the JSON.
    Text(&'a str),
}

impl<'a> Cell<'a> {
    pub(super) fn of_any(any: Any<'a>) -> Option<Cell<'a>> {
        match any {
            Any::Text(text) => Some(Cell::Text(text)),
            Any::Int(number) => Some(Cell::Int(number)),
            Any::Bool(truth) => Some(Cell::Bool(truth)),
            Any::Array(list) => Some(Cell::List(List::Wire(list))),
            Any::Map(map) => Some(Cell::Pairs(Pairs::Wire(map))),
            Any::Null | Any::Double(_) => None,
        }
    }

    pub(super) fn of_json(json: &'a Value) -> Option<Cell<'a>> {
        match json {
            Value::String(text) => Some(Cell::Text(text)),
            Value::Number(number) => number.as_i64().map(Cell::Int),
            Value::Bool(truth) => Some(Cell::Bool(*truth)),
            Value::Array(list) => Some(Cell::List(List::Json(list))),
            Value::Object(map) => Some(Cell::Pairs(Pairs::Json(map))),
            Value::Null => None,
        }
    }

    pub(super) fn text(self) -> Option<&'a str> {
        match self {
            Cell::Text(text) => Some(text),
            Cell::Int(_) | Cell::Bool(_) | Cell::List(_) | Cell::Pairs(_) => None,
        }
    }

    pub(super) fn int(self) -> Option<i64> {
        match self {
            Cell::Int(number) => Some(number),
            Cell::Text(_) | Cell::Bool(_) | Cell::List(_) | Cell::Pairs(_) => None,
        }
    }

    pub(super) fn truth(self) -> Option<bool> {
        match self {
            Cell::Bool(truth) => Some(truth),
            Cell::Text(_) | Cell::Int(_) | Cell::List(_) | Cell::Pairs(_) => None,
        }
    }

    pub(super) fn list(self) -> List<'a> {
        match self {
            Cell::List(list) => list,
            Cell::Text(_) | Cell::Int(_) | Cell::Bool(_) | Cell::Pairs(_) => List::None,
        }
    }

    pub(super) fn pairs(self) -> Pairs<'a> {
        match self {
            Cell::Pairs(pairs) => pairs,
            Cell::Text(text) => Pairs::Text(text),
            Cell::Int(_) | Cell::Bool(_) | Cell::List(_) => Pairs::None,
        }
    }
}

impl<'a> List<'a> {
    /// Hand each entry to `take`.
    ///
    /// # Errors
    ///
    /// [`Garbled`] where an entry is no text.
    pub fn each(self, mut take: impl FnMut(&'a str)) -> Result<(), Garbled> {
        match self {
            List::None => {}
            List::Wire(list) => {
                for member in members(list) {
                    let Any::Text(text) = Any::read(member?)? else { return Err(Garbled) };
                    take(text);
                }
            }
            List::Json(list) => {
                for entry in list {
                    take(entry.as_str().ok_or(Garbled)?);
                }
            }
            List::Column(list) => {
                for entry in list {
                    take(utf8(entry.data())?);
                }
            }
        }
        Ok(())
    }

    /// The entries.
    ///
    /// # Errors
    ///
    /// As [`List::each`].
    pub fn texts(self) -> Result<Vec<&'a str>, Garbled> {
        let mut texts = Vec::new();
        self.each(|text| texts.push(text))?;
        Ok(texts)
    }
}

impl Pairs<'_> {
    /// Hand each pair to `take`.
    ///
    /// # Errors
    ///
    /// [`Garbled`] where a value is no text.
    pub fn each(self, mut take: impl FnMut(&str, &str)) -> Result<(), Garbled> {
        let mut all = |map: &Map<String, Value>| {
            for (key, value) in map {
                take(key, value.as_str().ok_or(Garbled)?);
            }
            Ok(())
        };
        match self {
            Pairs::None => Ok(()),
            Pairs::Json(map) => all(map),
            Pairs::Text(text) => all(&serde_json::from_str(text).map_err(|_| Garbled)?),
            Pairs::Wire(map) => {
                for member in members(map) {
                    let (key, Any::Text(value)) = pair(member?)? else { return Err(Garbled) };
                    take(key, value);
                }
                Ok(())
            }
        }
    }
}
