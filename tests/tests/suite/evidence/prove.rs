//! What an auditor does with a gateway's evidence: verify all of it, and check one decision with a public key alone.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use gatepass_tests::gateway::binary;
use gatepass_tests::{Bundle, Gateway, Origin, Scratch, Setup, eventually};
use serde_json::Value;

/// Runs `gatepass evidence`, beside the gateway's configuration.
fn evidence(gateway: &Gateway, arguments: &[&str]) -> Output {
    Command::new(binary()).arg("evidence").args(arguments).current_dir(gateway.path()).output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The exit code and what was said; all of it in one for a failed assertion.
fn told(gateway: &Gateway, arguments: &[&str]) -> (Option<i32>, String) {
    let output = evidence(gateway, arguments);
    (output.status.code(), text(&output))
}

fn report(gateway: &Gateway, arguments: &[&str]) -> Value {
    let output = evidence(gateway, &[&["verify", "--json"], arguments].concat());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output)))
}

fn spool(gateway: &Gateway) -> PathBuf {
    gateway.path().join("gatepass-data/evidence")
}

/// A gateway that decided two times, and the id of the one that it refused.
fn decided(origin: &Origin) -> (Gateway, String) {
    let setup = Setup::new();
    setup.resolver.answer("allowed.test", &["127.0.0.1"]);
    let gateway = setup.start(&Bundle::new().allow("web", "allowed.test", &[origin.port()]));
    for host in ["allowed.test", "denied.test"] {
        gateway.client().connect(&format!("{host}:{}", origin.port()));
    }
    let decisions = gateway.decided(2);
    let refused = decisions.iter().find(|record| record["outcome"] == "refused").unwrap();
    let id = refused["id"].as_str().unwrap().to_owned();
    (gateway, id)
}

/// The proof of a decision, once the gateway has published a checkpoint that covers it.
fn proof(gateway: &Gateway, arguments: &[&str]) -> String {
    eventually("the decision can be proved", || {
        let output = evidence(gateway, &[&["prove"], arguments].concat());
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    })
}

#[test]
fn a_running_gateway_s_evidence_is_whole_and_stays_so_over_a_crash() {
    let origin = Origin::http();
    let (mut gateway, _) = decided(&origin);
    let signed = eventually("the records are signed", || {
        let report = report(&gateway, &[]);
        assert_eq!((&report["broken"], &report["unproved"]), (&Value::Null, &Value::Null), "{report}");
        (report["signed"].as_u64() >= Some(3)).then(|| report["signed"].as_u64().unwrap())
    });
    gateway.signal("KILL");
    gateway.wait();
    let (exit, said) = told(&gateway, &["verify"]);
    assert_eq!(exit, Some(0), "{said}");
    let again = gateway.start_again();
    again.client().connect(&format!("denied.test:{}", origin.port()));
    eventually("it is signed on", || {
        let report = report(&again, &[]);
        assert_eq!((&report["broken"], &report["unproved"]), (&Value::Null, &Value::Null), "{report}");
        (report["signed"].as_u64() > Some(signed + 1)).then_some(())
    });
    let key = spool(&again).join("log.pub");
    let (exit, said) = told(&again, &["verify", "--key", key.to_str().unwrap()]);
    assert!(exit == Some(0) && said.contains("whole") && !said.contains("note:"), "{said}");
}

