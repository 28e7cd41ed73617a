//! Whether a sink takes records, told to the operator when it changes and not at every attempt.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::evidence::alarm;

/// From one line to the next of the same kind: a sink that takes every second batch does not fill the log.
const QUIET: Duration = Duration::from_secs(10);

/// The health of one sink, shared by the batches under way to it.
pub(super) struct Health {
    sink: &'static str,
    state: Mutex<State>,
    /// Told of every answer, so that nobody sits out a long pause once the sink is back.
    worked: Notify,
}

/// A batch whose last attempt failed.
pub(super) struct Failing<'h> {
    health: &'h Health,
}

impl Drop for Failing<'_> {
    fn drop(&mut self) {
        let mut state = self.health.lock();
        state.failing = state.failing.saturating_sub(1);
    }
}

#[derive(Default)]
struct State {
    /// Batches whose last attempt failed.
    failing: usize,
    /// Whether the operator was told that it fails, and not yet that it works.
    told: bool,
    quiet_until: Option<Instant>,
    rejections_quiet_until: Option<Instant>,
    /// Rejected records that were not told of.
    untold: u64,
}

impl Health {
    pub fn new(sink: &'static str) -> Health {
        Health { sink, state: Mutex::default(), worked: Notify::new() }
    }

    /// An attempt failed. The operator is told where that is news.
    pub fn failed(&self, why: &str) {
        let mut state = self.lock();
        if !state.told && state.quiet_until.is_none_or(|until| Instant::now() >= until) {
            state.told = true;
            alarm(&format!("evidence: {} does not take records, they wait in the spool: {why}", self.sink));
        }
    }

    /// A batch whose last attempt failed, for as long as the answer is held.
    pub fn failing(&self) -> Failing<'_> {
        self.lock().failing += 1;
        Failing { health: self }
    }

    /// The sink answered properly.
    pub fn worked(&self) {
        self.worked.notify_waiters();
    }

    /// It did for a batch whose attempt before had failed.
    pub fn recovered(&self, batch: Failing<'_>) {
        drop(batch);
        let mut state = self.lock();
        if state.failing == 0 && std::mem::take(&mut state.told) {
            state.quiet_until = Some(Instant::now() + QUIET);
            alarm(&format!("evidence: {} takes records again", self.sink));
        }
    }

    /// The sink rejected records for good.
    pub fn rejected(&self, records: u64, first: u64, why: &str) {
        let mut state = self.lock();
        if state.rejections_quiet_until.is_some_and(|until| Instant::now() < until) {
            state.untold += records;
            return;
        }
        state.rejections_quiet_until = Some(Instant::now() + QUIET);
        let before = match std::mem::take(&mut state.untold) {
            0 => String::new(),
            more => format!(" and {more} more before"),
        };
        let what = format!("{records} records from {first} on{before}");
        alarm(&format!("evidence: {} rejected {what}, which are kept in quarantine: {why}", self.sink));
    }

    /// Wait, at most until the sink has taken a batch of somebody else's.
    pub async fn pause(&self, time: Duration) {
        let _ = tokio::time::timeout(time, self.worked.notified()).await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that runs under the lock leaves the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(health: &Health) -> bool {
        health.lock().told
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_told_once_and_its_end_when_no_batch_fails_any_more() {
        let health = Health::new("the collector");
        let (one, other) = (health.failing(), health.failing());
        health.failed("gone");
        assert!(told(&health));
        health.recovered(one);
        assert!(told(&health), "the other batch still waits");
        health.recovered(other);
        assert!(!told(&health));
    }

    #[tokio::test(start_paused = true)]
    async fn a_sink_that_comes_and_goes_is_told_of_at_most_every_ten_seconds() {
        let health = Health::new("the collector");
        health.failed("gone");
        health.recovered(health.failing());
        health.failed("gone again");
        assert!(!told(&health));
        tokio::time::advance(QUIET).await;
        health.failed("still gone");
        assert!(told(&health));
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_that_was_given_up_does_not_count_as_failing_for_ever() {
        let health = Health::new("the collector");
        health.failed("gone");
        drop(health.failing());
        health.recovered(health.failing());
        assert!(!told(&health));
    }

    #[tokio::test(start_paused = true)]
    async fn rejections_that_are_not_told_are_counted_for_the_next_line() {
        let health = Health::new("the collector");
        health.rejected(1, 1, "bad");
        health.rejected(2, 2, "bad");
        health.rejected(3, 4, "bad");
        assert_eq!(health.lock().untold, 5);
        tokio::time::advance(QUIET).await;
        health.rejected(1, 7, "bad");
        assert_eq!(health.lock().untold, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_pause_ends_when_somebody_else_was_answered() {
        let health = Health::new("the collector");
        let start = Instant::now();
        tokio::join!(health.pause(Duration::from_secs(30)), async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            health.worked();
        });
        assert_eq!(start.elapsed(), Duration::from_secs(1));
    }
}
