//! Rules that allow nothing, rules that others make needless, and rules that allow the same.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::hosts::{self, Focus, HostClass, Places};
use super::side::{Candidates, Side};
use super::space::{Asked, space};
use super::walk::{Budget, Exactness, Flow, Point, walk};
use super::witness::Witness;
use crate::decision::{Reason, Verdict};
use crate::expr::Truth;
use crate::index::RuleId;
use crate::rule::{End, Rule, Tier};

/// Why an allow is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Why {
    /// It is over.
    Expired,
    /// No connection satisfies it.
    Unsatisfiable,
    /// Whatever satisfies it is denied by others, or by the address floor.
    Denied,
    /// Whatever it allows, others allow as well.
    Shadowed,
}

/// An allow that could be deleted without closing anything.
#[derive(Clone, Debug, Serialize)]
pub struct Useless {
    /// Its path.
    pub rule: Box<str>,
    /// Who answers for it.
    pub owner: Box<str>,
    /// Why.
    pub why: Why,
    /// The rules that deny or allow in its place; `floor` for the address floor.
    pub by: BTreeSet<Box<str>>,
}

/// Two allows that hold for one connection.
#[derive(Clone, Debug, Serialize)]
pub struct Overlap {
    /// Their paths, the smaller first.
    pub rules: [Box<str>; 2],
    /// Their owners.
    pub owners: [Box<str>; 2],
    /// The connection.
    pub witness: Witness,
}

/// What somebody who owns rules should look at.
#[derive(Clone, Debug, Default)]
pub struct Review {
    /// By path.
    pub useless: Vec<Useless>,
    /// By paths.
    pub overlaps: Vec<Overlap>,
    /// Overlaps beyond the bound on those that are told.
    pub left_out: usize,
    /// Whether all connections were looked at.
    pub exactness: Exactness,
}

/// How many overlaps are told one by one.
const OVERLAPS_MAX: usize = 1_000;

/// Look at every allow that is enforced.
pub fn review(side: &Side<'_>) -> Review {
    let mut places = Places::default();
    side.openings().for_each(|rule| places.rule(rule));
    let (classes, vague) = hosts::classes(&[side], &Focus::On(places), None);
    let (mut exactness, mut budget) = (Exactness::default(), Budget::new());
    exactness.blur(vague);
    let mut seen = Seen::default();
    for class in &classes {
        let candidates = [side.candidates(&class.host)];
        let [here] = &candidates;
        if !here.open() {
            continue;
        }
        let space = space(&[side], &candidates, &class.host, Asked::default());
        exactness.blur(space.vague);
        seen.host(side, class, here, &space, &mut budget);
        if budget.spent() {
            break;
        }
    }
    exactness.cut_short |= budget.spent();
    seen.told(side, exactness)
}

/// What is known of one allow.
#[derive(Default)]
struct Standing {
    satisfied: bool,
    allows: bool,
    /// It alone allows something.
    needed: bool,
    denied_by: BTreeSet<Box<str>>,
    beside: BTreeSet<Box<str>>,
}

#[derive(Default)]
struct Seen {
    standings: BTreeMap<RuleId, Standing>,
    overlaps: BTreeMap<(RuleId, RuleId), Witness>,
    left_out: usize,
}

impl Seen {
    fn host(
        &mut self,
        side: &Side<'_>,
        class: &HostClass,
        here: &Candidates<'_>,
        space: &super::space::Space,
        budget: &mut Budget,
    ) {
        walk(&[side], &class.host, space, budget, &mut |point| self.look(here, point));
    }

