//! What is decided of one open tunnel under other circumstances: whether it stays, or by what and how it is cut. Pure.

use std::sync::Arc;

use gatepass_policy::address::Floor;
use gatepass_policy::budget::Budget;
use gatepass_policy::decision::{Decision, Reason, RuleInfo, Verdict};
use gatepass_policy::facts::Facts;
use gatepass_policy::overrides::NORMAL;
use jiff::Timestamp;

use crate::evidence::words::Ending;
use crate::observe::{self, BY_OBSERVE};
use crate::policy_store::Snapshot;

/// What cuts a tunnel whose credential does not stand.
pub(super) const BY_IDENTITY: &str = "identity";
/// What cuts a tunnel whose address may not be reached.
pub(super) const BY_FLOOR: &str = "floor";

/// What a tunnel is decided under.
#[derive(Clone, Copy)]
pub(super) struct Ground<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) floor: &'a Arc<Floor>,
}

/// What allowed it until now.
#[derive(Clone, Copy)]
pub(super) struct Stood<'a> {
    pub(super) rule: Option<&'a Arc<RuleInfo>>,
    pub(super) reason: Reason,
    pub(super) snapshot: Since,
}

/// Whether something is as it was when it was allowed last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    Same,
    Another,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It stays; this allows it, under these limits.
    Stays { rule: Option<Arc<RuleInfo>>, reason: Reason, budgets: Vec<Arc<Budget>> },
    /// It is cut.
    Cut { ending: Ending, by: Box<str>, reason: Reason },
}

/// Ask again. `facts` become those of now: time, mode, subject, tags and floor. All else is as it was admitted, the
/// addresses above all: they are those that were checked and dialled.
pub(super) fn judge(
    facts: &mut Facts,
    declared: Option<&[u8]>,
    stood: Stood<'_>,
    policy: Since,
    ground: Ground<'_>,
    now: Timestamp,
) -> Answer {
    let snapshot = ground.snapshot;
    facts.now = now;
    if !Arc::ptr_eq(&facts.mode, snapshot.overrides.mode()) {
        facts.mode = Arc::clone(snapshot.overrides.mode());
    }
    let floor = if Arc::ptr_eq(&facts.floor, ground.floor) { Since::Same } else { Since::Another };
    if floor == Since::Another {
        facts.floor = Arc::clone(ground.floor);
    }
    // Whose data it is and what the destination is called are the policy's to say.
    if policy == Since::Another {
        facts.tags = snapshot.set.tags(&facts.destination.host);
        match snapshot.set.subject(&facts.identity, declared) {
            Ok(subject) => facts.subject = subject,
            Err(_) => {
                let (ending, by) = (Ending::PolicyChanged, admitted_by(stood));
                return Answer::Cut { ending, by, reason: Reason::DataClassRefused };
            }
        }
    }
    match snapshot.decide(facts) {
        Verdict::Allow(Decision { rule, reason, budgets, .. }) => Answer::Stays { rule, reason, budgets },
        Verdict::Deny(decision) if snapshot.only_observes(facts, &decision) => {
            let Decision { rule, reason, budgets, .. } = decision;
            Answer::Stays { rule, reason, budgets }
        }
        Verdict::Deny(decision) if observe::is_the_policys(stood.reason) => {
            observed(&decision, stood, floor, snapshot, now)
        }
        Verdict::Deny(decision) => cut(&decision, stood, floor, snapshot, now),
        // What is not known of it by now will not become known.
        Verdict::Pending(_) => {
            let (ending, by) = (Ending::PolicyChanged, admitted_by(stood));
            Answer::Cut { ending, by, reason: Reason::RuleError }
        }
    }
}

fn admitted_by(stood: Stood<'_>) -> Box<str> {
    stood.rule.map_or_else(|| "?".into(), |rule| rule.path.clone())
}

/// Nothing ever allowed it: it was carried because denials were only recorded.
fn observed(denial: &Decision, stood: Stood<'_>, floor: Since, snapshot: &Snapshot, now: Timestamp) -> Answer {
    let mode = snapshot.overrides.mode();
    if snapshot.observe.is_none_or(|until| until <= now) {
        return Answer::Cut { ending: Ending::Expired, by: BY_OBSERVE.into(), reason: denial.reason };
    }
    if **mode != *NORMAL {
        return Answer::Cut { ending: Ending::ModeChanged, by: format!("mode/{mode}").into(), reason: denial.reason };
    }
    cut(denial, stood, floor, snapshot, now)
}

/// In this order: the grant that allowed it is over; a mode forbids it; what allowed it has ended by time; all else is a
/// change of policy.
fn cut(denial: &Decision, stood: Stood<'_>, floor: Since, snapshot: &Snapshot, now: Timestamp) -> Answer {
    // On the same floor an address can only be lost with the rule that named it.
    let by_floor = denial.reason == Reason::AddressFloor && floor == Since::Another;
    let forbidden = matches!(denial.reason, Reason::Guardrail | Reason::TeamDeny | Reason::RuleError);
    let by: Box<str> = match &denial.rule {
        _ if by_floor => BY_FLOOR.into(),
        Some(rule) if forbidden => rule.path.clone(),
        Some(_) | None => admitted_by(stood),
    };
    let granted = stood.rule.filter(|_| stood.reason == Reason::Grant);
    let grant_over = granted.is_some_and(|rule| snapshot.overrides.end(&rule.path).is_none_or(|end| end <= now));
    let by = if grant_over && !by_floor { admitted_by(stood) } else { by };
    let ended = stood.rule.and_then(|rule| rule.expires).is_some_and(|end| end <= now);
    let by_mode = by.strip_prefix("mode/").is_some_and(|name| *name == **snapshot.overrides.mode());
    // A guardrail comes into force by itself where the exception ends that lifted it.
    let alone = stood.snapshot == Since::Same && floor == Since::Same;
    let by_time = !by_floor && (alone || (ended && !forbidden));
    let ending = match (grant_over, by_mode, by_time) {
        (true, _, _) => Ending::GrantEnded,
        (false, true, _) => Ending::ModeChanged,
        (false, false, true) => Ending::Expired,
        (false, false, false) => Ending::PolicyChanged,
    };
    Answer::Cut { ending, by, reason: denial.reason }
}
