//! Evidence: what is written of every decision and every connection's end. No evidence, no egress.
//!
//! [`Evidence::reserve`] takes room before anything leaves the gateway; [`Reservation::admit`] or
//! [`Reservation::refuse`] fills it with the decision, [`Admission::close`] with the end. Room is given back only when
//! a record is out of the gateway (written to standard output and taken by the collector, as far as configured), so an
//! outage fills the queue and then refuses connections: nothing is ever lost to make way.

use std::sync::Arc;
use std::time::Duration;

use gatepass_policy::decision::Effect;
use jiff::Timestamp;
use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

use crate::metrics::Metrics;

pub mod record;

pub mod parts;

pub mod words;

pub mod text;

mod spelling;

mod compose;

mod reservation;

mod queue;

pub mod recent;

pub mod fields;

mod writer;

pub mod spool;

mod line;

pub mod otlp;

pub mod sinks;

pub mod ship;

pub use queue::Unavailable;
pub use record::{CloseRecord, DecisionRecord, PolicyRecord};
pub use reservation::{Admission, Close, Counters, Reservation};
pub use writer::{Colour, Format, Output};

use parts::PolicyRef;
use queue::{Item, Queue};
use recent::Recent;
use text::{REASON_MAX, Text};
use words::{FloorMark, PolicyResult};

/// Room that policy records have of their own, so that a full queue does not hide that the policy changed.
const OWN_ROOM: u32 = 64;

/// Where evidence goes.
pub struct Settings {
    /// The gateway's name, on every record.
    pub gateway: Arc<str>,
    /// Marks every record, where the gateway's address floor is not the one for production.
    pub floor: Option<FloorMark>,
    /// Standard output, if records go there.
    pub output: Option<Output>,
    /// The collector, if records go there.
    pub otlp: Option<otlp::Settings>,
    /// Bounds.
    pub limits: Limits,
}

/// Bounds of evidence.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Records that may wait, those that live connections will still write included: at least twice the connections.
    /// A record takes about 2 KiB while it waits, at worst about 16.
    pub queue: u32,
    /// Decisions kept in memory to answer why.
    pub recent: usize,
    /// The first pause after a failed write or export.
    pub retry_first: Duration,
    /// The longest pause.
    pub retry_longest: Duration,
    /// How long one export may take.
    pub export_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            queue: 65_536,
            recent: 4_096,
            retry_first: Duration::from_millis(50),
            retry_longest: Duration::from_secs(30),
            export_timeout: Duration::from_secs(10),
        }
    }
}

/// What every holder of a reservation shares.
pub(crate) struct Shared {
    gateway: Text,
    floor: Option<FloorMark>,
    queue: Arc<Queue>,
    /// The own room of policy records.
    own: Arc<tokio::sync::Semaphore>,
    recent: Recent,
    metrics: Arc<Metrics>,
    /// Whether closes carry who and where, for the readable line.
    labels: bool,
}

/// The handle that connections use. Cheap to clone.
#[derive(Clone)]
pub struct Evidence {
    shared: Arc<Shared>,
}

/// Whether everything was out in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flushed {
    /// Every record is out.
    All,
    /// So many were still waiting.
    Left(u32),
}

/// Why evidence could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The collector's address cannot be used.
    #[error(transparent)]
    Otlp(#[from] otlp::EndpointError),
    /// The writer's thread could not be started.
    #[error("the evidence writer could not be started: {0}")]
    Thread(std::io::Error),
}

impl Evidence {
    /// Start the writer, a thread of its own, and the exporter, a task of the current tokio runtime.
    pub fn start(settings: Settings, metrics: Arc<Metrics>) -> Result<Evidence, StartError> {
        let shared = Arc::new(Shared {
            gateway: Text::name(&settings.gateway),
            floor: settings.floor,
            queue: Arc::new(Queue::new(settings.limits.queue)),
            own: Arc::new(tokio::sync::Semaphore::new(usize::try_from(OWN_ROOM).unwrap_or(usize::MAX))),
            recent: Recent::new(settings.limits.recent),
            metrics,
            labels: settings.output.as_ref().is_some_and(Output::is_text),
        });
        shared.metrics.evidence_queue_limit.set(f64::from(settings.limits.queue));
        let exporter = match settings.otlp {
            Some(otlp) => Some(otlp::start(otlp, &shared, settings.limits)?),
            None => None,
        };
        writer::start(&shared, settings.output, exporter, settings.limits).map_err(StartError::Thread)?;
        Ok(Evidence { shared })
    }

