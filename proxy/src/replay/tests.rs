//! Remembered answers are those that are worked out, and each record is told as what it is.

use std::sync::LazyLock;

use gatepass_policy::source::SourceFile;
use gatepass_policy::{PolicySet, compile};
use proptest::prelude::*;
use prost::Message as _;
use serde_json::{Value, json};

use super::*;
use crate::evidence::otlp::encode::log_record;
use report::{Answer, Report};

const HEAD: &str = r#"apiVersion: gatepass/v1
kind: Bundle
metadata: {id: corp, owner: platform@example.com}
data_classes: [{id: public}, {id: internal}]
lifetimes: {default: 365d}
modes:
  lockdown: {allow_when: "false"}
fragments:
  - {id: team, owner: team@example.com, scope: {identities: any, destinations: any, data_classes: any}}
"#;

const WORKLOADS: &str = r#"apiVersion: gatepass/v1
kind: Workloads
metadata: {id: workloads, owner: platform@example.com}
workloads:
  - {id: "token:a", labels: {team: a}, data_classes: [internal], may_declare: [internal]}
"#;

/// A bundle with these allows of `token:a` and guardrails: id, host, end, condition.
fn bundle(allows: &[(&str, &str, &str, &str)], guardrails: &[&str]) -> PolicySet {
    let mut rules = String::new();
    for (id, host, end, when) in allows {
        rules += &format!(
            "  - {{id: \"{id}\", action: allow, purpose: p, identities: [{{id: \"token:a\"}}], data_classes: {{at_most: [internal]}}, destinations: {{hosts: [\"{host}\"], ports: [443]}}, expires: \"{end}\", when: '{when}'}}\n"
        );
    }
    let mut files = vec![("bundle.yaml", HEAD.to_owned()), ("workloads.yaml", WORKLOADS.to_owned())];
    let book = |kind: &str, id: &str, rules: &str| {
        format!("apiVersion: gatepass/v1\nkind: {kind}\nmetadata: {{id: {id}, owner: o@example.com}}\nrules:\n{rules}")
    };
    if !allows.is_empty() {
        files.push(("team.yaml", book("Fragment", "team", &rules)));
    }
    if !guardrails.is_empty() {
        let rules: String = guardrails
            .iter()
            .enumerate()
            .map(|(at, when)| format!("  - {{id: g{at}, action: deny, purpose: p, lifted_by: [], when: '{when}'}}\n"))
            .collect();
        files.push(("guard.yaml", book("Guardrails", "guard", &rules)));
    }
    let files: Vec<SourceFile> =
        files.into_iter().map(|(name, text)| SourceFile { name: name.into(), text: text.into_bytes() }).collect();
    match compile(&files, "2026-11-22T00:00:00Z".parse().unwrap()) {
        Ok(compiled) => compiled.set,
        Err(problems) => panic!("{problems:?}"),
    }
}

const END: &str = "2026-12-22T00:00:00Z";
/// In the middle of the records' time.
const MIDDLE: &str = "2026-11-22T10:00:30Z";

fn decision(number: usize, seconds: usize, outcome: &str, host: &str) -> Value {
    let (effect, code) = if outcome == "refused" { ("deny", "no_rule") } else { ("allow", "allowed") };
    json!({
        "schema": 1, "kind": "decision", "id": format!("019a8f3e-1d2c-7b4a-9c1e-{number:012x}"), "sequence": number + 1,
        "time": format!("2026-11-22T10:00:{seconds:02}Z"), "gateway": "gw-1", "effect": effect, "outcome": outcome,
        "mode": "normal", "stage": "tls", "reason": {"code": code, "text": "because"},
        "identity": {"id": "token:a", "method": "token", "labels": {"team": "a"}},
        "data_classes": ["internal"], "data_classes_from": "registered",
        "client": {"address": "10.0.0.1", "port": 1000}, "listener": "mesh",
        "destination": {"host": host, "port": 443, "addresses": ["3.18.12.63"]},
        "dns": {"cname": [], "min_ttl": 30, "secure": false},
        "tls": {"present": true, "sni": host, "alpn": [], "versions": ["1.3"], "ech": false},
        "request": {"protocol": "connect"},
    })
}

