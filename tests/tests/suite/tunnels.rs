//! CONNECT: allowed, denied, and what reaches the origin in each case.

mod agreement;

mod floor;

mod failures;

mod endings;

use gatepass_tests::bundle::in_hours;
use gatepass_tests::{Bundle, Origin, Setup};

use crate::hellos::trusting;

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

#[test]
fn a_port_that_the_rule_does_not_name_is_denied_and_the_rule_is_told_as_the_nearest() {
    let setup = Setup::new();
    let resolver = setup.resolver.clone();
    let gateway = setup.start(&Bundle::new().allow("web", "allowed.test", &[443]));
    let reply = gateway.client().connect("allowed.test:22");
    assert_eq!(reply.status, 403);
    let record = gateway.decision(&reply.id());
    assert_eq!(record["reason"]["code"], "no_rule");
    assert_eq!(record["stage"], "request");
    assert_eq!(record["nearest"][0]["rule"], "team/web");
    assert_eq!(record["nearest"][0]["failed"][0]["clause"], "destinations.ports");
    assert!(reply.body.contains("team/web"), "{}", reply.body);
    assert!(resolver.queries().is_empty());
}

#[test]
fn a_bundle_without_rules_denies_everything() {
    let gateway = Setup::new().start(&Bundle::new());
    for authority in ["allowed.test:443", "127.0.0.1:443", "[2606:4700:4700::1111]:443"] {
        let reply = gateway.client().connect(authority);
        assert_eq!((reply.status, reply.field("connection").as_deref()), (403, Some("close")), "{authority}");
        let record = gateway.decision(&reply.id());
        assert_eq!((&record["effect"], &record["outcome"]), (&"deny".into(), &"refused".into()), "{authority}");
    }
    assert!(gateway.setup.resolver.queries().is_empty());
}

#[test]
fn a_rule_past_its_end_denies_and_is_named() {
    let bundle = Bundle::new().rule(&format!(
        "  - id: old\n    action: allow\n    purpose: a test\n    anyone: true\n    destinations: {{hosts: [\"allowed.test\"], cidr_sets: [loopback], ports: [443]}}\n    data_classes: {{at_most: [unclassified]}}\n    expires: \"{}\"\n",
        in_hours(-1)
    ));
    let gateway = Setup::new().start(&bundle);
    let reply = gateway.client().connect("allowed.test:443");
    assert_eq!(reply.status, 403);
    let record = gateway.decision(&reply.id());
    assert_eq!(record["reason"]["code"], "rule_expired");
    assert_eq!(record["nearest"][0]["rule"], "team/old");
    assert!(gateway.setup.resolver.queries().is_empty());
    assert!(gateway.log().contains("team.yaml"), "an expired rule is a warning at load: {}", gateway.log());
}

#[test]
fn a_guardrail_and_a_deny_of_a_team_win_over_an_allow() {
    let bundle = Bundle::new()
        .allow("web", "**.test", &[443])
        .guardrail("  - id: never\n    action: deny\n    purpose: a test\n    lifted_by: []\n    when: destination.host == \"guarded.test\"\n")
        .rule("  - id: nobody\n    action: deny\n    purpose: a test\n    destinations: {hosts: [\"denied.test\"]}\n");
    let gateway = Setup::new().start(&bundle);
    for (host, code, rule) in
        [("guarded.test", "guardrail", "guard/never"), ("denied.test", "team_deny", "team/nobody")]
    {
        let reply = gateway.client().connect(&format!("{host}:443"));
        assert_eq!(reply.status, 403);
        let record = gateway.decision(&reply.id());
        assert_eq!((&record["reason"]["code"], &record["rule"]["path"]), (&code.into(), &rule.into()));
        assert_eq!(record["stage"], "request");
    }
    assert!(gateway.setup.resolver.queries().is_empty());
}

#[test]
fn rules_in_shadow_decide_nothing_and_are_reported() {
    let shadow = |id: &str, action: &str, more: &str| {
        format!(
            "  - id: {id}\n    action: {action}\n    purpose: a test\n    destinations: {{hosts: [\"allowed.test\", \"tried.test\"], cidr_sets: [loopback], ports: [443]}}\n    enforcement: shadow\n{more}"
        )
    };
    let grants =
        format!("    anyone: true\n    data_classes: {{at_most: [unclassified]}}\n    expires: \"{}\"\n", in_hours(24));
    let setup = Setup::new();
    let origin = Origin::echo();
    let bundle = Bundle::new()
        .allow("web", "allowed.test", &[origin.port()])
        .rule(&shadow("would-deny", "deny", "").replace("443", &origin.port().to_string()))
        .rule(&shadow("would-allow", "allow", &grants));
    setup.resolver.answer("allowed.test", &["127.0.0.1"]);
    let gateway = setup.start(&bundle);
    let reply = gateway.client().connect(&format!("allowed.test:{}", origin.port()));
    assert_eq!(reply.status, 200);
    let record = gateway.decision(&reply.id());
    assert_eq!(record["rule"]["path"], "team/web");
    assert_eq!(record["shadow"][0]["rule"], "team/would-deny");
    assert_eq!(record["shadow"][0]["effect"], "deny");
    let reply = gateway.client().connect("tried.test:443");
    assert_eq!(reply.status, 403, "an allow in shadow allows nothing");
    let record = gateway.decision(&reply.id());
    assert_eq!(record["reason"]["code"], "no_rule");
    assert!(!gateway.setup.resolver.was_asked("tried.test"), "and asks DNS nothing");
}

#[test]
fn a_refused_connect_ends_its_connection_whatever_follows() {
    let setup = Setup::new();
    let origin = Origin::http();
    setup.resolver.answer("allowed.test", &["127.0.0.1"]);
    let gateway = setup.start(&Bundle::new().allow("web", "allowed.test", &[origin.port()]));
    let mut client = gateway.client();
    let smuggled = format!("allowed.test:{}", origin.port());
    client.say(format!(
        "CONNECT denied.test:443 HTTP/1.1\r\nHost: denied.test:443\r\n\r\nGET http://{smuggled}/ HTTP/1.1\r\nHost: {smuggled}\r\n\r\nCONNECT {smuggled} HTTP/1.1\r\nHost: {smuggled}\r\n\r\n"
    ));
    let reply = client.reply().unwrap();
    assert_eq!((reply.status, reply.field("connection").as_deref()), (403, Some("close")));
    assert_eq!(client.rest(), b"", "one answer, and the end");
    gateway.decision(&reply.id());
    assert_eq!(gateway.decisions().len(), 1);
    assert_eq!(origin.connections(), 0);
}

#[test]
fn connections_beyond_the_bound_are_told_to_come_back() {
    let setup = Setup::new().section("limits: {max_connections: 1}");
    let origin = Origin::echo();
    setup.resolver.answer("allowed.test", &["127.0.0.1"]);
    let gateway = setup.start(&Bundle::new().allow("web", "allowed.test", &[origin.port()]));
    let mut first = gateway.client();
    assert_eq!(first.connect(&format!("allowed.test:{}", origin.port())).status, 200);
    let mut second = gateway.client();
    let reply = second.reply().unwrap();
    assert_eq!(reply.status, 503);
    assert!(reply.field("retry-after").is_some(), "{}", reply.head);
    assert!(reply.field("proxy-status").unwrap().contains("error=connection_limit_reached"), "{}", reply.head);
    assert_eq!(gateway.decision(&reply.id())["reason"]["code"], "limit");
    first.say("still here");
    assert_eq!(first.take(10), b"still here", "the one inside is not disturbed");
}
