//! Records from files of lines: an export of the gateway's, or what a collector's file exporter stored as OTLP/JSON.
//!
//! Each is brought to the bytes that were spooled before it is checked. A collector stores in any order, and may store
//! twice: its records are put in the order of their numbers first, at about a hundred and fifty bytes each in memory.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message as _;
use serde_json::Value;

use super::chain::{Broken, Chain, Content, Place, Record};
use super::once::{self, Refused};
use super::{Failure, io_failure};
use crate::evidence::log::{Hash, leaf_hash};
use crate::evidence::otlp::decode;
use crate::evidence::otlp::encode::log_record;

/// Bytes of one line: a collector writes a batch in one.
const LINE_MAX: u64 = 64 << 20;

pub(super) fn read(
    path: &Path,
    gateways: &[String],
    chain: &mut Chain,
    progress: &mut dyn FnMut(u64),
) -> Result<Result<(), Broken>, Failure> {
    let mut lines = Lines::open(path)?;
    let mut names = Names { wanted: gateways, met: None };
    let mut stored = Stored::default();
    chain.report().files = 1;
    while let Some((number, line)) = lines.next()? {
        let place = Place { file: lines.name.clone(), at: number };
        let outcome = match line {
            Line::Blank => Ok(()),
            Line::Record(json) => match names.has(json.get("gateway").and_then(Value::as_str), path, number)? {
                Ours::Yes => stored.no_stray_before(&json, &place).and_then(|()| exported(&json, chain, &place)),
                Ours::No => {
                    chain.report().others += 1;
                    Ok(())
                }
            },
            Line::Request(request) => {
                let (ours, others) = names.of(*request, path, number)?;
                chain.report().others += others;
                ours.iter().for_each(|record| stored.add(record, number));
                Ok(())
            }
            Line::Refused(refused) => match chain.next() {
                Some(_) => Err(broken(chain, &place, told(refused))),
                // Which records it was, others tell.
                None => {
                    stored.stray(number, told(refused));
                    Ok(())
                }
            },
        };
        progress(lines.bytes);
        if outcome.is_err() {
            return Ok(outcome);
        }
    }
    stored.check(chain, path)
}

/// The lines of a file, one at a time.
struct Lines<'p> {
    path: &'p Path,
    name: String,
    from: BufReader<File>,
    line: Vec<u8>,
    number: u64,
    bytes: u64,
}

impl<'p> Lines<'p> {
    fn open(path: &'p Path) -> Result<Lines<'p>, Failure> {
        let from = BufReader::with_capacity(1 << 20, File::open(path).map_err(io_failure(path))?);
        Ok(Lines { path, name: path.display().to_string(), from, line: Vec::new(), number: 0, bytes: 0 })
    }

    fn next(&mut self) -> Result<Option<(u64, Line)>, Failure> {
        self.line.clear();
        let read =
            self.from.by_ref().take(LINE_MAX).read_until(b'\n', &mut self.line).map_err(io_failure(self.path))?;
        self.number += 1;
        self.bytes += read as u64;
        Ok((read > 0).then(|| (self.number, parse(&self.line))))
    }
}

enum Ours {
    Yes,
    No,
}

/// The gateways whose records are meant. Each has a log of its own, and a collector stores those of all.
struct Names<'w> {
    wanted: &'w [String],
    met: Option<String>,
}

impl Names<'_> {
    fn has(&mut self, name: Option<&str>, path: &Path, line: u64) -> Result<Ours, Failure> {
        let name = name.unwrap_or_default();
        if !self.wanted.is_empty() {
            return Ok(if self.wanted.iter().any(|wanted| wanted == name) { Ours::Yes } else { Ours::No });
        }
        match self.met.as_deref() {
            Some(met) if met != name => {
                Err(Failure::Several { path: path.to_owned(), line, one: met.to_owned(), other: name.to_owned() })
            }
            Some(_) => Ok(Ours::Yes),
            None => {
                self.met = Some(name.to_owned());
                Ok(Ours::Yes)
            }
        }
    }

    /// Ours among the records of a request, and how many others it has. Other programs' are in neither.
    fn of(
        &mut self,
        request: ExportLogsServiceRequest,
        path: &Path,
        line: u64,
    ) -> Result<(Vec<LogRecord>, u64), Failure> {
        let (mut ours, mut others) = (Vec::new(), 0);
        for logs in request.resource_logs {
            let resource = logs.resource.unwrap_or_default();
            let instance = resource.attributes.iter().find(|attribute| attribute.key == "service.instance.id");
            let name = match instance.and_then(|attribute| attribute.value.as_ref()?.value.as_ref()) {
                Some(Any::StringValue(name)) => Some(name.as_str()),
                Some(_) | None => None,
            };
            let scopes = logs.scope_logs.into_iter();
            let ours_only = scopes.filter(|s| s.scope.as_ref().is_none_or(|scope| scope.name.starts_with("gatepass")));
            let records: Vec<_> = ours_only.flat_map(|scope| scope.log_records).collect();
            if records.is_empty() {
                continue;
            }
            match self.has(name, path, line)? {
                Ours::Yes => ours.extend(records),
                Ours::No => others += records.len() as u64,
            }
        }
        Ok((ours, others))
    }
}

