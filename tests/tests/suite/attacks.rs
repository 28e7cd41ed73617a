//! Ways in that were tried once and found open: each stays shut.

use gatepass_tests::bundle::in_hours;
use gatepass_tests::{Bundle, Gateway, Origin, Setup};

/// A gateway in front of `app.test` on this port.
fn before(port: u16, setup: Setup) -> Gateway {
    setup.resolver.answer("app.test", &["127.0.0.1"]);
    setup.start(&Bundle::new().allow("app", "app.test", &[port]))
}

#[test]
fn a_rule_is_not_satisfied_by_a_field_that_the_origin_never_gets() {
    let origin = Origin::http();
    let setup = Setup::new();
    setup.resolver.answer("app.test", &["127.0.0.1"]);
    let port = origin.port();
    let rule = format!(
        "  - id: app\n    action: allow\n    purpose: guarded\n    anyone: true\n    destinations: {{hosts: [\"app.test\"], cidr_sets: [loopback], ports: [{port}]}}\n    data_classes: {{at_most: [unclassified]}}\n    expires: \"{}\"\n    when: request.protocol == \"http\" && \"x-guard\" in request.headers\n",
        in_hours(1)
    );
    let gateway = setup.start(&Bundle::new().rule(&rule));
    let url = format!("http://app.test:{port}/");
    assert_eq!(gateway.client().fetch(&url, "X-Guard: on\r\n").unwrap().status, 200);
    // `Connection` takes the field out on the way.
    let reply = gateway.client().fetch(&url, "X-Guard: on\r\nConnection: x-guard\r\n").unwrap();
    assert_eq!(reply.status, 403, "{}", reply.head);
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn the_reserved_host_answers_a_head_without_a_body_that_would_pass_for_the_next_answer() {
    let origin = Origin::http();
    let gateway = before(origin.port(), Setup::new());
    let mut client = gateway.client();
    client.say("HEAD http://gatepass.internal/ HTTP/1.1\r\nHost: gatepass.internal\r\n\r\n");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(client.take(1));
    }
    assert!(head.starts_with(b"HTTP/1.1 404"), "{}", String::from_utf8_lossy(&head));
    let reply = client.fetch(&format!("http://app.test:{}/next", origin.port()), "").unwrap();
    assert!(reply.status == 200 && reply.body.contains("/next"), "{} {}", reply.head, reply.body);
    // And a connection that ends with the answer says so.
    let mut client = gateway.client();
    let reply = client.fetch("http://gatepass.internal/", "Connection: close\r\n").unwrap();
    assert_eq!(reply.field("connection").as_deref(), Some("close"), "{}", reply.head);
    assert_eq!(client.rest(), b"");
}
