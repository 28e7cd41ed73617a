//! Laying overrides over a policy: which of them it takes.

use std::sync::Arc;

use super::{Kind, NORMAL, Override, Overrides};
use crate::index::RuleId;
use crate::rule::{Rule, Tier};
use crate::set::PolicySet;

/// An override that the policy does not take, and so has no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dormant {
    /// Its path.
    pub path: Box<str>,
    /// Why not.
    pub why: String,
}

/// Lay them over it. A mode that the policy does not have forbids everything: it was set to contain something, and a
/// policy that lost it must not open it.
pub(crate) fn lay(set: &PolicySet, mode: &str, overrides: &[Override]) -> (Overrides, Vec<Dormant>) {
    let mut dormant = Vec::new();
    let restriction = match (mode, set.mode(mode)) {
        (NORMAL, _) => None,
        (_, Some(rule)) => Some(rule),
        (_, None) => {
            let why = format!("the policy has no mode `{mode}`: until it has, everything but grants is denied");
            dormant.push(Dormant { path: format!("mode/{mode}").into(), why });
            Some(set.unknown_mode(mode))
        }
    };
    let mut laid = Overrides {
        mode: mode.into(),
        restriction,
        base: set.first_free(),
        grants: Vec::new(),
        permits: Vec::new(),
        lifts: Vec::new(),
        ends: Vec::new(),
    };
    for one in set.exceptions().iter().chain(overrides) {
        match taken(set, one) {
            Ok(Place::Grant) => laid.grants.push(Arc::clone(&one.rule)),
            Ok(Place::Permit) => laid.permits.push(Arc::clone(&one.rule)),
            Ok(Place::Lift(guardrail)) => laid.lifts.push((guardrail, Arc::clone(&one.rule))),
            Err(why) => dormant.push(Dormant { path: one.rule.info.path.clone(), why }),
        }
    }
    let path = |rule: &Arc<Rule>| rule.info.path.clone();
    laid.grants.sort_by_key(path);
    laid.permits.sort_by_key(path);
    let rules = laid.grants.iter().chain(&laid.permits).chain(laid.lifts.iter().map(|(_, rule)| rule));
    laid.ends = rules.filter_map(|rule| rule.expires).collect();
    laid.ends.sort_unstable();
    (laid, dormant)
}

enum Place {
    Grant,
    Permit,
    Lift(RuleId),
}

/// Where it goes, or why the policy does not take it.
fn taken(set: &PolicySet, one: &Override) -> Result<Place, String> {
    let unknown = one.rule.at_most.as_deref().into_iter().flatten().find(|class| !set.knows_class(class));
    if let Some(class) = unknown {
        return Err(format!("`{class}` is not a data class of the policy"));
    }
    if one.rule.expires.is_none() {
        return Err("it has no end".to_owned());
    }
    match &one.kind {
        Kind::Grant => Ok(Place::Grant),
        Kind::Permits(fragment) => match set.scope(fragment) {
            None => Err(format!("the policy has no fragment `{fragment}`")),
            Some(scope) => scope.takes(&one.rule).map(|()| Place::Permit),
        },
        Kind::Lifts(path) => match set.rule_at(path) {
            Some((id, rule)) if rule.tier == Tier::Guardrail && rule.lifts.exception => Ok(Place::Lift(id)),
            Some((_, rule)) if rule.tier == Tier::Guardrail => {
                Err(format!("the guardrail `{path}` does not list `exception` in `lifted_by`"))
            }
            Some(_) | None => Err(format!("the policy has no guardrail `{path}`")),
        },
    }
}

/// What is wrong with the policy's own exceptions, by path, and how to mend it.
pub(crate) fn refused(set: &PolicySet) -> Vec<(Dormant, &'static str)> {
    let refused = |one: &Override| {
        let help = match one.kind {
            Kind::Lifts(_) => "whoever owns the guardrail lists `exception` in its `lifted_by`, if it may be lifted",
            Kind::Grant | Kind::Permits(_) => "an exception permits no more than the fragment itself may: name less",
        };
        Some((Dormant { path: one.rule.info.path.clone(), why: taken(set, one).err()? }, help))
    };
    set.exceptions().iter().filter_map(refused).collect()
}
