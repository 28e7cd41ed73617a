//! What a record keeps of the facts that it was decided on, and facts made of it: for whoever decides again.
//!
//! The preview of overrides, `gatepass replay` and `gatepass suggest` share this one conversion.

mod cell;

pub mod parquet;

pub mod facts;

pub use cell::{List, Pairs};

use std::collections::HashMap;
use std::sync::LazyLock;

use cell::Cell;
use foldhash::fast::FixedState;
use jiff::Timestamp;
use serde_json::Value;

use crate::evidence::fields::{FIELDS, Place};
use crate::evidence::otlp::decode;
use crate::evidence::otlp::message::{Garbled, log_record};
use crate::evidence::questions::row::Kind;

/// A record, borrowed from wherever it was read. Text that is absent is empty; what is `None` was not recorded.
#[derive(Clone, Copy, Debug, Default)]
#[expect(missing_docs, reason = "each is the field of the record of this name: docs/reference/records.md")]
pub struct Recorded<'a> {
    pub kind: Kind,
    /// Microseconds since 1970.
    pub time: i64,
    pub id: &'a str,
    pub effect: &'a str,
    pub outcome: &'a str,
    pub mode: &'a str,
    pub floor: &'a str,
    pub reason: &'a str,
    /// The reason in words.
    pub sentence: &'a str,
    pub rule: &'a str,
    pub grant: &'a str,
    pub exception: &'a str,
    pub identity: &'a str,
    pub method: &'a str,
    pub labels: Pairs<'a>,
    pub cert_sha256: Option<&'a str>,
    pub data_classes: List<'a>,
    pub data_classes_from: &'a str,
    pub client_address: &'a str,
    pub client_port: Option<i64>,
    pub listener: &'a str,
    pub host: &'a str,
    pub port: Option<i64>,
    pub addresses: List<'a>,
    /// The address that was dialled.
    pub dialled: &'a str,
    pub cname: List<'a>,
    pub min_ttl: Option<i64>,
    pub secure: Option<bool>,
    pub tls_present: Option<bool>,
    pub sni: Option<&'a str>,
    pub alpn: List<'a>,
    pub versions: List<'a>,
    pub ech: Option<bool>,
    pub ja4: Option<&'a str>,
    pub verified: Option<bool>,
    pub fault: &'a str,
    pub sans: List<'a>,
    pub issuer: Option<&'a str>,
    pub spki_sha256: Option<&'a str>,
    pub not_after: Option<&'a str>,
    pub tls_version: Option<&'a str>,
    pub protocol: &'a str,
    pub request_method: Option<&'a str>,
    pub request_path: Option<&'a str>,
    pub bytes_sent: i64,
    pub bytes_received: i64,
}

type Set = for<'a> fn(&mut Recorded<'a>, Cell<'a>);

/// A field of the table that is wanted here, and where it goes.
struct Column {
    path: &'static str,
    set: Set,
}

macro_rules! columns {
    ($($path:literal $record:ident, $cell:ident => $set:expr;)*) => {
        /// In the order of the records.
        const COLUMNS: &[Column] = &[$(Column { path: $path, set: |$record, $cell| { $set } },)*];
    };
}

columns! {
    "id" record, cell => text(&mut record.id, cell);
    "floor" record, cell => text(&mut record.floor, cell);
    "effect" record, cell => text(&mut record.effect, cell);
    "outcome" record, cell => text(&mut record.outcome, cell);
    "mode" record, cell => text(&mut record.mode, cell);
    "reason.code" record, cell => text(&mut record.reason, cell);
    "reason.text" record, cell => text(&mut record.sentence, cell);
    "rule.path" record, cell => text(&mut record.rule, cell);
    "grant" record, cell => text(&mut record.grant, cell);
    "exception" record, cell => text(&mut record.exception, cell);
    "identity.id" record, cell => text(&mut record.identity, cell);
    "identity.method" record, cell => text(&mut record.method, cell);
    "identity.labels" record, cell => record.labels = cell.pairs();
    "identity.cert_sha256" record, cell => record.cert_sha256 = cell.text();
    "data_classes" record, cell => record.data_classes = cell.list();
    "data_classes_from" record, cell => text(&mut record.data_classes_from, cell);
    "client.address" record, cell => text(&mut record.client_address, cell);
    "client.port" record, cell => record.client_port = cell.int();
    "listener" record, cell => text(&mut record.listener, cell);
    "destination.host" record, cell => text(&mut record.host, cell);
    "destination.port" record, cell => record.port = cell.int();
    "destination.addresses" record, cell => record.addresses = cell.list();
    "destination.address" record, cell => text(&mut record.dialled, cell);
    "dns.cname" record, cell => record.cname = cell.list();
    "dns.min_ttl" record, cell => record.min_ttl = cell.int();
    "dns.secure" record, cell => record.secure = cell.truth();
    "tls.present" record, cell => record.tls_present = cell.truth();
    "tls.sni" record, cell => record.sni = cell.text();
    "tls.alpn" record, cell => record.alpn = cell.list();
    "tls.versions" record, cell => record.versions = cell.list();
    "tls.ech" record, cell => record.ech = cell.truth();
    "tls.ja4" record, cell => record.ja4 = cell.text();
    "upstream.verified" record, cell => record.verified = cell.truth();
    "upstream.fault" record, cell => text(&mut record.fault, cell);
    "upstream.dns_sans" record, cell => record.sans = cell.list();
    "upstream.issuer" record, cell => record.issuer = cell.text();
    "upstream.spki_sha256" record, cell => record.spki_sha256 = cell.text();
    "upstream.not_after" record, cell => record.not_after = cell.text();
    "upstream.tls_version" record, cell => record.tls_version = cell.text();
    "request.protocol" record, cell => text(&mut record.protocol, cell);
    "request.method" record, cell => record.request_method = cell.text();
    "request.path" record, cell => record.request_path = cell.text();
    "bytes_sent" record, cell => record.bytes_sent = cell.int().unwrap_or(0);
    "bytes_received" record, cell => record.bytes_received = cell.int().unwrap_or(0);
}

