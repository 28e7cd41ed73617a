//! `gatepass reach`, `diff` and `review`: a policy asked about all connections.

use std::process::Stdio;

use gatepass_tests::Scratch;
use gatepass_tests::gateway::binary;
use serde_json::Value;

use super::{AT, GUARDRAILS, Told, WEB, bundle, run};

fn two(old: &str, new: &str) -> Scratch {
    let scratch = bundle(old);
    scratch.write("next/bundle.yaml", super::BUNDLE);
    scratch.write("next/guardrails.yaml", GUARDRAILS);
    scratch.write("next/teams/web.yaml", new);
    scratch
}

fn asked(scratch: &Scratch, arguments: &[&str]) -> Told {
    run(scratch, &[arguments, &AT[..]].concat())
}

#[test]
fn reach_tells_who_can_reach_a_host_and_what_that_hangs_on() {
    let scratch = bundle(WEB);
    let told = asked(&scratch, &["reach", "policy", "--to", "api.test", "--json"]);
    assert_eq!((told.code, &*told.err), (0, ""));
    let json = told.json();
    let way = &json["ways"][0];
    assert_eq!(json["ways"].as_array().unwrap().len(), 1);
    assert_eq!((&way["who"], &way["rule"], &way["ports"][0]), (&"token:ci".into(), &"web/api".into(), &443.into()));
    let hangs: Vec<&str> = way["hangs_on"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(hangs, ["dns.answers", "tls.present", "tls.sni"]);
    assert_eq!(json["exact"], true);
    // The witness is a question that `explain` answers in the same way.
    let explain = way["witness"]["explain"].as_str().unwrap();
    let words: Vec<&str> = ["explain", "policy"].into_iter().chain(explain.split(' ')).collect();
    assert_eq!(run(&scratch, &words).code, 0, "{explain}");

    let told = asked(&scratch, &["reach", "policy", "--to", "api.test"]);
    assert!(told.out.contains("token:ci") && told.out.contains("2030-06-01"), "{}", told.out);
}

#[test]
fn reach_says_no_where_nobody_gets_and_refuses_what_it_cannot_read() {
    let scratch = bundle(WEB);
    for (arguments, code, said) in [
        (&["reach", "policy", "--to", "api.test:22"][..], 1, "nobody"),
        (&["reach", "policy", "--to", "other.test"], 1, "nobody"),
        (&["reach", "policy", "--from", "token:nobody", "--mode", "normal"], 0, "docs.test"),
        (&["reach", "policy", "--to", "API..test"], 2, "`--to API..test`"),
        (&["reach", "policy", "--from", "token:*"], 2, "is a pattern"),
        (&["reach", "policy", "--from", "token:ci", "--mode", "lockdown"], 2, "it has `normal`"),
        (&["reach", "policy"], 2, "--to"),
        (&["reach", "gone", "--to", "api.test"], 3, "gone"),
    ] {
        let told = asked(&scratch, arguments);
        assert_eq!(told.code, code, "{arguments:?}: {}{}", told.out, told.err);
        assert!((told.out.clone() + &told.err).contains(said), "{arguments:?}: {}{}", told.out, told.err);
    }
}

#[test]
fn diff_tells_who_gains_and_who_loses_each_with_a_witness() {
    let next = WEB.replace("ports: [443]", "ports: [443, 8443]").replace("[\"docs.test\"]", "[\"manual.test\"]");
    let scratch = two(WEB, &next);
    let told = asked(&scratch, &["diff", "policy", "next"]);
    assert_eq!(told.code, 1, "{}", told.err);
    for line in [
        "newly allowed (2)",
        "  + token:ci -> api.test:8443\n      no_rule => allowed (web/api)",
        "newly denied (1)",
        "  - anonymous, other DNS names, other SPIFFE IDs, other networks, other tokens -> docs.test:80\n      allowed (web/docs) => no_rule",
        "rules: 0 added, 0 removed, 2 changed",
    ] {
        assert!(told.out.contains(line), "{line}\n{}", told.out);
    }
    assert!(told.out.contains("plain HTTP"), "{}", told.out);
    let same = asked(&scratch, &["diff", "policy", "policy"]);
    assert_eq!((same.code, &*same.err), (0, ""));
    assert!(same.out.contains("classes of connections: 0 opened, 0 closed"), "{}", same.out);
}

#[test]
fn every_witness_of_a_difference_is_decided_as_it_says() {
    let next = WEB.replace("[443]", "[443, 8443]").replace("{id: \"token:ci\"}", "{id: \"token:*\"}");
    let scratch = two(WEB, &next);
    let json = asked(&scratch, &["diff", "policy", "next", "--json"]).json();
    let changes = json["changes"].as_array().unwrap();
    assert!(changes.len() >= 2, "{json}");
    for change in changes {
        let explain = change["witness"]["explain"].as_str().unwrap();
        let decided = |bundle: &str| {
            let words: Vec<&str> = ["explain", bundle].into_iter().chain(explain.split(' ')).collect();
            run(&scratch, &words).code == 0
        };
        assert_eq!((decided("policy"), decided("next")), (false, true), "{change}");
    }
}

#[test]
fn a_difference_of_moments_tells_what_breaks() {
    let scratch = bundle(WEB);
    let told = asked(&scratch, &["diff", "policy", "--until", "2030-07-01T00:00:00Z"]);
    assert_eq!(told.code, 1);
    assert!(told.out.contains("allowed (web/api) => rule_expired (web/api)"), "{}", told.out);
    let told = asked(&scratch, &["diff", "policy", "--until", "2030-02-01T00:00:00Z"]);
    assert_eq!(told.code, 0, "{}", told.out);
    assert_eq!(asked(&scratch, &["diff", "policy", "--until", "2029-02-01T00:00:00Z"]).code, 2);
    assert_eq!(asked(&scratch, &["diff", "policy"]).code, 2);
}

#[test]
fn a_regular_expression_is_told_to_make_an_answer_approximate() {
    let next = WEB.replace(
        "    expires: \"2030-06-01T00:00:00Z\"\n  - id: docs",
        "    expires: \"2030-06-01T00:00:00Z\"\n    when: tls.alpn.exists(p, p.matches(\"^h[23]$\"))\n  - id: docs",
    );
    let told = asked(&two(WEB, &next), &["diff", "policy", "next"]);
    assert!(told.err.contains("approximate: rules look at tls.alpn"), "{}{}", told.out, told.err);
}

#[test]
fn review_names_what_is_of_no_use_what_breaks_and_how_wide_rules_are() {
    let more = "  - id: again\n    action: allow\n    purpose: the same again\n    owner: other@example.com\n    \
                identities: [{id: \"token:ci\"}]\n    destinations: {hosts: [\"api.test\"], ports: [443]}\n    \
                data_classes: {at_most: [public, unclassified]}\n    expires: \"2030-01-10T00:00:00Z\"\n";
    let scratch = bundle(&(WEB.to_owned() + more));
    let told = asked(&scratch, &["review", "policy"]);
    assert_eq!(told.code, 1, "{}{}", told.out, told.err);
    for line in [
        "web/again (other@example.com): all that it allows is allowed by web/api as well",
        "allows that overlap (1)",
        "what breaks before 2030-01-31 (0)",
        "ends, and closes nothing by itself: web/again",
    ] {
        assert!(told.out.contains(line), "{line}\n{}", told.out);
    }
    let json = asked(&scratch, &["review", "policy", "--before", "2030-12-01T00:00:00Z", "--json"]).json();
    assert_eq!(json["total"]["allows"], 3);
    assert_eq!(json["total"]["anyone"], 1);
    assert_eq!(json["owners"]["web@example.com"]["by_identity"], 1);
    assert!(!json["breaking"]["changes"].as_array().unwrap().is_empty(), "{json}");
    let mine = asked(&scratch, &["review", "policy", "--owner", "web@example.com"]);
    assert!(!mine.out.contains("other@example.com"), "{}", mine.out);
}

/// The sample bundle, at the moment of its own tests.
const CORP: [&str; 3] =
    [concat!(env!("CARGO_MANIFEST_DIR"), "/../config/examples/corp"), "--at", "2026-11-24T12:00:00Z"];

#[test]
fn the_sample_bundle_is_answered_exactly_and_holds_nothing_of_no_use() {
    let scratch = Scratch::new();
    let asked = |command: &str, more: &[&str]| run(&scratch, &[&[command][..], &CORP, more].concat());
    let review = asked("review", &[]);
    assert_eq!((review.code, &*review.err), (0, ""), "{}", review.out);
    let reach = asked("reach", &["--to", "api.stripe.com", "--json"]).json();
    assert_eq!(reach["exact"], true, "{reach}");
    let who: Vec<&str> = reach["ways"].as_array().unwrap().iter().filter_map(|way| way["who"].as_str()).collect();
    assert!(who.iter().all(|id| id.starts_with("spiffe://corp.example/ns/payments/")) && !who.is_empty(), "{who:?}");
    assert_eq!(asked("diff", &[CORP[0]]).code, 0);
    let tested = run(&scratch, &["test", CORP[0]]);
    assert_eq!(tested.code, 0, "{}", tested.out);
    assert!(tested.out.contains("6 invariants hold, 0 not kept"), "{}", tested.out);
}

#[test]
fn what_a_client_must_declare_is_told_and_decides_as_told() {
    let scratch = bundle(&WEB.replace("at_most: [unclassified, public]", "at_most: [public]").replace(
        "    expires: \"2030-06-01T00:00:00Z\"\n  - id: docs",
        "    expires: \"2030-06-01T00:00:00Z\"\n    trust_declared: true\n  - id: docs",
    ));
    let workloads = "workloads:\n  - {id: \"token:ci\", data_classes: [public, pci], may_declare: [public]}\n";
    let head = "apiVersion: gatepass/v1\nkind: Workloads\nmetadata: {id: workloads, owner: platform@example.com}\n";
    scratch.write("policy/workloads.yaml", format!("{head}{workloads}"));
    let reach = asked(&scratch, &["reach", "policy", "--to", "api.test", "--json"]).json();
    let explain = reach["ways"][0]["witness"]["explain"].as_str().unwrap_or_else(|| panic!("{reach}"));
    assert!(explain.contains("--declare public"), "{explain}");
    let decided = |words: &str| {
        let words: Vec<&str> = ["explain", "policy"].into_iter().chain(words.split(' ')).collect();
        run(&scratch, &words)
    };
    assert_eq!(decided(explain).code, 0, "{explain}");
    assert_eq!(decided(&explain.replace(" --declare public", "")).code, 1, "what is registered is too much");
    let refused = decided(&explain.replace("--declare public", "--declare pci"));
    assert_eq!(refused.code, 2, "only what it may declare");
    assert!(refused.err.contains("`--declare`"), "{}", refused.err);
}

#[test]
fn whoever_reads_may_stop_when_they_have_read_enough() {
    let scratch = bundle(WEB);
    for command in ["review policy", "check policy", "reach policy --to api.test", "diff policy policy"] {
        let mut gatepass = std::process::Command::new(binary());
        gatepass.args(command.split(' ').chain(AT)).current_dir(scratch.path());
        let mut child = gatepass.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // The reader has gone before a bundle is compiled.
        drop(child.stdout.take());
        let ended = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(!said.contains("panicked"), "{command}: {said}");
        assert!(matches!(ended.status.code(), Some(0 | 1)), "{command}: {:?}", ended.status);
    }
}
