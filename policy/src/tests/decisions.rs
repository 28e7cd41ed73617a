//! The truth table of a decision, line by line.

use super::world::compiled;
use super::world::{
    allow, asks, asks_as, at, decision, deny, file, files, narrow_files, policy, resolved, said, with_sni,
};
use crate::decision::{Effect, Keeping};
use crate::facts::{Facts, HttpRequest, Protocol, Tls};
use crate::schema::Attribute;

const API: &str = "hosts: [\"api.test\"], ports: [443]";

fn sni_guard() -> String {
    deny("agree", "lifted_by: []\nwhen: tls.present && tls.sni != destination.host")
}

#[test]
fn a_name_that_nobody_may_reach_is_denied_before_dns() {
    let set = policy(&allow("api", API, ""), "");
    for to in ["other.test:443", "api.test:22", "x.api.test:443", "192.0.2.1:443"] {
        let verdict = set.decide(&asks(&set, to));
        let reason = if to.starts_with('1') { "address_floor" } else { "no_rule" };
        assert_eq!(said(&verdict), format!("deny {reason} - at request"), "{to}");
    }
    assert_eq!(said(&set.decide(&asks_as(&set, "anonymous", "api.test:443"))), "deny no_rule - at request");
    assert_eq!(said(&set.decide(&asks(&set, "api.test:443"))), "pending dns.answers");
}

#[test]
fn an_allow_decides_as_soon_as_nothing_waits_for_the_hello() {
    let set = policy(&allow("api", API, ""), "");
    let facts = resolved(&asks(&set, "api.test:443"), &["1.1.1.1"]);
    assert_eq!(said(&set.decide(&facts)), "allow allowed web/api at resolved");
    let guarded = policy(&allow("api", API, ""), &sni_guard());
    assert_eq!(said(&guarded.decide(&facts)), "pending tls.present tls.sni");
    assert_eq!(said(&guarded.decide(&with_sni(&facts, Some("api.test")))), "allow allowed web/api at tls");
    assert_eq!(said(&guarded.decide(&with_sni(&facts, None))), "deny guardrail guard/agree at tls");
    assert!(guarded.uses(Attribute::TlsSni) && !set.uses(Attribute::TlsSni));
}

#[test]
fn plain_http_knows_from_the_start_that_there_is_no_tls() {
    let set = policy(&allow("api", "hosts: [\"api.test\"], ports: [80]", ""), &sni_guard());
    let head = HttpRequest {
        method: "GET".into(),
        path: "/".into(),
        query: String::new(),
        headers: Default::default(),
        content_length: Some(0),
    };
    let facts =
        Facts { protocol: Protocol::Http, request: Some(head), tls: Some(Tls::Absent), ..asks(&set, "api.test:80") };
    assert_eq!(said(&set.decide(&facts)), "pending dns.answers");
    assert_eq!(said(&set.decide(&resolved(&facts, &["1.1.1.1"]))), "allow allowed web/api at resolved");
}

#[test]
fn denies_outrank_allows_and_guardrails_outrank_teams() {
    let rules = allow("api", API, "") + &deny("stop", "destinations: {hosts: [\"api.test\"]}");
    let set = policy(&rules, "");
    assert_eq!(said(&set.decide(&asks(&set, "api.test:443"))), "deny team_deny web/stop at request");
    let set = policy(&rules, &deny("z-stop", "destinations: {ports: [443]}"));
    assert_eq!(said(&set.decide(&asks(&set, "api.test:443"))), "deny guardrail guard/z-stop at request");
}

#[test]
fn an_error_in_a_deny_denies_and_one_in_an_allow_does_not_allow() {
    let errs = "when: now < identity.cert_expires";
    let set = policy(&allow("api", API, ""), &deny("certificate", errs));
    assert_eq!(said(&set.decide(&asks(&set, "api.test:443"))), "deny rule_error guard/certificate at request");
    let set = policy(&allow("api", API, errs), "");
    assert_eq!(said(&set.decide(&asks(&set, "api.test:443"))), "deny rule_error web/api at request");
    let set = policy(&(allow("api", API, errs) + &allow("b", API, "")), "");
    let facts = resolved(&asks(&set, "api.test:443"), &["1.1.1.1"]);
    assert_eq!(said(&set.decide(&facts)), "allow allowed web/b at resolved");
}

