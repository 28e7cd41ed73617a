//! What is refused at load, with its place; every problem at once.

use super::world::{NOW, allow, at, compiled, deny, file, files, narrow_files, problems};
use crate::compile;

const API: &str = "hosts: [\"api.test\"], ports: [443]";

/// The problems of one rule in the fragment `web`, without their places.
fn of_rule(rule: &str) -> Vec<String> {
    strip(problems(&files(rule, "")))
}

fn of_narrow(rule: &str) -> Vec<String> {
    strip(problems(&narrow_files(rule)))
}

fn of_guardrail(rule: &str) -> Vec<String> {
    strip(problems(&files("", rule)))
}

fn strip(found: Vec<String>) -> Vec<String> {
    found.into_iter().map(|text| text.split_once(' ').map(|(_, message)| message.to_owned()).unwrap_or(text)).collect()
}

#[test]
fn all_problems_are_reported_with_their_places() {
    let rule =
        "  - id: a\n    action: allow\n    purpos: x\n    destinations: {hosts: [API.test, no], ports: [\"443\"]}\n";
    assert_eq!(
        problems(&files(rule, "")),
        [
            "web.yaml:5:5 `purpose` is missing",
            "web.yaml:5:9 an allow must name `identities`",
            "web.yaml:5:9 an allow must name `data_classes`",
            "web.yaml:5:9 an allow must name `expires`",
            "web.yaml:7:5 unknown key `purpos`",
            "web.yaml:8:28 `API.test` is not canonical",
            "web.yaml:8:38 `no` is not text to every YAML reader",
            "web.yaml:8:51 a port is a number from 1 to 65535",
        ]
    );
    let found = compile(&files(rule, ""), at(NOW)).unwrap_err();
    assert_eq!(
        found[4].to_string(),
        "error: unknown key `purpos`\n  --> web.yaml:7:5\n   |\n 7 |     purpos: x\n   |     ^^^^^^\n   = why: what a misspelt key says would be dropped, a deny as well\n   = help: did you mean `purpose`?"
    );
}

#[test]
fn an_allow_says_everything_and_nothing_by_omission() {
    let bare = "  - {id: a, action: allow, purpose: x}\n";
    assert_eq!(
        of_rule(bare),
        [
            "an allow must name `identities`",
            "an allow must name `destinations`",
            "an allow must name `destinations.ports`",
            "an allow must name `data_classes`",
            "an allow must name `expires`",
        ]
    );
    let all = of_rule("  - {id: a, action: allow, trust_declared: maybe, destinations: {hosts: [a.test]}, x: 1}\n");
    for said in
        ["`purpose` is missing", "`true` or `false` is wanted here", "an allow must name `expires`", "unknown key `x`"]
    {
        assert!(all.iter().any(|text| text == said), "{said} in {all:?}");
    }
    assert_eq!(of_rule(&allow("a", API, "identities: []")), ["the list is empty"]);
    assert_eq!(of_rule(&allow("a", API, "identities: [{}]")), ["this entry names nobody"]);
    assert_eq!(
        of_rule(&allow("a", API, "data_classes: [public]")),
        ["a bare list of data classes can be read two ways"]
    );
    assert_eq!(
        of_rule(&allow("a", API, "data_classes: {at_most: [secret]}")),
        ["`secret` is not a data class of this bundle"]
    );
    assert_eq!(
        of_rule(&allow("a", API, "anyone: true\nidentities: [{id: anonymous}]")),
        ["`anyone` beside `identities`"]
    );
    for label in ["in", "a-b", "\"1\"", "a.b/c", "é"] {
        let found = of_rule(&allow("a", API, &format!("identities: [{{labels: {{{label}: x}}}}]")));
        assert_eq!(found, [format!("`{}` is not a label name", label.trim_matches('"'))]);
    }
    assert_eq!(of_rule(&allow("a", API, "review_by: \"2031-01-01T00:00:00Z\"")), ["`review_by` is for denies"]);
    assert_eq!(
        of_rule(&allow("a", API, "data_classes: {at_most: [public], any_of: [internal]}")),
        ["this rule can never match: no class is in both lists"]
    );
}

