//! Exchanges that do not end well: whose fault, what the client sees, what is kept.

use super::*;
use crate::forward::Fault;
use crate::http1::BodyError;
use crate::http1::corpus_tests::unescape;

const GET: &str = "GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n";

#[tokio::test]
async fn every_answer_of_the_corpus_is_refused_cut_or_passed_as_pinned() {
    let corpus = include_str!("../../../../tests/corpus/http.tsv");
    let rows =
        corpus.lines().map(|line| line.split('\t').collect::<Vec<_>>()).filter(|row| row.get(1) == Some(&"resp"));
    let mut seen_rows = 0;
    for row in rows {
        let (id, raw) = (row[0], unescape(row[3]));
        let mut world = World::new().await;
        let (mut origin, _) = world.ask(GET).await;
        // The gateway closes as soon as it has seen enough of a megabyte.
        let _ = origin.stream.write_all(&raw).await;
        let _ = origin.stream.shutdown().await;
        let pool = Arc::clone(&world.pool);
        let (seen, rest) = world.end().await;
        let end = seen.ends[0];
        match id {
            "R315" => {
                assert_eq!(end, Ok(Exchange { status: 200, next: Next::Another }), "{id}");
                assert_eq!(rest, "HTTP/1.1 200 \r\nContent-Length: 0\r\nVia: 1.1 gatepass\r\n\r\n");
            }
            "R311" => {
                assert_eq!(end, Ok(Exchange { status: 204, next: Next::Another }), "{id}");
                assert_eq!(rest, "HTTP/1.1 204 No Content\r\nVia: 1.1 gatepass\r\n\r\n");
            }
            "R327" => {
                assert_eq!(end, Ok(Exchange { status: 200, next: Next::Another }), "{id}");
                assert!(rest.ends_with("\r\n\r\nhello"), "{id}: {rest}");
            }
            "R326" => {
                let failure = end.unwrap_err();
                assert_eq!((failure.fault, failure.answered), (Fault::UpstreamClosed, Answered::Begun), "{id}");
                assert!(rest.contains("Content-Length: 10\r\n") && rest.ends_with("\r\n\r\nhello"), "{id}: {rest}");
            }
            _ => {
                let failure = end.unwrap_err();
                assert_eq!((failure.fault.status(), failure.answered), (502, Answered::Nothing), "{id}");
                assert_eq!(rest, "HTTP/1.1 502 refused\r\n\r\n", "{id}");
            }
        }
        // R315 is as sound as it is terse.
        assert!(id == "R315" || pool.is_empty(), "{id}: the connection must not be used again");
        seen_rows += 1;
    }
    assert_eq!(seen_rows, 15);
}

#[tokio::test]
async fn an_upstream_that_closes_inside_a_chunked_body_leaves_the_body_without_its_end() {
    let mut world = World::new().await;
    let (mut origin, _) = world.ask(GET).await;
    origin.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n").await;
    world.client.until("hello\r\n").await;
    drop(origin);
    let (seen, rest) = world.end().await;
    let wanted = Failure { fault: Fault::UpstreamClosed, answered: Answered::Begun, retry: Retry::Never };
    assert_eq!((seen.ends[0], rest.as_str()), (Err(wanted), ""));
}

#[tokio::test]
async fn an_upstream_that_closes_without_an_answer_is_a_bad_gateway_and_a_fresh_one_is_not_tried_again() {
    let mut world = World::new().await;
    let (origin, _) = world.ask(GET).await;
    drop(origin);
    let (seen, rest) = world.end().await;
    let wanted = Failure { fault: Fault::UpstreamClosed, answered: Answered::Nothing, retry: Retry::Never };
    assert_eq!((seen.ends[0], rest.as_str()), (Err(wanted), "HTTP/1.1 502 refused\r\n\r\n"));
}

#[tokio::test]
async fn a_malformed_body_is_refused_and_the_origin_sees_no_end_of_it() {
    let mut world = World::new().await;
    let request = "POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n";
    let (mut origin, _) = world.ask(request).await;
    origin.until("2\r\nhi\r\n").await;
    world.client.send("0x1\r\nz\r\n0\r\n\r\n").await;
    assert_eq!(origin.rest().await, "");
    let (seen, rest) = world.end().await;
    assert_eq!(seen.ends[0].unwrap_err().fault, Fault::RequestBody(BodyError::ChunkSize));
    assert_eq!(rest, "HTTP/1.1 400 refused\r\n\r\n");
}

