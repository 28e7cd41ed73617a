//! What could be read two ways, and is read one way only: a test for each sentence of the language that says so.

use super::world::{
    allow, asks, asks_as, at, compiled, decision, deny, file, files, narrow_files, policy, problems, resolved, said,
    with_sni,
};
use crate::PolicySet;
use crate::facts::{Facts, HttpRequest, Protocol, Tls};

const API: &str = "hosts: [\"api.test\"], ports: [443]";

/// What is wrong with a rule of a team, positions left aside.
fn of_rule(rule: &str) -> Vec<String> {
    let found = problems(&files(rule, ""));
    found.iter().map(|problem| problem.split_once(' ').unwrap().1.to_owned()).collect()
}

/// What becomes of `api.test:443` at 1.1.1.1, where the client is silent about TLS.
fn api(rules: &str, guardrails: &str) -> String {
    let set = policy(rules, guardrails);
    said(&set.decide(&resolved(&asks(&set, "api.test:443"), &["1.1.1.1"])))
}

fn http(set: &PolicySet, to: &str) -> Facts {
    let head = HttpRequest {
        method: "GET".into(),
        path: "/".into(),
        query: String::new(),
        headers: Default::default(),
        content_length: Some(0),
    };
    let facts = Facts { protocol: Protocol::Http, request: Some(head), tls: Some(Tls::Absent), ..asks(set, to) };
    resolved(&facts, &["1.1.1.1"])
}

#[test]
fn a_bare_list_of_data_classes_is_an_error_and_the_two_readings_differ() {
    let bare = "a bare list of data classes can be read two ways";
    assert_eq!(of_rule(&allow("a", API, "data_classes: [public]")), [bare]);
    assert_eq!(of_rule(&deny("a", "destinations: {hosts: [\"api.test\"]}\ndata_classes: [public]")), [bare]);
    // The shop carries `public` and `internal`.
    assert_eq!(api(&allow("a", API, "data_classes: {at_most: [public]}"), ""), "deny no_rule - at resolved");
    assert_eq!(api(&allow("a", API, "data_classes: {any_of: [public]}"), ""), "allow allowed web/a at resolved");
}

#[test]
fn neither_the_order_of_files_nor_that_of_rules_decides() {
    let (first, second) = (allow("b", API, ""), allow("a", API, ""));
    for rules in [first.clone() + &second, second.clone() + &first] {
        let mut turned = files(&rules, "");
        turned.reverse();
        for files in [files(&rules, ""), turned] {
            let set = compiled(&files).set;
            let facts = resolved(&asks(&set, "api.test:443"), &["1.1.1.1"]);
            assert_eq!(said(&set.decide(&facts)), "allow allowed web/a at resolved");
        }
    }
}

#[test]
fn the_rule_that_is_reported_is_the_smallest_by_tier_and_path() {
    let stop = |id: &str| deny(id, "destinations: {hosts: [\"api.test\"]}");
    assert_eq!(api(&(stop("z") + &stop("w") + &allow("a", API, "")), ""), "deny team_deny web/w at resolved");
    let guards = deny("z", "when: destination.port == 443") + &deny("w", "when: destination.port == 443");
    assert_eq!(api(&(stop("a") + &allow("b", API, "")), &guards), "deny guardrail guard/w at resolved");
}

#[test]
fn there_are_no_priorities() {
    for key in ["priority: 1", "order: 1", "weight: 1"] {
        assert!(of_rule(&allow("a", API, key))[0].starts_with("unknown key"), "{key}");
    }
}

#[test]
fn a_deny_never_expires_and_stays_in_force_past_its_review() {
    let stop = deny("z", "destinations: {hosts: [\"api.test\"]}\nreview_by: \"2029-01-01T00:00:00Z\"");
    assert_eq!(api(&(allow("a", API, "") + &stop), ""), "deny team_deny web/z at resolved");
    let ends = deny("z", "destinations: {hosts: [\"api.test\"]}\nexpires: \"2030-01-02T00:00:00Z\"");
    assert_eq!(of_rule(&ends), ["a deny has neither `expires` nor `issued`"]);
}

#[test]
fn an_absent_server_name_equals_no_name_and_differs_from_every_name() {
    for (when, absent) in [("tls.sni == destination.host", "deny"), ("tls.sni != destination.host", "allow")] {
        let set = policy(&allow("a", API, &format!("when: {when}")), "");
        let facts = with_sni(&resolved(&asks(&set, "api.test:443"), &["1.1.1.1"]), None);
        assert!(said(&set.decide(&facts)).starts_with(absent), "{when}");
    }
}