#[test]
fn a_condition_must_fit_the_hosts_that_are_named() {
    let never = ["this rule can never match"];
    let when = |hosts: &str, when: &str| {
        of_rule(&allow("a", &format!("hosts: [{hosts}], ports: [443]"), &format!("when: '{when}'")))
    };
    assert_eq!(when("\"api.test\"", "destination.host == \"other.test\""), never);
    assert_eq!(when("\"*.api.test\"", "destination.host.within(\"other.test\")"), never);
    assert_eq!(when("\"api.test\"", "false"), never);
    assert_eq!(when("\"**.api.test\"", "destination.host.within(\"a.b.api.test\")"), [""; 0]);
    assert_eq!(when("\"**.api.test\"", "destination.host.within(\"test\")"), [""; 0]);
    assert_eq!(when("\"api.test\"", "destination.host in [\"x.test\", \"api.test\"]"), [""; 0]);
}

#[test]
fn a_deny_never_ends() {
    let deny = |more: &str| deny("a", &format!("destinations: {{hosts: [\"api.test\"]}}\n{more}"));
    for key in ["expires", "issued"] {
        let found = of_rule(&deny(&format!("{key}: \"2030-02-01T00:00:00Z\"")));
        assert_eq!(found, ["a deny has neither `expires` nor `issued`"]);
    }
    assert_eq!(of_rule(&deny("evidence: synced")), ["`evidence` is for allows"]);
    assert_eq!(of_rule(&deny("trust_declared: true")), ["a deny always reads the registered classes"]);
    let overdue = compiled(&files(&deny("review_by: \"2029-12-31T00:00:00Z\""), ""));
    assert_eq!(overdue.warnings[0].message, "the review of `a` is overdue");
}

#[test]
fn what_is_not_enforced_is_not_read() {
    for (more, what) in [("inspect: required", "inspect: required"), ("egress_point: eu-west", "egress_point: eu-west")]
    {
        let found = of_rule(&allow("a", API, more));
        assert_eq!(found, [format!("`{what}` is not supported yet")], "{more}");
    }
    assert_eq!(of_rule(&allow("a", API, "inspect: never\negress_point: direct\nenforcement: enforce")), [""; 0]);
    assert_eq!(of_rule(&allow("a", API, "evidence: synced")), [""; 0]);
    assert_eq!(of_rule(&allow("a", API, "evidence: later")), ["`synced` is wanted here"]);
}

#[test]
fn permissions_do_not_outlive_their_ceiling() {
    let ends = |destinations: &str, more: &str| of_rule(&allow("a", destinations, more));
    let class = "data_classes: {at_most: [public, pii]}";
    let deep = "hosts: [\"**.api.test\"], ports: [443]";
    assert_eq!(ends(API, "expires: \"2031-01-01T00:00:00Z\""), [""; 0]);
    assert_eq!(ends(API, "expires: \"2031-01-01T00:00:01Z\""), ["this lives longer than rules may: 365d after now"]);
    assert_eq!(ends(deep, "expires: \"2030-04-01T00:00:00Z\""), [""; 0]);
    assert_eq!(
        ends(deep, "expires: \"2030-04-02T00:00:00Z\""),
        ["this lives longer than hosts with `**.` may: 90d after now"]
    );
    assert_eq!(
        ends(API, &format!("{class}\nexpires: \"2030-02-01T00:00:00Z\"")),
        ["this lives longer than data class `pii` may: 30d after now"]
    );
    assert_eq!(
        ends(API, "issued: \"2029-12-01T00:00:00Z\"\nexpires: \"2030-12-02T00:00:00Z\""),
        ["this lives longer than rules may: 365d after `issued`"]
    );
    assert_eq!(ends(API, "issued: \"2030-01-01T00:00:01Z\""), ["`issued` lies in the future"]);
    assert_eq!(
        ends(API, "issued: \"2029-12-01T00:00:00Z\"\nexpires: \"2029-11-01T00:00:00Z\""),
        ["this rule can never match: it ends before it begins"]
    );
    let expired = compiled(&files(&allow("a", API, "expires: \"2029-12-31T00:00:00Z\""), ""));
    assert_eq!(expired.warnings[0].message, "`a` has expired");
}

