//! The segments of a directory, in the order of their records.

use std::io;
use std::path::{Path, PathBuf};

use super::segment;

/// The folder of a spool that its segments are in.
pub const SEGMENTS: &str = "segments";

/// The folder of a spool for what a collector rejected for good.
pub const QUARANTINE: &str = "quarantine";

/// A segment, as it stands in the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentFile {
    /// The sequence number of its first record.
    pub first: u64,
    /// Where it is.
    pub path: PathBuf,
    /// How long the file is, its header included.
    pub bytes: u64,
}

/// The segments of a spool, or of a folder that holds nothing but segments (an archive), the oldest first.
///
/// A directory without segments has none; one that does not exist is an error.
pub fn segments(directory: &Path) -> io::Result<Vec<SegmentFile>> {
    let inner = directory.join(SEGMENTS);
    let folder = if inner.is_dir() { &inner } else { directory };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let Some(first) = entry.file_name().to_str().and_then(segment::first_of) else { continue };
        match entry.metadata() {
            Ok(metadata) => found.push(SegmentFile { first, path: entry.path(), bytes: metadata.len() }),
            // It went between the two calls, as old segments do.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    found.sort_unstable_by_key(|segment| segment.first);
    Ok(found)
}
