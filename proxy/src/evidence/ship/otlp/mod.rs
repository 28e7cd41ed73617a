//! Records to an OpenTelemetry collector by gRPC or HTTP: the request made by hand around records as they are spooled.
//!
//! Neither the SDK's exporter nor a generated client is used. The bytes of a record are those that its leaf in the log
//! is the hash of, and have to arrive as they are; assembling and compressing a request takes milliseconds, which the
//! event loop does not have; and a collector's answer is bounded and read with suspicion.

mod settings;

mod connector;

mod request;

mod answer;

mod client;

pub use client::Client;
pub use settings::{Compression, Protocol, Settings, SettingsError};

#[cfg(test)]
mod tests;
