//! Addresses that nobody may reach, however they are spelled and whatever the rules say.

use gatepass_tests::bundle::in_hours;
use gatepass_tests::{Bundle, Gateway, Origin, Setup, eventually};

/// Anyone may reach these hosts or networks, as the rule's `destinations` has it.
fn opening(destinations: &str) -> String {
    format!(
        "  - id: wide\n    action: allow\n    purpose: a test\n    anyone: true\n    destinations: {{{destinations}}}\n    data_classes: {{at_most: [unclassified]}}\n    expires: \"{}\"\n",
        in_hours(24)
    )
}

fn refused(gateway: &Gateway, authority: &str, code: &str) {
    let reply = gateway.client().connect(authority);
    assert_eq!(reply.status, 403, "{authority}: {}", reply.head);
    let record = gateway.decision(&reply.id());
    assert_eq!(record["reason"]["code"], code, "{authority}: {record}");
    assert_eq!((&record["effect"], &record["outcome"]), (&"deny".into(), &"refused".into()), "{authority}");
    if code == "address_floor" {
        let status = reply.field("proxy-status").unwrap();
        assert!(status.contains("error=destination_ip_prohibited"), "{status}");
    }
}

#[test]
fn a_rule_that_names_no_network_opens_no_private_address() {
    let setup = Setup::new();
    let origin = Origin::echo();
    for (name, address) in [("inner.test", "127.0.0.1"), ("private.test", "10.1.2.3"), ("meta.test", "169.254.169.254")]
    {
        setup.resolver.answer(name, &[address]);
    }
    let gateway =
        setup.start(&Bundle::new().rule(&opening(&format!("hosts: [\"**.test\"], ports: [{}]", origin.port()))));
    for name in ["inner.test", "private.test", "meta.test"] {
        refused(&gateway, &format!("{name}:{}", origin.port()), "address_floor");
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn metadata_addresses_stay_closed_to_a_rule_whose_networks_hold_them() {
    let rule = opening("cidrs: [\"fd00::/8\", \"100.64.0.0/10\", \"168.63.0.0/16\"], ports: [80]");
    let gateway = Setup::new().start(&Bundle::new().rule(&rule));
    for authority in ["[fd00:ec2::254]:80", "100.100.100.200:80", "[::ffff:100.100.100.200]:80", "168.63.129.16:80"] {
        refused(&gateway, authority, "address_floor");
    }
    // A bundle that names link-local addresses does not even load; unnamed, they are refused for what they are.
    refused(&gateway, "169.254.169.254:80", "address_floor");
}

#[test]
fn the_gateways_own_sockets_are_no_destination_by_any_spelling() {
    let setup = Setup::new();
    for name in ["own.test", "again.test"] {
        setup.resolver.answer(name, &["127.0.0.1"]);
    }
    let origin = Origin::echo();
    let gateway = setup.start(&Bundle::new());
    let ports = [gateway.plain().port(), gateway.address("admin").port()];
    let list = format!("{:?}", [ports[0], ports[1], origin.port()]);
    let bundle = Bundle::new().rule(&opening(&format!("cidr_sets: [loopback], ports: {list}"))).allow(
        "names",
        "**.test",
        &[ports[0], ports[1]],
    );
    gateway.setup.bundle(&bundle);
    eventually("the rules are in force", || gateway.log().contains("2 rules").then_some(()));
    let control = gateway.client().connect(&format!("127.0.0.1:{}", origin.port()));
    assert_eq!(control.status, 200, "loopback itself is open to this rule: {}", control.head);
    for port in ports {
        for host in
            ["127.0.0.1", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::FFFF:7F00:0001]", "own.test", "AGAIN.test."]
        {
            refused(&gateway, &format!("{host}:{port}"), "address_floor");
        }
    }
}

#[test]
fn one_bad_address_among_good_ones_spoils_the_answer() {
    let setup = Setup::new();
    let origin = Origin::echo();
    let cases = [
        ("metadata.test", ["127.0.0.1", "169.254.169.254"]),
        ("private.test", ["127.0.0.1", "10.0.0.1"]),
        ("six.test", ["127.0.0.1", "fe80::1"]),
        ("first.test", ["192.168.0.1", "127.0.0.1"]),
    ];
    for (name, addresses) in &cases {
        setup.resolver.answer(name, addresses);
    }
    setup.resolver.answer("good.test", &["127.0.0.1"]);
    let gateway = setup.start(&Bundle::new().allow("web", "**.test", &[origin.port()]));
    for (name, _) in cases {
        refused(&gateway, &format!("{name}:{}", origin.port()), "address_floor");
    }
    assert_eq!(origin.connections(), 0);
    assert_eq!(gateway.client().connect(&format!("good.test:{}", origin.port())).status, 200);
}
