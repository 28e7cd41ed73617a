//! Answers are those of the records, whatever form the records have, and a part never passes for the whole.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{HOSTS, PEOPLE, allowed, at, close, denied, id, overridden, world};
use crate::cli::{Told, run};
use gatepass_tests::{Bundle, Spool};

fn ask(spool: &Spool, arguments: &[&str]) -> Told {
    run(spool.scratch(), &[&["evidence", "query"], arguments].concat())
}

fn rows(spool: &Spool, arguments: &[&str]) -> Vec<Value> {
    let told = ask(spool, &[arguments, &["--json", "--limit", "1000"]].concat());
    assert_eq!(told.code, 0, "{}", told.err);
    let json = told.json();
    assert_eq!((&json["complete"], &json["more"]), (&json!(true), &json!(0)));
    json["rows"].as_array().unwrap().clone()
}

#[test]
fn what_was_denied_is_counted_by_who_and_where_and_why_with_what_came_nearest() {
    let spool = world();
    let mut wanted: BTreeMap<(String, String), u64> = BTreeMap::new();
    for record in spool.records().iter().filter(|record| record["reason"]["code"] == "no_rule") {
        let text = |pointer: &str| record.pointer(pointer).unwrap().as_str().unwrap().to_owned();
        *wanted.entry((text("/identity/id"), text("/destination/host"))).or_default() += 1;
    }
    let rows = rows(&spool, &["denied"]);
    assert_eq!(rows.len(), wanted.len() + 1, "and one that was malformed");
    for row in &rows {
        let destination = row["destination"].as_str().unwrap();
        if row["reason"] == "invalid_request" {
            assert_eq!((destination, &row["identity"]), ("`…@:443`", &json!("192.0.2.9")));
            continue;
        }
        let host = destination.rsplit_once(':').unwrap().0.trim_matches(['[', ']']);
        assert_eq!(row["attempts"], wanted[&(row["identity"].as_str().unwrap().into(), host.into())]);
        assert_eq!(row["rule_or_nearest"], "payments/stripe");
    }
    let attempts: Vec<u64> = rows.iter().map(|row| row["attempts"].as_u64().unwrap()).collect();
    assert!(attempts.is_sorted_by(|a, b| a >= b), "the most frequent first");
    let only = ask(&spool, &["denied", "--identity", "token:*", "--host", "*.stripe.com", "--json"]).json();
    assert!(only["rows"].as_array().unwrap().iter().all(|row| row["identity"] == "token:ci"));
}

#[test]
fn every_form_of_the_records_gives_the_same_answer() {
    let spool = world();
    let export = run(spool.scratch(), &["evidence", "export"]);
    spool.scratch().write("export.jsonl", &export.out);
    let segments: Vec<String> = [1, 2, 3, 4]
        .iter()
        .scan(1, |first, _| {
            let path = spool.segment(*first);
            let count = spool.records().len() as u64;
            *first = (*first + 1..=count).find(|first| spool.segment(*first).exists()).unwrap_or(count + 1);
            Some(path.display().to_string())
        })
        .collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    for question in ["first-seen", "denied", "top", "bytes", "measures"] {
        let wanted = ask(&spool, &[question, "--json"]).out;
        for from in [vec!["export.jsonl"], segments.clone(), vec!["gatepass-data/evidence", "gatepass-data/evidence"]] {
            let told = ask(&spool, &[&[question, "--json"], from.as_slice()].concat());
            assert_eq!((told.out, told.code), (wanted.clone(), 0), "{question} {from:?} {}", told.err);
        }
    }
}

#[test]
fn a_destination_is_first_seen_once_and_not_again_in_a_later_time() {
    let mut spool = Spool::new();
    spool.add("decision", &id(1), &at(0), denied("token:ci", "a.example.com"));
    spool.add(
        "decision",
        &id(2),
        &at(9),
        allowed("token:ci", "b.example.com", "r", "2027-01-01T00:00:00Z", "192.0.2.1"),
    );
    spool.add("decision", &id(3), &at(9), denied("token:ci", "a.example.co.uk"));
    let all = rows(&spool, &["first-seen"]);
    let seen: Vec<(&Value, &Value, &Value)> =
        all.iter().map(|row| (&row["domain"], &row["first_seen"], &row["first_outcome"])).collect();
    let (early, late) = (json!(at(0)), json!(at(9)));
    assert_eq!(
        seen,
        [(&json!("example.co.uk"), &late, &json!("refused")), (&json!("example.com"), &early, &json!("refused"))]
    );
    let later = rows(&spool, &["first-seen", "--since", &at(5)]);
    assert_eq!(later.iter().map(|row| &row["domain"]).collect::<Vec<_>>(), ["example.co.uk"]);
}

