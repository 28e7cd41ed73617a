//! Kept connections on both sides: requests share them, decisions never.

use std::io::Write;

use gatepass_tests::{Origin, eventually};

use super::{before, origin, read_until};

#[test]
fn two_requests_on_one_connection_are_two_decisions_and_one_upstream_connection() {
    let origin = Origin::http();
    let gateway = before(origin.port());
    let url = format!("http://app.test:{}/", origin.port());
    let mut client = gateway.client();
    for path in ["one", "two"] {
        let reply = client.fetch(&format!("{url}{path}"), "").unwrap();
        assert!(reply.body.contains(path), "{}", reply.body);
    }
    // Another client takes the same upstream connection, under a decision of its own.
    assert_eq!(gateway.client().fetch(&format!("{url}three"), "").unwrap().status, 200);
    assert_eq!(origin.connections(), 1);
    let decisions = gateway.decided(3);
    assert_eq!(decisions.len(), 3);
    for decision in &decisions {
        let close = gateway.close(decision["id"].as_str().unwrap());
        assert!(close["bytes_received"].as_u64().unwrap() > 0, "{close}");
    }
}

#[test]
fn pipelined_requests_are_answered_in_order_each_by_its_own_decision() {
    let origin = Origin::http();
    let gateway = before(origin.port());
    let authority = format!("app.test:{}", origin.port());
    let one = |host: &str, path: &str| format!("GET http://{host}/{path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let mut client = gateway.client();
    client.say(one(&authority, "a") + &one("denied.test", "b") + &one(&authority, "c"));
    assert!(client.reply().unwrap().body.contains("GET /a"));
    assert_eq!(client.reply().unwrap().status, 403);
    assert!(client.reply().unwrap().body.contains("GET /c"));
    assert_eq!(origin.requests().len(), 2);
}

#[test]
fn the_second_request_of_a_kept_connection_can_be_denied_and_the_third_allowed() {
    let origin = Origin::http();
    let gateway = before(origin.port());
    let url = format!("http://app.test:{}/", origin.port());
    let mut client = gateway.client();
    assert_eq!(client.fetch(&url, "").unwrap().status, 200);
    let denied = client.fetch("http://exfil.test/", "").unwrap();
    assert_eq!(denied.status, 403);
    assert_eq!(gateway.decision(&denied.id())["reason"]["code"], "no_rule");
    assert!(!gateway.setup.resolver.was_asked("exfil.test"));
    assert_eq!(client.fetch(&url, "").unwrap().status, 200);
}

#[test]
fn a_client_that_wants_its_connection_closed_gets_that() {
    let origin = Origin::http();
    let gateway = before(origin.port());
    let mut client = gateway.client();
    let reply = client.fetch(&format!("http://app.test:{}/", origin.port()), "Connection: close\r\n").unwrap();
    assert_eq!(reply.status, 200);
    assert_eq!(client.rest(), b"");
}

#[test]
fn a_pooled_connection_that_died_meanwhile_is_replaced_unseen() {
    // Each connection answers once, promises to stay, and is closed.
    let port = origin(|mut stream| {
        read_until(&mut stream, b"\r\n\r\n");
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let gateway = before(port);
    let mut client = gateway.client();
    for _ in 0..5 {
        assert_eq!(client.fetch(&format!("http://app.test:{port}/"), "").unwrap().body, "ok");
    }
    assert_eq!(gateway.decided(5).len(), 5);
    eventually("every one is closed", || {
        let closes = gateway.records().iter().filter(|record| record["kind"] == "close").count();
        (closes == 5).then_some(())
    });
}
