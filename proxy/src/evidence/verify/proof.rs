//! A proof on paper: one record, that it is in the log, and that the log only grew. Checked with a public key alone.

use std::fmt::{Display, Write as _};
use std::fs::File;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::chain::Record;
use crate::evidence::log::{Checkpoint, Error, Files, Hash, NoteError, VerifyingKey, leaf_hash, proof};
use crate::evidence::spool::directory;
use crate::evidence::spool::segment::{Fault, Frame, Reader};

/// The first line of the file.
const HEAD: &str = "gatepass evidence proof v1";

/// Bytes of a proof: a record and two paths of at most 64 hashes.
pub const PROOF_MAX: usize = 256 << 10;

/// Which record is to be proved.
#[derive(Clone, Debug)]
pub enum Which {
    /// The one of this key: a decision's id, or `ID/close`.
    Uid(String),
    /// The one of this number.
    Sequence(u64),
}

/// One record and the proof that the log has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    record: Vec<u8>,
    index: u64,
    inclusion: Vec<Hash>,
    /// The size of an older checkpoint, and the path from there.
    since: Option<(u64, Vec<Hash>)>,
    note: String,
}

/// What a proof proves.
#[derive(Clone, Debug)]
pub struct Proved {
    /// The bytes of the record.
    pub record: Vec<u8>,
    /// Its number.
    pub sequence: u64,
    /// What was signed.
    pub checkpoint: Checkpoint,
    /// The older checkpoint that the log is proved to extend.
    pub since: Option<u64>,
}

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum NoProof {
    /// The directory cannot be read.
    #[error("`{path}`: {error}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The log's files cannot be used.
    #[error(transparent)]
    Log(#[from] Error),
    /// No such record is here.
    #[error("no record {0} is in the spool")]
    Unknown(String),
    /// It was erased.
    #[error("record {0} was erased: what it said can be proved by nobody")]
    Erased(u64),
    /// It is not signed yet.
    #[error("record {0} is not covered by the published checkpoint yet: it will be within a second")]
    Unsigned(u64),
    /// There is no checkpoint or no key.
    #[error("`{0}` is no log: there is no checkpoint, or no `log.pub`")]
    NoLog(PathBuf),
    /// Hashes are missing.
    #[error("the tiles of the log do not tell the hashes that the proof needs: verify the log")]
    Missing,
    /// What is to be led on from is newer than what the log has published.
    #[error(
        "`--since` signs {since} records: the log leads no further than to its published checkpoint, which signs {size}"
    )]
    Ahead {
        /// What is to be led on from.
        since: u64,
        /// What is published.
        size: u64,
    },
    /// The hashes are there, and prove nothing.
    #[error("the log's own files do not bear a proof ({0}): verify the log")]
    Refuted(Unproved),
}

