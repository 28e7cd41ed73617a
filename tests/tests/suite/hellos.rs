//! ClientHellos as bytes, and the alerts that answer them.

use std::sync::Arc;

use gatepass_tests::Setup;
use rustls::{ClientConfig, ClientConnection};

/// What the server name extension says.
#[derive(Clone, Copy, Debug)]
pub enum Sni {
    /// The name that is asked for.
    Sent,
    /// Nothing: it is left out.
    Absent,
}

/// TLS that trusts the test's authority.
pub fn trusting(setup: &Setup) -> Arc<ClientConfig> {
    gatepass_certs::client::config(&[setup.ca.certificate().clone()], None, &[]).unwrap()
}

/// The first bytes of a real client.
pub fn hello(setup: &Setup, name: &str, sni: Sni) -> Vec<u8> {
    let mut config = ClientConfig::clone(&trusting(setup));
    config.enable_sni = matches!(sni, Sni::Sent);
    let mut connection = ClientConnection::new(Arc::new(config), name.to_owned().try_into().unwrap()).unwrap();
    let mut bytes = Vec::new();
    while connection.wants_write() {
        connection.write_tls(&mut bytes).unwrap();
    }
    bytes
}

/// The description of the one fatal alert that these bytes are; `None` for no bytes at all.
pub fn alert(bytes: &[u8]) -> Option<u8> {
    match bytes {
        [] => None,
        [21, 3, 1 | 3, 0, 2, 2, description] => Some(*description),
        other => panic!("not one fatal alert: {other:?}"),
    }
}

/// RFC 8446 section 6.2.
pub const ACCESS_DENIED: u8 = 49;
/// RFC 6066 section 3.
pub const UNRECOGNIZED_NAME: u8 = 112;
