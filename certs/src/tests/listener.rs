//! What the gateway's side of TLS agrees to.

use std::io::Cursor;
use std::sync::Arc;

use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, ServerConnection};

use super::{HOST, ID, VERSIONS, World, shake, uri, valid};
use crate::mint::Leaf;
use crate::server::ClientCertificates;
use crate::{Alpn, client};

fn takes_certificates(world: &World) -> [ClientCertificates; 2] {
    [ClientCertificates::Optional(world.trust()), ClientCertificates::Required(world.trust())]
}

#[tokio::test]
async fn no_session_is_resumed_where_client_certificates_are_taken() {
    let world = World::new();
    let issued = world.ca.issue(&Leaf::client(vec![uri(ID)], valid())).unwrap();
    for clients in takes_certificates(&world) {
        let server = world.server(&clients);
        for version in VERSIONS {
            let client = Arc::new(world.client(Some(&issued), version));
            for _ in 0..2 {
                let seen = shake(&server, client.clone(), HOST).await.accepted();
                assert_eq!(seen.kind, Some(HandshakeKind::Full));
                assert!(seen.subject.unwrap().is_some());
            }
        }
    }
}

/// The counterpart, so that the test above is known to see a resumption.
#[tokio::test]
async fn a_session_may_be_resumed_where_no_certificate_is_at_stake() {
    let world = World::new();
    let server = world.server(&ClientCertificates::None);
    for version in VERSIONS {
        let client = Arc::new(world.client(None, version));
        assert_eq!(shake(&server, client.clone(), HOST).await.accepted().kind, Some(HandshakeKind::Full));
        assert_eq!(shake(&server, client.clone(), HOST).await.accepted().kind, Some(HandshakeKind::Resumed));
    }
}

#[tokio::test]
pub async fn early_data_is_never_taken() {
    let world = World::new();
    let mut client = world.client(None, &TLS13);
    client.enable_early_data = true;
    let client = Arc::new(client);
    let server = world.server(&ClientCertificates::None);
    assert_eq!(server.max_early_data_size, 0);
    for _ in 0..2 {
        assert!(!shake(&server, client.clone(), HOST).await.accepted().early_data);
    }
    for clients in takes_certificates(&world) {
        assert_eq!(world.server(&clients).max_early_data_size, 0);
    }
}

#[tokio::test]
pub async fn a_name_that_the_certificate_does_not_bear_is_refused() {
    let world = World::new();
    let server = world.server(&ClientCertificates::None);
    for version in VERSIONS {
        let shaken = shake(&server, Arc::new(world.client(None, version)), "tenant.test").await;
        shaken.refused_for("no server certificate chain resolved");
    }
}

#[tokio::test]
async fn whoever_dials_the_address_sends_no_name_and_is_served() {
    let world = World::new();
    let server = world.server(&ClientCertificates::None);
    for version in VERSIONS {
        shake(&server, Arc::new(world.client(None, version)), "127.0.0.1").await.accepted();
    }
}

#[tokio::test]
async fn protocols_are_agreed_on_or_refused() {
    let world = World::new();
    let server = world.server(&ClientCertificates::None);
    let offering = |alpn: &[Alpn]| client::config(&[world.ca.certificate().clone()], None, alpn).unwrap();
    let seen = shake(&server, offering(&[Alpn::H2, Alpn::Http11]), HOST).await.accepted();
    assert_eq!(seen.alpn.as_deref(), Some(&b"http/1.1"[..]));
    assert_eq!(shake(&server, offering(&[]), HOST).await.accepted().alpn, None);
    shake(&server, offering(&[Alpn::H2]), HOST).await.refused_for("NoApplicationProtocol");
}

#[tokio::test]
async fn a_client_of_this_crate_trusts_its_authority_and_no_other() {
    let world = World::new();
    let stranger = World::new();
    let client = client::config(&[stranger.ca.certificate().clone()], None, &[]).unwrap();
    let shaken = shake(&world.server(&ClientCertificates::None), client, HOST).await;
    assert!(shaken.client.unwrap_err().contains("invalid peer certificate"));
}

/// A hello of TLS 1.1, which has no extension for versions.
fn old_hello(version: [u8; 2]) -> Vec<u8> {
    let mut body = version.to_vec();
    body.extend([7; 32]);
    // No session, TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, no compression.
    body.extend([0, 0, 2, 0xc0, 0x13, 1, 0]);
    // The one extension: signature_algorithms with ecdsa_secp256r1_sha256.
    body.extend([0, 8, 0, 13, 0, 4, 0, 2, 4, 3]);
    let mut handshake = vec![1, 0, 0, u8::try_from(body.len()).unwrap()];
    handshake.extend(body);
    let mut record = vec![0x16, 3, 1, 0, u8::try_from(handshake.len()).unwrap()];
    record.extend(handshake);
    record
}

#[test]
fn nothing_below_tls_1_2_is_spoken() {
    let world = World::new();
    for version in [[3, 0], [3, 1], [3, 2]] {
        let mut server = ServerConnection::new(world.server(&ClientCertificates::None)).unwrap();
        server.read_tls(&mut Cursor::new(old_hello(version))).unwrap();
        let error = format!("{:?}", server.process_new_packets().unwrap_err());
        assert!(error.contains("Tls12NotOffered"), "{error}");
    }
}

#[tokio::test]
async fn both_versions_are_spoken() {
    let world = World::new();
    let server = world.server(&ClientCertificates::None);
    for version in [&TLS12, &TLS13] {
        shake(&server, Arc::new(world.client(None, version)), HOST).await.accepted();
    }
}