    fn look(&mut self, here: &Candidates<'_>, point: &Point<'_>) -> Flow {
        let Some(facts) = point.facts(0) else { return Flow::Settled };
        let knowledge = crate::decide::knowledge(facts);
        let mut holding: Vec<(RuleId, &Rule)> = Vec::new();
        let mut waits = false;
        let allows = here.rules.iter().filter(|(_, rule)| rule.tier == Tier::Allow);
        for (id, rule) in allows {
            let judged = rule.judge(facts, knowledge);
            match (judged.truth, judged.end) {
                (Truth::Yes, End::Ahead) => holding.push((*id, rule)),
                (Truth::Pending(_), End::Ahead) => waits = true,
                (Truth::Yes | Truth::Pending(_), End::Past) | (Truth::No | Truth::Error(_), _) => {}
            }
        }
        if holding.is_empty() && !waits {
            return Flow::Settled;
        }
        match point.decide(0) {
            Some(Verdict::Pending(_)) => return Flow::Deeper,
            _ if waits => return Flow::Deeper,
            Some(Verdict::Deny(denial)) => {
                let by = match (denial.reason, &denial.rule) {
                    (Reason::AddressFloor, _) => "floor".into(),
                    (_, Some(rule)) => rule.path.clone(),
                    (reason, None) => reason.code().into(),
                };
                for (id, _) in holding {
                    let standing = self.standings.entry(id).or_default();
                    standing.satisfied = true;
                    standing.denied_by.insert(Box::clone(&by));
                }
            }
            Some(Verdict::Allow(_)) => self.allowed(&holding, point),
            None => {}
        }
        Flow::Settled
    }

    fn allowed(&mut self, holding: &[(RuleId, &Rule)], point: &Point<'_>) {
        let Some(facts) = point.facts(0) else { return };
        // A permitting exception beside it makes an allow no less needed: it ends sooner.
        for (id, _) in holding {
            let standing = self.standings.entry(*id).or_default();
            standing.satisfied = true;
            standing.allows = true;
            standing.needed |= holding.len() == 1;
            let others = holding.iter().filter(|(other, _)| other != id).map(|(_, other)| other.info.path.clone());
            if holding.len() > 1 {
                standing.beside.extend(others);
            }
            for (other, _) in holding.iter().filter(|(other, _)| other > id) {
                if self.overlaps.contains_key(&(*id, *other)) {
                    continue;
                }
                if self.overlaps.len() >= OVERLAPS_MAX {
                    self.left_out += 1;
                } else {
                    self.overlaps.insert((*id, *other), Witness::of(facts));
                }
            }
        }
    }

    fn told(self, side: &Side<'_>, exactness: Exactness) -> Review {
        let Seen { mut standings, overlaps, left_out } = self;
        let mut useless = Vec::new();
        for (id, rule) in side.set.enforced().filter(|(_, rule)| rule.tier == Tier::Allow) {
            let standing = standings.remove(&id).unwrap_or_default();
            let why = match (&standing, rule.expires.is_some_and(|end| side.now >= end)) {
                (_, true) => Why::Expired,
                (Standing { needed: true, .. }, false) => continue,
                // Its limits hold wherever it does, and without it they would not.
                (Standing { allows: true, .. }, false) if rule.budget.is_some() => continue,
                (Standing { allows: true, .. }, false) => Why::Shadowed,
                (Standing { satisfied: true, .. }, false) => Why::Denied,
                (_, false) => Why::Unsatisfiable,
            };
            let by = match why {
                Why::Shadowed => standing.beside,
                Why::Denied => standing.denied_by,
                Why::Expired | Why::Unsatisfiable => BTreeSet::new(),
            };
            useless.push(Useless { rule: rule.info.path.clone(), owner: rule.info.owner.clone(), why, by });
        }
        let named = |id: RuleId| side.set.rule(id).map(|rule| (rule.info.path.clone(), rule.info.owner.clone()));
        let overlaps = overlaps.into_iter().filter_map(|((one, other), witness)| {
            let ((a, a_owner), (b, b_owner)) = (named(one)?, named(other)?);
            Some(Overlap { rules: [a, b], owners: [a_owner, b_owner], witness })
        });
        Review { useless, overlaps: overlaps.collect(), left_out, exactness }
    }
}
