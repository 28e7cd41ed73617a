//! `gatepass test`: what passes, what fails and with which words, what is covered, and how it ends.

use std::process::Command;

use gatepass_tests::Scratch;

use super::{AT, Told, WEB, bundle, run};

const HEAD: &str = r#"apiVersion: gatepass/v1
kind: Tests
metadata: {id: web-tests, owner: web@example.com}
now: "2030-01-01T00:00:00Z"
defaults:
  identity: {id: "token:ci"}
  destination: {host: api.test, port: 443}
  dns: {answers: ["8.8.8.8"]}
  tls: {sni: api.test}
"#;

const PASSING: &str = r#"tests:
  - name: the API is reached
    expect: {effect: allow, rule: web/api}
  - name: names agree
    expect: {effect: deny, rule: guard/names-agree, stage: tls}
    cases:
      - {facts: {tls: {sni: other.test}}}
      - {facts: {tls: {sni: null}}}
"#;

const FAILING: &str = "  - name: another port\n    facts: {destination: {port: 80}}\n    \
    expect: {effect: allow, rule: web/api}\n";

/// The bundle with these tests.
fn with(tests: &str) -> Scratch {
    let scratch = bundle(WEB);
    scratch.write("policy/web.test.yaml", format!("{HEAD}{tests}"));
    scratch
}

fn test(scratch: &Scratch, more: &[&str]) -> Told {
    run(scratch, &[&["test", "policy"][..], &AT, more].concat())
}

/// The text without how long it took.
fn timeless(text: &str) -> String {
    let timed = |line: &str| line.ends_with(" s") && line.contains("   ");
    let cut = |line: &str| match timed(line) {
        true => line.rsplit_once("   ").unwrap().0.to_owned(),
        false => line.to_owned(),
    };
    text.lines().map(|line| cut(line) + "\n").collect()
}

#[test]
fn tests_that_pass_are_counted_and_listed_where_it_is_asked_for() {
    let scratch = with(PASSING);
    let told = test(&scratch, &[]);
    assert_eq!((told.code, told.err.as_str()), (0, ""), "{}", told.out);
    assert_eq!(timeless(&told.out), "web.test.yaml   3 passed, 0 failed\n3 passed, 0 failed in 1 file\n");
    let told = test(&scratch, &["--verbose"]);
    assert!(told.out.contains("\n  passed  names agree [2]\n"), "{}", told.out);
    assert!(!told.out.contains('\u{1b}'), "colour where nobody sees it");
}

#[test]
fn a_test_that_fails_says_what_was_expected_what_came_and_why() {
    let told = test(&with(&format!("{PASSING}{FAILING}")), &[]);
    assert_eq!((told.code, told.err.as_str()), (1, ""));
    let wanted = "web.test.yaml   3 passed, 1 failed
  failed  another port   web.test.yaml:18
    effect: expected allow, got deny
    rule: expected web/api, got null
    deny no_rule at request
      allow      web/api: no
        no       destinations.ports: 80, wanted [443]
3 passed, 1 failed in 1 file
";
    assert_eq!(timeless(&told.out), wanted);
}

#[test]
fn a_filter_chooses_by_name() {
    let scratch = with(&format!("{PASSING}{FAILING}"));
    let told = test(&scratch, &["--filter", "agree"]);
    assert_eq!(told.code, 0, "{}", told.out);
    assert!(told.out.contains("2 passed, 0 failed in 1 file"), "{}", told.out);
    assert_eq!(test(&scratch, &["--filter", "port"]).code, 1);
    let told = test(&scratch, &["--filter", "nowhere"]);
    assert_eq!((told.code, told.out.as_str()), (1, "no test has `nowhere` in its name\n"));
}

#[test]
fn a_bundle_without_tests_is_no_yes() {
    let told = test(&bundle(WEB), &[]);
    assert_eq!(told.code, 1);
    assert_eq!(told.out, "no tests: nothing is known of this policy; write a file of kind `Tests`\n");
    let told = test(&bundle(WEB), &["--json"]);
    assert_eq!(
        (told.code, told.json()["passed"].as_bool(), told.json()["tests"]["all"].as_u64()),
        (1, Some(false), Some(0))
    );
}

#[test]
fn what_is_invalid_and_what_cannot_be_read_end_differently() {
    let scratch = with(&PASSING.replace("web/api", "web/apy"));
    let told = test(&scratch, &[]);
    assert_eq!((told.code, told.out.as_str()), (1, ""));
    assert!(told.err.contains("`web/apy`") && told.err.contains("did you mean `web/api`?"), "{}", told.err);
    let json = test(&scratch, &["--json"]).json();
    assert_eq!((json["valid"].as_bool(), json["passed"].as_bool()), (Some(false), Some(false)), "{json}");
    assert_eq!(json["diagnostics"][0]["line"], 12, "{json}");
    let checked = run(&scratch, &[&["check", "policy"][..], &AT].concat());
    assert_eq!(checked.code, 1, "a misspelt test is a misspelt bundle");
    assert_eq!(run(&scratch, &["test", "nowhere"]).code, 3);
    assert_eq!(run(&scratch, &["test"]).code, 2);
    assert_eq!(test(&with(PASSING), &["--min-coverage", "101"]).code, 2);
    assert_eq!(test(&with(PASSING), &["--junit", "no/such/directory.xml"]).code, 3);
}

