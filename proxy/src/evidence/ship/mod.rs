//! From the spool to a sink, at least once: read in batches, sent until the sink has them, and only then counted.
//!
//! [`start`] runs one such way as a task of the current runtime. Several batches are under way at once; the cursor
//! moves over those that are through without a gap before them, and is on the disk before [`Shipped::position`] tells.

pub mod otlp;

pub mod tls;

pub mod cursor;

mod piece;

mod sink;

mod health;

mod deliver;

mod quarantine;

mod way;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use metrics::Gauge;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::evidence::alarm;
use crate::metrics::Metrics;
use cursor::{Cursor, Standing};
use deliver::Delivery;
use health::Health;
use way::Way;

pub use sink::Sink;

/// The bounds of one way to a sink.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Records in one batch.
    pub records: usize,
    /// Bytes of records in one batch, unless a single one is larger.
    pub bytes: usize,
    /// Batches that are read and not yet through.
    pub in_flight: usize,
    /// The first pause after a failure.
    pub retry_first: Duration,
    /// The longest pause.
    pub retry_longest: Duration,
}

/// One way to a sink.
#[derive(Debug)]
pub struct Settings {
    /// Where to.
    pub sink: Sink,
    /// The spool's directory.
    pub spool: PathBuf,
    /// Bounds.
    pub limits: Limits,
}

/// A running way to a sink.
#[derive(Debug)]
pub struct Shipped {
    position: watch::Receiver<u64>,
    behind: Gauge,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// Whether a sink has everything that it should have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// It has.
    All,
    /// The time was up; so many records are missing there.
    Left(u64),
}

/// Start shipping, as a task of the current runtime. Blocks on small files.
///
/// `written` is the sequence number of the last record in the spool, from the moment of this call on: a cursor beyond
/// it counts as one that is at it, since the records between were lost with the machine and their numbers come again.
///
/// # Errors
/// The cursor cannot be read or written.
pub fn start(settings: Settings, written: watch::Receiver<u64>, metrics: Arc<Metrics>) -> io::Result<Shipped> {
    let Settings { sink, spool, limits } = settings;
    let cursor = Cursor::of(&spool, sink.name().as_str())?;
    let from = begin(&cursor, *written.borrow())?;
    let health = Health::new(sink.title());
    let (position, seen) = watch::channel(from);
    let (stop, stopped) = watch::channel(false);
    let metrics = metrics.sink(sink.name()).clone();
    let behind = metrics.behind.clone();
    let delivery = Delivery { sink, spool, limits, health, metrics };
    let way = Way::new(Arc::new(delivery), cursor, from, position);
    Ok(Shipped { position: seen, behind, stop, task: tokio::spawn(way.run(written, stopped)) })
}

/// The sequence number of the last record that the sink has.
fn begin(cursor: &Cursor, written: u64) -> io::Result<u64> {
    let (at, why) = match cursor.load()? {
        Standing::New => return Ok(0),
        Standing::At(sequence) if sequence <= written => return Ok(sequence),
        Standing::At(sequence) => (written, format!("says {sequence}, and the last record is {written}")),
        Standing::Damaged(why) => (0, format!("is damaged ({why})")),
    };
    let path = cursor.path();
    alarm(&format!("evidence: `{}` {why}; records are sent from {} on, some perhaps again", path.display(), at + 1));
    // At once: new records may pass the old number before the sink takes the first of them.
    cursor.reset(at)?;
    Ok(at)
}

impl Shipped {
    /// The sink has every record up to this one, and that is on the disk: the spool need not keep them for its sake.
    pub fn position(&self) -> u64 {
        *self.position.borrow()
    }

    /// Bring the gauge of what the sink does not have up to date, with this the last record in the spool.
    pub(super) fn observe(&self, last: u64) {
        self.behind.set(last.saturating_sub(self.position()) as f64);
    }

    /// Tells each new [`Shipped::position`].
    pub fn positions(&self) -> watch::Receiver<u64> {
        self.position.clone()
    }

    /// Wait until the sink has every record up to `sequence`, at most this long.
    pub async fn drained(&self, sequence: u64, deadline: Duration) -> Drained {
        let mut position = self.position.clone();
        // The sender goes only with the task, and then nothing more arrives.
        let reached = async { position.wait_for(|position| *position >= sequence).await.is_ok() };
        match tokio::time::timeout(deadline, reached).await {
            Ok(true) => Drained::All,
            Ok(false) | Err(_) => Drained::Left(sequence.saturating_sub(self.position())),
        }
    }

    /// End. What is under way is given up, and sent again by the next start.
    pub async fn stop(self) {
        // An error would mean that the task is gone already.
        let _ = self.stop.send(true);
        let _ = self.task.await;
    }
}
