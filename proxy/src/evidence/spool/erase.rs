//! Erasure: the bytes of a record go, its leaf hash stays in its place, so that the log verifies as before.
//!
//! Only segments that do not grow any more are rewritten, each whole, beside the old one, and put in its place.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::directory;
use super::segment::{self, Fault, Frame, Reader};
use crate::evidence::questions::row::{Kind, Row};

/// Connections whose ends are looked for: sixteen bytes each.
const IDS_MAX: usize = 4_000_000;

/// Which records go. Checkpoints, gaps and policies say nothing of a person, and verification needs them: they stay.
#[derive(Clone, Debug)]
pub enum Wish {
    /// Those of this identity, and the ends of its connections.
    Identity(String),
    /// Decisions and ends before this moment, in microseconds.
    Before(i64),
    /// One decision and its end.
    Id(String),
}

/// Whether records go that not every sink has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unshipped {
    /// They stay.
    Keep,
    /// They go: no sink will ever get them.
    Erase,
}

/// Whether anything is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    /// It is.
    Real,
    /// It is only counted.
    Dry,
}

/// What was erased, and what was not.
#[derive(Clone, Debug, Default)]
pub struct Erased {
    /// Records that were erased.
    pub records: u64,
    /// Segments that were rewritten.
    pub segments: u64,
    /// Records that stay because they are in the newest segment.
    pub open: u64,
    /// Records that stay because a sink does not have them yet.
    pub unshipped: u64,
    /// Segments that cannot be read, and why: they are left as they are.
    pub damaged: Vec<String>,
}

/// An erasure in one spool and its archives.
#[derive(Debug)]
pub struct Erasure {
    wish: Wish,
    unshipped: Unshipped,
    run: Run,
    /// The last record that every sink has.
    shipped: u64,
    /// Connections of which the decision matched.
    ids: HashSet<u128>,
    erased: Erased,
}

/// Where a segment stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In the spool, and it does not grow any more.
    Sealed,
    /// In the spool, the newest.
    Open,
    /// In a quarantine or an archive: out of every sink's way.
    Aside,
}

impl Erasure {
    /// Prepare one for this spool.
    ///
    /// # Errors
    ///
    /// Where a cursor cannot be read.
    pub fn new(directory: &Path, wish: Wish, unshipped: Unshipped, run: Run) -> io::Result<Erasure> {
        let shipped = shipped(directory)?;
        Ok(Erasure { wish, unshipped, run, shipped, ids: HashSet::new(), erased: Erased::default() })
    }

    /// Go through the spool, its quarantine, and these archives.
    ///
    /// # Errors
    ///
    /// Where a file cannot be read or written. What was rewritten until then is whole, and it can be run again.
    pub fn run(mut self, spool: &Path, archives: &[PathBuf]) -> io::Result<Erased> {
        // The end of a connection may stand in a later place than its decision: archives are the oldest.
        for archive in archives {
            for segment in directory::segments(archive)? {
                self.segment(&segment.path, Place::Aside)?;
            }
        }
        let segments = directory::segments(spool)?;
        for (place, segment) in segments.iter().enumerate() {
            let newest = place + 1 == segments.len();
            self.segment(&segment.path, if newest { Place::Open } else { Place::Sealed })?;
        }
        for path in aside(&spool.join(directory::QUARANTINE))? {
            self.segment(&path, Place::Aside)?;
        }
        Ok(self.erased)
    }