#[test]
fn one_star_is_one_label_two_are_one_or_more_and_neither_is_the_apex() {
    let allowed = |pattern: &str, host: &str| {
        let set = policy(&allow("a", &format!("hosts: [\"{pattern}\"], ports: [443]"), ""), "");
        said(&set.decide(&resolved(&asks(&set, &format!("{host}:443")), &["1.1.1.1"]))).starts_with("allow")
    };
    for (host, one, more) in [
        ("x.test", false, false),
        ("a.x.test", true, true),
        ("a.b.x.test", false, true),
        ("ax.test", false, false),
        ("x.test.evil.test", false, false),
    ] {
        assert_eq!((allowed("*.x.test", host), allowed("**.x.test", host)), (one, more), "{host}");
    }
    for pattern in
        ["*", "**", "*x.test", "a.*.test", "a*.test", "***.x.test", ".x.test", "x.test.", "x?.test", "[x].test"]
    {
        assert!(!of_rule(&allow("a", &format!("hosts: [\"{pattern}\"], ports: [443]"), "")).is_empty(), "{pattern}");
    }
}

#[test]
fn a_host_has_one_spelling_and_a_u_label_is_not_it() {
    for host in ["API.test", "api.test.", "bücher.test", "xn--bcher-kva.TEST"] {
        assert!(!of_rule(&allow("a", &format!("hosts: [\"{host}\"], ports: [443]"), "")).is_empty(), "{host}");
    }
    // What a client asks for is brought into it.
    let set = policy(&allow("a", "hosts: [\"xn--bcher-kva.test\"], ports: [443]", ""), "");
    for asked in ["xn--bcher-kva.test:443", "XN--BCHER-KVA.TEST:443", "xn--bcher-kva.test.:443"] {
        assert_eq!(said(&set.decide(&resolved(&asks(&set, asked), &["1.1.1.1"]))), "allow allowed web/a at resolved");
    }
}

#[test]
fn what_nobody_labelled_is_unclassified_and_no_empty_set() {
    let carries = |classes: &str| {
        let set = policy(&allow("a", API, &format!("anyone: true\ndata_classes: {classes}")), "");
        said(&set.decide(&resolved(&asks_as(&set, "network:unknown", "api.test:443"), &["1.1.1.1"])))
    };
    assert_eq!(carries("{at_most: [public, internal]}"), "deny no_rule - at resolved", "an empty set would pass");
    assert_eq!(carries("{at_most: [unclassified]}"), "allow allowed web/a at resolved");
    assert_eq!(carries("{any_of: [unclassified]}"), "allow allowed web/a at resolved");
}

#[test]
fn a_deny_reads_the_registered_classes_whatever_is_declared() {
    let set = policy(
        &(allow("a", API, "trust_declared: true\ndata_classes: {at_most: [public]}")
            + &deny("z", "destinations: {hosts: [\"api.test\"]}\ndata_classes: {any_of: [internal]}")),
        "",
    );
    let facts = resolved(&asks(&set, "api.test:443"), &["1.1.1.1"]);
    let subject = set.subject(&facts.identity, Some(b"public")).unwrap();
    assert_eq!(said(&set.decide(&Facts { subject, ..facts })), "deny team_deny web/z at resolved");
}

#[test]
fn an_allow_reads_what_is_declared_only_where_it_says_so() {
    for (more, wanted) in
        [("", "deny no_rule - at resolved"), ("trust_declared: true\n", "allow allowed web/a at resolved")]
    {
        let set = policy(&allow("a", API, &format!("{more}data_classes: {{at_most: [public]}}")), "");
        let facts = resolved(&asks(&set, "api.test:443"), &["1.1.1.1"]);
        let subject = set.subject(&facts.identity, Some(b"public")).unwrap();
        assert_eq!(said(&set.decide(&Facts { subject, ..facts })), wanted);
    }
}

#[test]
fn networks_are_all_answers_in_an_allow_and_any_answer_in_a_deny() {
    let to = "hosts: [\"api.test\"], cidrs: [\"8.8.0.0/16\"]";
    let opens = policy(&allow("a", &format!("{to}, ports: [443]"), ""), "");
    let shuts = policy(&(allow("a", API, "") + &deny("z", &format!("destinations: {{{to}}}"))), "");
    for (answers, allowed, denied) in [
        (&["8.8.1.1", "8.8.2.2"][..], true, true),
        (&["8.8.1.1", "9.9.9.9"], false, true),
        (&["9.9.9.9"], false, false),
    ] {
        let of = |set: &PolicySet| said(&set.decide(&resolved(&asks(set, "api.test:443"), answers)));
        assert_eq!(of(&opens).starts_with("allow"), allowed, "{answers:?}");
        assert_eq!(of(&shuts) == "deny team_deny web/z at resolved", denied, "{answers:?}");
    }
}

