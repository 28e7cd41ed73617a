//! What the real gateway writes to its spool is read back as the lines that it wrote to standard output.

use gatepass_tests::gateway::binary;
use gatepass_tests::{Bundle, Origin, Setup, eventually};
use serde_json::Value;
use std::process::Command;

fn lines(gateway: &gatepass_tests::Gateway, arguments: &[&str]) -> Vec<Value> {
    let output = Command::new(binary()).arg("evidence").args(arguments).current_dir(gateway.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn an_export_of_a_running_gateway_and_after_a_crash_is_every_line_of_standard_output() {
    let setup = Setup::new();
    let origin = Origin::http();
    setup.resolver.answer("allowed.test", &["127.0.0.1"]);
    let mut gateway = setup.start(&Bundle::new().allow("web", "allowed.test", &[origin.port()]));
    for host in ["allowed.test", "denied.test", "allowed.test"] {
        gateway.client().connect(&format!("{host}:{}", origin.port()));
    }
    gateway.decided(3);
    let told = eventually("both tunnels have ended", || {
        let records = gateway.records();
        (records.iter().filter(|record| record["kind"] == "close").count() == 2).then_some(records)
    });
    let exported = lines(&gateway, &["export"]);
    assert!(exported.len() >= told.len() && exported[..told.len()] == told[..], "{exported:#?}\n{told:#?}");
    let denied = lines(&gateway, &["query", "denied", "--json"]);
    assert_eq!(denied[0]["rows"][0]["attempts"], 1);
    let id = told.iter().find(|record| record["kind"] == "close").unwrap()["id"].as_str().unwrap();
    let story = lines(&gateway, &["query", "decision", id, "--json"]);
    assert_eq!((&story[0]["decision"]["id"], &story[0]["policy"]["result"]), (&id.into(), &"activated".into()));
    gateway.signal("KILL");
    gateway.wait();
    let again = gateway.start_again();
    again.client().connect(&format!("denied.test:{}", origin.port()));
    again.decided(1);
    let after = eventually("the spool has what standard output has", || {
        let after = lines(&again, &["export"]);
        after.iter().any(|record| *record == again.decisions()[0]).then_some(after)
    });
    assert!(after.len() > exported.len() && after[..told.len()] == told[..]);
    let numbers: Vec<u64> = after.iter().filter_map(|record| record["sequence"].as_u64()).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "no hole over a crash");
    let last = lines(&again, &["tail", "--no-follow", "-n", "3", "--json", "--outcome", "refused"]);
    assert!(last.len() == 2 && last[1] == again.decisions()[0], "{last:#?}");
}
