//! What a value of a body, a query or an answer looks like: checked on the way in, described in the OpenAPI document.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::admin::problem::Fault;

/// The form of a value.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Text of one to so many bytes, without control characters.
    Text {
        /// Bytes.
        max: usize,
    },
    /// Text of a file of at most so many bytes: lines may end, and it may be empty.
    Lines {
        /// Bytes.
        max: usize,
    },
    /// A UUID.
    Id,
    /// A time in UTC (RFC 3339).
    Time,
    /// A whole number.
    Integer {
        /// The least.
        min: i64,
        /// The most.
        max: i64,
    },
    /// `true` or `false`.
    Boolean,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of one to so many of the same; `min` of 0 lets it be empty.
    List {
        /// Of these.
        of: &'static Shape,
        /// At least so many.
        min: usize,
        /// At most so many.
        max: usize,
    },
    /// An object with these keys and no others.
    Object(&'static [Field]),
    /// An object that another document describes; in answers only.
    Described(&'static str),
}

/// A key of an object, or a parameter of a query.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// The key.
    pub name: &'static str,
    /// Its value.
    pub shape: Shape,
    /// Whether it may be left out.
    pub need: Need,
    /// What it is.
    pub doc: &'static str,
}

/// Whether a key may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// It may not.
    Required,
    /// It may.
    Optional,
}

impl Field {
    /// A key that must be there.
    pub const fn required(name: &'static str, shape: Shape, doc: &'static str) -> Field {
        Field { name, shape, need: Need::Required, doc }
    }

    /// A key that may be left out.
    pub const fn optional(name: &'static str, shape: Shape, doc: &'static str) -> Field {
        Field { name, shape, need: Need::Optional, doc }
    }
}

impl Shape {
    /// Everything in which `value` is not of this shape; `at` is where it stands.
    pub(in crate::admin) fn faults(&self, value: &Value, at: &str, found: &mut Vec<Fault>) {
        let mut wrong = |detail: String| found.push(Fault::new(at, detail));
        match (self, value) {
            (Shape::Text { max }, Value::String(text)) => {
                if text.is_empty() || text.len() > *max || text.chars().any(char::is_control) {
                    wrong(format!("is not 1 to {max} bytes of text without control characters"));
                }
            }
            (Shape::Lines { max }, Value::String(text)) => {
                if text.len() > *max {
                    wrong(format!("is longer than {max} bytes"));
                }
            }
            (Shape::Id, Value::String(text)) if Uuid::try_parse(text).is_ok() => {}
            (Shape::Time, Value::String(text)) if text.ends_with('Z') && text.parse::<Timestamp>().is_ok() => {}
            (Shape::Integer { min, max }, Value::Number(number))
                if number.as_i64().is_some_and(|number| (*min..=*max).contains(&number)) => {}
            (Shape::Boolean, Value::Bool(_)) => {}
            (Shape::Word(words), Value::String(text)) if words.contains(&text.as_str()) => {}
            (Shape::List { of, min, max }, Value::Array(items)) => {
                if !(*min..=*max).contains(&items.len()) {
                    return wrong(format!("has {} items; {min} to {max} are taken", items.len()));
                }
                for (index, item) in items.iter().enumerate() {
                    of.faults(item, &format!("{at}[{index}]"), found);
                }
            }
            (Shape::Object(fields), Value::Object(entries)) => object(fields, entries, at, found),
            (Shape::Described(_), Value::Object(_)) => {}
            _ => wrong(format!("is not {}", self.wanted())),
        }
    }

    /// In words.
    fn wanted(&self) -> String {
        match self {
            Shape::Text { .. } | Shape::Lines { .. } => "text".to_owned(),
            Shape::Id => "a UUID".to_owned(),
            Shape::Time => "a time such as `2027-01-31T00:00:00Z`".to_owned(),
            Shape::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Shape::Boolean => "`true` or `false`".to_owned(),
            Shape::Word(words) => {
                format!("one of {}", words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "))
            }
            Shape::List { .. } => "a list".to_owned(),
            Shape::Object(_) | Shape::Described(_) => "an object".to_owned(),
        }
    }

    /// As JSON Schema, in the dialect of OpenAPI 3.1.
    pub(super) fn schema(&self) -> Value {
        match self {
            Shape::Text { max } => json!({"type": "string", "minLength": 1, "maxLength": max}),
            Shape::Lines { max } => json!({"type": "string", "maxLength": max}),
            Shape::Id => json!({"type": "string", "format": "uuid"}),
            Shape::Time => json!({"type": "string", "format": "date-time"}),
            Shape::Integer { min, max } => json!({"type": "integer", "minimum": min, "maximum": max}),
            Shape::Boolean => json!({"type": "boolean"}),
            Shape::Word(words) => json!({"type": "string", "enum": words}),
            Shape::List { of, min, max } => {
                json!({"type": "array", "items": of.schema(), "minItems": min, "maxItems": max})
            }
            Shape::Object(fields) => {
                let properties: Map<String, Value> =
                    fields.iter().map(|field| (field.name.to_owned(), described(field))).collect();
                let required: Vec<&str> =
                    fields.iter().filter(|field| field.need == Need::Required).map(|field| field.name).collect();
                let mut schema = json!({"type": "object", "properties": properties, "additionalProperties": false});
                if let (false, Value::Object(entries)) = (required.is_empty(), &mut schema) {
                    entries.insert("required".into(), json!(required));
                }
                schema
            }
            Shape::Described(doc) => json!({"type": "object", "description": doc}),
        }
    }
}

fn described(field: &Field) -> Value {
    let mut schema = field.shape.schema();
    if let Value::Object(entries) = &mut schema {
        entries.insert("description".into(), field.doc.into());
    }
    schema
}

fn object(fields: &[Field], entries: &Map<String, Value>, at: &str, found: &mut Vec<Fault>) {
    let below = |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
    for name in entries.keys().filter(|name| fields.iter().all(|field| field.name != name.as_str())) {
        found.push(Fault::new(below(name), "is not a field here"));
    }
    for field in fields {
        match (entries.get(field.name), field.need) {
            (Some(value), _) => field.shape.faults(value, &below(field.name), found),
            (None, Need::Required) => found.push(Fault::new(below(field.name), "is missing")),
            (None, Need::Optional) => {}
        }
    }
}
