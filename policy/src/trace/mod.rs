//! The whole story of one decision: what each candidate said, clause by clause, and what would have to change.

mod text;

use serde::{Serialize, Serializer};

use crate::budget::Budget;
use crate::decision::{Decision, FailedClause, Nearest, RuleInfo, Shown, Verdict};
use crate::document::rules::Enforcement;
use crate::expr::{Conjunct, Expr, Reading, Truth};
use crate::facts::Facts;
use crate::overrides::Overrides;
use crate::rule::{Clause, End, Judgement, Rule, Tier};
use crate::schema::{Attribute, AttributeSet, Stage};
use crate::set::PolicySet;

/// How many of the nearest rules a trace shows.
const NEAREST: usize = 3;

/// An explanation of one decision. As JSON for machines, as `Display` for people.
#[derive(Clone, Debug, Serialize)]
pub struct Trace {
    /// Who asks.
    pub identity: String,
    /// For what: `host:port`.
    pub destination: String,
    /// `allow`, `deny` or `pending`.
    pub effect: &'static str,
    /// The reason code; absent while pending.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// The latest stage whose facts were known.
    #[serde(serialize_with = "stage_name")]
    pub stage: Stage,
    /// What the verdict waits for, while pending.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<&'static str>,
    /// The rule that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleName>,
    /// The limits that hold, of every rule that allows it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<Budget>,
    /// The address and its block, on `address_floor`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The allow that the floor overrode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overridden: Option<RuleName>,
    /// What rules in shadow would have said.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shadow: Vec<ShadowName>,
    /// Every candidate, by tier and path.
    pub rules: Vec<RuleTrace>,
    /// Candidates beyond the bound on a trace.
    #[serde(skip_serializing_if = "is_zero")]
    pub left_out: usize,
    /// The allows that came nearest, unless one allows it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nearest: Vec<NearestName>,
}

/// What people want to know of a rule.
#[derive(Clone, Debug, Serialize)]
pub struct RuleName {
    /// `<document id>/<rule id>`.
    pub path: String,
    /// Who answers for it.
    pub owner: String,
    /// Why it exists.
    pub purpose: String,
    /// The ticket it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// Its end in RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// A rule in shadow that would have spoken.
#[derive(Clone, Debug, Serialize)]
pub struct ShadowName {
    /// Its path.
    pub rule: String,
    /// `allow` or `deny`.
    pub effect: &'static str,
}

/// A rule that came near.
#[derive(Clone, Debug, Serialize)]
pub struct NearestName {
    /// The rule.
    #[serde(flatten)]
    pub rule: RuleName,
    /// What stood in the way.
    pub failed: Vec<FailedClause>,
}

/// What one candidate said.
#[derive(Clone, Debug, Serialize)]
pub struct RuleTrace {
    /// The rule.
    #[serde(flatten)]
    pub rule: RuleName,
    /// `guardrail`, `mode`, `team_deny`, `allow`, or of what is laid over the policy `grant` or `exception`.
    pub tier: &'static str,
    /// `enforce` or `shadow`.
    pub enforcement: &'static str,
    /// The whole of it, its end included.
    pub outcome: Outcome,
    /// Every clause that it has.
    pub clauses: Vec<ClauseTrace>,
}

/// What one clause said.
#[derive(Clone, Debug, Serialize)]
pub struct ClauseTrace {
    /// The field, such as `destinations.ports`; of `when`, the condition as written.
    pub clause: String,
    /// What it said.
    pub outcome: Outcome,
    /// What it waits for, while pending.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<&'static str>,
    /// Why it could not be evaluated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'static str>,
    /// The value in the facts.
    pub seen: Shown,
    /// What the rule wants.
    pub wanted: Shown,
    /// The stage from which on it can be answered.
    #[serde(serialize_with = "stage_name")]
    pub stage: Stage,
}

/// The outcome of a clause or a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It holds.
    Yes,
    /// It does not.
    No,
    /// It hangs on facts that are not known.
    Pending,
    /// It cannot be evaluated.
    Error,
}

