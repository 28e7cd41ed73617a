//! Exchanges over real sockets: a client and an origin that the tests play, and the loop of a gateway between them.

mod bodies;

mod fields;

mod endings;

mod reuse;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use gatepass_policy::host::Authority;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::{Answered, Counts, Exchange, Failure, Key, Limits, Next, Pool, PoolLimits, Retry, exchange};
use crate::budget::Meter;
use crate::http1::{self, Parser};

/// Long enough for any machine; a test that needs a limit to strike sets its own.
const LONG: Duration = Duration::from_secs(60);

fn limits() -> Limits {
    Limits {
        http1: http1::Limits {
            head: 32 * 1024,
            target: 8 * 1024,
            fields: 128,
            chunk_line: 256,
            trailers: 8 * 1024,
            pseudonym: "gatepass".into(),
        },
        buffer: 16 * 1024,
        interim: 4,
        response_head: LONG,
        idle: LONG,
        longest: LONG,
    }
}

/// What a gateway saw of one client connection.
#[derive(Debug)]
struct Seen {
    /// One for each request.
    ends: Vec<Result<Exchange, Failure>>,
    counts: Vec<Counts>,
    retries: usize,
}

/// The world of one test.
struct World {
    client: Peer,
    origin: TcpListener,
    gateway: JoinHandle<Seen>,
    pool: Arc<Pool>,
}

impl World {
    async fn new() -> World {
        World::with(limits()).await
    }

    async fn with(limits: Limits) -> World {
        let pool = Arc::new(Pool::new(PoolLimits { per_key: 2, total: 4, idle: LONG }));
        let origin = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (client, gateway) = connect(&pool, origin.local_addr().unwrap(), limits).await;
        World { client, origin, gateway, pool }
    }

    async fn accept(&self) -> Peer {
        Peer::new(self.origin.accept().await.unwrap().0)
    }

    /// The client sends, the origin of a first connection hears a whole head.
    async fn ask(&mut self, request: &str) -> (Peer, String) {
        self.client.send(request).await;
        let mut origin = self.accept().await;
        let head = origin.head().await;
        (origin, head)
    }

    /// The client has no more to say; what did the gateway make of it?
    async fn end(mut self) -> (Seen, String) {
        let _ = self.client.stream.shutdown().await;
        let rest = self.client.rest().await;
        (self.gateway.await.unwrap(), rest)
    }
}

/// One more client of the same gateway.
async fn connect(pool: &Arc<Pool>, endpoint: SocketAddr, limits: Limits) -> (Peer, JoinHandle<Seen>) {
    let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(door.local_addr().unwrap()).await.unwrap();
    let (inside, _) = door.accept().await.unwrap();
    (Peer::new(client), tokio::spawn(gateway(inside, Arc::clone(pool), endpoint, limits)))
}

/// The loop that a gateway runs, without its policy: every authority leads to `endpoint`.
async fn gateway(mut client: TcpStream, pool: Arc<Pool>, endpoint: SocketAddr, limits: Limits) -> Seen {
    let mut buffer = BytesMut::new();
    let mut parser = Parser::default();
    let mut seen = Seen { ends: Vec::new(), counts: Vec::new(), retries: 0 };
    loop {
        buffer.reserve(limits.buffer);
        let (head, consumed) = loop {
            match parser.parse(&buffer, &limits.http1).expect("the tests send sound heads") {
                Some(found) => break found,
                None if client.read_buf(&mut buffer).await.unwrap_or(0) == 0 => return seen,
                None => {}
            }
        };
        buffer.advance(consumed);
        let key = Key { endpoint, authority: head.target.authority().clone() };
        let mut upstream = pool.connect(&key, TcpStream::connect(endpoint)).await.unwrap();
        let mut counts = Counts::default();
        let mut end =
            exchange(&mut client, &mut buffer, &head, &mut upstream, &limits, &mut counts, &Meter::default()).await;
        if matches!(end, Err(Failure { retry: Retry::Safe, .. })) {
            seen.retries += 1;
            upstream = super::Upstream::new(TcpStream::connect(endpoint).await.unwrap());
            end =
                exchange(&mut client, &mut buffer, &head, &mut upstream, &limits, &mut counts, &Meter::default()).await;
        }
        seen.ends.push(end);
        seen.counts.push(counts);
        match end {
            Ok(Exchange { next: Next::Another, .. }) => pool.give(&key, upstream),
            Ok(Exchange { next: Next::Close, .. }) => {
                pool.give(&key, upstream);
                return seen;
            }
            Ok(Exchange { next: Next::Tunnel, .. }) => {
                let (mut upstream, early) = upstream.into_parts();
                client.write_all(&early).await.unwrap();
                upstream.write_all(&buffer).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut upstream).await;
                return seen;
            }
            Err(failure) => {
                if failure.answered == Answered::Nothing {
                    let answer = format!("HTTP/1.1 {} refused\r\n\r\n", failure.fault.status());
                    let _ = client.write_all(answer.as_bytes()).await;
                }
                return seen;
            }
        }
    }
}

/// One end of a connection that a test plays.
struct Peer {
    stream: TcpStream,
    heard: Vec<u8>,
}

impl Peer {
    fn new(stream: TcpStream) -> Peer {
        Peer { stream, heard: Vec::new() }
    }

    async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// What comes up to and with `end`.
    async fn until(&mut self, end: &str) -> String {
        loop {
            if let Some(at) = self.heard.windows(end.len()).position(|window| window == end.as_bytes()) {
                let text = self.heard.drain(..at + end.len()).collect();
                return String::from_utf8(text).unwrap();
            }
            let read = tokio::time::timeout(LONG, self.stream.read_buf(&mut self.heard)).await.unwrap().unwrap();
            assert_ne!(read, 0, "ended before {end:?}, after {:?}", String::from_utf8_lossy(&self.heard));
        }
    }

    async fn head(&mut self) -> String {
        self.until("\r\n\r\n").await
    }

    /// What comes up to the end of the connection, a reset included.
    async fn rest(&mut self) -> String {
        while let Ok(1..) = tokio::time::timeout(LONG, self.stream.read_buf(&mut self.heard)).await.unwrap() {}
        String::from_utf8(std::mem::take(&mut self.heard)).unwrap()
    }
}

fn key(world: &World) -> Key {
    Key {
        endpoint: world.origin.local_addr().unwrap(),
        authority: Authority { host: gatepass_policy::host::Host::parse(b"a.test").unwrap(), port: 80 },
    }
}
