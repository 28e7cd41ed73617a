//! Who a test's clients are: certificates to show, tokens to send.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gatepass_certs::mint::{Ca, Issued, Leaf, Name};
use rustls::{ClientConfig, RootCertStore};
use sha2::{Digest, Sha256};

use crate::bundle::in_hours;
use crate::gateway::hour;

/// A client that trusts this authority and shows nothing.
pub fn trusting(ca: &Ca) -> Arc<ClientConfig> {
    gatepass_certs::client::config(&[ca.certificate().clone()], None, &[]).unwrap()
}

/// A client that trusts this authority and shows a certificate, whatever that is worth.
pub fn showing(ca: &Ca, shown: &Issued) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.certificate().clone()).unwrap();
    let config = ClientConfig::builder_with_provider(gatepass_certs::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(shown.chain(), shown.key())
        .unwrap();
    Arc::new(config)
}

/// A certificate for this SPIFFE ID, good for an hour.
pub fn workload(ca: &Ca, id: &str) -> Issued {
    ca.issue(&Leaf::client(vec![Name::Uri(id.to_owned())], hour())).unwrap()
}

/// A client of this SPIFFE ID.
pub fn being(ca: &Ca, id: &str) -> Arc<ClientConfig> {
    showing(ca, &workload(ca, id))
}

/// One entry of a tokens file, or of `admin.operators`; it ends in so many hours.
pub fn token(name: &str, secret: &str, hours: i64) -> String {
    let hash: String = Sha256::digest(secret).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{{name: {name}, sha256: \"{hash}\", expires: \"{}\"}}", in_hours(hours))
}

/// The field line of Basic credentials, with its end.
pub fn basic(name: &str, secret: &str) -> String {
    format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode(format!("{name}:{secret}")))
}

/// The field line of Bearer credentials, with its end.
pub fn bearer(secret: &str) -> String {
    format!("Proxy-Authorization: Bearer {secret}\r\n")
}
