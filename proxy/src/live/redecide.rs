//! Going through all open tunnels once: the same decision on each one's own facts.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use gatepass_policy::address::Floor;
use jiff::Timestamp;

use super::credentials::{self, Checks};
use super::judge::{self, Answer, BY_IDENTITY, Ground, Since, Stood};
use super::tunnel::{Cut, Held, Tunnel};
use super::{Live, Sources};
use crate::budget::Budgets;
use crate::evidence::words::Ending;
use crate::identity::Registry;
use crate::policy_store::Snapshot;

/// Everything that an answer hangs on, at one moment.
pub(super) struct Circumstances<'a> {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) floor: Arc<Floor>,
    pub(super) identity: &'a Registry,
    pub(super) budgets: &'a Budgets,
    pub(super) now: Timestamp,
}

impl<'a> Circumstances<'a> {
    pub(super) fn of(sources: Sources<'a>) -> Circumstances<'a> {
        Circumstances {
            snapshot: sources.policy.current(),
            floor: sources.floor.load_full(),
            identity: sources.identity,
            budgets: sources.budgets,
            now: sources.clock.now(),
        }
    }
}

/// What a pass came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pass {
    /// How many were looked at.
    pub seen: usize,
    /// How many were cut.
    pub cut: usize,
}

impl Live {
    /// Decide again on everything that is open, as things are now. Costs a decision for each: not for an event loop.
    pub fn redecide(&self, sources: Sources<'_>) -> Pass {
        // Whoever enters from here on tells the end of its credential anew.
        self.first_end.store(i64::MAX, Ordering::Release);
        let now = Circumstances::of(sources);
        let mut pass = Pass::default();
        let mut checks = Checks::default();
        self.each_part(|tunnels| {
            for tunnel in tunnels {
                let mut held = tunnel.held();
                pass.seen += 1;
                if again(tunnel, &mut held, &now, self.linger, &mut checks) {
                    pass.cut += 1;
                }
                if held.cut.as_ref().is_none_or(|cut| cut.at > Instant::now()) {
                    let own = tunnel.credential_end.map_or(i64::MAX, Timestamp::as_microsecond);
                    self.first_end.fetch_min(own, Ordering::AcqRel);
                }
            }
            // Those who carry bytes come first where there are too few processors.
            std::thread::yield_now();
        });
        pass
    }
}

/// Decide again on one.
pub(super) fn one(tunnel: &Tunnel, now: &Circumstances<'_>, linger: Duration) {
    again(tunnel, &mut tunnel.held(), now, linger, &mut Checks::default());
}

/// Whether this is what cuts it.
fn again(tunnel: &Tunnel, held: &mut Held, now: &Circumstances<'_>, linger: Duration, checks: &mut Checks) -> bool {
    // Decided already under what came after.
    if held.change > now.snapshot.change {
        return false;
    }
    if let Some(ending) = credentials::fault(tunnel, &held.facts, now.identity, now.now, checks) {
        let reason = Some(gatepass_policy::decision::Reason::IdentityInvalid);
        return tunnel.cut(held, Cut { ending, by: BY_IDENTITY.into(), reason, at: Instant::now() });
    }
    match answer(tunnel, held, now) {
        Answer::Stays { rule, reason, budgets } => {
            held.rule = rule;
            held.reason = reason;
            held.change = now.snapshot.change;
            held.generation = now.snapshot.generation;
            tunnel.spare(held);
            tunnel.follow(held, &budgets, now.budgets);
            false
        }
        Answer::Cut { ending, by, reason } => {
            let at = Instant::now() + patience(ending, linger);
            tunnel.cut(held, Cut { ending, by, reason: Some(reason), at })
        }
    }
}

fn answer(tunnel: &Tunnel, held: &mut Held, now: &Circumstances<'_>) -> Answer {
    let Held { facts, rule, reason, change, generation, .. } = held;
    let since = |same: bool| if same { Since::Same } else { Since::Another };
    let stood = Stood { rule: rule.as_ref(), reason: *reason, snapshot: since(*change == now.snapshot.change) };
    let policy = since(*generation == now.snapshot.generation);
    let ground = Ground { snapshot: &now.snapshot, floor: &now.floor };
    judge::judge(facts, tunnel.declared.as_deref(), stood, policy, ground, now.now)
}

/// Only where rules come and go is there time to linger. A grant, a mode and a credential are about who may do what
/// now.
pub(super) fn patience(ending: Ending, linger: Duration) -> Duration {
    match ending {
        Ending::Expired | Ending::PolicyChanged => linger,
        Ending::GrantEnded | Ending::ModeChanged => Duration::ZERO,
        Ending::ClientClosed
        | Ending::UpstreamClosed
        | Ending::Idle
        | Ending::MaxDuration
        | Ending::Drained
        | Ending::Limit
        | Ending::Error => Duration::ZERO,
    }
}
