//! Every row of the corpora that a client can say to the gateway, through the real binary, each with its one outcome.

mod hosts;

mod tls;

mod http;

use std::collections::BTreeSet;

use gatepass_tests::corpus::{Row, rows};
use gatepass_tests::{Bundle, Gateway, Reply};

const HOSTS: &str = include_str!("../../corpus/hosts.tsv");
const HTTP: &str = include_str!("../../corpus/http.tsv");
const TLS: &str = include_str!("../../corpus/tls.tsv");

/// The policy in the header of hosts.tsv; `port` is where the origin of these names really listens.
fn policy(port: u16) -> Bundle {
    Bundle::new()
        .allow("allowed", "allowed.test", &[80, 443, port])
        .allow("wild", "*.wild.test", &[443, port])
        .allow("idn", "xn--bcher-kva.test", &[443, port])
        .allow("us", "*.allowed-us.test", &[443, port])
        .rule("  - id: denied\n    action: deny\n    purpose: a test\n    destinations: {hosts: [\"denied.test\"]}\n")
}

/// Rows that do not pass yet.
fn pending() -> BTreeSet<String> {
    rows(include_str!("../../pending.tsv")).iter().map(|row| row.get("id").to_owned()).collect()
}

/// What became of a row: nothing, or what was seen instead of what is pinned.
struct Findings(Vec<String>);

impl Findings {
    fn new() -> Findings {
        Findings(Vec::new())
    }

    /// Note a difference, unless the row is pending; a pending row must differ.
    fn compare(&mut self, row: &Row, pinned: &str, got: &str) {
        let id = row.get("id");
        let waits = pending().contains(id);
        match (pinned == got, waits) {
            (true, false) | (false, true) => {}
            (false, false) => self.0.push(format!("{id} ({}): pinned {pinned}, got {got}", row.get("expected"))),
            (true, true) => self.0.push(format!("{id} has its outcome now: take it out of tests/pending.tsv")),
        }
    }

    fn assert_none(&self) {
        assert!(self.0.is_empty(), "{} rows differ:\n{}", self.0.len(), self.0.join("\n"));
    }
}

/// `403 no_rule`: the status of an answer, and the reason in its one record, with the outcome where it is no refusal.
fn told(gateway: &Gateway, reply: &Reply) -> String {
    let record = gateway.decision(&reply.id());
    let outcome = record["outcome"].as_str().filter(|outcome| *outcome != "refused");
    let reason = record["reason"]["code"].as_str().unwrap();
    format!("{} {reason}{}", reply.status, outcome.map_or(String::new(), |outcome| format!(" {outcome}")))
}

#[test]
fn pending_rows_are_known_and_never_rows_that_must_say_no() {
    let known = [("hosts.tsv", HOSTS), ("http.tsv", HTTP), ("tls.tsv", TLS)];
    for row in rows(include_str!("../../pending.tsv")) {
        let (id, file) = (row.get("id"), row.get("file"));
        let corpus = known.iter().find(|(name, _)| *name == file).unwrap_or_else(|| panic!("{id}: no corpus `{file}`"));
        let found = rows(corpus.1).into_iter().find(|row| row.get("id") == id);
        let expected = found.unwrap_or_else(|| panic!("{file} has no row {id}")).get("expected").to_owned();
        assert!(!row.get("reason").is_empty(), "{id} needs a reason");
        let no = ["BLOCK", "DENY", "REJECT", "CLOSE", "502", "RESET"];
        assert!(!no.iter().any(|word| expected.contains(word)), "{id} must say no and is never pending: {expected}");
    }
}

#[test]
fn an_id_names_one_row() {
    let mut ids = BTreeSet::new();
    for (name, text) in [("hosts.tsv", HOSTS), ("http.tsv", HTTP), ("tls.tsv", TLS)] {
        for row in rows(text) {
            assert!(ids.insert(row.get("id").to_owned()), "{name}: {} stands twice", row.get("id"));
        }
    }
}
