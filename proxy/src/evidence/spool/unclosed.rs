//! Admissions whose close the death of the gateway took: each is closed at the next start.
//!
//! `DIRECTORY/run` tells from which record on closes may be missing: the first of this run, or of an earlier one that did
//! not end as it should and whose closes were not written yet.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message as _;
use uuid::Uuid;

use super::follow::{Fault, Follower};
use super::segment::Frame;

/// Records that are looked at in one go.
const AT_ONCE: (usize, usize) = (4096, 4 << 20);

/// Where it is kept from which record on closes may be missing.
#[derive(Debug)]
pub(in crate::evidence) struct Run {
    path: PathBuf,
}

impl Run {
    pub fn of(directory: &Path) -> Run {
        Run { path: directory.join("run") }
    }

    /// From which record on closes may be missing. A spool that was never written has none; one whose file is damaged
    /// is looked through from its beginning.
    pub fn first(&self) -> io::Result<u64> {
        match std::fs::read_to_string(&self.path) {
            Ok(text) => Ok(text.trim().parse().unwrap_or(1)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(1),
            Err(error) => Err(error),
        }
    }

    /// From now on closes may be missing from this record on.
    pub fn begins(&self, first: u64) -> io::Result<()> {
        let new = self.path.with_extension("new");
        let mut file = File::create(&new)?;
        writeln!(file, "{first}")?;
        file.sync_all()?;
        std::fs::rename(new, &self.path)
    }
}

/// The admissions from record `first` on that have no close, in the order in which they were made.
///
/// What cannot be read is passed over: its admissions cannot be known, and verification tells of it.
pub(in crate::evidence) fn since(segments: &Path, first: u64) -> Vec<Uuid> {
    let mut open = BTreeMap::new();
    let mut follower = Follower::open(segments, first.saturating_sub(1));
    loop {
        match follower.next_batch(AT_ONCE.0, AT_ONCE.1) {
            Ok(Some(batch)) => batch.frames.into_iter().for_each(|(sequence, frame)| match frame {
                Frame::Record(bytes) => note(sequence, &bytes, &mut open),
                Frame::Erased(_) => {}
            }),
            Ok(None) | Err(Fault::Io(_)) => break,
            Err(Fault::Removed { .. } | Fault::Damaged { .. }) => {}
        }
    }
    let mut open: Vec<(u64, Uuid)> = open.into_iter().map(|(id, sequence)| (sequence, id)).collect();
    open.sort_unstable();
    open.into_iter().map(|(_, id)| id).collect()
}

fn note(sequence: u64, bytes: &[u8], open: &mut BTreeMap<Uuid, u64>) {
    let Ok(record) = LogRecord::decode(bytes) else { return };
    let text = |wanted: &str| {
        let found = record.attributes.iter().find(|attribute| attribute.key == wanted)?;
        match found.value.as_ref()?.value.as_ref()? {
            Value::StringValue(text) => Some(text.as_str()),
            _ => None,
        }
    };
    let Some(id) = text("gatepass.decision.id").and_then(|id| Uuid::try_parse(id).ok()) else { return };
    match record.event_name.as_str() {
        "gatepass.decision" if text("gatepass.decision.outcome") == Some("admitted") => {
            open.insert(id, sequence);
        }
        "gatepass.connection.closed" => {
            open.remove(&id);
        }
        _ => {}
    }
}
