//! Tests against the policy that they are about: whatever they name must be there, and able to come.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::facts::asked;
use super::{Case, Expected, Invariant, Suite};
use crate::decision::{Reason, RuleInfo};
use crate::diagnostic::{At, Report, did_you_mean};
use crate::document::cases::expect::{RawExpect, RawNearest};
use crate::document::cases::grants::RawGrant;
use crate::document::cases::{RawCase, RawInvariant, RawSuite};
use crate::document::rules::Enforcement;
use crate::overrides::{Kind, NORMAL, Override, Overrides};
use crate::rule::{Rule, Tier};
use crate::set::PolicySet;

/// The tests of a bundle, checked against its policy, with every problem of theirs reported.
pub(crate) fn compile(suites: Vec<(At<String>, RawSuite)>, set: &PolicySet, report: &mut Report<'_>) -> Vec<Suite> {
    if suites.is_empty() {
        return Vec::new();
    }
    let world = World::of(set);
    suites.into_iter().map(|(id, raw)| world.suite(&id, raw, report)).collect()
}

/// What a test can name.
struct World<'s> {
    set: &'s PolicySet,
    paths: BTreeMap<String, Named<'s>>,
    modes: Vec<&'s str>,
}

/// Up to how many errors something is suggested.
const SUGGESTED: usize = 100;

/// What was laid over the policy last: neighbours in a file often share it.
struct Laid {
    mode: Arc<str>,
    grants: Arc<[RawGrant]>,
    overrides: Arc<Overrides>,
}

