//! TLS as a client of whoever takes records: what the gateway trusts, shows, and expects to be named.

use std::path::PathBuf;
use std::sync::Arc;

use gatepass_certs::chain::{Chain, Purpose};
use gatepass_certs::{Alpn, Limits, Unusable};
use gatepass_config::channel;
use jiff::Timestamp;
use rustls::pki_types::{CertificateDer, ServerName};

/// TLS as a client. Files are PEM.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Who vouches for the other side; without it, the machine's own trust anchors.
    pub ca: Option<PathBuf>,
    /// What the gateway proves itself with, where it is asked.
    pub own: Option<Own>,
    /// What its certificate must name, where that is not the host that is connected to.
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

impl From<&channel::Tls> for Tls {
    fn from(tls: &channel::Tls) -> Tls {
        let own = tls.own.as_ref();
        Tls {
            ca: tls.ca.as_ref().map(|path| path.value.clone()),
            own: own.map(|own| Own { certificate: own.certificate.value.clone(), key: own.key.value.clone() }),
            server_name: tls.server_name.as_ref().map(|name| name.to_text().into_owned()),
        }
    }
}

/// Why TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// No certificate can have this name.
    #[error("`{0}` is not a name that a certificate can prove: write a host name or an address in `tls.server_name`")]
    ServerName(String),
    /// A file.
    #[error(transparent)]
    File(#[from] Unusable),
    /// The TLS library does not take them.
    #[error("the machine's trust anchors cannot be used: {0}; name whom to trust with `tls: {{ca: FILE}}`")]
    Anchors(String),
}

/// What a connection is secured with.
#[derive(Clone)]
pub struct Secure {
    /// For each handshake.
    pub config: Arc<rustls::ClientConfig>,
    /// What the other side's certificate must name.
    pub name: ServerName<'static>,
}

/// Read the files of `tls`, to connect to `host`. Blocks on them.
pub fn secure(tls: &Tls, host: &str, alpn: &[Alpn]) -> Result<Secure, TlsError> {
    let text = tls.server_name.as_deref().unwrap_or(host);
    // Addresses of version 6 stand in brackets in a URL.
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let name = ServerName::try_from(bare.to_owned()).map_err(|_| TlsError::ServerName(text.to_owned()))?;
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
            taken.map_err(|problem| TlsError::Anchors(problem.to_string()))?
        }
    };
    Ok(Secure { config, name })
}

/// The machine's trust anchors, without those that are too odd to be parsed: a distribution's bundle has some.
pub(crate) fn machine_anchors() -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let loaded = rustls_native_certs::load_native_certs();
    let mut probe = rustls::RootCertStore::empty();
    let usable: Vec<_> = loaded.certs.into_iter().filter(|anchor| probe.add(anchor.clone()).is_ok()).collect();
    if usable.is_empty() {
        let why = loaded.errors.first().map_or_else(|| "there are none".to_owned(), ToString::to_string);
        return Err(TlsError::Anchors(why));
    }
    Ok(usable)
}
