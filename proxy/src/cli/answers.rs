//! What `gatepass explain` prints.

use gatepass_policy::PolicySet;
use gatepass_policy::decision::Verdict;
use gatepass_policy::facts::Facts;
use gatepass_policy::schema::AttributeSet;
use gatepass_policy::trace::Trace;

use super::style::Paint;
use crate::evidence::DecisionRecord;
use crate::evidence::parts::PolicyRef;

/// For people: the verdict, the sentence of a record, then what every candidate said.
pub fn text(facts: &Facts, verdict: &Verdict, trace: &Trace, set: &PolicySet, paint: Paint) -> String {
    let sentence = match verdict {
        Verdict::Pending(_) => "it hangs on what was not given".to_owned(),
        Verdict::Allow(decision) | Verdict::Deny(decision) => {
            DecisionRecord::decided(facts, decision, &[], reference(set)).reason.text.as_str().to_owned()
        }
    };
    let trace = trace.to_string();
    let (head, rest) = trace.split_once('\n').unwrap_or((&trace, ""));
    let (word, head) = head.split_once(' ').unwrap_or((head, ""));
    let word = match verdict {
        Verdict::Allow(_) => paint.good(word),
        Verdict::Deny(_) | Verdict::Pending(_) => paint.bad(word),
    };
    format!("{word} {head}\n  {sentence}\n{rest}\n")
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
