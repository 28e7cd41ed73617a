//! Running one test: the verdict as a gateway comes to it, held against what was expected.

use serde::Serialize;

use super::facts::known_at;
use super::{Asked, Case, Expected};
use crate::decision::{Effect, Reason, Shown, Verdict};
use crate::document::cases::expect::Wanted;
use crate::facts::Facts;
use crate::overrides::Overrides;
use crate::schema::{AttributeSet, Stage};
use crate::set::PolicySet;
use crate::trace::{RuleTrace, of_rule};

/// How one test went.
#[derive(Debug)]
pub struct Ran {
    /// What came.
    pub got: Got,
    /// What is not as expected, a line for each field; none if the test passed.
    pub mismatches: Vec<Mismatch>,
    /// What was known when the verdict fell; `None` where a gateway answers before it decides.
    pub facts: Option<Facts>,
}

/// What came of a test's facts, in the words of a decision record.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Got {
    /// `allow`, `deny` or `pending`.
    pub effect: &'static str,
    /// The path of the rule, grant, exception or mode that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The reason code; none while pending.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// The stage at which the verdict fell.
    pub stage: &'static str,
    /// More about the reason: the address on the floor, what is wrong with the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Attributes that a pending verdict waits for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<&'static str>,
    /// The allow that came nearest, and the clauses that failed; where the test asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest: Option<Near>,
    /// Rules in shadow that would have spoken.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shadow: Vec<String>,
    /// The exception without which a guardrail would have denied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exception: Option<String>,
}

/// The allow that came nearest.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Near {
    /// Its path.
    pub rule: String,
    /// The clauses that stood in its way.
    pub failed: Vec<String>,
}

/// One field that is not as expected.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mismatch {
    /// The field of `expect`, such as `nearest.failed`.
    pub field: &'static str,
    /// What the test says.
    pub expected: Shown,
    /// What came.
    pub got: Shown,
}

impl Case {
    /// Decide, and compare.
    pub fn run(&self, set: &PolicySet) -> Ran {
        let (got, facts) = match &self.asked {
            Asked::Refused(reason, detail) => (refused(*reason, detail), None),
            Asked::Facts(facts) => {
                let (verdict, known) = walk(set, facts, self.overrides.as_deref());
                let nearest = self.expected.nearest.is_some().then_some(&known);
                (told(set, verdict, nearest, &known), Some(known))
            }
        };
        Ran { mismatches: self.expected.mismatches(&got), got, facts }
    }

