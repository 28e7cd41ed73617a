//! What the gateway's side of TLS agrees to.

use std::io::Cursor;
use std::sync::Arc;

use rustls::crypto::cipher::OutboundPlainMessage;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConnection, ConnectionTrafficSecrets, ContentType, HandshakeKind, ProtocolVersion, ServerConnection,
    SupportedCipherSuite,
};

use super::{HOST, ID, VERSIONS, World, shake, uri, valid};
use crate::mint::Leaf;
use crate::server::ClientCertificates;
use crate::subject::Subject;
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

/// A hello without the extension for versions, so that `version` is the highest one it offers.
fn hello_of(version: [u8; 2]) -> Vec<u8> {
    let mut body = version.to_vec();
    body.extend([7; 32]);
    // No session, TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, no compression.
    body.extend([0, 0, 2, 0xc0, 0x13, 1, 0]);
    // The one extension: signature_algorithms with ecdsa_secp256r1_sha256.
    body.extend([0, 8, 0, 13, 0, 4, 0, 2, 4, 3]);
    let mut handshake = vec![1, 0, 0, u8::try_from(body.len()).unwrap()];
    handshake.extend(body);
    handshake
}

#[test]
fn nothing_below_tls_1_2_is_spoken() {
    let world = World::new();
    for version in [[3, 0], [3, 1], [3, 2]] {
        let mut server = ServerConnection::new(world.server(&ClientCertificates::None)).unwrap();
        let hello = hello_of(version);
        let mut record = vec![0x16, 3, 1, 0, u8::try_from(hello.len()).unwrap()];
        record.extend(hello);
        server.read_tls(&mut Cursor::new(record)).unwrap();
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

/// Carry what each side has to say until both are silent.
fn converse(client: &mut ClientConnection, server: &mut ServerConnection) {
    while client.wants_write() || server.wants_write() {
        let (mut from_client, mut from_server) = (Vec::new(), Vec::new());
        while client.wants_write() {
            client.write_tls(&mut from_client).unwrap();
        }
        while server.wants_write() {
            server.write_tls(&mut from_server).unwrap();
        }
        let (mut from_client, mut from_server) = (&from_client[..], &from_server[..]);
        while !from_client.is_empty() {
            server.read_tls(&mut from_client).unwrap();
            server.process_new_packets().unwrap();
        }
        while !from_server.is_empty() {
            client.read_tls(&mut from_server).unwrap();
            client.process_new_packets().unwrap();
        }
    }
}

/// The records that `client` would send next, were it to greet again so many `times`: rustls itself never does.
fn hellos_again(client: ClientConnection, times: u64) -> Vec<Vec<u8>> {
    let Some(SupportedCipherSuite::Tls12(suite)) = client.negotiated_cipher_suite() else {
        panic!("not TLS 1.2");
    };
    let secrets = client.dangerous_extract_secrets().unwrap();
    let (next, ConnectionTrafficSecrets::Aes256Gcm { key, iv } | ConnectionTrafficSecrets::Aes128Gcm { key, iv }) =
        secrets.tx
    else {
        panic!("the suites that come first are of AES-GCM");
    };
    // RFC 5288 section 3: four octets are fixed, eight go along with each record.
    let (fixed, explicit) = iv.as_ref().split_at(4);
    let mut encrypter = suite.aead_alg.encrypter(key, fixed, explicit);
    let hello = hello_of([3, 3]);
    (next..next + times)
        .map(|sequence| {
            let message = OutboundPlainMessage {
                typ: ContentType::Handshake,
                version: ProtocolVersion::TLSv1_2,
                payload: hello.as_slice().into(),
            };
            encrypter.encrypt(message, sequence).unwrap().encode()
        })
        .collect()
}

#[test]
pub fn a_second_hello_changes_nothing_and_a_third_ends_the_connection() {
    let world = World::new();
    let issued = world.ca.issue(&Leaf::client(vec![uri(ID)], valid())).unwrap();
    let mut config = world.client(Some(&issued), &TLS12);
    config.enable_secret_extraction = true;
    let host = ServerName::try_from(HOST).unwrap();
    let mut client = ClientConnection::new(Arc::new(config), host).unwrap();
    let mut server = ServerConnection::new(world.server(&ClientCertificates::Required(world.trust()))).unwrap();
    converse(&mut client, &mut server);
    let before = Subject::of_client(&server).unwrap().unwrap();

    let records = hellos_again(client, 2);
    server.read_tls(&mut records[0].as_slice()).unwrap();
    let state = server.process_new_packets().unwrap();
    // An alert, no_renegotiation, and no ServerHello: the record has room for nothing else.
    assert!((1..40).contains(&state.tls_bytes_to_write()), "{state:?}");
    assert!(!server.is_handshaking());
    assert_eq!(Subject::of_client(&server).unwrap().unwrap(), before);

    server.read_tls(&mut records[1].as_slice()).unwrap();
    let error = format!("{:?}", server.process_new_packets().unwrap_err());
    assert!(error.contains("TooManyRenegotiationRequests"), "{error}");
}
