//! Where a collector is, how it is spoken to and what it is shown, with what can be wrong about it.

use std::time::Duration;

use http::{HeaderName, HeaderValue};

use crate::evidence::ship::tls::{Tls, TlsError};

/// A collector.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `http://HOST:PORT` or `https://HOST:PORT`; for `Protocol::HttpProtobuf`, `/v1/logs` is appended.
    pub endpoint: String,
    /// How to speak to it.
    pub protocol: Protocol,
    /// How requests are packed.
    pub compression: Compression,
    /// Sent with every request. Values that are marked as sensitive are not shown by `Debug`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// TLS, for `https`; without it, `https` trusts the machine's anchors.
    pub tls: Option<Tls>,
    /// How long one request may take, the connection's making included.
    pub timeout: Duration,
}

/// How to speak to a collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// OTLP/gRPC, usually on port 4317.
    Grpc,
    /// OTLP/HTTP with protobuf bodies, usually on port 4318.
    HttpProtobuf,
}

/// How requests are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// gzip.
    Gzip,
    /// Not at all.
    None,
}

/// Why a collector cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// It is no URL with a host.
    #[error("the collector's endpoint `{0}` is not a URL such as `http://127.0.0.1:4317`")]
    Malformed(String),
    /// TLS is set, and the endpoint is `http`.
    #[error("the collector's endpoint `{0}` is `http`, and `tls` is given: write `https`, or leave `tls` out")]
    TlsOverHttp(String),
    /// What it is secured with.
    #[error(transparent)]
    Tls(#[from] TlsError),
}
