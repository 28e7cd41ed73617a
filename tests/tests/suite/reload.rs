//! Editing what a running gateway was started from: the next decision follows a good change, and a bad one changes
//! nothing and says so.

use std::sync::Arc;

use gatepass_certs::mint::{Leaf, Name};
use gatepass_tests::gateway::hour;
use gatepass_tests::{Bundle, Client, Gateway, Reply, Setup, eventually};
use rustls::{ClientConfig, ClientConnection};

use crate::hellos::trusting;

fn allowing(host: &str) -> Bundle {
    Bundle::new().allow("web", host, &[443])
}

/// Write the files over those that are there, one after the other, as an editor does.
fn edit(gateway: &Gateway, bundle: &Bundle) {
    for (name, text) in bundle.files() {
        gateway.setup.scratch.write(&format!("policy/{name}"), text);
    }
}

/// The reason code for `host`: `dns_nxdomain` is as good as allowed, for the resolver knows no name.
fn code(gateway: &Gateway, host: &str) -> String {
    let reply = gateway.client().connect(&format!("{host}:443"));
    gateway.decision(&reply.id())["reason"]["code"].as_str().unwrap().to_owned()
}

const ALLOWED: &str = "dns_nxdomain";

fn policies(gateway: &Gateway, result: &str) -> usize {
    gateway.records().iter().filter(|record| record["kind"] == "policy" && record["result"] == result).count()
}

fn wait_for(gateway: &Gateway, result: &str, count: usize) {
    eventually(&format!("{count} policies {result}"), || (policies(gateway, result) >= count).then_some(()));
}

fn admin(gateway: &Gateway, path: &str) -> Reply {
    let mut client = Client::plain(gateway.address("admin"));
    client.say(format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.address("admin")));
    client.reply().unwrap()
}

#[test]
fn an_edited_bundle_decides_the_next_connection_without_a_restart() {
    let gateway = Setup::new().start(&allowing("old.test"));
    assert_eq!((code(&gateway, "old.test").as_str(), code(&gateway, "new.test").as_str()), (ALLOWED, "no_rule"));
    edit(&gateway, &allowing("new.test"));
    wait_for(&gateway, "activated", 2);
    assert_eq!((code(&gateway, "old.test").as_str(), code(&gateway, "new.test").as_str()), ("no_rule", ALLOWED));
    let digests: Vec<_> = gateway.decisions().iter().map(|record| record["policy"]["digest"].clone()).collect();
    assert!(digests[0] == digests[1] && digests[2] == digests[3] && digests[1] != digests[2], "{digests:?}");
}

#[test]
fn with_reload_by_signal_only_a_hangup_reads_the_bundle_again() {
    let setup = Setup::new().section("policy: {bundle: ./policy, reload: signal}");
    let gateway = setup.start(&allowing("old.test"));
    edit(&gateway, &allowing("new.test"));
    assert_eq!(code(&gateway, "new.test"), "no_rule");
    gateway.signal("HUP");
    wait_for(&gateway, "activated", 2);
    assert_eq!(code(&gateway, "new.test"), ALLOWED);
}

#[test]
fn a_broken_edit_changes_nothing_is_told_everywhere_and_ends_with_its_repair() {
    let gateway = Setup::new().start(&allowing("old.test"));
    let good = allowing("new.test");
    let (name, text) = good.files().into_iter().find(|(name, _)| name.starts_with("teams/")).unwrap();
    gateway.setup.scratch.write(
        &format!("policy/{name}"),
        text.replace("    anyone: true", "    ticket: T-1\n    anyoone: []\n    anyone: true"),
    );
    wait_for(&gateway, "rejected", 1);
    assert_eq!((code(&gateway, "old.test").as_str(), code(&gateway, "new.test").as_str()), (ALLOWED, "no_rule"));

    let line = 2 + text.lines().position(|line| line.contains("anyone: true")).unwrap();
    eventually("the mistake is told with its place", || {
        gateway.log().contains(&format!("teams/team.yaml:{line}:5")).then_some(())
    });
    let record = gateway.records().into_iter().find(|record| record["result"] == "rejected").unwrap();
    assert!(record["error"].as_str().unwrap().contains("anyoone"), "{record}");
    let ready = admin(&gateway, "/ready");
    assert_eq!(ready.status, 200, "it goes on serving");
    assert!(ready.body.contains("the last good one is in force") && ready.body.contains("anyoone"), "{}", ready.body);
    assert_eq!(metric(&gateway, "gatepass_policy_reload", "rejected"), "1");

    edit(&gateway, &good);
    wait_for(&gateway, "activated", 2);
    assert_eq!((code(&gateway, "old.test").as_str(), code(&gateway, "new.test").as_str()), ("no_rule", ALLOWED));
    assert!(!admin(&gateway, "/ready").body.contains("last good"), "{}", admin(&gateway, "/ready").body);
    assert_eq!(metric(&gateway, "gatepass_policy_reload", "activated"), "2");
}

