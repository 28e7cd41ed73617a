//! The example of the documentation: whole, and without what is not built.

use super::world::{asks_as, at, file, place_and_message, resolved, said, with_sni};
use crate::{SourceFile, compile};

/// The day for which the example was written.
const WRITTEN: &str = "2026-11-22T10:00:00Z";
const CHECKOUT: &str = "spiffe://corp.example/ns/payments/sa/checkout";

macro_rules! directory {
    ($folder:literal: $($name:literal)*) => {
        vec![$(file($name, include_str!(concat!($folder, "/", $name))),)*]
    };
}

fn example() -> Vec<SourceFile> {
    directory!("example": "bundle.yaml" "destinations.yaml" "exceptions.yaml" "guardrails.yaml" "payments.test.yaml"
        "teams/build.yaml" "teams/payments.yaml" "workloads.yaml")
}

fn built() -> Vec<SourceFile> {
    directory!("built": "bundle.yaml" "destinations.yaml" "guardrails.yaml" "payments.test.yaml" "teams/build.yaml"
        "teams/payments.yaml" "workloads.yaml")
}

#[test]
fn the_example_fails_with_exactly_what_is_not_built() {
    let found: Vec<String> = compile(&example(), at(WRITTEN)).unwrap_err().iter().map(place_and_message).collect();
    assert_eq!(
        found,
        [
            "bundle.yaml:19:25 `egress_point: eu-west` is not supported yet",
            "bundle.yaml:27:31 `egress_point: eu-west` is not supported yet",
        ]
    );
}

#[test]
fn what_is_built_of_the_example_loads_and_decides() {
    let set = compile(&built(), at(WRITTEN)).unwrap();
    assert!(set.warnings.is_empty(), "{:?}", set.warnings);
    let set = set.set;
    assert_eq!((set.bundle(), set.rules()), ("corp", 8));
    let ask = |to: &str| crate::facts::Facts { now: at(WRITTEN), ..asks_as(&set, CHECKOUT, to) };

    let stripe = ask("api.stripe.com:443");
    assert_eq!(&*stripe.tags, ["critical-supplier".into(), "dpa-signed".into()]);
    assert_eq!(said(&set.decide(&stripe)), "pending dns.answers tls.present tls.sni");
    let stripe = resolved(&stripe, &["3.18.12.63"]);
    assert_eq!(said(&set.decide(&stripe)), "pending tls.present tls.sni");
    assert_eq!(said(&set.decide(&with_sni(&stripe, Some("api.stripe.com")))), "allow allowed payments/stripe at tls");
    for sni in [Some("evil.example"), None] {
        assert_eq!(said(&set.decide(&with_sni(&stripe, sni))), "deny guardrail guard/names-agree at tls");
    }
    let absent = crate::facts::Facts { tls: Some(crate::facts::Tls::Absent), ..stripe.clone() };
    assert_eq!(said(&set.decide(&absent)), "deny guardrail guard/only-tls-on-443 at tls");
    let rebound = resolved(&stripe, &["3.18.12.63", "169.254.169.254"]);
    assert_eq!(said(&set.decide(&rebound)), "deny address_floor - at resolved");

    assert_eq!(said(&set.decide(&ask("api.stripe.com:22"))), "deny no_rule - at request");
    let late = crate::facts::Facts { now: at("2027-04-30T00:00:00Z"), ..ask("api.stripe.com:443") };
    assert_eq!(said(&set.decide(&late)), "deny rule_expired payments/stripe at request");
    // Card data to a destination without a signed agreement.
    assert_eq!(said(&set.decide(&ask("github.com:443"))), "deny guardrail guard/personal-data-needs-dpa at request");

    let build = |to: &str| crate::facts::Facts { now: at(WRITTEN), ..asks_as(&set, "network:build", to) };
    assert_eq!(said(&set.decide(&build("gist.github.com:443"))), "deny team_deny build/no-gists at request");
    let store = resolved(&build("artifacts.corp.example:443"), &["10.20.1.1"]);
    let store = with_sni(&store, Some("artifacts.corp.example"));
    assert_eq!(said(&set.decide(&store)), "allow allowed build/artifact-store at tls");
    assert_eq!(said(&set.decide(&resolved(&store, &["10.21.1.1"]))), "deny address_floor - at tls");
}

#[test]
fn the_tests_of_the_example_pass() {
    let compiled = compile(&built(), at(WRITTEN)).unwrap();
    let [suite] = &compiled.tests[..] else { panic!("{:?}", compiled.tests) };
    assert_eq!((suite.file.as_str(), suite.id.as_str()), ("payments.test.yaml", "payments-tests"));
    assert_eq!((suite.cases.len(), suite.invariants.len()), (5, 2));
    for case in &suite.cases {
        let ran = case.run(&compiled.set);
        assert!(ran.mismatches.is_empty(), "{}: {:?}", case.name, ran.mismatches);
    }
}

#[test]
fn the_digest_is_over_names_and_contents_and_not_over_order() {
    let digest = |files: &[SourceFile]| compile(files, at(WRITTEN)).unwrap().set.digest().to_owned();
    let files = built();
    let plain = digest(&files);
    assert!(plain.starts_with("sha256:") && plain.len() == 71);
    let mut turned = files.clone();
    turned.reverse();
    assert_eq!(digest(&turned), plain);
    let mut renamed = files.clone();
    renamed[0].name.push('2');
    assert_ne!(digest(&renamed), plain);
    let mut changed = files;
    changed[0].text.push(b'\n');
    assert_ne!(digest(&changed), plain);
}
