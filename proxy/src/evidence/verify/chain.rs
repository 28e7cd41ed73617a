//! The checks of one record after the other, wherever they come from.

use std::collections::VecDeque;

use jiff::Timestamp;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message as _;
use serde::Serialize;

use super::{Failure, Report};
use crate::evidence::log::{Checkpoint, Files, Hash, Tree, VerifyingKey, leaf_hash};

/// The first record that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Broken {
    /// Its number: where it stands, or would stand.
    pub sequence: u64,
    /// Its key, where it can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// The file.
    pub file: String,
    /// Where in the file, in bytes; in a file of lines, the line.
    pub at: u64,
    /// What is wrong.
    pub what: String,
}

/// Where a record was found.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    pub file: String,
    pub at: u64,
}

/// What stands at a place.
pub(super) enum Content<'r> {
    /// The bytes of a record.
    Bytes(&'r [u8]),
    /// A record that was read before, and its leaf hash.
    Read(Hash, Record),
    /// Its leaf hash alone.
    Erased(Hash),
}

impl Content<'_> {
    fn leaf(&self) -> Hash {
        match self {
            Content::Bytes(bytes) => leaf_hash(&[bytes]),
            Content::Read(leaf, _) | Content::Erased(leaf) => *leaf,
        }
    }
}

/// Whether the records are all that the log has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// A spool: what its own log signs must be there.
    Whole,
    /// Taken from a spool at some time: the log may have gone on since.
    Part,
}

/// Leaf hashes that are remembered, for records that stand again where no tile tells: two mebibytes. What a disk did not
/// take, and is written anew, is less.
const REMEMBERED: usize = 1 << 16;

/// The state of the checks.
pub(super) struct Chain {
    key: VerifyingKey,
    files: Option<Files>,
    extent: Extent,
    /// What was signed and is to be met on the way, the smallest last.
    signed: Vec<Signed>,
    /// The last leaves.
    recent: VecDeque<Hash>,
    /// How many records, from the first, are signed or a checkpoint that signs all before it.
    reach: u64,
    /// `None` until the first record tells where to begin, and where tiles do not tell what came before.
    tree: Option<Tree>,
    next: Option<u64>,
    report: Report,
}

/// A checkpoint from outside of the records.
struct Signed {
    checkpoint: Checkpoint,
    /// Whose word it is.
    what: &'static str,
}

impl Chain {
    pub fn new(
        key: VerifyingKey,
        files: Option<Files>,
        trusted: Option<Checkpoint>,
        extent: Extent,
    ) -> Result<Chain, Failure> {
        // Read before the records: what it signs must be among them, however much is written meanwhile.
        let published = match &files {
            Some(files) => files.checkpoint(&key)?,
            None => None,
        };
        let trusted = trusted.map(|checkpoint| Signed { checkpoint, what: "trusted" });
        let published = published.map(|checkpoint| Signed { checkpoint, what: "published" });
        let mut signed: Vec<Signed> = trusted.into_iter().chain(published).collect();
        signed.sort_by_key(|signed| std::cmp::Reverse(signed.checkpoint.size()));
        let report = Report { log: key.name().to_owned(), ..Report::default() };
        let recent = VecDeque::new();
        Ok(Chain { key, files, extent, signed, recent, reach: 0, tree: None, next: None, report })
    }

    pub fn report(&mut self) -> &mut Report {
        &mut self.report
    }

    /// The number of the record that has to come; `None` before the first.
    pub fn next(&self) -> Option<u64> {
        self.next
    }

    /// Whether a tile holds the leaf of a record that has this number.
    pub fn is_known(&mut self, sequence: u64) -> bool {
        let leaf = self.files.as_mut().map(|files| files.leaf(sequence - 1));
        matches!(leaf, Some(Ok(Some(_))))
    }

    /// Whether the records are all that the log has.
    pub fn extent(&self) -> Extent {
        self.extent
    }