#[test]
fn bytes_belong_to_whom_the_decision_admitted_even_long_before() {
    let mut spool = Spool::new();
    let allow = |who: &str| allowed(who, HOSTS[4], "r", "2027-01-01T00:00:00Z", "192.0.2.1");
    spool.add("decision", &id(1), &at(0), allow(PEOPLE[0]));
    spool.add("decision", &id(2), &at(0), allow(PEOPLE[1]));
    spool.seal();
    spool.add("close", &id(1), &at(100), close(3, 4));
    spool.add("close", &id(9), &at(100), close(1, 1));
    let all = rows(&spool, &["bytes", "--since", &at(50)]);
    let row = json!({"identity": PEOPLE[0], "destination": "[2001:db8::1]:443", "connections": 1, "bytes_sent": 3, "bytes_received": 4});
    assert_eq!(all, [row]);
    let notes = ask(&spool, &["bytes", "--json"]).json()["notes"].to_string();
    assert!(notes.contains("1 connections ended whose decisions are not among these records"), "{notes}");
    let top = rows(&spool, &["top", "--by", "listener"]);
    assert_eq!((&top[0]["decisions"], &top[0]["bytes_received"]), (&json!(2), &json!(4)));
}

#[test]
fn rules_that_nobody_uses_and_rules_that_end_soon_are_named_with_their_owners() {
    let spool = world();
    let bundle =
        Bundle::new().agreement().allow("stripe", "api.stripe.com", &[443]).allow("idle", "*.example.com", &[443]);
    for (name, text) in bundle.files() {
        spool.scratch().write(&format!("policy/{name}"), text);
    }
    let unused = rows(&spool, &["unused-rules", "policy"]);
    assert!(unused.iter().any(|row| row["rule"].as_str().unwrap().ends_with("/idle")), "{unused:?}");
    assert!(unused.iter().all(|row| row["unused_since"] == at(0)), "{unused:?}");
    let soon = rows(&spool, &["expiring", "--at", "2026-11-24T00:00:00Z"]);
    assert_eq!(soon.len(), 1, "{soon:?}");
    assert_eq!((&soon[0]["rule"], &soon[0]["owner"]), (&json!("payments/stripe"), &json!("alice@example.com")));
    let later = rows(&spool, &["expiring", "--at", "2026-11-24T00:00:00Z", "--within", "365d"]);
    assert_eq!(later.len(), 2, "what has ended already is not ending soon");
    let measures = ask(&spool, &["measures", "--bundle", "policy", "--json"]).json();
    let of = |name: &str| {
        let rows = measures["measures"]["rows"].as_array().unwrap();
        rows.iter().find(|row| row["measure"] == name).unwrap().clone()
    };
    assert_eq!(of("seconds between policy activations")["value"], 3600.0);
    assert_eq!(of("seconds from exception request to decision")["of"], "none recorded");
    assert_eq!(of("share of allows with wildcard hosts")["value"], 0.5);
    let shares: f64 =
        measures["egress_points"]["rows"].as_array().unwrap().iter().filter_map(|row| row["share"].as_f64()).sum();
    assert!((shares - 1.0).abs() < 1e-9);
}

#[test]
fn grants_are_none_and_that_is_an_answer() {
    let spool = world();
    let told = ask(&spool, &["grants"]);
    assert_eq!((told.code, told.out.contains("(none)")), (0, true), "{}", told.out);
    assert!(told.err.contains("no break-glass grant is recorded"), "{}", told.err);
}