    /// What the rules that this test names, or that decided it, said clause by clause.
    pub fn trace(&self, set: &PolicySet, ran: &Ran) -> Vec<RuleTrace> {
        let Some(facts) = &ran.facts else { return Vec::new() };
        let expected = [&self.expected.rule, &ran.got.rule].into_iter().flatten().map(String::as_str);
        let near = self.expected.nearest.iter().map(|(rule, _)| rule.as_str());
        let mut paths: Vec<&str> = Vec::new();
        let came = ran.got.nearest.iter().map(|near| near.rule.as_str());
        for path in expected.chain(near).chain(came).chain(self.expected.shadow.iter().flatten().map(String::as_str)) {
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
        // A test that names no rule, denied by none: what came nearest is what its author meant.
        let meant = if paths.is_empty() { set.nearest(facts, 1) } else { Vec::new() };
        paths.extend(meant.iter().map(|near| &*near.rule.path));
        paths.into_iter().filter_map(|path| Some(of_rule(set.rule_at(path)?.1, facts))).collect()
    }
}

/// A gateway decides at each stage, and what is final is final: later facts are not waited for.
fn walk(set: &PolicySet, facts: &Facts, overrides: Option<&Overrides>) -> (Verdict, Facts) {
    let decide = |facts: &Facts| match overrides {
        Some(overrides) => set.decide_under(facts, overrides),
        None => set.decide(facts),
    };
    for stage in [Stage::Request, Stage::Resolved, Stage::Tls] {
        let known = known_at(facts, stage);
        match decide(&known) {
            Verdict::Pending(_) => {}
            verdict @ (Verdict::Allow(_) | Verdict::Deny(_)) => return (verdict, known),
        }
    }
    (decide(facts), facts.clone())
}

fn refused(reason: Reason, detail: &str) -> Got {
    Got {
        effect: Effect::Deny.as_str(),
        rule: None,
        reason: Some(reason.code()),
        stage: Stage::Request.as_str(),
        detail: Some(detail.to_owned()),
        waits_for: Vec::new(),
        nearest: None,
        shadow: Vec::new(),
        exception: None,
    }
}

fn told(set: &PolicySet, verdict: Verdict, nearest: Option<&Facts>, facts: &Facts) -> Got {
    match verdict {
        Verdict::Pending(missing) => Got {
            effect: Wanted::Pending.as_str(),
            rule: None,
            reason: None,
            stage: crate::decide::stage(facts).as_str(),
            detail: None,
            waits_for: names(missing),
            nearest: None,
            shadow: Vec::new(),
            exception: None,
        },
        Verdict::Allow(decision) | Verdict::Deny(decision) => {
            let near = nearest.filter(|_| decision.reason.tells_nearest());
            let near = near.and_then(|facts| set.nearest(facts, 1).into_iter().next());
            Got {
                effect: decision.effect.as_str(),
                rule: decision.rule.map(|rule| rule.path.to_string()),
                reason: Some(decision.reason.code()),
                stage: decision.stage.as_str(),
                detail: decision.detail,
                waits_for: Vec::new(),
                nearest: near.map(|near| Near {
                    rule: near.rule.path.to_string(),
                    failed: near.failed.into_iter().map(|failed| failed.clause).collect(),
                }),
                shadow: decision.shadow.iter().map(|shadow| shadow.rule.path.to_string()).collect(),
                exception: decision.exception.map(|exception| exception.path.to_string()),
            }
        }
    }
}

fn names(attributes: AttributeSet) -> Vec<&'static str> {
    attributes.iter().map(|attribute| attribute.row().name).collect()
}

impl Expected {
    fn mismatches(&self, got: &Got) -> Vec<Mismatch> {
        let mut found = Vec::new();
        let mut one = |field, expected: Option<Shown>, got: Shown| {
            if let Some(expected) = expected.filter(|expected| *expected != got) {
                found.push(Mismatch { field, expected, got });
            }
        };
        one("effect", self.effect.map(|effect| text(effect.as_str())), text(got.effect));
        one("rule", self.rule.as_deref().map(text), maybe(got.rule.as_deref()));
        one("reason", self.reason.map(|reason| text(reason.code())), maybe(got.reason));
        one("stage", self.stage.map(|stage| text(stage.as_str())), text(got.stage));
        let waits = self.waits_for.as_deref().map(|list| list.iter().map(|attribute| attribute.row().name));
        one("waits_for", waits.map(set_of), set_of(got.waits_for.iter().copied()));
        let near = got.nearest.as_ref();
        one(
            "nearest.rule",
            self.nearest.as_ref().map(|(rule, _)| text(rule)),
            maybe(near.map(|near| near.rule.as_str())),
        );
        let failed = self.nearest.as_ref().and_then(|(_, failed)| failed.as_ref());
        let came = near.map_or(Shown::Null, |near| set_of(near.failed.iter().map(String::as_str)));
        one("nearest.failed", failed.map(|failed| set_of(failed.iter().map(String::as_str))), came);
        let shadow = self.shadow.as_ref().map(|list| set_of(list.iter().map(String::as_str)));
        one("shadow", shadow, set_of(got.shadow.iter().map(String::as_str)));
        one("exception", self.exception.as_deref().map(text), maybe(got.exception.as_deref()));
        found
    }
}

fn text(value: &str) -> Shown {
    Shown::Text(value.to_owned())
}

fn maybe(value: Option<&str>) -> Shown {
    value.map_or(Shown::Null, text)
}

/// Sorted, each once: these lists have no order.
fn set_of<'v>(values: impl Iterator<Item = &'v str>) -> Shown {
    let mut values: Vec<&str> = values.collect();
    values.sort_unstable();
    values.dedup();
    Shown::List(values.into_iter().map(text).collect())
}
