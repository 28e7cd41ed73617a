//! The decision: which rule of which tier, and whether what is still unknown could change it.

use std::net::IpAddr;
use std::sync::Arc;

use crate::address::Classified;
use crate::budget::Budget;
use crate::decision::{Decision, Effect, Keeping, Reason, RuleInfo, Shadow, Verdict};
use crate::document::rules::Trust;
use crate::expr::Truth;
use crate::facts::{Facts, Protocol, Tls};
use crate::index::RuleId;
use crate::overrides::{MODE_ID, Overrides};
use crate::rule::{End, Knowledge, Rule, Tier, known_answers};
use crate::schema::{Attribute, AttributeSet, Stage};
use crate::set::PolicySet;

/// The latest stage whose facts are known. Plain HTTP has no TLS, and knows so from the start: its last stage is
/// `resolved`.
pub fn stage(facts: &Facts) -> Stage {
    match (&facts.resolved, &facts.tls, facts.protocol) {
        (_, Some(_), Protocol::Connect | Protocol::Transparent) => match &facts.upstream {
            Some(_) => Stage::Certificate,
            None => Stage::Tls,
        },
        (Some(_), _, _) => Stage::Resolved,
        (None, _, _) => Stage::Request,
    }
}

/// Whether anything can still become known, or would be by a gateway.
pub(crate) fn knowledge(facts: &Facts) -> Knowledge {
    if facts.are_partial() {
        return Knowledge::Partial;
    }
    match (&facts.resolved, &facts.tls) {
        (Some(_), Some(Tls::Absent)) => Knowledge::Complete,
        // A hello may be followed by what the server proves, and both have parts that are known only where a rule asks.
        (Some(_), Some(Tls::Hello(_))) | (None, _) | (_, None) => Knowledge::Partial,
    }
}

/// Decide. The first line that fits; a rule in shadow is in none of them:
///
/// | addresses | a deny | allows that count | verdict |
/// |---|---|---|---|
/// | one can never open | - | - | deny `address_floor` |
/// | one opens by name only | - | none true or pending that names all of them | deny `address_floor` |
/// | - | true or erring | - | deny `guardrail`, `team_deny`, `rule_error` |
/// | - | - | none true or pending | deny `rule_expired`, `rule_error`, `no_rule` |
/// | unknown, or else | pending, or else | pending | pending |
/// | - | - | true | allow |
///
/// The allows that count are those in force, a grant first and permitting exceptions among them; where an address opens by
/// name only, those that name networks, and no grant. A guardrail that is lifted here is no deny; a containment mode is one,
/// which a grant lifts. With complete knowledge, pending is an error. Sets all the way, so the order of files and rules is
/// nowhere in it.
pub(crate) fn decide(set: &PolicySet, facts: &Facts, overrides: &Overrides) -> Verdict {
    let ground = ground(facts);
    let tally = Tally::of(set, facts, overrides);
    let standing = match ground {
        Ground::Unknown | Ground::Open => &tally.allows,
        Ground::ByName(..) | Ground::Closed(..) => &tally.naming,
    };
    let unopened = matches!(ground, Ground::ByName(..)) && tally.naming.holds.is_none();
    let answer = Answer { set, facts, overrides, unopened };
    match ground {
        Ground::Closed(ip, row) => return answer.floor(ip, row, &tally.allows),
        Ground::ByName(ip, row) if standing.is_empty() => return answer.floor(ip, row, &tally.allows),
        Ground::Unknown | Ground::Open | Ground::ByName(..) => {}
    }
    if let Some((tier, id, cause)) = tally.deny {
        return held(answer.deny(reason(tier, cause), Some(id)), tally.allows);
    }
    if standing.is_empty() {
        return match (tally.expired, tally.erred) {
            (Some(id), _) => answer.deny(Reason::RuleExpired, Some(id)),
            (None, Some(id)) => answer.deny(Reason::RuleError, Some(id)),
            (None, None) => answer.deny(Reason::NoRule, None),
        };
    }
    let unknown = match &facts.resolved {
        None => AttributeSet::one(Attribute::DnsAnswers),
        Some(_) => AttributeSet::EMPTY,
    };
    let missing = unknown.union(tally.deny_waits).union(standing.waits);
    match (missing.is_empty(), standing.holds) {
        (false, _) => Verdict::Pending(missing),
        // A grant is told wherever it covers, also where a rule had to open the address.
        (true, Some(id)) => {
            let keeping = standing.keeping.max(tally.allows.keeping);
            answer.allow(tally.grant.unwrap_or(id), keeping, (tally.exception, tally.allows.budgets))
        }
        (true, None) => answer.deny(Reason::RuleError, standing.pending),
    }
}

/// A denial where allows hold or may: should it be carried all the same, while a gateway only observes, what they demand of
/// whom they let through still holds.
fn held(verdict: Verdict, mut allows: Allows) -> Verdict {
    let Verdict::Deny(decision) = verdict else { return verdict };
    allows.budgets.append(&mut allows.awaited);
    Verdict::Deny(Decision { keeping: allows.keeping, budgets: distinct(allows.budgets), ..decision })
}

