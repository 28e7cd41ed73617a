//! What operators lay over a policy: break-glass grants, exceptions, and the containment mode.
//!
//! An [`Override`] is written by people and lives in a store; [`Overrides`] are those of one moment, laid over one
//! [`PolicySet`](crate::PolicySet): names of guardrails and fragments are resolved, and what the policy does not take
//! (any more) is left out and told.

mod lay;
mod mode;
mod spec;

use std::sync::Arc;

use jiff::Timestamp;

pub use lay::Dormant;
pub(crate) use lay::{lay, refused};
pub(crate) use mode::ModeRule;
pub use mode::NORMAL;
pub use spec::{Fault, Spec};

use crate::decision::RuleInfo;
use crate::expr::Truth;
use crate::facts::Facts;
use crate::index::RuleId;
use crate::rule::{End, Knowledge, Rule};

/// What an override does where it covers a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Break-glass: allows, and lifts guardrails that list `grant`.
    Grant,
    /// An exception that lifts this guardrail, which lists `exception`.
    Lifts(Box<str>),
    /// An exception that allows inside the scope of this fragment.
    Permits(Box<str>),
}

/// One grant or exception, checked by itself: whether the policy takes it is told when it is laid over one.
#[derive(Clone, Debug)]
pub struct Override {
    kind: Kind,
    rule: Arc<Rule>,
}

impl Override {
    /// Check what it covers. `info.path` is its name in decisions, `info.expires` its end.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with `spec`, each by the field it stands in.
    pub fn new(kind: Kind, info: RuleInfo, spec: &Spec) -> Result<Override, Vec<Fault>> {
        let rule = spec::rule(&kind, info, spec)?;
        Ok(Override { kind, rule: Arc::new(rule) })
    }

    /// One that was checked as a part of a bundle.
    pub(crate) fn compiled(kind: Kind, rule: Rule) -> Override {
        Override { kind, rule: Arc::new(rule) }
    }

    /// What people want to know of it.
    pub fn info(&self) -> &Arc<RuleInfo> {
        &self.rule.info
    }

    /// What it does.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Whether it is for these facts, its end left aside. `false` where that hangs on an address that is not known.
    pub fn covers(&self, facts: &Facts) -> bool {
        self.rule.judge(facts, Knowledge::Partial).truth == Truth::Yes
    }
}

/// The overrides of one moment, laid over one policy.
#[derive(Debug)]
pub struct Overrides {
    pub(crate) mode: Arc<str>,
    pub(crate) restriction: Option<Arc<ModeRule>>,
    /// The first id of an override: those before it are the policy's own rules.
    pub(crate) base: RuleId,
    /// By path.
    pub(crate) grants: Vec<Arc<Rule>>,
    /// By path.
    pub(crate) permits: Vec<Arc<Rule>>,
    /// By guardrail.
    pub(crate) lifts: Vec<(RuleId, Arc<Rule>)>,
    /// Ends, sorted.
    ends: Vec<Timestamp>,
}

impl Overrides {
    /// None: the mode is `normal`, and nothing is granted or excepted.
    pub fn none() -> Overrides {
        Overrides {
            mode: NORMAL.into(),
            restriction: None,
            base: 0,
            grants: Vec::new(),
            permits: Vec::new(),
            lifts: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// The containment mode.
    pub fn mode(&self) -> &Arc<str> {
        &self.mode
    }

    /// How many grants there are, ended ones included.
    pub fn grants(&self) -> usize {
        self.grants.len()
    }

    /// The first end after this moment: then decisions can change although nobody does anything.
    pub fn next_end(&self, after: Timestamp) -> Option<Timestamp> {
        self.ends.get(self.ends.partition_point(|end| *end <= after)).copied()
    }

    /// When the grant or exception of this path ends; `None` where none of that path is laid over the policy.
    pub fn end(&self, path: &str) -> Option<Timestamp> {
        let lifts = self.lifts.iter().map(|(_, rule)| rule);
        let mut all = self.grants.iter().chain(&self.permits).chain(lifts);
        all.find(|rule| *rule.info.path == *path).and_then(|rule| rule.expires)
    }

    /// The smallest grant that is in force for these facts.
    pub(crate) fn granting(&self, facts: &Facts) -> Option<RuleId> {
        let holds = |rule: &Arc<Rule>| in_force(rule, facts);
        (self.base..).zip(&self.grants).find(|(_, rule)| holds(rule)).map(|(id, _)| id)
    }

    /// The exception in force that lifts this guardrail here, the first by path.
    pub(crate) fn lifting(&self, guardrail: RuleId, facts: &Facts) -> Option<&Arc<RuleInfo>> {
        let of = self.lifts.iter().filter(|(id, _)| *id == guardrail).map(|(_, rule)| rule);
        of.filter(|rule| in_force(rule, facts)).map(|rule| &rule.info).min_by(|one, other| one.path.cmp(&other.path))
    }

    /// Exceptions that allow, with the ids by which decisions name them.
    pub(crate) fn permitting(&self) -> impl Iterator<Item = (RuleId, &Rule)> {
        let skipped = RuleId::try_from(self.grants.len()).unwrap_or(RuleId::MAX);
        (self.base.saturating_add(skipped)..).zip(self.permits.iter().map(|rule| &**rule))
    }

    /// Whether this id is a grant's.
    pub(crate) fn grants_by(&self, id: RuleId) -> bool {
        let at = id.checked_sub(self.base).and_then(|at| usize::try_from(at).ok());
        at.is_some_and(|at| at < self.grants.len())
    }

    /// What an id of an override stands for.
    pub(crate) fn info(&self, id: RuleId) -> Option<Arc<RuleInfo>> {
        if id == MODE_ID {
            return self.restriction.as_ref().map(|mode| Arc::clone(mode.info()));
        }
        let at = usize::try_from(id.checked_sub(self.base)?).ok()?;
        self.grants.iter().chain(&self.permits).nth(at).map(|rule| rule.info.clone())
    }
}

/// The id of the containment mode among rules: after all others of its tier.
pub(crate) const MODE_ID: RuleId = RuleId::MAX;

fn in_force(rule: &Rule, facts: &Facts) -> bool {
    let judged = rule.judge(facts, Knowledge::Partial);
    judged.truth == Truth::Yes && judged.end == End::Ahead
}
