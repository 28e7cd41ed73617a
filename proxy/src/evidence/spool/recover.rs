//! From what is on disk to a spool that goes on: after a clean end, a kill, or a loss of power.
//!
//! Sealed segments were on the disk before the next one was begun, so only the newest can end in the middle of a frame.
//! What cannot be read at its end is kept aside, and a gap record says so. A log that ends before what its own checkpoint
//! signs is no longer whole: it is not gone on with, because that would be a second history under the same name.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::disk::Disk;
use super::segment::{Fault, Frame, Header, Reader, SUFFIX, first_of};
use super::shelf::Sealed;
use super::unclosed::{self, Run};
use crate::evidence::log::{self, Hash, Store, Tree, leaf_hash};
use crate::evidence::record::Gap;
use crate::evidence::words::GapCause;

/// Why a spool cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// A file or directory cannot be made or read.
    #[error("the spool `{path}` cannot be used: {error}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Another process writes it.
    #[error("the spool `{0}` is in use by another gateway: give each its own `evidence.spool.directory`")]
    InUse(PathBuf),
    /// A segment that everything after it depends on cannot be read.
    #[error(
        "the spool's newest segment `{path}` cannot be read ({fault}): `gatepass evidence verify` tells what is whole; \
         move the directory away to begin a new log"
    )]
    Segment {
        /// Which.
        path: PathBuf,
        /// Why.
        fault: Fault,
    },
    /// The Merkle log cannot be gone on with.
    #[error("the spool's log cannot be gone on with: {0}")]
    Log(#[from] log::Error),
    /// Records that a checkpoint signs are gone.
    #[error(
        "the spool `{path}` ends with record {found}, and its checkpoint signs {signed}: records are missing or damaged. \
         `gatepass evidence verify` tells which; move the directory away to begin a new log"
    )]
    Short {
        /// The directory.
        path: PathBuf,
        /// The last record that can be read.
        found: u64,
        /// What was signed.
        signed: u64,
    },
}

/// Who writes: on every segment.
#[derive(Clone, Debug)]
pub(in crate::evidence) struct Author {
    pub gateway: String,
    pub run: String,
    pub host: Option<String>,
}

/// A spool to go on with.
pub(in crate::evidence) struct Recovered {
    pub disk: Disk,
    pub store: Store,
    pub tree: Tree,
    pub sealed: VecDeque<Sealed>,
    /// What a gap record has to tell.
    pub gap: Option<Gap>,
    /// Admissions whose close was lost.
    pub unclosed: Vec<Uuid>,
    /// One gateway at a time, as long as this is open.
    pub lock: File,
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> SpoolError {
    let path = path.to_owned();
    move |error| SpoolError::Io { path, error }
}

/// A directory that its owner alone can read: who reached for what is nobody else's to know. One that is there already
/// keeps the mode it was given.
pub(in crate::evidence) fn make_directory(directory: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// Make the directory, or go on with what is in it.
pub(in crate::evidence) fn open(directory: &Path, author: &Author) -> Result<Recovered, SpoolError> {
    let segments = directory.join("segments");
    make_directory(directory).map_err(io_error(directory))?;
    for needed in [&segments, &directory.join("quarantine"), &directory.join("cursor")] {
        std::fs::create_dir_all(needed).map_err(io_error(needed))?;
    }
    let lock = lock(directory)?;
    let store = Store::open(directory, &author.gateway)?;
    let mut found = list(&segments).map_err(io_error(&segments))?;
    let end = found.last().map(end_of).transpose()?.unwrap_or(End { last: 0, torn_at: None });
    let (size, signed) = (end.last, store.published()?.map_or(0, |checkpoint| checkpoint.size()));
    if size < signed {
        return Err(SpoolError::Short { path: directory.to_owned(), found: size, signed });
    }
    // Only now: what is not gone on with is evidence, and stays as it was found.
    let gap = match found.last_mut() {
        Some(newest) => seal(newest, &end, directory).map_err(io_error(&newest.path))?,
        None => None,
    };
    let run = Run::of(directory);
    let unclosed = unclosed::since(&segments, run.first().map_err(io_error(directory))?);
    // A segment in which nothing was written is begun again under the same name.
    found.retain(|segment| segment.first <= size);
    let kept = found.first().map_or(size, |oldest| oldest.first.saturating_sub(1));
    let tree = store.restore(size, kept, |first| leaves(&found, first))?;
    let header = Header {
        first: size + 1,
        gateway: author.gateway.clone(),
        log: store.origin().to_owned(),
        run: author.run.clone(),
        created: String::new(),
        version: env!("CARGO_PKG_VERSION").into(),
        host: author.host.clone(),
    };
    let disk = Disk::begin(&segments, header).map_err(io_error(&segments))?;
    let sealed = shelve(&found, size);
    Ok(Recovered { disk, store, tree, sealed, gap, unclosed, lock })
}

fn lock(directory: &Path) -> Result<File, SpoolError> {
    let path = directory.join("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(io_error(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(SpoolError::InUse(directory.to_owned())),
        Err(TryLockError::Error(error)) => Err(io_error(&path)(error)),
    }
}

/// A segment on disk.
struct Found {
    first: u64,
    path: PathBuf,
    bytes: u64,
    at: std::time::SystemTime,
}

fn list(segments: &Path) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(segments)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if let Some(first) = first_of(name) {
            let meta = entry.metadata()?;
            found.push(Found { first, path: entry.path(), bytes: meta.len(), at: meta.modified()? });
        } else if !name.ends_with(SUFFIX) {
            // A segment that was being begun when the gateway died: nothing in it counted yet, or all of it stands
            // elsewhere too.
            std::fs::remove_file(entry.path())?;
        }
    }
    found.sort_by_key(|segment| segment.first);
    Ok(found)
}

