//! Tests of policy: what each expectation can fail with, what is shared, what a broken file is told.

mod coverage;

mod reading;
mod servers;

use super::world::{NOW, allow, at, deny, file, files, place_and_message};
use crate::case::{Case, Ran};
use crate::{Compiled, SourceFile, compile};

const HEAD: &str = "apiVersion: gatepass/v1
kind: Tests
metadata: {id: web-tests, owner: web@t.test}
now: \"2030-01-01T00:00:00Z\"
";

/// What the tests here share, unless they say otherwise.
const DEFAULTS: &str = "defaults:
  identity: {id: \"spiffe://t.test/ns/web/sa/shop\"}
  destination: {host: api.test, port: 443}
  dns: {answers: [\"8.8.8.8\"]}
  tls: {sni: api.test}
";

/// A policy with something of everything: an allow, one in shadow, one that looks at the hello, a deny, a guardrail that
/// can be lifted, a private network, and an exception of each kind.
fn bundle() -> Vec<SourceFile> {
    let rules = [
        allow("api", "hosts: [\"api.test\"], ports: [443]", "when: tls.sni == destination.host && tls.ech == false"),
        allow("old", "hosts: [\"old.test\"], ports: [443]", "expires: \"2029-12-01T00:00:00Z\""),
        allow("trial", "hosts: [\"new.test\"], ports: [443]", "enforcement: shadow"),
        allow("lan", "hosts: [\"lan.test\"], ports: [443], cidr_sets: [lan]", ""),
        allow(
            "site",
            "hosts: [\"site.test\"], ports: [80]",
            "when: request.protocol == \"http\" && request.path == \"/a\"",
        ),
        allow(
            "narrow",
            "hosts: [\"narrow.test\"], ports: [443]",
            "trust_declared: true\ndata_classes: {at_most: [public]}",
        ),
        allow("guarded", "hosts: [\"guarded.test\"], ports: [443]", ""),
        deny("no-gists", "destinations: {hosts: [\"gist.test\"]}"),
    ];
    let guards =
        deny("guarded", "lifted_by: [exception, grant]\ndestinations: {hosts: [\"guarded.test\", \"shut.test\"]}");
    let mut files = files(&rules.concat(), &guards);
    let text = String::from_utf8(files[0].text.clone()).unwrap();
    files[0].text = format!("{text}modes: {{calm: {{allow_when: \"false\"}}}}\n").into_bytes();
    files.push(file("exceptions.yaml", EXCEPTIONS));
    files
}

const EXCEPTIONS: &str = "apiVersion: gatepass/v1
kind: Exceptions
metadata: {id: ex, owner: platform@t.test}
exceptions:
  - id: lift
    lifts: guard/guarded
    identities: [{id: \"spiffe://t.test/ns/web/sa/shop\"}]
    destinations: {hosts: [\"guarded.test\"], ports: [443]}
    data_classes: {at_most: [public, internal]}
    reason: a test
    approved_by: [boss@t.test]
    expires: \"2030-06-01T00:00:00Z\"
  - id: permit
    permits: web
    identities: [{id: \"spiffe://t.test/ns/web/sa/shop\"}]
    destinations: {hosts: [\"permitted.test\"], ports: [443]}
    data_classes: {at_most: [public, internal]}
    reason: a test
    approved_by: [boss@t.test]
    expires: \"2030-06-01T00:00:00Z\"
";

/// The bundle with these tests under the usual defaults.
#[track_caller]
fn with(tests: &str) -> Compiled {
    match compile(&tested(&format!("{HEAD}{DEFAULTS}{tests}")), at(NOW)) {
        Ok(compiled) => compiled,
        Err(found) => panic!("{}", found.iter().map(|one| format!("{one}\n")).collect::<String>()),
    }
}

fn tested(text: &str) -> Vec<SourceFile> {
    let mut files = bundle();
    files.push(file("web.test.yaml", text));
    files
}

fn run(compiled: &Compiled) -> Vec<(&Case, Ran)> {
    compiled.tests.iter().flat_map(|suite| &suite.cases).map(|case| (case, case.run(&compiled.set))).collect()
}

/// What the only test with these facts and this expectation says: nothing, or a line for each field.
#[track_caller]
fn says(facts: &str, more: &str, expect: &str) -> Vec<String> {
    let more = if more.is_empty() { String::new() } else { format!("    {more}\n") };
    let compiled = with(&format!("tests:\n  - name: it\n    facts: {{{facts}}}\n{more}    expect: {{{expect}}}\n"));
    let [(_, ran)] = &run(&compiled)[..] else { panic!("one test") };
    ran.mismatches.iter().map(|one| format!("{}: {} instead of {}", one.field, one.got, one.expected)).collect()
}

#[test]
fn each_expectation_holds_and_can_fail() {
    let grant = "grants: [{identities: [\"spiffe://t.test/**\"], destinations: {hosts: [shut.test], ports: [443]}, \
        data_classes: [public, internal], expires: \"2030-01-01T01:00:00Z\"}]";
    for (facts, more, right, wrong, told) in [
        ("", "", "effect: allow", "effect: deny", "effect: allow instead of deny"),
        ("", "", "rule: web/api", "rule: web/old", "rule: web/api instead of web/old"),
        ("", "", "reason: allowed", "reason: permitted", "reason: allowed instead of permitted"),
        ("", "", "stage: tls", "stage: resolved", "stage: tls instead of resolved"),
        (
            "destination: {port: 22}",
            "",
            "effect: deny, reason: no_rule, stage: request, nearest: {rule: web/api, failed: [destinations.ports]}",
            "nearest: {rule: web/lan}",
            "nearest.rule: web/api instead of web/lan",
        ),
        (
            "destination: {port: 22}",
            "",
            "nearest: {rule: web/api}",
            "nearest: {rule: web/api, failed: [destinations.hosts, destinations.ports]}",
            "nearest.failed: [destinations.ports] instead of [destinations.hosts, destinations.ports]",
        ),
        (
            "",
            "",
            "effect: allow, exception: unknown",
            "nearest: {rule: web/api}",
            "nearest.rule: null instead of web/api",
        ),
        ("tls: unknown", "", "effect: pending", "effect: allow", "effect: pending instead of allow"),
        (
            "tls: unknown",
            "",
            "waits_for: [tls.ech, tls.sni]",
            "waits_for: [tls.sni]",
            "waits_for: [tls.ech, tls.sni] instead of [tls.sni]",
        ),
        (
            "destination: {host: new.test}",
            "",
            "effect: deny, shadow: [web/trial]",
            "shadow: []",
            "shadow: [web/trial] instead of []",
        ),
        (
            "destination: {host: guarded.test}",
            "",
            "effect: allow, rule: web/guarded, exception: ex/lift",
            "reason: guardrail",
            "reason: allowed instead of guardrail",
        ),
        ("", "", "effect: allow", "exception: ex/lift", "exception: null instead of ex/lift"),
        (
            "destination: {host: permitted.test}",
            "",
            "reason: permitted, rule: ex/permit",
            "rule: web/api",
            "rule: ex/permit instead of web/api",
        ),
        (
            "destination: {host: shut.test}",
            grant,
            "effect: allow, reason: grant, rule: grant/test",
            "rule: guard/guarded",
            "rule: grant/test instead of guard/guarded",
        ),
        (
            "destination: {host: shut.test}",
            "",
            "effect: deny, reason: guardrail, rule: guard/guarded, stage: request",
            "reason: team_deny",
            "reason: guardrail instead of team_deny",
        ),
        ("", "mode: calm", "effect: deny, rule: mode/calm", "effect: allow", "effect: deny instead of allow"),
        (
            "destination: {host: old.test}",
            "at: \"2029-11-30T00:00:00Z\"",
            "effect: allow, stage: resolved",
            "reason: rule_expired",
            "reason: allowed instead of rule_expired",
        ),
        (
            "destination: {host: old.test}",
            "",
            "reason: rule_expired, nearest: {rule: web/old, failed: [expires]}",
            "reason: no_rule",
            "reason: rule_expired instead of no_rule",
        ),
    ] {
        assert_eq!(says(facts, more, right), Vec::<String>::new(), "{facts}: {right}");
        assert!(says(facts, more, wrong).contains(&told.to_owned()), "{:?}", says(facts, more, wrong));
    }
}

#[test]
fn a_rule_in_shadow_that_would_speak_is_told() {
    // It holds by what is known at the request, and nothing waits for more: no allow is left.
    let both = "destination: {host: new.test}, dns: unknown, tls: unknown";
    assert_eq!(says(both, "", "effect: deny, stage: request, shadow: [web/trial]"), Vec::<String>::new());
}

#[test]
fn a_test_goes_through_the_stages_as_a_gateway_does() {
    // All facts are given, and the port ends it before any question is asked.
    assert!(says("destination: {port: 22}", "", "stage: request, effect: deny").is_empty());
    assert!(
        says("dns: {answers: [\"8.8.8.8\", \"169.254.169.254\"]}", "", "reason: address_floor, stage: resolved")
            .is_empty()
    );
    assert!(
        says("destination: {host: lan.test}, dns: {answers: [10.1.2.3]}", "", "rule: web/lan, stage: resolved")
            .is_empty()
    );
    assert!(says("tls: {sni: other.test}", "", "effect: deny, reason: no_rule, stage: tls").is_empty());
}

#[test]
fn a_literal_is_its_own_answer_and_plain_http_has_no_tls() {
    let metadata = "destination: {host: \"169.254.169.254\"}, dns: unknown, tls: unknown";
    assert!(
        says(metadata, "", "reason: address_floor, stage: request").is_empty(),
        "{:?}",
        says(metadata, "", "stage: tls")
    );
    let http =
        "request: {protocol: http, method: GET, path: /a}, destination: {host: site.test, port: 80}, tls: unknown";
    assert!(says(http, "", "rule: web/site, stage: resolved").is_empty(), "{:?}", says(http, "", "rule: web/site"));
    let other = http.replace("/a", "/b");
    assert!(says(&other, "", "reason: no_rule, stage: request").is_empty());
}

#[test]
fn what_a_gateway_answers_before_it_decides_is_an_answer() {
    assert!(
        says("destination: {host: \"127.1\"}", "", "effect: deny, reason: invalid_request, stage: request").is_empty()
    );
    // The spelling of a client is not the host's.
    assert!(says("destination: {host: API.test.}", "", "rule: web/api").is_empty());
    let narrow = "destination: {host: narrow.test}, declared: ";
    assert!(says(&format!("{narrow}[public]"), "", "rule: web/narrow").is_empty());
    let refused = says(&format!("{narrow}[internal]"), "", "reason: data_class_refused, effect: deny, stage: request");
    assert!(refused.is_empty(), "{refused:?}");
    assert_eq!(says(&format!("{narrow}[internal]"), "", "effect: allow"), ["effect: deny instead of allow"]);
}

#[test]
fn labels_and_classes_come_from_the_registry_unless_they_are_given() {
    assert!(
        says("data_classes: [pii]", "", "reason: no_rule, nearest: {rule: web/api, failed: [data_classes.at_most]}")
            .is_empty()
    );
    assert!(says("data_classes: [public]", "", "effect: allow").is_empty());
    let stranger = "identity: {id: \"token:stranger\"}";
    assert!(says(stranger, "", "reason: no_rule").is_empty());
}

#[test]
fn defaults_lie_under_tests_and_tests_under_their_cases() {
    let compiled = with(
        "tests:
  - name: ports
    facts: {destination: {host: api.test}}
    expect: {effect: deny, nearest: {rule: web/api, failed: [destinations.ports]}}
    cases:
      - {facts: {destination: {port: 22}}}
      - {facts: {destination: {port: 80}}}
      - {name: the right one, facts: {destination: {port: 443}}, expect: {effect: allow, nearest: unknown}}
  - name: time
    facts: {destination: {host: old.test}}
    expect: {rule: web/old}
    cases:
      - {at: \"2029-11-30T23:59:59Z\", expect: {effect: allow}}
      - {at: \"2029-12-01T00:00:00Z\", expect: {effect: deny}}
",
    );
    let ran = run(&compiled);
    let names: Vec<(&str, u32)> = ran.iter().map(|(case, _)| (case.name.as_str(), case.line)).collect();
    assert_eq!(
        names,
        [("ports [1]", 15), ("ports [2]", 16), ("the right one", 17), ("time [1]", 22), ("time [2]", 23)]
    );
    for (case, ran) in &ran {
        assert!(ran.mismatches.is_empty(), "{}: {:?}", case.name, ran.mismatches);
    }
    // A list is replaced and not joined: one address is left, and it is the literal's own range.
    assert!(says("dns: {answers: [8.8.4.4]}", "", "effect: allow").is_empty());
}

#[test]
fn a_failure_shows_what_the_rules_said_that_it_is_about() {
    let compiled = with("tests:\n  - {name: it, facts: {destination: {port: 22}}, expect: {rule: web/api}}\n");
    let [(case, ran)] = &run(&compiled)[..] else { panic!("one test") };
    let trace = case.trace(&compiled.set, ran);
    assert_eq!(trace.len(), 1);
    let text = trace[0].to_string();
    assert!(text.contains("web/api: no") && text.contains("no       destinations.ports: 22, wanted [443]"), "{text}");
}