#[test]
fn a_check_reads_tests_and_does_not_run_them() {
    let told = run(&with(&format!("{PASSING}{FAILING}")), &[&["check", "policy"][..], &AT].concat());
    assert_eq!((told.code, told.out.as_str()), (0, "ok 3 rules in 4 files, 0 warnings\n"));
}

#[test]
fn the_results_are_there_as_json() {
    let told = test(&with(&format!("{PASSING}{FAILING}")), &["--json", "--coverage"]);
    assert_eq!(told.code, 1);
    let json = told.json();
    assert_eq!(json["tests"], serde_json::json!({"all": 4, "passed": 3, "failed": 1}));
    let failed = &json["files"][0]["tests"][3];
    assert_eq!((failed["name"].as_str(), failed["line"].as_u64()), (Some("another port"), Some(18)), "{json}");
    assert_eq!(failed["got"], serde_json::json!({"effect": "deny", "reason": "no_rule", "stage": "request"}));
    assert_eq!(
        failed["mismatches"][0],
        serde_json::json!({"field": "effect", "expected": "allow", "got": "deny"}),
        "{json}"
    );
    assert_eq!(failed["trace"][0]["path"], "web/api", "{json}");
    let api = json["coverage"]["rules"].as_array().unwrap().iter().find(|rule| rule["rule"] == "web/api").unwrap();
    assert_eq!((api["held"].as_bool(), api["exercised"].as_bool()), (Some(true), Some(true)), "{api}");
    let ports = api["clauses"].as_array().unwrap().iter().find(|one| one["clause"] == "destinations.ports").unwrap();
    assert_eq!(*ports, serde_json::json!({"clause": "destinations.ports", "held": true, "failed_alone": true}));
}

#[test]
fn coverage_names_the_rules_and_clauses_that_nothing_tests() {
    let scratch = with(PASSING);
    let told = test(&scratch, &["--coverage"]);
    assert_eq!(told.code, 0);
    let (_, coverage) = told.out.split_once("\n\n").unwrap();
    // Of 28 senses: web/api has 10, of which 5 held; names-agree 2 held, and its second clause failed alone; web/docs has 14 and none was seen.
    let wanted = "coverage 28 % of clauses in both senses, 2 of 3 rules exercised
  owner                rules exercised clauses %
  platform@example.com     1         1        75
  web@example.com          2         1        20
  no test exercises
    web/docs (web@example.com)
  seen in part
    guard/names-agree 75 % (platform@example.com)
      never failing alone  tls.present
    web/api 50 % (web@example.com)
      never failing alone  identities; destinations.hosts; destinations.ports; data_classes.at_most; expires
";
    assert_eq!(coverage, wanted);
    assert_eq!(test(&scratch, &["--min-coverage", "20"]).code, 0);
    let told = test(&scratch, &["--min-coverage", "90"]);
    assert_eq!(told.code, 1);
    assert!(told.out.ends_with("is below 90 %\n"), "{}", told.out);
}

#[test]
fn an_invariant_is_proved_over_the_whole_policy_or_broken_by_a_connection() {
    let invariants =
        |condition: &str| format!("{PASSING}invariants:\n  - {{name: mail, never_allow: '{condition}'}}\n");
    let told = test(&with(&invariants("destination.port == 25")), &["--verbose"]);
    assert_eq!(told.code, 0, "{}", told.out);
    assert!(told.out.contains("mail"), "{}", told.out);

    let told = test(&with(&invariants("destination.host == \"api.test\" && identity.id.startsWith(\"token:\")")), &[]);
    assert_eq!(told.code, 1);
    for line in ["  broken  mail   web.test.yaml:19\n", "allowed by web/api (web@example.com)", "identity: token:ci"] {
        assert!(told.out.contains(line), "{line}\n{}", told.out);
    }

    // Neither what cannot be evaluated nor what cannot be proved is a yes.
    for (condition, word) in
        [("identity.labels.team == \"x\"", "errs"), ("tls.sni != null && tls.sni.matches(\"^never$\")", "unproved")]
    {
        let told = test(&with(&invariants(condition)), &["--json"]);
        assert_eq!(told.code, 1, "{condition}");
        let json = told.json();
        assert_eq!(json["invariants"], serde_json::json!({"all": 1, "not_kept": 1}));
        assert_eq!(json["files"][0]["invariants"][0]["outcome"], word, "{json}");
        assert_eq!(json["passed"], false);
    }
}

