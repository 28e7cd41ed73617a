//! Everything that is known of one decision.

use std::collections::HashMap;

use serde_json::Value;

use super::row::{Kind, Row};
use super::source::Record;

/// Policies that are kept while the decision is looked for; a gateway activates a few a day.
const POLICIES_MAX: usize = 4096;

/// One decision, what came of it, and the policy behind it.
#[derive(Debug, Default)]
pub struct Story {
    id: String,
    /// Activations by digest, until the decision tells which one it was.
    policies: HashMap<String, Value>,
    /// The decision.
    pub decision: Option<Value>,
    /// The end of its connection.
    pub close: Option<Value>,
    /// The activation of the policy that decided.
    pub policy: Option<Value>,
}

impl Story {
    /// Of the decision with this id; `ID/close`, the key of its end in a store, means the same.
    pub fn new(id: &str) -> Story {
        Story { id: id.trim_end_matches("/close").to_ascii_lowercase(), ..Story::default() }
    }

    /// Look at a record.
    pub fn see(&mut self, record: &Record<'_>, row: &Row<'_>) {
        match row.kind {
            Kind::Policy if self.decision.is_none() && row.result == "activated" => {
                let Ok(json) = record.json() else { return };
                let Some(digest) = digest(&json) else { return };
                if self.policies.len() < POLICIES_MAX || self.policies.contains_key(digest) {
                    self.policies.insert(digest.to_owned(), json.into_owned());
                }
            }
            Kind::Decision if row.id == self.id && self.decision.is_none() => {
                self.decision = record.json().ok().map(std::borrow::Cow::into_owned);
                self.policy = self.decision.as_ref().and_then(digest).and_then(|digest| self.policies.remove(digest));
                self.policies = HashMap::new();
            }
            Kind::Close if row.id == self.id && self.close.is_none() => {
                self.close = record.json().ok().map(std::borrow::Cow::into_owned);
            }
            Kind::Policy | Kind::Decision | Kind::Close => {}
            Kind::Grant | Kind::Exception | Kind::Checkpoint | Kind::Other => {}
        }
    }

    /// The decision's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether anything was found.
    pub fn is_known(&self) -> bool {
        self.decision.is_some() || self.close.is_some()
    }
}

fn digest(json: &Value) -> Option<&str> {
    json.pointer("/policy/digest")?.as_str()
}
