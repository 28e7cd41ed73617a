//! What `gatepass explain` prints.

use gatepass_policy::PolicySet;
use gatepass_policy::decision::{Effect, Verdict};
use gatepass_policy::facts::Facts;
use gatepass_policy::schema::AttributeSet;
use gatepass_policy::trace::Trace;

use super::style::Paint;
use crate::evidence::DecisionRecord;
use crate::evidence::parts::PolicyRef;

/// For people: the verdict, then what every candidate said.
pub fn text(verdict: &Verdict, trace: &Trace, paint: Paint) -> String {
    let text = trace.to_string();
    let text = match (text.split_once(' '), paint, verdict) {
        (Some((word, rest)), Paint::Ansi, Verdict::Allow(_)) => format!("{} {rest}", paint.good(word)),
        (Some((word, rest)), Paint::Ansi, Verdict::Deny(_) | Verdict::Pending(_)) => {
            format!("{} {rest}", paint.bad(word))
        }
        (Some(_) | None, _, _) => text,
    };
    format!("{}\n", text.trim_end())
}

/// For machines: the decision record with its trace.
pub fn json(facts: &Facts, verdict: &Verdict, trace: &Trace, set: &PolicySet) -> serde_json::Value {
    let mut value = match verdict {
        Verdict::Pending(waits) => serde_json::json!({
            "effect": "pending",
            "missing": names(*waits),
            "identity": {"id": facts.identity.id()},
            "destination": {"host": facts.destination.host.to_text(), "port": facts.destination.port},
        }),
        Verdict::Allow(decision) | Verdict::Deny(decision) => {
            let nearest = match decision.effect {
                Effect::Allow => Vec::new(),
                Effect::Deny => set.nearest(facts, 3),
            };
            let record = DecisionRecord::decided(facts, decision, &nearest, reference(set));
            serde_json::to_value(record).unwrap_or_default()
        }
    };
    if let Some(object) = value.as_object_mut() {
        // Nothing was carried or refused: this is an answer, not a record.
        object.remove("outcome");
        object.insert("trace".to_owned(), serde_json::to_value(trace).unwrap_or_default());
    }
    value
}

fn names(waits: AttributeSet) -> Vec<&'static str> {
    waits.iter().map(|attribute| attribute.row().name).collect()
}

fn reference(set: &PolicySet) -> PolicyRef {
    PolicyRef::new(set.bundle(), set.digest(), 0)
}
