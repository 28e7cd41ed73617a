//! What the tests of a known bundle have seen of it.

use super::with;
use crate::case::{Coverage, RuleCoverage};

fn covered(tests: &str) -> Vec<RuleCoverage> {
    let compiled = with(tests);
    let mut parts = Vec::new();
    for (_, ran) in super::run(&compiled) {
        let mut one = Coverage::new(&compiled.set);
        if let Some(facts) = &ran.facts {
            one.note(&compiled.set, facts);
        }
        parts.push(one);
    }
    let mut all = Coverage::new(&compiled.set);
    parts.iter().for_each(|part| all.add(part));
    all.rules(&compiled.set)
}

fn rule<'c>(covered: &'c [RuleCoverage], path: &str) -> &'c RuleCoverage {
    covered.iter().find(|rule| rule.rule == path).unwrap()
}

/// The clauses seen to hold, and those seen to fail alone.
fn senses(rule: &RuleCoverage) -> (Vec<&str>, Vec<&str>) {
    let of = |wanted: fn(&crate::case::ClauseCoverage) -> bool| {
        rule.clauses.iter().filter(move |clause| wanted(clause)).map(|clause| clause.clause.as_str()).collect()
    };
    (of(|clause| clause.held), of(|clause| clause.failed_alone))
}

const ALL: [&str; 7] = [
    "identities",
    "destinations.hosts",
    "destinations.ports",
    "data_classes.at_most",
    "expires",
    "tls.sni == destination.host",
    "tls.ech == false",
];

#[test]
fn one_allowed_connection_shows_that_each_clause_holds_and_no_more() {
    let covered = covered("tests:\n  - {name: it, facts: {}, expect: {effect: allow}}\n");
    let api = rule(&covered, "web/api");
    assert!(api.held && api.exercised);
    assert_eq!(senses(api), (ALL.to_vec(), vec![]));
    assert_eq!(api.senses(), (7, 14));
    assert_eq!(api.owner, "web@t.test");
    // It goes to another host: that alone is not about this rule, although it shows what its hosts are for.
    let lan = rule(&covered, "web/old");
    assert!(!lan.held && !lan.exercised);
    assert_eq!(senses(lan), (vec![], vec![]), "its end and its host fail, so neither alone");
    let guarded = rule(&covered, "web/guarded");
    assert!(!guarded.exercised);
    assert_eq!(senses(guarded).1, ["destinations.hosts"]);
}

#[test]
fn a_clause_is_seen_to_fail_where_it_alone_does() {
    let covered = covered(
        "tests:
  - name: it
    expect: {effect: deny}
    cases:
      - {facts: {identity: {id: \"token:x\"}, data_classes: [public]}}
      - {facts: {destination: {port: 22}}}
      - {facts: {data_classes: [pii]}}
      - {facts: {tls: {ech: true}}}
      - {facts: {tls: {sni: other.test}}}
      - {facts: {destination: {port: 22}, data_classes: [pii]}}
",
    );
    let api = rule(&covered, "web/api");
    assert!(!api.held && api.exercised, "it never held");
    let (held, failed) = senses(api);
    assert_eq!(held, ALL);
    let alone = ["identities", "destinations.ports", "data_classes.at_most"];
    assert_eq!(failed, [&alone[..], &["tls.sni == destination.host", "tls.ech == false"]].concat());
    assert_eq!(api.senses(), (12, 14));
}

#[test]
fn what_is_not_known_is_neither_seen_to_hold_nor_to_fail() {
    let covered = covered("tests:\n  - {name: it, facts: {destination: {port: 22}}, expect: {effect: deny}}\n");
    let (held, failed) = senses(rule(&covered, "web/api"));
    assert_eq!(failed, ["destinations.ports"]);
    assert!(!held.iter().any(|clause| clause.starts_with("tls.")), "the hello was never looked at: {held:?}");
}

#[test]
fn rules_in_shadow_and_denies_are_covered_too() {
    let covered = covered(
        "tests:
  - {name: shadow, facts: {destination: {host: new.test}}, expect: {shadow: [web/trial]}}
  - {name: deny, facts: {destination: {host: gist.test}}, expect: {rule: web/no-gists}}
",
    );
    assert!(rule(&covered, "web/trial").held);
    let deny = rule(&covered, "web/no-gists");
    assert_eq!(senses(deny), (vec!["destinations.hosts"], vec!["destinations.hosts"]));
    assert_eq!(deny.senses(), (2, 2));
    assert!(!rule(&covered, "guard/guarded").exercised);
}
