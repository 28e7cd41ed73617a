//! Which allows came nearest, and what stood in the way.

use crate::decision::Nearest;
use crate::document::rules::Enforcement;
use crate::expr::Truth;
use crate::facts::Facts;
use crate::index::{Map, RuleId};
use crate::rule::{Clause, Rule, Tier};
use crate::set::PolicySet;

/// Enforced allows by what somebody who was denied may have meant.
#[derive(Debug, Default)]
pub(crate) struct Neighbours {
    /// By the last two labels of their hosts.
    domains: Map<Box<str>, Vec<RuleId>>,
    /// By exact identity.
    identities: Map<Box<str>, Vec<RuleId>>,
}

impl Neighbours {
    pub(crate) fn build(rules: &[Rule]) -> Neighbours {
        let mut neighbours = Neighbours::default();
        for (id, rule) in (0..).zip(rules) {
            if rule.tier != Tier::Allow || rule.enforcement != Enforcement::Enforce {
                continue;
            }
            for host in &rule.hosts {
                let domain = neighbours.domains.entry(domain(host.base()).into()).or_default();
                if domain.last() != Some(&id) {
                    domain.push(id);
                }
            }
            for identity in rule.exact_ids().unwrap_or_default() {
                neighbours.identities.entry(identity.into()).or_default().push(id);
            }
        }
        neighbours
    }
}

/// The last two labels. No public suffix list: a neighbourhood that is too wide costs a few comparisons, no more.
fn domain(name: &str) -> &str {
    let mut dots = name.rmatch_indices('.').map(|(at, _)| at);
    match dots.nth(1) {
        Some(at) => name.get(at + 1..).unwrap_or(name),
        None => name,
    }
}

pub(crate) fn nearest(set: &PolicySet, facts: &Facts, limit: usize) -> Vec<Nearest> {
    let mut ranked: Vec<(Rank, RuleId)> = considered(set, facts)
        .into_iter()
        .filter_map(|id| Some((rank(set.rule(id)?, facts), id)))
        .filter(|(rank, _)| rank.failed > 0)
        .collect();
    ranked.sort_unstable();
    let rules = ranked.into_iter().take(limit).filter_map(|(_, id)| set.rule(id));
    rules.map(|rule| Nearest { rule: rule.info.clone(), failed: crate::explain::failed(rule, facts) }).collect()
}

/// The smaller is the nearer: the destination first, then the most clauses satisfied. A clause that a rule does not have
/// is satisfied, and one that waits for facts may still be.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    other_destination: bool,
    failed: usize,
}

fn rank(rule: &Rule, facts: &Facts) -> Rank {
    let stands_in_the_way = |clause: &Clause| matches!(rule.clause(*clause, facts), Some(Truth::No | Truth::Error(_)));
    Rank {
        other_destination: [Clause::Hosts, Clause::Networks].iter().any(stands_in_the_way),
        failed: crate::explain::failures(rule, facts),
    }
}

/// Rules worth a look, as many as the bound allows: candidates first, then half of what is left for the identity's own,
/// then neighbours of the host.
fn considered(set: &PolicySet, facts: &Facts) -> Vec<RuleId> {
    let bound = set.limits().nearest_considered;
    let mut found = Vec::new();
    set.visit_enforced(facts, |id, rule| {
        if rule.tier == Tier::Allow && found.len() < bound {
            found.push(id);
        }
    });
    let neighbours = set.neighbours();
    let own = neighbours.identities.get(facts.identity.id());
    let own = own.into_iter().flatten().take((bound - found.len()) / 2);
    found.extend(own);
    let host = facts.destination.host.name().and_then(|name| neighbours.domains.get(domain(name)));
    let left = bound - found.len();
    found.extend(host.into_iter().flatten().take(left));
    found.sort_unstable();
    found.dedup();
    found
}
