//! Dials on loopback: who gets a connection, when, and how a failure reads.

use std::sync::Arc;

use gatepass_policy::address::Floor;
use gatepass_policy::facts::{Protocol, Resolved, Subject};
use gatepass_policy::host::Authority;
use gatepass_policy::identity::Identity;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

const LIMITS: Limits = Limits {
    attempt_delay: Duration::from_millis(100),
    per_attempt: Duration::from_secs(20),
    total: Duration::from_secs(30),
    max_attempts: 8,
};

fn at(listener: &TcpListener) -> Endpoint {
    Endpoint(listener.local_addr().unwrap())
}

async fn listen(ip: &str) -> TcpListener {
    TcpListener::bind((ip, 0)).await.unwrap()
}

/// A port on which nobody listens any more.
async fn refusing(ip: &str) -> Endpoint {
    at(&listen(ip).await)
}

/// A listener whose queue is full, so that Linux drops every further SYN: silence.
struct Silent {
    endpoint: Endpoint,
    _listener: TcpListener,
    _queued: Vec<TcpStream>,
}

async fn silent(ip: &str) -> Silent {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(ip.parse().unwrap(), 0)).unwrap();
    let listener = socket.listen(0).unwrap();
    let endpoint = at(&listener);
    let mut queued = Vec::new();
    while let Ok(Ok(stream)) = timeout(Duration::from_millis(200), TcpStream::connect(endpoint.0)).await {
        queued.push(stream);
    }
    Silent { endpoint, _listener: listener, _queued: queued }
}

/// Facts whose answers are `answers`, on a gateway that may or may not dial loopback.
fn facts(answers: &[&str], port: u16, development_loopback: bool) -> Facts {
    Facts {
        now: "2030-01-01T00:00:00Z".parse().unwrap(),
        mode: "normal".into(),
        source: None,
        listener: None,
        identity: Identity::anonymous(),
        subject: Subject { labels: Arc::default(), registered: Arc::new([]), declared: None },
        destination: Authority::parse(format!("origin.test:{port}").as_bytes()).unwrap(),
        tags: Arc::new([]),
        protocol: Protocol::Connect,
        request: None,
        floor: Arc::new(Floor { development_loopback, ..Floor::default() }),
        resolved: Some(Resolved {
            answers: answers.iter().map(|text| text.parse().unwrap()).collect(),
            cname: vec![],
            min_ttl: 60,
            secure: false,
        }),
        tls: None,
        upstream: None,
    }
}

#[test]
fn endpoints_are_the_answers_with_the_port_of_the_destination() {
    let made = endpoints(&facts(&["2606:4700::1111", "1.1.1.1"], 8443, false), Cleared::by_decision());
    let addresses: Vec<String> = made.iter().map(|endpoint| endpoint.address().to_string()).collect();
    assert_eq!(addresses, ["[2606:4700::1111]:8443", "1.1.1.1:8443"]);
}

#[test]
fn nothing_can_be_dialled_before_anything_is_resolved() {
    let mut unresolved = facts(&["1.1.1.1"], 443, false);
    unresolved.resolved = None;
    assert_eq!(endpoints(&unresolved, Cleared::by_decision()), []);
}

#[test]
fn one_address_that_never_opens_leaves_no_endpoint_at_all() {
    for bad in ["169.254.169.254", "127.0.0.1", "::1", "224.0.0.1", "fd00:ec2::254", "2002:a00:5::1"] {
        assert_eq!(endpoints(&facts(&["1.1.1.1", bad], 443, false), Cleared::by_decision()), [], "{bad}");
    }
    let mut own = facts(&["127.0.0.1"], 3128, true);
    own.floor = Arc::new(Floor {
        development_loopback: true,
        gateway: vec!["127.0.0.1:3128".parse().unwrap()],
        ..Floor::default()
    });
    assert_eq!(endpoints(&own, Cleared::by_decision()), []);
}

#[tokio::test]
async fn the_one_endpoint_of_a_permitted_decision_is_reached_and_nagle_is_off() {
    for ip in ["127.0.0.1", "::1"] {
        let listener = listen(ip).await;
        let permitted = endpoints(&facts(&[ip], at(&listener).0.port(), true), Cleared::by_decision());
        let mut dialled = dial(&permitted, &LIMITS, None).await.unwrap();
        let (mut served, peer) = listener.accept().await.unwrap();
        assert_eq!((dialled.endpoint, dialled.local), (at(&listener), peer));
        assert!(dialled.stream.nodelay().unwrap());
        served.write_all(b"hello").await.unwrap();
        let mut read = [0; 5];
        dialled.stream.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"hello");
    }
}

#[tokio::test]
async fn a_refusal_starts_the_next_attempt_at_once() {
    let good = listen("127.0.0.1").await;
    let limits = Limits { attempt_delay: Duration::from_secs(15), ..LIMITS };
    let dialled = dial(&[refusing("::1").await, at(&good)], &limits, None).await.unwrap();
    assert_eq!(dialled.endpoint, at(&good));
    assert!(dialled.took < limits.attempt_delay, "it waited for the stagger: {:?}", dialled.took);
}

#[tokio::test]
async fn silence_gives_way_to_the_next_address_after_the_attempt_delay() {
    let (dead, good) = (silent("127.0.0.2").await, listen("127.0.0.1").await);
    let dialled = dial(&[dead.endpoint, at(&good)], &LIMITS, None).await.unwrap();
    assert_eq!(dialled.endpoint, at(&good));
    assert!(dialled.took >= LIMITS.attempt_delay, "the first address had no head start: {:?}", dialled.took);
    assert!(dialled.took < LIMITS.per_attempt, "it waited for the first attempt to end: {:?}", dialled.took);
}

