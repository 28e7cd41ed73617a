//! Evidence: what is written of every decision and every connection's end. No evidence, no egress.
//!
//! [`Evidence::reserve`] takes room before anything leaves the gateway; [`Reservation::admit`] or
//! [`Reservation::refuse`] fills it with the decision, [`Admission::close`] with the end. Room is given back only when
//! a record is out of the gateway (written to standard output and taken by the collector, as far as configured), so an
//! outage fills the queue and then refuses connections: nothing is ever lost to make way.

use std::io::Write as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use gatepass_policy::decision::Effect;
use jiff::Timestamp;
use tokio::sync::watch;
use uuid::Uuid;

use crate::clock::Clock;
use crate::metrics::Metrics;

pub mod record;

pub mod parts;

pub mod words;

pub mod text;

mod settings;

mod spelling;

mod compose;

mod reservation;

mod act;

mod room;

mod first_seen;

mod queue;

mod wire;

mod encode;

pub mod recent;

pub mod fields;

pub mod stdout;

pub mod spool;

pub mod log;

pub mod line;

pub mod otlp;

pub mod sinks;

pub mod ship;

pub mod questions;

pub mod verify;

pub use act::{Act, By, Detail, Details, RoomOf};
pub use queue::{Durability, Unavailable};
pub use record::{CloseRecord, DecisionRecord, PolicyRecord};
pub use reservation::{Admission, Close, Counters, Reservation};
pub use room::Full;
pub use settings::{Limits, Paths, Settings};
pub use stdout::{Colour, Format, Output};

use encode::Encoded;
use first_seen::FirstSeen;
use parts::PolicyRef;
use queue::{Entry, Item, Queue};
use recent::Recent;
use room::{Room, Space};
use spool::SpoolError;
use text::{REASON_MAX, Text};
use words::{FloorMark, PolicyResult};

/// Room that policy records have of their own, so that a full queue does not hide that the policy changed.
const OWN_ROOM: u32 = 64;

/// What every holder of a reservation shares.
pub(crate) struct Shared {
    gateway: Text,
    floor: Option<FloorMark>,
    observe: Option<Timestamp>,
    clock: Clock,
    queue: Arc<Queue>,
    /// The own room of policy records.
    own: Arc<tokio::sync::Semaphore>,
    recent: Arc<Recent>,
    metrics: Arc<Metrics>,
    /// Whether closes carry who and where, for the readable line.
    labels: bool,
    first_seen: FirstSeen,
    /// How durable an admission is at least.
    durability: Durability,
    commit_timeout: Duration,
    paths: Paths,
}

/// The handle that connections use. Cheap to clone.
#[derive(Clone)]
pub struct Evidence {
    shared: Arc<Shared>,
    /// The last record that stands; closed when the writer has ended.
    written: watch::Receiver<u64>,
    /// Closed when the last line is out.
    printed: Option<watch::Receiver<()>>,
    shipped: Arc<[ship::Shipped]>,
}

/// Whether everything was out in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flushed {
    /// Every record stands in the spool, and every sink has it.
    All,
    /// Every record stands in the spool; some sink lacks so many, and gets them after the next start.
    Spooled(u64),
    /// So many do not stand.
    Left(u32),
}

/// Why evidence could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It cannot be told how far a sink has the records.
    #[error("the cursor of a sink cannot be used: {0}")]
    Cursor(std::io::Error),
    /// The spool cannot be used.
    #[error(transparent)]
    Spool(#[from] spool::SpoolError),
    /// The writer's thread could not be started.
    #[error("the evidence writer could not be started: {0}")]
    Thread(std::io::Error),
}

impl Evidence {
    /// Open the spool, and start the writer, a thread of its own, and the exporter, a task of the current tokio runtime.
    pub fn start(settings: Settings, metrics: Arc<Metrics>) -> Result<Evidence, StartError> {
        let Settings { gateway, floor, observe, clock, paths, spool, output, sinks, limits } = settings;
        let space = Arc::new(Space::new(spool.max_size, spool.full));
        let unusable = |error| SpoolError::Io { path: spool.directory.clone(), error };
        spool::make_directory(&spool.directory).map_err(unusable)?;
        let (first_seen, journal) = FirstSeen::open(&spool.directory, limits.first_seen).map_err(unusable)?;
        let shared = Arc::new(Shared {
            gateway: Text::name(&gateway),
            floor,
            observe,
            clock: clock.clone(),
            queue: Arc::new(Queue::new(limits.queue, Arc::clone(&space), limits.checkpoint_records)),
            own: Arc::new(tokio::sync::Semaphore::new(usize::try_from(OWN_ROOM).unwrap_or(usize::MAX))),
            recent: Arc::new(Recent::new(limits.recent)),
            metrics,
            labels: output.as_ref().is_some_and(Output::is_text),
            first_seen,
            durability: spool.durability,
            commit_timeout: limits.commit_timeout,
            paths,
        });
        shared.metrics.evidence_queue_limit.set(f64::from(limits.queue));
        let output = output.map(|output| stdout::start(output, &shared.queue, limits));
        let (lines, printed) = output.transpose().map_err(StartError::Thread)?.unzip();
        let signature = spool::Signature { gateway: shared.gateway.clone(), floor, clock };
        let positions = Arc::new(OnceLock::new());
        let written = spool::start(&spool, signature, &shared, (lines, journal), positions.clone(), limits)?;
        let ship = |sink| {
            let settings = ship::Settings { sink, spool: spool.directory.clone(), limits: limits.shipping };
            ship::start(settings, written.clone(), shared.metrics.clone()).map_err(StartError::Cursor)
        };
        let shipped: Vec<ship::Shipped> = sinks.into_iter().map(ship).collect::<Result<_, _>>()?;
        // Until this is set nothing counts as delivered.
        let _ = positions.set(shipped.iter().map(ship::Shipped::positions).collect());
        Ok(Evidence { shared, written, printed, shipped: shipped.into() })
    }