fn close(number: usize) -> Value {
    json!({
        "schema": 1, "kind": "close", "id": format!("019a8f3e-1d2c-7b4a-9c1e-{number:012x}"), "sequence": 900 + number,
        "time": "2026-11-22T10:01:00Z", "gateway": "gw-1", "bytes_sent": 3, "bytes_received": 4, "duration_ms": 5,
        "ending": "client_closed",
    })
}

fn asked() -> Asked {
    Asked { now: None, mode: None, workloads: Workloads::OfPolicy, span: Span::ALL }
}

fn replayed(set: &PolicySet, asked: Asked, bounds: Bounds, records: &[Value]) -> Report {
    let mut replay = Replay::new(set, asked, bounds);
    for record in records {
        let bytes = log_record(record).unwrap().encode_to_vec();
        assert!(replay.see(&Recorded::of_bytes(&bytes).unwrap()).is_continue());
    }
    replay.end()
}

fn plain(set: &PolicySet, records: &[Value]) -> Report {
    replayed(set, asked(), Bounds::STANDARD, records)
}

/// Kind, rule now, times of each group.
fn said(report: &Report) -> Vec<(ChangeKind, String, String, u64)> {
    let of = |group: &Group| group.change.as_ref().map_or_else(Default::default, |c| (c.now.clone(), c.why.clone()));
    report.groups.iter().map(|group| (group.kind, of(group).0, of(group).1, group.times)).collect()
}

#[test]
fn what_was_admitted_and_would_be_denied_is_told_with_its_bytes_and_with_what_is_still_open() {
    let set = bundle(&[("x", "x.example.com", END, "true")], &[]);
    let records = [
        decision(1, 0, "admitted", "x.example.com"),
        decision(2, 1, "admitted", "y.example.com"),
        decision(3, 2, "admitted", "y.example.com"),
        close(2),
        close(1),
    ];
    let report = plain(&set, &records);
    assert_eq!(report.answer(), Answer::Falls);
    assert_eq!((report.totals.allowed, report.totals.records), (1, 5));
    assert_eq!(said(&report), [(ChangeKind::NewlyDenied, "no_rule".into(), "no_rule".into(), 2)]);
    let group = &report.groups[0];
    assert_eq!((group.ended, group.open, group.sent, group.received), (1, 1, 3, 4));
    assert_eq!((report.cuts(), &*group.destination), (1, "y.example.com:443"));
    assert_eq!(group.example, decision(2, 0, "", "")["id"].as_str().unwrap());
}

#[test]
fn what_was_refused_and_would_be_allowed_changes_nothing_for_what_was_admitted() {
    let set = bundle(&[("x", "x.example.com", END, "true")], &[]);
    let report = plain(&set, &[decision(1, 0, "refused", "x.example.com"), decision(2, 0, "refused", "y.example.com")]);
    assert_eq!(report.answer(), Answer::Stands);
    assert_eq!(said(&report), [(ChangeKind::NewlyAllowed, "team/x".into(), "allowed".into(), 1)]);
    assert_eq!(report.totals.denied, 1);
}

#[test]
fn a_verdict_that_hangs_on_what_is_not_recorded_is_neither_allowed_nor_denied() {
    let set = bundle(&[("x", "x.example.com", END, "true")], &["tls.present && tls.sni != destination.host"]);
    let mut admitted = decision(1, 0, "admitted", "x.example.com");
    admitted.as_object_mut().unwrap().remove("tls");
    let mut refused = decision(2, 0, "refused", "x.example.com");
    for key in ["tls", "dns"] {
        refused.as_object_mut().unwrap().remove(key);
    }
    refused["destination"].as_object_mut().unwrap().remove("addresses");
    let report = plain(&set, &[admitted, refused]);
    assert_eq!(report.answer(), Answer::Falls, "not known to stand");
    let wanted = [
        (ChangeKind::Undecided(Was::Admitted), "guard/g0".into(), "tls.present tls.sni".into(), 1),
        (ChangeKind::Undecided(Was::Refused), "team/x".into(), "dns.answers tls.present tls.sni".into(), 1),
    ];
    assert_eq!(said(&report), wanted);
}