enum Line {
    Blank,
    Record(Box<Value>),
    Request(Box<ExportLogsServiceRequest>),
    Refused(Refused),
}

fn told(refused: Refused) -> &'static str {
    match refused {
        Refused::Other => "the line is neither a record nor OTLP/JSON",
        Refused::Twice => "the line says something twice: one reader believes the first, another the last",
    }
}

fn parse(line: &[u8]) -> Line {
    if line.trim_ascii().is_empty() {
        return Line::Blank;
    }
    let json = match once::parse(line) {
        Ok(json) => json,
        Err(refused) => return Line::Refused(refused),
    };
    let other = Line::Refused(Refused::Other);
    if json.get("resourceLogs").is_none() {
        return if json.is_object() { Line::Record(Box::new(json)) } else { other };
    }
    serde_json::from_value(json).map_or(other, |request| Line::Request(Box::new(request)))
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
    let bytes = record.encode_to_vec();
    let gateway = json.get("gateway").and_then(Value::as_str).unwrap_or_default();
    if sequence == expected && decode::record(&bytes, gateway).as_ref() != Ok(json) {
        // What no record has would be believed because it stands beside what a record has.
        let what = "the line says something that is no part of the record, or says it in another form";
        return Err(Broken { uid: found.uid, ..broken(chain, place, what) });
    }
    chain.take(sequence, Content::Bytes(&bytes), place)
}

/// What a collector stored.
#[derive(Default)]
struct Stored {
    records: BTreeMap<u64, Kept>,
    repeated: u64,
    /// The first line with something that has no place among them.
    stray: Option<Stray>,
}

/// A line of which nobody can tell what records it was, or that has one which is of no log.
struct Stray {
    line: u64,
    what: &'static str,
}

/// What is kept of a record until those before it were read.
struct Kept {
    leaf: Hash,
    line: u64,
    /// Its key aside.
    record: Record,
    /// Where another one has the same number.
    other: Option<u64>,
}

impl Stored {
    fn add(&mut self, record: &LogRecord, line: u64) {
        let mut found = Record::of(record);
        let (Some(sequence), Some(_)) = (found.sequence, found.uid.take()) else {
            return self.stray(line, "the line has a record without a number or without a key, which is of no log");
        };
        let leaf = leaf_hash(&[&record.encode_to_vec()]);
        match self.records.entry(sequence) {
            Entry::Vacant(vacant) => {
                vacant.insert(Kept { leaf, line, record: found, other: None });
            }
            Entry::Occupied(there) if there.get().leaf == leaf => self.repeated += 1,
            // Told when its turn comes: there may be an earlier one that is wrong.
            Entry::Occupied(mut there) => {
                there.get_mut().other.get_or_insert(line);
            }
        }
    }

    fn stray(&mut self, line: u64, what: &'static str) {
        self.stray.get_or_insert(Stray { line, what });
    }

    /// In an export, what cannot be read at its beginning is the record before the first that can.
    fn no_stray_before(&self, json: &Value, place: &Place) -> Result<(), Broken> {
        let Some(Stray { line, what }) = self.stray else { return Ok(()) };
        let next = json.get("sequence").and_then(Value::as_u64).unwrap_or_default();
        let sequence = next.saturating_sub(1).max(1);
        Err(Broken { sequence, uid: None, file: place.file.clone(), at: line, what: what.to_owned() })
    }

    fn check(self, chain: &mut Chain, path: &Path) -> Result<Result<(), Broken>, Failure> {
        chain.report().repeated += self.repeated;
        let file = path.display().to_string();
        for (sequence, Kept { leaf, line, record, other }) in self.records {
            let place = Place { file: file.clone(), at: line };
            let twice = other.map(|other| Broken {
                sequence,
                uid: None,
                file: file.clone(),
                at: other,
                what: format!("it is stored twice, in line {line} too, and the two differ"),
            });
            let is_due = chain.next().is_none_or(|next| next == sequence);
            let outcome = match twice {
                Some(twice) if is_due => Err(twice),
                Some(_) | None => chain.take(sequence, Content::Read(leaf, record), &place),
            };
            let Err(mut found) = outcome else { continue };
            if found.sequence == sequence {
                found.uid = uid_in(path, found.at, sequence)?;
            } else if let Some(Stray { line, what }) = &self.stray {
                // What cannot be read may be what is missing.
                (found.at, found.what) = (*line, format!("{}: {what}", found.what));
            }
            return Ok(Err(found));
        }
        Ok(match self.stray {
            Some(Stray { line, what }) => Err(broken(chain, &Place { file, at: line }, what)),
            None => Ok(()),
        })
    }
}

/// The key of a record that has this number in this line, for the one that has to be named.
fn uid_in(path: &Path, line: u64, sequence: u64) -> Result<Option<String>, Failure> {
    let mut lines = Lines::open(path)?;
    while let Some((number, read)) = lines.next()? {
        if number < line {
            continue;
        }
        let Line::Request(request) = read else { return Ok(None) };
        let scopes = request.resource_logs.into_iter().flat_map(|logs| logs.scope_logs);
        let mut records = scopes.flat_map(|scope| scope.log_records).map(|record| Record::of(&record));
        return Ok(records.find(|record| record.sequence == Some(sequence)).and_then(|record| record.uid));
    }
    Ok(None)
}