    /// Take room for one decision and its close, before anything leaves the gateway.
    pub fn reserve(&self) -> Result<Reservation, Unavailable> {
        match self.shared.queue.reserve() {
            Ok(room) => Ok(Reservation::new(self.shared.clone(), room)),
            Err(unavailable) => {
                self.shared.metrics.evidence_unavailable.increment(1);
                Err(unavailable)
            }
        }
    }

    /// Whether a reservation would be given now, for `/ready`.
    pub fn available(&self) -> Result<(), Unavailable> {
        self.shared.queue.has_room()
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
        let record = PolicyRecord {
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
        let item = Item::Policy(Box::new(record));
        let encoded = Encoded::of(&item, self.shared.queue.buffer());
        let (room, durability) = (Some(Room::own(room)), Durability::Interval);
        self.shared.queue.push(Entry { item, encoded, room, durability, waiter: None, first: None })
    }

    /// Records that wait, and those that live connections will still write.
    pub fn waiting(&self) -> u32 {
        self.shared.queue.used()
    }

    /// Bring the gauges of what waits up to date, before metrics are rendered or exported.
    pub fn observe(&self) {
        self.shared.metrics.evidence_queue.set(f64::from(self.shared.queue.used()));
        let last = *self.written.borrow();
        self.shipped.iter().for_each(|shipped| shipped.observe(last));
    }

    /// The decisions of the last moments.
    pub fn recent(&self) -> &Recent {
        &self.shared.recent
    }

    /// Take no more reservations, wait until every record stands or `deadline` has passed, and end the writer.
    ///
    /// Live connections are to be closed first: their closing records are waited for as well.
    pub async fn flush(&self, deadline: Duration) -> Flushed {
        let end = tokio::time::Instant::now() + deadline;
        self.shared.queue.drain();
        let emptied = async {
            self.shared.queue.emptied().await;
            let _ = self.shared.own.acquire_many(OWN_ROOM).await;
        };
        let flushed = match tokio::time::timeout_at(end, emptied).await {
            Ok(()) => Flushed::All,
            Err(_) => Flushed::Left(self.shared.queue.used()),
        };
        self.shared.queue.stop();
        let (mut written, mut printed) = (self.written.clone(), self.printed.clone());
        let ended = async {
            while written.changed().await.is_ok() {}
            if let Some(printed) = &mut printed {
                let _ = printed.changed().await;
            }
        };
        // The last checkpoint gets a moment even where there is no time left; the disk may hang all the same.
        let _ = tokio::time::timeout_at(end.max(tokio::time::Instant::now() + LAST_CHECKPOINT), ended).await;
        match flushed {
            Flushed::All => self.delivered(end).await,
            Flushed::Spooled(_) | Flushed::Left(_) => flushed,
        }
    }

    /// Give the sinks what is left of the time to take what they do not have.
    async fn delivered(&self, end: tokio::time::Instant) -> Flushed {
        let last = *self.written.borrow();
        let mut missing = 0;
        for shipped in self.shipped.iter() {
            let left = end.saturating_duration_since(tokio::time::Instant::now());
            match shipped.drained(last, left).await {
                ship::Drained::All => {}
                ship::Drained::Left(records) => missing = records.max(missing),
            }
        }
        if missing == 0 { Flushed::All } else { Flushed::Spooled(missing) }
    }
}

/// How long the last checkpoint may take to be written.
const LAST_CHECKPOINT: Duration = Duration::from_secs(2);

/// With the last holder gone nothing more can come: the writer writes what there is, and ends.
impl Drop for Shared {
    fn drop(&mut self) {
        self.queue.stop();
    }
}

/// Twice as long, up to the longest.
fn next_pause(pause: Duration, longest: Duration) -> Duration {
    pause.saturating_mul(2).min(longest)
}

/// Tell the operator. Standard error may be closed, and then there is nobody to tell.
fn alarm(what: &str) {
    let _ = writeln!(std::io::stderr(), "gatepass: {what}");
}

impl Shared {
    /// The end of observing, while it lasts.
    fn observes(&self) -> Option<Timestamp> {
        self.observe.filter(|until| self.clock.now() < *until)
    }

    /// Put on a decision what every record of this gateway has.
    fn stamp(&self, id: Uuid, record: &mut Arc<DecisionRecord>) {
        // Nobody else holds it yet, so nothing is copied.
        let stamped = Arc::make_mut(record);
        stamped.id = id;
        stamped.gateway = self.gateway.clone();
        stamped.floor = self.floor;
        stamped.observe = self.observes();
        match self.paths {
            Paths::Keep => {}
            Paths::Drop => stamped.forget_path(),
        }
    }

    /// The stronger of what is configured and what is demanded.
    fn durability(&self, demanded: Durability) -> Durability {
        match (self.durability, demanded) {
            (Durability::Interval, Durability::Interval) => Durability::Interval,
            (Durability::Synced, _) | (_, Durability::Synced) => Durability::Synced,
        }
    }

    /// Who and where, for the readable line of a close.
    fn label(&self, record: &DecisionRecord) -> Option<Box<str>> {
        let allowed = self.labels && record.effect == Effect::Allow;
        allowed.then(|| line::label(record).into())
    }
}

#[cfg(test)]
pub(crate) mod tests;
