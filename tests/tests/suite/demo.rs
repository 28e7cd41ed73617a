//! The guided tour: it ends as told, shows every scene, and colours nothing where nobody looks.

use std::process::{Command, Output};

use gatepass_tests::gateway::binary;
use serde_json::Value;

const SCENES: [&str; 18] = [
    "allowed",
    "unknown-name",
    "private-address",
    "sni-mismatch",
    "certificate",
    "plain-http",
    "limit",
    "no-credentials",
    "data-class",
    "client-certificate",
    "no-certificate",
    "reload",
    "broken-reload",
    "break-glass",
    "containment",
    "tunnel-cut",
    "expired-rule",
    "why",
];

fn demo(arguments: &[&str]) -> Output {
    Command::new(binary()).arg("demo").args(arguments).output().unwrap()
}

#[test]
fn each_scene_of_the_tour_ends_as_told() {
    let output = demo(&[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    for scene in SCENES {
        assert!(text.contains(&format!("  ✓ {scene} ")), "{scene}: {text}");
    }
    assert!(!text.contains('✗'), "{text}");
    assert!(text.contains("bytes that reached packages.test: 0"), "{text}");
    assert!(text.contains("limits.upload_bytes_per_day: 4096 is not less than 4KiB"), "{text}");
    assert!(text.contains("at certificate   guardrail"), "{text}");
    assert!(text.contains("paste.evil.test 0"), "{text}");
    assert!(!text.contains('\u{1b}'), "colours in a pipe: {text}");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn the_summary_for_scripts_names_every_scene_and_its_checks() {
    let output = demo(&["--json"]);
    assert_eq!(output.status.code(), Some(0));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["as_told"], true);
    let names: Vec<_> = summary["scenes"].as_array().unwrap().iter().map(|scene| scene["name"].clone()).collect();
    assert_eq!(names, SCENES);
    let held = |scene: &Value| {
        let checks = scene["checks"].as_array().unwrap();
        !checks.is_empty() && checks.iter().all(|check| check["held"] == true)
    };
    assert!(summary["scenes"].as_array().unwrap().iter().all(held), "{summary}");
}

#[test]
fn the_tour_leaves_no_file_behind() {
    let temporary = gatepass_tests::Scratch::new();
    let status = Command::new(binary()).arg("demo").env("TMPDIR", temporary.path()).output().unwrap().status;
    assert_eq!(status.code(), Some(0));
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0);
}
