//! Time as a part that is passed in, so that a test can hold it.
//!
//! Decisions ask [`Clock::now`], which never goes back: what has ended stays ended, whatever happens to the machine's
//! clock. Records tell [`Clock::wall`], the moment as the machine knows it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use jiff::Timestamp;

/// Where `now` comes from.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clocks.
    System(Arc<Steady>),
    /// A clock that a test moves: microseconds since the epoch.
    Set(Arc<AtomicI64>),
}

/// The wall clock, held up by the one that nobody can set.
#[derive(Debug)]
pub struct Steady {
    started: Instant,
    /// The most that the wall clock was ever ahead of the time since `started`, in microseconds.
    ahead: AtomicI64,
}

impl Clock {
    /// The machine's clocks.
    pub fn system() -> Clock {
        Clock::System(Arc::new(Steady { started: Instant::now(), ahead: AtomicI64::new(i64::MIN) }))
    }

    /// The moment now, which is never before one that was told.
    pub fn now(&self) -> Timestamp {
        match self {
            Clock::System(steady) => steady.now(),
            Clock::Set(microseconds) => set(microseconds),
        }
    }

    /// The moment as the machine's wall clock has it.
    pub fn wall(&self) -> Timestamp {
        match self {
            Clock::System(_) => Timestamp::now(),
            Clock::Set(microseconds) => set(microseconds),
        }
    }

    /// It was at least this late before: time goes on from there.
    pub fn at_least(&self, seen: Timestamp) {
        match self {
            Clock::System(steady) => {
                let since = steady.since();
                steady.ahead.fetch_max(seen.as_microsecond().saturating_sub(since), Ordering::AcqRel);
            }
            Clock::Set(_) => {}
        }
    }
}

fn set(microseconds: &AtomicI64) -> Timestamp {
    Timestamp::from_microsecond(microseconds.load(Ordering::Relaxed)).unwrap_or(Timestamp::MAX)
}

impl Steady {
    fn since(&self) -> i64 {
        i64::try_from(self.started.elapsed().as_micros()).unwrap_or(i64::MAX)
    }

    fn now(&self) -> Timestamp {
        let (since, wall) = (self.since(), Timestamp::now().as_microsecond());
        let ahead = wall.saturating_sub(since);
        // A read is enough, unless the clock was moved: it drifts by less than it is read.
        let known = self.ahead.load(Ordering::Acquire);
        let most = if ahead > known { self.ahead.fetch_max(ahead, Ordering::AcqRel).max(ahead) } else { known };
        Timestamp::from_microsecond(most.saturating_add(since)).unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn time_goes_on_from_the_highest_that_was_seen() {
        let clock = Clock::system();
        let (wall, now) = (clock.wall(), clock.now());
        assert!(now >= wall && now.duration_since(wall) < SignedDuration::from_secs(1));
        let seen = now.checked_add(SignedDuration::from_hours(1)).unwrap();
        clock.at_least(seen);
        assert!(clock.now() >= seen);
        assert!(clock.wall() < seen);
        let before = clock.now();
        clock.at_least(wall);
        assert!(clock.now() >= before);
    }
}
