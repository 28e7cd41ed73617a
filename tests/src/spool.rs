//! A spool as a gateway leaves it, made of records that a test writes as JSON.

use std::path::{Path, PathBuf};

use gatepass::evidence::otlp::encode::log_record;
use gatepass::evidence::spool::segment::{Header, file_name, write_frame};
use prost::Message as _;
use serde_json::{Value, json};

use crate::Scratch;

/// Writes segments.
pub struct Spool {
    scratch: Scratch,
    next: u64,
    open: Option<PathBuf>,
    records: Vec<Value>,
}

impl Spool {
    /// An empty one.
    pub fn new() -> Spool {
        let scratch = Scratch::new();
        std::fs::create_dir_all(scratch.path().join("gatepass-data/evidence/segments")).unwrap();
        Spool { scratch, next: 1, open: None, records: Vec::new() }
    }

    /// The directory beside which it lies where a gateway without a configuration puts it.
    pub fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// Its directory.
    pub fn directory(&self) -> PathBuf {
        self.scratch.path().join("gatepass-data/evidence")
    }

    /// The segment that begins with this record.
    pub fn segment(&self, first: u64) -> PathBuf {
        self.directory().join("segments").join(file_name(first))
    }

    /// Every record, as its line.
    pub fn records(&self) -> &[Value] {
        &self.records
    }

    /// Seal the open segment.
    pub fn seal(&mut self) {
        self.open = None;
    }

    /// Append a record: these fields, behind those that every record has.
    pub fn add(&mut self, kind: &str, id: &str, time: &str, fields: Value) -> u64 {
        let sequence = self.next;
        let mut record = json!({
            "schema": 1, "kind": kind, "id": id, "sequence": sequence, "time": time, "gateway": "gw-1",
        });
        record.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let mut bytes = Vec::new();
        if self.open.is_none() {
            bytes = header(sequence).encode();
            self.open = Some(self.segment(sequence));
        }
        write_frame(&[&log_record(&record).unwrap().encode_to_vec()], &mut bytes);
        append(self.open.as_ref().unwrap(), &bytes);
        self.records.push(record);
        self.next += 1;
        sequence
    }
}

impl Default for Spool {
    fn default() -> Spool {
        Spool::new()
    }
}

fn header(first: u64) -> Header {
    Header {
        first,
        gateway: "gw-1".into(),
        log: "gatepass.evidence/gw-1/00000000".into(),
        run: "019a8f3e-1d2c-7b4a-9c1e-2f60a1b3c4d5".into(),
        created: "2026-11-22T10:00:00Z".into(),
        version: "0.1.0".into(),
        host: None,
    }
}

fn append(path: &Path, bytes: &[u8]) {
    use std::io::Write as _;
    std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(bytes).unwrap();
}
