//! The bounded queue between connections and the writer: room is taken first, so that what was promised always fits.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::record::{CloseRecord, DecisionRecord, PolicyRecord};

/// Why no evidence can be kept just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// So many records wait to be written or exported that there is no room for this one.
    Full,
    /// Standard output does not take records.
    Output,
    /// The gateway is shutting down.
    Stopped,
    /// The record that was to be admitted is not an allow: a mistake of the gateway, refused and recorded as such.
    NotAllowed,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unavailable::Full => "the evidence queue is full: records are not written or exported fast enough",
            Unavailable::Output => "standard output does not take records",
            Unavailable::Stopped => "evidence is no longer taken: the gateway is shutting down",
            Unavailable::NotAllowed => "a decision that is not an allow was to be admitted",
        })
    }
}

impl std::error::Error for Unavailable {}

/// What is written.
#[derive(Debug)]
pub(super) enum Item {
    Decision(Arc<DecisionRecord>),
    /// With who and where, for the readable line.
    Close(Box<CloseRecord>, Option<Box<str>>),
    Policy(Box<PolicyRecord>),
}

impl Item {
    /// Who and where, for the readable line of a close.
    pub fn label(&self) -> Option<&str> {
        match self {
            Item::Close(_, label) => label.as_deref(),
            Item::Decision(_) | Item::Policy(_) => None,
        }
    }

    /// As it is written to standard output.
    pub fn json(&self) -> serde_json::Value {
        // Serialising a record cannot fail: string keys, no errors of our own.
        match self {
            Item::Decision(record) => serde_json::to_value(&**record),
            Item::Close(record, _) => serde_json::to_value(record),
            Item::Policy(record) => serde_json::to_value(record),
        }
        .unwrap_or_default()
    }
}

/// A record and the room it takes until it is out of the gateway.
#[derive(Debug)]
pub(super) struct Entry {
    pub item: Item,
    pub room: OwnedSemaphorePermit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// Reservations are refused; what was promised is taken.
    Draining,
    /// Nothing is taken.
    Stopped,
}

struct State {
    entries: Vec<Entry>,
    /// The next sequence number. Given under the lock, so that the order of the queue is the order of the numbers.
    next: u64,
    phase: Phase,
    /// Whether standard output fails at present.
    output_fails: bool,
}

pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    room: Arc<Semaphore>,
    capacity: u32,
}

impl Queue {
    pub fn new(capacity: u32) -> Queue {
        let state = State { entries: Vec::new(), next: 1, phase: Phase::Open, output_fails: false };
        Queue {
            state: Mutex::new(state),
            changed: Condvar::new(),
            room: Arc::new(Semaphore::new(usize::try_from(capacity).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS))),
            capacity,
        }
    }

    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Records that wait, and those that live connections will still write.
    pub fn used(&self) -> u32 {
        self.capacity.saturating_sub(u32::try_from(self.room.available_permits()).unwrap_or(u32::MAX))
    }

    pub fn available(&self) -> Result<(), Unavailable> {
        let state = self.lock();
        match state.phase {
            Phase::Open if state.output_fails => Err(Unavailable::Output),
            Phase::Open => Ok(()),
            Phase::Draining | Phase::Stopped => Err(Unavailable::Stopped),
        }
    }

    /// Room for `records`.
    pub fn reserve(&self, records: u32) -> Result<OwnedSemaphorePermit, Unavailable> {
        self.available()?;
        self.room.clone().try_acquire_many_owned(records).map_err(|_| Unavailable::Full)
    }

    /// Put a record into room that was reserved. `make` is given its sequence number.
    pub fn push(&self, room: OwnedSemaphorePermit, make: impl FnOnce(u64) -> Item) -> Result<(), Unavailable> {
        let mut state = self.lock();
        if state.phase == Phase::Stopped {
            return Err(Unavailable::Stopped);
        }
        let item = make(state.next);
        state.next += 1;
        let was_empty = state.entries.is_empty();
        state.entries.push(Entry { item, room });
        drop(state);
        // A wake-up is a system call; a writer that still has work finds this record without one.
        if was_empty {
            self.changed.notify_all();
        }
        Ok(())
    }

    /// Wait for records and move all of them into `into`, which is empty; false when the queue is stopped.
    pub fn take(&self, into: &mut Vec<Entry>) -> bool {
        let mut state = self.lock();
        while state.entries.is_empty() && state.phase != Phase::Stopped {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut state.entries, into);
        !into.is_empty()
    }

    /// Say whether standard output takes records; true where that is news.
    pub fn set_output_fails(&self, fails: bool) -> bool {
        std::mem::replace(&mut self.lock().output_fails, fails) != fails
    }

    /// Sleep, unless the queue is or gets stopped; true where it is.
    pub fn sleep_unless_stopped(&self, time: Duration) -> bool {
        let running = |state: &mut State| state.phase != Phase::Stopped;
        let waited = self.changed.wait_timeout_while(self.lock(), time, running);
        waited.unwrap_or_else(PoisonError::into_inner).0.phase == Phase::Stopped
    }

    pub fn is_stopped(&self) -> bool {
        self.lock().phase == Phase::Stopped
    }

    /// Refuse new reservations.
    pub fn drain(&self) {
        let mut state = self.lock();
        if state.phase == Phase::Open {
            state.phase = Phase::Draining;
        }
    }

    /// Wait until every record is out of the gateway and no connection still has one to write.
    pub async fn emptied(&self) {
        // An error would mean a closed semaphore, and nobody closes it.
        let _ = self.room.acquire_many(self.capacity).await;
    }

    /// Take nothing more and let the writer end.
    pub fn stop(&self) {
        self.lock().phase = Phase::Stopped;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that runs under the lock leaves the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
