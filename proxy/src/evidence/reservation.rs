//! The way of one record: room is reserved before the first DNS question, the decision fills it, the close ends it.
//!
//! Whatever happens in between, a promise is kept: an [`Admission`] that is dropped writes its close, a
//! [`Reservation`] that is dropped gives its room back and is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use gatepass_policy::decision::Effect;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::Shared;
use super::encode::Encoded;
use super::queue::{Durability, Entry, Item, Slot, Unavailable};
use super::record::{Carried, CloseRecord, DecisionRecord, SCHEMA};
use super::room::{CLOSE_BYTES, Room};
use super::text::Text;
use super::words::{Ending, Outcome};

/// Room for one decision and its close. No DNS question without one.
#[must_use = "a request that holds a reservation ends in `admit` or `refuse`"]
pub struct Reservation {
    shared: Arc<Shared>,
    id: Uuid,
    /// `None` once it was used.
    room: Option<Room>,
    /// Made beforehand, so that admitting allocates nothing.
    slot: Arc<Slot>,
    counters: Arc<Counters>,
    buffer: Vec<u8>,
}

/// Bytes that flowed so far, so that a close that nobody wrote can still tell.
#[derive(Debug, Default)]
pub struct Counters {
    /// From the client to the destination.
    pub sent: AtomicU64,
    /// From the destination to the client.
    pub received: AtomicU64,
}

impl Counters {
    /// Bytes delivered from the client to the destination so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Bytes delivered from the destination to the client so far.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

/// The proof that a permitting decision was recorded. No byte goes upstream without one.
#[must_use = "an admission ends in `close`"]
pub struct Admission {
    shared: Arc<Shared>,
    id: Uuid,
    /// `None` once it was used.
    room: Option<Room>,
    counters: Arc<Counters>,
    since: Instant,
    decided: Timestamp,
    label: Option<Box<str>>,
}

/// How a connection ended.
#[derive(Clone, Debug)]
pub struct Close {
    /// The moment.
    pub now: Timestamp,
    /// Bytes from the client to the destination.
    pub sent: u64,
    /// Bytes from the destination to the client.
    pub received: u64,
    /// How.
    pub ending: Ending,
    /// The path of the rule that cut it.
    pub cut_by: Option<String>,
}

impl Reservation {
    pub(super) fn new(shared: Arc<Shared>, room: Room) -> Reservation {
        let buffer = shared.queue.buffer();
        let (id, slot, counters) = (Uuid::now_v7(), Arc::default(), Arc::default());
        Reservation { shared, id, room: Some(room), slot, counters, buffer }
    }

    /// The id that the decision and its close will bear.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Record a decision that permits, or a denial that is only observed, and wait until the record stands as durably as is asked for. Where this fails,
    /// nothing may be carried.
    ///
    /// `demanded` is what the rule asks for; the configuration may ask for more.
    pub async fn admit(
        mut self,
        mut record: Arc<DecisionRecord>,
        demanded: Durability,
    ) -> Result<Admission, Unavailable> {
        match (record.effect, record.outcome) {
            (Effect::Allow, Outcome::Admitted) => {}
            // Evidence knows for itself until when denials are carried, so that no other part can let one through.
            (Effect::Deny, Outcome::Admitted) if record.would_deny && self.shared.observes().is_some() => {}
            (Effect::Allow | Effect::Deny, _) => {
                self.conclude(record);
                return Err(Unavailable::NotAllowed);
            }
        }
        let (Some(mut room), shared) = (self.room.take(), self.shared.clone()) else {
            return Err(Unavailable::Stopped);
        };
        let Some(close_room) = room.split(CLOSE_BYTES) else { return Err(Unavailable::Full) };
        shared.queue.available()?;
        shared.stamp(self.id, &mut record);
        let first = shared.first_seen.mark(Arc::make_mut(&mut record));
        let item = Item::Decision(record.clone());
        let encoded = Encoded::of(&item, std::mem::take(&mut self.buffer));
        let durability = shared.durability(demanded);
        let waiter = Some(self.slot.clone());
        let pushed = shared.queue.push(Entry { item, encoded, room: Some(room), durability, waiter, first });
        pushed.inspect_err(|_| first.into_iter().for_each(|pair| shared.first_seen.forget(pair)))?;
        // From here on the record may stand, so there is a close to come, also where the wait below is given up.
        let admission = Admission {
            shared: shared.clone(),
            id: self.id,
            room: Some(close_room),
            counters: self.counters.clone(),
            since: Instant::now(),
            decided: record.time,
            label: shared.label(&record),
        };
        let settled = tokio::time::timeout(shared.commit_timeout, self.slot.settled()).await;
        let settled = settled.unwrap_or(Err(Unavailable::Slow));
        settled.inspect_err(|_| first.into_iter().for_each(|pair| shared.first_seen.forget(pair)))?;
        shared.recent.remember(record);
        Ok(admission)
    }