    /// Check the record that stands where the one of this number should.
    pub fn take(&mut self, sequence: u64, content: Content<'_>, place: &Place) -> Result<(), Broken> {
        self.begin(sequence, place)?;
        let expected = self.next.unwrap_or(sequence);
        let broken = |uid: Option<String>, what: String| {
            Err(Broken { sequence: expected, uid, file: place.file.clone(), at: place.at, what })
        };
        if sequence < expected {
            return self.again(sequence, &content, place);
        }
        if sequence > expected {
            let last = sequence - 1;
            let what = if last == expected {
                "it is missing".to_owned()
            } else {
                format!("records {expected} to {last} are missing")
            };
            return broken(None, what);
        }
        let leaf = content.leaf();
        let record = match content {
            Content::Erased(_) => None,
            Content::Read(_, record) => Some(record),
            Content::Bytes(bytes) => match Record::read(bytes) {
                Ok(record) => Some(record),
                Err(what) => return broken(None, what.to_owned()),
            },
        };
        if let Some(record) = record.as_ref().filter(|record| record.sequence != Some(expected)) {
            let found = record.sequence.map_or_else(|| "one without a number".to_owned(), |n| n.to_string());
            return broken(record.uid.clone(), format!("in its place stands record {found}"));
        }
        let uid = record.as_ref().and_then(|record| record.uid.clone());
        match self.files.as_mut().map(|files| files.leaf(expected - 1)) {
            Some(Ok(Some(known))) if known != leaf => {
                return broken(uid, "it is not the record that was written: its hash is another".to_owned());
            }
            Some(Ok(_)) | None => {}
            Some(Err(error)) => self.report.unproved = Some(format!("a tile cannot be read: {error}")),
        }
        if let Some(record) = &record
            && let Err(what) = self.signed(record, expected)
        {
            return broken(uid, what);
        }
        self.count(expected, leaf, record.as_ref());
        match self.met(expected) {
            Ok(()) => Ok(()),
            Err(what) => broken(uid, what),
        }
    }

    /// Records begin with this one, if none has begun them yet: whether the tree before it is known, and is what was signed.
    pub fn begin(&mut self, first: u64, place: &Place) -> Result<(), Broken> {
        if self.next.is_some() {
            return Ok(());
        }
        self.report.before = first - 1;
        self.tree =
            if first == 1 { Some(Tree::new()) } else { self.files.as_mut().and_then(|f| f.tree(first - 1).ok()?) };
        if self.tree.is_none() {
            let what =
                format!("records begin with {first}, and no tiles tell what came before: give the log's directory");
            self.report.unproved = Some(what);
        }
        self.next = Some(first);
        let broken = |what| Broken { sequence: first, uid: None, file: place.file.clone(), at: place.at, what };
        self.met(first - 1).map_err(broken)
    }

    /// Records before this one went while those before them were read: of them only the tiles tell.
    pub fn pass(&mut self, first: u64, place: &Place) -> Result<(), Broken> {
        let Some(next) = self.next.filter(|next| *next < first) else { return Ok(()) };
        for sequence in next..first {
            let leaf = self.files.as_mut().and_then(|files| files.leaf(sequence - 1).ok()?);
            let Some(leaf) = leaf else {
                (self.tree, self.recent) = (None, VecDeque::new());
                let what = format!("records {sequence} to {} went meanwhile, and no tile tells them", first - 1);
                self.report.unproved.get_or_insert(what);
                break;
            };
            self.remember(leaf);
        }
        self.report.before += first - next;
        self.next = Some(first);
        let broken = |what| Broken { sequence: first, uid: None, file: place.file.clone(), at: place.at, what };
        self.met(first - 1).map_err(broken)
    }

    /// A record once more: a segment that was written anew, or a batch that a collector got twice.
    fn again(&mut self, sequence: u64, content: &Content<'_>, place: &Place) -> Result<(), Broken> {
        let tile = self.files.as_mut().and_then(|files| files.leaf(sequence - 1).ok()?);
        let known = tile.or_else(|| {
            let back = usize::try_from(self.next? - sequence).ok()?;
            self.recent.get(self.recent.len().checked_sub(back)?).copied()
        });
        match known {
            Some(known) if known != content.leaf() => {
                let what = "it stands again, and differs".to_owned();
                return Err(Broken { sequence, uid: None, file: place.file.clone(), at: place.at, what });
            }
            Some(_) => {}
            None => self.report.unproved = Some(format!("record {sequence} stands again, and no tile tells the same")),
        }
        self.report.repeated += 1;
        Ok(())
    }

    /// A checkpoint signs the tree of everything before it.
    fn signed(&mut self, record: &Record, sequence: u64) -> Result<(), String> {
        let Some(note) = &record.note else { return Ok(()) };
        let checkpoint = Checkpoint::verify(note, &self.key).map_err(|error| format!("its checkpoint: {error}"))?;
        if checkpoint.size() != sequence - 1 {
            return Err(format!(
                "its checkpoint signs {} records, and {} are before it",
                checkpoint.size(),
                sequence - 1
            ));
        }
        if let Some(tree) = &self.tree {
            if tree.root() != checkpoint.root() {
                return Err(format!(
                    "the records before it are not those that its checkpoint signs: one since record {} was altered",
                    self.report.signed + 1
                ));
            }
            // A signature alone says nothing of the records that are here.
            self.report.checkpoints += 1;
            self.report.signed = self.report.signed.max(checkpoint.size());
        }
        self.reach = self.reach.max(sequence);
        Ok(())
    }

