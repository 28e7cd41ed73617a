//! WebSocket: a forwarded handshake that becomes a tunnel.

use std::io::{Read, Write};

use super::{before, origin, read_until};

const HANDSHAKE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[test]
fn a_websocket_carries_bytes_both_ways_and_leaves_a_close() {
    let port = origin(|mut stream| {
        let head = String::from_utf8(read_until(&mut stream, b"\r\n\r\n")).unwrap().to_lowercase();
        assert!(head.contains("upgrade: websocket") && head.contains("sec-websocket-key"), "{head}");
        // The first frame comes with the answer: it must not be lost.
        let _ = stream.write_all(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nfirst",
        );
        let mut buffer = [0u8; 4];
        while stream.read_exact(&mut buffer).is_ok() {
            let _ = stream.write_all(&buffer);
        }
    });
    let gateway = before(port);
    let mut client = gateway.client();
    let reply = client.fetch(&format!("http://app.test:{port}/chat"), HANDSHAKE).unwrap();
    assert_eq!(reply.status, 101, "{}", reply.head);
    assert_eq!(reply.field("upgrade").as_deref(), Some("websocket"));
    assert_eq!(client.take(5), b"first");
    for word in ["ping", "pong"] {
        client.say(word);
        assert_eq!(client.take(4), word.as_bytes());
    }
    drop(client);
    let decision = gateway.decided(1).remove(0);
    let close = gateway.close(decision["id"].as_str().unwrap());
    assert_eq!(close["ending"], "client_closed", "{close}");
    assert!(close["bytes_sent"].as_u64().unwrap() >= 8 && close["bytes_received"].as_u64().unwrap() >= 13, "{close}");
}

#[test]
fn a_101_that_nobody_asked_for_opens_nothing() {
    let port = origin(|mut stream| {
        read_until(&mut stream, b"\r\n\r\n");
        let _ =
            stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        let _ = stream.read(&mut [0u8; 1]);
    });
    let gateway = before(port);
    let reply = gateway.client().fetch(&format!("http://app.test:{port}/"), "").unwrap();
    assert_eq!(reply.status, 502, "{}", reply.head);
}

#[test]
fn another_protocol_than_websocket_is_not_switched_to() {
    let port = origin(|mut stream| {
        let head = String::from_utf8(read_until(&mut stream, b"\r\n\r\n")).unwrap().to_lowercase();
        let kept = head.contains("upgrade:");
        let status = if kept { "500 Upgraded" } else { "200 OK" };
        let _ = stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes());
    });
    let gateway = before(port);
    let fields = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n";
    assert_eq!(gateway.client().fetch(&format!("http://app.test:{port}/"), fields).unwrap().status, 200);
}

#[test]
fn a_denied_upgrade_is_refused_like_any_request() {
    let gateway = before(80);
    let reply = gateway.client().fetch("http://denied.test/chat", HANDSHAKE).unwrap();
    assert_eq!(reply.status, 403);
    assert_eq!(gateway.decision(&reply.id())["reason"]["code"], "no_rule");
}