    /// Record that it was refused, or that it failed; returns the record as it was written.
    ///
    /// This cannot fail: the room is there, and what the gateway refuses needs no proof before the answer. An allow
    /// that ends here was not carried, so it is recorded as failed.
    pub fn refuse(self, record: DecisionRecord) -> Arc<DecisionRecord> {
        self.conclude(Arc::new(record))
    }

    fn conclude(mut self, mut record: Arc<DecisionRecord>) -> Arc<DecisionRecord> {
        let Some(room) = self.room.take() else { return record };
        self.shared.stamp(self.id, &mut record);
        let refused = Arc::make_mut(&mut record);
        refused.outcome = match (refused.outcome, refused.effect) {
            (Outcome::Admitted | Outcome::Failed, Effect::Allow) => Outcome::Failed,
            (Outcome::Failed, Effect::Deny) if refused.would_deny => Outcome::Failed,
            (Outcome::Admitted | Outcome::Failed, Effect::Deny) | (Outcome::Refused, _) => Outcome::Refused,
        };
        refused.would_deny &= refused.outcome == Outcome::Failed;
        let item = Item::Decision(record.clone());
        let encoded = Encoded::of(&item, std::mem::take(&mut self.buffer));
        let pushed = self.shared.queue.push(Entry {
            item,
            encoded,
            room: Some(room),
            durability: Durability::Interval,
            waiter: None,
            first: None,
        });
        match pushed {
            Ok(()) => {
                self.shared.metrics.decided(&record);
                self.shared.recent.remember(record.clone());
            }
            Err(_) => self.shared.metrics.evidence_lost.increment(1),
        }
        record
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.room.is_some() {
            self.shared.metrics.evidence_abandoned.increment(1);
        }
    }
}

impl Admission {
    /// The decision's id.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Where to count the bytes as they flow: what a close tells that nobody wrote.
    pub fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }

    /// Record the end.
    pub fn close(mut self, close: Close) {
        self.write(close);
    }

    fn write(&mut self, close: Close) {
        let Some(room) = self.room.take() else { return };
        let duration = self.since.elapsed();
        let record = CloseRecord {
            schema: SCHEMA,
            kind: "close",
            id: self.id,
            sequence: 0,
            time: close.now,
            gateway: self.shared.gateway.clone(),
            floor: self.shared.floor,
            carried: Some(Carried {
                bytes_sent: close.sent,
                bytes_received: close.received,
                duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
            }),
            ending: close.ending,
            cut_by: close.cut_by.as_deref().map(Text::name),
        };
        let label = self.label.take();
        let item = Item::Close(Box::new(record), label);
        let encoded = Encoded::of(&item, self.shared.queue.buffer());
        let entry =
            Entry { item, encoded, room: Some(room), durability: Durability::Interval, waiter: None, first: None };
        if self.shared.queue.push(entry).is_err() {
            self.shared.metrics.evidence_lost.increment(1);
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if self.room.is_none() {
            return;
        }
        // No clock is at hand in a destructor; the decision's reading plus the time since is the same moment.
        let elapsed = SignedDuration::try_from(self.since.elapsed()).unwrap_or(SignedDuration::MAX);
        let close = Close {
            now: self.decided.saturating_add(elapsed).unwrap_or(self.decided),
            sent: self.counters.sent.load(Ordering::Relaxed),
            received: self.counters.received.load(Ordering::Relaxed),
            ending: Ending::Error,
            cut_by: None,
        };
        self.write(close);
    }
}
