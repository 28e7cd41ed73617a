//! Which rules the tests exercise, and which clauses of each they have seen in both senses.
//!
//! A condition joined by `&&` is exercised as the aviation people do it (modified condition/decision coverage): each
//! clause must be seen to hold, and to be the only one that does not. So a test counts for a rule only if at most one
//! of its clauses fails; what is not known yet does not fail, and is not seen to hold.

use crate::expr::Truth;
use crate::facts::Facts;
use crate::rule::{Clause, Rule};
use crate::set::PolicySet;

/// What tests have seen of every rule of one policy.
#[derive(Clone, Debug)]
pub struct Coverage {
    rules: Vec<Seen>,
}

#[derive(Clone, Debug, Default)]
struct Seen {
    held: bool,
    exercised: bool,
    clauses: Vec<Senses>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Senses {
    held: bool,
    failed_alone: bool,
}

/// What tests have seen of one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleCoverage {
    /// Its path.
    pub rule: String,
    /// Who answers for it.
    pub owner: String,
    /// Whether the whole of it held in some test.
    pub held: bool,
    /// Whether it held in some test, or a clause other than its destination alone stood in its way.
    pub exercised: bool,
    /// Every clause that it has.
    pub clauses: Vec<ClauseCoverage>,
}

/// What tests have seen of one clause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClauseCoverage {
    /// The field, such as `destinations.ports`; of `when`, the condition as written.
    pub clause: String,
    /// Whether it held while at most one other clause failed.
    pub held: bool,
    /// Whether it failed while no other clause did.
    pub failed_alone: bool,
}

impl RuleCoverage {
    /// How many senses of its clauses were seen, and how many there are. A rule without clauses has one: that it holds.
    pub fn senses(&self) -> (usize, usize) {
        if self.clauses.is_empty() {
            return (usize::from(self.held), 1);
        }
        let seen = self.clauses.iter().map(|clause| usize::from(clause.held) + usize::from(clause.failed_alone));
        (seen.sum(), self.clauses.len() * 2)
    }
}

impl Coverage {
    /// Nothing seen yet of this policy.
    pub fn new(set: &PolicySet) -> Coverage {
        let seen = |rule: &Rule| Seen { clauses: vec![Senses::default(); clauses(rule).len()], ..Seen::default() };
        Coverage { rules: set.all_rules().iter().map(seen).collect() }
    }

    /// A test was decided on these facts.
    pub fn note(&mut self, set: &PolicySet, facts: &Facts) {
        for (seen, rule) in self.rules.iter_mut().zip(set.all_rules()) {
            seen.note(rule, facts);
        }
    }

    /// What another run over the same policy has seen, too.
    pub fn add(&mut self, other: &Coverage) {
        for (seen, more) in self.rules.iter_mut().zip(&other.rules) {
            seen.held |= more.held;
            seen.exercised |= more.exercised;
            for (senses, more) in seen.clauses.iter_mut().zip(&more.clauses) {
                senses.held |= more.held;
                senses.failed_alone |= more.failed_alone;
            }
        }
    }

    /// Rule by rule, by tier and path; those in shadow too.
    pub fn rules(&self, set: &PolicySet) -> Vec<RuleCoverage> {
        let told = |(seen, rule): (&Seen, &Rule)| RuleCoverage {
            rule: rule.info.path.to_string(),
            owner: rule.info.owner.to_string(),
            held: seen.held,
            exercised: seen.exercised,
            clauses: clauses(rule)
                .into_iter()
                .zip(&seen.clauses)
                .map(|((_, clause), senses)| ClauseCoverage {
                    clause,
                    held: senses.held,
                    failed_alone: senses.failed_alone,
                })
                .collect(),
        };
        self.rules.iter().zip(set.all_rules()).map(told).collect()
    }
}

impl Seen {
    fn note(&mut self, rule: &Rule, facts: &Facts) {
        let Some(said) = outcomes(rule, facts) else { return };
        for ((_, truth), senses) in said.iter().zip(&mut self.clauses) {
            match truth {
                Truth::Yes => senses.held = true,
                Truth::No | Truth::Error(_) => senses.failed_alone = true,
                Truth::Pending(_) => {}
            }
        }
        let held = said.iter().all(|(_, truth)| *truth == Truth::Yes);
        // A test that goes elsewhere is hardly about this rule, although it shows what its hosts are for.
        let missed = said.iter().any(|(clause, truth)| {
            matches!(truth, Truth::No | Truth::Error(_)) && !matches!(clause, Clause::Hosts | Clause::Networks)
        });
        self.held |= held;
        self.exercised |= held || missed;
    }
}

/// What each clause says, unless more than one fails.
fn outcomes(rule: &Rule, facts: &Facts) -> Option<Vec<(Clause, Truth)>> {
    let mut said = Vec::new();
    let mut failed = 0;
    let mut add = |clause, truth: Truth| {
        failed += usize::from(matches!(truth, Truth::No | Truth::Error(_)));
        said.push((clause, truth));
        failed <= 1
    };
    for clause in Clause::ALL {
        let bearable = match (clause, &rule.when) {
            (Clause::When, Some(when)) => when.conjuncts().all(|part| add(clause, part.eval(facts, rule.reading()))),
            (_, Some(_) | None) => rule.clause(clause, facts).is_none_or(|truth| add(clause, truth)),
        };
        if !bearable {
            return None;
        }
    }
    Some(said)
}

/// The clauses of a rule with their names, in the order of their outcomes.
fn clauses(rule: &Rule) -> Vec<(Clause, String)> {
    let mut found: Vec<(Clause, String)> = rule.fields().map(|clause| (clause, clause.name().to_owned())).collect();
    if let Some(when) = &rule.when {
        found.extend(when.conjuncts().map(|part| (Clause::When, part.text().to_owned())));
    }
    found
}