#[test]
fn a_decision_is_proved_to_who_has_the_public_key_and_nothing_else() {
    let origin = Origin::http();
    let (gateway, id) = decided(&origin);
    let text = proof(&gateway, &[&id]);
    // The auditor has three files and no spool.
    let desk = Scratch::new();
    let file = desk.write("decision.proof", &text);
    let key = desk.write("log.pub", std::fs::read(spool(&gateway).join("log.pub")).unwrap());
    let older = desk.write("checkpoint", std::fs::read(spool(&gateway).join("checkpoint")).unwrap());
    let check = |file: &Path, more: &[&str]| {
        let known = ["evidence", "check-proof", file.to_str().unwrap(), "--key", key.to_str().unwrap()];
        let output = Command::new(binary()).args(known).args(more).current_dir(desk.path()).output().unwrap();
        (output.status.code(), self::text(&output))
    };
    let (exit, said) = check(&file, &[]);
    assert_eq!(exit, Some(0), "{said}");
    for expected in ["proved: record", "gatepass.evidence/", "denied.test", "no rule lets"] {
        assert!(said.contains(expected), "no `{expected}`: {said}");
    }
    let answer: Value = serde_json::from_str(&check(&file, &["--json"]).1).unwrap();
    assert_eq!((&answer["proved"], &answer["record"]["id"]), (&true.into(), &id.as_str().into()));
    // A verdict that was turned around, a record of another place, a checkpoint of another size.
    let record = text.lines().find(|line| line.starts_with("record ")).unwrap();
    let index = text.lines().find(|line| line.starts_with("index ")).unwrap();
    for (from, to) in [(record, format!("{}A{}", &record[..40], &record[41..])), (index, "index 0".to_owned())] {
        let forged = desk.write("forged.proof", text.replacen(from, &to, 1));
        let (exit, said) = check(&forged, &[]);
        assert!(exit == Some(1) && said.contains("not proved:"), "{to}: {said}");
    }
    // The log goes on, and the auditor's own checkpoint is led on from.
    gateway.client().connect(&format!("denied.test:{}", origin.port()));
    gateway.decided(3);
    let trusted = ["--trusted", older.to_str().unwrap()];
    let since = eventually("the log has grown", || {
        let text = proof(&gateway, &[&id, "--since", older.to_str().unwrap()]);
        text.contains("consistency ").then_some(text)
    });
    let (exit, said) = check(&desk.write("since.proof", since), &trusted);
    assert!(exit == Some(0) && said.contains("and only grew since"), "{said}");
    let (exit, said) = told(&gateway, &["verify", "--trusted", older.to_str().unwrap()]);
    assert_eq!(exit, Some(0), "{said}");
    let (exit, said) = told(&gateway, &["prove", "019a8f3e-1d2c-7b4a-9c1e-2f60a1b3c4d5"]);
    assert!(exit == Some(3) && said.contains("no record"), "{said}");
}

#[test]
fn an_export_is_verified_against_the_log_and_an_altered_line_is_named() {
    let origin = Origin::http();
    let (gateway, id) = decided(&origin);
    proof(&gateway, &[&id]);
    let lines = String::from_utf8(evidence(&gateway, &["export"]).stdout).unwrap();
    let desk = Scratch::new();
    let export = desk.write("records.jsonl", &lines);
    let spool = spool(&gateway);
    let (export, log) = (export.to_str().unwrap(), spool.to_str().unwrap());
    assert_eq!(told(&gateway, &["verify", export, "--log", log]).0, Some(0));
    let key = spool.join("log.pub");
    let (exit, said) = told(&gateway, &["verify", export, "--key", key.to_str().unwrap()]);
    assert_eq!(exit, Some(0), "by its signatures alone: {said}");
    let (exit, said) = told(&gateway, &["verify", export]);
    assert!(exit == Some(3) && said.contains("--key"), "{said}");
    let at = lines.lines().position(|line| line.contains(&id)).unwrap();
    desk.write("records.jsonl", lines.replace("denied.test", "harmless.test"));
    let (exit, said) = told(&gateway, &["verify", export, "--log", log]);
    assert!(exit == Some(1) && said.contains(&format!("record {} ({id})", at + 1)), "{said}");
    let tail: String = lines.lines().skip(2).map(|line| format!("{line}\n")).collect();
    desk.write("records.jsonl", tail);
    assert_eq!(told(&gateway, &["verify", export, "--log", log]).0, Some(0), "tiles tell what came before");
    let (exit, said) = told(&gateway, &["verify", export, "--key", key.to_str().unwrap()]);
    assert!(exit == Some(3) && said.contains("records begin with 3"), "{said}");
}
