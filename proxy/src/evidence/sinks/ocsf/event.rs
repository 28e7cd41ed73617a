//! A record as an OCSF event. What the schema has a place for stands there; everything else is below `unmapped`, under
//! the names that it has in records, so that nothing is lost on the way.

use serde_json::{Map, Value, json};

use super::network::{self, decision};
use super::words::{self, Class, Word};
use crate::evidence::sinks::view::View;
use crate::evidence::words::PolicyResult;

/// The version of the schema that events are written in.
pub const VERSION: &str = "1.7.0";

/// What a kind of record says beyond what every event has.
pub(super) struct Told {
    pub class: Class,
    /// The number of the activity, and its caption or the source's own name.
    pub activity: (u32, String),
    pub status: Word,
    pub status_code: String,
    pub profiles: &'static [&'static str],
    pub attributes: Map<String, Value>,
    /// The fields of the record that stand in `attributes`, by their dotted paths.
    pub mapped: Vec<&'static str>,
}

/// Fields that every event has a place for.
const MAPPED: [&str; 6] = ["schema", "kind", "id", "sequence", "time", "gateway"];

/// The event. Any record becomes one, also of a kind that is not known here.
pub fn event(record: &Value) -> Value {
    let view = View(record);
    let told = match view.kind() {
        "decision" => decision(view),
        "close" => network::close(view),
        "policy" => policy(view),
        _ => other(view),
    };
    let (activity, activity_name) = &told.activity;
    let severity = words::severity(view.severity());
    let mut event = Map::new();
    let mut put = |key: &str, value: Value| {
        event.insert(key.to_owned(), value);
    };
    put("metadata", metadata(view, told.profiles));
    put("time", view.time().map_or(0, |time| time.as_millisecond()).into());
    put("timezone_offset", 0.into());
    put("category_uid", told.class.category.id.into());
    put("category_name", told.class.category.caption.into());
    put("class_uid", told.class.class.id.into());
    put("class_name", told.class.class.caption.into());
    put("activity_id", (*activity).into());
    put("activity_name", activity_name.as_str().into());
    put("type_uid", (told.class.class.id * 100 + activity).into());
    put("severity_id", severity.id.into());
    put("severity", severity.caption.into());
    put("status_id", told.status.id.into());
    put("status", told.status.caption.into());
    if !told.status_code.is_empty() {
        put("status_code", told.status_code.into());
    }
    put("message", view.sentence().into());
    if !view.text("gateway").is_empty() {
        // 9: a firewall, software that filters traffic.
        put("device", json!({"name": view.text("gateway"), "type_id": 9, "type": "Firewall"}));
    }
    event.extend(told.attributes);
    let unmapped = without(record, MAPPED.iter().chain(&told.mapped));
    if !unmapped.is_empty() {
        event.insert("unmapped".to_owned(), unmapped.into());
    }
    Value::Object(event)
}

fn metadata(view: View<'_>, profiles: &[&str]) -> Value {
    let product = json!({"name": "Gatepass", "vendor_name": "Gatepass", "version": env!("CARGO_PKG_VERSION")});
    let mut metadata = Map::new();
    metadata.insert("version".to_owned(), VERSION.into());
    metadata.insert("product".to_owned(), product);
    metadata.insert("profiles".to_owned(), profiles.into());
    metadata.insert("uid".to_owned(), view.uid().into());
    metadata.insert("event_code".to_owned(), view.event_name().into());
    for (key, path) in [("correlation_uid", "id"), ("sequence", "sequence"), ("original_time", "time")] {
        copy(view, path, &mut metadata, key);
    }
    if let Some(schema) = view.field("schema") {
        metadata.insert("log_version".to_owned(), schema.to_string().into());
    }
    Value::Object(metadata)
}

fn policy(view: View<'_>) -> Told {
    let rejected = view.text("result") == PolicyResult::Rejected.as_str();
    let mut entity = network::policy(view).unwrap_or_default();
    entity.remove("is_applied");
    entity.insert("type_id".to_owned(), 5.into());
    entity.insert("type".to_owned(), "Policy".into());
    let mut attributes = Map::new();
    attributes.insert("entity".to_owned(), entity.into());
    if !view.text("error").is_empty() {
        attributes.insert("status_detail".to_owned(), view.text("error").into());
    }
    let mut mapped = network::POLICY.to_vec();
    mapped.extend(["result", "error"]);
    Told {
        class: words::ENTITY,
        activity: (words::ACTIVATE.id, words::ACTIVATE.caption.to_owned()),
        status: if rejected { words::FAILURE } else { words::SUCCESS },
        status_code: view.text("result").to_owned(),
        profiles: &["host"],
        attributes,
        mapped,
    }
}

fn other(view: View<'_>) -> Told {
    Told {
        class: words::BASE,
        activity: (words::OTHER, view.kind().to_owned()),
        status: if view.kind() == "gap" { words::FAILURE } else { words::SUCCESS },
        status_code: String::new(),
        profiles: &["host"],
        attributes: Map::new(),
        mapped: Vec::new(),
    }
}

/// Give `into` the field at `path`, if it is there, under the name `key`.
pub(super) fn copy(view: View<'_>, path: &str, into: &mut Map<String, Value>, key: &str) {
    if let Some(value) = view.field(path) {
        into.insert(key.to_owned(), value.clone());
    }
}

/// The record without these fields, and without objects that have nothing left.
fn without<'p>(record: &Value, paths: impl Iterator<Item = &'p &'static str>) -> Map<String, Value> {
    let Value::Object(mut left) = record.clone() else {
        return Map::from_iter([("record".to_owned(), record.clone())]);
    };
    for path in paths {
        match path.split_once('.') {
            None => {
                left.shift_remove(*path);
            }
            Some((head, rest)) => {
                let Some(Value::Object(inner)) = left.get_mut(head) else { continue };
                inner.shift_remove(rest);
                if inner.is_empty() {
                    left.shift_remove(head);
                }
            }
        }
    }
    left
}
