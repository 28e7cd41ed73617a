//! CONNECT: allowed, denied, and what reaches the origin in each case.

use gatepass_tests::{Bundle, Origin, Setup};

fn trusting(setup: &Setup) -> std::sync::Arc<rustls::ClientConfig> {
    gatepass_certs::client::config(&[setup.ca.certificate().clone()], None, &[]).unwrap()
}

#[test]
fn an_allowed_host_is_reached_and_both_records_are_written() {
    let setup = Setup::new();
    let origin = Origin::https(&setup.ca, &["allowed.test"]);
    setup.resolver.answer("allowed.test", &["127.0.0.1"]);
    let tls = trusting(&setup);
    let bundle = Bundle::new().agreement().allow("web", "allowed.test", &[origin.port()]);
    let gateway = setup.start(&bundle);
    let mut client = gateway.client();
    let reply = client.connect(&format!("allowed.test:{}", origin.port()));
    assert_eq!(reply.status, 200, "{}", reply.head);
    let mut inside = client.secure("allowed.test", &tls).unwrap();
    assert_eq!(inside.get("allowed.test").status, 200);
    drop(inside);
    let decision = gateway.decision(&reply.id());
    assert_eq!(decision["effect"], "allow");
    assert_eq!(decision["outcome"], "admitted");
    assert_eq!(decision["rule"]["path"], "team/web");
    assert_eq!(decision["stage"], "tls");
    assert_eq!(decision["tls"]["sni"], "allowed.test");
    assert_eq!(decision["floor"], "development");
    let close = gateway.close(&reply.id());
    assert_eq!(close["ending"], "client_closed");
    assert!(close["bytes_sent"].as_u64().unwrap() > 0 && close["bytes_received"].as_u64().unwrap() > 0);
}

#[test]
fn a_name_that_no_rule_allows_is_denied_without_a_dns_question() {
    let setup = Setup::new();
    let resolver = setup.resolver.clone();
    let gateway = setup.start(&Bundle::new().agreement().allow("web", "allowed.test", &[443]));
    let reply = gateway.client().connect("exfil-data.evil.test:443");
    assert_eq!(reply.status, 403);
    assert!(reply.phrase.starts_with("gatepass: no rule allows it ["), "{}", reply.phrase);
    assert!(reply.body.contains("no rule lets anonymous reach exfil-data.evil.test:443"), "{}", reply.body);
    assert_eq!(gateway.decision(&reply.id())["reason"]["code"], "no_rule");
    assert!(resolver.queries().is_empty());
}
