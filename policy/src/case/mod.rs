//! Tests of policy: what the documents mean, how they run, what of the policy they exercise.
//!
//! A case is decided as a gateway decides: stage by stage, by the facts that are known at each, up to the first answer
//! that is final. It never reads a clock.

mod check;
mod coverage;
mod facts;
mod invariant;
mod run;

use std::sync::Arc;

use jiff::Timestamp;

pub(crate) use check::compile;
pub use coverage::{ClauseCoverage, Coverage, RuleCoverage};
pub use invariant::{Invariant, prove};
pub use run::{Got, Mismatch, Near, Ran};

use crate::decision::Reason;
use crate::document::cases::expect::Wanted;
use crate::facts::Facts;
use crate::overrides::Overrides;
use crate::schema::{Attribute, Stage};

/// The tests of one file.
#[derive(Debug)]
pub struct Suite {
    /// The file, as the caller named it.
    pub file: String,
    /// Its `metadata.id`.
    pub id: String,
    /// The moment of its tests, where they do not name another.
    pub now: Timestamp,
    /// The tests, in the order of the file; each case of a table is one.
    pub cases: Vec<Case>,
    /// The invariants, in the order of the file.
    pub invariants: Vec<Invariant>,
}

/// One test.
#[derive(Debug)]
pub struct Case {
    /// Its name, the only one of its kind in its file.
    pub name: String,
    /// The line where it stands, from 1.
    pub line: u32,
    asked: Asked,
    /// What is laid over the policy, unless it is nothing.
    overrides: Option<Arc<Overrides>>,
    expected: Expected,
}

/// What the test puts to the policy.
#[derive(Debug)]
enum Asked {
    /// Everything that is known at the last stage.
    Facts(Box<Facts>),
    /// A gateway answers this before it decides.
    Refused(Reason, String),
}

/// What must come, of what the test names.
#[derive(Debug)]
struct Expected {
    effect: Option<Wanted>,
    rule: Option<String>,
    reason: Option<Reason>,
    stage: Option<Stage>,
    nearest: Option<(String, Option<Vec<String>>)>,
    waits_for: Option<Vec<Attribute>>,
    shadow: Option<Vec<String>>,
    exception: Option<String>,
}
