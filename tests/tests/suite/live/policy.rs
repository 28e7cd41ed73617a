//! A change of policy: what it no longer allows is cut, and nothing else.

use std::io::Write;
use std::net::TcpStream;

use gatepass_tests::{Bundle, Origin, PATIENCE, Setup, eventually};

use super::{PROMPT, World, counted, said, took};

fn both(port: u16) -> Bundle {
    Bundle::new().allow("kept", "kept.test", &[port]).allow("gone", "gone.test", &[port])
}

#[test]
fn a_rule_that_is_removed_cuts_its_tunnels_and_no_other() {
    let world = World::new(Setup::new(), both);
    let (kept, gone) = (world.open("kept.test"), world.open("gone.test"));
    world.edit(&Bundle::new().allow("kept", "kept.test", &[world.origin.port()]));
    let mut gone = gone;
    assert!(took(&world, &gone) < PROMPT);
    let close = world.cut(&gone, "policy_changed", "team/gone");
    assert_eq!(close["bytes_sent"], 4, "{close}");
    assert_eq!(gone.client.rest(), b"");
    world.is_open(kept);
    assert_eq!(
        (counted(&world.gateway, "policy_changed"), counted(&world.gateway, "expired")),
        ("1".into(), "0".into())
    );
}

#[test]
fn a_deny_that_is_added_is_what_cuts() {
    let world = World::new(Setup::new(), both);
    let (kept, gone) = (world.open("kept.test"), world.open("gone.test"));
    let guardrail =
        "  - id: closed\n    action: deny\n    purpose: a test\n    destinations: {hosts: [\"gone.test\"]}\n";
    world.edit(&both(world.origin.port()).guardrail(guardrail));
    world.cut(&gone, "policy_changed", "guard/closed");
    world.is_open(kept);
}

#[test]
fn a_tunnel_that_another_rule_allows_stays_and_follows_that_rule() {
    let operators = gatepass_tests::identities::token("ops", "0perator", 1);
    let setup = Setup::new().section(&format!("admin: {{bind: \"127.0.0.1:0\", operators: [{operators}]}}"));
    let world = World::new(setup, |port| Bundle::new().allow("a", "kept.test", &[port]).allow("b", "*.test", &[port]));
    let open = world.open("kept.test");
    let rule = || {
        let mut client = gatepass_tests::Client::plain(world.gateway.address("admin"));
        let host = world.gateway.address("admin");
        client.say(format!("GET /v1/tunnels HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer 0perator\r\n\r\n"));
        let listed: serde_json::Value = serde_json::from_str(&client.reply().unwrap().body).unwrap();
        listed["tunnels"][0]["rule"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(rule(), "team/a");
    world.edit(&Bundle::new().allow("b", "*.test", &[world.origin.port()]));
    eventually("the listed rule follows", || (rule() == "team/b").then_some(()));
    world.is_open(open);
}

#[test]
fn a_workload_that_loses_its_label_is_cut() {
    let rule = |port: u16| {
        let labelled = "identities: [{labels: {tier: gold}}]";
        Bundle::new().allow_from("gold", labelled, "gone.test", &[port])
    };
    let with = |port: u16, tier: &str| {
        let entry = format!("  - id: \"network:lab\"\n    labels: {{tier: {tier}}}\n    data_classes: [internal]\n");
        rule(port).workloads(&entry)
    };
    let setup = Setup::new().section("identity: {networks: [{cidr: \"127.0.0.0/8\", id: \"network:lab\"}]}");
    let world = World::new(setup, |port| with(port, "gold"));
    let open = world.open("gone.test");
    world.edit(&with(world.origin.port(), "silver"));
    world.cut(&open, "policy_changed", "team/gold");
}

#[test]
fn a_class_that_a_workload_may_no_longer_declare_cuts_what_declared_it() {
    let with = |port: u16, may: &str| {
        let entry =
            format!("  - id: \"network:lab\"\n    data_classes: [internal, public]\n    may_declare: [{may}]\n");
        Bundle::new().allow("web", "gone.test", &[port]).workloads(&entry)
    };
    let setup = Setup::new().section("identity: {networks: [{cidr: \"127.0.0.0/8\", id: \"network:lab\"}]}");
    let world = World::new(setup, |port| with(port, "public"));
    let declaring = world.open_on(world.gateway.client(), "gone.test", "Gatepass-Data-Class: public\r\n");
    let silent = world.open("gone.test");
    world.edit(&with(world.origin.port(), "internal"));
    world.cut(&declaring, "policy_changed", "team/web");
    world.is_open(silent);
}

#[test]
fn a_cut_lingers_as_configured_and_a_policy_that_comes_back_saves_the_tunnel() {
    let world = World::new(Setup::new().section("limits: {cut_linger: 3s}"), both);
    let gone = world.open("gone.test");
    let without = Bundle::new().allow("kept", "kept.test", &[world.origin.port()]);
    let passes = || said(&world.gateway, "gatepass_tunnels_redecide_duration_seconds_count");
    let before = passes();
    world.edit(&without);
    eventually("the cut is decided", || (passes() != before).then_some(()));
    let gone = world.is_open(gone);
    world.edit(&both(world.origin.port()));
    std::thread::park_timeout(std::time::Duration::from_millis(3_500));
    let gone = world.is_open(gone);
    world.edit(&without);
    let lingered = took(&world, &gone);
    assert!(lingered > PROMPT, "{lingered:?}");
    world.cut(&gone, "policy_changed", "team/gone");
}

#[test]
fn a_side_that_does_not_read_is_cut_all_the_same() {
    let setup = Setup::new();
    setup.resolver.answer("gone.test", &["127.0.0.1"]);
    let origin = Origin::echo();
    let gateway = setup.start(&both(origin.port()));
    let mut stalled = TcpStream::connect(gateway.plain()).unwrap();
    let head = format!("CONNECT gone.test:{0} HTTP/1.1\r\nHost: gone.test:{0}\r\n\r\n", origin.port());
    stalled.write_all(head.as_bytes()).unwrap();
    let id = gateway.decided(1)[0]["id"].as_str().unwrap().to_owned();
    // Until nothing moves any more: what the echo says back waits for a client that never reads.
    stalled.set_write_timeout(Some(std::time::Duration::from_millis(500))).unwrap();
    let flood = vec![b'x'; 1 << 20];
    let end = std::time::Instant::now() + PATIENCE;
    while stalled.write_all(&flood).is_ok() {
        assert!(std::time::Instant::now() < end, "the tunnel never fills up");
    }
    super::edit(&gateway, &Bundle::new().allow("kept", "kept.test", &[origin.port()]));
    let started = std::time::Instant::now();
    let close = gateway.close(&id);
    assert!(started.elapsed() < PROMPT, "{:?}", started.elapsed());
    assert_eq!((&close["ending"], &close["cut_by"]), (&"policy_changed".into(), &"team/gone".into()), "{close}");
    stalled.set_write_timeout(Some(PATIENCE)).unwrap();
    assert!(stalled.write_all(&flood).is_err(), "the client's side is closed");
}
