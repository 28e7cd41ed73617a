//! Tunnels whose client speaks TLS to the gateway.

use rustls::pki_types::{PrivateKeyDer, ServerName};
use tokio_rustls::{TlsAcceptor, TlsConnector, client};

use super::bulk::{LARGE, receive_large, send_large};
use super::*;

struct TlsWorld {
    client: client::TlsStream<TcpStream>,
    origin: TcpStream,
    carried: JoinHandle<Finished>,
}

async fn open() -> TlsWorld {
    let minted = rcgen::generate_simple_self_signed(["gateway.test".to_owned()]).unwrap();
    let certificate = minted.cert.der().clone();
    let key = PrivateKeyDer::try_from(minted.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let ((far_client, near_client), (near_origin, origin)) = (pair().await, pair().await);
    let (accepted, client) = tokio::join!(
        TlsAcceptor::from(Arc::new(server)).accept(near_client),
        TlsConnector::from(Arc::new(client)).connect(ServerName::try_from("gateway.test").unwrap(), far_client),
    );
    let (accepted, client) = (accepted.unwrap(), client.unwrap());
    let carried = tokio::spawn(async move {
        let tunnel = Tunnel {
            client: accepted.into(),
            upstream: near_origin.into(),
            from_client: Bytes::from_static(b"early "),
            from_upstream: Bytes::new(),
        };
        carry(tunnel, &LONG, &Pools::new(POOLS), &Counters::default(), &Meter::default(), pending()).await
    });
    TlsWorld { client, origin, carried }
}

#[tokio::test]
async fn a_question_and_an_answer_pass_through_tls_with_half_closes() {
    let mut world = open().await;
    world.client.write_all(b"question").await.unwrap();
    world.client.shutdown().await.unwrap();
    let mut question = Vec::new();
    world.origin.read_to_end(&mut question).await.unwrap();
    assert_eq!(question, b"early question");
    world.origin.write_all(b"answer").await.unwrap();
    drop(world.origin);
    let mut answer = Vec::new();
    // Fails without the closing alert.
    world.client.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"answer");
    assert_eq!(world.carried.await.unwrap(), Finished { sent: 14, received: 6, ending: Ending::ClientClosed });
}

#[tokio::test]
async fn a_client_that_leaves_without_the_closing_alert_has_closed() {
    let mut world = open().await;
    world.client.write_all(b"bye").await.unwrap();
    // A socket that is closed with something unread (session tickets) is reset.
    world.origin.write_all(b"hi").await.unwrap();
    assert_eq!(receive(&mut world.client, 2).await, b"hi");
    drop(world.client);
    let mut bytes = Vec::new();
    world.origin.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(bytes, b"early bye");
    drop(world.origin);
    assert_eq!(world.carried.await.unwrap(), Finished { sent: 9, received: 2, ending: Ending::ClientClosed });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_transfers_both_ways_at_once_pass_through_tls_whole() {
    let mut world = open().await;
    assert_eq!(receive(&mut world.origin, 6).await, b"early ");
    let (from_client, to_client) = tokio::io::split(world.client);
    let (from_origin, to_origin) = world.origin.split();
    tokio::join!(
        send_large(to_client, 1),
        receive_large(from_origin, 1),
        send_large(to_origin, 2),
        receive_large(from_client, 2),
    );
    let finished = world.carried.await.unwrap();
    assert_eq!((finished.sent, finished.received), (LARGE as u64 + 6, LARGE as u64));
}
