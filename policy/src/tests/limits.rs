//! `limits` of a rule: what is written, what is refused, and whose hold for a connection.

use super::world::{allow, asks, compiled, decision, deny, files, policy, problems, resolved};
use crate::PolicySet;
use crate::facts::Facts;
use crate::overrides::{Kind, Override, Spec};

const API: &str = "hosts: [\"api.test\"], ports: [443]";

/// What is wrong with a rule, positions left aside.
fn of_rule(rule: &str) -> Vec<String> {
    let found = problems(&files(rule, ""));
    found.iter().map(|problem| problem.split_once(' ').unwrap().1.to_owned()).collect()
}

fn asked(set: &PolicySet) -> Facts {
    resolved(&asks(set, "api.test:443"), &["1.1.1.1"])
}

/// The limits that hold for a connection to `api.test`, as people read them.
fn held(set: &PolicySet) -> Vec<String> {
    decision(set.decide(&asked(set))).budgets.iter().map(ToString::to_string).collect()
}

#[test]
fn each_limit_is_an_amount_with_its_unit() {
    let all = "limits: {connections: 200, new_connections_per_second: 50, upload_bytes_per_day: 5GiB, download_bytes_per_day: 64KiB, max_connection_duration: 90s}";
    let set = policy(&allow("api", API, all), "");
    assert_eq!(
        held(&set),
        [
            "web/api: connections 200, new_connections_per_second 50, upload_bytes_per_day 5GiB, download_bytes_per_day 64KiB, max_connection_duration 90s"
        ]
    );
    let budgets = decision(set.decide(&asked(&set))).budgets;
    let budget = &budgets[0];
    assert_eq!((budget.upload_bytes_per_day, budget.max_connection_seconds), (Some(5 << 30), Some(90)));
}

#[test]
fn what_is_no_amount_is_refused_with_what_to_write() {
    let number = "a whole number up to 1000000 is wanted here";
    let bytes = "a number of bytes is wanted here";
    for (written, problem) in [
        ("{connections: 0}", "`connections` of 0 lets nothing through"),
        ("{upload_bytes_per_day: 0KiB}", "`upload_bytes_per_day` of 0 lets nothing through"),
        ("{max_connection_duration: 0s}", "`max_connection_duration` of 0 lets nothing through"),
        ("{connections: 1000001}", number),
        ("{connections: \"200\"}", number),
        ("{connections: 020}", number),
        ("{connections: -1}", number),
        ("{connections: 5GiB}", number),
        ("{new_connections_per_second: 1.5}", number),
        ("{upload_bytes_per_day: 5GB}", bytes),
        ("{upload_bytes_per_day: 5}", bytes),
        ("{download_bytes_per_day: 99999999999TiB}", bytes),
        ("{max_connection_duration: 1w}", "a length of time is wanted here"),
        ("{max_connection_duration: 3600}", "a length of time is wanted here"),
        ("{}", "no limit is named"),
        ("200", "`limits` is a mapping (`key: value`)"),
    ] {
        assert_eq!(of_rule(&allow("a", API, &format!("limits: {written}"))), [problem], "{written}");
    }
    let unknown =
        crate::compile(&files(&allow("a", API, "limits: {conections: 5}"), ""), super::world::at(super::world::NOW));
    let found = unknown.unwrap_err();
    assert_eq!(found[0].message, "unknown key `conections`");
    assert_eq!(found[0].help.as_deref(), Some("did you mean `connections`?"));
    let unit = crate::compile(
        &files(&allow("a", API, "limits: {upload_bytes_per_day: 5GB}"), ""),
        super::world::at(super::world::NOW),
    );
    assert!(unit.unwrap_err()[0].help.as_deref().unwrap().contains("`5GiB`"));
}

