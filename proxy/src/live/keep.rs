//! Noticing what changes an answer: another policy, grant, exception or mode; other certificates, revocation lists or
//! addresses of our own; and time, by both clocks.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use gatepass_certs::rotate::Loaded;
use gatepass_policy::address::Floor;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use super::Sources;
use super::redecide::Pass;
use crate::listener::Gate;
use crate::shared::Shared;

/// How often is looked at what sends no word of its change: certificates, addresses, and a wall clock that is set.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// A pass is followed by so many times its own duration for others, so that changes without end cannot take a whole
/// processor; but no longer than a look is.
const REST: u32 = 4;

/// A wall clock that is behind what has passed by more than this was set back; less is adjustment.
const ADJUSTMENT: SignedDuration = SignedDuration::from_millis(500);

/// Decide again on open tunnels whenever an answer may have changed. Never returns.
pub async fn keep(shared: Arc<Shared>, gates: Vec<Gate>) {
    let mut changes = shared.policy.changes();
    let mut seen = Seen::new(&shared, gates);
    loop {
        // What changes after this look leads to another pass.
        if seen.something_changed(&mut changes, &shared) {
            let started = Instant::now();
            let pass = over_all(&shared).await;
            seen.next = pass.next;
            tokio::time::sleep((started.elapsed() * REST).min(LOOK_EVERY)).await;
        }
        tokio::select! {
            changed = changes.wait_for(|number| *number != seen.changes) => drop(changed),
            () = shared.live.nudge.notified() => {}
            () = tokio::time::sleep(seen.nap(&shared)) => {}
        }
    }
}

/// One pass, away from the event loop.
async fn over_all(shared: &Arc<Shared>) -> Pass {
    let started = Instant::now();
    let of_pass = Arc::clone(shared);
    let done = tokio::task::spawn_blocking(move || of_pass.live.redecide(Sources::from(&*of_pass))).await;
    shared.metrics.redecide_duration.record(started.elapsed().as_secs_f64());
    // A fault of the pass itself leaves nothing known: there is another one at the next look.
    let pass = done.unwrap_or(Pass { next: Some(Instant::now()), ..Pass::default() });
    if pass.cut > 0 {
        eprintln!("tunnels: {} of {} are no longer allowed, and are cut", pass.cut, pass.seen);
    }
    pass
}

/// What the last pass knew.
struct Seen {
    gates: Vec<Gate>,
    changes: u64,
    floor: Arc<Floor>,
    certificates: Vec<Arc<Loaded>>,
    wall: Timestamp,
    steady: Instant,
    /// When time alone may change an answer, by the clocks of those that were open then.
    next: Option<Instant>,
}

impl Seen {
    fn new(shared: &Shared, gates: Vec<Gate>) -> Seen {
        Seen {
            certificates: certificates(&gates),
            gates,
            changes: 0,
            floor: shared.floor.load_full(),
            wall: shared.clock.now(),
            steady: Instant::now(),
            next: None,
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
        let (wall, steady) = (shared.clock.now(), Instant::now());
        let passed = SignedDuration::try_from(steady - self.steady).unwrap_or(SignedDuration::MAX);
        let expected = self.wall.saturating_add(passed).unwrap_or(Timestamp::MAX);
        let set_back = expected.duration_since(wall) > ADJUSTMENT;
        let ended = shared.policy.current().next_end(self.wall.min(wall)).is_some_and(|end| end <= wall);
        let credential = shared.live.first_end.load(Ordering::Acquire) <= wall.as_microsecond();
        let due = self.next.is_some_and(|next| next <= steady);
        if due {
            self.next = None;
        }
        (self.wall, self.steady) = (wall, steady);
        set_back || ended || credential || due
    }

    /// How long nothing can happen that sends no word.
    fn nap(&self, shared: &Shared) -> Duration {
        let by_rules = shared.policy.current().next_end(self.wall);
        let by_credentials = Timestamp::from_microsecond(shared.live.first_end.load(Ordering::Acquire)).ok();
        let first = [by_rules, by_credentials].into_iter().flatten().min();
        let by_wall = first.map(|end| Duration::try_from(end.duration_since(shared.clock.now())).unwrap_or_default());
        let by_steady = self.next.map(|next| next.saturating_duration_since(Instant::now()));
        [by_wall, by_steady].into_iter().flatten().fold(LOOK_EVERY, Duration::min)
    }
}

fn certificates(gates: &[Gate]) -> Vec<Arc<Loaded>> {
    gates.iter().filter_map(|gate| gate.tls.as_ref()).map(|tls| tls.current()).collect()
}
