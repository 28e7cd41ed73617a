//! One record decided again, and what that is against what was decided then.

use std::collections::HashMap;
use std::sync::Arc;

use gatepass_policy::PolicySet;
use gatepass_policy::address::Floor;
use gatepass_policy::decision::{Decision, Reason, Verdict};
use gatepass_policy::facts::Facts;
use gatepass_policy::overrides::Overrides;
use gatepass_policy::schema::AttributeSet;
use gatepass_policy::trace::Outcome;
use jiff::Timestamp;
use uuid::Uuid;

use super::groups::{Change, Kind};
use crate::recorded::Recorded;
use crate::recorded::facts::{Ground, Lack, Maker, Workloads};

/// Modes that are laid over the bundle at a time: a policy has a handful.
const MODES_MAX: usize = 64;

/// What became of it then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Was {
    /// It went.
    Admitted,
    /// It did not.
    Refused,
}

/// Why a decision is not decided again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aside {
    /// It never had an identity and a destination.
    Unread,
    /// Another part of the gateway than the policy refused it.
    Refused,
    /// It was permitted and failed.
    Failed,
    /// What operators laid over the policy allowed it.
    Overridden,
    /// It hangs on the gateway's own addresses and settings.
    Ground,
    /// The record does not have its names whole.
    Cut,
}

impl Aside {
    /// Every one, in their order.
    pub const ALL: [Aside; 6] =
        [Aside::Unread, Aside::Refused, Aside::Failed, Aside::Overridden, Aside::Ground, Aside::Cut];

    /// Its name for programs.
    pub fn code(self) -> &'static str {
        match self {
            Aside::Unread => "never_read",
            Aside::Refused => "refused_by_gateway",
            Aside::Failed => "failed",
            Aside::Overridden => "overridden",
            Aside::Ground => "own_addresses",
            Aside::Cut => "cut",
        }
    }

    /// Why, for people.
    pub fn sentence(self) -> &'static str {
        match self {
            Aside::Unread => "the request was malformed or nobody's, so that there is nothing to decide on",
            Aside::Refused => {
                "the gateway itself refused it (credentials, data class, hello, limit), whatever the policy"
            }
            Aside::Failed => "it was permitted, and the name or the destination failed: nothing was carried",
            Aside::Overridden => "a grant or an exception of an operator allowed it, and no bundle has those",
            Aside::Ground => "it hangs on the gateway's own addresses and floor settings, which no record keeps",
            Aside::Cut => "a name on it was cut or escaped when it was recorded, or the form of the record is another",
        }
    }
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    Aside(Aside),
    Same { was: Was, rule_stays: bool },
    Changed(Box<Change>),
}

pub(super) struct Judge<'s> {
    set: &'s PolicySet,
    maker: Maker<'s>,
    modes: HashMap<Box<str>, Arc<Overrides>>,
}

/// What is decided now.
enum Now {
    Allow(Decision),
    Deny(Decision),
    /// The declared data classes are refused.
    Class,
    Unknown(AttributeSet),
}