    fn count(&mut self, sequence: u64, leaf: Hash, record: Option<&Record>) {
        self.remember(leaf);
        self.report.records += 1;
        self.report.first.get_or_insert(sequence);
        self.report.last = Some(sequence);
        self.next = Some(sequence + 1);
        match record {
            None => self.report.erased += 1,
            Some(record) => {
                self.report.from = self.report.from.or(record.time);
                self.report.to = record.time.or(self.report.to);
                self.report.gaps += u64::from(record.gap);
            }
        }
    }

    fn remember(&mut self, leaf: Hash) {
        if let Some(tree) = &mut self.tree {
            tree.append(leaf);
        }
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(leaf);
    }

    /// Checkpoints from outside hold where their last record is reached.
    fn met(&mut self, sequence: u64) -> Result<(), String> {
        while let Some(Signed { checkpoint, what }) = self.signed.pop_if(|signed| signed.checkpoint.size() <= sequence)
        {
            let size = checkpoint.size();
            let root = match &self.tree {
                Some(tree) if tree.size() == size => Some(tree.root()),
                // It signs what is not here any more, or was not taken along.
                Some(_) | None => self.files.as_mut().and_then(|files| files.tree(size).ok()?).map(|tree| tree.root()),
            };
            match root {
                Some(root) if root != checkpoint.root() => {
                    let since = self.report.signed + 1;
                    return Err(format!(
                        "the first {size} records are not those that the {what} checkpoint signs: one since record {since} was altered"
                    ));
                }
                Some(_) => {
                    self.report.signed = self.report.signed.max(size);
                    self.reach = self.reach.max(size);
                }
                None => {
                    let unproved = || format!("no tiles tell the {size} records that the {what} checkpoint signs");
                    self.report.unproved.get_or_insert_with(unproved);
                }
            }
        }
        Ok(())
    }

    /// Nothing comes any more.
    pub fn end(mut self, outcome: Result<(), Broken>) -> Report {
        self.report.broken = outcome.err();
        let last = self.next.unwrap_or(1) - 1;
        self.report.unsigned = last.saturating_sub(self.reach).min(self.report.records);
        if let (None, Some(Signed { checkpoint, what })) = (&self.report.broken, self.signed.first()) {
            match self.extent {
                Extent::Part => self.report.after = checkpoint.size() - last,
                Extent::Whole => {
                    let (file, at) = ("checkpoint".to_owned(), 0);
                    let what = format!("it is missing: the {what} checkpoint signs {} records", checkpoint.size());
                    self.report.broken = Some(Broken { sequence: last + 1, uid: None, file, at, what });
                }
            }
        }
        self.report
    }
}

/// What the checks need to know of a record.
pub(super) struct Record {
    pub uid: Option<String>,
    pub sequence: Option<u64>,
    time: Option<Timestamp>,
    note: Option<String>,
    gap: bool,
}

impl Record {
    /// From bytes, which are only right in their one form: a field that a decoder passes over could hide anything.
    pub fn read(bytes: &[u8]) -> Result<Record, &'static str> {
        let record = LogRecord::decode(bytes).map_err(|_| "it is no log record")?;
        if record.encode_to_vec() != bytes {
            return Err("it has another form than the gateway writes");
        }
        Ok(Record::of(&record))
    }

    pub fn of(record: &LogRecord) -> Record {
        let value = |name: &str| {
            let found = record.attributes.iter().find(|attribute| attribute.key == name)?;
            found.value.as_ref()?.value.as_ref()
        };
        let text = |name: &str| match value(name) {
            Some(Value::StringValue(text)) => Some(text.clone()),
            Some(_) | None => None,
        };
        let sequence = match value("gatepass.evidence.sequence") {
            Some(Value::IntValue(number)) => u64::try_from(*number).ok(),
            Some(_) | None => None,
        };
        let is_checkpoint = record.event_name == "gatepass.evidence.checkpoint";
        Record {
            uid: text(crate::evidence::fields::UID),
            sequence,
            time: Timestamp::from_nanosecond(record.time_unix_nano.into()).ok(),
            // A checkpoint without a note proves nothing, and must not pass for an ordinary record.
            note: is_checkpoint.then(|| text("gatepass.checkpoint.note").unwrap_or_default()),
            gap: record.event_name == "gatepass.evidence.gap",
        }
    }
}
