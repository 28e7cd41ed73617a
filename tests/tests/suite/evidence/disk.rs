//! A disk that says no: new connections are refused with a reason, everything else goes on, and when it says yes again
//! nothing is missing.

use std::process::Command;
use std::time::{Duration, Instant};

use gatepass_tests::gateway::binary;
use gatepass_tests::trouble::Trouble;
use gatepass_tests::{Bundle, Client, Gateway, Origin, Setup, eventually};
use serde_json::Value;

fn world(evidence: &str) -> (Gateway, Origin, String) {
    let setup = Setup::new()
        .section(&format!("evidence: {{stdout: none{evidence}}}"))
        .section("limits: {evidence_retry_first: 20ms, evidence_retry_longest: 100ms}");
    setup.resolver.answer("allowed.test", &["127.0.0.1"]);
    let origin = Origin::echo();
    let target = format!("allowed.test:{}", origin.port());
    let gateway = setup.start(&Bundle::new().allow("web", "allowed.test", &[origin.port()]));
    (gateway, origin, target)
}

fn admin(gateway: &Gateway, path: &str) -> u16 {
    let address = gateway.address("admin");
    let mut client = Client::plain(address);
    client.say(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n"));
    client.reply().unwrap().status
}

fn evidence(gateway: &Gateway, arguments: &[&str]) -> String {
    let output = Command::new(binary()).arg("evidence").args(arguments).current_dir(gateway.path()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

fn exported(gateway: &Gateway) -> Vec<Value> {
    evidence(gateway, &["export"]).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The fault makes the gateway refuse, it goes on otherwise, and it is itself again afterwards.
fn refuses_and_recovers(faults: &[&str], more: &str) {
    let (gateway, origin, target) = world(more);
    let mut living = gateway.client();
    let before = living.connect(&target).id();
    let trouble = Trouble::with(gateway.process(), faults);
    let refused = eventually("new connections are refused", || {
        let reply = gateway.client().connect(&target);
        (reply.status == 503).then_some(reply)
    });
    assert!(refused.body.contains("evidence_unavailable"), "{}", refused.body);
    assert!(refused.field("retry-after").is_some(), "{}", refused.head);
    let connections = origin.connections();
    assert_eq!(gateway.client().connect(&target).status, 503, "and it stays so");
    assert_eq!(origin.connections(), connections, "nothing is dialled that cannot be recorded");
    assert_eq!((admin(&gateway, "/health"), admin(&gateway, "/ready")), (200, 503));
    living.say("ping");
    assert_eq!(living.take(4), b"ping", "what was admitted is carried on");
    drop(living);
    eventually("the log tells", || gateway.log().contains("new connections are refused").then_some(()));
    drop(trouble);
    let after = eventually("new connections are taken again", || {
        let reply = gateway.client().connect(&target);
        (reply.status == 200).then_some(reply.id())
    });
    assert_eq!(admin(&gateway, "/ready"), 200);
    eventually("the log tells", || gateway.log().contains("the spool takes records again").then_some(()));
    let records = eventually("every end is in the spool", || {
        let records = exported(&gateway);
        let closed = |id: &str| records.iter().any(|record| record["kind"] == "close" && record["id"] == id);
        (closed(&before) && closed(&after)).then_some(records)
    });
    let numbers: Vec<u64> = records.iter().map(|record| record["sequence"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "no hole");
    evidence(&gateway, &["verify"]);
}

#[test]
fn a_full_disk_refuses_and_recovers() {
    refuses_and_recovers(&["pwrite64:error=ENOSPC"], "");
}

#[test]
fn a_disk_that_became_read_only_refuses_and_recovers() {
    refuses_and_recovers(&["pwrite64:error=EROFS"], "");
}

#[test]
fn a_disk_that_fails_refuses_and_recovers() {
    refuses_and_recovers(&["pwrite64:error=EIO"], "");
}

#[test]
fn a_quota_that_is_used_up_refuses_and_recovers() {
    refuses_and_recovers(&["pwrite64:error=EDQUOT"], "");
}

#[test]
fn a_disk_that_takes_writes_and_does_not_keep_them_refuses_and_recovers() {
    refuses_and_recovers(&["fdatasync:error=EIO", "fsync:error=EIO"], "");
    refuses_and_recovers(&["fdatasync:error=EIO", "fsync:error=EIO"], ", durability: synced");
}

#[test]
fn a_failed_sync_is_never_tried_again_on_the_same_file() {
    let (gateway, _origin, target) = world("");
    let segments = || std::fs::read_dir(gateway.path().join("gatepass-data/evidence/segments")).unwrap().count();
    assert_eq!(segments(), 1);
    let trouble = Trouble::with(gateway.process(), &["fdatasync:error=EIO"]);
    gateway.client().connect(&target);
    eventually("the records stand in a segment of their own", || (segments() > 1).then_some(()));
    drop(trouble);
    assert!(gateway.log().contains("written anew elsewhere"), "{}", gateway.log());
    assert_eq!(gateway.client().connect(&target).status, 200);
    evidence(&gateway, &["verify"]);
}

fn slow(durability: &str) -> Duration {
    let (gateway, _origin, target) = world(&format!(", durability: {durability}"));
    let _trouble = Trouble::with(gateway.process(), &["fdatasync:delay_enter=1500000"]);
    // The first makes something to be synchronised; the second meets a disk that is busy with it.
    gateway.client().connect(&target);
    let begun = Instant::now();
    assert_eq!(gateway.client().connect(&target).status, 200);
    let took = begun.elapsed();
    assert_eq!(admin(&gateway, "/health"), 200);
    took
}

#[test]
fn a_slow_disk_holds_up_only_what_asked_to_be_on_it() {
    assert!(slow("synced") >= Duration::from_millis(1500), "an admission waits until it is on the disk");
    let took = slow("interval");
    assert!(took < Duration::from_millis(1200), "an admission waited for the disk: {took:?}");
}