#[test]
fn networks_and_hosts_must_both_match_and_networks_alone_mean_ip_literals() {
    let alone = policy(&allow("a", "cidrs: [\"8.8.0.0/16\"], ports: [443]", ""), "");
    let both = policy(&allow("a", "hosts: [\"api.test\"], cidrs: [\"8.8.0.0/16\"], ports: [443]", ""), "");
    let of = |set: &PolicySet, to: &str| said(&set.decide(&resolved(&asks(set, to), &["8.8.1.1"])));
    assert_eq!(of(&alone, "8.8.1.1:443"), "allow allowed web/a at resolved");
    assert_eq!(of(&alone, "api.test:443"), "deny no_rule - at resolved", "a name is no literal");
    assert_eq!(of(&both, "api.test:443"), "allow allowed web/a at resolved");
    assert_eq!(of(&both, "8.8.1.1:443"), "deny no_rule - at resolved");
    assert_eq!(of(&both, "other.test:443"), "deny no_rule - at resolved");
}

#[test]
fn entries_are_alternatives_and_keys_within_one_must_all_hold() {
    let who = |identities: &str, id: &str| {
        let set = policy(
            &allow("a", API, &format!("identities: [{identities}]\ndata_classes: {{any_of: [public, unclassified]}}")),
            "",
        );
        said(&set.decide(&resolved(&asks_as(&set, id, "api.test:443"), &["1.1.1.1"]))).starts_with("allow")
    };
    let shop = super::world::WEB;
    assert!(who(&format!("{{id: \"token:x\"}}, {{spiffe_id: \"{shop}\"}}"), shop));
    assert!(who("{id: \"token:x\"}, {id: \"token:y\"}", "token:y"));
    assert!(!who(&format!("{{spiffe_id: \"{shop}\", labels: {{env: test}}}}"), shop));
    assert!(who(&format!("{{spiffe_id: \"{shop}\", labels: {{env: prod}}}}"), shop));
    // Nobody labelled it: no match, and no error either.
    assert!(!who("{labels: {env: prod}}", "token:x"));
}

#[test]
fn without_a_label_an_identity_is_no_match_and_a_condition_that_asks_without_has_is_an_error() {
    let said_to = |more: &str| {
        let set =
            policy(&allow("a", API, &format!("anyone: true\ndata_classes: {{at_most: [unclassified]}}\n{more}")), "");
        said(&set.decide(&resolved(&asks_as(&set, "token:x", "api.test:443"), &["1.1.1.1"])))
    };
    assert_eq!(said_to("when: identity.labels.env == \"prod\""), "deny rule_error web/a at resolved");
    let asks_first = "when: has(identity.labels.env) && identity.labels.env == \"prod\"";
    assert_eq!(said_to(asks_first), "deny no_rule - at resolved");
}

#[test]
fn a_deciding_operand_absorbs_an_error_in_either_order() {
    // Without a client certificate this has no answer.
    const ERRS: &str = "now < identity.cert_expires";
    for (when, wanted) in [
        (format!("destination.port < 443 && {ERRS}"), "deny no_rule - at resolved"),
        (format!("{ERRS} && destination.port < 443"), "deny no_rule - at resolved"),
        (format!("destination.port == 443 || {ERRS}"), "allow allowed web/a at resolved"),
        (format!("{ERRS} || destination.port == 443"), "allow allowed web/a at resolved"),
        (format!("{ERRS} && destination.port == 443"), "deny rule_error web/a at resolved"),
        (format!("destination.port < 443 || {ERRS}"), "deny rule_error web/a at resolved"),
    ] {
        assert_eq!(api(&allow("a", API, &format!("when: {when}")), ""), wanted, "{when}");
    }
}

