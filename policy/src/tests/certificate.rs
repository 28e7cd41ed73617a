//! The certificate stage: what the server proves to the gateway's own probe, and what it means where there is no proof.

use super::world::{allow, asks, deny, nothing, policy, resolved, said, shown, with_sni};
use crate::PolicySet;
use crate::facts::{Facts, Hello, HttpRequest, Protocol, ServerCertificate, Tls, Upstream};
use crate::schema::{Attribute, Stage};

const API: &str = "hosts: [\"api.test\"], ports: [443]";

const PROVED: &str = "when: tls.sni == destination.host && upstream.verified";

/// A tunnel whose ClientHello names the host.
fn heard(set: &PolicySet) -> Facts {
    with_sni(&resolved(&asks(set, "api.test:443"), &["1.1.1.1"]), Some("api.test"))
}

#[test]
fn an_allow_that_wants_proof_waits_for_it_and_gets_nothing_less() {
    let set = policy(&allow("api", API, PROVED), "");
    let before = resolved(&asks(&set, "api.test:443"), &["1.1.1.1"]);
    assert_eq!(said(&set.decide(&before)), "pending tls.sni upstream.verified");
    assert_eq!(said(&set.decide(&heard(&set))), "pending upstream.verified");
    let verdict = |facts: &Facts| said(&set.decide(facts));
    assert_eq!(verdict(&shown(&heard(&set), true, &["api.test"])), "allow allowed web/api at certificate");
    assert_eq!(verdict(&shown(&heard(&set), false, &["api.test"])), "deny no_rule - at certificate");
    assert_eq!(verdict(&nothing(&heard(&set))), "deny no_rule - at certificate");
}

#[test]
fn what_the_hello_has_decided_already_asks_for_no_probe() {
    let set = policy(&allow("api", API, PROVED), "");
    let other = with_sni(&heard(&set), Some("other.test"));
    assert_eq!(said(&set.decide(&other)), "deny no_rule - at tls");
    let plain = policy(&allow("api", API, ""), "");
    assert_eq!(said(&plain.decide(&heard(&plain))), "allow allowed web/api at tls");
}

#[test]
fn a_guardrail_against_servers_without_proof_denies_them() {
    let set = policy(&allow("api", API, ""), &deny("proof", "lifted_by: []\nwhen: \"!upstream.verified\""));
    assert_eq!(said(&set.decide(&heard(&set))), "pending upstream.verified");
    let verdict = |facts: &Facts| said(&set.decide(facts));
    assert_eq!(verdict(&shown(&heard(&set), true, &[])), "allow allowed web/api at certificate");
    assert_eq!(verdict(&shown(&heard(&set), false, &[])), "deny guardrail guard/proof at certificate");
    assert_eq!(verdict(&nothing(&heard(&set))), "deny guardrail guard/proof at certificate");
}

#[test]
fn where_there_is_no_certificate_its_parts_neither_allow_nor_keep_from_denying() {
    for when in [
        "upstream.issuer != \"CN=other\"",
        "!(\"evil.test\" in upstream.dns_sans)",
        "upstream.dns_sans.all(n, n == \"api.test\")",
        "upstream.spki_sha256 != \"00\"",
        "now < upstream.not_after",
        "upstream.tls_version >= \"1.2\"",
    ] {
        let when = format!("when: '{when}'");
        let set = policy(&allow("api", API, &when), "");
        assert_eq!(
            said(&set.decide(&shown(&heard(&set), true, &["api.test"]))),
            "allow allowed web/api at certificate"
        );
        assert_eq!(said(&set.decide(&nothing(&heard(&set)))), "deny rule_error web/api at certificate", "{when}");
        let set = policy(&allow("api", API, ""), &deny("guard", &format!("lifted_by: []\n{when}")));
        assert_eq!(said(&set.decide(&nothing(&heard(&set)))), "deny rule_error guard/guard at certificate", "{when}");
    }
}

