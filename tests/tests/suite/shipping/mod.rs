//! From the spool to a collector that misbehaves: nothing is missing there, and what comes twice has one uid.

mod faults;

mod rejections;

mod cursor;

mod channel;

mod sinks;

mod rate;

mod renewed;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gatepass::evidence::ship::otlp::{Client, Compression, Protocol, Settings};
use gatepass::evidence::ship::{self, Drained, Limits, Shipped, Sink};
use gatepass::evidence::spool::segment::{self, Header};
use gatepass::metrics::Metrics;
use gatepass_tests::faulty::text;
use gatepass_tests::{Faulty, PATIENCE, Scratch};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message as _;
use tokio::sync::watch;

pub const BOTH: [Protocol; 2] = [Protocol::Grpc, Protocol::HttpProtobuf];

pub const UID: &str = "log.record.uid";

/// A spool, its writer, and the gateway's part that ships it.
pub struct World {
    pub scratch: Scratch,
    pub metrics: Arc<Metrics>,
    written: watch::Sender<u64>,
    pub limits: Limits,
    pub timeout: Duration,
}

impl World {
    pub fn new() -> World {
        World {
            scratch: Scratch::new(),
            metrics: Arc::new(Metrics::new().unwrap()),
            written: watch::channel(0).0,
            limits: Limits {
                records: 10,
                bytes: 1 << 20,
                in_flight: 4,
                retry_first: Duration::from_millis(5),
                retry_longest: Duration::from_millis(50),
            },
            timeout: Duration::from_secs(10),
        }
    }

    pub fn spool(&self) -> &Path {
        self.scratch.path()
    }

    pub fn written(&self) -> u64 {
        *self.written.borrow()
    }

    /// Write so many more records, as a segment of their own.
    pub fn write(&self, records: u64) {
        self.segment(records, |sequence, into| segment::write_frame(&[&record(sequence)], into));
    }

    /// Write so many more frames, as a segment of their own.
    pub fn segment(&self, records: u64, frame: impl Fn(u64, &mut Vec<u8>)) {
        let first = self.written() + 1;
        let mut bytes = header(first).encode();
        (first..first + records).for_each(|sequence| frame(sequence, &mut bytes));
        self.scratch.write(&format!("segments/{}", segment::file_name(first)), bytes);
        self.written.send_replace(first + records - 1);
    }

    pub fn settings(&self, collector: &Faulty, protocol: Protocol) -> Settings {
        Settings {
            endpoint: format!("http://{}", collector.address()),
            protocol,
            compression: Compression::None,
            headers: Vec::new(),
            tls: None,
            timeout: self.timeout,
        }
    }

    pub fn ship(&self, settings: &Settings) -> Shipped {
        let sink = Sink::Otlp(Client::new(settings).unwrap());
        let settings = ship::Settings { sink, spool: self.spool().to_owned(), limits: self.limits };
        ship::start(settings, self.written.subscribe(), self.metrics.clone()).unwrap()
    }

    pub fn start(&self, collector: &Faulty, protocol: Protocol) -> Shipped {
        self.ship(&self.settings(collector, protocol))
    }

    /// Wait until everything is there.
    pub async fn drained(&self, shipped: &Shipped) {
        assert_eq!(shipped.drained(self.written(), PATIENCE).await, Drained::All);
    }

    /// What this metric says of all sinks together.
    pub fn metric(&self, name: &str) -> u64 {
        let text = self.metrics.render();
        let series = text.lines().filter_map(|line| line.strip_prefix(&format!("gatepass_evidence_{name}{{sink=")));
        let values: Vec<u64> = series.map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap()).collect();
        assert_eq!(values.len(), 3, "{name} in\n{text}");
        values.iter().sum()
    }
}

pub fn header(first: u64) -> Header {
    Header {
        first,
        gateway: "gw-1".into(),
        log: "gatepass.test/gw-1".into(),
        run: "019a8f3e-1d2c-7b4a-9c1e-2f60a1b3c4d5".into(),
        created: "2026-11-22T10:00:00Z".into(),
        version: "0.1.0".into(),
        host: Some("machine".into()),
    }
}

/// The record of this number, as it is spooled.
pub fn record(sequence: u64) -> Vec<u8> {
    let value = Some(AnyValue { value: Some(Any::StringValue(uid(sequence))) });
    let attributes = vec![KeyValue { key: UID.into(), value, ..KeyValue::default() }];
    LogRecord { attributes, event_name: "gatepass.decision".into(), ..LogRecord::default() }.encode_to_vec()
}

pub fn uid(sequence: u64) -> String {
    format!("uid-{sequence:06}.")
}

/// How often each record is there.
pub fn counts(collector: &Faulty) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for record in collector.records() {
        *counts.entry(text(&record, UID).unwrap()).or_default() += 1;
    }
    counts
}

/// Every record up to this one is there, and nothing else.
pub fn assert_complete(collector: &Faulty, last: u64) {
    let there: Vec<String> = counts(collector).into_keys().collect();
    assert_eq!(there, (1..=last).map(uid).collect::<Vec<_>>());
}

/// Wait, in an asynchronous test, until `ready` says so.
pub async fn eventually<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(tokio::time::Instant::now() < end, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
