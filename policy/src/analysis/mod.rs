//! Who can reach what, what a change opens and closes, and what never happens: answers about all connections, not one.
//!
//! A condition compares attributes with literals, so two values that stand the same way to every literal are the same to
//! it. For each host that rules tell apart (`hosts`), the rules that can hold there are asked what they distinguish
//! (`expr::landmarks`); one value for each class of identity (`who`), port, request, address and ClientHello (`space`) is
//! enough to see every answer; `walk` goes through their combinations in the order in which facts become known, and leaves
//! out what an earlier stage has settled. So answers are exact, with a witness for each, unless something is compared in
//! a way that literals do not tell (a regular expression, arithmetic, two attributes with each other): then they say so.

mod side;

mod hosts;

mod who;

mod space;

mod asks;

mod answers;

mod servers;

mod values;

mod walk;

mod witness;

mod reach;

mod change;

mod diff;

mod invariant;

mod review;

mod measures;

pub use change::Edits;
pub use diff::{Change, Difference, Said, Turn, diff};
pub use invariant::{Proof, never_allow};
pub use measures::{Measures, measures};
pub use reach::{Reach, Way, reach_from, reach_to};
pub use review::{Overlap, Review, Useless, Why, review};
pub use side::Side;
pub use walk::Exactness;
pub use witness::Witness;