#[tokio::test]
async fn the_families_take_turns_and_the_first_address_begins() {
    let (v4, v6) = (listen("127.0.0.1").await, listen("::1").await);
    assert_eq!(dial(&[at(&v6), at(&v4)], &LIMITS, None).await.unwrap().endpoint, at(&v6));
    assert_eq!(dial(&[at(&v4), at(&v6)], &LIMITS, None).await.unwrap().endpoint, at(&v4));
    let endpoint = |text: &str| Endpoint(text.parse().unwrap());
    let given = ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"].map(endpoint);
    let mixed = ["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"].map(endpoint);
    assert_eq!(interleave(&given, |endpoint| endpoint.0.is_ipv6()), mixed);
}

#[tokio::test]
async fn addresses_that_all_refuse_are_a_failure_that_names_no_address() {
    let dead = [refusing("127.0.0.1").await, refusing("::1").await, refusing("127.0.0.1").await];
    let error = dial(&dead, &LIMITS, None).await.unwrap_err();
    assert_eq!(error, DialError::Failed(Cause::Refused));
    assert_eq!(error.to_string(), "the upstream refused the connection");
    assert_eq!(dial(&dead[..1], &LIMITS, None).await.unwrap_err(), DialError::Failed(Cause::Refused));
}

#[tokio::test]
async fn without_endpoints_there_is_no_connection() {
    assert_eq!(dial(&[], &LIMITS, None).await.unwrap_err(), DialError::Failed(Cause::NoAddress));
}

#[tokio::test]
async fn silence_everywhere_is_a_timeout_of_the_attempts() {
    let (one, two) = (silent("127.0.0.2").await, silent("127.0.0.3").await);
    let limits = Limits { per_attempt: Duration::from_millis(150), ..LIMITS };
    assert_eq!(dial(&[one.endpoint], &limits, None).await.unwrap_err(), DialError::Timeout);
    assert_eq!(dial(&[one.endpoint, two.endpoint], &limits, None).await.unwrap_err(), DialError::Timeout);
}

#[tokio::test]
async fn all_attempts_together_end_at_the_total_bound() {
    let (one, two) = (silent("127.0.0.2").await, silent("127.0.0.3").await);
    let limits = Limits { total: Duration::from_millis(200), ..LIMITS };
    for endpoints in [&[one.endpoint][..], &[one.endpoint, two.endpoint]] {
        let start = Instant::now();
        assert_eq!(dial(endpoints, &limits, None).await.unwrap_err(), DialError::Timeout);
        assert!(start.elapsed() < limits.per_attempt, "the bound did not hold: {:?}", start.elapsed());
    }
}

#[tokio::test]
async fn no_more_addresses_are_tried_than_the_limit() {
    let good = listen("127.0.0.1").await;
    let limits = Limits { max_attempts: 2, ..LIMITS };
    let endpoints = [refusing("127.0.0.1").await, refusing("127.0.0.1").await, at(&good)];
    assert_eq!(dial(&endpoints, &limits, None).await.unwrap_err(), DialError::Failed(Cause::Refused));
    assert!(timeout(Duration::from_millis(50), good.accept()).await.is_err(), "the third address was dialled");
}

#[tokio::test]
async fn an_address_that_was_not_given_gets_no_connection() {
    let (given, other) = (listen("127.0.0.1").await, listen("127.0.0.1").await);
    let dialled = dial(&[at(&given)], &LIMITS, None).await.unwrap();
    assert_eq!(dialled.endpoint, at(&given));
    assert!(timeout(Duration::from_millis(50), other.accept()).await.is_err());
}

#[tokio::test]
async fn the_source_address_is_bound_before_the_connection() {
    let listener = listen("127.0.0.1").await;
    let source: IpAddr = "127.0.0.9".parse().unwrap();
    let dialled = dial(&[at(&listener)], &LIMITS, Some(source)).await.unwrap();
    let (_, peer) = listener.accept().await.unwrap();
    assert_eq!((peer.ip(), dialled.local), (source, peer));
}

#[tokio::test]
async fn a_source_address_of_the_other_family_or_of_another_machine_dials_nothing() {
    let (v4, v6) = (listen("127.0.0.1").await, listen("::1").await);
    for source in ["::1", "192.0.2.9"] {
        let error = dial(&[at(&v4)], &LIMITS, Some(source.parse().unwrap())).await.unwrap_err();
        assert_eq!(error, DialError::Failed(Cause::Source), "{source}");
    }
    let reached = dial(&[at(&v6), at(&v4)], &LIMITS, Some("127.0.0.9".parse().unwrap())).await.unwrap();
    assert_eq!(reached.endpoint, at(&v4), "the family of the source is left");
}

#[tokio::test]
async fn the_losers_of_the_race_are_dropped() {
    let alive = Arc::new(());
    let held = alive.clone();
    let won = race([false, true], Duration::from_millis(1), |wins| {
        let held = held.clone();
        async move {
            if !wins {
                std::future::pending::<()>().await;
            }
            drop(held);
            Ok::<_, ()>(wins)
        }
    })
    .await;
    drop(held);
    assert_eq!((won, Arc::strong_count(&alive)), (Ok(true), 1));
}
