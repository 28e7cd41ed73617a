//! The writer's side of the Merkle log: every record is a leaf, and what is in the log is signed again and again.

use std::io;
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::clock::Clock;
use crate::evidence::alarm;
use crate::evidence::log::{Checkpoint, Store, Tree, leaf_hash};
use crate::evidence::record::{CheckpointRecord, CloseRecord, Gap, GapRecord, SCHEMA, Signed};
use crate::evidence::text::Text;
use crate::evidence::words::{Ending, FloorMark};

/// How often the checkpoint and the unfinished tiles are written for auditors to read, at most.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);

/// What every record of the gateway's own says.
#[derive(Clone)]
pub(in crate::evidence) struct Signature {
    pub gateway: Text,
    pub floor: Option<FloorMark>,
    pub clock: Clock,
}

/// The log, and how far it is signed and published.
pub(in crate::evidence) struct Ledger {
    store: Store,
    tree: Tree,
    signature: Signature,
    unsigned: u64,
    signed_at: Instant,
    unpublished: Option<Checkpoint>,
    published_at: Option<Instant>,
    complained: bool,
}

impl Ledger {
    /// Go on with this log. Records that no checkpoint signs may be in it already.
    pub fn new(store: Store, tree: Tree, signature: Signature) -> Ledger {
        let signed = store.published().ok().flatten().map_or(0, |checkpoint| checkpoint.size());
        let unsigned = tree.size().saturating_sub(signed + 1);
        Ledger {
            store,
            tree,
            signature,
            unsigned,
            signed_at: Instant::now(),
            unpublished: None,
            published_at: None,
            complained: false,
        }
    }

    /// The number of the record to come: one more than the leaves there are.
    pub fn next(&self) -> u64 {
        self.tree.size() + 1
    }

    /// Take in a record.
    pub fn append(&mut self, pieces: &[&[u8]]) {
        self.tree.append(leaf_hash(pieces));
        self.unsigned += 1;
    }

    pub fn is_unsigned(&self) -> bool {
        self.unsigned > 0
    }

    pub fn is_unpublished(&self) -> bool {
        self.unpublished.is_some()
    }

    pub fn since_signed(&self, now: Instant) -> Duration {
        now.duration_since(self.signed_at)
    }

    /// Sign what is in the log. The record that comes of it is to be appended.
    pub fn sign(&mut self) -> Box<CheckpointRecord> {
        let checkpoint = self.store.sign(self.tree.size(), self.tree.root());
        let signed = Signed {
            size: checkpoint.size(),
            root: checkpoint.root().to_base64().into(),
            note: checkpoint.note().into(),
        };
        self.signed_at = Instant::now();
        self.unpublished = Some(checkpoint);
        let Signature { gateway, floor, clock } = self.signature.clone();
        let (id, time) = (Uuid::now_v7(), clock.now());
        let kind = "checkpoint";
        let sequence = 0;
        Box::new(CheckpointRecord { schema: SCHEMA, kind, id, sequence, time, gateway, floor, checkpoint: signed })
    }

    /// The checkpoint's own record asks for no signature: an idle gateway's log would grow for ever.
    pub fn own_record_taken(&mut self) {
        self.unsigned = 0;
    }

    /// The record of a gap.
    pub fn gap(&self, gap: Gap) -> Box<GapRecord> {
        let Signature { gateway, floor, clock } = self.signature.clone();
        let (id, time) = (Uuid::now_v7(), clock.now());
        Box::new(GapRecord { schema: SCHEMA, kind: "gap", id, sequence: 0, time, gateway, floor, gap })
    }

    /// The close of an admission whose gateway died before it could write one.
    pub fn close(&self, id: Uuid) -> Box<CloseRecord> {
        let Signature { gateway, floor, clock } = self.signature.clone();
        Box::new(CloseRecord {
            schema: SCHEMA,
            kind: "close",
            id,
            sequence: 0,
            time: clock.now(),
            gateway,
            floor,
            carried: None,
            ending: Ending::Error,
            cut_by: None,
        })
    }

    /// Write the tiles that are full.
    pub fn write_tiles(&mut self) -> io::Result<()> {
        self.store.write_tiles(&mut self.tree)
    }

    /// Bring the leaves up to this record's to the disk in full tiles; whether they all are. Its segment may go then.
    pub fn cover(&mut self, last: u64) -> bool {
        if let Err(error) = self.store.cover(&mut self.tree, last.next_multiple_of(256)) {
            self.complain(&error);
        }
        last <= self.tree.covered()
    }

    /// Publish the last checkpoint, if the records that it signs are on the disk: one that is ahead of its records would
    /// accuse the gateway after a loss of power.
    pub fn publish(&mut self, synced: u64, now: Instant) -> io::Result<()> {
        let due = self.published_at.is_none_or(|at| now.duration_since(at) >= PUBLISH_EVERY);
        if due { self.publish_now(synced, now) } else { Ok(()) }
    }

    fn publish_now(&mut self, synced: u64, now: Instant) -> io::Result<()> {
        let Some(checkpoint) = self.unpublished.take_if(|checkpoint| checkpoint.size() <= synced) else {
            return Ok(());
        };
        self.published_at = Some(now);
        let published = self.store.write_partial(&self.tree).and_then(|()| self.store.publish(&checkpoint));
        if published.is_err() {
            self.unpublished = Some(checkpoint);
        }
        published
    }

    /// The same at the end, whenever the last time was.
    pub fn finish(&mut self, synced: u64) -> io::Result<()> {
        self.write_tiles()?;
        self.publish_now(synced, Instant::now())
    }

    /// Tell the operator once that the log's own files cannot be written. The records stand all the same, and the tiles
    /// follow from them.
    pub fn complain(&mut self, error: &dyn std::error::Error) {
        if !std::mem::replace(&mut self.complained, true) {
            alarm(&format!("evidence: tiles and checkpoint of the log cannot be written: {error}"));
        }
    }
}