#[test]
fn a_deny_has_none() {
    let rule = deny("a", "destinations: {hosts: [\"api.test\"]}\nlimits: {connections: 5}");
    assert_eq!(of_rule(&rule), ["`limits` is for allows"]);
    assert!(!problems(&files("", &deny("g", "when: tls.present\nlimits: {connections: 5}"))).is_empty());
}

#[test]
fn the_limits_of_every_allow_that_holds_hold_and_of_no_other() {
    let one = |id: &str, to: &str, more: &str| allow(id, to, &format!("limits: {{connections: 5}}\n{more}"));
    let rules = one("b", API, "")
        + &one("a", "hosts: [\"**.test\", \"api.test\"], ports: [443]", "")
        + &allow("plain", API, "")
        + &one("other", "hosts: [\"other.test\"], ports: [443]", "")
        + &one("ended", API, "expires: \"2029-12-01T00:00:00Z\"\nissued: \"2029-11-01T00:00:00Z\"")
        + &one("shadowed", API, "enforcement: shadow")
        + &one("errs", API, "when: now < identity.cert_expires");
    let set = compiled(&files(&rules, "")).set;
    // Once each, by path, however often the index names a rule.
    assert_eq!(held(&set), ["web/a: connections 5", "web/b: connections 5"]);
    assert_eq!(held(&policy(&allow("plain", API, ""), "")), [""; 0]);
}

#[test]
fn a_grant_is_held_by_no_limit_and_an_exception_adds_none() {
    let set = policy(&allow("api", API, "limits: {connections: 1}"), "");
    let over = |kind: Kind, path: &str| {
        let info = crate::decision::RuleInfo {
            path: path.into(),
            owner: "o@t.test".into(),
            purpose: "test".into(),
            ticket: None,
            expires: Some(super::world::at("2030-01-01T01:00:00Z")),
        };
        let list = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>();
        let spec = Spec {
            identities: list(&[super::world::WEB]),
            hosts: list(&["api.test"]),
            cidrs: Vec::new(),
            ports: vec![443],
            data_classes: list(&["public", "internal"]),
        };
        Override::new(kind, info, &spec).unwrap()
    };
    let under = |laid: Override| {
        let (overrides, dormant) = set.lay("normal", &[laid]);
        assert!(dormant.is_empty(), "{dormant:?}");
        decision(set.decide_under(&asked(&set), &overrides))
    };
    let granted = under(over(Kind::Grant, "grant/g-1"));
    assert_eq!((granted.reason.code(), granted.budgets.len()), ("grant", 0));
    let permitted = under(over(Kind::Permits("web".into()), "exception/e-1"));
    assert_eq!(permitted.budgets.iter().map(|budget| &*budget.rule.path).collect::<Vec<_>>(), ["web/api"]);
}

#[test]
fn explain_shows_the_limits_of_the_rules_that_allow() {
    let set = policy(&allow("api", API, "limits: {upload_bytes_per_day: 1MiB}"), "");
    let trace = set.trace(&asked(&set));
    assert!(trace.to_string().contains("\n  limits     web/api: upload_bytes_per_day 1MiB\n"), "{trace}");
    assert_eq!(trace.limits.len(), 1);
}

#[test]
fn a_denial_tells_the_limits_of_the_allows_beneath_it() {
    let limited = "limits: {connections: 1}\nevidence: synced";
    let guard = "  - {id: g, action: deny, purpose: test, lifted_by: [], destinations: {ports: [443]}}\n";
    for when in ["", "\nwhen: tls.present"] {
        let set = policy(&allow("api", API, &format!("{limited}{when}")), guard);
        // Should it be carried all the same, because a gateway only observes.
        let denial = decision(set.decide(&asked(&set)));
        assert_eq!(denial.effect, crate::decision::Effect::Deny);
        assert_eq!(denial.budgets.iter().map(ToString::to_string).collect::<Vec<_>>(), ["web/api: connections 1"]);
        if when.is_empty() {
            assert_eq!(denial.keeping, crate::decision::Keeping::Synced);
        }
    }
}
