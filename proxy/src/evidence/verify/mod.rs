//! Whether records are those that were written: every one of them, in their order, unchanged.
//!
//! Each record is checked by itself (its frame, its form, its number, its leaf hash where a tile holds it) and all of
//! them together (the Merkle root that each signed checkpoint names). The first record that is wrong is named.

mod chain;

mod segments;

mod lines;

mod once;

pub mod proof;

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

pub use chain::Broken;
use chain::{Chain, Extent};

use super::log::{Checkpoint, Error, Files, VerifyingKey};

/// What is to be verified, and against what.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// A spool, a folder of segments, or an export.
    pub path: PathBuf,
    /// Where the log's tiles, its checkpoint and its public key are; the path itself where it is a directory.
    pub log: Option<PathBuf>,
    /// The key that is trusted; otherwise the one that stands with the log, which whoever altered both could have put there.
    pub key: Option<VerifyingKey>,
    /// A checkpoint of the log that somebody kept: the records must begin with what it signs.
    pub trusted: Option<Checkpoint>,
    /// Whose records are meant, in a file that has those of several gateways. None means that there is one only.
    pub gateways: Vec<String>,
}

/// What was found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The log's name.
    pub log: String,
    /// Segments or files.
    pub files: u64,
    /// Records that were checked.
    pub records: u64,
    /// The number of the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<u64>,
    /// The number of the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<u64>,
    /// Older records that are not there: not exported, or removed by retention, if need be while the others were read.
    pub before: u64,
    /// Records whose bytes were erased; their leaf hashes were checked.
    pub erased: u64,
    /// Records that stand more than once, as after a collector's failure; all the same.
    pub repeated: u64,
    /// Checkpoints among the records whose signature and root hold.
    pub checkpoints: u64,
    /// How many records, from the first of the log, are signed.
    pub signed: u64,
    /// The newest records, which no checkpoint signs yet.
    pub unsigned: u64,
    /// Records that the log signs, and that come after the last one here; in a spool itself they would be missing.
    pub after: u64,
    /// Records of other gateways, which were passed over.
    pub others: u64,
    /// Records that say that others are missing.
    pub gaps: u64,
    /// Bytes of an unfinished frame at the end of the newest segment.
    pub unfinished: u64,
    /// When the first record was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// When the last one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
    /// Whether leaves could be compared and roots be computed from the first record on; else why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unproved: Option<String>,
    /// The first record that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken: Option<Broken>,
}

/// Why nothing could be verified.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A file cannot be read.
    #[error("`{path}`: {error}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The log's own files cannot be used.
    #[error(transparent)]
    Log(#[from] Error),
    /// There is no key.
    #[error("there is no public key of the log: give `--key`, or the spool's directory with `--log`")]
    NoKey,
    /// It is not told whose records are meant.
    #[error(
        "`{path}` has records of `{one}` and, in line {line}, of `{other}`: name those of the log with `--gateway`"
    )]
    Several {
        /// The file.
        path: PathBuf,
        /// Where the second is met.
        line: u64,
        /// One gateway.
        one: String,
        /// Another.
        other: String,
    },
    /// There is nothing to verify.
    #[error("there are no records in `{0}`")]
    Empty(PathBuf),
}

fn io_failure(path: &Path) -> impl FnOnce(io::Error) -> Failure {
    let path = path.to_owned();
    move |error| Failure::Io { path, error }
}

/// Verify; `progress` is told how many bytes were read.
///
/// # Errors
/// Nothing could be said about the records.
pub fn verify(wanted: &Wanted, progress: &mut dyn FnMut(u64)) -> Result<Report, Failure> {
    let is_directory = wanted.path.is_dir();
    let log = wanted.log.clone().or_else(|| is_directory.then(|| wanted.path.clone()));
    let extent = match is_directory && log.as_ref().is_some_and(|log| is_same(log, &wanted.path)) {
        true => Extent::Whole,
        false => Extent::Part,
    };
    let files = log.as_deref().map(Files::of);
    let own = match &files {
        Some(files) if wanted.key.is_none() => files.key()?,
        Some(_) | None => None,
    };
    let key = wanted.key.clone().or(own).ok_or(Failure::NoKey)?;
    let mut chain = Chain::new(key, files, wanted.trusted.clone(), extent)?;
    let outcome = match is_directory {
        true => segments::read(&wanted.path, &mut chain, progress)?,
        false => lines::read(&wanted.path, &wanted.gateways, &mut chain, progress)?,
    };
    let report = chain.end(outcome);
    if report.records == 0 && report.broken.is_none() {
        return Err(Failure::Empty(wanted.path.clone()));
    }
    Ok(report)
}

fn is_same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().ok();
    real(one).is_some() && real(one) == real(other)
}

/// How many bytes are going to be read.
pub fn size(path: &Path) -> u64 {
    let segments = super::spool::directory::segments(path).unwrap_or_default();
    let file = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    if segments.is_empty() { file } else { segments.iter().map(|segment| segment.bytes).sum() }
}

#[cfg(test)]
mod tests;
