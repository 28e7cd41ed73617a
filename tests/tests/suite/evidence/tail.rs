//! `gatepass evidence tail`: the last records that match, then each as it comes.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::{PEOPLE, allowed, at, close, denied, id, world};
use crate::cli::run;
use gatepass_tests::gateway::binary;
use gatepass_tests::{PATIENCE, Spool};

#[test]
fn the_last_records_are_shown_as_lines_or_as_json() {
    let spool = world();
    let told = run(spool.scratch(), &["evidence", "tail", "--no-follow", "-n", "3", "--json"]);
    assert_eq!(told.code, 0, "{}", told.err);
    let wanted = &spool.records()[spool.records().len() - 3..];
    let lines: Vec<serde_json::Value> = told.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, wanted);
    let text = run(spool.scratch(), &["evidence", "tail", "--no-follow", "-n", "2"]).out;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "a checkpoint is nothing to read: {text}");
    assert!(lines[0].starts_with("2026-11-22T10:33:20.250Z DENY   192.0.2.9 → `…@:443`"), "{text}");
    assert!(lines[1].contains("POLICY corp sha256:00ff activated") && !text.contains('\u{1b}'), "{text}");
}

#[test]
fn a_filter_shows_decisions_and_their_ends() {
    let mut spool = Spool::new();
    for (number, who) in (1..).zip([PEOPLE[0], PEOPLE[1], PEOPLE[0]]) {
        spool.add("decision", &id(number), &at(number), allowed(who, "a.test", "r", "2027-01-01T00:00:00Z", "::1"));
    }
    spool.seal();
    spool.add("close", &id(1), &at(10), close(1, 2));
    spool.add("close", &id(2), &at(11), close(1, 2));
    let tail =
        |arguments: &[&str]| run(spool.scratch(), &[&["evidence", "tail", "--no-follow"], arguments].concat()).out;
    let text = tail(&["--identity", "spiffe://*/checkout"]);
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.lines().last().unwrap().contains("CLOSE  spiffe://corp.example/ns/pay/sa/checkout → a.test:443"));
    assert_eq!(tail(&["--since", &at(10)]).lines().count(), 2);
    assert_eq!(tail(&["--outcome", "refused"]), "");
    assert_eq!(tail(&["--rule", "r", "--reason", "allowed", "--host", "a.test"]).lines().count(), 5);
}

#[test]
fn records_are_shown_as_they_come_also_from_segments_that_begin_meanwhile() {
    let mut spool = Spool::new();
    spool.add("decision", &id(1), &at(1), denied(PEOPLE[1], "a.test"));
    let mut child = Command::new(binary())
        .args(["evidence", "tail", "--reason", "no_rule", "-n", "1"])
        .current_dir(spool.scratch().path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let (lines, shown) = std::sync::mpsc::channel();
    std::thread::spawn(move || out.lines().map_while(Result::ok).for_each(|line| drop(lines.send(line))));
    let next = |number| {
        let line = shown.recv_timeout(PATIENCE).unwrap();
        assert!(line.ends_with(&id(number)), "{line}");
    };
    next(1);
    for number in 2..10 {
        if number % 3 == 0 {
            spool.seal();
        }
        spool.add("decision", &id(number), &at(number), denied(PEOPLE[1], "a.test"));
        next(number);
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn without_a_spool_it_says_which_one_it_looked_for() {
    let spool = Spool::new();
    let told = run(spool.scratch(), &["evidence", "tail", "--directory", "elsewhere"]);
    assert_eq!(told.code, 3);
    assert!(told.err.contains("there is no spool in `elsewhere`") && told.err.contains("--directory"), "{}", told.err);
}