impl From<Truth> for Outcome {
    fn from(truth: Truth) -> Outcome {
        match truth {
            Truth::Yes => Outcome::Yes,
            Truth::No => Outcome::No,
            Truth::Pending(_) => Outcome::Pending,
            Truth::Error(_) => Outcome::Error,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde asks for")]
fn stage_name<S: Serializer>(stage: &Stage, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(stage.as_str())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde asks for")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

pub(crate) fn trace(set: &PolicySet, facts: &Facts, overrides: &Overrides) -> Trace {
    let mut ids = Vec::new();
    set.visit_enforced(facts, |id, _| ids.push(id));
    set.visit_shadow(facts, |id, _| ids.push(id));
    ids.sort_unstable();
    ids.dedup();
    let bound = set.limits().traced_rules;
    let rules = ids.iter().take(bound).filter_map(|id| set.rule(*id)).map(|rule| candidate(rule, tier(rule), facts));
    let empty = Trace {
        identity: facts.identity.id().to_owned(),
        destination: facts.destination.to_string(),
        effect: "pending",
        reason: None,
        stage: crate::decide::stage(facts),
        waits_for: Vec::new(),
        rule: None,
        limits: Vec::new(),
        detail: None,
        overridden: None,
        shadow: Vec::new(),
        rules: laid(overrides, facts).into_iter().chain(rules).collect(),
        left_out: ids.len().saturating_sub(bound),
        nearest: Vec::new(),
    };
    match set.decide_under(facts, overrides) {
        Verdict::Pending(missing) => Trace { waits_for: names(missing), ..empty },
        Verdict::Deny(decision) if decision.reason.tells_nearest() => {
            let nearest = set.nearest(facts, NEAREST).into_iter().map(NearestName::of).collect();
            Trace { nearest, ..empty.decided(decision) }
        }
        Verdict::Allow(decision) | Verdict::Deny(decision) => empty.decided(decision),
    }
}

/// What is laid over the policy: the mode, and the grants and exceptions that are for this identity and host.
fn laid(overrides: &Overrides, facts: &Facts) -> Vec<RuleTrace> {
    let mode = overrides.restriction.iter().map(|mode| RuleTrace {
        rule: RuleName::of(mode.info()),
        tier: "mode",
        enforcement: "enforce",
        outcome: mode.forbids(facts, crate::decide::knowledge(facts)).into(),
        clauses: mode.allow_when().map_or_else(Vec::new, |when| conditions(when, Reading::Registered, facts)),
    });
    let near = |rule: &Rule| {
        let far = |clause| matches!(rule.clause(clause, facts), Some(Truth::No));
        !far(Clause::Identities) && !far(Clause::Hosts)
    };
    let lifts = overrides.lifts.iter().map(|(_, rule)| &**rule);
    let exceptions = overrides.permits.iter().map(|rule| &**rule).chain(lifts).map(|rule| (rule, "exception"));
    let grants = overrides.grants.iter().map(|rule| (&**rule, "grant"));
    let rules = grants.chain(exceptions).filter(|(rule, _)| near(rule));
    mode.chain(rules.map(|(rule, tier)| candidate(rule, tier, facts))).collect()
}

impl Trace {
    fn decided(self, decision: Decision) -> Trace {
        let shadow = decision.shadow.iter();
        Trace {
            effect: decision.effect.as_str(),
            reason: Some(decision.reason.code()),
            rule: decision.rule.as_deref().map(RuleName::of),
            limits: decision.budgets.iter().map(|budget| Budget::clone(budget)).collect(),
            detail: decision.detail,
            overridden: decision.overridden.as_deref().map(RuleName::of),
            shadow: shadow
                .map(|shadow| ShadowName { rule: shadow.rule.path.to_string(), effect: shadow.effect.as_str() })
                .collect(),
            ..self
        }
    }
}

impl RuleName {
    fn of(info: &RuleInfo) -> RuleName {
        RuleName {
            path: info.path.to_string(),
            owner: info.owner.to_string(),
            purpose: info.purpose.to_string(),
            ticket: info.ticket.as_ref().map(ToString::to_string),
            expires: info.expires.map(|end| end.to_string()),
        }
    }
}

impl NearestName {
    fn of(nearest: Nearest) -> NearestName {
        NearestName { rule: RuleName::of(&nearest.rule), failed: nearest.failed }
    }
}

fn names(set: AttributeSet) -> Vec<&'static str> {
    set.iter().map(|attribute| attribute.row().name).collect()
}

fn tier(rule: &Rule) -> &'static str {
    match rule.tier {
        Tier::Guardrail => "guardrail",
        Tier::TeamDeny => "team_deny",
        Tier::Allow => "allow",
    }
}

/// What one rule says, whether or not the index names it.
pub(crate) fn of_rule(rule: &Rule, facts: &Facts) -> RuleTrace {
    candidate(rule, tier(rule), facts)
}

fn candidate(rule: &Rule, tier: &'static str, facts: &Facts) -> RuleTrace {
    let Judgement { truth, end } = rule.judge(facts, crate::decide::knowledge(facts));
    RuleTrace {
        rule: RuleName::of(&rule.info),
        tier,
        enforcement: match rule.enforcement {
            Enforcement::Enforce => "enforce",
            Enforcement::Shadow => "shadow",
        },
        outcome: match end {
            End::Ahead => truth.into(),
            End::Past => Outcome::No,
        },
        clauses: Clause::ALL.into_iter().flat_map(|clause| clauses(rule, clause, facts)).collect(),
    }
}

fn clauses(rule: &Rule, clause: Clause, facts: &Facts) -> Vec<ClauseTrace> {
    let Some(truth) = rule.clause(clause, facts) else { return Vec::new() };
    if let (Clause::When, Some(when)) = (clause, &rule.when) {
        return conditions(when, rule.reading(), facts);
    }
    let stage = match clause {
        Clause::Networks => Attribute::DnsAnswers.row().stage,
        Clause::Identities
        | Clause::Hosts
        | Clause::Ports
        | Clause::AtMost
        | Clause::AnyOf
        | Clause::When
        | Clause::Expires => Stage::Request,
    };
    let (seen, wanted) = (crate::explain::seen(rule, clause, facts), crate::explain::wanted(rule, clause));
    vec![traced(clause.name().to_owned(), truth, (seen, wanted), stage)]
}

/// Part by part, what a condition said.
fn conditions(when: &Expr, reading: Reading, facts: &Facts) -> Vec<ClauseTrace> {
    let stage = when.uses().last_stage().unwrap_or(Stage::Request);
    let said = |part: Conjunct<'_>| {
        let shown = match part.failed(facts, reading) {
            Some(failed) => (failed.seen, failed.wanted),
            None => (Shown::Bool(true), Shown::Bool(true)),
        };
        traced(part.text().to_owned(), part.eval(facts, reading), shown, stage)
    };
    when.conjuncts().map(said).collect()
}

fn traced(clause: String, truth: Truth, (seen, wanted): (Shown, Shown), stage: Stage) -> ClauseTrace {
    ClauseTrace {
        clause,
        outcome: truth.into(),
        waits_for: match truth {
            Truth::Pending(missing) => names(missing),
            Truth::Yes | Truth::No | Truth::Error(_) => Vec::new(),
        },
        error: match truth {
            Truth::Error(why) => Some(why),
            Truth::Yes | Truth::No | Truth::Pending(_) => None,
        },
        seen,
        wanted,
        stage,
    }
}