#[test]
fn what_a_protocol_never_has_makes_its_clause_false_in_allow_and_deny_alike() {
    let path = "request.protocol == \"http\" && request.path == \"/\"";
    let set = policy(
        &(allow("a", API, "") + &deny("z", &format!("destinations: {{hosts: [\"api.test\"]}}\nwhen: {path}"))),
        "",
    );
    let tunnel = resolved(&asks(&set, "api.test:443"), &["1.1.1.1"]);
    assert_eq!(said(&set.decide(&tunnel)), "allow allowed web/a at resolved");
    assert_eq!(said(&set.decide(&http(&set, "api.test:443"))), "deny team_deny web/z at resolved");
    let only_http = policy(&allow("a", API, &format!("when: {path}")), "");
    assert_eq!(
        said(&only_http.decide(&resolved(&asks(&only_http, "api.test:443"), &["1.1.1.1"]))),
        "deny no_rule - at resolved"
    );
}

#[test]
fn plain_http_has_no_tls_from_the_start_and_so_no_server_name() {
    let set = policy(&allow("a", API, "when: '!tls.present && tls.sni == null'"), "");
    let facts = Facts { resolved: None, ..http(&set, "api.test:443") };
    assert_eq!(said(&set.decide(&facts)), "pending dns.answers", "it waits for no hello");
    assert_eq!(said(&set.decide(&http(&set, "api.test:443"))), "allow allowed web/a at resolved");
}

#[test]
fn a_condition_on_the_request_of_a_tunnel_does_not_load() {
    let problem = ["this looks at the request of a tunnel"];
    for when in ["request.path == \"/\"", "request.method == \"GET\" || destination.port == 443"] {
        assert_eq!(of_rule(&allow("a", API, &format!("when: {when}"))), problem, "{when}");
        assert_eq!(of_rule(&deny("a", &format!("destinations: {{hosts: [\"api.test\"]}}\nwhen: {when}"))), problem);
    }
}

#[test]
fn an_end_is_a_moment_in_utc_and_excluded() {
    for end in ["2030-01-01T01:00:00+01:00", "2030-01-01T01:00:00", "2030-01-01", "2030-01-01T01:00:00z"] {
        let found = of_rule(&allow("a", API, &format!("expires: \"{end}\"")));
        assert_eq!(found, ["this is not a moment in UTC"], "{end}");
    }
    let set = policy(&allow("a", API, "expires: \"2030-01-02T00:00:00Z\""), "");
    let facts = resolved(&asks(&set, "api.test:443"), &["1.1.1.1"]);
    let when = |now: &str| said(&set.decide(&Facts { now: at(now), ..facts.clone() }));
    assert_eq!(when("2030-01-01T23:59:59.999999Z"), "allow allowed web/a at resolved");
    assert_eq!(when("2030-01-02T00:00:00Z"), "deny rule_expired web/a at resolved");
}

#[test]
fn pending_outranks_an_error_and_counts_as_one_at_the_end() {
    // What may still become false is waited for; what never became known is an error.
    let when = "when: now < identity.cert_expires && tls.sni == \"api.test\"";
    let set = policy(&allow("a", API, when), "");
    let facts = resolved(&asks(&set, "api.test:443"), &["1.1.1.1"]);
    assert_eq!(said(&set.decide(&facts)), "pending tls.sni");
    assert_eq!(said(&set.decide(&with_sni(&facts, Some("api.test")))), "deny rule_error web/a at tls");
    assert_eq!(said(&set.decide(&with_sni(&facts, Some("other.test")))), "deny no_rule - at tls");
}

#[test]
fn a_true_deny_decides_at_once_and_a_pending_one_keeps_the_answer_open() {
    let rules = allow("a", API, "") + &deny("z", "destinations: {hosts: [\"api.test\"]}\nwhen: tls.ech");
    assert_eq!(api(&rules, ""), "pending tls.ech");
    let at_once = deny("w", "destinations: {hosts: [\"api.test\"]}");
    assert_eq!(api(&(rules + &at_once), ""), "deny team_deny web/w at resolved");
}

#[test]
fn a_rule_in_shadow_keeps_no_stage_open() {
    let shadow = |when: &str| format!("enforcement: shadow\nwhen: {when}");
    let rules = allow("a", API, "") + &allow("s", "hosts: [\"only.test\"], ports: [443]", &shadow("tls.ech"));
    let set = policy(&rules, &deny("g", &shadow("tls.sni == \"x.test\"")));
    assert_eq!(said(&set.decide(&asks(&set, "only.test:443"))), "deny no_rule - at request");
    let facts = resolved(&asks(&set, "api.test:443"), &["1.1.1.1"]);
    assert_eq!(said(&set.decide(&facts)), "allow allowed web/a at resolved");
}

