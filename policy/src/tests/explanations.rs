//! What people and machines are told.

use super::world::{allow, asks, asks_as, deny, policy, resolved, with_sni};
use crate::facts::Facts;

const API: &str = "hosts: [\"api.test\"], ports: [443]";

fn nearest(set: &crate::PolicySet, facts: &Facts) -> Vec<String> {
    let line = |near: crate::decision::Nearest| {
        let failed: Vec<String> = near.failed.iter().map(ToString::to_string).collect();
        format!("{} | {}", near.rule.path, failed.join(" | "))
    };
    set.nearest(facts, 3).into_iter().map(line).collect()
}

#[test]
fn the_nearest_rule_names_what_was_seen_and_what_was_wanted() {
    let set = policy(&allow("api", API, ""), "");
    assert_eq!(nearest(&set, &asks(&set, "api.test:22")), ["web/api | destinations.ports: 22 is not in [443]"]);
    assert_eq!(
        nearest(&set, &asks(&set, "evil.test:443")),
        ["web/api | destinations.hosts: evil.test is not in [api.test]"]
    );
    assert_eq!(
        nearest(&set, &asks_as(&set, "token:x", "api.test:443")),
        ["web/api | identities.id: token:x is not spiffe://t.test/ns/web/sa/shop \
          | data_classes.at_most: [unclassified] is not in [internal, public]"]
    );
    let late = Facts { now: super::world::at("2030-02-01T00:00:00Z"), ..asks(&set, "api.test:443") };
    assert_eq!(nearest(&set, &late), ["web/api | expires: 2030-02-01T00:00:00Z is not before 2030-02-01T00:00:00Z"]);
    assert!(nearest(&set, &asks_as(&set, "token:x", "evil.other:443")).is_empty());
}

#[test]
fn the_destination_comes_before_the_number_of_clauses() {
    let set = policy(
        &(allow("other-host", "hosts: [\"www.api.test\"], ports: [443]", "")
            + &allow("two-off", "hosts: [\"api.test\"], ports: [80]", "identities: [{id: \"token:t\"}]")
            + &allow("one-off", "hosts: [\"api.test\"], ports: [80]", "")),
        "",
    );
    let near = nearest(&set, &asks(&set, "api.test:443"));
    let paths: Vec<&str> = near.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(paths, ["web/one-off", "web/two-off", "web/other-host"]);
}

#[test]
fn the_nearest_has_the_most_clauses_satisfied_as_they_are_told() {
    let shop = "identities: [{id: \"spiffe://t.test/ns/web/sa/shop\"}]\nwhen: request.protocol == \"http\" && \
        request.method == \"GET\" && listener.name == \"mesh\"";
    let set = policy(
        &(allow("a-three-conditions", API, shop)
            + &allow("b-two-labels", API, "identities: [{labels: {env: test, app: shop}}]")
            + &allow("c-port-and-class", "hosts: [\"api.test\"], ports: [80]", "data_classes: {at_most: [public]}")
            + &allow("d-class", API, "data_classes: {at_most: [public]}")
            + &allow("e-class", API, "data_classes: {at_most: [public]}")
            + &allow("f-other-host", "hosts: [\"www.api.test\"], ports: [443]", "")),
        "",
    );
    let facts = Facts { listener: Some("plain".into()), ..asks(&set, "api.test:443") };
    let near: Vec<String> = set.nearest(&facts, 9).into_iter().map(|near| near.rule.path.to_string()).collect();
    // One clause each, by path; then two; then three; and a rule for another host last, though one clause is all it wants.
    let wanted = ["web/d-class", "web/e-class", "web/b-two-labels", "web/c-port-and-class", "web/a-three-conditions"];
    assert_eq!(near, [&wanted[..], &["web/f-other-host"]].concat());
    let failed: Vec<usize> = set.nearest(&facts, 9).iter().map(|near| near.failed.len()).collect();
    assert!(failed[..5].is_sorted() && failed[..5] == [1, 1, 2, 2, 3], "{failed:?}");
}

#[test]
fn labels_and_conditions_are_explained_one_by_one() {
    let set = policy(
        &allow(
            "api",
            API,
            "identities: [{labels: {env: test, app: shop}}]\nwhen: tls.sni == \"api.test\" && dns.secure",
        ),
        "",
    );
    let facts = with_sni(&resolved(&asks(&set, "api.test:443"), &["1.1.1.1"]), Some("x.test"));
    assert_eq!(
        nearest(&set, &facts),
        ["web/api | identities.labels.app: null is not shop | identities.labels.env: prod is not test \
          | tls.sni == \"api.test\": x.test is not api.test | dns.secure: false is not true"]
    );
}