/// How far the newest segment can be read.
struct End {
    last: u64,
    /// Where it goes on with something that is no frame.
    torn_at: Option<u64>,
}

fn end_of(newest: &Found) -> Result<End, SpoolError> {
    let failed = |fault| SpoolError::Segment { path: newest.path.clone(), fault };
    let file = File::open(&newest.path).map_err(io_error(&newest.path))?;
    let mut reader = Reader::open(file).map_err(failed)?;
    let torn = loop {
        match reader.next() {
            Ok(Some(_)) => {}
            Ok(None) => break false,
            Err(Fault::Torn { .. } | Fault::Damaged { .. }) => break true,
            Err(fault @ (Fault::Header(_) | Fault::Io(_))) => return Err(failed(fault)),
        }
    };
    Ok(End { last: reader.next_sequence() - 1, torn_at: torn.then(|| reader.at()) })
}

/// Bring the newest segment to the disk as far as it is whole, as its writer would have before it began the next one.
/// What else is in it is set aside, and to be told.
fn seal(newest: &mut Found, end: &End, directory: &Path) -> io::Result<Option<Gap>> {
    let Some(at) = end.torn_at else {
        return File::open(&newest.path)?.sync_all().map(|()| None);
    };
    let bytes = set_aside(newest, at, directory)?;
    newest.bytes = at;
    Ok(Some(Gap { cause: GapCause::Torn, first: None, last: None, bytes: Some(bytes) }))
}

/// Keep what follows `at` under `damaged/`, and cut it from the segment. Returns how many bytes that is.
fn set_aside(segment: &Found, at: u64, directory: &Path) -> io::Result<u64> {
    let damaged = directory.join("damaged");
    std::fs::create_dir_all(&damaged)?;
    let mut file = OpenOptions::new().read(true).write(true).open(&segment.path)?;
    file.seek(io::SeekFrom::Start(at))?;
    let mut rest = Vec::new();
    file.read_to_end(&mut rest)?;
    // The segment may be torn here again, or be this one's successor of the same name: only the same bytes share a name.
    let name = format!("{:020}.{at}.{:08x}", segment.first, crc32c::crc32c(&rest));
    let mut aside = File::create(damaged.join(name))?;
    aside.write_all(&rest)?;
    aside.sync_all()?;
    // Its name too is on the disk before the bytes go from where they were.
    for folder in [&*damaged, directory] {
        File::open(folder)?.sync_all()?;
    }
    file.set_len(at)?;
    file.sync_all()?;
    Ok(rest.len() as u64)
}

/// Leaf hashes of the records from leaf `first` on, in order: sequence numbers are leaf indices plus one.
fn leaves(found: &[Found], first: u64) -> impl Iterator<Item = io::Result<Hash>> + '_ {
    let begin = found.iter().rposition(|segment| segment.first <= first + 1).unwrap_or(0);
    let mut next = first + 1;
    let segments = found.get(begin..).unwrap_or_default();
    segments.iter().enumerate().flat_map(move |(place, segment)| {
        let following = segments.get(place + 1).map(|segment| segment.first);
        let hashes = hashes(segment, following, &mut next);
        hashes.unwrap_or_else(|error| vec![Err(error)])
    })
}

fn hashes(segment: &Found, following: Option<u64>, next: &mut u64) -> io::Result<Vec<io::Result<Hash>>> {
    let invalid =
        |fault: Fault| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {fault}", segment.path.display()));
    let mut reader = Reader::open(File::open(&segment.path)?).map_err(invalid)?;
    let mut hashes = Vec::new();
    loop {
        let (sequence, frame) = match reader.next() {
            Ok(Some(read)) => read,
            Ok(None) => break,
            // What the disk did not take was written anew into the following segment.
            Err(_) if following.is_some_and(|following| following <= *next) => break,
            Err(fault) => return Err(invalid(fault)),
        };
        // Records may stand twice where a disk failed once; they go by their numbers.
        if sequence == *next {
            hashes.push(Ok(match frame {
                Frame::Record(bytes) => leaf_hash(&[&bytes]),
                Frame::Erased(leaf) => Hash(leaf),
            }));
            *next += 1;
        }
    }
    Ok(hashes)
}

fn shelve(found: &[Found], size: u64) -> VecDeque<Sealed> {
    let ends = found.iter().skip(1).map(|next| next.first - 1).chain(std::iter::once(size));
    found
        .iter()
        .zip(ends)
        .map(|(segment, last)| Sealed { first: segment.first, last, bytes: segment.bytes, at: segment.at })
        .collect()
}
