//! What `gatepass explain` says, word for word and field for field: `tests/explain/CASE.txt` and `CASE.json`.
//!
//! After it has changed: `GATEPASS_REGENERATE=1 cargo nextest run -p gatepass-tests cli::explained`.

use std::path::{Path, PathBuf};
use std::process::Command;

use gatepass_tests::gateway::binary;
use gatepass_tests::programs::installed;

use super::{Told, run_in};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("explain")
}

const CHECKOUT: &str = "spiffe://corp.example/ns/payments/sa/checkout";
const REPORTS: &str = "spiffe://corp.example/ns/payments/sa/reports";
const GLOBAL: [&str; 2] = ["--answer", "93.184.216.34"];

/// A name, who asks, for what, more, and the exit code.
type Case = (&'static str, &'static str, &'static str, &'static [&'static str], i32);

const CASES: [Case; 14] = [
    ("allowed", CHECKOUT, "api.stripe.test:443", &[GLOBAL[0], GLOBAL[1], "--sni", "api.stripe.test"], 0),
    ("no-rule-with-nearest", CHECKOUT, "api.stripe.test:22", &[], 1),
    ("rule-expired", CHECKOUT, "api.stripe.test:443", &["--at", "2030-06-01T00:00:00Z"], 1),
    ("guardrail-that-takes-exceptions", CHECKOUT, "api.other.test:443", &[], 1),
    ("guardrail-absolute", REPORTS, "docs.test:443", &[GLOBAL[0], GLOBAL[1], "--sni", "evil.test"], 1),
    ("floor-overrides-an-allow", REPORTS, "docs.test:443", &["--answer", "169.254.169.254", "--sni", "docs.test"], 1),
    ("pending-with-missing-facts", CHECKOUT, "api.stripe.test:443", &[], 1),
    ("team-deny", REPORTS, "docs.test:80", &["--method", "POST", "--path", "/a"], 1),
    ("shadow", REPORTS, "docs.test:80", &[GLOBAL[0], GLOBAL[1], "--method", "GET", "--path", "/a?b=c"], 0),
    ("mode", REPORTS, "docs.test:443", &["--mode", "calm"], 1),
    ("exception", CHECKOUT, "api.newpsp.test:443", &[GLOBAL[0], GLOBAL[1], "--sni", "api.newpsp.test"], 0),
    ("grant", CHECKOUT, "api.other.test:443", &[GLOBAL[0], GLOBAL[1], "--sni", "api.other.test", "--granted"], 0),
    (
        "grant-never-lifts-what-is-absolute",
        CHECKOUT,
        "api.other.test:443",
        &["--no-sni", "--granted", GLOBAL[0], GLOBAL[1]],
        1,
    ),
    ("anonymous", "anonymous", "api.stripe.test:443", &["--no-tls"], 1),
];

fn explain((_, from, to, more, _): Case, json: &[&str]) -> Told {
    let at: &[&str] = if more.contains(&"--at") { &[] } else { &["--at", "2030-01-01T00:00:00Z"] };
    run_in(&directory(), &[&["explain", "policy", "--from", from, "--to", to][..], at, more, json].concat())
}

fn equal(name: &str, text: &str) {
    let path = directory().join(name);
    if std::env::var_os("GATEPASS_REGENERATE").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "{name} reads otherwise; look at it, then GATEPASS_REGENERATE=1");
}

#[test]
fn every_kind_of_answer_is_told_as_expected() {
    for case in CASES {
        let told = explain(case, &[]);
        assert_eq!((told.code, told.err.as_str()), (case.4, ""), "{}: {}", case.0, told.out);
        equal(&format!("{}.txt", case.0), &told.out);
        let told = explain(case, &["--json"]);
        assert_eq!((told.code, told.err.as_str()), (case.4, ""), "{}: {}", case.0, told.out);
        let mut json = told.json();
        // It changes with every letter of the bundle.
        assert_eq!(json["policy"]["digest"].as_str().map(str::len), Some(71), "{json}");
        json["policy"]["digest"] = "…".into();
        equal(&format!("{}.json", case.0), &format!("{}\n", serde_json::to_string_pretty(&json).unwrap()));
    }
}

#[test]
fn the_command_that_asks_is_one_that_is_understood() {
    for (case, asks) in CASES.map(|case| {
        (case, ["no-rule-with-nearest", "rule-expired", "guardrail-that-takes-exceptions"].contains(&case.0))
    }) {
        let told = explain(case, &[]);
        let line = told.out.lines().find_map(|line| line.strip_prefix("  ask        gatepass "));
        assert_eq!(line.is_some(), asks, "{}: {}", case.0, told.out);
        let Some(line) = line else { continue };
        // It is well formed, and nobody listens there.
        let line = format!("exec \"$0\" {line} --proxy http://127.0.0.1:9");
        let asked = Command::new(installed("sh")).arg("-c").arg(line).arg(binary()).output().unwrap();
        assert_eq!(asked.status.code(), Some(3), "{}: {}", case.0, String::from_utf8_lossy(&asked.stderr));
    }
}

#[test]
fn what_is_asked_inside_a_tunnel_is_not_answered_yet() {
    let asked = ["explain", "policy", "--from", REPORTS, "--to", "docs.test:443", "--method", "GET", "--path", "/"];
    let told = run_in(&directory(), &[&asked[..], &["--inspected", "--at", "2030-01-01T00:00:00Z"]].concat());
    let wanted = "error: `--inspected` is not supported yet: this version decrypts no tunnel\n";
    assert_eq!((told.code, told.out.as_str(), told.err.as_str()), (2, "", wanted));
}

/// The output of a command on a terminal of its own.
fn on_a_terminal(command: &str, no_color: &str) -> String {
    let line = format!("{} {command}", binary().display());
    let mut script = Command::new(installed("script"));
    script.args(["-qec", &line, "/dev/null"]).current_dir(directory()).env("NO_COLOR", no_color);
    if no_color.is_empty() {
        script.env_remove("NO_COLOR");
    }
    let output = script.stdin(std::process::Stdio::null()).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn colours_are_for_terminals_and_for_those_who_want_them() {
    let explain = format!("explain policy --from {REPORTS} --to docs.test:22 --at 2030-01-01T00:00:00Z");
    let check = "check ../diagnostics/kind-unknown".to_owned();
    for (command, coloured) in [(explain, "\u{1b}[31mDENY\u{1b}[0m  "), (check, "\u{1b}[1;31merror\u{1b}[0m: ")] {
        let told = on_a_terminal(&command, "");
        assert!(told.contains(coloured), "{told:?}");
        let plain = on_a_terminal(&command, "1");
        assert!(!plain.contains('\u{1b}') && plain.len() > 100, "{plain:?}");
        let parts: Vec<&str> = command.split(' ').collect();
        let piped = run_in(&directory(), &parts);
        assert!(!format!("{}{}", piped.out, piped.err).contains('\u{1b}'), "{command}");
    }
}