fn metric(gateway: &Gateway, name: &str, label: &str) -> String {
    let text = admin(gateway, "/metrics").body;
    let line = text.lines().find(|line| line.starts_with(name) && line.contains(&format!("\"{label}\"")));
    line.unwrap_or_else(|| panic!("no {name} {label} in {text}")).rsplit(' ').next().unwrap().to_owned()
}

#[test]
fn a_half_written_bundle_keeps_the_last_good_one() {
    let gateway = Setup::new().start(&allowing("old.test"));
    let files = allowing("new.test").files();
    let (name, text) = files.iter().find(|(name, _)| name.starts_with("teams/")).unwrap();
    gateway.setup.scratch.write(&format!("policy/{name}"), &text[..text.find("destinations").unwrap()]);
    wait_for(&gateway, "rejected", 1);
    assert_eq!((code(&gateway, "old.test").as_str(), code(&gateway, "new.test").as_str()), (ALLOWED, "no_rule"));
    gateway.setup.scratch.write(&format!("policy/{name}"), text);
    wait_for(&gateway, "activated", 2);
    assert_eq!(code(&gateway, "new.test"), ALLOWED);
}

#[test]
fn a_bundle_that_is_gone_keeps_the_last_good_one_and_is_noticed_when_it_is_back() {
    let gateway = Setup::new().start(&allowing("old.test"));
    std::fs::remove_dir_all(gateway.path().join("policy")).unwrap();
    wait_for(&gateway, "rejected", 1);
    assert_eq!(code(&gateway, "old.test"), ALLOWED);
    edit(&gateway, &allowing("new.test"));
    wait_for(&gateway, "activated", 2);
    assert_eq!((code(&gateway, "old.test").as_str(), code(&gateway, "new.test").as_str()), ("no_rule", ALLOWED));
}

#[test]
fn a_directory_that_takes_the_place_of_the_bundle_is_read_each_time() {
    let gateway = Setup::new().start(&allowing("host-0.test"));
    for round in 1..4 {
        let host = format!("host-{round}.test");
        for (name, text) in allowing(&host).files() {
            gateway.setup.scratch.write(&format!("next/{name}"), text);
        }
        std::fs::rename(gateway.path().join("policy"), gateway.path().join(format!("old-{round}"))).unwrap();
        std::fs::rename(gateway.path().join("next"), gateway.path().join("policy")).unwrap();
        wait_for(&gateway, "activated", round + 1);
        assert_eq!(code(&gateway, &host), ALLOWED, "round {round}");
    }
}

/// The certificate that the mesh listener shows.
fn shown(gateway: &Gateway, config: &Arc<ClientConfig>) -> Vec<u8> {
    let mut socket = std::net::TcpStream::connect(gateway.address("mesh")).unwrap();
    let name = "localhost".to_owned().try_into().unwrap();
    let mut connection = ClientConnection::new(Arc::clone(config), name).unwrap();
    while connection.is_handshaking() {
        connection.complete_io(&mut socket).unwrap();
    }
    connection.peer_certificates().unwrap()[0].to_vec()
}

#[test]
fn a_certificate_renewed_on_disk_is_served_and_a_broken_one_is_not() {
    let setup = Setup::new().mesh("optional");
    let tls = trusting(&setup);
    let gateway = setup.start(&allowing("old.test"));
    let first = shown(&gateway, &tls);
    let renewed = gateway.setup.ca.issue(&Leaf::server(vec![Name::Dns("localhost".into())], hour())).unwrap();
    gateway.setup.scratch.write("gateway.pem", renewed.chain_pem());
    gateway.setup.scratch.write("gateway.key", renewed.key_pem());
    let second = eventually("the new certificate is served", || {
        let now = shown(&gateway, &tls);
        (now != first).then_some(now)
    });
    gateway.setup.scratch.write("gateway.pem", "not a certificate");
    eventually("the broken one is told", || gateway.log().contains("keeps the old ones").then_some(()));
    assert_eq!(shown(&gateway, &tls), second);
}

#[test]
fn a_broken_bundle_is_read_and_told_once_and_not_over_and_over() {
    let setup = Setup::new().section("limits: {reload_debounce: 50ms}");
    let gateway = setup.start(&allowing("old.test"));
    std::fs::rename(gateway.path().join("policy/bundle.yaml"), gateway.path().join("bundle.yaml")).unwrap();
    wait_for(&gateway, "rejected", 1);
    let end = std::time::Instant::now() + std::time::Duration::from_millis(500);
    while std::time::Instant::now() < end {
        assert_eq!(code(&gateway, "old.test"), ALLOWED);
    }
    assert_eq!(policies(&gateway, "rejected"), 1, "reading the bundle is no change of it");
}