#[test]
fn a_rule_outside_its_scope_is_an_error() {
    let host = "hosts: [\"a.narrow.test\"], ports: [443]";
    assert_eq!(of_narrow(&allow("a", host, "")), [""; 0]);
    let outside = |what: &str| [format!("`{what}` is outside the fragment's scope")];
    for hosts in ["evil.test", "*.test", "**.test", "evilnarrow.test"] {
        assert_eq!(of_narrow(&allow("a", &format!("hosts: [\"{hosts}\"], ports: [443]"), ""))[0], outside(hosts)[0]);
    }
    for id in ["token:x", "spiffe://t.test/ns/**", "spiffe://t.test/ns/web", "spiffe://other.test/ns/web/x"] {
        assert_eq!(of_narrow(&allow("a", host, &format!("identities: [{{id: \"{id}\"}}]"))), outside(id));
    }
    assert_eq!(of_narrow(&allow("a", host, "anyone: true")), outside("anyone"));
    assert_eq!(
        of_narrow(&deny("a", "destinations: {hosts: [\"narrow.test\"]}\ndata_classes: {any_of: [pii]}")),
        outside("pii")
    );
    assert_eq!(
        of_narrow(&allow("a", host, "data_classes: {any_of: [public]}")),
        ["`any_of` alone allows data classes outside the fragment's scope"]
    );
    for cidr in ["10.0.0.0/8", "10.2.0.0/16", "8.8.8.0/24"] {
        assert_eq!(of_narrow(&allow("a", &format!("cidrs: [\"{cidr}\"], ports: [443]"), "")), outside(cidr));
    }
    assert_eq!(
        of_narrow(&allow("a", "hosts: [\"narrow.test\"], cidrs: [\"10.2.0.0/16\"], ports: [1]", "")),
        outside("10.2.0.0/16")
    );
    assert_eq!(of_narrow(&allow("a", "hosts: [\"narrow.test\"], cidrs: [\"8.8.8.0/24\"], ports: [1]", "")), [""; 0]);
    assert_eq!(of_narrow(&deny("a", "when: destination.host == \"evil.test\"")), outside("evil.test"));
    assert_eq!(of_narrow(&deny("a", "when: destination.host.within(\"narrow.test\")")), [""; 0]);
    assert_eq!(of_narrow(&deny("a", "destinations: {ports: [25]}")), ["this rule has neither a host nor a CIDR key"]);
}

#[test]
fn any_destination_means_any_network_that_a_rule_names() {
    for cidr in ["10.1.0.0/16", "fd00::/8", "2001:db8::/32", "8.8.8.0/24"] {
        let found = of_rule(&allow("a", &format!("hosts: [\"api.test\"], cidrs: [\"{cidr}\"], ports: [443]"), ""));
        assert_eq!(found, [""; 0], "{cidr}");
    }
    assert_eq!(of_rule(&allow("a", "hosts: [\"api.test\"], cidr_sets: [lan], ports: [443]", "")), [""; 0]);
    assert_eq!(of_rule(&deny("a", "destinations: {cidrs: [\"10.0.0.0/8\"]}")), [""; 0]);
}

#[test]
fn no_rule_names_what_never_opens() {
    for cidr in ["169.254.169.254/32", "169.254.0.0/16", "224.0.0.0/8", "fe80::/64", "100.100.100.200/32", "4000::/3"] {
        let found = of_narrow(&allow("a", &format!("cidrs: [\"{cidr}\"], ports: [443]"), ""));
        assert!(found.iter().any(|text| text.contains("can never be opened")), "{cidr}: {found:?}");
    }
    for (cidr, what) in [
        ("10.0.0.1/8", "has bits set beyond its prefix"),
        ("::ffff:10.0.0.0/104", "is IPv4 in another form"),
        ("10.0.0.0", "is not a network"),
        ("10.0.0.0/33", "is not a network"),
    ] {
        let found = of_narrow(&allow("a", &format!("cidrs: [\"{cidr}\"], ports: [443]"), ""));
        assert!(found.contains(&format!("`{cidr}` {what}")), "{found:?}");
    }
}

#[test]
fn a_fragment_is_listed_and_a_guardrail_only_denies() {
    let mut unlisted = files(&allow("a", API, ""), "");
    unlisted[3].text = String::from_utf8(unlisted[3].text.clone()).unwrap().replace("id: web", "id: rogue").into();
    assert_eq!(problems(&unlisted), ["web.yaml:3:16 the fragment `rogue` is not listed in the bundle"]);
    assert_eq!(of_guardrail(&allow("a", API, "")), ["a guardrail can only deny"]);
    assert_eq!(of_guardrail(&deny("a", "lifted_by: [exception, grant]\nwhen: tls.ech")), [""; 0]);
    assert_eq!(of_guardrail(&deny("a", "lifted_by: [me]\nwhen: tls.ech")), ["nothing else lifts a guardrail"]);
    assert_eq!(of_rule(&deny("a", "lifted_by: []\nwhen: destination.host == \"a.test\"")), ["unknown key `lifted_by`"]);
}

