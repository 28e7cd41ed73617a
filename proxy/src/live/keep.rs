//! Noticing what changes an answer: another policy, grant, exception or mode; other certificates, revocation lists or
//! addresses of our own; and time. The gateway's time never goes back, so a clock that is set back prolongs nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use gatepass_certs::rotate::Loaded;
use gatepass_policy::address::Floor;
use jiff::Timestamp;
use tokio::sync::watch;

use super::Sources;
use crate::listener::Gate;
use crate::shared::Shared;

/// How often is looked at what sends no word of its change: certificates, addresses, and a wall clock that is set.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// A pass is followed by so many times its own duration for others, so that changes without end cannot take a whole
/// processor; but no longer than a look is.
const REST: u32 = 4;

/// Decide again on open tunnels whenever an answer may have changed. Never returns.
pub async fn keep(shared: Arc<Shared>, gates: Vec<Gate>) {
    let mut changes = shared.policy.changes();
    let mut seen = Seen::new(&shared, gates);
    loop {
        // What changes after this look leads to another pass.
        if seen.something_changed(&mut changes, &shared) {
            let rest = over_all(&shared, &mut seen).await;
            tokio::time::sleep(rest).await;
        }
        tokio::select! {
            changed = changes.wait_for(|number| *number != seen.changes) => drop(changed),
            () = shared.live.nudge.notified() => {}
            () = tokio::time::sleep(seen.nap(&shared)) => {}
        }
    }
}

/// One pass, away from the event loop; and how long there is to be none.
async fn over_all(shared: &Arc<Shared>, seen: &mut Seen) -> Duration {
    let started = Instant::now();
    let of_pass = Arc::clone(shared);
    let done = tokio::task::spawn_blocking(move || of_pass.live.redecide(Sources::from(&*of_pass))).await;
    let took = started.elapsed();
    shared.metrics.redecide_duration.record(took.as_secs_f64());
    match done {
        Ok(_) => (took * REST).min(LOOK_EVERY),
        Err(_) => {
            // A fault of the pass itself leaves nothing known: there is another one.
            seen.changes = u64::MAX;
            LOOK_EVERY
        }
    }
}

/// What the last pass knew.
struct Seen {
    gates: Vec<Gate>,
    changes: u64,
    floor: Arc<Floor>,
    certificates: Vec<Arc<Loaded>>,
    /// When the last look was.
    time: Timestamp,
}

impl Seen {
    fn new(shared: &Shared, gates: Vec<Gate>) -> Seen {
        Seen {
            certificates: certificates(&gates),
            gates,
            changes: 0,
            floor: shared.floor.load_full(),
            time: shared.clock.now(),
        }
    }

    /// Look at everything; what is found counts as seen.
    fn something_changed(&mut self, changes: &mut watch::Receiver<u64>, shared: &Shared) -> bool {
        let number = *changes.borrow_and_update();
        let policy = std::mem::replace(&mut self.changes, number) != number;
        let floor = shared.floor.load_full();
        let moved = !Arc::ptr_eq(&std::mem::replace(&mut self.floor, Arc::clone(&floor)), &floor);
        let now = certificates(&self.gates);
        let renewed = now.iter().zip(&self.certificates).any(|(now, seen)| !Arc::ptr_eq(now, seen));
        self.certificates = now;
        self.time_is_up(shared) || policy || moved || renewed
    }

    fn time_is_up(&mut self, shared: &Shared) -> bool {
        let now = shared.clock.now();
        let ended = shared.policy.current().next_end(self.time).is_some_and(|end| end <= now);
        let credential = shared.live.first_end.load(Ordering::Acquire) <= now.as_microsecond();
        self.time = now;
        ended || credential
    }

    /// How long nothing can happen that sends no word.
    fn nap(&self, shared: &Shared) -> Duration {
        let by_rules = shared.policy.current().next_end(self.time);
        let by_credentials = Timestamp::from_microsecond(shared.live.first_end.load(Ordering::Acquire)).ok();
        let Some(end) = [by_rules, by_credentials].into_iter().flatten().min() else { return LOOK_EVERY };
        Duration::try_from(end.duration_since(shared.clock.now())).unwrap_or_default().min(LOOK_EVERY)
    }
}

fn certificates(gates: &[Gate]) -> Vec<Arc<Loaded>> {
    gates.iter().filter_map(|gate| gate.tls.as_ref()).map(|tls| tls.current()).collect()
}
