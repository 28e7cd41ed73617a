//! A fragment made of real denials is refused until somebody answers for it, and then allows them and nothing else.

use gatepass_tests::identities::{basic, token};
use gatepass_tests::{Bundle, Gateway, Setup, eventually};

use super::SPOOL;
use crate::cli::{Told, run};

const WANTED: [&str; 3] = ["api.stripe.com:443", "files.stripe.com:443", "pypi.org:443"];

/// A gateway that denied `token:ci` three destinations, one of them twice, and everybody a fourth.
fn world() -> Gateway {
    let setup = Setup::new().tokens(&[token("ci", "ci-secret", 1)]);
    let guardrail = "  - {id: no-gists, action: deny, purpose: \"a way out\", lifted_by: [], destinations: {hosts: [\"gist.github.com\"]}}\n";
    let gateway = setup.start(&Bundle::new().guardrail(guardrail));
    let fields = basic("ci", "ci-secret");
    for authority in WANTED.iter().chain(&["pypi.org:443", "gist.github.com:443"]) {
        assert_eq!(gateway.client().connect_with(authority, &fields).unwrap().status, 403, "{authority}");
    }
    eventually("the spool has the decisions", || {
        (gateway.exported().iter().filter(|record| record["kind"] == "decision").count() == 5).then_some(())
    });
    gateway
}

fn ask(gateway: &Gateway, arguments: &[&str]) -> Told {
    run(&gateway.setup.scratch, arguments)
}

fn explained(gateway: &Gateway, from: &str, to: &str) -> i32 {
    let sni = to.split(':').next().unwrap();
    ask(gateway, &["explain", "next", "--from", from, "--to", to, "--answer", "3.18.12.63", "--sni", sni]).code
}

#[test]
fn real_denials_become_rules_that_check_takes_once_they_have_an_owner() {
    let gateway = world();
    let told = ask(&gateway, &["suggest", "--evidence", SPOOL, "--bundle", "policy"]);
    assert_eq!(told.code, 0, "{}{}", told.out, told.err);
    assert!(told.err.contains("does not list the fragment `suggested`"), "{}", told.err);
    for part in [
        "2 times",
        "\"api.stripe.com\", \"files.stripe.com\"",
        "at_most: [\"unclassified\"]",
        "guard/no-gists denies it",
    ] {
        assert!(told.out.contains(part), "{part}\n{}", told.out);
    }
    assert!(!told.out.contains("hosts: [\"gist.github.com\"]"), "{}", told.out);

    let listed = "  - id: suggested\n    scope: {identities: [\"token:ci\"], destinations: {hosts: [\"**.stripe.com\", \"pypi.org\"]}, data_classes: [unclassified]}\n";
    for (name, text) in Bundle::new().platform(listed).files() {
        gateway.setup.scratch.write(&format!("next/{name}"), text);
    }
    gateway.setup.scratch.write("next/suggested.yaml", &told.out);
    let refused = ask(&gateway, &["check", "next"]);
    assert_eq!(refused.code, 1, "{}", refused.err);
    assert!(
        refused.err.contains("nobody answers for this yet") && refused.err.contains("suggested.yaml:6:"),
        "{}",
        refused.err
    );
    assert_eq!(refused.err.matches("error").count(), 2, "one, and their count: {}", refused.err);

    let filled = told.out.replace("TODO: write who answers for these rules", "team-ci@example.com");
    gateway.setup.scratch.write("next/suggested.yaml", filled);
    let checked = ask(&gateway, &["check", "next"]);
    assert_eq!(checked.code, 0, "{}{}", checked.out, checked.err);
    for to in WANTED {
        assert_eq!(explained(&gateway, "token:ci", to), 0, "{to}");
    }
    for (from, to) in [
        ("token:other", WANTED[0]),
        ("token:ci", "api.stripe.com:80"),
        ("token:ci", "www.stripe.com:443"),
        ("token:ci", "gist.github.com:443"),
    ] {
        assert_eq!(explained(&gateway, from, to), 1, "{from} {to}");
    }

    // What the bundle allows now is not suggested again.
    let again = ask(&gateway, &["suggest", "--evidence", SPOOL, "--bundle", "next"]);
    assert_eq!((again.code, again.out.as_str()), (1, ""), "{}", again.err);
    assert!(again.err.contains("the bundle allows it already"), "{}", again.err);
}

#[test]
fn the_same_records_give_the_same_file_whatever_their_form() {
    let gateway = world();
    gateway.setup.scratch.write("export.jsonl", gateway.evidence(&["export"]));
    gateway.evidence(&["export", "--parquet", "export.parquet"]);
    let with = |path: &str, more: &[&str]| {
        let fixed = ["suggest", "--evidence", path, "--at", "2030-01-01T00:00:00Z", "--owner", "team@example.com"];
        ask(&gateway, &[&fixed, more].concat())
    };
    let wanted = with(SPOOL, &[]);
    assert_eq!(wanted.code, 0, "{}", wanted.err);
    assert!(wanted.out.contains("expires: \"2030-01-31T00:00:00Z\""), "{}", wanted.out);
    for path in ["export.jsonl", "export.parquet"] {
        assert_eq!(with(path, &[]).out, wanted.out, "{path}");
    }
    assert_eq!(with(SPOOL, &["--for", "token:nobody*"]).code, 1);
    assert_eq!(with(SPOOL, &["--fragment", "not an id"]).code, 2);
    assert_eq!(with(SPOOL, &["--expires-in", "-1d"]).code, 2);
    assert_eq!(with("not-there", &[]).code, 3);
}
