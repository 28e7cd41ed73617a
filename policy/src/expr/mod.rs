//! The CEL wall: text to a small, typed, three-valued form. The only place that names the CEL crate.

use std::ops::Range;

use crate::facts::Facts;
use crate::schema::AttributeSet;

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
pub struct Expr {}

impl Expr {
    /// Parse, check types and compile; on failure every problem, not only the first.
    pub fn parse(_text: &str) -> Result<Expr, Vec<ExprProblem>> {
        Err(vec![ExprProblem { range: 0..0, message: "`when` is not supported yet".to_owned(), help: None }])
    }

    /// Evaluate on these facts.
    pub fn eval(&self, _facts: &Facts, _reading: Reading) -> Truth {
        Truth::Error("not supported yet")
    }

    /// The attributes that it looks at.
    pub fn uses(&self) -> AttributeSet {
        AttributeSet::EMPTY
    }

    /// Hosts outside of which it cannot be true; `None` where it could be true for any host.
    pub fn host_keys(&self) -> Option<Vec<HostKey>> {
        None
    }
}
