//! Records from segments: a spool that may be written meanwhile, or a folder of an archive.

use std::fs::File;
use std::path::Path;

use super::chain::{Broken, Chain, Content, Place};
use super::{Failure, io_failure};
use crate::evidence::log::Hash;
use crate::evidence::spool::directory::{self, SegmentFile};
use crate::evidence::spool::segment::{Fault, Frame, Reader};

pub(super) fn read(
    directory: &Path,
    chain: &mut Chain,
    progress: &mut dyn FnMut(u64),
) -> Result<Result<(), Broken>, Failure> {
    let mut done = 0;
    let mut segments = directory::segments(directory).map_err(io_failure(directory))?;
    while !segments.is_empty() {
        let mut after = 0;
        for (index, segment) in segments.iter().enumerate() {
            let newest = index + 1 == segments.len();
            let begun = done;
            let outcome = one(segment, newest, chain, &mut |read| progress(begun + read))?;
            if outcome.is_err() {
                return Ok(outcome);
            }
            done += segment.bytes;
            after = segment.first;
        }
        // A gateway may have begun another segment meanwhile.
        let now = directory::segments(directory).map_err(io_failure(directory))?;
        segments = now.into_iter().filter(|segment| segment.first > after).collect();
    }
    Ok(tail(directory, chain))
}

/// Tiles that know of more records than there are.
fn tail(directory: &Path, chain: &mut Chain) -> Result<(), Broken> {
    let Some(next) = chain.next() else { return Ok(()) };
    let file = directory.display().to_string();
    let missing = |what: &str| Broken { sequence: next, uid: None, file, at: 0, what: what.to_owned() };
    if chain.is_known(next) { Err(missing("it is missing, and a tile holds its hash")) } else { Ok(()) }
}

fn one(
    segment: &SegmentFile,
    newest: bool,
    chain: &mut Chain,
    progress: &mut dyn FnMut(u64),
) -> Result<Result<(), Broken>, Failure> {
    let name = segment.path.file_name().unwrap_or(segment.path.as_os_str()).to_string_lossy().into_owned();
    let place = |at| Place { file: name.clone(), at };
    let broken = |sequence, at, what: String| Broken { sequence, uid: None, file: name.clone(), at, what };
    let file = match File::open(&segment.path) {
        Ok(file) => file,
        // Retention took it between the listing and now.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && chain.next().is_none() => return Ok(Ok(())),
        Err(error) => return Err(io_failure(&segment.path)(error)),
    };
    let mut reader = match Reader::open(file) {
        Ok(reader) => reader,
        Err(Fault::Io(error)) => return Err(io_failure(&segment.path)(error)),
        Err(fault) => return Ok(Err(broken(segment.first, 0, fault.to_string()))),
    };
    if reader.header().first != segment.first {
        return Ok(Err(broken(
            segment.first,
            0,
            format!("the segment says that it begins with {}", reader.header().first),
        )));
    }
    chain.report().files += 1;
    let mut tries = 0;
    loop {
        let at = reader.at();
        progress(at);
        match reader.next() {
            Ok(Some((sequence, frame))) => {
                tries = 0;
                let content = match &frame {
                    Frame::Record(bytes) => Content::Bytes(bytes),
                    Frame::Erased(leaf) => Content::Erased(Hash(*leaf)),
                };
                if let Err(broken) = chain.take(sequence, &content, &place(at)) {
                    return Ok(Err(broken));
                }
            }
            // The record of a leaf is on disk before its tile: where a tile knows more, more can be read.
            Ok(None) if newest && tries < TRIES && chain.is_known(reader.next_sequence()) => tries += 1,
            Ok(None) => return Ok(Ok(())),
            Err(Fault::Io(error)) => return Err(io_failure(&segment.path)(error)),
            Err(Fault::Torn { at }) if newest => {
                let known = chain.is_known(reader.next_sequence());
                if known && tries < TRIES {
                    tries += 1;
                    reader.retry().map_err(io_failure(&segment.path))?;
                    continue;
                }
                chain.report().unfinished = segment.bytes.saturating_sub(at);
                return Ok(Ok(()));
            }
            Err(fault) => return Ok(Err(broken(reader.next_sequence(), at, fault.to_string()))),
        }
    }
}

/// How often a frame that a tile knows of is looked for once more.
const TRIES: u32 = 3;
