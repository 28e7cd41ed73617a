//! The tunnels that are open now, and plain HTTP exchanges under way: listed for operators, and decided again whenever
//! something that their answer hangs on has changed. Only those that are no longer allowed are cut.
//!
//! Each keeps its own facts, and [`judge`] asks the same `decide` about them that admitted it. [`keep`] notices changes
//! and goes through all of them. Whoever enters the list looks once more whether anything has changed since it was
//! decided, so that no change falls between a decision and its place in the list.

mod tunnel;

mod judge;

mod credentials;

mod registry;

mod redecide;

mod keep;

pub mod preview;

mod candidate;

use arc_swap::ArcSwap;
pub use candidate::{Candidate, told};
use gatepass_policy::address::Floor;
pub use keep::keep;
pub use preview::WouldCut;
pub use redecide::Pass;
pub use registry::{Listed, Live};
pub use tunnel::{Cut, Grounds};

use crate::budget::Budgets;
use crate::clock::Clock;
use crate::identity::Registry;
use crate::policy_store::PolicyStore;
use crate::shared::Shared;

/// Where everything is found that an answer hangs on and that can change.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// The policy and what lies over it.
    pub policy: &'a PolicyStore,
    /// The gateway's own addresses.
    pub floor: &'a ArcSwap<Floor>,
    /// Who is who.
    pub identity: &'a Registry,
    /// What the limits of rules have let who have.
    pub budgets: &'a Budgets,
    /// Wall-clock time.
    pub clock: &'a Clock,
}

impl<'a> From<&'a Shared> for Sources<'a> {
    fn from(shared: &'a Shared) -> Sources<'a> {
        Sources {
            policy: &shared.policy,
            floor: &shared.floor,
            identity: &shared.identity,
            budgets: &shared.budgets,
            clock: &shared.clock,
        }
    }
}

#[cfg(test)]
mod tests;
