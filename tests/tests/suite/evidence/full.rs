//! A spool that has its full size while the collector is away: new connections wait, or the oldest records go.

use std::process::Command;

use gatepass_tests::gateway::binary;
use gatepass_tests::{Bundle, Client, Faulty, Gateway, Setup, eventually};
use serde_json::Value;

/// The collector takes nothing yet.
fn filling(when_full: &str, collector: &Faulty) -> Gateway {
    let address = collector.address();
    Setup::new()
        .section(&format!(
            "evidence: {{stdout: none, spool: {{max_size: 16MiB, when_full: {when_full}}}, otlp: {{endpoint: \"http://{address}\"}}}}"
        ))
        .section("limits: {evidence_retry_first: 20ms, evidence_retry_longest: 100ms}")
        .start(&Bundle::new())
}

/// Ask from several sides for what is denied, until one is answered otherwise or there are so many records.
fn fill(gateway: &Gateway, most: usize) -> Option<gatepass_tests::Reply> {
    let address = gateway.plain();
    // A long name makes a large record.
    let name = format!("{}.denied.test:443", ["a".repeat(60), "b".repeat(60), "c".repeat(60)].join("."));
    std::thread::scope(|scope| {
        let ask = |_| {
            let name = &name;
            scope.spawn(move || {
                (0..most / 4).map(|_| Client::plain(address).connect(name)).find(|reply| reply.status != 403)
            })
        };
        let askers: Vec<_> = (0..4).map(ask).collect();
        askers.into_iter().filter_map(|asker| asker.join().unwrap()).next()
    })
}

fn exported(gateway: &Gateway) -> Vec<Value> {
    let output = Command::new(binary()).args(["evidence", "export"]).current_dir(gateway.path()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_full_spool_refuses_until_the_collector_has_taken_records_and_none_is_missing_there() {
    let collector = Faulty::bound(None);
    let gateway = filling("refuse", &collector);
    let refused = fill(&gateway, 60_000).expect("16 MiB are soon full");
    assert_eq!(refused.status, 503, "{}", refused.head);
    assert!(refused.body.contains("evidence_unavailable"), "{}", refused.body);
    // A changed policy is recorded all the same.
    gateway.setup.bundle(&Bundle::new().allow("more", "more.test", &[443]));
    let changed = |records: &[Value]| records.iter().filter(|record| record["kind"] == "policy").count() > 1;
    eventually("the new policy is in the spool", || changed(&exported(&gateway)).then_some(()));
    let records = exported(&gateway).len();
    collector.listen();
    eventually("connections are decided again", || {
        (gateway.client().connect("denied.test:443").status == 403).then_some(())
    });
    eventually("the collector has all that was there", || (collector.count() >= records).then_some(()));
}

#[test]
fn where_the_oldest_go_nothing_is_refused_and_a_record_tells_which_went() {
    let collector = Faulty::bound(None);
    let gateway = filling("drop_oldest", &collector);
    let refused = fill(&gateway, 24_000);
    assert!(refused.is_none(), "{:?}", refused.map(|reply| reply.head));
    let gap = eventually("a record tells of the gap", || exported(&gateway).into_iter().find(|r| r["kind"] == "gap"));
    assert_eq!((&gap["gap"]["cause"], &gap["gap"]["first"]), (&"dropped".into(), &1.into()));
    let oldest = exported(&gateway)[0]["sequence"].as_u64().unwrap();
    assert!(oldest > gap["gap"]["last"].as_u64().unwrap(), "they are gone");
    let output = Command::new(binary()).args(["evidence", "verify"]).current_dir(gateway.path()).output().unwrap();
    assert!(output.status.success(), "the rest is provable: {}", String::from_utf8_lossy(&output.stdout));
}
