//! One policy at one moment in one mode: one side of a comparison.

use std::sync::Arc;

use jiff::Timestamp;

use crate::decision::Verdict;
use crate::expr::{Expr, Landmarks};
use crate::facts::Facts;
use crate::host::Host;
use crate::index::RuleId;
use crate::overrides::{NORMAL, Overrides};
use crate::rule::{Rule, Tier};
use crate::set::PolicySet;

/// A policy as it stands at a moment, in a containment mode, with the exceptions of its own files.
#[derive(Debug)]
pub struct Side<'s> {
    pub(super) set: &'s PolicySet,
    pub(super) overrides: Overrides,
    pub(super) now: Timestamp,
}

/// What can hold for a host.
pub(super) struct Candidates<'c> {
    /// Rules by their ids, once each.
    pub(super) rules: Vec<(RuleId, &'c Rule)>,
    /// Exceptions that permit or lift.
    pub(super) exceptions: Vec<&'c Rule>,
    /// What the mode allows.
    mode: Option<&'c Expr>,
}

impl<'s> Side<'s> {
    /// In the mode `normal`.
    pub fn new(set: &'s PolicySet, now: Timestamp) -> Side<'s> {
        Side::in_mode(set, NORMAL, now)
    }

    /// In another containment mode; one that the policy does not have denies everything.
    pub fn in_mode(set: &'s PolicySet, mode: &str, now: Timestamp) -> Side<'s> {
        Side { set, overrides: set.lay(mode, &[]).0, now }
    }

    pub(super) fn decide(&self, facts: &Facts) -> Verdict {
        self.set.decide_under(facts, &self.overrides)
    }

    pub(super) fn mode(&self) -> Arc<str> {
        Arc::clone(self.overrides.mode())
    }

    pub(super) fn mode_condition(&self) -> Option<&Expr> {
        self.overrides.restriction.as_ref().and_then(|mode| mode.allow_when())
    }

    /// Exceptions that are laid over it: those that permit, then those that lift.
    pub(super) fn exceptions(&self) -> impl Iterator<Item = &Rule> {
        let lifts = self.overrides.lifts.iter().map(|(_, rule)| rule);
        self.overrides.permits.iter().chain(lifts).map(|rule| &**rule)
    }

    /// Allows and permitting exceptions: where none of them can hold, nothing is allowed.
    pub(super) fn openings(&self) -> impl Iterator<Item = &Rule> {
        let allows = self.set.enforced().map(|(_, rule)| rule).filter(|rule| rule.tier == Tier::Allow);
        allows.chain(self.overrides.permits.iter().map(|rule| &**rule))
    }

    /// What can hold for this host.
    pub(super) fn candidates(&self, host: &Host) -> Candidates<'_> {
        let mut rules = self.set.rules_at(host);
        rules.retain(|(_, rule)| names(rule, host));
        let exceptions = self.exceptions().filter(|rule| names(rule, host)).collect();
        Candidates { rules, exceptions, mode: self.mode_condition() }
    }
}

/// Whether what a rule says of hosts leaves this one open.
fn names(rule: &Rule, host: &Host) -> bool {
    rule.hosts.is_empty() || rule.hosts.iter().any(|pattern| pattern.matches(host))
}

impl<'c> Candidates<'c> {
    pub(super) fn all(&self) -> impl Iterator<Item = &'c Rule> {
        self.rules.iter().map(|(_, rule)| *rule).chain(self.exceptions.iter().copied())
    }

    /// Whether anything here can allow.
    pub(super) fn open(&self) -> bool {
        self.all().any(|rule| rule.tier == Tier::Allow)
    }

    /// What their conditions distinguish.
    pub(super) fn mark(&self, landmarks: &mut Landmarks) {
        self.all().filter_map(|rule| rule.when.as_ref()).chain(self.mode).for_each(|when| landmarks.add(when));
    }
}
