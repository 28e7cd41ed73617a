//! What `gatepass explain` prints.

use std::fmt::Write as _;

use gatepass_policy::PolicySet;
use gatepass_policy::decision::Verdict;
use gatepass_policy::facts::Facts;
use gatepass_policy::schema::AttributeSet;
use gatepass_policy::trace::Trace;

use super::style::Paint;
use crate::evidence::DecisionRecord;
use crate::evidence::parts::PolicyRef;
use crate::explanation::explain;

/// For people: the verdict, then what every candidate said.
pub fn text(facts: &Facts, verdict: &Verdict, trace: &Trace, set: &PolicySet, paint: Paint) -> String {
    let mut text = match verdict {
        Verdict::Pending(waits) => format!(
            "PENDING  {} -> {}\n      it hangs on what was not given: {}\n",
            facts.identity.id(),
            facts.destination,
            names(*waits).join(", ")
        ),
        Verdict::Allow(decision) | Verdict::Deny(decision) => {
            let nearest = set.nearest(facts, 3);
            explain(&DecisionRecord::decided(facts, decision, &nearest, reference(set)))
        }
    };
    text = match (text.split_once(' '), paint, verdict) {
        (Some((word, rest)), Paint::Ansi, Verdict::Allow(_)) => format!("{} {rest}", paint.good(word)),
        (Some((word, rest)), Paint::Ansi, Verdict::Deny(_) | Verdict::Pending(_)) => {
            format!("{} {rest}", paint.bad(word))
        }
        (Some(_) | None, _, _) => text,
    };
    let _ = write!(text, "\n{trace}");
    text
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
            let nearest = set.nearest(facts, 3);
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
