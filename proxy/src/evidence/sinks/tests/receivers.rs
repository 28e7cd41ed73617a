//! Syslog receivers on real sockets: they read, hang, close, and speak TLS.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use gatepass_certs::mint::{Ca, Leaf, Name, Validity};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::{TcpListener, TcpSocket};
use tokio_rustls::TlsAcceptor;

use super::grammar::{self, Message};
use super::*;
use crate::evidence::sinks::rfc5424;
use crate::evidence::sinks::syslog::{Form, Sender, Settings};

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn settings(address: SocketAddr) -> Settings {
    Settings {
        host: address.ip().to_string(),
        port: address.port(),
        tls: None,
        form: Form::Rfc5424,
        sender: rfc5424::Sender::new("gate.example", 1),
        timeout: Duration::from_secs(10),
    }
}

/// Read until so many messages are whole.
async fn messages(socket: &mut (impl AsyncRead + Unpin), count: usize) -> Vec<Message> {
    let reading = async {
        let mut bytes = Vec::new();
        loop {
            if let Some(found) = grammar::frames(&bytes).filter(|found| found.len() >= count) {
                return found.iter().map(|text| grammar::message(text).unwrap()).collect();
            }
            assert_ne!(socket.read_buf(&mut bytes).await.unwrap(), 0, "the connection ended early");
        }
    };
    tokio::time::timeout(Duration::from_secs(10), reading).await.expect("so many messages arrive")
}

fn sequences(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.param("sequence").unwrap()).collect()
}

#[tokio::test]
async fn batches_arrive_whole_on_one_connection() {
    let (listener, address) = listen().await;
    let mut sender = Sender::new(settings(address));
    sender.send(&[denial(), close()]).await.unwrap();
    let (mut socket, _) = listener.accept().await.unwrap();
    sender.send(&[policy()]).await.unwrap();
    assert_eq!(sequences(&messages(&mut socket, 3).await), ["41", "44", "45"]);
}

#[tokio::test]
async fn after_a_connection_broke_the_batch_before_comes_once_more() {
    let (listener, address) = listen().await;
    let mut sender = Sender::new(settings(address));
    sender.send(&[denial()]).await.unwrap();
    let (mut socket, _) = listener.accept().await.unwrap();
    messages(&mut socket, 1).await;
    sender.send(&[close()]).await.unwrap();
    // Whatever was not read is gone with it, as when a receiver is killed.
    socket.set_zero_linger().unwrap();
    drop(socket);
    sender.stirred().await;
    let receive = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        messages(&mut socket, 2).await
    };
    let (sent, received) = tokio::join!(async { sender.send(&[policy()]).await }, receive);
    sent.unwrap();
    assert_eq!(sequences(&received), ["44", "45"]);
}

#[tokio::test]
async fn a_receiver_that_is_away_is_an_error_until_it_is_back() {
    // Bound and not listening: the port is kept, and connections are refused.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let address = socket.local_addr().unwrap();
    let mut sender = Sender::new(settings(address));
    let said = sender.send(&[denial()]).await.unwrap_err();
    assert!(said.starts_with(&format!("the syslog receiver {address}: ")), "{said}");
    let listener = socket.listen(1).unwrap();
    sender.send(&[denial()]).await.unwrap();
    let (mut socket, _) = listener.accept().await.unwrap();
    assert_eq!(sequences(&messages(&mut socket, 1).await), ["41"]);
}

#[tokio::test]
async fn a_receiver_that_reads_nothing_is_given_up() {
    let (listener, address) = listen().await;
    let mut sender = Sender::new(Settings { timeout: Duration::from_millis(100), ..settings(address) });
    let mut record = denial();
    record["reason"]["text"] = json!("x".repeat(1 << 20));
    let (said, _held) = tokio::join!(
        async {
            // The system takes some megabytes before it waits for the receiver.
            for _ in 0..256 {
                if let Err(said) = sender.send(std::slice::from_ref(&record)).await {
                    return said;
                }
            }
            panic!("256 MiB went to a receiver that reads nothing");
        },
        listener.accept(),
    );
    assert!(said.ends_with("it takes no more"), "{said}");
}

#[tokio::test]
async fn a_close_waits_until_the_receiver_has_read_everything() {
    let (listener, address) = listen().await;
    let mut sender = Sender::new(settings(address));
    sender.close().await.unwrap();
    sender.send(&[denial(), close()]).await.unwrap();
    let receive = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes).await.unwrap();
        grammar::frames(&bytes).unwrap().len()
    };
    let (closed, received) = tokio::join!(sender.close(), receive);
    assert_eq!((closed, received), (Ok(()), 2));
}

#[tokio::test]
async fn over_tls_the_receiver_proves_its_name_or_gets_nothing() {
    let validity = Validity::from(jiff::Timestamp::now(), jiff::SignedDuration::from_hours(1)).unwrap();
    let authority = Ca::root("receivers", validity).unwrap();
    let issued = authority.issue(&Leaf::server(vec![Name::Dns("logs.test".to_owned())], validity)).unwrap();
    let server = rustls::ServerConfig::builder_with_provider(gatepass_certs::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(issued.chain(), issued.key())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let client = gatepass_certs::client::config(&[authority.certificate().clone()], None, &[]).unwrap();
    let (listener, address) = listen().await;
    let named = |name: &'static str| {
        let tls = Some((client.clone(), ServerName::try_from(name).unwrap()));
        Sender::new(Settings { tls, form: Form::Ocsf, ..settings(address) })
    };
    let receive = async || {
        let (socket, _) = listener.accept().await.unwrap();
        let mut socket = acceptor.accept(socket).await?;
        Ok::<_, std::io::Error>(messages(&mut socket, 2).await)
    };

    let mut sender = named("other.test");
    let (sent, received) = tokio::join!(async { sender.send(&[denial(), close()]).await }, receive());
    assert!(received.is_err());
    assert!(sent.unwrap_err().contains("certificate"));

    let mut sender = named("logs.test");
    let (sent, received) = tokio::join!(async { sender.send(&[denial(), close()]).await }, receive());
    sent.unwrap();
    let received = received.unwrap();
    let event: Value = serde_json::from_str(received[0].text.as_deref().unwrap()).unwrap();
    assert_eq!(event["type_uid"], 400_105);
    assert_eq!(received[1].kind, "close");
}