/// Names and facts that would break out of XML, or steer a terminal.
const HOSTILE: &str = r#"tests:
  - name: "]]> <failure/> & \"quoted\" 'too' \u001b[2J \u0007 \ufffe \u202e ende"
    expect: {effect: deny}
  - name: "two\nlines"
    facts: {identity: {labels: {"a&<b": "c\u001b"}}}
    expect: {effect: allow}
"#;

/// What a real parser of XML reads: a line for each test, tabs between its parts.
const READER: &str = "
import sys, xml.etree.ElementTree as tree
root = tree.parse(sys.argv[1]).getroot()
print(root.tag, root.get('tests'), root.get('failures'), root.get('errors'))
for suite in root:
    print(suite.tag, suite.get('name'), suite.get('tests'), suite.get('failures'), suite.get('errors'))
    for case in suite:
        print(ascii(case.get('name')), case.get('line'), [(part.tag, part.get('message')) for part in case], sep='\\t')
";

fn parsed(scratch: &Scratch) -> Vec<String> {
    let file = scratch.path().join("report.xml");
    let output = Command::new("python3").arg("-c").arg(READER).arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_report_for_ci_is_well_formed_whatever_the_names() {
    // What hangs on a regular expression is not proved.
    let invariant = "invariants: [{name: never odd, never_allow: 'tls.sni != null && tls.sni.matches(\"^odd$\")'}]\n";
    let scratch = with(&format!("{HOSTILE}{FAILING}{invariant}"));
    let told = test(&scratch, &["--junit", "report.xml"]);
    assert_eq!(told.code, 1);
    assert!(!told.out.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{:?}", told.out);
    let lines = parsed(&scratch);
    assert_eq!(lines[0], "testsuites 4 2 1");
    assert_eq!(lines[1], "testsuite web.test.yaml 4 2 1");
    let name = r#"']]> <failure/> & "quoted" \'too\' \\u{1b}[2J \\u{7} \ufffd \\u{202e} ende'"#;
    assert_eq!(lines[2], format!("{name}\t11\t[('failure', 'effect: expected deny, got allow')]"));
    assert_eq!(lines[3], "'two\\nlines'\t13\t[]");
    let failed = "[('failure', 'effect: expected allow, got deny; rule: expected web/api, got null')]";
    assert_eq!(lines[4], format!("'another port'\t16\t{failed}"));
    assert_eq!(lines[5], "'never odd'\t19\t[('error', 'unproved')]");
}

#[test]
fn ten_thousand_tests_are_run_whole_and_in_order() {
    let mut tests = String::from("tests:\n");
    for at in 0..10_000 {
        let port = if at == 7_777 { 80 } else { 443 };
        tests.push_str(&format!(
            "  - {{name: t{at}, facts: {{destination: {{port: {port}}}}}, expect: {{effect: allow}}}}\n"
        ));
    }
    let told = test(&with(&tests), &["--json"]);
    assert_eq!(told.code, 1);
    let json = told.json();
    assert_eq!(json["tests"], serde_json::json!({"all": 10_000, "passed": 9_999, "failed": 1}));
    let names = json["files"][0]["tests"].as_array().unwrap();
    assert_eq!((names[7_777]["name"].as_str(), names[7_777]["passed"].as_bool()), (Some("t7777"), Some(false)));
    assert!(names.iter().enumerate().all(|(at, one)| one["name"] == format!("t{at}")));
}

#[test]
fn the_tests_of_the_documentation_pass() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let policy = root.join("docs/example/policy");
    let scratch = Scratch::new();
    let told = run(&scratch, &["test", policy.to_str().unwrap(), "--coverage", "--at", "2026-11-22T10:00:00Z"]);
    assert_eq!(told.code, 0, "{}{}", told.out, told.err);
    // What the guide shows is what is there, and what the command says of it.
    let guide = std::fs::read_to_string(root.join("docs/policy/tests.md")).unwrap();
    let file = std::fs::read_to_string(policy.join("payments.test.yaml")).unwrap();
    assert!(guide.contains(&file), "docs/policy/tests.md shows another payments.test.yaml");
    let (before, _) = timeless(&told.out).split_once("\n\n").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    assert!(timeless(&guide).contains(&before), "docs/policy/tests.md shows another answer than\n{before}");
    // It fails where the policy does: a copy that lets checkout out on another port.
    let copy = Scratch::new();
    for name in
        ["bundle", "destinations", "guardrails", "workloads", "payments.test", "teams/laptops", "teams/payments"]
    {
        let text = std::fs::read_to_string(policy.join(format!("{name}.yaml"))).unwrap();
        copy.write(
            &format!("policy/{name}.yaml"),
            text.replace(
                "ports: [443]}\n    data_classes: {at_most: [internal, pci]}",
                "ports: [22, 443]}\n    data_classes: {at_most: [internal, pci]}",
            ),
        );
    }
    let told = run(&copy, &["test", "policy", "--at", "2026-11-22T10:00:00Z"]);
    assert_eq!(told.code, 1, "{}", told.out);
    assert!(told.out.contains("failed  no other port, and nobody is asked for the address"), "{}", told.out);
}