/// The index may name a rule more than once.
fn distinct(mut budgets: Vec<Arc<Budget>>) -> Vec<Arc<Budget>> {
    budgets.sort_unstable_by(|a, b| a.rule.path.cmp(&b.rule.path));
    budgets.dedup_by(|a, b| Arc::ptr_eq(a, b));
    budgets
}

/// What the floor says of the addresses.
enum Ground {
    Unknown,
    Open,
    /// This one opens only for an allow that names it.
    ByName(IpAddr, Classified),
    Closed(IpAddr, Classified),
}

fn ground(facts: &Facts) -> Ground {
    let Some(answers) = known_answers(facts) else { return Ground::Unknown };
    let mut ground = Ground::Open;
    for ip in answers {
        let row = facts.floor.classify(*ip, facts.destination.port);
        match (row.class.on_floor(), facts.floor.may_open(row.class), &ground) {
            (false, _, _) => {}
            (true, false, _) => return Ground::Closed(*ip, row),
            (true, true, Ground::Open) => ground = Ground::ByName(*ip, row),
            (true, true, Ground::Unknown | Ground::ByName(..) | Ground::Closed(..)) => {}
        }
    }
    ground
}

/// What the candidates said, of each kind the smallest by tier and path.
#[derive(Default)]
struct Tally {
    deny: Option<(Tier, RuleId, Cause)>,
    /// The grant that covers this.
    grant: Option<RuleId>,
    /// The exception without which a guardrail would speak.
    exception: Option<Arc<RuleInfo>>,
    deny_waits: AttributeSet,
    allows: Allows,
    /// Those of `allows` that name networks.
    naming: Allows,
    expired: Option<RuleId>,
    erred: Option<RuleId>,
}

#[derive(Default)]
struct Allows {
    holds: Option<RuleId>,
    pending: Option<RuleId>,
    waits: AttributeSet,
    /// The strictest of those that hold.
    keeping: Keeping,
    /// The limits of those that hold; empty, it has no memory of its own.
    budgets: Vec<Arc<Budget>>,
    /// Those of allows that are pending: what is carried although it is denied is held by them too.
    awaited: Vec<Arc<Budget>>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Cause {
    Holds,
    Errs,
}

fn smallest<T: Ord>(best: &mut Option<T>, found: T) {
    if best.as_ref().is_none_or(|known| found < *known) {
        *best = Some(found);
    }
}

impl Tally {
    fn of(set: &PolicySet, facts: &Facts, overrides: &Overrides) -> Tally {
        let knowledge = knowledge(facts);
        let mut tally = Tally { grant: overrides.granting(facts), ..Tally::default() };
        set.visit_enforced(facts, |id, rule| match rule.tier {
            Tier::Guardrail if rule.lifts.grant && tally.grant.is_some() => {}
            Tier::Guardrail | Tier::TeamDeny => {
                let truth = rule.judge(facts, knowledge).truth;
                match rule.lifts.exception.then(|| overrides.lifting(id, facts)).flatten() {
                    Some(exception) => tally.excepted(exception, truth),
                    None => tally.deny(rule.tier, id, truth),
                }
            }
            Tier::Allow => tally.allow(id, rule, facts, knowledge),
        });
        if let (Some(mode), None) = (&overrides.restriction, tally.grant) {
            tally.deny(Tier::Guardrail, MODE_ID, mode.forbids(facts, knowledge));
        }
        for (id, rule) in overrides.permitting() {
            tally.allow(id, rule, facts, knowledge);
        }
        if let Some(id) = tally.grant {
            // It comes first, and nothing of it is pending.
            tally.allows.holds = Some(id);
            tally.allows.pending = None;
            tally.allows.waits = AttributeSet::EMPTY;
            tally.allows.keeping = tally.allows.keeping.max(Keeping::Synced);
            tally.allows.budgets.clear();
        }
        tally
    }

    /// A guardrail with this to say is lifted by this exception.
    fn excepted(&mut self, exception: &Arc<RuleInfo>, truth: Truth) {
        let first = self.exception.as_ref().is_none_or(|known| exception.path < known.path);
        if truth != Truth::No && first {
            self.exception = Some(Arc::clone(exception));
        }
    }

    fn deny(&mut self, tier: Tier, id: RuleId, truth: Truth) {
        match truth {
            Truth::No => {}
            Truth::Yes => smallest(&mut self.deny, (tier, id, Cause::Holds)),
            Truth::Error(_) => smallest(&mut self.deny, (tier, id, Cause::Errs)),
            Truth::Pending(missing) => self.deny_waits = self.deny_waits.union(missing),
        }
    }