    fn segment(&mut self, path: &Path, place: Place) -> io::Result<()> {
        let chosen = match self.chosen(path, place) {
            Ok(chosen) => chosen,
            // A segment that retention has just removed.
            Err(Fault::Io(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(Fault::Io(error)) => return Err(error),
            // A frame that is not finished.
            Err(Fault::Torn { .. }) if place == Place::Open => return Ok(()),
            Err(fault) => {
                self.erased.damaged.push(format!("`{}`: {fault}", path.display()));
                return Ok(());
            }
        };
        if chosen.is_empty() || (self.run == Run::Real && !rewrite(path, &chosen)?) {
            return Ok(());
        }
        self.erased.records += chosen.len() as u64;
        self.erased.segments += 1;
        Ok(())
    }

    /// The records of a segment that are erased, in their order.
    fn chosen(&mut self, path: &Path, place: Place) -> Result<Vec<u64>, Fault> {
        let mut reader = Reader::open(File::open(path)?)?;
        let mut chosen = Vec::new();
        while let Some((sequence, frame)) = reader.next()? {
            match frame {
                Frame::Record(record) if self.goes(sequence, &record, place) => chosen.push(sequence),
                Frame::Record(_) | Frame::Erased(_) => {}
            }
        }
        Ok(chosen)
    }

    /// Whether a record is erased; what is wished and cannot be is counted.
    fn goes(&mut self, sequence: u64, record: &[u8], place: Place) -> bool {
        let Ok(row) = Row::of_bytes(record) else { return false };
        if !self.is_wished(&row) {
            return false;
        }
        match place {
            Place::Open => self.erased.open += 1,
            Place::Sealed if sequence > self.shipped && self.unshipped == Unshipped::Keep => self.erased.unshipped += 1,
            Place::Sealed | Place::Aside => return true,
        }
        false
    }

    fn is_wished(&mut self, row: &Row<'_>) -> bool {
        let id = || Uuid::try_parse(row.id).ok().map(|id| id.as_u128());
        match (row.kind, &self.wish) {
            (Kind::Decision, Wish::Identity(identity)) if row.identity == identity => {
                if let Some(id) = id().filter(|_| row.outcome == "admitted" && self.ids.len() < IDS_MAX) {
                    self.ids.insert(id);
                }
                true
            }
            (Kind::Close, Wish::Identity(_)) => id().is_some_and(|id| self.ids.contains(&id)),
            (Kind::Decision | Kind::Close, Wish::Before(moment)) => row.time < *moment,
            (Kind::Decision | Kind::Close, Wish::Id(id)) => row.id == id,
            (Kind::Decision, Wish::Identity(_)) => false,
            (Kind::Policy | Kind::Grant | Kind::Exception | Kind::Checkpoint | Kind::Other, _) => false,
        }
    }
}

/// The last record that every sink has; without sinks nothing waits for one.
fn shipped(directory: &Path) -> io::Result<u64> {
    let entries = match std::fs::read_dir(directory.join("cursor")) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(u64::MAX),
        Err(error) => return Err(error),
    };
    let mut least = None;
    for entry in entries {
        let entry = entry?;
        // A cursor that is being written has another name until it is whole.
        if entry.path().extension().is_some() || entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let text = std::fs::read_to_string(entry.path())?;
        let json: serde_json::Value = serde_json::from_str(text.trim()).unwrap_or_default();
        // One that says nothing says that the sink has nothing.
        let sequence = json.get("sequence").and_then(serde_json::Value::as_u64).unwrap_or(0);
        least = Some(least.map_or(sequence, |least: u64| least.min(sequence)));
    }
    // Cursors are made with the first delivery, their folder before it: there is a sink, and it has nothing.
    Ok(least.unwrap_or(0))
}

/// Segments by any name.
fn aside(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    paths.retain(|path| path.to_string_lossy().ends_with(segment::SUFFIX));
    paths.sort();
    Ok(paths)
}

/// Put a segment without these records in the place of the old one, whole or not at all; false where that is gone
/// meanwhile.
fn rewrite(path: &Path, chosen: &[u64]) -> io::Result<bool> {
    let old = File::open(path)?;
    let beside = path.with_extension("erasing");
    let mut new = File::create(&beside)?;
    new.set_permissions(old.metadata()?.permissions())?;
    let copied = copy_without(chosen, old, &mut new).and_then(|()| new.sync_all());
    // A gateway that removed it has done more than was asked.
    if copied.is_err() || !path.try_exists()? {
        std::fs::remove_file(&beside)?;
        return copied.map(|()| false);
    }
    std::fs::rename(&beside, path)?;
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(true)
}

fn copy_without(chosen: &[u64], from: File, to: &mut File) -> io::Result<()> {
    let mut to = BufWriter::with_capacity(256 << 10, to);
    let mut reader = Reader::open(from).map_err(io::Error::other)?;
    to.write_all(&reader.header().encode())?;
    let mut bytes = Vec::new();
    while let Some((sequence, frame)) = reader.next().map_err(io::Error::other)? {
        bytes.clear();
        match frame {
            Frame::Erased(leaf) => segment::write_erased(&leaf, &mut bytes),
            Frame::Record(record) if chosen.binary_search(&sequence).is_ok() => {
                let leaf = Sha256::new().chain_update([0]).chain_update(&record).finalize();
                segment::write_erased(&leaf.into(), &mut bytes);
            }
            Frame::Record(record) => segment::write_frame(&[&record], &mut bytes),
        }
        to.write_all(&bytes)?;
    }
    to.flush()
}
