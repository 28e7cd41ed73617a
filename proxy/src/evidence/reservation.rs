//! The way of one record: room is reserved before the first DNS question, the decision fills it, the close ends it.
//!
//! Whatever happens in between, a promise is kept: an [`Admission`] that is dropped writes its close, a
//! [`Reservation`] that is dropped gives its room back and is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use gatepass_policy::decision::Effect;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

use super::Shared;
use super::queue::{Item, Unavailable};
use super::record::{CloseRecord, DecisionRecord, SCHEMA};
use super::text::Text;
use super::words::{Ending, Outcome};

/// Room for one decision and its close. No DNS question without one.
#[must_use = "a request that holds a reservation ends in `admit` or `refuse`"]
pub struct Reservation {
    shared: Arc<Shared>,
    id: Uuid,
    /// `None` once it was used.
    room: Option<OwnedSemaphorePermit>,
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
    room: Option<OwnedSemaphorePermit>,
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
    pub(super) fn new(shared: Arc<Shared>, room: OwnedSemaphorePermit) -> Reservation {
        Reservation { shared, id: Uuid::now_v7(), room: Some(room) }
    }

    /// The id that the decision and its close will bear.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Record a permitting decision. Where this fails, nothing may be carried.
    pub async fn admit(mut self, record: DecisionRecord) -> Result<Admission, Unavailable> {
        match (record.effect, record.outcome) {
            (Effect::Allow, Outcome::Admitted) => {}
            (Effect::Allow | Effect::Deny, _) => {
                self.refuse(record);
                return Err(Unavailable::NotAllowed);
            }
        }
        let Some(mut room) = self.room.take() else { return Err(Unavailable::Stopped) };
        let Some(close_room) = room.split(1) else { return Err(Unavailable::Full) };
        self.shared.queue.available()?;
        let mut admission = Admission {
            shared: self.shared.clone(),
            id: self.id,
            room: None,
            counters: Arc::default(),
            since: Instant::now(),
            decided: record.time,
            label: self.shared.label(&record),
        };
        self.shared.decide(self.id, record, room).map_err(|(unavailable, _)| unavailable)?;
        admission.room = Some(close_room);
        Ok(admission)
    }

    /// Record that it was refused, or that it failed; returns the record as it was written.
    ///
    /// This cannot fail: the room is there, and what the gateway refuses needs no proof before the answer. An allow
    /// that ends here was not carried, so it is recorded as failed.
    pub fn refuse(mut self, mut record: DecisionRecord) -> Arc<DecisionRecord> {
        record.outcome = match (record.outcome, record.effect) {
            (Outcome::Admitted | Outcome::Failed, Effect::Allow) => Outcome::Failed,
            (Outcome::Admitted | Outcome::Failed, Effect::Deny) | (Outcome::Refused, _) => Outcome::Refused,
        };
        let Some(mut room) = self.room.take() else { return Arc::new(record) };
        drop(room.split(1));
        self.shared.refused(self.id, record, room)
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
        let mut record = CloseRecord {
            schema: SCHEMA,
            kind: "close",
            id: self.id,
            sequence: 0,
            time: close.now,
            gateway: self.shared.gateway.clone(),
            floor: self.shared.floor,
            bytes_sent: close.sent,
            bytes_received: close.received,
            duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
            ending: close.ending,
            cut_by: close.cut_by.as_deref().map(Text::name),
        };
        let label = self.label.take();
        let pushed = self.shared.queue.push(room, |sequence| {
            record.sequence = sequence;
            Item::Close(Box::new(record), label)
        });
        if pushed.is_err() {
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
