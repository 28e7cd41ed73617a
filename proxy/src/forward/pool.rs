//! Idle upstream connections, bounded, each for one checked address and one authority.

use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gatepass_policy::host::Authority;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::upstream::Upstream;

/// What a connection may be reused for: the address that was checked for *this* request, and the authority it names.
/// A connection that was dialled for one decision is never found by a request whose own checks led elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The checked address.
    pub endpoint: SocketAddr,
    /// The authority of the request.
    pub authority: Authority,
}

/// The bounds of a pool.
#[derive(Clone, Copy, Debug)]
pub struct PoolLimits {
    /// Idle connections of one key.
    pub per_key: usize,
    /// Idle connections in all.
    pub total: usize,
    /// How long a connection waits for its next request.
    pub idle: Duration,
}

/// Upstream connections that wait for their next request.
#[derive(Debug)]
pub struct Pool {
    limits: PoolLimits,
    idle: Mutex<Idle>,
}

#[derive(Debug, Default)]
struct Idle {
    /// The youngest at the end of each list; no list is empty.
    waiting: HashMap<Key, Vec<(Upstream, Instant)>>,
    total: usize,
}

impl Pool {
    /// An empty pool.
    pub fn new(limits: PoolLimits) -> Pool {
        Pool { limits, idle: Mutex::default() }
    }

    /// A connection for `key`: one that waits, else what `dial` gives. `dial` is not polled where one waits.
    pub async fn connect<E>(&self, key: &Key, dial: impl Future<Output = Result<TcpStream, E>>) -> Result<Upstream, E> {
        match self.take(key) {
            Some(upstream) => Ok(upstream),
            None => dial.await.map(Upstream::new),
        }
    }

    /// The youngest connection that waits for `key` and is alive. Older ones are the likelier to have been closed.
    pub fn take(&self, key: &Key) -> Option<Upstream> {
        let mut idle = self.lock();
        let Idle { waiting, total } = &mut *idle;
        let list = waiting.get_mut(key)?;
        let mut found = None;
        while let Some((upstream, since)) = list.pop() {
            *total = total.saturating_sub(1);
            if since.elapsed() < self.limits.idle && upstream.is_idle() {
                found = Some(upstream);
                break;
            }
        }
        if list.is_empty() {
            waiting.remove(key);
        }
        found
    }

    /// Let a connection wait for its next request. One whose last exchange did not end cleanly, or for which there is
    /// no room, is closed.
    pub fn give(&self, key: &Key, mut upstream: Upstream) {
        if !upstream.is_idle() {
            return;
        }
        let mut idle = self.lock();
        if idle.total >= self.limits.total {
            idle.sweep(self.limits.idle);
        }
        let Idle { waiting, total } = &mut *idle;
        let there = waiting.get(key).map_or(0, Vec::len);
        if *total >= self.limits.total || there >= self.limits.per_key {
            return;
        }
        upstream.rest();
        let entry = (upstream, Instant::now());
        match waiting.get_mut(key) {
            Some(list) => list.push(entry),
            None => {
                waiting.insert(key.clone(), vec![entry]);
            }
        }
        *total += 1;
    }

    /// Close what has waited too long or was closed by its upstream. To be called every so often: nothing else notices
    /// the connections of a destination that nobody asks for any more.
    pub fn sweep(&self) {
        self.lock().sweep(self.limits.idle);
    }

    /// Close everything: the gateway shuts down, or its policy changed what may be reached.
    pub fn clear(&self) {
        *self.lock() = Idle::default();
    }

    /// How many connections wait.
    pub fn len(&self) -> usize {
        self.lock().total
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// No code panics while it holds the lock, and what it guards is sound at every step.
    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Idle {
    fn sweep(&mut self, longest: Duration) {
        self.waiting.retain(|_, list| {
            list.retain(|(upstream, since)| since.elapsed() < longest && upstream.is_idle());
            !list.is_empty()
        });
        self.total = self.waiting.values().map(Vec::len).sum();
    }
}
