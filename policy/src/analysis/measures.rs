//! Numbers about a policy that the field asks for, per owner: how many rules, how wide, keyed on whom, ending when.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::side::Side;
use crate::document::rules::Enforcement;
use crate::expr::Landmarks;
use crate::pattern::{HostPattern, IdentityPattern};
use crate::rule::{Rule, Selector, Tier, Who};

/// What one owner has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Measures {
    /// Rules, those in shadow included.
    pub rules: usize,
    /// Allows that are enforced.
    pub allows: usize,
    /// Denies that are enforced, guardrails included.
    pub denies: usize,
    /// Rules in shadow.
    pub shadow: usize,
    /// Allows with a host pattern `*.x`.
    pub wildcard: usize,
    /// Allows with a host pattern `**.x`.
    pub deep_wildcard: usize,
    /// Allows that name networks.
    pub networks: usize,
    /// Allows keyed on workload identities: certificates, tokens, labels.
    pub by_identity: usize,
    /// Allows keyed on source networks alone.
    pub by_network: usize,
    /// Allows for anyone.
    pub anyone: usize,
    /// Rules that look at something in a way that analysis cannot be exact about, such as a regular expression.
    pub approximate: usize,
    /// Allows that are over.
    pub expired: usize,
    /// Allows that end within thirty days.
    pub expiring: usize,
}

/// Thirty days in seconds.
const SOON: i64 = 30 * 86_400;

/// By owner.
pub fn measures(side: &Side<'_>) -> BTreeMap<Box<str>, Measures> {
    let mut found: BTreeMap<Box<str>, Measures> = BTreeMap::new();
    for (_, rule) in side.set.all() {
        found.entry(rule.info.owner.clone()).or_default().add(rule, side.now);
    }
    found
}

impl Measures {
    /// Those of several owners together.
    pub fn total<'m>(all: impl Iterator<Item = &'m Measures>) -> Measures {
        all.fold(Measures::default(), |sum, one| Measures {
            rules: sum.rules + one.rules,
            allows: sum.allows + one.allows,
            denies: sum.denies + one.denies,
            shadow: sum.shadow + one.shadow,
            wildcard: sum.wildcard + one.wildcard,
            deep_wildcard: sum.deep_wildcard + one.deep_wildcard,
            networks: sum.networks + one.networks,
            by_identity: sum.by_identity + one.by_identity,
            by_network: sum.by_network + one.by_network,
            anyone: sum.anyone + one.anyone,
            approximate: sum.approximate + one.approximate,
            expired: sum.expired + one.expired,
            expiring: sum.expiring + one.expiring,
        })
    }

    fn add(&mut self, rule: &Rule, now: Timestamp) {
        self.rules += 1;
        let mut landmarks = Landmarks::default();
        rule.when.iter().for_each(|when| landmarks.add(when));
        self.approximate += usize::from(!landmarks.vague.is_empty());
        match (rule.enforcement, rule.tier) {
            (Enforcement::Shadow, _) => self.shadow += 1,
            (Enforcement::Enforce, Tier::Guardrail | Tier::TeamDeny) => self.denies += 1,
            (Enforcement::Enforce, Tier::Allow) => self.allow(rule, now),
        }
    }

    fn allow(&mut self, rule: &Rule, now: Timestamp) {
        self.allows += 1;
        let any = |wanted: fn(&HostPattern) -> bool| usize::from(rule.hosts.iter().any(wanted));
        self.wildcard += any(|host| matches!(host, HostPattern::Child(_)));
        self.deep_wildcard += any(HostPattern::is_deep);
        self.networks += usize::from(!rule.networks.is_empty());
        match keyed_on(&rule.who) {
            Keyed::Identity => self.by_identity += 1,
            Keyed::Network => self.by_network += 1,
            Keyed::Anyone => self.anyone += 1,
        }
        if let Some(end) = rule.expires {
            let left = end.as_second().saturating_sub(now.as_second());
            self.expired += usize::from(now >= end);
            self.expiring += usize::from(now < end && left <= SOON);
        }
    }
}

enum Keyed {
    Identity,
    Network,
    Anyone,
}

/// A rule is as weak as the weakest of its entries.
fn keyed_on(who: &Who) -> Keyed {
    let Who::Among(list) = who else { return Keyed::Anyone };
    let of_network = |pattern: &IdentityPattern| pattern.to_string().starts_with("network:");
    let nobody = |pattern: &IdentityPattern| pattern.to_string() == crate::identity::ANONYMOUS;
    let ids = |selector: &Selector| -> Vec<IdentityPattern> {
        selector.id.iter().chain(&selector.spiffe_id).cloned().collect()
    };
    let named: Vec<IdentityPattern> = list.iter().flat_map(ids).collect();
    match (named.iter().any(nobody), named.iter().any(of_network)) {
        (true, _) => Keyed::Anyone,
        (false, true) => Keyed::Network,
        (false, false) => Keyed::Identity,
    }
}
