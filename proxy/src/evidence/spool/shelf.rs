//! Sealed segments: how long they stay, and which go first.
//!
//! A segment goes when every sink has its records, a copy is in the archive (where one is set), its leaves stand in full
//! tiles, and it is older than `keep`; earlier if its place is wanted. Where `when_full` is `drop_oldest` it goes whatever
//! the sinks have, and a gap record says which records went.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::disk::Extent;
use super::segment::file_name;
use crate::evidence::alarm;
use crate::evidence::record::Gap;
use crate::evidence::room::{Full, Space};
use crate::evidence::words::GapCause;
use crate::metrics::Metrics;

/// A segment that is not written any more.
#[derive(Clone, Copy, Debug)]
pub(in crate::evidence) struct Sealed {
    pub first: u64,
    pub last: u64,
    pub bytes: u64,
    /// When it was last written.
    pub at: SystemTime,
}

impl Sealed {
    /// The run of dropped segments that this one is the end of.
    fn joined_to(self, before: Option<Gap>) -> Gap {
        let (first, bytes) = match before {
            Some(Gap { first: Some(first), bytes, .. }) => (first, bytes.unwrap_or(0)),
            Some(_) | None => (self.first, 0),
        };
        Gap { cause: GapCause::Dropped, first: Some(first), last: Some(self.last), bytes: Some(bytes + self.bytes) }
    }
}

/// What went although a sink did not have it.
pub(in crate::evidence) struct Dropped {
    /// How many records went just now.
    pub records: u64,
    /// All that went one after the other, with what went before.
    pub run: Gap,
}

/// Tells the last record that every sink has.
pub(in crate::evidence) type Delivered = Box<dyn Fn() -> u64 + Send>;

/// The sealed segments, oldest first.
pub(in crate::evidence) struct Shelf {
    directory: PathBuf,
    archive: Option<PathBuf>,
    keep: Duration,
    full: Full,
    /// Bytes that segments may take in all.
    limit: u64,
    delivered: Delivered,
    sealed: VecDeque<Sealed>,
    /// The last record that is in the archive.
    archived: u64,
    /// What went in one run although a sink did not have it. Each gap record tells the whole run, for the record that told
    /// its beginning may be among what goes next.
    dropped: Option<Gap>,
    complained: bool,
}

/// What holds for a segment whose place is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Haste {
    /// It stays its time.
    None,
    /// It goes as soon as it may.
    Wanted,
}

impl Shelf {
    pub fn new(
        directory: &Path,
        archive: Option<&Path>,
        keep: Duration,
        space: &Space,
        delivered: Delivered,
        sealed: VecDeque<Sealed>,
    ) -> Shelf {
        Shelf {
            directory: directory.to_owned(),
            archive: archive.map(Path::to_owned),
            keep,
            full: space.full(),
            limit: space.limit(),
            delivered,
            sealed,
            archived: 0,
            dropped: None,
            complained: false,
        }
    }

    /// A segment was ended.
    pub fn sealed(&mut self, first: u64, extent: Extent) {
        self.sealed.push_back(Sealed { first, last: extent.last, bytes: extent.end, at: SystemTime::now() });
    }

    /// Bytes of all sealed segments.
    pub fn bytes(&self) -> u64 {
        self.sealed.iter().map(|segment| segment.bytes).sum()
    }

    /// Let go what may go, with `wanted` bytes on disk or promised. `cover` brings the leaf hashes up to a record to the
    /// disk. Returns what went although a sink did not have it, if anything did.
    pub fn tend(&mut self, wanted: u64, mut cover: impl FnMut(u64) -> bool) -> Option<Dropped> {
        self.archive_all();
        let mut freed = 0;
        let mut records = 0;
        while let Some(oldest) = self.sealed.front().copied() {
            let after = wanted.saturating_sub(freed);
            // Well before the limit, so that no reservation is refused for the sake of what everybody has.
            let haste = if after > self.limit / 8 * 7 { Haste::Wanted } else { Haste::None };
            let delivered = oldest.last <= (self.delivered)();
            let may = delivered && self.is_archived(oldest) && self.is_old(oldest, haste);
            let must = self.full == Full::DropOldest && after > self.limit;
            if !(may || must) || !cover(oldest.last) || !self.remove_oldest() {
                break;
            }
            freed += oldest.bytes;
            if delivered {
                self.dropped = None;
            } else {
                records += oldest.last - oldest.first + 1;
                self.dropped = Some(oldest.joined_to(self.dropped.take()));
            }
        }
        let run = self.dropped.filter(|_| records > 0)?;
        Some(Dropped { records, run })
    }

    /// The disk is full: let the oldest segment go that everybody has; false where there is none.
    pub fn make_room(&mut self, mut cover: impl FnMut(u64) -> bool) -> bool {
        let oldest = self.sealed.front().copied();
        let may = oldest
            .is_some_and(|oldest| oldest.last <= (self.delivered)() && self.is_archived(oldest) && cover(oldest.last));
        may && self.remove_oldest()
    }

    fn is_archived(&self, segment: Sealed) -> bool {
        self.archive.is_none() || segment.last <= self.archived
    }

    fn is_old(&self, segment: Sealed, haste: Haste) -> bool {
        // A clock that was set back makes nothing old.
        let age = SystemTime::now().duration_since(segment.at).unwrap_or(Duration::ZERO);
        haste == Haste::Wanted || age >= self.keep
    }

    fn remove_oldest(&mut self) -> bool {
        let Some(oldest) = self.sealed.front() else { return false };
        match std::fs::remove_file(self.directory.join(file_name(oldest.first))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                self.complain("a segment cannot be removed", &error);
                false
            }
            Ok(()) | Err(_) => {
                self.sealed.pop_front();
                true
            }
        }
    }

    fn archive_all(&mut self) {
        let Some(archive) = self.archive.clone() else { return };
        for segment in self.sealed.iter().filter(|segment| segment.last > self.archived).copied().collect::<Vec<_>>() {
            if let Err(error) = copy(&self.directory, &archive, &file_name(segment.first)) {
                return self.complain("a segment cannot be archived", &error);
            }
            self.archived = segment.last;
        }
    }

    fn complain(&mut self, what: &str, error: &io::Error) {
        if !std::mem::replace(&mut self.complained, true) {
            alarm(&format!("evidence: {what}: {error}"));
        }
    }

    /// Bring the gauges up to date.
    pub fn observe(&self, metrics: &Metrics, space: &Space) {
        let oldest = self.sealed.iter().find(|segment| segment.last > (self.delivered)());
        let age = oldest.and_then(|segment| SystemTime::now().duration_since(segment.at).ok());
        metrics.spool(space.used(), space.limit(), age.unwrap_or_default());
    }
}

/// Copy a file under the same name, complete or not at all.
fn copy(from: &Path, to: &Path, name: &str) -> io::Result<()> {
    let (source, target) = (from.join(name), to.join(name));
    if target.exists() {
        return Ok(());
    }
    let new = target.with_extension("new");
    std::fs::copy(&source, &new)?;
    File::open(&new)?.sync_all()?;
    std::fs::rename(&new, &target)?;
    File::open(to)?.sync_all()
}
