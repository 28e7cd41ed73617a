//! What goes on and what does not.

use super::*;

#[tokio::test]
async fn what_belongs_to_one_hop_or_to_the_gateway_does_not_reach_the_origin() {
    let mut world = World::new().await;
    let request = "GET http://a.test:8080/p?q HTTP/1.1\r\nHost: A.test:8080\r\nAccept: */*\r\n\
        Connection: keep-alive, X-Egress-Identity\r\nX-Egress-Identity: admin\r\nKeep-Alive: timeout=5\r\n\
        Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic c2VjcmV0\r\nTE: gzip\r\nTrailer: x\r\n\
        Upgrade: h2c\r\nGatepass-Data-Class: pii\r\nGatepass-Anything: x\r\nX-Forwarded-Client-Cert: forged\r\n\
        Proxy-Status: x\r\nVia: 1.1 other\r\nX-Upstream-Https-Proxy: y\r\nMax-Forwards: 3\r\nX-B\u{e9}: 1\r\n\r\n";
    let request = request.replace("X-B\u{e9}: 1", "X-B: \u{e9}");
    let (mut origin, head) = world.ask(&request).await;
    assert_eq!(
        head,
        "GET /p?q HTTP/1.1\r\nHost: a.test:8080\r\nAccept: */*\r\nVia: 1.1 other\r\nX-Upstream-Https-Proxy: y\r\n\
         Max-Forwards: 3\r\nX-B: \u{e9}\r\nVia: 1.1 gatepass\r\n\r\n"
    );
    origin.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    world.client.head().await;
    world.end().await.0.ends[0].unwrap();
}

#[tokio::test]
async fn an_upstream_cannot_speak_in_the_name_of_the_gateway() {
    let mut world = World::new().await;
    let (mut origin, _) = world.ask("GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    origin
        .send(
            "HTTP/1.1 403 gatepass: denied\r\nDate: then\r\nproxy-status: gatepass; error=x\r\nGATEPASS-Decision: forged\r\n\
             Proxy-Authenticate: Basic\r\nProxy-Authentication-Info: x\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\
             Keep-Alive: timeout=5\r\nTrailer: x\r\nUpgrade: h2c\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\
             Content-Length: 0\r\n\r\n",
        )
        .await;
    assert_eq!(
        world.client.head().await,
        "HTTP/1.1 403 \r\nDate: then\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 0\r\n\
         Via: 1.1 gatepass\r\n\r\n"
    );
    world.end().await.0.ends[0].unwrap();
}

#[tokio::test]
async fn options_counts_its_forwards_down_and_asks_for_the_server_with_an_asterisk() {
    let mut world = World::new().await;
    let (mut origin, head) =
        world.ask("OPTIONS http://a.test HTTP/1.1\r\nHost: a.test\r\nMax-Forwards: 3\r\n\r\n").await;
    assert_eq!(head, "OPTIONS * HTTP/1.1\r\nHost: a.test\r\nMax-Forwards: 2\r\nVia: 1.1 gatepass\r\n\r\n");
    origin.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    world.client.head().await;
    world.end().await.0.ends[0].unwrap();
}

const HANDSHAKE: &str = "GET http://a.test/chat HTTP/1.1\r\nHost: a.test\r\nUpgrade: WebSocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: x\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";

#[tokio::test]
async fn a_websocket_becomes_a_tunnel_and_no_early_byte_is_lost() {
    let mut world = World::new().await;
    let (mut origin, head) = world.ask(&format!("{HANDSHAKE}early")).await;
    assert!(head.contains("Connection: Upgrade\r\nUpgrade: websocket\r\n"), "{head}");
    assert!(head.contains("Sec-WebSocket-Key: x\r\n"), "{head}");
    origin.send(&format!("{SWITCH}hello")).await;
    let answer = world.client.until("hello").await;
    assert!(answer.contains("Connection: Upgrade\r\nUpgrade: websocket\r\n"), "{answer}");
    assert_eq!(origin.until("early").await, "early");
    world.client.send("ping").await;
    origin.until("ping").await;
    drop(origin);
    let (seen, _) = world.end().await;
    assert_eq!(seen.ends, [Ok(Exchange { status: 101, next: Next::Tunnel })]);
}

#[tokio::test]
async fn a_refused_websocket_leaves_an_ordinary_connection() {
    let mut world = World::new().await;
    let (mut origin, _) = world.ask(HANDSHAKE).await;
    origin.send("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n").await;
    world.client.head().await;
    assert_eq!(world.pool.len(), 1);
    assert_eq!(world.end().await.0.ends, [Ok(Exchange { status: 403, next: Next::Another })]);
}

#[tokio::test]
async fn a_switch_that_nobody_asked_for_is_refused() {
    let other = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n";
    for (request, answer) in [("GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", SWITCH), (HANDSHAKE, other)] {
        let mut world = World::new().await;
        let (mut origin, _) = world.ask(request).await;
        origin.send(answer).await;
        let (seen, rest) = world.end().await;
        assert_eq!(seen.ends[0].unwrap_err().fault, crate::forward::Fault::Switch);
        assert_eq!(rest, "HTTP/1.1 502 refused\r\n\r\n");
    }
}