fn text<'a>(into: &mut &'a str, cell: Cell<'a>) {
    *into = cell.text().unwrap_or_default();
}

/// The columns by the attributes of the spool.
struct Attributes {
    /// Each column with its attribute, in the order of the records.
    ordered: Vec<(&'static str, Set)>,
    places: HashMap<&'static str, usize, FixedState>,
}

static ATTRIBUTES: LazyLock<Attributes> = LazyLock::new(|| {
    let column = |path| COLUMNS.iter().find(|column| column.path == path);
    let ordered = FIELDS.iter().filter_map(|field| match field.place {
        Place::Attribute(name) => Some((name, column(field.path)?.set)),
        Place::Seconds(_) | Place::Resource(_) | Place::EventName | Place::Time | Place::Body => None,
        Place::TraceId | Place::SpanId => None,
    });
    let ordered: Vec<(&'static str, Set)> = ordered.collect();
    let places = ordered.iter().enumerate().map(|(at, (name, _))| (*name, at)).collect();
    Attributes { ordered, places }
});

impl Attributes {
    /// Where a value goes. Most attributes stand where the last one makes expect them, and need no search.
    fn find(&self, next: &mut usize, name: &str) -> Option<Set> {
        let at = match self.ordered.get(*next) {
            Some((expected, _)) if *expected == name => *next,
            Some(_) | None => *self.places.get(name)?,
        };
        *next = at + 1;
        self.ordered.get(at).map(|(_, set)| *set)
    }
}

impl<'a> Recorded<'a> {
    /// From the bytes in the spool.
    ///
    /// # Errors
    ///
    /// [`Garbled`] where they are no record.
    pub fn of_bytes(bytes: &'a [u8]) -> Result<Recorded<'a>, Garbled> {
        let mut record = Recorded::default();
        let (attributes, mut next) = (&*ATTRIBUTES, 0);
        let envelope = log_record(bytes, |name, any| {
            if let (Some(set), Some(cell)) = (attributes.find(&mut next, name), Cell::of_any(any)) {
                set(&mut record, cell);
            }
            Ok(())
        })?;
        record.kind = Kind::of(decode::kind(envelope.event).ok_or(Garbled)?);
        record.time = i64::try_from(envelope.time / 1000).map_err(|_| Garbled)?;
        record.sentence = envelope.body;
        Ok(record)
    }

    /// From a line of an export.
    ///
    /// # Errors
    ///
    /// [`Garbled`] where it is no record.
    pub fn of_json(json: &'a Value) -> Result<Recorded<'a>, Garbled> {
        let text = |name| json.get(name).and_then(Value::as_str).ok_or(Garbled);
        let time: Timestamp = text("time")?.parse().map_err(|_| Garbled)?;
        let mut record = Recorded { kind: Kind::of(text("kind")?), time: time.as_microsecond(), ..Recorded::default() };
        for column in COLUMNS {
            let found = match column.path.split_once('.') {
                Some((first, rest)) => json.get(first).and_then(|inner| inner.get(rest)),
                None => json.get(column.path),
            };
            if let Some(cell) = found.and_then(Cell::of_json) {
                (column.set)(&mut record, cell);
            }
        }
        Ok(record)
    }
}

#[cfg(test)]
mod tests;