#[test]
fn a_trace_shows_every_candidate_for_people() {
    let set = policy(&allow("api", API, ""), &deny("agree", "when: tls.present && tls.sni != destination.host"));
    let text = set.trace(&asks(&set, "api.test:22")).to_string();
    assert_eq!(
        text,
        "DENY  spiffe://t.test/ns/web/sa/shop -> api.test:22   at request   no_rule
  nearest    web/api (web@t.test, until 2030-02-01)
             destinations.ports: 22 is not in [443]

  guardrail  guard/agree: pending
    pending  tls.present: waits for tls.present (tls)
    pending  tls.sni != destination.host: waits for tls.sni (tls)
  allow      web/api: no
    yes      identities: spiffe://t.test/ns/web/sa/shop
    yes      destinations.hosts: api.test
    no       destinations.ports: 22, wanted [443]
    yes      data_classes.at_most: [internal, public]
    yes      expires: 2030-01-01T00:00:00Z"
    );
    let pending = set.trace(&asks(&set, "api.test:443")).to_string();
    assert!(pending.starts_with("PENDING  spiffe://t.test/ns/web/sa/shop -> api.test:443   at request\n  waits for  dns.answers, tls.present, tls.sni"), "{pending}");
}

#[test]
fn awkward_labels_survive_in_the_one_expression() {
    for label in ["namespace: x", "has: x", "e: \"a\\\"b\\\\c\"", "e: \"é – ü\"", "e: 'a''b'"] {
        let set = policy(&allow("a", API, &format!("identities: [{{labels: {{{label}}}}}]")), "");
        let text = set.desugar("web/a").unwrap();
        let mut facts = asks(&set, "api.test:443");
        let rule = set.rule(0).unwrap();
        let wanted = match &rule.who {
            crate::rule::Who::Among(list) => list[0].labels[0].clone(),
            crate::rule::Who::Anyone => panic!("{text}"),
        };
        facts.subject.labels = std::sync::Arc::new([wanted].into_iter().collect());
        let expr = crate::expr::Expr::parse(&text).unwrap_or_else(|problems| panic!("{text}: {problems:?}"));
        assert_eq!(expr.eval(&facts, crate::expr::Reading::Registered), crate::expr::Truth::Yes, "{text}");
    }
}

#[test]
fn a_trace_is_bounded() {
    let guards: String = (0..30).map(|n| deny(&format!("g{n}"), "when: tls.ech")).collect();
    let limits = crate::limits::Limits { traced_rules: 10, nearest_considered: 4, ..crate::limits::Limits::STANDARD };
    let rules: String = (0..30).map(|n| allow(&format!("r{n}"), API, "")).collect();
    let files = super::world::files(&rules, &guards);
    let set = crate::compile_within(&files, super::world::at(super::world::NOW), &limits).unwrap().set;
    let trace = set.trace(&asks(&set, "api.test:22"));
    assert_eq!((trace.rules.len(), trace.left_out), (10, 50));
    assert!(set.nearest(&asks(&set, "api.test:22"), 100).len() <= 4);
}

#[test]
fn a_rule_is_one_expression() {
    let set = policy(
        &(allow(
            "api",
            "hosts: [\"api.test\", \"*.x.test\", \"**.y.test\"], ports: [443, 80]",
            "when: tls.sni == destination.host",
        ) + &deny(
            "net",
            "destinations: {cidrs: [\"10.0.0.0/8\"]}\nidentities: [{id: \"network:*\", labels: {env: prod}}]",
        )),
        "",
    );
    assert_eq!(
        set.desugar("web/api").unwrap(),
        "identity.id == \"spiffe://t.test/ns/web/sa/shop\" && (destination.host == \"api.test\" || \
         destination.host.matches(\"^[^.]+\\\\.x\\\\.test$\") || destination.host.endsWith(\".y.test\")) && \
         destination.port in [80, 443] && data_classes.all(c, c in [\"internal\", \"public\"]) && \
         now < timestamp(\"2030-02-01T00:00:00Z\") && (tls.sni == destination.host)"
    );
    assert_eq!(
        set.desugar("web/net").unwrap(),
        "(identity.id.matches(\"^network:[^/]+$\") && has(identity.labels.env) && identity.labels.env == \"prod\") && \
         destination.kind == \"ip\" && dns.answers.exists(a, cidr(\"10.0.0.0/8\").containsIP(a))"
    );
    assert_eq!(set.desugar("web/none"), None);
}
