//! Conditions: CEL text to a small, typed, three-valued form.
//!
//! The way of a text: `tokens` bounds it, `parse` is the wall around the CEL crate, `syntax` is what comes out of it,
//! `check` gives it names and types, `compiled` is the result, `eval` and `values` its meaning on facts.

use std::ops::Range;

mod tokens;

mod parse;

mod syntax;

mod check;

mod compare;

mod names;

mod calls;

mod hosts;

mod literals;

mod compiled;

mod keys;

mod claims;

mod eval;

mod values;

mod explain;

mod landmarks;

pub use self::calls::{FUNCTIONS, METHODS};
use self::check::Checked;
pub use self::claims::Word;
use self::compiled::Cond;
use self::values::{Known, Made, Missing, Scope};
use crate::decision::FailedClause;
use crate::facts::Facts;
use crate::schema::{Attribute, AttributeSet};

pub(crate) use self::landmarks::{Landmarks, Marks, Spot};

/// The outcome of a condition. Errors and unknowns are absorbed as CEL absorbs errors: `false && x` is false and
/// `true || x` is true whatever `x` is, in either order; otherwise pending outranks error, because what is not known
/// yet may still make the whole false.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// It holds.
    Yes,
    /// It does not hold.
    No,
    /// It hangs on these attributes, which are not known yet.
    Pending(AttributeSet),
    /// It cannot be evaluated on these facts; the text says why.
    Error(&'static str),
}

/// Which data classes an expression reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Those of the workload registry: every deny, and every allow by default.
    Registered,
    /// Those that the client declared, where it did: an allow with `trust_declared: true`.
    Declared,
}

/// What is wrong with an expression, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExprProblem {
    /// Byte range in the expression's text.
    pub range: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// Why it matters, where that is not obvious.
    pub why: Option<&'static str>,
    /// How to mend it.
    pub help: Option<String>,
}

/// A host key that an expression cannot be true without.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostKey {
    /// Only this host.
    Exact(String),
    /// Only names below this apex, or the apex itself.
    Within(String),
}

/// A compiled condition.
#[derive(Clone, Debug)]
pub struct Expr {
    source: Box<str>,
    /// The operands of the outermost `&&`, with their places in the source.
    conds: Box<[Cond]>,
    ranges: Box<[Range<usize>]>,
    uses: AttributeSet,
}

impl Expr {
    /// Parse, check types and compile; on failure every problem, not only the first.
    ///
    /// A text has at most 4 KiB and 256 names, literals and operators, is nested at most 24 deep, and has macros at one
    /// level. Hostile text is an error, never a crash.
    pub fn parse(text: &str) -> Result<Expr, Vec<ExprProblem>> {
        let Checked { conjuncts, uses } = check::check(text, &parse::parse(text)?)?;
        let (conds, ranges): (Vec<Cond>, Vec<Range<usize>>) = conjuncts.into_iter().unzip();
        Ok(Expr { source: text.into(), conds: conds.into(), ranges: ranges.into(), uses })
    }

    /// Evaluate on these facts.
    ///
    /// What the protocol can never have (the head of a request, inside a tunnel) is absorbed as an error is; where it is
    /// not, the whole is `No`.
    pub fn eval(&self, facts: &Facts, reading: Reading) -> Truth {
        let made = Made::of(facts, self.uses);
        truth(eval::all(&self.conds, &Scope::new(facts, reading, &made)))
    }

    /// The attributes that it looks at.
    pub fn uses(&self) -> AttributeSet {
        self.uses
    }

    /// Hosts outside of which it is false, whatever the other facts are; `None` where it may be true for any host. An
    /// empty list means that it is never true.
    pub fn host_keys(&self) -> Option<Vec<HostKey>> {
        keys::of_all(self.conds.iter())
    }

    /// The words that only the rest of the bundle can give a meaning to, each with the range of its conjunct.
    pub fn words(&self) -> Vec<(Word, Range<usize>)> {
        let mut all = Vec::new();
        for (cond, range) in self.conds.iter().zip(&self.ranges) {
            let mut found = Vec::new();
            claims::words(cond, &mut found);
            all.extend(found.into_iter().map(|word| (word, range.clone())));
        }
        all
    }

    /// What each conjunct cannot do without: an attribute, its one value, and the conjunct's range.
    pub fn demands(&self) -> impl Iterator<Item = (Attribute, String, Range<usize>)> {
        self.conds.iter().zip(&self.ranges).filter_map(|(cond, range)| {
            let (attribute, value) = claims::demand(cond)?;
            Some((attribute, value, range.clone()))
        })
    }

    /// The text as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The operands of the outermost `&&`, in the order they were written; an expression without one is its only
    /// conjunct. The whole is their `&&`.
    pub fn conjuncts(&self) -> impl ExactSizeIterator<Item = Conjunct<'_>> {
        self.conds.iter().zip(&self.ranges).map(|(cond, range)| Conjunct {
            cond,
            text: self.source.get(range.clone()).unwrap_or_default(),
            uses: self.uses,
        })
    }
}

/// One operand of an expression's outermost `&&`.
#[derive(Clone, Copy, Debug)]
pub struct Conjunct<'e> {
    cond: &'e Cond,
    text: &'e str,
    /// Those of the whole expression.
    uses: AttributeSet,
}

impl<'e> Conjunct<'e> {
    /// Its text as it was written.
    pub fn text(&self) -> &'e str {
        self.text
    }

    /// Its own outcome.
    pub fn eval(&self, facts: &Facts, reading: Reading) -> Truth {
        let made = Made::of(facts, self.uses);
        truth(self.cond.eval(&Scope::new(facts, reading, &made)))
    }

    /// What was seen and what was wanted; `None` where it holds.
    pub fn failed(&self, facts: &Facts, reading: Reading) -> Option<FailedClause> {
        let made = Made::of(facts, self.uses);
        let scope = Scope::new(facts, reading, &made);
        (self.cond.eval(&scope) != Ok(true)).then(|| explain::failed(self.cond, self.text, &scope))
    }
}

fn truth(outcome: Known<bool>) -> Truth {
    match outcome {
        Ok(true) => Truth::Yes,
        // What the protocol can never have makes its clause false, in allow and deny alike.
        Ok(false) | Err(Missing::Never) => Truth::No,
        Err(Missing::Pending(attributes)) => Truth::Pending(attributes),
        Err(Missing::Error(why)) => Truth::Error(why),
    }
}

#[cfg(test)]
mod tests;