#[test]
fn an_allow_ends_at_its_end_and_a_deny_never() {
    let rules = allow("api", API, "")
        + &deny("old", "destinations: {hosts: [\"old.test\"]}\nreview_by: \"2029-01-01T00:00:00Z\"");
    let set = policy(&rules, "");
    let facts = resolved(&asks(&set, "api.test:443"), &["1.1.1.1"]);
    let when = |now: &str| said(&set.decide(&Facts { now: at(now), ..facts.clone() }));
    assert_eq!(when("2030-01-31T23:59:59.999Z"), "allow allowed web/api at resolved");
    assert_eq!(when("2030-02-01T00:00:00Z"), "deny rule_expired web/api at resolved");
    assert_eq!(said(&set.decide(&asks(&set, "old.test:443"))), "deny team_deny web/old at request");
    let elsewhere = Facts { now: at("2031-01-01T00:00:00Z"), ..asks(&set, "api.test:22") };
    assert_eq!(said(&set.decide(&elsewhere)), "deny no_rule - at request");
    assert_eq!(set.next_expiry(at("2030-01-01T00:00:00Z")), Some(at("2030-02-01T00:00:00Z")));
    assert_eq!(set.next_expiry(at("2030-02-01T00:00:00Z")), None);
}

#[test]
fn a_cidr_set_that_ends_ends_the_allows_that_name_it() {
    let rule =
        allow("lan", "hosts: [\"a.narrow.test\"], cidr_sets: [lan], ports: [443]", "expires: \"2030-06-01T00:00:00Z\"");
    let set = compiled(&narrow_files(&rule)).set;
    let facts = resolved(&asks(&set, "a.narrow.test:443"), &["10.1.2.3"]);
    assert_eq!(said(&set.decide(&facts)), "allow allowed narrow/lan at resolved");
    let late = Facts { now: at("2030-03-01T00:00:00Z"), ..facts };
    // Nothing that is in force names the address any more, so the floor is shut again.
    assert_eq!(said(&set.decide(&late)), "deny address_floor - at resolved");
}

#[test]
fn the_floor_opens_only_for_an_allow_that_names_all_addresses() {
    let named = allow("named", "hosts: [\"a.narrow.test\"], cidrs: [\"10.1.0.0/16\"], ports: [443]", "");
    let plain = allow("plain", "hosts: [\"**.narrow.test\"], ports: [443]", "");
    let set = compiled(&narrow_files(&(named + &plain))).set;
    let to = |host: &str, answers: &[&str]| set.decide(&resolved(&asks(&set, &format!("{host}:443")), answers));
    assert_eq!(said(&to("a.narrow.test", &["10.1.2.3", "10.1.9.9"])), "allow allowed narrow/named at resolved");
    assert_eq!(said(&to("a.narrow.test", &["1.1.1.1"])), "allow allowed narrow/plain at resolved");
    for (host, answers, detail) in [
        ("b.narrow.test", &["10.1.2.3"][..], "10.1.2.3 (private use (RFC 1918))"),
        ("a.narrow.test", &["10.1.2.3", "10.2.0.1"], "10.1.2.3 (private use (RFC 1918))"),
        ("a.narrow.test", &["10.1.2.3", "1.1.1.1"], "10.1.2.3 (private use (RFC 1918))"),
        ("a.narrow.test", &["10.1.2.3", "169.254.169.254"], "169.254.169.254 (cloud metadata)"),
        ("a.narrow.test", &["127.0.0.1"], "127.0.0.1 (loopback (RFC 1122))"),
        ("a.narrow.test", &["::ffff:169.254.169.254"], "::ffff:169.254.169.254 (cloud metadata)"),
    ] {
        let decided = decision(to(host, answers));
        assert_eq!((decided.effect, decided.reason.code()), (Effect::Deny, "address_floor"), "{host} {answers:?}");
        assert_eq!(decided.detail.as_deref(), Some(detail));
        assert_eq!(&*decided.overridden.unwrap().path, "narrow/plain");
    }
}

#[test]
fn networks_alone_are_about_ip_literals() {
    let set = policy(
        &(allow("net", "cidrs: [\"8.8.0.0/16\"], ports: [443]", "")
            + &deny("dns", "destinations: {cidrs: [\"8.8.8.8/32\"]}")),
        "",
    );
    let said = |to: &str, answers: &[&str]| said(&set.decide(&resolved(&asks(&set, to), answers)));
    assert_eq!(said("8.8.4.4:443", &["8.8.4.4"]), "allow allowed web/net at resolved");
    assert_eq!(said("8.8.8.8:443", &["8.8.8.8"]), "deny team_deny web/dns at resolved");
    assert_eq!(said("8.9.0.0:443", &["8.9.0.0"]), "deny no_rule - at resolved");
    assert_eq!(said("name.test:443", &["8.8.4.4"]), "deny no_rule - at resolved");
}

#[test]
fn data_classes_are_sets_and_denies_read_the_registered_ones() {
    let rules = allow("public", API, "data_classes: {at_most: [public]}\ntrust_declared: true");
    let set = policy(&rules, "");
    let facts = resolved(&asks(&set, "api.test:443"), &["1.1.1.1"]);
    assert_eq!(said(&set.decide(&facts)), "deny no_rule - at resolved");
    let subject = set.subject(&facts.identity, Some(b"public")).unwrap();
    let declared = Facts { subject, ..facts };
    let decided = decision(set.decide(&declared));
    assert!(decided.effect == Effect::Allow && decided.used_declared);
    let guarded = policy(&rules, &deny("internal", "data_classes: {any_of: [internal]}"));
    assert_eq!(said(&guarded.decide(&declared)), "deny guardrail guard/internal at resolved");
    let untrusting = policy(&allow("public", API, "data_classes: {at_most: [public]}"), "");
    assert_eq!(said(&untrusting.decide(&declared)), "deny no_rule - at resolved");
}

