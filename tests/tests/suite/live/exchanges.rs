//! Plain HTTP under way is a way out like any other: it is cut as well.

use std::io::{Read, Write};
use std::net::TcpListener;

use gatepass_tests::{Bundle, Gateway, Setup, eventually};

use super::{PROMPT, edit};

/// An origin that hands each connection to `serve`, and a gateway that lets anyone reach it.
fn before(serve: impl Fn(std::net::TcpStream) + Send + 'static) -> (Gateway, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || listener.incoming().flatten().for_each(serve));
    let setup = Setup::new();
    setup.resolver.answer("gone.test", &["127.0.0.1"]);
    (setup.start(&Bundle::new().allow("gone", "gone.test", &[port])), port)
}

fn without() -> Bundle {
    Bundle::new().allow("other", "other.test", &[443])
}

fn ends(gateway: &Gateway) {
    let id = gateway.decided(1)[0]["id"].as_str().unwrap().to_owned();
    edit(gateway, &without());
    let started = std::time::Instant::now();
    let close = gateway.close(&id);
    assert!(started.elapsed() < PROMPT, "{:?}", started.elapsed());
    assert_eq!((&close["ending"], &close["cut_by"]), (&"policy_changed".into(), &"team/gone".into()), "{close}");
}

#[test]
fn an_upload_is_cut_and_never_looks_complete() {
    let (send, heard) = std::sync::mpsc::channel();
    let (gateway, port) = before(move |mut stream| {
        let mut buffer = [0; 4096];
        let end = loop {
            match stream.read(&mut buffer) {
                Ok(0) => break "end",
                Ok(_) => {}
                Err(_) => break "reset",
            }
        };
        let _ = send.send(end);
    });
    let mut client = gateway.client();
    client.say(format!(
        "POST http://gone.test:{port}/ HTTP/1.1\r\nHost: gone.test:{port}\r\nContent-Length: 1000000\r\n\r\nbegin"
    ));
    ends(&gateway);
    assert_eq!(heard.recv_timeout(gatepass_tests::PATIENCE).unwrap(), "reset");
    assert_eq!(client.rest(), b"");
}

#[test]
fn a_download_without_a_length_is_cut_and_never_looks_complete() {
    let (gateway, port) = before(|mut stream| {
        let mut buffer = [0; 4096];
        let _ = stream.read(&mut buffer);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nbegin");
        let _ = stream.read(&mut buffer);
    });
    let mut socket = std::net::TcpStream::connect(gateway.plain()).unwrap();
    let head = format!("GET http://gone.test:{port}/ HTTP/1.0\r\nHost: gone.test:{port}\r\n\r\n");
    socket.write_all(head.as_bytes()).unwrap();
    let mut heard = Vec::new();
    let mut buffer = [0; 4096];
    while !heard.windows(5).any(|bytes| bytes == b"begin") {
        let read = socket.read(&mut buffer).unwrap();
        assert!(read > 0, "{heard:?}");
        heard.extend_from_slice(&buffer[..read]);
    }
    ends(&gateway);
    let end = socket.read(&mut buffer);
    assert!(end.is_err(), "a reset, not an end: {end:?}");
}

#[test]
fn a_connection_that_was_upgraded_is_a_tunnel_and_is_cut() {
    let (gateway, port) = before(|mut stream| {
        let mut buffer = [0; 4096];
        let _ = stream.read(&mut buffer);
        let _ = stream.write_all(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nhello",
        );
        let _ = stream.read(&mut buffer);
    });
    let mut client = gateway.client();
    let handshake = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    assert_eq!(client.fetch(&format!("http://gone.test:{port}/"), handshake).unwrap().status, 101);
    assert_eq!(client.take(5), b"hello");
    ends(&gateway);
    eventually("the client's side is closed", || client.rest().is_empty().then_some(()));
}
