//! The spool: every record on disk before it counts, in segments of a directory.
//!
//! ```text
//! DIRECTORY/
//!   segments/NNNNNNNNNNNNNNNNNNNN.seg    the records (see `segment`)
//!   quarantine/NAME.seg                  records that a collector rejected for good
//!   damaged/NAME                         what a recovery cut off
//!   cursor/SINK                          how far each sink has them
//!   tile/L/N, checkpoint, log.pub, signing.key    the Merkle log
//!   lock                                 one gateway at a time
//! ```

pub mod segment;

pub mod directory;

pub mod follow;

pub mod erase;

mod disk;

mod syncer;

mod ledger;

mod shelf;

mod recover;

mod unclosed;

mod writer;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ledger::Ledger;
pub(super) use ledger::Signature;
pub use recover::SpoolError;
pub(super) use recover::make_directory;
use recover::{Author, Recovered};
use shelf::{Delivered, Shelf};
use tokio::sync::watch;
use unclosed::Run;
use writer::Parts;

use super::first_seen::Journal;
use super::queue::Durability;
use super::room::Full;
use super::stdout::Lines;
use super::{Limits, Shared, StartError};

/// Where records are kept, and for how long.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The directory.
    pub directory: PathBuf,
    /// Bytes of all segments.
    pub max_size: u64,
    /// What a full spool does.
    pub full: Full,
    /// How long records stay after every sink has them.
    pub keep: Duration,
    /// Where sealed segments are copied before they go.
    pub archive: Option<PathBuf>,
    /// How durable a record is before its connection goes on.
    pub durability: Durability,
}

/// Open the spool and start its writer. Returns where the last record that stands is told.
pub(super) fn start(
    settings: &Settings,
    signature: Signature,
    shared: &Shared,
    (lines, journal): (Option<Lines>, Journal),
    positions: Arc<OnceLock<Vec<watch::Receiver<u64>>>>,
    limits: Limits,
) -> Result<watch::Receiver<u64>, StartError> {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let author = Author {
        gateway: signature.gateway.as_str().to_owned(),
        run: uuid::Uuid::now_v7().to_string(),
        host: (!name.is_empty()).then_some(name),
    };
    let Recovered { disk, store, tree, sealed, gap, unclosed, lock } = recover::open(&settings.directory, &author)?;
    // The last record that every sink has; none as long as it is not known which sinks there are.
    let delivered: Delivered = Box::new(move || {
        let positions = positions.get();
        positions.map_or(0, |sinks| sinks.iter().map(|position| *position.borrow()).min().unwrap_or(u64::MAX))
    });
    let segments = settings.directory.join("segments");
    if let Some(archive) = &settings.archive {
        std::fs::create_dir_all(archive).map_err(|error| SpoolError::Io { path: archive.clone(), error })?;
    }
    let (archive, space) = (settings.archive.as_deref(), shared.queue.space());
    let shelf = Shelf::new(&segments, archive, settings.keep, space, delivered, sealed);
    let (written, watched) = watch::channel(tree.size());
    let parts = Parts {
        queue: shared.queue.clone(),
        metrics: shared.metrics.clone(),
        recent: shared.recent.clone(),
        // A spool of few segments could not let go of one without letting go of much.
        limits: Limits { segment_bytes: limits.segment_bytes.min(settings.max_size / 16), ..limits },
        disk,
        ledger: Ledger::new(store, tree, signature),
        shelf,
        lines,
        journal,
        written,
        gap,
        unclosed,
        run: Run::of(&settings.directory),
        lock,
    };
    writer::start(parts).map_err(StartError::Thread)?;
    Ok(watched)
}
