//! The bounded queue between connections and the writer: room is taken first, so that what was promised always fits.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};

use super::act::ActRecord;
use super::encode::Encoded;
use super::first_seen::Pair;
use super::record::{CheckpointRecord, CloseRecord, DecisionRecord, GapRecord, PolicyRecord};
use super::room::{CLOSE_BYTES, DECISION_BYTES, Room, Space};

/// Why no evidence can be kept just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// So many records wait to be written that there is no room for this one.
    Full,
    /// The spool has its full size, and none of it may go.
    SpoolFull,
    /// The spool cannot be written to.
    Spool,
    /// The spool took too long.
    Slow,
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
            Unavailable::Full => "the evidence queue is full: records are not written fast enough",
            Unavailable::SpoolFull => {
                "the evidence spool has its full size, and the collector does not have its oldest records"
            }
            Unavailable::Spool => "the evidence spool cannot be written to",
            Unavailable::Slow => "the evidence spool did not take the record in time",
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
    Checkpoint(Box<CheckpointRecord>),
    Gap(Box<GapRecord>),
    Act(Box<ActRecord>),
}

impl Item {
    /// Who and where, for the readable line of a close.
    pub fn label(&self) -> Option<&str> {
        match self {
            Item::Close(_, label) => label.as_deref(),
            Item::Decision(_) | Item::Policy(_) | Item::Checkpoint(_) | Item::Gap(_) | Item::Act(_) => None,
        }
    }

    /// As it is written to standard output.
    pub fn json(&self) -> serde_json::Value {
        // Serialising a record cannot fail: string keys, no errors of our own.
        match self {
            Item::Decision(record) => serde_json::to_value(&**record),
            Item::Close(record, _) => serde_json::to_value(record),
            Item::Policy(record) => serde_json::to_value(record),
            Item::Checkpoint(record) => serde_json::to_value(record),
            Item::Gap(record) => serde_json::to_value(record),
            Item::Act(record) => serde_json::to_value(record),
        }
        .unwrap_or_default()
    }

    /// Give it its number.
    pub fn number(&mut self, sequence: u64) {
        match self {
            Item::Decision(record) => record.sequence.set(sequence),
            Item::Close(record, _) => record.sequence = sequence,
            Item::Policy(record) => record.sequence = sequence,
            Item::Checkpoint(record) => record.sequence = sequence,
            Item::Gap(record) => record.sequence = sequence,
            Item::Act(record) => record.sequence = sequence,
        }
    }
}

/// How durable a record has to be before its connection may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Written: it survives the death of the process. The disk has it within `limits.evidence_sync_interval`.
    Interval,
    /// On the disk: it survives the death of the machine.
    Synced,
}

/// A record on its way to the spool, and the room that it holds until it stands.
#[derive(Debug)]
pub(super) struct Entry {
    pub item: Item,
    pub encoded: Encoded,
    /// `None` for the log's own records.
    pub room: Option<Room>,
    pub durability: Durability,
    /// Who waits for it to stand.
    pub waiter: Option<Arc<Slot>>,
    /// Whose first visit to a domain it is.
    pub first: Option<Pair>,
}

/// What the writer takes, in the order of the numbers.
#[derive(Debug)]
pub(super) enum Queued {
    /// A record of this number.
    Record(u64, Entry),
    /// A checkpoint of this number is due, of everything before it.
    Checkpoint(u64),
}

/// Where a connection waits for its record to stand.
#[derive(Debug, Default)]
pub(super) struct Slot {
    state: AtomicU8,
    told: Notify,
}

const WAITING: u8 = 0;
const STANDS: u8 = 1;
const FAILED: u8 = 2;

impl Slot {
    /// Say that the record stands, as durably as was asked for.
    pub fn stands(&self) {
        self.settle(STANDS);
    }

    /// Say that it could not be written.
    pub fn failed(&self) {
        self.settle(FAILED);
    }

    fn settle(&self, to: u8) {
        // The first word counts: a record that failed and is written later does not count as written in time.
        let _ = self.state.compare_exchange(WAITING, to, Ordering::AcqRel, Ordering::Relaxed);
        self.told.notify_one();
    }

    /// Wait until one of the two is said.
    pub async fn settled(&self) -> Result<(), Unavailable> {
        loop {
            match self.state.load(Ordering::Acquire) {
                STANDS => return Ok(()),
                FAILED => return Err(Unavailable::Spool),
                _ => self.told.notified().await,
            }
        }
    }
}

impl State {
    fn number(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        number
    }

    fn add(&mut self, mut entry: Entry) {
        let number = self.number();
        entry.item.number(number);
        self.entries.push(Queued::Record(number, entry));
    }

    fn add_checkpoint(&mut self) {
        self.signed = self.number();
        self.entries.push(Queued::Checkpoint(self.signed));
    }
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
    entries: Vec<Queued>,
    /// The number of the next record. Given under the lock, so that the order of the queue is the order of the numbers.
    next: u64,
    /// The number of the last checkpoint.
    signed: u64,
    phase: Phase,
    /// Whether the writer sleeps: a wake-up is a system call, also where nobody sleeps.
    asleep: bool,
    /// Whether the spool cannot be written to at present.
    spool_fails: bool,
    /// Whether standard output fails at present.
    output_fails: bool,
}

pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    places: Arc<Semaphore>,
    capacity: u32,
    space: Arc<Space>,
    /// Records after which a checkpoint is due.
    checkpoint_records: u64,
    /// Buffers of records that were written, for those to come.
    buffers: Mutex<Vec<Vec<u8>>>,
}

/// Buffers that are kept for reuse, at about a kilobyte each.
const BUFFERS: usize = 1024;

impl Queue {
    pub fn new(capacity: u32, space: Arc<Space>, checkpoint_records: u64) -> Queue {
        let entries = Vec::with_capacity(BUFFERS);
        let state = State {
            entries,
            next: 1,
            signed: 0,
            phase: Phase::Open,
            asleep: false,
            spool_fails: false,
            output_fails: false,
        };
        let places = usize::try_from(capacity).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Queue {
            state: Mutex::new(state),
            changed: Condvar::new(),
            places: Arc::new(Semaphore::new(places)),
            capacity,
            space,
            checkpoint_records,
            buffers: Mutex::new(Vec::with_capacity(BUFFERS)),
        }
    }

    pub fn space(&self) -> &Arc<Space> {
        &self.space
    }

    /// Records that wait, and those that live connections will still write.
    pub fn used(&self) -> u32 {
        self.capacity.saturating_sub(u32::try_from(self.places.available_permits()).unwrap_or(u32::MAX))
    }

    /// Whether a decision could be recorded now.
    pub fn available(&self) -> Result<(), Unavailable> {
        let state = self.lock();
        match state.phase {
            Phase::Open if state.spool_fails => Err(Unavailable::Spool),
            Phase::Open if state.output_fails => Err(Unavailable::Output),
            Phase::Open => Ok(()),
            Phase::Draining | Phase::Stopped => Err(Unavailable::Stopped),
        }
    }

    /// Whether a reservation would be given now.
    pub fn has_room(&self) -> Result<(), Unavailable> {
        self.available()?;
        if self.used() + 2 > self.capacity {
            return Err(Unavailable::Full);
        }
        if self.space.has_room_for(DECISION_BYTES + CLOSE_BYTES) { Ok(()) } else { Err(Unavailable::SpoolFull) }
    }

    /// Room for a decision and its close.
    pub fn reserve(&self) -> Result<Room, Unavailable> {
        self.available()?;
        let places = self.places.clone().try_acquire_many_owned(2).map_err(|_| Unavailable::Full)?;
        Room::promised(places, &self.space, DECISION_BYTES + CLOSE_BYTES).ok_or(Unavailable::SpoolFull)
    }

    /// A buffer for one record.
    pub fn buffer(&self) -> Vec<u8> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_else(|| Vec::with_capacity(1024))
    }

    /// Keep buffers for records to come; `from` is empty afterwards.
    pub fn give_back(&self, from: &mut Vec<Vec<u8>>) {
        let mut buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        let room = BUFFERS.saturating_sub(buffers.len());
        buffers.extend(from.drain(..).take(room));
    }

    /// Go on with this number.
    pub fn begin(&self, next: u64) {
        self.lock().next = next;
    }

    /// Number a record and put it into room that was reserved.
    pub fn push(&self, entry: Entry) -> Result<(), Unavailable> {
        let mut state = self.lock();
        if state.phase == Phase::Stopped {
            return Err(Unavailable::Stopped);
        }
        // Whoever waits is told at once; a close and a refusal wait here until the spool takes records again.
        if state.spool_fails && entry.waiter.is_some() {
            return Err(Unavailable::Spool);
        }
        let asleep = std::mem::take(&mut state.asleep);
        state.add(entry);
        if state.next - 1 - state.signed >= self.checkpoint_records {
            state.add_checkpoint();
        }
        drop(state);
        if asleep {
            self.changed.notify_all();
        }
        Ok(())
    }

    /// A checkpoint is due, if there is anything that none signs.
    pub fn push_checkpoint(&self) {
        let mut state = self.lock();
        if state.signed + 1 < state.next {
            state.add_checkpoint();
        }
    }

    /// A record of the log itself, also when the queue is stopped.
    pub fn push_own(&self, item: Item) {
        let encoded = Encoded::of(&item, self.buffer());
        let (room, durability) = (None, Durability::Interval);
        self.lock().add(Entry { item, encoded, room, durability, waiter: None, first: None });
    }

    /// Wait for records, at most so long, and move all of them into `into`, which is empty; false when the queue is
    /// stopped and there are none.
    pub fn take(&self, into: &mut Vec<Queued>, longest: Duration) -> bool {
        let waiting = |state: &mut State| {
            state.asleep = state.entries.is_empty() && state.phase != Phase::Stopped;
            state.asleep
        };
        let waited = self.changed.wait_timeout_while(self.lock(), longest, waiting);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.asleep = false;
        std::mem::swap(&mut state.entries, into);
        !into.is_empty() || state.phase != Phase::Stopped
    }

    /// Say whether the spool can be written to; true where that is news.
    pub fn set_spool_fails(&self, fails: bool) -> bool {
        std::mem::replace(&mut self.lock().spool_fails, fails) != fails
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

    /// Refuse new reservations.
    pub fn drain(&self) {
        let mut state = self.lock();
        if state.phase == Phase::Open {
            state.phase = Phase::Draining;
        }
    }

    /// Wait until every record stands and no connection still has one to write.
    pub async fn emptied(&self) {
        // An error would mean a closed semaphore, and nobody closes it.
        let _ = self.places.acquire_many(self.capacity).await;
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
