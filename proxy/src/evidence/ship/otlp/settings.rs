//! Where a collector is, how it is spoken to and what it is shown, with what can be wrong about it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gatepass_certs::chain::{Chain, Purpose};
use gatepass_certs::{Alpn, Limits, Unusable};
use http::{HeaderName, HeaderValue};
use jiff::Timestamp;
use rustls::pki_types::ServerName;

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

/// TLS as a client of a collector. Files are PEM.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Who vouches for the collector; without it, the machine's own trust anchors.
    pub ca: Option<PathBuf>,
    /// What the gateway proves itself with, where it is asked.
    pub own: Option<Own>,
    /// What the collector's certificate must name, where that is not the host of the endpoint.
    pub server_name: Option<String>,
}

/// A certificate of the gateway's.
#[derive(Clone, Debug)]
pub struct Own {
    /// The chain.
    pub certificate: PathBuf,
    /// The private key of its leaf.
    pub key: PathBuf,
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
    /// No certificate can have this name.
    #[error("`{0}` is not a name that the collector's certificate can prove: write a host name or an address")]
    ServerName(String),
    /// A file.
    #[error(transparent)]
    File(#[from] Unusable),
    /// The TLS library does not take them.
    #[error("the machine's trust anchors cannot be used: {0}; name those of the collector with `tls: {{ca: FILE}}`")]
    Anchors(String),
}

/// What a connection is secured with.
#[derive(Clone)]
pub(super) struct Secure {
    pub config: Arc<rustls::ClientConfig>,
    pub name: ServerName<'static>,
}

/// Read the files of `tls`. Blocks on them.
pub(super) fn secure(tls: &Tls, host: &str, protocol: Protocol) -> Result<Secure, SettingsError> {
    let alpn = match protocol {
        Protocol::Grpc => [Alpn::H2],
        Protocol::HttpProtobuf => [Alpn::Http11],
    };
    secured(tls, host, &alpn).map(|(config, name)| Secure { config, name })
}

/// TLS as a client of `host`, with what its certificate must name. Blocks on the files of `tls`.
///
/// # Errors
/// A file or a name is unusable.
pub fn secured(
    tls: &Tls,
    host: &str,
    alpn: &[Alpn],
) -> Result<(Arc<rustls::ClientConfig>, ServerName<'static>), SettingsError> {
    let text = tls.server_name.as_deref().unwrap_or(host);
    // Addresses of version 6 stand in brackets in a URL.
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let name = ServerName::try_from(bare.to_owned()).map_err(|_| SettingsError::ServerName(text.to_owned()))?;
    let limits = Limits::RECOMMENDED;
    let own = match &tls.own {
        None => None,
        Some(Own { certificate, key }) => {
            Some(Chain::load(certificate, key, Purpose::Client, &limits, Timestamp::now())?)
        }
    };
    let config = match &tls.ca {
        Some(ca) => gatepass_certs::client::load(ca, own.as_ref(), alpn, &limits)?,
        None => {
            let anchors = machine_anchors()?;
            let taken = gatepass_certs::client::config(&anchors, own.as_ref(), alpn);
            taken.map_err(|problem| SettingsError::Anchors(problem.to_string()))?
        }
    };
    Ok((config, name))
}

/// The machine's trust anchors, without those that are too odd to be parsed: a distribution's bundle has some.
fn machine_anchors() -> Result<Vec<rustls::pki_types::CertificateDer<'static>>, SettingsError> {
    let loaded = rustls_native_certs::load_native_certs();
    let mut probe = rustls::RootCertStore::empty();
    let usable: Vec<_> = loaded.certs.into_iter().filter(|anchor| probe.add(anchor.clone()).is_ok()).collect();
    if usable.is_empty() {
        let why = loaded.errors.first().map_or_else(|| "there are none".to_owned(), ToString::to_string);
        return Err(SettingsError::Anchors(why));
    }
    Ok(usable)
}
