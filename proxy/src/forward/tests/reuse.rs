//! The pool: what is used again, and what never is.

use super::*;
use crate::forward::Upstream;

const GET: &str = "GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

#[tokio::test]
async fn a_connection_is_used_again_by_another_client_of_the_same_endpoint_and_authority() {
    let mut world = World::new().await;
    let (mut origin, _) = world.ask(GET).await;
    origin.send(OK).await;
    world.client.head().await;
    let endpoint = world.origin.local_addr().unwrap();
    let (mut other, gateway) = connect(&world.pool, endpoint, limits()).await;
    while world.pool.is_empty() {
        tokio::task::yield_now().await;
    }
    other.send(GET).await;
    // The same connection hears the second request.
    origin.head().await;
    origin.send(OK).await;
    other.head().await;
    drop(other);
    gateway.await.unwrap().ends[0].unwrap();
}

#[tokio::test]
async fn neither_another_address_nor_another_authority_finds_a_connection() {
    let mut world = World::new().await;
    let (mut origin, _) = world.ask(GET).await;
    origin.send(OK).await;
    world.client.head().await;
    while world.pool.is_empty() {
        tokio::task::yield_now().await;
    }
    let key = key(&world);
    let elsewhere = Key { endpoint: "127.0.0.2:9".parse().unwrap(), ..key.clone() };
    let renamed = Key { authority: Authority::parse(b"b.test:80").unwrap(), ..key.clone() };
    assert!(world.pool.take(&elsewhere).is_none() && world.pool.take(&renamed).is_none());
    assert!(world.pool.take(&key).is_some() && world.pool.is_empty());
}

#[tokio::test]
async fn a_request_that_met_a_stale_connection_is_sent_once_more() {
    let mut world = World::new().await;
    let (mut origin, _) = world.ask(GET).await;
    origin.send(OK).await;
    world.client.head().await;
    world.client.send(GET).await;
    // The request is on its way when the connection ends, as with an idle timeout that strikes at the same time.
    origin.head().await;
    drop(origin);
    let mut fresh = world.accept().await;
    fresh.head().await;
    fresh.send(OK).await;
    world.client.head().await;
    let (seen, _) = world.end().await;
    assert_eq!((seen.ends.len(), seen.retries), (2, 1));
}

#[tokio::test]
async fn what_is_not_idempotent_or_has_a_body_is_never_sent_twice() {
    for request in [
        "POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "PUT http://a.test/ HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\nhi",
    ] {
        let mut world = World::new().await;
        let (mut origin, _) = world.ask(GET).await;
        origin.send(OK).await;
        world.client.head().await;
        world.client.send(request).await;
        origin.head().await;
        drop(origin);
        let (seen, rest) = world.end().await;
        assert_eq!((seen.ends[1].unwrap_err().retry, seen.retries), (Retry::Never, 0));
        assert_eq!(rest, "HTTP/1.1 502 refused\r\n\r\n");
    }
}

#[tokio::test]
async fn an_upstream_that_will_close_or_authenticates_the_connection_is_not_kept() {
    let ntlm = "GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\nAuthorization: NTLM abc\r\n\r\n";
    let close = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let old = "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n";
    for (request, answer) in [(GET, close), (GET, old), (ntlm, OK)] {
        let mut world = World::new().await;
        let (mut origin, _) = world.ask(request).await;
        origin.send(answer).await;
        world.client.head().await;
        assert_eq!(origin.rest().await, "");
        let pool = Arc::clone(&world.pool);
        assert_eq!(world.end().await.0.ends, [Ok(Exchange { status: 200, next: Next::Another })]);
        assert!(pool.is_empty());
    }
}

/// A connection that looks as if its last exchange had ended cleanly, and its other end.
async fn idle_pair() -> (Upstream, TcpStream) {
    let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut upstream = Upstream::new(TcpStream::connect(door.local_addr().unwrap()).await.unwrap());
    upstream.fit = crate::forward::upstream::Use::Again;
    (upstream, door.accept().await.unwrap().0)
}

fn any_key(port: u16) -> Key {
    Key { endpoint: SocketAddr::from(([127, 0, 0, 1], port)), authority: Authority::parse(b"a.test:80").unwrap() }
}

#[tokio::test]
async fn the_pool_is_bounded_in_all_and_for_each_key() {
    let pool = Pool::new(PoolLimits { per_key: 2, total: 3, idle: LONG });
    let mut others = Vec::new();
    for (port, there) in [(1, 1), (1, 2), (1, 2), (2, 3), (3, 3)] {
        let (upstream, other) = idle_pair().await;
        pool.give(&any_key(port), upstream);
        others.push(other);
        assert_eq!(pool.len(), there);
    }
    pool.clear();
    assert!(pool.is_empty());
}

#[tokio::test]
async fn a_connection_that_waited_too_long_or_said_something_is_not_handed_out() {
    let (upstream, _other) = idle_pair().await;
    let pool = Pool::new(PoolLimits { per_key: 2, total: 3, idle: Duration::ZERO });
    pool.give(&any_key(1), upstream);
    assert!(pool.take(&any_key(1)).is_none() && pool.is_empty());

    let pool = Pool::new(PoolLimits { per_key: 2, total: 3, idle: LONG });
    for farewell in ["", "HTTP/1.1 408 Too Late\r\n\r\n"] {
        let (upstream, mut other) = idle_pair().await;
        other.write_all(farewell.as_bytes()).await.unwrap();
        drop(other);
        upstream.stream().readable().await.unwrap();
        pool.give(&any_key(1), upstream);
        assert!(pool.is_empty());
    }
}

#[tokio::test]
async fn a_connection_whose_exchange_was_abandoned_is_not_kept() {
    let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut upstream = Upstream::new(TcpStream::connect(door.local_addr().unwrap()).await.unwrap());
    let (mut client, _peer) = tokio::io::duplex(1024);
    let (head, _) = http1::request::parse(GET.as_bytes(), &limits().http1).unwrap().unwrap();
    let mut counts = Counts::default();
    let (mut buffer, limits) = (BytesMut::new(), limits());
    let meter = Meter::default();
    let running = exchange(&mut client, &mut buffer, &head, &mut upstream, &limits, &mut counts, &meter);
    assert!(tokio::time::timeout(Duration::ZERO, running).await.is_err());
    assert!(!upstream.is_reused() && counts.sent > 0);
    let pool = Pool::new(PoolLimits { per_key: 2, total: 3, idle: LONG });
    pool.give(&any_key(1), upstream);
    assert!(pool.is_empty());
}
