//! What `gatepass explain` prints.

use gatepass_policy::PolicySet;
use gatepass_policy::decision::{Decision, Nearest, Reason, Verdict};
use gatepass_policy::facts::Facts;
use gatepass_policy::schema::AttributeSet;
use gatepass_policy::trace::Trace;

use super::style::Paint;
use crate::evidence::DecisionRecord;
use crate::evidence::parts::PolicyRef;
use crate::{explanation, passage};

/// For people: the verdict, the sentence of a record, then what every candidate said.
pub fn text(facts: &Facts, verdict: &Verdict, trace: &Trace, set: &PolicySet, paint: Paint) -> String {
    let (sentence, ask) = match verdict {
        Verdict::Pending(_) => ("it hangs on what was not given".to_owned(), None),
        Verdict::Allow(decision) | Verdict::Deny(decision) => {
            let record = DecisionRecord::decided(facts, decision, &[], reference(set));
            (record.reason.text.as_str().to_owned(), explanation::command_that_asks(&record))
        }
    };
    let trace = trace.to_string();
    let (head, rest) = trace.split_once('\n').unwrap_or((&trace, ""));
    let (word, head) = head.split_once(' ').unwrap_or((head, ""));
    let word = match verdict {
        Verdict::Allow(_) => paint.good(word),
        Verdict::Deny(_) | Verdict::Pending(_) => paint.bad(word),
    };
    // Behind what is said of the verdict, before what each candidate says.
    let (verdict, candidates) = rest.split_once("\n\n").unwrap_or((rest, ""));
    let verdict = verdict.strip_suffix('\n').unwrap_or(verdict);
    let mut text = format!("{word} {head}\n  {sentence}\n");
    for line in verdict.lines().map(str::to_owned).chain(ask.map(|command| format!("  ask        {command}"))) {
        text.push_str(&line);
        text.push('\n');
    }
    if !candidates.is_empty() {
        text.push_str(&format!("\n{candidates}\n"));
    }
    text
}

/// For machines: the decision record with its trace.
pub fn json(facts: &Facts, verdict: &Verdict, trace: &Trace, set: &PolicySet) -> serde_json::Value {
    let mut value = match verdict {
        // The same fields as of a final answer, but for the one that there is not.
        Verdict::Pending(_) => {
            serde_json::to_value(DecisionRecord::refused(facts, Reason::NoRule, "", reference(set))).unwrap_or_default()
        }
        Verdict::Allow(decision) | Verdict::Deny(decision) => {
            let record = DecisionRecord::decided(facts, decision, &nearest(facts, decision, set), reference(set));
            serde_json::to_value(record).unwrap_or_default()
        }
    };
    if let Some(object) = value.as_object_mut() {
        // Nothing was carried or refused: this is an answer, not a record.
        object.shift_remove("outcome");
        if let Verdict::Pending(waits) = verdict {
            object.shift_remove("reason");
            object.insert("effect".to_owned(), "pending".into());
            object.insert("missing".to_owned(), names(*waits).into());
        }
        object.insert("trace".to_owned(), serde_json::to_value(trace).unwrap_or_default());
    }
    value
}

/// As the gateway tells a client.
fn nearest(facts: &Facts, decision: &Decision, set: &PolicySet) -> Vec<Nearest> {
    if decision.reason.tells_nearest() { set.nearest(facts, passage::NEAREST) } else { Vec::new() }
}

fn names(waits: AttributeSet) -> Vec<&'static str> {
    waits.iter().map(|attribute| attribute.row().name).collect()
}

fn reference(set: &PolicySet) -> PolicyRef {
    PolicyRef::new(set.bundle(), set.digest(), 0)
}