#[tokio::test]
async fn a_client_that_leaves_inside_its_body_ends_the_exchange() {
    let mut world = World::new().await;
    let (mut origin, _) =
        world.ask("POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9\r\n\r\nhi").await;
    origin.until("hi").await;
    let (seen, _) = world.end().await;
    assert_eq!(seen.ends[0].unwrap_err().fault, Fault::ClientGone);
    assert_eq!(origin.rest().await, "");
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_is_a_gateway_timeout() {
    let brief = Limits { response_head: Duration::from_millis(20), ..limits() };
    let mut world = World::with(brief).await;
    world.client.send(GET).await;
    let (seen, rest) = world.end().await;
    let wanted = Failure { fault: Fault::UpstreamTimeout, answered: Answered::Nothing, retry: Retry::Never };
    assert_eq!((seen.ends[0], rest.as_str()), (Err(wanted), "HTTP/1.1 504 refused\r\n\r\n"));
}

#[tokio::test]
async fn an_upstream_whose_head_never_ends_gets_no_more_time_for_each_byte() {
    let brief = Limits { response_head: Duration::from_millis(60), ..limits() };
    let mut world = World::with(brief).await;
    let (mut origin, _) = world.ask(GET).await;
    origin.send("HTTP/1.1 200 OK\r\nX-Slow: ").await;
    let drip = async {
        loop {
            tokio::time::sleep(Duration::from_millis(10)).await;
            origin.send("a").await;
        }
    };
    let told = tokio::select! {
        told = world.client.rest() => told,
        () = drip => String::new(),
    };
    assert_eq!(told, "HTTP/1.1 504 refused\r\n\r\n");
}

#[tokio::test]
async fn an_exchange_ends_however_busy_it_is() {
    let brief = Limits { longest: Duration::from_millis(100), ..limits() };
    let mut world = World::with(brief).await;
    let (mut origin, _) = world.ask(GET).await;
    origin.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    let busy = async {
        while origin.stream.write_all(b"1\r\na\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        std::future::pending::<()>().await;
    };
    let told = tokio::select! {
        told = world.client.rest() => told,
        () = busy => String::new(),
    };
    assert!(told.starts_with("HTTP/1.1 200 OK") && !told.ends_with("0\r\n\r\n"), "{told}");
    assert_eq!(world.gateway.await.unwrap().ends[0].unwrap_err().fault, Fault::TooLong);
}

#[tokio::test]
async fn a_client_that_does_not_send_its_body_is_the_one_who_is_late() {
    let brief = Limits { idle: Duration::from_millis(20), ..limits() };
    let mut world = World::with(brief).await;
    world.client.send("POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9\r\n\r\nhi").await;
    assert_eq!(world.client.rest().await, "HTTP/1.1 408 refused\r\n\r\n");
    let seen = world.gateway.await.unwrap();
    assert_eq!(seen.ends[0].unwrap_err().fault, Fault::ClientIdle);
}

#[tokio::test]
async fn an_upstream_that_stops_inside_its_answer_is_cut() {
    let brief = Limits { idle: Duration::from_millis(20), ..limits() };
    let mut world = World::with(brief).await;
    let (mut origin, _) = world.ask(GET).await;
    origin.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi").await;
    let (seen, rest) = world.end().await;
    let failure = seen.ends[0].unwrap_err();
    assert_eq!((failure.fault, failure.answered), (Fault::UpstreamTimeout, Answered::Begun));
    assert!(rest.ends_with("hi"), "{rest}");
}

#[tokio::test]
async fn a_farewell_lets_the_last_answer_arrive_and_ends_in_time() {
    let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = Peer::new(TcpStream::connect(door.local_addr().unwrap()).await.unwrap());
    let (mut inside, _) = door.accept().await.unwrap();
    client.send("a body that nobody reads").await;
    inside.write_all(b"HTTP/1.1 403 no\r\n\r\n").await.unwrap();
    crate::forward::farewell(&mut inside, 1 << 16, Duration::from_millis(20)).await;
    drop(inside);
    assert_eq!(client.rest().await, "HTTP/1.1 403 no\r\n\r\n");
}

#[tokio::test]
async fn a_connect_request_is_not_forwarded() {
    let (head, _) = http1::request::parse(b"CONNECT a.test:443 HTTP/1.0\r\n\r\n", &limits().http1).unwrap().unwrap();
    let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(door.local_addr().unwrap()).await.unwrap();
    let (mut client, mut upstream) = (tokio::io::duplex(64).0, crate::forward::Upstream::new(stream));
    let (mut buffer, mut counts) = (BytesMut::new(), Counts::default());
    let end = exchange(&mut client, &mut buffer, &head, &mut upstream, &limits(), &mut counts, &Meter::default()).await;
    assert_eq!((end.unwrap_err().fault, counts), (Fault::Connect, Counts::default()));
}
