//! Wall-clock time as a part that is passed in, so that a test can hold it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;

/// Where `now` comes from.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// A clock that a test moves: microseconds since the epoch.
    Set(Arc<AtomicI64>),
}

impl Clock {
    /// The moment now.
    pub fn now(&self) -> Timestamp {
        match self {
            Clock::System => Timestamp::now(),
            Clock::Set(microseconds) => {
                Timestamp::from_microsecond(microseconds.load(Ordering::Relaxed)).unwrap_or(Timestamp::MAX)
            }
        }
    }
}
