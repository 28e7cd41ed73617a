//! Records that a sink rejected for good: kept beside the spool, in segments of the same form, each with the reason.
//!
//! A file's name says which records it has and who rejected them, so a batch that is sent again after a crash writes
//! the same files again.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::piece::Piece;
use crate::evidence::spool::segment::{Frame, Header, SUFFIX, write_erased, write_frame};

/// The directory below the spool.
const DIRECTORY: &str = "quarantine";

/// The suffix of the file that says why.
const REASON_SUFFIX: &str = ".reason";

/// What stands beside a segment in quarantine.
#[derive(Serialize)]
struct Reason<'a> {
    sink: &'a str,
    first: u64,
    last: u64,
    /// How many of them the sink rejected; OTLP does not say which.
    rejected: u64,
    time: jiff::Timestamp,
    reason: &'a str,
}

/// Keep the records of a piece. They are on the disk when this returns.
pub(super) fn keep(spool: &Path, sink: &str, piece: &Piece, rejected: u64, why: &str) -> io::Result<()> {
    let directory = spool.join(DIRECTORY);
    fs::create_dir_all(&directory)?;
    // A segment's frames have no numbers of their own, so what does not follow on goes to another one.
    for frames in piece.frames().chunk_by(|(one, _), (next, _)| one + 1 == *next) {
        let (Some((first, _)), Some((last, _))) = (frames.first(), frames.last()) else { continue };
        let (first, last) = (*first, *last);
        let name = format!("{first:020}-{last:020}-{sink}");
        let reason = Reason { sink, first, last, rejected, time: jiff::Timestamp::now(), reason: why };
        // The reason first: a segment is never there without it.
        write(directory.join(format!("{name}{REASON_SUFFIX}")), &serde_json::to_vec(&reason)?)?;
        write(directory.join(format!("{name}{SUFFIX}")), &segment(piece.header(), first, frames))?;
    }
    File::open(&directory)?.sync_all()?;
    File::open(spool)?.sync_all()
}

fn segment(header: &Header, first: u64, frames: &[(u64, Frame)]) -> Vec<u8> {
    let mut bytes = Header { first, ..header.clone() }.encode();
    for (_, frame) in frames {
        match frame {
            Frame::Record(record) => write_frame(&[record], &mut bytes),
            Frame::Erased(leaf) => write_erased(leaf, &mut bytes),
        }
    }
    bytes
}

/// Write a file that is whole or not there.
fn write(path: PathBuf, bytes: &[u8]) -> io::Result<()> {
    let mut temporary = path.clone().into_os_string();
    temporary.push(".new");
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}