#[test]
fn only_an_expiry_that_failed_alone_is_told_as_one() {
    let old = "issued: \"2029-01-01T00:00:00Z\"\nexpires: \"2029-12-01T00:00:00Z\"";
    assert_eq!(api(&allow("a", API, old), ""), "deny rule_expired web/a at resolved");
    let elsewhere = allow("a", "hosts: [\"api.test\"], ports: [22]", old);
    assert_eq!(api(&elsewhere, ""), "deny no_rule - at resolved");
}

#[test]
fn an_expired_rule_is_a_warning_and_an_unknown_key_is_an_error() {
    let old = "issued: \"2029-01-01T00:00:00Z\"\nexpires: \"2029-12-01T00:00:00Z\"";
    let loaded = compiled(&files(&allow("a", API, old), ""));
    assert_eq!(loaded.warnings.iter().map(|warning| &*warning.message).collect::<Vec<_>>(), ["`a` has expired"]);
    assert_eq!(of_rule(&allow("a", API, "expire: \"2030-02-01T00:00:00Z\"")), ["unknown key `expire`"]);
}

#[test]
fn a_team_speaks_inside_its_scope_only_and_outside_of_it_nothing_loads() {
    let inside = allow("a", "hosts: [\"a.narrow.test\"], ports: [443]", "");
    assert!(problems(&narrow_files(&inside)).is_empty());
    let outside = inside.clone() + &allow("b", "hosts: [\"evil.test\"], ports: [443]", "");
    assert_eq!(problems(&narrow_files(&outside)).len(), 1, "the whole bundle is refused");
}

#[test]
fn a_deep_wildcard_lives_shorter_than_a_name_and_a_class_shorter_than_either() {
    let ends = |hosts: &str, classes: &str, end: &str| {
        let more = format!("data_classes: {{at_most: [{classes}]}}\nexpires: \"{end}\"");
        of_rule(&allow("a", &format!("hosts: [\"{hosts}\"], ports: [443]"), &more)).is_empty()
    };
    // default 365d, wildcard 90d, pii 30d
    assert!(ends("api.test", "public", "2030-12-01T00:00:00Z"));
    assert!(ends("*.api.test", "public", "2030-12-01T00:00:00Z"), "one label is not deep");
    assert!(
        !ends("**.api.test", "public", "2030-12-01T00:00:00Z") && ends("**.api.test", "public", "2030-03-01T00:00:00Z")
    );
    assert!(
        !ends("api.test", "public, pii", "2030-03-01T00:00:00Z")
            && ends("api.test", "public, pii", "2030-01-30T00:00:00Z")
    );
    assert!(!ends("**.api.test", "pii", "2030-03-01T00:00:00Z"), "the lowest ceiling holds");
}

#[test]
fn an_exception_does_one_thing() {
    let exceptions = |what: &str| {
        let text = format!(
            "apiVersion: gatepass/v1\nkind: Exceptions\nmetadata: {{id: ex, owner: o@t.test}}\nexceptions:\n  - id: e\n    {what}\n    identities: [{{id: \"token:x\"}}]\n    destinations: {{hosts: [\"api.test\"], ports: [443]}}\n    data_classes: {{at_most: [public]}}\n    reason: r\n    approved_by: [a@t.test]\n    expires: \"2030-01-20T00:00:00Z\"\n"
        );
        let mut files = files(&allow("a", API, ""), &deny("g", "lifted_by: [exception]\nwhen: tls.ech"));
        files.push(file("exceptions.yaml", &text));
        problems(&files)
    };
    assert_eq!(exceptions("permits: web"), [""; 0]);
    assert_eq!(exceptions("lifts: guard/g"), [""; 0]);
    assert!(exceptions("permits: web\n    lifts: guard/g")[0].ends_with("`lifts` beside `permits`"));
    assert!(!exceptions("lifts: guard/none").is_empty() && !exceptions("lifts: [guard/g]").is_empty());
}

#[test]
fn obligations_of_all_allows_combine_to_the_strictest() {
    let rules =
        allow("a", API, "limits: {connections: 9}") + &allow("b", API, "evidence: synced\nlimits: {connections: 3}");
    let set = policy(&rules, "");
    let decided = decision(set.decide(&resolved(&asks(&set, "api.test:443"), &["1.1.1.1"])));
    assert_eq!(decided.keeping, crate::decision::Keeping::Synced);
    let limits: Vec<_> = decided.budgets.iter().map(|budget| (&*budget.rule.path, budget.connections)).collect();
    assert_eq!(limits, [("web/a", Some(9)), ("web/b", Some(3))]);
}
