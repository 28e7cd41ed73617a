//! What never happens: a condition that no allowed connection meets, proved over the whole policy.

use super::hosts::{self, Focus, HostClass, Places};
use super::side::Side;
use super::space::{Asked, space};
use super::walk::{Budget, Exactness, Flow, Point, walk};
use super::witness::Witness;
use crate::decision::{RuleInfo, Verdict};
use crate::expr::{Expr, Reading, Truth};
use std::sync::Arc;

/// Whether a condition is never met by what is allowed.
#[derive(Clone, Debug)]
pub enum Proof {
    /// No connection that is allowed meets it, and all were looked at.
    Holds,
    /// This one is allowed by this rule, and meets it.
    Broken(Box<Witness>, Option<Arc<RuleInfo>>),
    /// This one is allowed, and the condition cannot be evaluated on it, for this reason.
    Errs(Box<Witness>, &'static str),
    /// None was found, but these attributes could not be looked at in full.
    Unproved(Exactness),
}

/// Whether `condition` is never true of an allowed connection. Break-glass grants are left aside.
pub fn never_allow(side: &Side<'_>, condition: &Expr) -> Proof {
    let mut places = Places::default();
    let focus = match condition.host_keys() {
        Some(keys) => {
            places.keys(&keys);
            Focus::On(places)
        }
        None => {
            side.openings().for_each(|rule| places.rule(rule));
            Focus::On(places)
        }
    };
    let (classes, vague) = hosts::classes(&[side], &focus, Some(condition));
    let mut exactness = Exactness::default();
    if !classes.is_empty() {
        exactness.blur(vague);
    }
    let mut budget = Budget::new();
    for class in &classes {
        if let Some(found) = at(side, class, condition, &mut exactness, &mut budget) {
            return found;
        }
        if budget.spent() {
            break;
        }
    }
    exactness.cut_short |= budget.spent();
    if exactness.exact() { Proof::Holds } else { Proof::Unproved(exactness) }
}

fn at(
    side: &Side<'_>,
    class: &HostClass,
    condition: &Expr,
    exactness: &mut Exactness,
    budget: &mut Budget,
) -> Option<Proof> {
    let candidates = [side.candidates(&class.host)];
    if !candidates.iter().any(|candidates| candidates.open()) {
        return None;
    }
    let asked = Asked { condition: Some(condition), ..Asked::default() };
    let space = space(&[side], &candidates, &class.host, asked);
    exactness.blur(space.vague);
    let mut found = None;
    walk(&[side], &class.host, &space, budget, &mut |point| {
        found = look(point, condition);
        match (&found, settled(point, condition)) {
            (Some(_), _) => Flow::Stop,
            (None, true) => Flow::Settled,
            (None, false) => Flow::Deeper,
        }
    });
    found
}

fn look(point: &Point<'_>, condition: &Expr) -> Option<Proof> {
    let facts = point.facts(0)?;
    let meets = condition.eval(facts, Reading::Registered);
    if meets == Truth::No {
        return None;
    }
    let Some(Verdict::Allow(decision)) = point.decide(0) else { return None };
    match meets {
        Truth::Yes => Some(Proof::Broken(Box::new(Witness::of(facts)), decision.rule)),
        Truth::Error(why) => Some(Proof::Errs(Box::new(Witness::of(facts)), why)),
        Truth::No | Truth::Pending(_) => None,
    }
}

/// Whether nothing that becomes known can break it here.
fn settled(point: &Point<'_>, condition: &Expr) -> bool {
    let Some(facts) = point.facts(0) else { return true };
    condition.eval(facts, Reading::Registered) == Truth::No || matches!(point.decide(0), Some(Verdict::Deny(_)) | None)
}
