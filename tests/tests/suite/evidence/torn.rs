//! What a spool is gone on with, and what it is not: a tail that was cut, a log that lost what it signed, two gateways.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output};

use gatepass_tests::gateway::binary;
use gatepass_tests::{Bundle, Gateway, Setup, eventually};
use serde_json::Value;

/// A gateway that wrote some records and was killed.
fn killed() -> Gateway {
    let setup = Setup::new().section("evidence: {stdout: json}");
    let mut gateway = setup.start(&Bundle::new());
    for _ in 0..20 {
        gateway.client().connect("denied.test:443");
    }
    gateway.decided(20);
    gateway.signal("KILL");
    gateway.wait();
    gateway
}

fn spool(gateway: &Gateway) -> PathBuf {
    gateway.path().join("gatepass-data/evidence")
}

/// The newest segment.
fn newest(gateway: &Gateway) -> PathBuf {
    let entries = std::fs::read_dir(spool(gateway).join("segments")).unwrap();
    entries.map(|entry| entry.unwrap().path()).max().unwrap()
}

fn run(gateway: &Gateway, arguments: &[&str]) -> Output {
    Command::new(binary()).args(arguments).current_dir(gateway.path()).output().unwrap()
}

fn exported(gateway: &Gateway) -> Vec<Value> {
    let text = String::from_utf8(run(gateway, &["evidence", "export"]).stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn whole(gateway: &Gateway) {
    let output = run(gateway, &["evidence", "verify"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// Why it does not start.
fn refused(gateway: &Gateway) -> String {
    let output = run(gateway, &["serve", "--config", "gatepass.yaml"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(!told.contains("listening"), "{told}");
    told
}

#[test]
fn a_tail_that_was_cut_in_the_middle_of_a_record_is_kept_aside_and_told_of() {
    let gateway = killed();
    let before = exported(&gateway);
    let torn = b"half of a frame";
    OpenOptions::new().append(true).open(newest(&gateway)).unwrap().write_all(torn).unwrap();
    let again = gateway.start_again();
    let gap = eventually("a record tells of the gap", || exported(&again).into_iter().find(|r| r["kind"] == "gap"));
    assert_eq!((&gap["gap"]["cause"], &gap["gap"]["bytes"]), (&"torn".into(), &torn.len().into()));
    assert_eq!(gap["sequence"], before.len() + 1, "the numbers go on");
    let aside = std::fs::read_dir(spool(&again).join("damaged")).unwrap().next().unwrap().unwrap().path();
    assert_eq!(std::fs::read(aside).unwrap(), torn);
    assert_eq!(exported(&again)[..before.len()], before[..], "nothing before is lost");
    whole(&again);
}

#[test]
fn every_cut_of_the_newest_segment_behind_what_is_signed_is_gone_on_with() {
    // A kill may come at any byte; a few of them here, all of them in the unit tests of the format.
    for back in [1, 7, 8, 9, 300] {
        let gateway = killed();
        // Behind the published checkpoint nothing may be missing.
        std::fs::remove_file(spool(&gateway).join("checkpoint")).ok();
        let file = OpenOptions::new().write(true).open(newest(&gateway)).unwrap();
        file.set_len(file.metadata().unwrap().len() - back).unwrap();
        let again = gateway.start_again();
        again.client().connect("denied.test:443");
        again.decided(1);
        whole(&again);
        let numbers: Vec<u64> = exported(&again).iter().map(|record| record["sequence"].as_u64().unwrap()).collect();
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "{back}");
    }
}

#[test]
fn a_log_that_lost_what_it_signed_is_not_gone_on_with() {
    let mut gateway = Setup::new().start(&Bundle::new());
    gateway.client().connect("denied.test:443");
    gateway.decided(1);
    gateway.signal("TERM");
    assert_eq!(gateway.wait(), 0);
    let file = OpenOptions::new().write(true).open(newest(&gateway)).unwrap();
    file.set_len(file.metadata().unwrap().len() - 900).unwrap();
    let told = refused(&gateway);
    assert!(told.contains("its checkpoint signs") && told.contains("gatepass evidence verify"), "{told}");
    assert_eq!(run(&gateway, &["evidence", "verify"]).status.code(), Some(1));
}

#[test]
fn two_gateways_do_not_share_a_spool_and_a_check_leaves_it_alone() {
    let gateway = Setup::new().start(&Bundle::new());
    assert!(refused(&gateway).contains("in use by another gateway"));
    let check = run(&gateway, &["serve", "--config", "gatepass.yaml", "--check-only"]);
    assert_eq!(check.status.code(), Some(0), "{}", String::from_utf8_lossy(&check.stderr));
    gateway.client().connect("denied.test:443");
    gateway.decided(1);
}

#[test]
fn a_key_that_others_may_read_one_that_is_gone_one_that_was_replaced_and_a_place_that_cannot_be_written_are_refused() {
    let gateway = killed();
    let key = spool(&gateway).join("signing.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(refused(&gateway).contains("others may read the signing key"));
    std::fs::remove_file(&key).unwrap();
    let told = refused(&gateway);
    assert!(told.contains("signing.key` is gone") && !key.exists(), "no new key under an old name: {told}");
    std::fs::copy(spool(&killed()).join("signing.key"), &key).unwrap();
    assert!(refused(&gateway).contains("is not the public key of `signing.key`"));
    std::fs::remove_dir_all(spool(&gateway)).unwrap();
    std::fs::write(spool(&gateway), "a file in its place").unwrap();
    assert!(refused(&gateway).contains("evidence"), "the place is named");
}

#[test]
fn an_admission_whose_close_a_kill_took_is_closed_at_the_next_start() {
    let setup = Setup::new();
    let origin = gatepass_tests::Origin::echo();
    setup.resolver.answer("allowed.test", &["127.0.0.1"]);
    let mut gateway = setup.start(&Bundle::new().allow("web", "allowed.test", &[origin.port()]));
    let mut client = gateway.client();
    let id = client.connect(&format!("allowed.test:{}", origin.port())).id();
    assert!(client.try_echo(b"ping"));
    gateway.signal("KILL");
    gateway.wait();
    let again = gateway.start_again();
    let close = eventually("its close", || {
        exported(&again).into_iter().find(|record| record["kind"] == "close" && record["id"] == id.as_str())
    });
    assert_eq!(close["ending"], "error");
    assert!(close.get("bytes_sent").is_none(), "what nobody knows is not told: {close}");
    drop(again);
    let third = gateway.start_again();
    let closes = exported(&third).into_iter().filter(|record| record["kind"] == "close").count();
    assert_eq!(closes, 1, "once");
}