#[test]
fn what_no_record_keeps_of_a_request_or_a_certificate_is_unknown_where_a_rule_asks_for_it() {
    for (when, missing) in [
        ("request.protocol == \"http\" && request.query == \"\"", "request.query"),
        ("request.protocol == \"http\" && has(request.headers.x)", "request.headers"),
        ("identity.cert_expires > timestamp(\"2026-01-01T00:00:00Z\")", "identity.cert_expires"),
    ] {
        let set = bundle(&[("x", "x.example.com", END, when)], &[]);
        let mut record = decision(1, 0, "admitted", "x.example.com");
        record["request"] = json!({"protocol": "http", "method": "GET", "path": "/"});
        record["tls"] = json!({"present": false});
        record["identity"]["cert_sha256"] = "abcd".into();
        let report = plain(&set, &[record]);
        let wanted = [(ChangeKind::Undecided(Was::Admitted), "team/x".into(), missing.into(), 1)];
        assert_eq!(said(&report), wanted, "{when}");
    }
}

#[test]
fn what_is_not_the_policys_to_decide_is_set_aside_and_says_why() {
    let set = bundle(&[("x", "x.example.com", END, "true")], &[]);
    let with = |number: usize, outcome: &str, change: &dyn Fn(&mut Value)| {
        let mut record = decision(number, 0, outcome, "y.example.com");
        change(&mut record);
        record
    };
    let nat64 = |record: &mut Value| {
        record["destination"] = json!({"host": "x.example.com", "port": 443, "addresses": ["64:ff9b::1"]});
    };
    let own = |record: &mut Value| {
        record["destination"]["host"] = "x.example.com".into();
        record["reason"] = json!({"code": "address_floor", "text": "9.9.9.9 (the gateway itself) must not be reached"});
    };
    let records = [
        with(1, "admitted", &|record| record["grant"] = "019a8f3e-1d2c-7b4a-9c1e-2f60a1b3c4d5".into()),
        with(2, "admitted", &|record| record["exception"] = "019a8f3e-1d2c-7b4a-9c1e-2f60a1b3c4d5".into()),
        with(3, "failed", &|_| {}),
        with(4, "refused", &|record| record["reason"]["code"] = "hello_timeout".into()),
        with(5, "refused", &|record| record["destination"] = json!({"text": "…@:443"})),
        with(6, "admitted", &|record| record["identity"]["id"] = "token:a…[+9 bytes]".into()),
        with(7, "admitted", &nat64),
        with(8, "refused", &own),
    ];
    let report = plain(&set, &records);
    let aside: Vec<(&str, u64)> = report.aside().map(|(why, count)| (why.code(), count)).collect();
    let wanted = [
        ("never_read", 1),
        ("refused_by_gateway", 1),
        ("failed", 1),
        ("overridden", 2),
        ("own_addresses", 2),
        ("cut", 1),
    ];
    assert_eq!((aside, report.groups.len()), (wanted.to_vec(), 0));
    // An exception of a bundle's own files has a name; a bundle without it denies.
    let of_files = with(9, "admitted", &|record| record["exception"] = "ex-1".into());
    assert_eq!(plain(&set, &[of_files]).answer(), Answer::Falls);
}

#[test]
fn each_record_is_decided_at_its_own_time_and_in_its_own_mode_unless_told_otherwise() {
    let set = bundle(&[("x", "x.example.com", MIDDLE, "true")], &[]);
    let (early, late) = (decision(1, 0, "admitted", "x.example.com"), decision(2, 30, "admitted", "x.example.com"));
    let records = [early.clone(), late];
    let wanted = [(ChangeKind::NewlyDenied, "team/x".into(), "rule_expired".into(), 1)];
    assert_eq!(said(&plain(&set, &records)), wanted);
    let at = |now: &str| Asked { now: Some(now.parse().unwrap()), ..asked() };
    let before = replayed(&set, at("2026-11-22T10:00:29Z"), Bounds::STANDARD, &records);
    assert_eq!(before.answer(), Answer::Stands);
    let locked = Asked { mode: Some("lockdown".into()), ..asked() };
    let locked = replayed(&set, locked, Bounds::STANDARD, std::slice::from_ref(&early));
    assert_eq!(said(&locked)[0].1, "mode/lockdown");
    let mut then = early;
    then["mode"] = "lockdown".into();
    assert_eq!(said(&plain(&set, &[then]))[0].1, "mode/lockdown");
    assert_eq!(plain(&set, &[]).answer(), Answer::Nothing);
}