/// Why a proof does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unproved {
    /// It is no proof.
    #[error("this is no proof: {0}")]
    Malformed(&'static str),
    /// The record is none.
    #[error("the record is none: {0}")]
    Record(&'static str),
    /// The record has another place.
    #[error("the record is not the one of the place that the proof is about")]
    Elsewhere,
    /// The checkpoint proves nothing.
    #[error("the checkpoint: {0}")]
    Checkpoint(#[from] NoteError),
    /// The record is not in the log.
    #[error("the record is not in the log that the checkpoint signs")]
    NotIncluded,
    /// The older checkpoint is of another history.
    #[error("the log does not extend the checkpoint that is trusted: its history was rewritten")]
    NotExtended,
    /// The proof does not lead from there.
    #[error("the proof does not lead from the checkpoint that is trusted: make it with `--since` that checkpoint")]
    OtherSince,
}

impl Proof {
    /// Prove a record of this spool, and that its log extends `since`.
    ///
    /// # Errors
    /// The record is not here, is not signed yet, or the log is not whole.
    pub fn make(directory: &Path, which: &Which, since: Option<&Checkpoint>) -> Result<Proof, NoProof> {
        let mut files = Files::of(directory);
        let no_log = || NoProof::NoLog(directory.to_owned());
        let key = files.key()?.ok_or_else(no_log)?;
        let checkpoint = files.checkpoint(&key)?.ok_or_else(no_log)?;
        let (sequence, record) = find(directory, which)?;
        let (index, size) = (sequence - 1, checkpoint.size());
        if index >= size {
            return Err(NoProof::Unsigned(sequence));
        }
        let mut subtrees = |from, to| files.subtree(from, to);
        let inclusion = proof::inclusion(index, size, &mut subtrees).ok_or(NoProof::Missing)?;
        let path = match since {
            None => None,
            Some(old) if old.size() > size => return Err(NoProof::Ahead { since: old.size(), size }),
            Some(old) => {
                let path = proof::consistency(old.size(), size, &mut subtrees).ok_or(NoProof::Missing)?;
                Some((old.size(), path))
            }
        };
        let proof = Proof { record, index, inclusion, since: path, note: checkpoint.note().to_owned() };
        // A proof that does not hold would accuse the gateway; damaged tiles are told to who can mend them instead.
        proof.check(&key, since).map_err(NoProof::Refuted)?;
        Ok(proof)
    }

    /// The bytes of the record.
    pub fn record(&self) -> &[u8] {
        &self.record
    }

    /// Check it.
    ///
    /// # Errors
    /// What does not hold.
    pub fn check(&self, key: &VerifyingKey, trusted: Option<&Checkpoint>) -> Result<Proved, Unproved> {
        let record = Record::read(&self.record).map_err(Unproved::Record)?;
        if record.sequence != self.index.checked_add(1) {
            return Err(Unproved::Elsewhere);
        }
        let checkpoint = Checkpoint::verify(&self.note, key)?;
        let (size, root) = (checkpoint.size(), checkpoint.root());
        if !proof::includes(self.index, leaf_hash(&[&self.record]), size, root, &self.inclusion) {
            return Err(Unproved::NotIncluded);
        }
        let since = match (trusted, &self.since) {
            (None, _) => None,
            (Some(old), Some((from, path))) if *from == old.size() => {
                if !proof::extends(old.size(), old.root(), size, root, path) {
                    return Err(Unproved::NotExtended);
                }
                Some(*from)
            }
            (Some(old), _) if old.size() == size => {
                if old.root() != root {
                    return Err(Unproved::NotExtended);
                }
                Some(size)
            }
            (Some(_), _) => return Err(Unproved::OtherSince),
        };
        Ok(Proved { record: self.record.clone(), sequence: self.index + 1, checkpoint, since })
    }

    /// As a file. `remark` is for people, and proves nothing.
    pub fn to_text(&self, remark: &str) -> String {
        let mut text = format!("{HEAD}\n");
        let mut line = |key: &str, value: &dyn Display| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{key} {value}");
        };
        remark.lines().for_each(|remark| line("#", &remark));
        line("record", &STANDARD.encode(&self.record));
        line("index", &self.index);
        self.inclusion.iter().for_each(|hash| line("inclusion", &hash.to_base64()));
        if let Some((size, path)) = &self.since {
            line("since", size);
            path.iter().for_each(|hash| line("consistency", &hash.to_base64()));
        }
        text + "checkpoint\n" + &self.note
    }

    /// From a file.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Proof, Unproved> {
        let malformed = Unproved::Malformed;
        if text.len() > PROOF_MAX {
            return Err(malformed("it is too long"));
        }
        let (head, note) = text.split_once("\ncheckpoint\n").ok_or(malformed("it has no checkpoint"))?;
        let mut lines = head.lines();
        if lines.next() != Some(HEAD) {
            return Err(malformed("it does not begin as one"));
        }
        let (mut record, mut index, mut inclusion, mut since) = (None, None, Vec::new(), None);
        for line in lines.filter(|line| !line.starts_with('#')) {
            let (key, value) = line.split_once(' ').ok_or(malformed("a line has no value"))?;
            let hash = || Hash::from_base64(value).ok_or(malformed("a hash is none"));
            let number = || value.parse::<u64>().map_err(|_| malformed("a number is none"));
            match (key, &mut since) {
                ("record", _) if record.is_none() => {
                    record = Some(STANDARD.decode(value).map_err(|_| malformed("the record is none"))?)
                }
                ("index", _) if index.is_none() => index = Some(number()?),
                ("inclusion", _) => inclusion.push(hash()?),
                ("since", None) => since = Some((number()?, Vec::new())),
                ("consistency", Some((_, path))) => path.push(hash()?),
                (_, _) => return Err(malformed("a line is of no known kind, or stands twice")),
            }
        }
        let (Some(record), Some(index)) = (record, index) else { return Err(malformed("record or index is missing")) };
        Ok(Proof { record, index, inclusion, since, note: note.to_owned() })
    }
}

/// The record, from whichever segment holds it.
fn find(directory: &Path, which: &Which) -> Result<(u64, Vec<u8>), NoProof> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |error| NoProof::Io { path, error }
    };
    let segments = directory::segments(directory).map_err(io(directory))?;
    for segment in segments.iter().rev() {
        let file = File::open(&segment.path).map_err(io(&segment.path))?;
        let Ok(mut reader) = Reader::open(file) else { continue };
        loop {
            match reader.next() {
                Ok(Some((sequence, Frame::Record(bytes)))) if is(which, sequence, &bytes) => {
                    return Ok((sequence, bytes));
                }
                Ok(Some((sequence, Frame::Erased(_)))) if matches!(which, Which::Sequence(n) if *n == sequence) => {
                    return Err(NoProof::Erased(sequence));
                }
                Ok(Some(_)) => {}
                Err(Fault::Io(error)) => return Err(io(&segment.path)(error)),
                // What cannot be read cannot be proved; others can.
                Ok(None) | Err(_) => break,
            }
        }
    }
    Err(NoProof::Unknown(match which {
        Which::Uid(uid) => format!("`{uid}`"),
        Which::Sequence(sequence) => sequence.to_string(),
    }))
}

fn is(which: &Which, sequence: u64, bytes: &[u8]) -> bool {
    match which {
        Which::Sequence(wanted) => *wanted == sequence,
        Which::Uid(uid) => {
            // Most records are passed over without being decoded.
            bytes.windows(uid.len()).any(|window| window == uid.as_bytes())
                && Record::read(bytes).is_ok_and(|record| record.uid.as_ref() == Some(uid))
        }
    }
}