    /// Take room for one decision and its close, before anything leaves the gateway.
    pub fn reserve(&self) -> Result<Reservation, Unavailable> {
        match self.shared.queue.reserve(2) {
            Ok(room) => Ok(Reservation::new(self.shared.clone(), room)),
            Err(unavailable) => {
                self.shared.metrics.evidence_unavailable.increment(1);
                Err(unavailable)
            }
        }
    }

    /// Whether a reservation would be given now, for `/ready`.
    pub fn available(&self) -> Result<(), Unavailable> {
        self.shared.queue.available()?;
        if self.shared.queue.used() + 2 > self.shared.queue.capacity() { Err(Unavailable::Full) } else { Ok(()) }
    }

    /// Record that a policy was activated, or that a reload was rejected; `policy` is the one that holds from now on.
    pub fn policy(
        &self,
        now: Timestamp,
        result: PolicyResult,
        error: Option<&str>,
        policy: PolicyRef,
    ) -> Result<(), Unavailable> {
        let room = self.shared.own.clone().try_acquire_owned().map_err(|_| Unavailable::Full)?;
        let mut record = PolicyRecord {
            schema: record::SCHEMA,
            kind: "policy",
            id: Uuid::now_v7(),
            sequence: 0,
            time: now,
            gateway: self.shared.gateway.clone(),
            floor: self.shared.floor,
            result,
            error: error.map(|error| Text::new(error, REASON_MAX)),
            policy,
        };
        self.shared.queue.push(room, |sequence| {
            record.sequence = sequence;
            Item::Policy(Box::new(record))
        })
    }

    /// Bring the gauge of the queue up to date, before metrics are rendered.
    pub fn observe(&self) {
        self.shared.metrics.evidence_queue.set(f64::from(self.shared.queue.used()));
    }

    /// The decisions of the last moments.
    pub fn recent(&self) -> &Recent {
        &self.shared.recent
    }

    /// Take no more reservations, wait until every record is out or `deadline` has passed, and end the writer.
    ///
    /// Live connections are to be closed first: their closing records are waited for as well.
    pub async fn flush(&self, deadline: Duration) -> Flushed {
        self.shared.queue.drain();
        let emptied = async {
            self.shared.queue.emptied().await;
            let _ = self.shared.own.acquire_many(OWN_ROOM).await;
        };
        let flushed = match tokio::time::timeout(deadline, emptied).await {
            Ok(()) => Flushed::All,
            Err(_) => Flushed::Left(self.shared.queue.used()),
        };
        self.shared.queue.stop();
        flushed
    }
}

/// With the last holder gone nothing more can come: the writer writes what there is, and ends.
impl Drop for Shared {
    fn drop(&mut self) {
        self.queue.stop();
    }
}

impl Shared {
    /// Stamp, queue and remember a decision; the record comes back where it could not be queued.
    fn decide(
        &self,
        id: Uuid,
        record: DecisionRecord,
        room: OwnedSemaphorePermit,
    ) -> Result<Arc<DecisionRecord>, (Unavailable, Arc<DecisionRecord>)> {
        let mut record = Arc::new(DecisionRecord { id, gateway: self.gateway.clone(), floor: self.floor, ..record });
        let pushed = self.queue.push(room, |sequence| {
            // Nobody else holds it yet, so nothing is copied.
            Arc::make_mut(&mut record).sequence = sequence;
            Item::Decision(record.clone())
        });
        match pushed {
            Ok(()) => {
                self.metrics.decided(&record);
                self.recent.remember(record.clone());
                Ok(record)
            }
            Err(unavailable) => Err((unavailable, record)),
        }
    }

    /// As [`Shared::decide`], where the answer does not hang on it.
    fn refused(&self, id: Uuid, record: DecisionRecord, room: OwnedSemaphorePermit) -> Arc<DecisionRecord> {
        self.decide(id, record, room).unwrap_or_else(|(_, record)| {
            self.metrics.evidence_lost.increment(1);
            record
        })
    }

    /// Who and where, for the readable line of a close.
    fn label(&self, record: &DecisionRecord) -> Option<Box<str>> {
        let allowed = self.labels && record.effect == Effect::Allow;
        allowed.then(|| line::who_and_where(record).into())
    }
}

#[cfg(test)]
pub(crate) mod tests;
