//! Carries an admitted connection: bytes both ways until both sides are done, or until it must end.
//!
//! Each side sees what it would have seen without the gateway: an end of stream arrives as one, a reset as a reset.
//! A tunnel that is cut in the middle is reset too, so that a truncated stream never looks complete and nothing that
//! still waits in a socket is delivered after the cut.

mod ways;

mod flow;

mod side;

mod pool;

mod pipe;

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
pub use pool::{PoolLimits, Pools};
pub use side::Side;
use tokio::time::{Instant, sleep_until};
use ways::{Close, Ways};

use crate::budget::{Going, Meter};
use crate::evidence::Counters;
pub use crate::evidence::words::Ending;

/// The two sides of a tunnel, and what was already read from them.
#[derive(Debug)]
pub struct Tunnel {
    /// The workload's side.
    pub client: Side,
    /// The destination's side.
    pub upstream: Side,
    /// Bytes of the client that are to reach the upstream first.
    pub from_client: Bytes,
    /// Bytes of the upstream that are to reach the client first.
    pub from_upstream: Bytes,
}

/// Bounds of one tunnel.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest time without a byte in either direction. It bounds every wait in here, half-closed tunnels included.
    pub idle: Duration,
    /// Longest life, counted from the call, if there is such a bound.
    pub max_duration: Option<Duration>,
}

/// What came of a tunnel. Both sockets are closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Bytes delivered from the client to the upstream.
    pub sent: u64,
    /// Bytes delivered from the upstream to the client.
    pub received: u64,
    /// Why it ended.
    pub ending: Ending,
}

/// Carry bytes both ways until both sides have ended, a limit is reached, `meter` has no more to give, or `cut` says why it
/// must end now.
///
/// `cut` is asked before any byte is moved. The sockets should have Nagle's algorithm off (`TCP_NODELAY`).
pub async fn carry(
    tunnel: Tunnel,
    limits: &Limits,
    pools: &Pools,
    counters: &Counters,
    meter: &Meter,
    cut: impl Future<Output = Ending>,
) -> Finished {
    let started = Instant::now();
    let mut cut = pin!(cut);
    let mut clock = Clock { ends: limits.max_duration.map(|longest| later(started, longest)), moved: started };
    let mut alarm = pin!(sleep_until(clock.deadline(limits).0));
    let mut ways = Ways::new(tunnel);
    let close = std::future::poll_fn(|cx| {
        if let Poll::Ready(ending) = cut.as_mut().poll(cx) {
            return Poll::Ready(Close::cut(ending));
        }
        let before = (counters.sent(), counters.received());
        let turn = meter.begin(cx);
        let polled = ways.poll(cx, pools, counters, &turn);
        let going = turn.end(counters.sent() - before.0, counters.received() - before.1, ways.starved, cx);
        if let Poll::Ready(close) = polled {
            return Poll::Ready(close);
        }
        if going == Going::Over {
            return Poll::Ready(Close::cut(Ending::Limit));
        }
        if before != (counters.sent(), counters.received()) {
            clock.moved = Instant::now();
        }
        // The alarm is not moved at every byte, only when it rings too early.
        while alarm.as_mut().poll(cx).is_ready() {
            let (deadline, ending) = clock.deadline(limits);
            if deadline <= Instant::now() {
                return Poll::Ready(Close::cut(ending));
            }
            alarm.as_mut().reset(deadline);
        }
        Poll::Pending
    })
    .await;
    ways.close(&close);
    Finished { sent: counters.sent(), received: counters.received(), ending: close.ending }
}

/// When a tunnel's time is up.
struct Clock {
    ends: Option<Instant>,
    moved: Instant,
}

impl Clock {
    fn deadline(&self, limits: &Limits) -> (Instant, Ending) {
        let idle = later(self.moved, limits.idle);
        match self.ends {
            Some(ends) if ends <= idle => (ends, Ending::MaxDuration),
            Some(_) | None => (idle, Ending::Idle),
        }
    }
}

/// `duration` after `instant`; a time beyond the clock's range is as good as a year away.
fn later(instant: Instant, duration: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    instant.checked_add(duration).unwrap_or_else(|| instant + YEAR)
}

#[cfg(test)]
mod tests;
