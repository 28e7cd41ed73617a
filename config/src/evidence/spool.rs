//! `evidence.spool`: where every record stays first, how much room it has, and how long records remain.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::limits::Limits;
use crate::node::Node;
use crate::problem::Located;
use crate::reading::{Reading, optional};

/// The spool. There always is one: without it an outage of whatever takes records would lose them.
#[derive(Clone, Debug)]
pub struct Spool {
    /// A directory, made where it is not there yet.
    pub directory: Located<PathBuf>,
    /// Bytes that it may take.
    pub max_size: u64,
    /// What happens when it has taken them.
    pub when_full: WhenFull,
    /// How long a record remains for questions after every sink has it.
    pub keep: Duration,
    /// A directory where whole segments are copied before they go.
    pub archive: Option<Located<PathBuf>>,
}

/// What happens when the spool is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// New connections are refused: no evidence, no egress.
    Refuse,
    /// The oldest records go, and a record says which.
    DropOldest,
}

const DIRECTORY: &str = "./gatepass-data/evidence";

/// At 500 bytes a record, two million of them: an outage of nearly six hours at 100 a second.
const MAX_SIZE: u64 = 1 << 30;
const MAX_SIZE_RANGE: (u64, u64) = (16 << 20, 1 << 40);

/// A week: whoever asks about Friday does so on Monday.
const KEEP: Duration = Duration::from_secs(7 * 24 * 60 * 60);
const KEEP_MAX: Duration = Duration::from_secs(3650 * 24 * 60 * 60);

impl Spool {
    pub(super) fn below(directory: &Path) -> Spool {
        Spool {
            directory: Located::nowhere(directory.join(DIRECTORY)),
            max_size: MAX_SIZE,
            when_full: WhenFull::Refuse,
            keep: KEEP,
            archive: None,
        }
    }

    /// Bytes of one segment: room is given back by whole segments, so a small spool has smaller ones than the limit
    /// allows.
    pub fn segment_bytes(&self, limits: &Limits) -> u64 {
        let eighth = self.max_size / 8;
        u64::try_from(limits.evidence_segment_bytes).unwrap_or(u64::MAX).min(eighth)
    }
}

pub(super) fn convert(node: &Node, reading: &mut Reading<'_>) -> Option<Spool> {
    let default = Spool::below(reading.directory);
    let [directory, max_size, when_full, keep, archive] =
        reading.fields(node, ["directory", "max_size", "when_full", "keep", "archive"])?;
    let directory = optional(directory, reading, |node, reading| reading.directory_to_be(node));
    let max_size = optional(max_size, reading, self::max_size);
    let when_full = optional(when_full, reading, |node, reading| {
        reading.choice(node, &[("refuse", WhenFull::Refuse), ("drop_oldest", WhenFull::DropOldest)])
    });
    let keep = optional(keep, reading, self::keep);
    // Not made where it is missing: it is likely a volume that is not mounted.
    let archive = optional(archive, reading, |node, reading| reading.directory(node, "it is a file"));
    let (directory, archive) = (directory?.unwrap_or(default.directory), archive?);
    if let Some(archive) = &archive
        && let Some(place) = &archive.place
        && archive.value.starts_with(&directory.value)
    {
        let help = "name another directory, on a volume of its own if there is one";
        reading.found.error_with_help(place, "the archive lies within the spool, which gives room back", help);
    }
    Some(Spool {
        directory,
        max_size: max_size?.unwrap_or(default.max_size),
        when_full: when_full?.unwrap_or(default.when_full),
        keep: keep?.unwrap_or(default.keep),
        archive,
    })
}

fn max_size(node: &Node, reading: &mut Reading<'_>) -> Option<u64> {
    let size = reading.size(node)?;
    let (least, most) = MAX_SIZE_RANGE;
    if size < least || size > most {
        reading.found.error(&node.place, "`evidence.spool.max_size` goes from 16MiB to 1TiB");
        return None;
    }
    Some(size)
}

fn keep(node: &Node, reading: &mut Reading<'_>) -> Option<Duration> {
    let keep = reading.duration(node)?;
    if keep > KEEP_MAX {
        reading.found.error(&node.place, "`evidence.spool.keep` goes from 0s to 3650d");
        return None;
    }
    Some(keep)
}