#[test]
fn ids_name_one_thing() {
    let twice = allow("a", API, "") + &allow("a", API, "");
    assert_eq!(of_rule(&twice), ["another rule of this file has the id `a`"]);
    let mut again = files(&allow("a", API, ""), "");
    again.push(file("z.yaml", &String::from_utf8(again[3].text.clone()).unwrap()));
    assert_eq!(problems(&again), ["z.yaml:3:16 another file has the id `web`"]);
    let mut two = files("", "");
    two.push(file("z.yaml", &String::from_utf8(two[0].text.clone()).unwrap().replace("id: test", "id: other")));
    assert_eq!(problems(&two), ["z.yaml:4:16 the bundle has two files of kind `Bundle`"]);
    let found = problems(&[file("a.yaml", "apiVersion: gatepass/v1\nkind: Fragmnt\nmetadata: {id: x}\n")]);
    assert_eq!(found, ["a.yaml:2:7 `Fragmnt` is not a kind of policy file"]);
    let found = problems(&[file("a.yaml", "apiVersion: gatepass/v2\nkind: Bundle\n")]);
    assert_eq!(found, ["a.yaml:1:13 `gatepass/v2` is a later version of this language than this gateway reads"]);
    for other in ["gatepass/v1beta1", "gatepass/v0", "gatepass", "v1"] {
        let found = problems(&[file("a.yaml", &format!("apiVersion: {other}\nkind: Bundle\n"))]);
        assert_eq!(found, [format!("a.yaml:1:13 `{other}` is not a version of this language")]);
    }
}

#[test]
fn an_expression_is_checked_where_it_stands() {
    let rule = allow("a", API, "when: 'tls.sni == destination.hots'");
    let found = compile(&files(&rule, ""), at(NOW)).unwrap_err();
    assert_eq!((found[0].line, found[0].column), (12, 23), "{}", found[0]);
    let found = of_rule(&allow("a", API, "when: request.method == \"GET\""));
    assert_eq!(found, ["this looks at the request of a tunnel"]);
    assert_eq!(of_rule(&allow("a", API, "when: request.protocol == \"http\" && request.method == \"GET\"")), [""; 0]);
    let found = of_rule(&deny("a", "destinations: {hosts: [\"api.test\"]}\nwhen: request.path == \"/\""));
    assert_eq!(found, ["this looks at the request of a tunnel"]);
}

#[test]
fn rules_that_every_decision_judges_are_few() {
    let guard = |n: usize| -> String { (0..n).map(|i| deny(&format!("g{i}"), "when: tls.ech")).collect() };
    assert!(compile(&files("", &guard(1000)), at(NOW)).is_ok());
    assert_eq!(of_guardrail(&guard(1001)), ["more than 1000 rules have neither a host nor a CIDR key"]);
}

#[test]
fn hostile_text_is_an_error_and_never_a_crash() {
    for text in
        ["[[[[[", "{a: {b: {c", "\u{0}", "- - - - -", "a: |", "&a [*a]", "? ? ? ?", "kind: [Bundle]", "apiVersion: {}"]
    {
        assert!(compile(&[file("a.yaml", text)], at(NOW)).is_err(), "{text:?}");
    }
    let deep = format!("kind: {}", "[".repeat(50_000));
    assert!(compile(&[file("a.yaml", &deep)], at(NOW)).is_err());
    let when = format!("when: \"{}tls.ech\"", "!(".repeat(2000));
    assert!(!of_rule(&allow("a", API, &when)).is_empty());
}

#[test]
fn a_time_is_utc_and_lies_within_the_years_that_there_are() {
    for (end, problem) in [
        ("2030-06-30T00:00:00Z", ""),
        ("2030-06-30T23:59:59.999Z", ""),
        ("2030-06-30T02:00:00+02:00", "this is not a moment in UTC"),
        ("2030-03-31T02:30:00", "this is not a moment in UTC"),
        ("2030-03-31T02:30:00[Europe/Berlin]", "this is not a moment in UTC"),
        ("2030-02-30T00:00:00Z", "this is not a moment in UTC"),
        ("10000-01-01T00:00:00Z", "this is not a moment in UTC"),
        ("2038-01-19T03:14:08Z", "this lives longer than rules may"),
        ("9999-12-30T00:00:00Z", "this lives longer than rules may"),
    ] {
        let found = of_rule(&allow("a", API, &format!("expires: \"{end}\"")));
        let told = found.first().map_or("", String::as_str);
        assert!(told.contains(problem) && told.is_empty() == problem.is_empty(), "{end}: {found:?}");
    }
}