#[test]
fn the_strictest_keeping_that_an_allow_which_holds_demands_is_the_decision_s() {
    let keeping = |rules: &str| {
        let set = policy(rules, "");
        decision(set.decide(&resolved(&asks(&set, "api.test:443"), &["1.1.1.1"]))).keeping
    };
    let plain = allow("a", API, "");
    assert_eq!(keeping(&plain), Keeping::AsConfigured);
    assert_eq!(keeping(&(plain.clone() + &allow("z", API, "evidence: synced"))), Keeping::Synced);
    let other = allow("z", "hosts: [\"other.test\"], ports: [443]", "evidence: synced");
    assert_eq!(keeping(&(plain + &other)), Keeping::AsConfigured, "only of those that hold");
}

#[test]
fn a_rule_in_shadow_is_reported_and_decides_nothing() {
    let shadow = "enforcement: shadow";
    let rules = allow("api", API, "")
        + &deny("stop", &format!("destinations: {{hosts: [\"api.test\"]}}\n{shadow}"))
        + &allow("more", "hosts: [\"more.test\"], ports: [443]", shadow);
    let set = policy(&rules, &deny("late", &format!("when: tls.sni == \"x.test\"\n{shadow}")));
    let decided = decision(set.decide(&resolved(&asks(&set, "api.test:443"), &["1.1.1.1"])));
    assert_eq!(decided.effect, Effect::Allow);
    let shadows: Vec<&str> = decided.shadow.iter().map(|shadow| &*shadow.rule.path).collect();
    assert_eq!(shadows, ["web/stop"]);
    let decided = decision(set.decide(&asks(&set, "more.test:443")));
    assert_eq!((decided.reason.code(), decided.shadow.len()), ("no_rule", 1));
    assert_eq!(decided.shadow[0].effect, Effect::Allow);
}

#[test]
fn a_rule_of_a_team_speaks_about_its_own_identities_only() {
    let set = compiled(&narrow_files(
        &(deny("mine", "destinations: {hosts: [\"x.narrow.test\"]}")
            + &allow("label", "hosts: [\"narrow.test\"], ports: [443]", "identities: [{labels: {env: prod}}]")),
    ))
    .set;
    assert_eq!(said(&set.decide(&asks(&set, "x.narrow.test:443"))), "deny team_deny narrow/mine at request");
    assert_eq!(said(&set.decide(&asks_as(&set, "token:x", "x.narrow.test:443"))), "deny no_rule - at request");
    assert_eq!(said(&set.decide(&asks(&set, "narrow.test:443"))), "pending dns.answers");
    // The same labels outside of the scope.
    let mut stranger = asks_as(&set, "token:x", "narrow.test:443");
    stranger.subject = asks(&set, "narrow.test:443").subject;
    assert_eq!(said(&set.decide(&stranger)), "deny no_rule - at request");
}

#[test]
fn many_rules_for_one_host_are_found_by_identity() {
    let rules: String =
        (0..40).map(|n| allow(&format!("r{n:02}"), API, &format!("identities: [{{id: \"token:t{n}\"}}]"))).collect();
    let set = policy(&rules, "");
    let facts = |id: &str| {
        // Of the shop's classes: those of an unregistered token are unclassified, which no rule names.
        let subject = asks(&set, "api.test:443").subject;
        Facts { subject, ..resolved(&asks_as(&set, id, "api.test:443"), &["1.1.1.1"]) }
    };
    assert_eq!(said(&set.decide(&facts("token:t7"))), "allow allowed web/r07 at resolved");
    assert_eq!(said(&set.decide(&facts("token:t40"))), "deny no_rule - at resolved");
    let mut judged = 0;
    set.visit_enforced(&facts("token:t7"), |_, _| judged += 1);
    assert_eq!(judged, 1);
}

#[test]
fn nothing_is_allowed_by_an_empty_bundle() {
    let set = compiled(&files("", "")).set;
    assert_eq!(said(&set.decide(&asks(&set, "api.test:443"))), "deny no_rule - at request");
    let facts = with_sni(&resolved(&asks(&set, "api.test:443"), &["1.1.1.1"]), Some("api.test"));
    assert_eq!(said(&set.decide(&facts)), "deny no_rule - at tls");
    assert!(crate::compile(&[], at(super::world::NOW)).is_err());
    assert!(crate::compile(&[file("a.yaml", "")], at(super::world::NOW)).is_err());
}