#[test]
fn a_grant_is_one_row_with_who_asked_who_approved_and_what_was_carried() {
    let spool = overridden();
    let rows = rows(&spool, &["grants"]);
    let of = |row: &Value, keys: &[&str]| keys.iter().map(|key| row[*key].clone()).collect::<Vec<Value>>();
    let keys = ["grant", "drill", "state", "second_factor", "approved_by", "connections", "bytes", "reviewed_by"];
    let wanted = [
        json!([id(702), true, "approved", "totp", null, 0, 0, null]),
        json!([id(701), false, "revoked", null, null, 0, 0, null]),
        json!([id(700), false, "ended", "approval", "bob@example.com", 1, 123, "bob@example.com"]),
    ];
    assert_eq!(rows.iter().map(|row| Value::from(of(row, &keys))).collect::<Vec<_>>(), wanted);
    let keys = ["asked_by", "for_whom", "where", "begun", "until"];
    let wanted = json!(["alice@example.com", "token:ci", "pypi.org,www.stripe.com:443,8443", at(5_010), at(6_810)]);
    assert_eq!(Value::from(of(&rows[2], &keys)), wanted);
    assert_eq!(rows[1]["until"], at(7_110), "when it was denied");
    let export = run(spool.scratch(), &["evidence", "export"]);
    spool.scratch().write("export.jsonl", &export.out);
    for question in ["grants", "exceptions", "measures"] {
        assert_eq!(ask(&spool, &[question, "--json", "export.jsonl"]).out, ask(&spool, &[question, "--json"]).out);
    }
    let told = ask(&spool, &["grants", "--since", &at(7_150), "--json"]).json();
    assert_eq!(told["rows"].as_array().unwrap().len(), 1, "what nothing happened to since then is left out: {told}");
}

#[test]
fn an_exception_is_one_row_with_who_decided_and_how_long_that_took() {
    let spool = overridden();
    let rows = rows(&spool, &["exceptions"]);
    let keys = ["exception", "state", "decided_by", "does", "requested", "waited_s", "until"];
    let told: Vec<Value> =
        rows.iter().map(|row| keys.iter().map(|key| row[*key].clone()).collect::<Vec<Value>>().into()).collect();
    let wanted = [
        json!([id(802), "requested", null, "permits payments", at(7_302), null, null]),
        json!([id(801), "denied", "bob@example.com", "permits payments", at(7_301), 30, at(7_391)]),
        json!([id(800), "approved", "bob@example.com", "permits payments", at(7_300), 90, at(20_000)]),
    ];
    assert_eq!(told, wanted);
    let measures = ask(&spool, &["measures", "--json"]).json();
    let measure = measures["measures"]["rows"].as_array().unwrap().iter();
    let mut measure = measure.filter(|row| row["measure"] == "seconds from exception request to decision");
    assert_eq!(measure.next().unwrap()["value"], 60.0, "the mean of those that were decided");
}

#[test]
fn a_decision_is_told_with_its_policy_and_its_end() {
    let spool = world();
    let record = spool.records().iter().find(|record| record["kind"] == "close").unwrap();
    let name = record["id"].as_str().unwrap();
    let told = ask(&spool, &["decision", name, "--json"]).json();
    assert_eq!(&told["close"], record);
    assert_eq!(told["decision"]["id"], name);
    assert_eq!(told["policy"]["result"], "activated");
    assert_eq!(told["proof"], format!("gatepass evidence prove {name}"));
    let text = ask(&spool, &["decision", &format!("{name}/close")]).out;
    for part in ["ALLOW", "CLOSE", "POLICY", "rule.owner               alice@example.com"] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(ask(&spool, &["decision", &id(999_999)]).code, 1);
}

#[test]
fn an_answer_from_a_part_of_the_records_says_so_and_is_no_success() {
    let spool = world();
    let mut bytes = std::fs::read(spool.segment(1)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(spool.segment(1), bytes).unwrap();
    let told = ask(&spool, &["denied", "--json"]);
    assert_eq!((told.code, &told.json()["complete"]), (3, &json!(false)));
    assert!(told.err.contains("cannot be read from"), "{}", told.err);
    spool.scratch().write("bad.jsonl", "{\"kind\": \"decision\"}\nnot json\n");
    let told = ask(&spool, &["top", "bad.jsonl"]);
    assert_eq!(told.code, 3);
    assert!(told.err.contains("line 1 of `bad.jsonl`") && told.err.contains("line 2 of `bad.jsonl`"), "{}", told.err);
    assert_eq!(ask(&spool, &["top", "nowhere"]).code, 3);
    assert_eq!(ask(&spool, &["top", "--since", "yesterday"]).code, 2);
}

#[test]
fn columns_for_programs_are_plain() {
    let spool = world();
    let told = ask(&spool, &["top", "--by", "rule", "--limit", "2"]);
    let lines: Vec<&str> = told.out.lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[0].starts_with("rule ") && !told.out.contains(['│', '\u{1b}']), "{}", told.out);
    assert!(told.err.contains("more rows; --limit shows them"), "{}", told.err);
}
