//! Evidence to an OpenTelemetry collector: batches, retried without end, room given back only when they were taken.
//!
//! The request is sent with the generated OTLP client rather than through the SDK's exporter, because that one reports
//! a batch of which the collector rejected a part as exported.

mod client;

pub mod encode;

mod request;

pub use client::EndpointError;

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

/// The collector's answer to a batch that it took.
struct Taken {
    rejected: Option<Rejected>,
}

/// Records of a taken batch that the collector did not want.
struct Rejected {
    records: u64,
    why: String,
}
