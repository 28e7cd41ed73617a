//! Permitted, but the network did not play along: 502 or 504, and a record that says `failed`.

use gatepass_tests::resolver::Answer;
use gatepass_tests::{Bundle, Gateway, Setup};

fn failed(gateway: &Gateway, authority: &str, status: u16, error: &str, code: &str) {
    let reply = gateway.client().connect(authority);
    assert_eq!(reply.status, status, "{}", reply.head);
    let proxy_status = reply.field("proxy-status").unwrap();
    assert!(proxy_status.starts_with(&format!("gatepass; error={error}; ")), "{proxy_status}");
    assert_eq!(reply.field("connection").as_deref(), Some("close"));
    let record = gateway.decision(&reply.id());
    assert_eq!((&record["effect"], &record["outcome"]), (&"allow".into(), &"failed".into()), "{record}");
    assert_eq!(record["reason"]["code"], code);
    assert!(gateway.records().iter().all(|record| record["kind"] != "close"), "nothing was admitted");
}

/// A port where nobody listens: it was free a moment ago, and stays bound without listening.
fn deaf() -> (std::net::UdpSocket, u16) {
    loop {
        let held = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = held.local_addr().unwrap().port();
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return (held, port);
        }
    }
}

#[test]
fn a_name_that_does_not_exist_is_a_502() {
    let gateway = Setup::new().start(&Bundle::new().allow("web", "allowed.test", &[443]));
    failed(&gateway, "allowed.test:443", 502, "dns_error", "dns_nxdomain");
}

#[test]
fn a_name_server_that_fails_is_a_502() {
    let setup = Setup::new();
    setup.resolver.say("allowed.test", Answer::Servfail);
    let gateway = setup.start(&Bundle::new().allow("web", "allowed.test", &[443]));
    failed(&gateway, "allowed.test:443", 502, "dns_error", "dns_failed");
}

#[test]
fn a_name_server_that_keeps_silent_is_a_504() {
    let setup = Setup::new();
    setup.resolver.say("allowed.test", Answer::Silence);
    let dns = format!("dns: {{servers: [\"{}\"], timeout: 300ms}}", setup.resolver.address());
    let gateway = setup.section(&dns).start(&Bundle::new().allow("web", "allowed.test", &[443]));
    failed(&gateway, "allowed.test:443", 504, "dns_timeout", "dns_timeout");
}

#[test]
fn a_destination_that_refuses_the_connection_is_a_502() {
    let (_held, port) = deaf();
    let setup = Setup::new();
    setup.resolver.answer("allowed.test", &["127.0.0.1"]);
    let gateway = setup.start(&Bundle::new().agreement().allow("web", "allowed.test", &[port]));
    failed(&gateway, &format!("allowed.test:{port}"), 502, "connection_refused", "dial_failed");
}
