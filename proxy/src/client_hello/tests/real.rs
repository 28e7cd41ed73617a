//! Hellos of a real TLS implementation, and what it makes of our alerts.

use std::io::{Cursor, Read};
use std::sync::Arc;

use rustls::pki_types::ServerName;

use super::*;

pub(in crate::client_hello) fn rustls_client(alpn: &[&[u8]]) -> rustls::ClientConnection {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    rustls::ClientConnection::new(Arc::new(config), ServerName::try_from("Allowed.Test").unwrap()).unwrap()
}

pub(in crate::client_hello) fn first_flight(client: &mut rustls::ClientConnection) -> Vec<u8> {
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_real_hello_is_read() {
    let bytes = first_flight(&mut rustls_client(&[b"h2", b"http/1.1"]));
    assert_eq!(
        hello(&bytes),
        Hello {
            sni: Some("allowed.test".into()),
            alpn: vec!["h2".into(), "http/1.1".into()],
            versions: vec!["1.3".into(), "1.2".into()],
            ech: false,
            ja4: None,
        }
    );
}

#[test]
fn a_real_client_understands_the_alerts() {
    use rustls::AlertDescription as Real;
    for (ours, real) in [
        (AlertDescription::AccessDenied, Real::AccessDenied),
        (AlertDescription::DecodeError, Real::DecodeError),
        (AlertDescription::ProtocolVersion, Real::ProtocolVersion),
        (AlertDescription::InternalError, Real::InternalError),
        (AlertDescription::UnrecognizedName, Real::UnrecognisedName),
        (AlertDescription::NoApplicationProtocol, Real::NoApplicationProtocol),
    ] {
        let mut client = rustls_client(&[]);
        first_flight(&mut client);
        let mut answer = Cursor::new(alert(ours)).take(7);
        client.read_tls(&mut answer).unwrap();
        assert_eq!(client.process_new_packets().unwrap_err(), rustls::Error::AlertReceived(real));
    }
}