#[test]
fn what_goes_beyond_a_bound_is_counted() {
    let set = bundle(&[], &[]);
    let records: Vec<Value> = (0..9)
        .map(|n| {
            let mut record = decision(n, n, "admitted", "x.example.com");
            record["identity"]["id"] = format!("token:{n}").into();
            record
        })
        .collect();
    let few = Bounds { groups: 3, open: 4, ..Bounds::STANDARD };
    let report = replayed(&set, asked(), few, &records);
    assert_eq!(report.groups.iter().map(|group| group.times).collect::<Vec<_>>(), [1, 1, 1, 6]);
    assert!(report.groups[3].change.is_none());
    assert_eq!((report.totals.not_followed, report.cuts()), (5, 4));
    assert_eq!(report.tables(2)[0].1.more, 2);
}

fn records() -> impl Strategy<Value = Vec<Value>> {
    let one = (0..60_usize, 0..3_usize, 0..3_usize, 0..4_usize, 0..6_usize, any::<u8>());
    prop::collection::vec(one, 1..60).prop_map(|all| {
        let mut records = Vec::new();
        for (number, (seconds, outcome, host, odd, client, bits)) in all.into_iter().enumerate() {
            let outcome = ["admitted", "refused", "admitted"][outcome];
            let host = ["x.example.com", "y.example.com", "3.18.12.63"][host];
            let mut record = decision(number, seconds, outcome, host);
            record["client"]["address"] = format!("10.0.0.{client}").into();
            record["client"]["port"] = (1000 + client).into();
            record["dns"]["min_ttl"] = (client * 10).into();
            record["identity"]["id"] = ["token:a", "token:b"][usize::from(bits & 1)].into();
            record["mode"] = ["normal", "lockdown"][usize::from(bits & 0xe == 0)].into();
            match odd {
                0 => record["tls"] = json!({"present": true, "alpn": [], "versions": [], "ech": false}),
                1 => drop(record.as_object_mut().unwrap().remove("tls")),
                2 => {
                    record["request"] = json!({"protocol": "http", "method": "GET", "path": format!("/{}", bits & 3)});
                    record["tls"] = json!({"present": false});
                }
                _ => record["destination"]["addresses"] = json!(["10.9.9.9", "3.18.12.63"]),
            }
            if bits & 0x10 != 0 {
                record["identity"]["cert_sha256"] = format!("{:02x}", bits & 3).into();
                record["data_classes_from"] = "declared".into();
            }
            records.push(record);
            if bits & 0x20 != 0 {
                records.push(close(number));
            }
        }
        records
    })
}

/// Bundles of which each looks at something else.
static BUNDLES: LazyLock<Vec<PolicySet>> = LazyLock::new(|| {
    let allow =
        |when: &'static str| bundle(&[("x", "x.example.com", MIDDLE, when), ("y", "y.example.com", END, "true")], &[]);
    let mut all: Vec<PolicySet> = [
        "true",
        "source.ip == ip(\"10.0.0.1\")",
        "source.port > 1002",
        "dns.min_ttl > 20",
        "dns.answers.exists(a, a == ip(\"10.9.9.9\"))",
        "identity.cert_sha256 == \"01\"",
        "identity.cert_expires > now",
        "now < timestamp(\"2026-11-22T10:00:10Z\")",
        "request.protocol == \"http\" && request.path == \"/1\"",
        "request.protocol == \"http\" && request.query == \"\"",
        "tls.sni == destination.host",
        "mode == \"normal\" && data_classes_from == \"registered\"",
    ]
    .into_iter()
    .map(allow)
    .collect();
    all.push(bundle(&[("y", "y.example.com", MIDDLE, "true")], &["tls.present && tls.sni != destination.host"]));
    all
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_remembered_answer_is_the_one_that_is_worked_out(records in records(), forced in any::<bool>(), kept in any::<bool>()) {
        for set in BUNDLES.iter() {
            let asked = Asked {
                now: forced.then(|| MIDDLE.parse().unwrap()),
                workloads: if kept { Workloads::Recorded } else { Workloads::OfPolicy },
                ..asked()
            };
            let with = |answers| replayed(set, asked.clone(), Bounds { answers, ..Bounds::STANDARD }, &records);
            let plain = with(0);
            prop_assert_eq!(&with(1), &plain);
            prop_assert_eq!(&with(5), &plain);
            prop_assert_eq!(&with(65_536), &plain);
        }
    }
}
