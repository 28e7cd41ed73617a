//! Framing and streaming, both ways.

use super::*;

#[tokio::test]
async fn two_pipelined_requests_are_answered_in_order_over_one_upstream_connection() {
    let mut world = World::new().await;
    let get = |path: &str| format!("GET http://a.test{path} HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let (mut origin, head) = world.ask(&(get("/1") + &get("/2"))).await;
    assert_eq!(head, "GET /1 HTTP/1.1\r\nHost: a.test\r\nVia: 1.1 gatepass\r\n\r\n");
    origin.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none").await;
    assert_eq!(world.client.until("one").await, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nVia: 1.1 gatepass\r\n\r\none");
    assert!(origin.head().await.starts_with("GET /2 "));
    origin.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(world.client.head().await, "HTTP/1.1 204 No Content\r\nVia: 1.1 gatepass\r\n\r\n");
    assert_eq!(world.pool.len(), 1);
    let (seen, _) = world.end().await;
    let statuses: Vec<_> = seen.ends.iter().map(|end| end.unwrap().status).collect();
    assert_eq!(statuses, [200, 204]);
    assert_eq!(seen.counts[0], Counts { sent: head.len() as u64, received: 41 });
}

#[tokio::test]
async fn chunked_bodies_go_both_ways_with_announced_trailers_and_without_extensions() {
    let mut world = World::new().await;
    let head = "POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n";
    let (mut origin, head) = world.ask(&format!("{head}5;a=b\r\nhello\r\n")).await;
    assert!(head.contains("Transfer-Encoding: chunked\r\n") && !head.contains("Content-Length"));
    assert_eq!(origin.until("hello\r\n").await, "5\r\nhello\r\n");
    world.client.send("6\r\n world\r\n0\r\nX-Sum: 1\r\nX-Other: 2\r\nContent-Length: 9\r\n\r\n").await;
    assert_eq!(origin.until("\r\n\r\n").await, "6\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n");
    origin.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n3;x\r\nabc\r\n").await;
    assert!(
        world
            .client
            .until("abc\r\n")
            .await
            .ends_with("Transfer-Encoding: chunked\r\nVia: 1.1 gatepass\r\n\r\n3\r\nabc\r\n")
    );
    origin.send("0\r\nX-End: y\r\nSet-Cookie: z\r\n\r\n").await;
    assert_eq!(world.client.until("\r\n\r\n").await, "0\r\nX-End: y\r\n\r\n");
    let (seen, _) = world.end().await;
    assert_eq!(seen.ends, [Ok(Exchange { status: 200, next: Next::Another })]);
}

#[tokio::test]
async fn large_bodies_pass_in_both_directions_at_once() {
    let mut world = World::with(Limits { buffer: 4096, ..limits() }).await;
    let size = 3_000_000;
    world.client.send(&format!("PUT http://a.test/ HTTP/1.1\r\nHost: a.test\r\nContent-Length: {size}\r\n\r\n")).await;
    let mut origin = world.accept().await;
    // An origin that echoes while it reads: neither direction may wait for the other.
    let echo = tokio::spawn(async move {
        origin.head().await;
        origin.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n")).await;
        let (mut from, mut to) = origin.stream.split();
        to.write_all(&origin.heard).await.unwrap();
        tokio::io::copy(&mut from, &mut to).await.unwrap()
    });
    let (mut from, mut to) = world.client.stream.into_split();
    let send = tokio::spawn(async move {
        for _ in 0..size / 1000 {
            to.write_all(&[b'x'; 1000]).await.unwrap();
        }
        to
    });
    let mut all = Vec::new();
    let mut head = 0;
    while head == 0 || all.len() < head + size {
        assert_ne!(from.read_buf(&mut all).await.unwrap(), 0, "after {}", all.len());
        head = all.windows(4).take(500).position(|w| w == b"\r\n\r\n").map_or(0, |at| at + 4);
    }
    drop((from, send.await.unwrap()));
    world.gateway.await.unwrap().ends[0].unwrap();
    // All of the request was sent, so the connection was kept, and the origin still listens to it.
    world.pool.clear();
    echo.await.unwrap();
}

#[tokio::test]
async fn an_expectation_is_forwarded_and_the_interim_answer_relayed() {
    let mut world = World::new().await;
    let request = "PUT http://a.test/ HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    let (mut origin, head) = world.ask(request).await;
    assert!(head.contains("Expect: 100-continue\r\n"));
    origin.send("HTTP/1.1 100 Continue\r\n\r\n").await;
    assert!(world.client.head().await.starts_with("HTTP/1.1 100 Continue\r\n"));
    world.client.send("ok").await;
    origin.until("ok").await;
    origin.send("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n").await;
    assert!(world.client.head().await.contains("Link: x\r\n"));
    assert!(world.client.head().await.starts_with("HTTP/1.1 201 Created\r\n"));
    let (seen, _) = world.end().await;
    assert_eq!(seen.ends, [Ok(Exchange { status: 201, next: Next::Another })]);
}

#[tokio::test]
async fn interim_answers_without_end_are_refused() {
    let mut world = World::new().await;
    let (mut origin, _) = world.ask("GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    origin.send(&"HTTP/1.1 102 Processing\r\n\r\n".repeat(5)).await;
    let (seen, rest) = world.end().await;
    assert_eq!(seen.ends[0].unwrap_err().fault, crate::forward::Fault::Interim);
    assert!(rest.ends_with("HTTP/1.1 502 refused\r\n\r\n"), "{rest}");
}

#[tokio::test]
async fn an_early_answer_passes_while_the_body_is_on_its_way_and_ends_the_connection() {
    let mut world = World::new().await;
    let request = "POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000\r\n\r\npart";
    let (mut origin, _) = world.ask(request).await;
    origin.until("part").await;
    origin.send("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno").await;
    let answer = world.client.until("\r\n\r\nno").await;
    assert!(answer.contains("Connection: close\r\n"), "{answer}");
    assert_eq!(origin.rest().await, "");
    assert!(world.pool.is_empty());
    let (seen, _) = world.end().await;
    assert_eq!(seen.ends, [Ok(Exchange { status: 413, next: Next::Close })]);
}

#[tokio::test]
async fn an_upstream_that_stops_reading_is_still_heard() {
    let mut world = World::new().await;
    world.client.send("POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\nContent-Length: 90000000\r\n\r\n").await;
    let mut origin = world.accept().await;
    origin.head().await;
    origin.send("HTTP/1.1 401 Who\r\nContent-Length: 0\r\n\r\n").await;
    origin.stream.shutdown().await.unwrap();
    assert!(world.client.head().await.starts_with("HTTP/1.1 401 Who\r\n"));
    let (seen, _) = world.end().await;
    assert_eq!(seen.ends, [Ok(Exchange { status: 401, next: Next::Close })]);
}

#[tokio::test]
async fn an_http_1_0_client_gets_no_chunks_and_sees_the_end_by_the_close() {
    let mut world = World::new().await;
    let (mut origin, head) = world.ask("GET http://a.test/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
    assert_eq!(head, "GET / HTTP/1.1\r\nHost: a.test\r\nVia: 1.0 gatepass\r\n\r\n");
    origin
        .send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n")
        .await;
    let (seen, rest) = world.end().await;
    assert_eq!(rest, "HTTP/1.1 200 OK\r\nConnection: close\r\nVia: 1.1 gatepass\r\n\r\nhi");
    assert_eq!(seen.ends, [Ok(Exchange { status: 200, next: Next::Close })]);
}

#[tokio::test]
async fn an_answer_that_ends_with_its_connection_is_chunked_for_the_client() {
    let mut world = World::new().await;
    let (mut origin, _) = world.ask("GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    origin.send("HTTP/1.0 200 OK\r\n\r\nhi").await;
    drop(origin);
    let answer = world.client.until("0\r\n\r\n").await;
    assert!(
        answer.ends_with("Transfer-Encoding: chunked\r\nVia: 1.0 gatepass\r\n\r\n2\r\nhi\r\n0\r\n\r\n"),
        "{answer}"
    );
    assert!(world.pool.is_empty());
    assert_eq!(world.end().await.0.ends, [Ok(Exchange { status: 200, next: Next::Another })]);
}

#[tokio::test]
async fn head_and_304_tell_a_length_without_a_body() {
    let mut world = World::new().await;
    let (mut origin, head) = world.ask("HEAD http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    assert!(head.starts_with("HEAD / "));
    origin.send("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n").await;
    assert!(world.client.head().await.contains("Content-Length: 1234\r\n"));
    world.client.send("GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    origin.head().await;
    origin.send("HTTP/1.1 304 Not Modified\r\nContent-Length: 1234\r\n\r\n").await;
    assert!(world.client.head().await.contains("Content-Length: 1234\r\n"));
    let (seen, rest) = world.end().await;
    assert_eq!((seen.ends.len(), rest.as_str()), (2, ""));
}
