//! Records from segments: a spool that may be written meanwhile, or a folder of an archive.

use std::collections::VecDeque;
use std::fs::File;
use std::path::Path;

use super::chain::{Broken, Chain, Content, Extent, Place};
use super::{Failure, io_failure};
use crate::evidence::log::Hash;
use crate::evidence::spool::directory::{self, SegmentFile};
use crate::evidence::spool::segment::{Fault, Frame, Reader};

pub(super) fn read(
    directory: &Path,
    chain: &mut Chain,
    progress: &mut dyn FnMut(u64),
) -> Result<Result<(), Broken>, Failure> {
    read_listed(&mut || directory::segments(directory).map_err(io_failure(directory)), chain, progress)
}

/// The segments that are there now, the oldest first.
pub(super) type List<'l> = dyn FnMut() -> Result<Vec<SegmentFile>, Failure> + 'l;

pub(super) fn read_listed(
    list: &mut List<'_>,
    chain: &mut Chain,
    progress: &mut dyn FnMut(u64),
) -> Result<Result<(), Broken>, Failure> {
    let (mut done, mut end) = (0, End::Reached);
    let mut due = VecDeque::from(list()?);
    while let Some(segment) = due.pop_front() {
        let file = match File::open(&segment.path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                due = list()?.into();
                if let Err(broken) = gone(&segment, &mut due, chain) {
                    return Ok(Err(broken));
                }
                continue;
            }
            Err(error) => return Err(io_failure(&segment.path)(error)),
        };
        let (begun, is_newest) = (done, due.is_empty());
        let mut is_sealed = || -> Result<bool, Failure> {
            due = list()?.into_iter().filter(|later| later.first > segment.first).collect();
            Ok(!due.is_empty())
        };
        let sealed: Option<Sealed<'_>> = if is_newest { Some(&mut is_sealed) } else { None };
        match one(&segment, file, sealed, chain, &mut |read| progress(begun + read))? {
            Ok(reached) => end = reached,
            Err(broken) => return Ok(Err(broken)),
        }
        done += segment.bytes;
    }
    Ok(match (end, chain.extent()) {
        (End::Known(broken), Extent::Whole) => Err(broken),
        (End::Known(_), Extent::Part) | (End::Reached, _) => Ok(()),
    })
}

/// Go on after a segment that went between the listing and now. Retention takes the oldest first: where older ones stand,
/// it was not retention, and the records are missed.
fn gone(segment: &SegmentFile, due: &mut VecDeque<SegmentFile>, chain: &mut Chain) -> Result<(), Broken> {
    let oldest = due.front().map(|oldest| oldest.first);
    due.retain(|later| later.first > segment.first);
    match oldest {
        Some(first) if first > segment.first => chain.pass(first, &Place { file: name(segment), at: 0 }),
        Some(_) | None => Ok(()),
    }
}

fn name(segment: &SegmentFile) -> String {
    segment.path.file_name().unwrap_or(segment.path.as_os_str()).to_string_lossy().into_owned()
}

/// Where a segment ended.
enum End {
    /// At its end.
    Reached,
    /// Before a record that a tile knew of already: it is missing, unless it is in a later segment.
    Known(Broken),
}

/// Tells whether a later segment was begun since: then all of this one is there.
type Sealed<'s> = &'s mut dyn FnMut() -> Result<bool, Failure>;

/// `sealed` comes with the newest segment, which a gateway may be writing.
fn one(
    segment: &SegmentFile,
    file: File,
    mut sealed: Option<Sealed<'_>>,
    chain: &mut Chain,
    progress: &mut dyn FnMut(u64),
) -> Result<Result<End, Broken>, Failure> {
    let name = name(segment);
    let place = |at| Place { file: name.clone(), at };
    let broken = |sequence, at, what: String| Broken { sequence, uid: None, file: name.clone(), at, what };
    let mut reader = match Reader::open(file) {
        Ok(reader) => reader,
        Err(Fault::Io(error)) => return Err(io_failure(&segment.path)(error)),
        Err(fault) => return Ok(Err(broken(segment.first, 0, fault.to_string()))),
    };
    if reader.header().first != segment.first {
        let what = format!("the segment says that it begins with {}", reader.header().first);
        return Ok(Err(broken(segment.first, 0, what)));
    }
    chain.report().files += 1;
    if let Err(broken) = chain.begin(segment.first, &place(0)) {
        return Ok(Err(broken));
    }
    // Records are on the disk before their tiles are: what a tile knew before a read, that read finds.
    let mut known = false;
    loop {
        let at = reader.at();
        progress(at);
        let ended = match reader.next() {
            Ok(Some((sequence, frame))) => {
                known = false;
                let content = match &frame {
                    Frame::Record(bytes) => Content::Bytes(bytes),
                    Frame::Erased(leaf) => Content::Erased(Hash(*leaf)),
                };
                match chain.take(sequence, content, &place(at)) {
                    Ok(()) => continue,
                    Err(broken) => return Ok(Err(broken)),
                }
            }
            Ok(None) => Ok(()),
            Err(Fault::Io(error)) => return Err(io_failure(&segment.path)(error)),
            Err(fault) => Err(fault),
        };
        let next = reader.next_sequence();
        let is_sealed = match (ended, &mut sealed) {
            (Ok(()) | Err(Fault::Torn { .. }), Some(sealed)) => sealed()?,
            (Ok(()), None) => return Ok(Ok(End::Reached)),
            (Err(fault), _) => return Ok(Err(broken(next, at, fault.to_string()))),
        };
        if is_sealed {
            sealed = None;
        } else if known || !chain.is_known(next) {
            let length = std::fs::metadata(&segment.path).map_or(at, |metadata| metadata.len());
            chain.report().unfinished = length.saturating_sub(at);
            let missing = || End::Known(broken(next, at, "it is missing, and a tile holds its hash".to_owned()));
            return Ok(Ok(if known { missing() } else { End::Reached }));
        } else {
            known = true;
        }
        reader.retry().map_err(io_failure(&segment.path))?;
    }
}