enum Named<'s> {
    Rule(&'s Rule),
    Exception(&'s Kind),
    Mode,
}

impl<'s> World<'s> {
    fn of(set: &'s PolicySet) -> World<'s> {
        let modes = set.modes();
        let rules = set.all_rules().iter().map(|rule| (rule.info.path.to_string(), Named::Rule(rule)));
        let exceptions = set.exceptions().iter().map(|one| (one.info().path.to_string(), Named::Exception(one.kind())));
        let restricting = modes.iter().filter(|mode| **mode != NORMAL);
        let modes_too = restricting.map(|mode| (format!("mode/{mode}"), Named::Mode));
        World { set, paths: rules.chain(exceptions).chain(modes_too).collect(), modes }
    }

    fn suite(&self, id: &At<String>, raw: RawSuite, report: &mut Report<'_>) -> Suite {
        let RawSuite { now, cases, invariants } = raw;
        let (file, _) = report.line(id.place);
        let invariants = invariants.into_iter().map(|RawInvariant { name, never_allow }| Invariant {
            line: report.line(name.place).1,
            name: name.value,
            never_allow,
        });
        let invariants = invariants.collect();
        let mut laid = None;
        let case = |raw: RawCase| {
            let at = raw.at.unwrap_or(now);
            let line = report.line(raw.name.place).1;
            let mode = self.mode(raw.mode.as_ref(), report)?;
            let overrides = self.overrides(&mode, &raw.grants, &mut laid, report)?;
            let malformed = raw.facts.destination.value.is_err();
            if malformed && raw.expect.reason.as_ref().is_none_or(|at| at.value != Reason::InvalidRequest) {
                let help = "a gateway refuses it before it decides: mend the host, or expect `reason: invalid_request`";
                let why = raw.facts.destination.value.as_ref().err().map_or_else(String::new, ToString::to_string);
                report.error_help(raw.facts.destination.place, why, help);
                return None;
            }
            let asked = asked(raw.facts, (at, mode), self.set, report);
            let expected = self.expected(raw.expect, &raw.grants, report);
            Some(Case { name: raw.name.value, line, asked: asked?, overrides, expected: expected? })
        };
        let cases = cases.into_iter().filter_map(case).collect();
        Suite { file, id: id.value.clone(), now, cases, invariants }
    }

    fn mode(&self, named: Option<&At<String>>, report: &mut Report<'_>) -> Option<Arc<str>> {
        let Some(named) = named else { return Some(NORMAL.into()) };
        if self.modes.contains(&named.value.as_str()) {
            return Some(named.value.as_str().into());
        }
        let help = match did_you_mean(&named.value, self.modes.iter().copied()) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("it has `{}`", self.modes.join("`, `")),
        };
        report.error_help(named.place, format!("the bundle has no mode `{}`", named.value), help);
        None
    }

    /// What is laid over the policy, the same for all cases of a table; `Some(None)`: nothing.
    fn overrides(
        &self,
        mode: &Arc<str>,
        grants: &Arc<[RawGrant]>,
        last: &mut Option<Laid>,
        report: &mut Report<'_>,
    ) -> Option<Option<Arc<Overrides>>> {
        if **mode == *NORMAL && grants.is_empty() {
            return Some(None);
        }
        if let Some(last) = last
            && last.mode == *mode
            && (Arc::ptr_eq(&last.grants, grants) || (last.grants.is_empty() && grants.is_empty()))
        {
            return Some(Some(Arc::clone(&last.overrides)));
        }
        let granted: Option<Vec<Override>> = grants.iter().map(|raw| grant(raw, report)).collect();
        let granted = granted?;
        let (laid, dormant) = self.set.lay(mode, &granted);
        let refused = |raw: &RawGrant| dormant.iter().find(|one| *one.path == *path(raw)).map(|one| one.why.clone());
        let mut taken = true;
        for raw in grants.iter() {
            if let Some(why) = refused(raw) {
                report.error_help(raw.place, why, "a gateway would not take this grant");
                taken = false;
            }
        }
        let laid = Arc::new(laid);
        *last = Some(Laid { mode: Arc::clone(mode), grants: Arc::clone(grants), overrides: Arc::clone(&laid) });
        taken.then_some(Some(laid))
    }

    fn expected(&self, raw: RawExpect, grants: &[RawGrant], report: &mut Report<'_>) -> Option<Expected> {
        let problems = report.error_count();
        let RawExpect { effect, rule, reason, stage, nearest, waits_for, shadow, exception } = raw;
        if let Some(rule) = rule.as_ref().filter(|rule| !grants.iter().any(|raw| path(raw) == rule.value)) {
            self.decides(rule, report);
        }
        if let Some(nearest) = &nearest {
            self.comes_near(nearest, report);
        }
        for rule in shadow.iter().flatten() {
            self.in_shadow(rule, report);
        }
        if let Some(exception) = &exception {
            self.lifts(exception, report);
        }
        let text = |at: At<String>| at.value;
        let texts = |list: Vec<At<String>>| list.into_iter().map(text).collect();
        (report.error_count() == problems).then(|| Expected {
            effect,
            rule: rule.map(text),
            reason: reason.map(|at| at.value),
            stage,
            nearest: nearest.map(|nearest| (nearest.rule.value, nearest.failed.map(texts))),
            waits_for,
            shadow: shadow.map(texts),
            exception: exception.map(text),
        })
    }

    fn decides(&self, path: &At<String>, report: &mut Report<'_>) {
        let problem = match self.named(path, report) {
            Some(Named::Rule(rule)) if rule.enforcement == Enforcement::Shadow => {
                ("is in shadow and never decides", "write it under `shadow`")
            }
            Some(Named::Exception(Kind::Lifts(_))) => {
                ("lifts a guardrail and never decides", "write it as `exception`")
            }
            Some(Named::Rule(_) | Named::Exception(Kind::Permits(_) | Kind::Grant) | Named::Mode) | None => return,
        };
        report.error_help(path.place, format!("`{}` {}", path.value, problem.0), problem.1);
    }

    fn comes_near(&self, nearest: &RawNearest, report: &mut Report<'_>) {
        let rule = match self.named(&nearest.rule, report) {
            Some(Named::Rule(rule)) if rule.tier == Tier::Allow && rule.enforcement == Enforcement::Enforce => rule,
            Some(Named::Rule(_) | Named::Exception(_) | Named::Mode) => {
                let message = format!("`{}` never comes near", nearest.rule.value);
                return report.error_help(nearest.rule.place, message, "only allows that are enforced do");
            }
            None => return,
        };
        let names = crate::explain::names(rule);
        for failed in nearest.failed.iter().flatten().filter(|failed| !names.contains(&failed.value)) {
            let help = match did_you_mean(&failed.value, names.iter().map(String::as_str)) {
                Some(name) => format!("did you mean `{name}`?"),
                None => format!("it has `{}`", names.join("`, `")),
            };
            let message = format!("`{}` has no clause `{}`", nearest.rule.value, failed.value);
            report.error_help(failed.place, message, help);
        }
    }

    fn in_shadow(&self, path: &At<String>, report: &mut Report<'_>) {
        match self.named(path, report) {
            Some(Named::Rule(rule)) if rule.enforcement == Enforcement::Shadow => {}
            Some(Named::Rule(_) | Named::Exception(_) | Named::Mode) => {
                report.error_help(path.place, format!("`{}` is not in shadow", path.value), "write it as `rule`");
            }
            None => {}
        }
    }

    fn lifts(&self, path: &At<String>, report: &mut Report<'_>) {
        match self.named(path, report) {
            Some(Named::Exception(Kind::Lifts(_))) | None => {}
            Some(Named::Rule(_) | Named::Exception(Kind::Permits(_) | Kind::Grant) | Named::Mode) => {
                report.error_help(path.place, format!("`{}` lifts no guardrail", path.value), "write it as `rule`");
            }
        }
    }

    fn named(&self, path: &At<String>, report: &mut Report<'_>) -> Option<&Named<'s>> {
        let found = self.paths.get(&path.value);
        if found.is_none() {
            // Against a hundred thousand rules this takes a while, and nobody reads that many.
            let paths = self.paths.keys().map(String::as_str).filter(|_| report.error_count() < SUGGESTED);
            let help = match did_you_mean(&path.value, paths) {
                Some(name) => format!("did you mean `{name}`?"),
                None => "a path is `<document id>/<rule id>`".to_owned(),
            };
            report.error_help(path.place, format!("the bundle has no rule `{}`", path.value), help);
        }
        found
    }
}

fn path(raw: &RawGrant) -> String {
    format!("grant/{}", raw.id)
}

/// As an operator's request becomes one.
fn grant(raw: &RawGrant, report: &mut Report<'_>) -> Option<Override> {
    let info = RuleInfo {
        path: path(raw).into(),
        owner: "the test".into(),
        purpose: "a grant of this test".into(),
        ticket: None,
        expires: Some(raw.expires),
    };
    match Override::new(Kind::Grant, info, &raw.spec) {
        Ok(granted) => Some(granted),
        Err(faults) => {
            for fault in faults {
                report.error(raw.place, format!("`{}` of the grant: {}", fault.field, fault.detail));
            }
            None
        }
    }
}
