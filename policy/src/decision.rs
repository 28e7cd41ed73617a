//! What a decision is: effect, rule, reason, stage, and on a denial what came nearest.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use crate::budget::Budget;
use crate::schema::{AttributeSet, Stage};

/// What the policy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// It may go.
    Allow,
    /// It may not.
    Deny,
}

impl Effect {
    /// The spelling in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Effect::Allow => "allow",
            Effect::Deny => "deny",
        }
    }
}

macro_rules! reasons {
    ($($variant:ident $code:literal $sentence:literal;)*) => {
        /// Why. A closed list: records, metrics and clients rely on the codes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason { $(#[doc = $sentence] $variant,)* }

        impl Reason {
            /// Every reason, in the order of the documentation.
            pub const ALL: &[Reason] = &[$(Reason::$variant,)*];

            /// The code in records and metric labels.
            pub fn code(self) -> &'static str {
                match self { $(Reason::$variant => $code,)* }
            }

            /// A short sentence that holds for every occurrence: ASCII, no details of the request.
            pub fn sentence(self) -> &'static str {
                match self { $(Reason::$variant => $sentence,)* }
            }
        }
    };
}

reasons! {
    Allowed "allowed" "a rule allows it";
    Grant "grant" "a break-glass grant allows it";
    Permitted "permitted" "an approved exception allows it";
    Guardrail "guardrail" "a guardrail forbids it";
    TeamDeny "team_deny" "a team's rule forbids it";
    NoRule "no_rule" "no rule allows it";
    RuleExpired "rule_expired" "the rule that allowed it has expired";
    RuleError "rule_error" "a rule could not be evaluated";
    AddressFloor "address_floor" "the address is one that must not be reached";
    InvalidRequest "invalid_request" "the request is malformed";
    IdentityRequired "identity_required" "credentials are required";
    IdentityInvalid "identity_invalid" "the credentials are not valid";
    DataClassRefused "data_class_refused" "the declared data class is not this workload's to declare";
    HelloInvalid "hello_invalid" "the TLS ClientHello is malformed";
    HelloTimeout "hello_timeout" "no TLS ClientHello came in time";
    DnsNxdomain "dns_nxdomain" "the name does not exist";
    DnsFailed "dns_failed" "the name could not be resolved";
    DnsTimeout "dns_timeout" "the name was not resolved in time";
    DialFailed "dial_failed" "the destination could not be reached";
    DialTimeout "dial_timeout" "the destination did not answer in time";
    Limit "limit" "a limit is reached";
    EvidenceUnavailable "evidence_unavailable" "the decision could not be recorded";
    PolicyStale "policy_stale" "the policy is too old";
    Draining "draining" "the gateway is shutting down";
}

impl Reason {
    /// Whether a denial for this reason tells of near misses. Where a deny or the floor stands in the way, no other
    /// allow would help.
    pub fn tells_nearest(self) -> bool {
        matches!(self, Reason::NoRule | Reason::RuleExpired)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// What people want to know of a rule wherever it is reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleInfo {
    /// `<document id>/<rule id>`.
    pub path: Box<str>,
    /// Who answers for it.
    pub owner: Box<str>,
    /// Why it exists.
    pub purpose: Box<str>,
    /// The ticket it came from.
    pub ticket: Option<Box<str>>,
    /// Its end; `None` on a deny.
    pub expires: Option<Timestamp>,
}

/// How broadly an allow names hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breadth {
    /// Each by its name, or by a network.
    Named,
    /// By a pattern, or not at all.
    Wildcard,
}

/// What a shadow rule would have done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shadow {
    /// The rule.
    pub rule: Arc<RuleInfo>,
    /// What it would have said, had it been enforced.
    pub effect: Effect,
}

/// The answer to one set of facts.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// It may go; nothing that could change that is still unknown.
    Allow(Decision),
    /// It may not; nothing still unknown could change that.
    Deny(Decision),
    /// It hangs on facts that are not known yet.
    Pending(AttributeSet),
}

