//! Records from segments: a spool that may be written meanwhile, or a folder of an archive.

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
    let mut done = 0;
    let mut segments = directory::segments(directory).map_err(io_failure(directory))?;
    loop {
        let (mut after, mut end) = (0, End::Reached);
        for (index, segment) in segments.iter().enumerate() {
            let newest = index + 1 == segments.len();
            let begun = done;
            match one(segment, newest, chain, &mut |read| progress(begun + read))? {
                Ok(reached) => end = reached,
                Err(broken) => return Ok(Err(broken)),
            }
            done += segment.bytes;
            after = segment.first;
        }
        // A gateway may have begun another segment meanwhile.
        let now = directory::segments(directory).map_err(io_failure(directory))?;
        segments = now.into_iter().filter(|segment| segment.first > after).collect();
        if segments.is_empty() {
            return Ok(match (end, chain.extent()) {
                (End::Known(broken), Extent::Whole) => Err(broken),
                (End::Known(_), Extent::Part) | (End::Reached, _) => Ok(()),
            });
        }
    }
}

/// Where a segment ended.
enum End {
    /// At its end.
    Reached,
    /// Before a record that a tile knew of already: it is missing, unless it is in a later segment.
    Known(Broken),
}

fn one(
    segment: &SegmentFile,
    newest: bool,
    chain: &mut Chain,
    progress: &mut dyn FnMut(u64),
) -> Result<Result<End, Broken>, Failure> {
    let name = segment.path.file_name().unwrap_or(segment.path.as_os_str()).to_string_lossy().into_owned();
    let place = |at| Place { file: name.clone(), at };
    let broken = |sequence, at, what: String| Broken { sequence, uid: None, file: name.clone(), at, what };
    let file = match File::open(&segment.path) {
        Ok(file) => file,
        // Retention took it between the listing and now.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && chain.next().is_none() => {
            return Ok(Ok(End::Reached));
        }
        Err(error) => return Err(io_failure(&segment.path)(error)),
    };
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
        let torn = match reader.next() {
            Ok(Some((sequence, frame))) => {
                known = false;
                let content = match &frame {
                    Frame::Record(bytes) => Content::Bytes(bytes),
                    Frame::Erased(leaf) => Content::Erased(Hash(*leaf)),
                };
                if let Err(broken) = chain.take(sequence, content, &place(at)) {
                    return Ok(Err(broken));
                }
                continue;
            }
            Ok(None) if newest => false,
            Err(Fault::Torn { .. }) if newest => true,
            Ok(None) => return Ok(Ok(End::Reached)),
            Err(Fault::Io(error)) => return Err(io_failure(&segment.path)(error)),
            Err(fault) => return Ok(Err(broken(reader.next_sequence(), at, fault.to_string()))),
        };
        let next = reader.next_sequence();
        if known || !chain.is_known(next) {
            let length = std::fs::metadata(&segment.path).map_or(at, |metadata| metadata.len());
            chain.report().unfinished = length.saturating_sub(at);
            let missing = || End::Known(broken(next, at, "it is missing, and a tile holds its hash".to_owned()));
            return Ok(Ok(if known { missing() } else { End::Reached }));
        }
        known = true;
        if torn {
            reader.retry().map_err(io_failure(&segment.path))?;
        }
    }
}
