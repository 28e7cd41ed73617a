//! SIGTERM: no new connections, live ones until the drain's end, every admission closed, exit code 0.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use gatepass_tests::{Bundle, Client, Gateway, Origin, Setup, eventually};

use crate::records::assert_whole;

fn world(limits: &str) -> (Gateway, Origin) {
    let setup = Setup::new().section(&format!("limits: {{{limits}}}"));
    let origin = Origin::echo();
    setup.resolver.answer("allowed.test", &["127.0.0.1"]);
    let gateway = setup.start(&Bundle::new().allow("web", "allowed.test", &[origin.port()]));
    (gateway, origin)
}

fn tunnel(gateway: &Gateway, origin: &Origin) -> (Client, String) {
    let mut client = gateway.client();
    let reply = client.connect(&format!("allowed.test:{}", origin.port()));
    assert_eq!(reply.status, 200, "{}", reply.head);
    let id = reply.id();
    (client, id)
}

fn drain(gateway: &Gateway) {
    gateway.signal("TERM");
    eventually("the drain is told", || gateway.log().contains("draining").then_some(()));
}

#[test]
fn a_live_tunnel_goes_on_until_the_drain_ends_and_is_cut_with_a_record() {
    let (mut gateway, origin) = world("drain_timeout: 1s");
    let (mut client, id) = tunnel(&gateway, &origin);
    let address = gateway.plain();
    let started = Instant::now();
    drain(&gateway);
    eventually("no new connection is taken", || TcpStream::connect(address).is_err().then_some(()));
    assert!(client.try_echo(b"still here"), "the live one goes on");
    assert_eq!(client.rest(), b"");
    assert!(started.elapsed() >= Duration::from_millis(950), "{:?}", started.elapsed());
    assert_eq!(gateway.wait(), 0);
    let close = gateway.close(&id);
    assert_eq!((&close["ending"], &close["bytes_sent"]), (&"drained".into(), &10.into()), "{close}");
    assert!(gateway.log().contains("every record is out"), "{}", gateway.log());
    assert_whole(&gateway.records());
}

#[test]
fn a_tunnel_that_ends_in_time_lets_the_gateway_end_at_once() {
    let (mut gateway, origin) = world("drain_timeout: 1h");
    let (mut client, id) = tunnel(&gateway, &origin);
    drain(&gateway);
    assert!(client.try_echo(b"x"));
    drop(client);
    assert_eq!(gateway.wait(), 0);
    assert_eq!(gateway.close(&id)["ending"], "client_closed");
    assert_whole(&gateway.records());
}

#[test]
fn without_work_the_gateway_ends_at_once_kept_connections_or_not() {
    let (mut gateway, _origin) = world("drain_timeout: 1h");
    let mut idle = gateway.client();
    idle.say("GET http://denied.test/ HTTP/1.1\r\nHost: denied.test\r\n\r\n");
    assert_eq!(idle.reply().unwrap().status, 403);
    let _silent = gateway.client();
    gateway.signal("TERM");
    assert_eq!(gateway.wait(), 0);
    assert_eq!(idle.rest(), b"");
    assert_whole(&gateway.records());
}

#[test]
fn a_tunnel_whose_hello_never_came_is_recorded_as_well() {
    let setup = Setup::new().section("limits: {drain_timeout: 100ms, client_hello_timeout: 1m}");
    let origin = Origin::echo();
    setup.resolver.answer("allowed.test", &["127.0.0.1"]);
    let mut gateway = setup.start(&Bundle::new().agreement().allow("web", "allowed.test", &[origin.port()]));
    let (mut client, id) = tunnel(&gateway, &origin);
    gateway.signal("TERM");
    assert_eq!(gateway.wait(), 0);
    assert_eq!(client.rest(), b"");
    let record = gateway.decision(&id);
    assert_eq!((&record["outcome"], &record["reason"]["code"]), (&"refused".into(), &"draining".into()), "{record}");
    assert_eq!(origin.bytes(), b"");
}

#[test]
fn a_connect_that_still_waits_for_dns_at_the_end_is_recorded_as_well() {
    let setup = Setup::new().section("limits: {drain_timeout: 100ms}");
    setup.resolver.say("allowed.test", gatepass_tests::resolver::Answer::Silence);
    let dns = format!("dns: {{servers: [\"{}\"], timeout: 30s}}", setup.resolver.address());
    let resolver = setup.resolver.clone();
    let mut gateway = setup.section(&dns).start(&Bundle::new().allow("web", "allowed.test", &[443]));
    let mut client = gateway.client();
    client.say("CONNECT allowed.test:443 HTTP/1.1\r\nHost: allowed.test:443\r\n\r\n");
    eventually("DNS is asked", || resolver.was_asked("allowed.test").then_some(()));
    gateway.signal("TERM");
    assert_eq!(gateway.wait(), 0);
    eventually("a decision is recorded", || (gateway.decisions().len() == 1).then_some(()));
    assert_whole(&gateway.records());
}