impl<'s> Judge<'s> {
    pub(super) fn new(set: &'s PolicySet, workloads: Workloads) -> Judge<'s> {
        Judge { set, maker: Maker::new(set, Ground::Registries, workloads), modes: HashMap::new() }
    }

    /// The first moment after this one at which an answer can change by itself.
    pub(super) fn next_end(&mut self, now: Timestamp, mode: &str) -> Option<Timestamp> {
        let laid = self.laid(mode).next_end(now);
        [self.set.next_expiry(now), laid].into_iter().flatten().min()
    }

    fn laid(&mut self, mode: &str) -> Arc<Overrides> {
        if let Some(laid) = self.modes.get(mode) {
            return Arc::clone(laid);
        }
        if self.modes.len() >= MODES_MAX {
            self.modes.clear();
        }
        let laid = Arc::new(self.set.lay(mode, &[]).0);
        self.modes.insert(mode.into(), Arc::clone(&laid));
        laid
    }

    pub(super) fn judge(&mut self, record: &Recorded<'_>, now: Timestamp, mode: &str) -> Judged {
        let was = match set_aside(record) {
            Ok(was) => was,
            Err(why) => return Judged::Aside(why),
        };
        let laid = self.laid(mode);
        let (facts, now) = match self.maker.facts(record, now, laid.mode()) {
            Ok(facts) => {
                let now = match self.set.decide_under(&facts, &laid) {
                    Verdict::Allow(decision) => Now::Allow(decision),
                    Verdict::Deny(decision) => Now::Deny(decision),
                    Verdict::Pending(missing) => Now::Unknown(missing),
                };
                (Some(facts), now)
            }
            Err(Lack::ClassRefused(_)) => (None, Now::Class),
            Err(Lack::Unread) => return Judged::Aside(Aside::Unread),
            Err(Lack::Cut) => return Judged::Aside(Aside::Cut),
        };
        if let Some(why) = beyond_the_bundle(record, facts.as_ref(), was, &now) {
            return Judged::Aside(why);
        }
        let changed = |kind, now: String, why: String| {
            Judged::Changed(Box::new(Change {
                kind,
                identity: record.identity.to_owned(),
                then: then(record),
                now,
                why,
            }))
        };
        match (was, now) {
            (Was::Admitted, Now::Allow(decision)) | (Was::Refused, Now::Deny(decision)) => {
                Judged::Same { was, rule_stays: by(&decision) == then(record) }
            }
            (Was::Refused, Now::Class) => Judged::Same { was, rule_stays: false },
            (Was::Admitted, Now::Class) => {
                let code = Reason::DataClassRefused.code();
                changed(Kind::NewlyDenied, code.to_owned(), code.to_owned())
            }
            (Was::Admitted, Now::Deny(decision)) => {
                changed(Kind::NewlyDenied, by(&decision), decision.reason.code().to_owned())
            }
            (Was::Refused, Now::Allow(decision)) => {
                changed(Kind::NewlyAllowed, by(&decision), decision.reason.code().to_owned())
            }
            (_, Now::Unknown(missing)) => {
                let names: Vec<&str> = missing.iter().map(|attribute| attribute.row().name).collect();
                let rule = facts.map_or_else(String::new, |facts| self.hangs_on(&facts, &laid, was));
                changed(Kind::Undecided(was), rule, names.join(" "))
            }
        }
    }

    /// The rule that a verdict hangs on: what was refused on the allow that may hold, what was admitted on the first that is
    /// not settled.
    fn hangs_on(&self, facts: &Facts, laid: &Overrides, was: Was) -> String {
        let trace = self.set.trace_under(facts, laid);
        let denies = ["guardrail", "mode", "team_deny"];
        let mut may_hold = trace
            .rules
            .iter()
            .filter(|rule| rule.enforcement == "enforce" && matches!(rule.outcome, Outcome::Pending | Outcome::Yes));
        let found = match was {
            Was::Refused => may_hold.find(|rule| !denies.contains(&rule.tier)),
            Was::Admitted => may_hold.find(|rule| rule.outcome == Outcome::Pending).or_else(|| may_hold.next()),
        };
        found.map(|rule| rule.rule.path.clone()).unwrap_or_default()
    }
}

/// What became of a decision then, or why it is not decided again.
fn set_aside(record: &Recorded<'_>) -> Result<Was, Aside> {
    match (record.outcome, record.effect) {
        // What is observed is carried although the policy denies it: what the policy said is what counts.
        ("admitted", "deny") => Ok(Was::Refused),
        ("admitted", _) => Ok(Was::Admitted),
        ("failed", _) => Err(Aside::Failed),
        _ if record.identity.is_empty() || record.host.is_empty() => Err(Aside::Unread),
        _ if OF_POLICY.iter().any(|reason| reason.code() == record.reason) => Ok(Was::Refused),
        _ => Err(Aside::Refused),
    }
}

/// The reasons that a policy has to refuse. Credentials are required where nobody without them is allowed.
const OF_POLICY: [Reason; 7] = [
    Reason::Guardrail,
    Reason::TeamDeny,
    Reason::NoRule,
    Reason::RuleExpired,
    Reason::RuleError,
    Reason::AddressFloor,
    Reason::IdentityRequired,
];

/// Where the answer is not the bundle's to give: operators or the gateway's own addresses decided then.
fn beyond_the_bundle(record: &Recorded<'_>, facts: Option<&Facts>, was: Was, now: &Now) -> Option<Aside> {
    match (was, now) {
        (Was::Admitted, Now::Deny(decision)) => {
            // The exceptions of a bundle's own files have names that people gave them.
            let of_operators = !record.grant.is_empty() || Uuid::try_parse(record.exception).is_ok();
            let opened = decision.reason == Reason::AddressFloor && facts.is_some_and(opened_by_settings);
            match (of_operators, opened) {
                (true, _) => Some(Aside::Overridden),
                (false, true) => Some(Aside::Ground),
                (false, false) => None,
            }
        }
        (Was::Refused, Now::Allow(_) | Now::Unknown(_)) if record.reason == Reason::AddressFloor.code() => {
            // The blocks that a floor has beyond the registries, as the sentence names them.
            let own = ["(the gateway itself)", "(an interface of the gateway)", "(a service of the gateway)"];
            own.iter().any(|block| record.sentence.contains(block)).then_some(Aside::Ground)
        }
        (Was::Admitted, Now::Allow(_) | Now::Class | Now::Unknown(_)) | (Was::Refused, _) => None,
    }
}

/// Whether an address is one that the registries never let open, and so was opened by the gateway's own settings.
fn opened_by_settings(facts: &Facts) -> bool {
    let floor: &Floor = &facts.floor;
    let answers = facts.resolved.iter().flat_map(|resolved| &resolved.answers);
    answers.into_iter().any(|ip| !floor.may_open(floor.classify(*ip, facts.destination.port).class))
}

fn by(decision: &Decision) -> String {
    decision.rule.as_ref().map_or_else(|| decision.reason.code().to_owned(), |rule| rule.path.to_string())
}

fn then(record: &Recorded<'_>) -> String {
    if record.rule.is_empty() { record.reason.to_owned() } else { record.rule.to_owned() }
}
