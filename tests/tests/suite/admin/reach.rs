//! Through the proxy nobody reaches the admin listener, however it is spelled and whatever the rules say.

use std::net::SocketAddr;

use gatepass_tests::{Bundle, Gateway, Setup};

/// Rules that would let anyone to these hosts, with loopback opened as far as it can be.
fn permissive(setup: Setup, hosts: &[&str]) -> Gateway {
    // The ports are known only once the gateway listens, so rules that name them come by a reload.
    let gateway = setup.start(&Bundle::new());
    let ports: Vec<u16> = ["admin", "plain"].map(|name| gateway.address(name).port()).to_vec();
    let mut bundle = Bundle::new();
    for (number, host) in hosts.iter().enumerate() {
        bundle = bundle.allow(&format!("h{number}"), host, &ports);
    }
    let literals = format!(
        "  - id: literals\n    action: allow\n    purpose: a test\n    anyone: true\n    destinations: {{cidr_sets: [loopback], ports: {ports:?}}}\n    data_classes: {{at_most: [unclassified]}}\n    expires: \"{}\"\n",
        gatepass_tests::bundle::in_hours(1)
    );
    gateway.setup.bundle(&bundle.rule(&literals));
    gateway.signal("HUP");
    gatepass_tests::eventually("the rules are in force", || {
        // Anything but a default deny shows that the rule is known: a literal without a listener fails to dial.
        let reply = gateway.client().connect(&format!("127.0.0.2:{}", ports[0]));
        let code = gateway.decision(&reply.id())["reason"]["code"].clone();
        (code != "no_rule").then_some(())
    });
    gateway
}

fn never(gateway: &Gateway, spelling: &str) {
    let reply = gateway.client().connect(spelling);
    assert!(matches!(reply.status, 400 | 403), "CONNECT {spelling}: {}", reply.head);
    gateway.decision(&reply.id());
    let reply = gateway.client().fetch(&format!("http://{spelling}/metrics"), "").unwrap();
    assert!(matches!(reply.status, 400 | 403), "GET {spelling}: {}", reply.head);
    assert!(!reply.body.contains("gatepass_"), "GET {spelling}: {}", reply.body);
    gateway.decision(&reply.id());
}

fn spellings(address: SocketAddr) -> Vec<String> {
    let port = address.port();
    let hosts = [
        "127.0.0.1",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "localhost",
        "LOCALHOST.",
        "admin.test",
        "mixed.test",
        "mapped.test",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "0.0.0.0",
        "[::]",
        "127.0.0.1.",
    ];
    hosts.iter().map(|host| format!("{host}:{port}")).collect()
}

#[test]
fn o042_no_spelling_of_the_admin_address_leads_there() {
    let setup = Setup::new();
    let gateway = permissive(setup, &["localhost", "admin.test", "mixed.test", "mapped.test"]);
    let resolver = &gateway.setup.resolver;
    resolver.answer("localhost", &["127.0.0.1"]);
    resolver.answer("admin.test", &["127.0.0.1"]);
    resolver.answer("mixed.test", &["127.0.0.1", "127.0.0.2"]);
    resolver.answer("mapped.test", &["::ffff:127.0.0.1"]);
    for name in ["admin", "plain"] {
        for spelling in spellings(gateway.address(name)) {
            never(&gateway, &spelling);
        }
    }
    let floor = |record: &&serde_json::Value| record["reason"]["code"] == "address_floor";
    let decisions = gateway.decisions();
    assert!(decisions.iter().filter(floor).count() >= 8, "the floor says so where the rules would allow");
    assert!(decisions.iter().all(|record| record["outcome"] != "admitted"), "something was admitted");
}

#[test]
fn o042_an_admin_listener_on_ipv6_is_no_destination_either() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        // Said aloud: a machine without IPv6 has no such address to protect.
        eprintln!("this machine has no ::1");
        return;
    }
    let setup = Setup::new().section("admin: {bind: \"[::1]:0\"}");
    let gateway = permissive(setup, &["admin.test"]);
    gateway.setup.resolver.answer("admin.test", &["::1"]);
    let port = gateway.address("admin").port();
    for host in ["[::1]", "[0:0:0:0:0:0:0:1]", "admin.test"] {
        never(&gateway, &format!("{host}:{port}"));
    }
}