    fn allow(&mut self, id: RuleId, rule: &Rule, facts: &Facts, knowledge: Knowledge) {
        let judged = rule.judge(facts, knowledge);
        match (judged.truth, judged.end) {
            (Truth::No, _) => {}
            (Truth::Error(_), _) => smallest(&mut self.erred, id),
            (Truth::Yes | Truth::Pending(_), End::Past) => smallest(&mut self.expired, id),
            (Truth::Yes | Truth::Pending(_), End::Ahead) => {
                self.allows.add(id, rule, judged.truth);
                if !rule.networks.is_empty() {
                    self.naming.add(id, rule, judged.truth);
                }
            }
        }
    }
}

impl Allows {
    fn add(&mut self, id: RuleId, rule: &Rule, truth: Truth) {
        match truth {
            Truth::Yes => {
                smallest(&mut self.holds, id);
                self.keeping = self.keeping.max(rule.keeping);
                if let Some(budget) = &rule.budget {
                    self.budgets.push(Arc::clone(budget));
                }
            }
            Truth::Pending(missing) => {
                smallest(&mut self.pending, id);
                self.waits = self.waits.union(missing);
                self.awaited.extend(rule.budget.clone());
            }
            Truth::No | Truth::Error(_) => {}
        }
    }

    fn is_empty(&self) -> bool {
        self.holds.is_none() && self.pending.is_none()
    }
}

/// Puts a final answer into words.
struct Answer<'s> {
    set: &'s PolicySet,
    facts: &'s Facts,
    overrides: &'s Overrides,
    unopened: bool,
}

fn reason(tier: Tier, cause: Cause) -> Reason {
    match (tier, cause) {
        (_, Cause::Errs) => Reason::RuleError,
        (Tier::Guardrail, Cause::Holds) => Reason::Guardrail,
        (Tier::TeamDeny | Tier::Allow, Cause::Holds) => Reason::TeamDeny,
    }
}

impl Answer<'_> {
    fn allow(
        &self,
        id: RuleId,
        keeping: Keeping,
        (exception, budgets): (Option<Arc<RuleInfo>>, Vec<Arc<Budget>>),
    ) -> Verdict {
        let budgets = distinct(budgets);
        let declared = self.facts.subject.declared.is_some()
            && self.set.rule(id).is_some_and(|rule| rule.trust == Trust::Declared);
        let reason = match (self.set.rule(id), self.overrides.grants_by(id)) {
            (Some(_), _) => Reason::Allowed,
            (None, true) => Reason::Grant,
            (None, false) => Reason::Permitted,
        };
        let decision = self.decision(Effect::Allow, reason, Some(id));
        Verdict::Allow(Decision { used_declared: declared, keeping, exception, budgets, ..decision })
    }

    fn deny(&self, reason: Reason, id: Option<RuleId>) -> Verdict {
        let rule = id.and_then(|id| self.set.rule(id));
        let liftable = reason == Reason::Guardrail && rule.is_some_and(|rule| rule.lifts.exception);
        Verdict::Deny(Decision { liftable, unopened: self.unopened, ..self.decision(Effect::Deny, reason, id) })
    }

    fn floor(&self, ip: IpAddr, row: Classified, allows: &Allows) -> Verdict {
        let decision = self.decision(Effect::Deny, Reason::AddressFloor, None);
        let detail = Some(format!("{ip} ({})", row.block));
        let overridden = allows.holds.or(allows.pending).and_then(|id| self.info(id));
        Verdict::Deny(Decision { detail, overridden, ..decision })
    }

    #[inline]
    fn decision(&self, effect: Effect, reason: Reason, id: Option<RuleId>) -> Decision {
        Decision {
            effect,
            reason,
            stage: stage(self.facts),
            rule: id.and_then(|id| self.info(id)),
            detail: None,
            overridden: None,
            exception: None,
            liftable: false,
            unopened: false,
            shadow: self.shadow(),
            used_declared: false,
            keeping: Keeping::AsConfigured,
            budgets: Vec::new(),
        }
    }

    fn info(&self, id: RuleId) -> Option<Arc<RuleInfo>> {
        self.set.rule(id).map(|rule| rule.info.clone()).or_else(|| self.overrides.info(id))
    }

    /// The rules in shadow that would have spoken: a deny that holds or errs, an allow that holds.
    fn shadow(&self) -> Vec<Shadow> {
        if !self.set.has_shadow() {
            return Vec::new();
        }
        let mut ids = Vec::new();
        let knowledge = knowledge(self.facts);
        self.set.visit_shadow(self.facts, |id, rule| {
            let judged = rule.judge(self.facts, knowledge);
            match (rule.tier.effect(), judged.truth, judged.end) {
                (Effect::Deny, Truth::Yes | Truth::Error(_), _) | (Effect::Allow, Truth::Yes, End::Ahead) => {
                    ids.push(id);
                }
                (Effect::Deny, Truth::No | Truth::Pending(_), _) => {}
                (Effect::Allow, Truth::Yes | Truth::No | Truth::Pending(_) | Truth::Error(_), _) => {}
            }
        });
        ids.sort_unstable();
        ids.dedup();
        let rules = ids.into_iter().filter_map(|id| self.set.rule(id));
        rules.map(|rule| Shadow { rule: rule.info.clone(), effect: rule.tier.effect() }).collect()
    }
}