/// A final answer.
#[derive(Clone, Debug)]
pub struct Decision {
    /// Allow or deny.
    pub effect: Effect,
    /// Why.
    pub reason: Reason,
    /// The latest stage whose facts were known.
    pub stage: Stage,
    /// The rule that decided, the smallest by tier and path where several did.
    pub rule: Option<Arc<RuleInfo>>,
    /// On `address_floor`: the address and its block, such as `169.254.169.254 (cloud metadata)`.
    pub detail: Option<String>,
    /// On `address_floor`: the allow that the floor overrode.
    pub overridden: Option<Arc<RuleInfo>>,
    /// On an allow: the exception without which a guardrail would have denied it.
    pub exception: Option<Arc<RuleInfo>>,
    /// Whether the guardrail that denies takes exceptions.
    pub liftable: bool,
    /// On a denial: an address opens by name only, and no allow that names it is true. Not even where denials are only
    /// recorded may this be carried.
    pub unopened: bool,
    /// What rules in shadow would have said, were it theirs to say.
    pub shadow: Vec<Shadow>,
    /// Whether an allow that decided read the classes that the client declared.
    pub used_declared: bool,
    /// How durable the record must be before anything is carried: the strictest that an allow which holds demands.
    pub keeping: Keeping,
    /// On an allow: the limits of every rule that holds, by path. All of them hold, each counted under its own rule. A
    /// grant has none, and is held by none: it is for what the rules do not let through.
    pub budgets: Vec<Arc<Budget>>,
}

/// What a grant needs beside its operator's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Factors {
    /// A code of the operator's own authenticator is demanded.
    pub totp: bool,
    /// The approval of a second person is demanded.
    pub approval: bool,
}

impl Factors {
    /// Either of them, the operator's choice.
    pub const EITHER: Factors = Factors { totp: false, approval: false };
    /// A code; an approval in its place does not do.
    pub const TOTP: Factors = Factors { totp: true, approval: false };
    /// An approval; a code in its place does not do.
    pub const APPROVAL: Factors = Factors { totp: false, approval: true };
    /// Both.
    pub const BOTH: Factors = Factors { totp: true, approval: true };

    /// What satisfies both demands.
    #[must_use]
    pub const fn and(self, other: Factors) -> Factors {
        Factors { totp: self.totp || other.totp, approval: self.approval || other.approval }
    }
}

/// How durable the record of a decision must be before anything is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Keeping {
    /// As the gateway is configured.
    #[default]
    AsConfigured,
    /// On the disk: it survives the death of the machine.
    Synced,
}

/// A value as a person or a machine wants to see it in an explanation.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Shown {
    /// Not there.
    Null,
    /// A truth value.
    Bool(bool),
    /// A number.
    Int(i64),
    /// Text.
    Text(String),
    /// Several.
    List(Vec<Shown>),
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shown::Null => f.write_str("null"),
            Shown::Bool(value) => value.fmt(f),
            Shown::Int(value) => value.fmt(f),
            Shown::Text(value) => f.write_str(value),
            Shown::List(values) => {
                f.write_str("[")?;
                for (i, value) in values.iter().enumerate() {
                    if i > 0 {
                        f.write_str(", ")?;
                    }
                    value.fmt(f)?;
                }
                f.write_str("]")
            }
        }
    }
}

/// One clause of a rule that was not satisfied.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FailedClause {
    /// The field, such as `destinations.ports`.
    pub clause: String,
    /// The value in the facts.
    pub seen: Shown,
    /// What the rule wants.
    pub wanted: Shown,
}

impl fmt::Display for FailedClause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if matches!(self.wanted, Shown::List(_)) { "is not in" } else { "is not" };
        write!(f, "{}: {} {verb} {}", self.clause, self.seen, self.wanted)
    }
}

/// An allow that almost matched.
#[derive(Clone, Debug, PartialEq)]
pub struct Nearest {
    /// The rule.
    pub rule: Arc<RuleInfo>,
    /// What stood in the way, in the order of the rule's fields.
    pub failed: Vec<FailedClause>,
}