#[test]
fn what_has_no_tls_never_has_a_certificate_and_its_clause_is_false() {
    let guard = deny("proof", "lifted_by: []\nwhen: \"!upstream.verified\"");
    let set = policy(&allow("api", "hosts: [\"api.test\"], ports: [80, 443]", ""), &guard);
    let head = HttpRequest {
        method: "GET".into(),
        path: "/".into(),
        query: String::new(),
        headers: Default::default(),
        content_length: Some(0),
    };
    let clear = resolved(&asks(&set, "api.test:80"), &["1.1.1.1"]);
    let clear = Facts { protocol: Protocol::Http, request: Some(head), tls: Some(Tls::Absent), ..clear };
    assert_eq!(said(&set.decide(&clear)), "allow allowed web/api at resolved");
    let tunnel = Facts { tls: Some(Tls::Absent), ..heard(&set) };
    assert_eq!(said(&set.decide(&tunnel)), "allow allowed web/api at tls");
    let wants = policy(&allow("api", "hosts: [\"api.test\"], ports: [80, 443]", "when: upstream.verified"), "");
    assert_eq!(said(&wants.decide(&clear)), "deny no_rule - at resolved");
    assert_eq!(said(&wants.decide(&tunnel)), "deny no_rule - at tls");
    // Whatever stands there.
    assert_eq!(said(&wants.decide(&shown(&tunnel, true, &["api.test"]))), "deny no_rule - at certificate");
}

#[test]
fn what_a_server_showed_is_told_of_the_nearest_rule() {
    let pinned = "when: upstream.spki_sha256 == \"aabb\" && upstream.verified";
    let set = policy(&allow("api", API, pinned), "");
    let near =
        |facts: &Facts| set.nearest(facts, 1).remove(0).failed.iter().map(ToString::to_string).collect::<Vec<_>>();
    let failed = near(&shown(&heard(&set), false, &["api.test"]));
    assert_eq!(failed, ["upstream.spki_sha256 == \"aabb\": 00ff is not aabb", "upstream.verified: false is not true"]);
    let failed = near(&nothing(&heard(&set)));
    let none = "an error (the probe of the server got no certificate)";
    assert_eq!(failed[0], format!("upstream.spki_sha256 == \"aabb\": {none} is not aabb"));
}

#[test]
fn an_offline_question_may_leave_parts_open() {
    let set = policy(&allow("api", API, "when: upstream.verified && upstream.issuer == \"CN=a\""), "");
    let Some(Upstream::Shown(certificate)) = shown(&heard(&set), true, &[]).upstream.as_deref().cloned() else {
        panic!("a certificate was shown");
    };
    let certificate = ServerCertificate { issuer: None, ..certificate };
    let facts = Facts { upstream: Some(Upstream::Shown(certificate).into()), ..heard(&set) };
    assert_eq!(said(&set.decide(&facts)), "pending upstream.issuer");
}

#[test]
fn a_fingerprint_is_null_without_a_hello_and_waits_where_nobody_worked_it_out() {
    let set = policy(&allow("api", API, "when: tls.ja4 == \"t13d\""), "");
    assert!(set.uses(Attribute::TlsJa4) && Attribute::TlsJa4.row().stage == Stage::Tls);
    assert_eq!(said(&set.decide(&heard(&set))), "pending tls.ja4");
    let with = |ja4: &str| {
        let hello = Hello { ja4: Some(ja4.into()), ..Hello::default() };
        said(&set.decide(&Facts { tls: Some(Tls::Hello(hello)), ..heard(&set) }))
    };
    assert_eq!(with("t13d"), "allow allowed web/api at tls");
    assert_eq!(with("t12d"), "deny no_rule - at tls");
    let absent = Facts { tls: Some(Tls::Absent), ..heard(&set) };
    assert_eq!(said(&set.decide(&absent)), "deny no_rule - at tls");
}
