//! Plain HTTP: one request of a client connection carried to an upstream, and its answer carried back.
//!
//! Both sides are read by [`crate::http1`] and written in canonical form, so that neither ever sees a byte of the
//! other's framing. An exchange is one future, without tasks of its own; dropping it ends both directions.

use std::time::Duration;

use crate::http1;

pub mod exchange;

mod upload;

mod download;

mod rewrite;

pub mod failure;

pub mod upstream;

mod outgoing;

pub mod pool;

pub mod farewell;

pub use exchange::{Exchange, Next, exchange};
pub use failure::{Answered, Failure, Fault, Retry};
pub use farewell::farewell;
pub use pool::{Key, Pool, PoolLimits};
pub use upstream::Upstream;

/// The bounds of one exchange.
#[derive(Clone, Debug)]
pub struct Limits {
    /// What is read from the upstream, and the body that the client sends.
    pub http1: http1::Limits,
    /// Octets read at once, and held for a slow receiver, in each direction.
    pub buffer: usize,
    /// How many interim answers (1xx) come before the real one.
    pub interim: usize,
    /// From the end of the request to the head of the answer.
    pub response_head: Duration,
    /// Without a byte moving in either direction.
    pub idle: Duration,
    /// The whole of one exchange, however busy.
    pub longest: Duration,
}

/// Octets on the wire to and from the upstream, heads and framing included. They count on while an exchange runs, so
/// that they are true however it ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// To the upstream.
    pub sent: u64,
    /// From the upstream.
    pub received: u64,
}

#[cfg(test)]
mod tests;
