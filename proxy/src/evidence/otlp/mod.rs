//! Evidence to an OpenTelemetry collector: batches, retried without end, room given back only when they were taken.
//!
//! The request is sent with the generated OTLP client rather than through the SDK's exporter, because that one reports
//! a batch of which the collector rejected a part as exported.

use std::sync::Arc;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::queue::{Entry, Queue};
use super::writer::{alarm, next_pause};
use super::{Limits, OWN_ROOM, Shared};
use crate::metrics::Metrics;
use client::Client;

mod client;

pub mod encode;

mod request;

pub mod message;

pub mod decode;

pub use client::EndpointError;

/// Records in one request.
const BATCH_RECORDS: usize = 512;
/// Bytes in one request: a quarter of what gRPC servers accept by default (4 MiB).
const BATCH_BYTES: usize = 1 << 20;

/// The collector.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `http://HOST:PORT`; over HTTP, `/v1/logs` is appended.
    pub endpoint: String,
    /// How to speak to it.
    pub protocol: Protocol,
}

/// How to speak to the collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// OTLP/gRPC, usually on port 4317.
    Grpc,
    /// OTLP/HTTP with protobuf bodies, usually on port 4318.
    HttpProtobuf,
}

/// The writer's end of the exporter.
pub(super) struct Exporter {
    to: mpsc::Sender<Entry>,
}

impl Exporter {
    /// Hand a record on. It brings its room along, and the channel has as many places as there is room: it fits.
    pub fn send(&self, entry: Entry) {
        let _ = self.to.try_send(entry);
    }
}

/// Start the exporter as a task of the current runtime. It ends when the writer has ended and all is exported, or
/// cannot be.
pub(super) fn start(settings: Settings, shared: &Shared, limits: Limits) -> Result<Exporter, EndpointError> {
    let client = Client::new(&settings)?;
    let places = usize::try_from(limits.queue.saturating_add(OWN_ROOM)).unwrap_or(usize::MAX);
    let (to, from) = mpsc::channel(places.min(tokio::sync::Semaphore::MAX_PERMITS));
    let sender = Sender {
        client,
        resource: request::resource(shared.gateway.as_str()),
        queue: shared.queue.clone(),
        metrics: shared.metrics.clone(),
        limits,
    };
    tokio::spawn(sender.run(from));
    Ok(Exporter { to })
}

/// The exporter's own end.
struct Sender {
    client: Client,
    resource: Resource,
    queue: Arc<Queue>,
    metrics: Arc<Metrics>,
    limits: Limits,
}

impl Sender {
    async fn run(mut self, mut from: mpsc::Receiver<Entry>) {
        let mut entries = Vec::with_capacity(BATCH_RECORDS);
        while from.recv_many(&mut entries, BATCH_RECORDS).await > 0 {
            let mut waiting = entries.drain(..).map(|entry| (log_record(&entry.item), entry.room)).peekable();
            while waiting.peek().is_some() {
                let mut batch = Batch::default();
                while let Some(next) = waiting.next_if(|(record, _)| batch.has_room_for(record)) {
                    batch.add(next);
                }
                let request = request::request(&self.resource, batch.records);
                self.export(&request, batch.rooms).await;
            }
        }
    }

    /// Send a batch until the collector has taken it, or the queue is stopped.
    async fn export(&mut self, request: &ExportLogsServiceRequest, rooms: Vec<OwnedSemaphorePermit>) {
        let (mut pause, mut failing) = (self.limits.retry_first, false);
        loop {
            match self.once(request).await {
                Ok(taken) => {
                    if failing {
                        alarm("evidence: the collector takes records again");
                    }
                    self.count(&taken, rooms.len());
                    return;
                }
                Err(why) => {
                    self.metrics.evidence_export_failures.increment(1);
                    if !failing {
                        alarm(&format!("evidence: the collector does not take records, they wait: {why}"));
                        failing = true;
                    }
                    if self.queue.is_stopped() {
                        self.metrics.evidence_lost.increment(u64::try_from(rooms.len()).unwrap_or(u64::MAX));
                        return;
                    }
                    tokio::time::sleep(pause).await;
                    pause = next_pause(pause, self.limits.retry_longest);
                }
            }
        }
    }

    async fn once(&mut self, request: &ExportLogsServiceRequest) -> Result<Taken, String> {
        let limit = self.limits.export_timeout;
        match tokio::time::timeout(limit, self.client.export(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {limit:?}")),
        }
    }

    fn count(&self, taken: &Taken, records: usize) {
        let mut exported = u64::try_from(records).unwrap_or(u64::MAX);
        if let Some(rejected) = &taken.rejected {
            exported = exported.saturating_sub(rejected.records);
            // OTLP forbids to send these again, so an operator has to know.
            self.metrics.evidence_rejected.increment(rejected.records);
            alarm(&format!("evidence: the collector rejected {} records: {}", rejected.records, rejected.why));
        }
        self.metrics.evidence_exported.increment(exported);
    }
}

fn log_record(item: &super::queue::Item) -> LogRecord {
    encode::log_record(&item.json()).unwrap_or_default()
}

#[derive(Default)]
struct Batch {
    records: Vec<LogRecord>,
    rooms: Vec<OwnedSemaphorePermit>,
    bytes: usize,
}

impl Batch {
    fn has_room_for(&self, record: &LogRecord) -> bool {
        self.records.is_empty() || self.bytes + record.encoded_len() <= BATCH_BYTES
    }

    fn add(&mut self, (record, room): (LogRecord, OwnedSemaphorePermit)) {
        self.bytes += record.encoded_len();
        self.records.push(record);
        self.rooms.push(room);
    }
}

/// The collector's answer to a batch that it took.
struct Taken {
    rejected: Option<Rejected>,
}

/// Records of a taken batch that the collector did not want.
struct Rejected {
    records: u64,
    why: String,
}

#[cfg(test)]
mod tests;
