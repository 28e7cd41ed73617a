//! Facts of a record: what nobody kept is not known, and no verdict hangs on it unsaid.

use jiff::SignedDuration;

use super::world::{allow, asks, file, files, policy, problems, resolved, said, with_sni};
use crate::facts::{Facts, Protocol, Tls};
use crate::host::suffix_is_listed;
use crate::identity::{Identity, Method};
use crate::schema::Attribute;

const API: &str = "hosts: [\"api.test\"], ports: [443]";

fn with(when: &str) -> crate::PolicySet {
    policy(&allow("api", API, &format!("when: '{when}'")), "")
}

/// At the last stage, so that nothing else is unknown.
fn complete(set: &crate::PolicySet) -> Facts {
    with_sni(&resolved(&asks(set, "api.test:443"), &["1.1.1.1"]), Some("api.test"))
}

#[test]
fn what_a_gateway_always_knows_and_a_record_does_not_keep_leaves_the_verdict_open() {
    let set = with("source.port > 1 && listener.name != \"\"");
    let facts = complete(&set);
    assert_eq!(said(&set.decide(&facts)), "allow allowed web/api at tls");
    let kept = Facts { source: None, listener: None, ..facts };
    assert_eq!(said(&set.decide(&kept)), "pending source.port listener.name");
    let set = with("request.protocol == \"http\" && request.path == \"/\"");
    let head = Facts { protocol: Protocol::Http, tls: Some(Tls::Absent), request: None, ..complete(&set) };
    assert_eq!(said(&set.decide(&head)), "pending request.path");
}

#[test]
fn a_recorded_certificate_has_its_digest_and_no_end() {
    let recorded =
        |facts: Facts| Facts { identity: Identity::recorded(facts.identity.id(), Method::Mtls, Some("abcd")), ..facts };
    let set = with("identity.cert_sha256 == \"abcd\"");
    assert_eq!(said(&set.decide(&recorded(complete(&set)))), "allow allowed web/api at tls");
    let set = with("identity.cert_expires > now");
    assert_eq!(said(&set.decide(&recorded(complete(&set)))), "pending identity.cert_expires");
    // Without a certificate there is none to wait for.
    assert!(said(&set.decide(&complete(&set))).starts_with("deny rule_error"));
    let nobody = Identity::recorded("token:a", Method::Token, None);
    assert!(!nobody.lacks_certificate() && nobody.cert_sha256().is_none() && nobody.method() == Method::Token);
    assert_eq!((Method::named("jwt"), Method::named("JWT")), (Some(Method::Jwt), None));
}

#[test]
fn a_placeholder_is_nobodys_name() {
    let owned = |owner: &str| problems(&files(&allow("api", API, &format!("owner: \"{owner}\"")), ""));
    for owner in ["TODO", "TODO: who", "TODO who"] {
        let found = owned(owner);
        assert!(found.len() == 1 && found[0].contains("nobody answers for this yet"), "{owner} {found:?}");
    }
    for owner in ["todor@t.test", "TODORA", "team-todo@t.test"] {
        assert!(owned(owner).is_empty(), "{owner}");
    }
    let head = "apiVersion: gatepass/v1\nkind: Fragment\nmetadata: {id: web, owner: TODO}\nrules:\n";
    let mut all = files("", "");
    all.push(file("web.yaml", &format!("{head}{}", allow("api", API, ""))));
    assert!(problems(&all)[0].starts_with("web.yaml:3:28 `TODO`"), "{:?}", problems(&all));
}

#[test]
fn a_policy_says_how_long_rules_may_live_and_what_conditions_look_at() {
    let set = with("mode == \"normal\"");
    let days = |days: i64| SignedDuration::from_hours(days * 24);
    assert_eq!(set.longest_life(&["public"], false), days(365));
    assert_eq!(set.longest_life(&["public"], true), days(90));
    assert_eq!(set.longest_life(&["public", "pii"], true), days(30));
    // `expires` looks at the time, and is no condition.
    assert!(set.uses(Attribute::Now) && !set.conditions_use(Attribute::Now) && set.conditions_use(Attribute::Mode));
    assert!(with("now > timestamp(\"2029-01-01T00:00:00Z\")").conditions_use(Attribute::Now));
}

#[test]
fn a_suffix_that_nobody_lists_is_told_from_one_that_somebody_does() {
    for (name, listed) in
        [("a.example.com", true), ("x.github.io", true), ("db.corp.internal", false), ("a.b.test", false)]
    {
        assert_eq!(suffix_is_listed(name), listed, "{name}");
    }
}
