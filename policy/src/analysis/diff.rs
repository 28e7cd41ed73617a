//! What a change opens and closes: every class of connection that one policy allows and the other denies.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::change::{self, Edits};
use super::hosts::{self, HostClass};
use super::side::{Candidates, Side};
use super::space::{Asked, space};
use super::walk::{Budget, Exactness, Flow, Point, walk};
use super::witness::Witness;
use crate::decision::{Decision, Effect, Verdict};

/// Which way an answer turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Turn {
    /// Denied before, allowed now.
    Opened,
    /// Allowed before, denied now.
    Closed,
}

/// What one policy says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Said {
    /// The reason's code.
    pub reason: &'static str,
    /// The path of the rule that decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<Box<str>>,
}

/// One class of connections whose answer turns.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    /// Which way.
    pub turn: Turn,
    /// An id, or a pattern of ids.
    pub who: Box<str>,
    /// A host, a pattern or a network.
    pub to: Box<str>,
    /// The ports.
    pub ports: BTreeSet<u16>,
    /// What was said.
    pub before: Said,
    /// What is said now.
    pub after: Said,
    /// One connection whose answer turns.
    pub witness: Witness,
}

/// Everything that turns.
#[derive(Clone, Debug, Default)]
pub struct Difference {
    /// What was edited, whether or not any answer turns.
    pub edits: Edits,
    /// By turn, identity and destination.
    pub changes: Vec<Change>,
    /// Changes beyond the bound on those that are told.
    pub left_out: usize,
    /// Whether these are all.
    pub exactness: Exactness,
}

/// How many changes are told one by one.
const CHANGES_MAX: usize = 10_000;

/// What turns from `old` to `new`. Where their moments differ, rules that end between them count as edited.
pub fn diff(old: &Side<'_>, new: &Side<'_>) -> Difference {
    let (edits, focus) = change::edits(old, new);
    let sides = [old, new];
    let (classes, vague) = hosts::classes(&sides, &focus, None);
    let mut found = Found::default();
    let mut exactness = Exactness::default();
    let mut budget = Budget::new();
    if !classes.is_empty() {
        exactness.blur(vague);
    }
    for class in &classes {
        let candidates = [old.candidates(&class.host), new.candidates(&class.host)];
        if !candidates.iter().any(Candidates::open) {
            continue;
        }
        let space = space(&sides, &candidates, &class.host, Asked::default());
        exactness.blur(space.vague);
        let stopped = walk(&sides, &class.host, &space, &mut budget, &mut |point| found.look(class, point));
        if stopped == Flow::Stop {
            break;
        }
    }
    exactness.cut_short |= budget.spent();
    Difference { edits, changes: found.changes.into_values().collect(), left_out: found.left_out, exactness }
}

type Key = (Turn, Box<str>, Box<str>, Said, Said);

#[derive(Default)]
struct Found {
    changes: BTreeMap<Key, Change>,
    left_out: usize,
}

impl Found {
    fn look(&mut self, class: &HostClass, point: &Point<'_>) -> Flow {
        let before = Answer::of(point.decide(0));
        // Without a verdict on the first side, the second cannot settle it either; but both must be asked where one can.
        let after = Answer::of(point.decide(1));
        match (before, after) {
            (Answer::Open, _) | (_, Answer::Open) => Flow::Deeper,
            (Answer::Final(Effect::Deny, before), Answer::Final(Effect::Allow, after)) => {
                self.add(Turn::Opened, class, point, (before, after), 1);
                Flow::Settled
            }
            (Answer::Final(Effect::Allow, before), Answer::Final(Effect::Deny, after)) => {
                self.add(Turn::Closed, class, point, (before, after), 0);
                Flow::Settled
            }
            (Answer::Final(Effect::Allow, _), Answer::Final(Effect::Allow, _))
            | (Answer::Final(Effect::Deny, _), Answer::Final(Effect::Deny, _)) => Flow::Settled,
        }
    }

    fn add(&mut self, turn: Turn, class: &HostClass, point: &Point<'_>, (before, after): (Said, Said), side: usize) {
        let Some(facts) = point.facts(side) else { return };
        let port = facts.destination.port;
        let key = (turn, point.who.label.clone(), class.label.clone(), before.clone(), after.clone());
        if let Some(known) = self.changes.get_mut(&key) {
            known.ports.insert(port);
        } else if self.changes.len() >= CHANGES_MAX {
            self.left_out += 1;
        } else {
            let (who, to, ports) = (point.who.label.clone(), class.label.clone(), BTreeSet::from([port]));
            let witness = Witness::of(facts);
            self.changes.insert(key, Change { turn, who, to, ports, before, after, witness });
        }
    }
}

enum Answer {
    Open,
    Final(Effect, Said),
}

impl Answer {
    fn of(verdict: Option<Verdict>) -> Answer {
        match verdict {
            Some(Verdict::Pending(_)) => Answer::Open,
            Some(Verdict::Allow(decision)) => Answer::Final(Effect::Allow, said(&decision)),
            Some(Verdict::Deny(decision)) => Answer::Final(Effect::Deny, said(&decision)),
            None => {
                let reason = crate::decision::Reason::DataClassRefused.code();
                Answer::Final(Effect::Deny, Said { reason, rule: None })
            }
        }
    }
}

fn said(decision: &Decision) -> Said {
    Said { reason: decision.reason.code(), rule: decision.rule.as_ref().map(|rule| rule.path.clone()) }
}
