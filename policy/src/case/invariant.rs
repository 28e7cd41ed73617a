//! Invariants: what no decision of the policy may allow, whatever the facts.

use jiff::Timestamp;

use crate::analysis::{Proof, Side, never_allow};
use crate::expr::Expr;
use crate::set::PolicySet;

/// A condition under which nothing may be allowed.
#[derive(Debug)]
pub struct Invariant {
    /// Its name.
    pub name: String,
    /// The line where it stands, from 1.
    pub line: u32,
    /// The condition, checked.
    pub never_allow: Expr,
}

/// Whether the whole policy keeps to it at `now`, with nothing laid over it but its own exceptions. Containment modes only
/// forbid more; break-glass grants are the operators'.
pub fn prove(set: &PolicySet, invariant: &Invariant, now: Timestamp) -> Proof {
    never_allow(&Side::new(set, now), &invariant.never_allow)
}
