//! Records from files of lines: an export of the gateway's, or what a collector's file exporter stored as OTLP/JSON.
//!
//! Each is brought to the bytes that were spooled before it is checked. A collector stores in any order, and may store
//! twice: its records are put in the order of their numbers first, at about a hundred bytes each in memory.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message as _;
use serde_json::Value;

use super::chain::{Broken, Chain, Content, Place, Record};
use super::{Failure, io_failure};
use crate::evidence::otlp::encode::log_record;

/// Bytes of one line: a collector writes a batch in one.
const LINE_MAX: u64 = 64 << 20;

pub(super) fn read(
    path: &Path,
    chain: &mut Chain,
    progress: &mut dyn FnMut(u64),
) -> Result<Result<(), Broken>, Failure> {
    let name = path.display().to_string();
    let mut from = BufReader::with_capacity(1 << 20, File::open(path).map_err(io_failure(path))?);
    let mut stored = Stored::default();
    let (mut line, mut number, mut bytes) = (Vec::new(), 0, 0);
    chain.report().files = 1;
    loop {
        line.clear();
        let read = from.by_ref().take(LINE_MAX).read_until(b'\n', &mut line).map_err(io_failure(path))?;
        if read == 0 {
            break;
        }
        number += 1;
        bytes += read as u64;
        progress(bytes);
        let place = Place { file: name.clone(), at: number };
        let outcome = match parse(&line) {
            Line::Blank => Ok(()),
            Line::Record(json) => exported(&json, chain, &place),
            Line::Request(request) => stored.add(request, &place),
            Line::Other => Err(broken(chain, &place, "the line is neither a record nor OTLP/JSON")),
        };
        if outcome.is_err() {
            return Ok(outcome);
        }
    }
    Ok(stored.check(chain))
}

enum Line {
    Blank,
    Record(Box<Value>),
    Request(Box<ExportLogsServiceRequest>),
    Other,
}

fn parse(line: &[u8]) -> Line {
    if line.trim_ascii().is_empty() {
        return Line::Blank;
    }
    let Ok(json) = serde_json::from_slice::<Value>(line) else { return Line::Other };
    if json.get("resourceLogs").is_none() {
        return if json.is_object() { Line::Record(Box::new(json)) } else { Line::Other };
    }
    serde_json::from_value(json).map_or(Line::Other, |request| Line::Request(Box::new(request)))
}

fn broken(chain: &Chain, place: &Place, what: &str) -> Broken {
    let sequence = chain.next().unwrap_or(1);
    Broken { sequence, uid: None, file: place.file.clone(), at: place.at, what: what.to_owned() }
}

/// A record as the gateway exports it, in order.
fn exported(json: &Value, chain: &mut Chain, place: &Place) -> Result<(), Broken> {
    let Some(record) = log_record(json) else {
        return Err(broken(chain, place, "the line is not the JSON of a record"));
    };
    let found = Record::of(&record);
    let Some(sequence) = found.sequence else { return Err(broken(chain, place, "the record has no number")) };
    let expected = chain.next().unwrap_or(sequence);
    if sequence < expected {
        let what = format!("in its place stands record {sequence}, again or too late");
        return Err(Broken { uid: found.uid, ..broken(chain, place, &what) });
    }
    chain.take(sequence, &Content::Bytes(&record.encode_to_vec()), place)
}

/// What a collector stored.
#[derive(Default)]
struct Stored {
    records: BTreeMap<u64, (Vec<u8>, Place)>,
    repeated: u64,
}

impl Stored {
    fn add(&mut self, request: Box<ExportLogsServiceRequest>, place: &Place) -> Result<(), Broken> {
        let scopes = request.resource_logs.into_iter().flat_map(|resource| resource.scope_logs);
        // Records of other programs may be in the same file.
        let ours = scopes.filter(|scope| scope.scope.as_ref().is_none_or(|scope| scope.name.starts_with("gatepass")));
        ours.flat_map(|scope| scope.log_records).try_for_each(|record| self.one(&record, place))
    }

    fn one(&mut self, record: &LogRecord, place: &Place) -> Result<(), Broken> {
        let found = Record::of(record);
        let (Some(sequence), Some(uid)) = (found.sequence, found.uid) else { return Ok(()) };
        let bytes = record.encode_to_vec();
        match self.records.entry(sequence) {
            Entry::Vacant(vacant) => {
                vacant.insert((bytes, place.clone()));
                Ok(())
            }
            Entry::Occupied(there) if there.get().0 == bytes => {
                self.repeated += 1;
                Ok(())
            }
            Entry::Occupied(_) => {
                let what = "it is stored twice, and the two differ".to_owned();
                Err(Broken { sequence, uid: Some(uid), file: place.file.clone(), at: place.at, what })
            }
        }
    }

    fn check(self, chain: &mut Chain) -> Result<(), Broken> {
        chain.report().repeated += self.repeated;
        self.records
            .into_iter()
            .try_for_each(|(sequence, (bytes, place))| chain.take(sequence, &Content::Bytes(&bytes), &place))
    }
}
