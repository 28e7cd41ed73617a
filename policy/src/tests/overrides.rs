//! Grants, exceptions and modes: what they open, and above all what they do not.

use super::world::{WEB, allow, asks, asks_as, at, file, files, policy, problems, resolved, said, with_sni};
use crate::decision::{Factors, Keeping, RuleInfo, Verdict};
use crate::facts::Facts;
use crate::overrides::{Kind, Override, Spec};
use crate::{PolicySet, SourceFile, compile};

const END: &str = "2030-01-01T01:00:00Z";

fn spec(hosts: &[&str]) -> Spec {
    Spec {
        identities: vec![WEB.to_owned()],
        hosts: hosts.iter().map(ToString::to_string).collect(),
        cidrs: Vec::new(),
        ports: vec![443],
        data_classes: vec!["public".to_owned(), "internal".to_owned()],
    }
}

fn named(path: &str) -> RuleInfo {
    RuleInfo {
        path: path.into(),
        owner: "ops@t.test".into(),
        purpose: "incident".into(),
        ticket: None,
        expires: Some(at(END)),
    }
}

fn grant(spec: &Spec) -> Override {
    Override::new(Kind::Grant, named("grant/g1"), spec).unwrap()
}

fn exception(kind: Kind, spec: &Spec) -> Override {
    Override::new(kind, named("exception/e1"), spec).unwrap()
}

/// What is said under overrides, and that the policy takes them all.
#[track_caller]
fn under(set: &PolicySet, mode: &str, overrides: &[Override], facts: &Facts) -> String {
    let (laid, dormant) = set.lay(mode, overrides);
    assert!(dormant.is_empty(), "{dormant:?}");
    said(&set.decide_under(&Facts { mode: mode.into(), ..facts.clone() }, &laid))
}

/// Facts of which everything is known.
fn known(set: &PolicySet, to: &str) -> Facts {
    let facts = asks(set, to);
    let sni = facts.destination.host.name().map(str::to_owned);
    with_sni(&resolved(&facts, &["1.1.1.1"]), sni.as_deref())
}

fn deny(id: &str, lifted_by: &str) -> String {
    format!(
        "  - {{id: {id}, action: deny, purpose: test, review_by: \"2031-01-01T00:00:00Z\", lifted_by: {lifted_by}, when: 'destination.host.within(\"api.test\")'}}"
    )
}

#[test]
fn a_grant_allows_what_no_rule_does_until_its_end_and_no_longer() {
    let set = policy("", "");
    let facts = known(&set, "api.test:443");
    let grants = [grant(&spec(&["api.test"]))];
    assert_eq!(said(&set.decide(&facts)), "deny no_rule - at tls");
    assert_eq!(under(&set, "normal", &grants, &facts), "allow grant grant/g1 at tls");
    let (laid, _) = set.lay("normal", &grants);
    let Verdict::Allow(decision) = set.decide_under(&facts, &laid) else { panic!("it is allowed") };
    assert_eq!(decision.keeping, Keeping::Synced, "what a grant carries is on the disk first");
    let last = Facts { now: at("2030-01-01T00:59:59.999999Z"), ..facts.clone() };
    assert_eq!(under(&set, "normal", &grants, &last), "allow grant grant/g1 at tls");
    let over = Facts { now: at(END), ..facts };
    assert_eq!(under(&set, "normal", &grants, &over), "deny no_rule - at tls");
    assert_eq!(laid.next_end(at("2030-01-01T00:00:00Z")), Some(at(END)));
    assert_eq!(laid.next_end(at(END)), None);
}

#[test]
fn a_grant_covers_nobody_and_nothing_else() {
    let set = policy("", "");
    let grants = [grant(&spec(&["api.test"]))];
    for facts in [
        known(&set, "api.test:22"),
        known(&set, "b.api.test:443"),
        asks_as(&set, "spiffe://t.test/ns/web/sa/other", "api.test:443"),
    ] {
        assert!(under(&set, "normal", &grants, &facts).starts_with("deny no_rule"), "{:?}", facts.destination);
    }
    let narrow = Spec { data_classes: vec!["public".to_owned()], ..spec(&["api.test"]) };
    assert_eq!(under(&set, "normal", &[grant(&narrow)], &known(&set, "api.test:443")), "deny no_rule - at tls");
}

#[test]
fn a_covering_grant_keeps_the_stages_open_and_asks_for_addresses_first() {
    let set = policy("", "");
    let grants = [grant(&spec(&["api.test"]))];
    assert_eq!(under(&set, "normal", &grants, &asks(&set, "api.test:443")), "pending dns.answers");
}

#[test]
fn only_guardrails_that_list_it_are_lifted_and_a_team_deny_never() {
    for (lifted_by, granted, excepted) in [
        ("[]", "deny guardrail guard/d at tls", "deny guardrail guard/d at tls"),
        ("[exception]", "deny guardrail guard/d at tls", "allow allowed web/a at tls"),
        ("[grant]", "allow grant grant/g1 at tls", "deny guardrail guard/d at tls"),
        ("[exception, grant]", "allow grant grant/g1 at tls", "allow allowed web/a at tls"),
    ] {
        let set = policy(&allow("a", "hosts: [api.test], ports: [443]", ""), &deny("d", lifted_by));
        let facts = known(&set, "api.test:443");
        assert_eq!(said(&set.decide(&facts)), "deny guardrail guard/d at tls");
        assert_eq!(under(&set, "normal", &[grant(&spec(&["api.test"]))], &facts), granted, "{lifted_by}");
        let lifting = exception(Kind::Lifts("guard/d".into()), &spec(&["api.test"]));
        let (laid, dormant) = set.lay("normal", std::slice::from_ref(&lifting));
        assert_eq!(said(&set.decide_under(&facts, &laid)), excepted, "{lifted_by}");
        assert_eq!(dormant.is_empty(), lifted_by.contains("exception"), "{dormant:?}");
    }
    let team = "  - {id: never, action: deny, purpose: test, destinations: {hosts: [api.test]}}";
    let set = policy(team, "");
    let all = [grant(&spec(&["api.test"])), exception(Kind::Permits("web".into()), &spec(&["api.test"]))];
    assert_eq!(under(&set, "normal", &all, &known(&set, "api.test:443")), "deny team_deny web/never at tls");
}

#[test]
fn no_override_opens_the_floor() {
    let set = policy("", "");
    let all = [grant(&spec(&["api.test"])), exception(Kind::Permits("web".into()), &spec(&["api.test"]))];
    let facts = known(&set, "api.test:443");
    for address in ["169.254.169.254", "10.1.2.3", "127.0.0.1"] {
        let facts = Facts { resolved: resolved(&facts, &[address]).resolved, ..facts.clone() };
        assert_eq!(under(&set, "normal", &all, &facts), "deny address_floor - at tls", "{address}");
        let facts = Facts { resolved: resolved(&facts, &["1.1.1.1", address]).resolved, ..facts };
        assert_eq!(under(&set, "normal", &all, &facts), "deny address_floor - at tls", "{address}");
    }
    // Where a rule opens the address, what a grant lifts is flagged as the grant's.
    let rule = allow("a", "hosts: [api.test], cidrs: [\"10.0.0.0/8\"], ports: [443]", "");
    let opened = policy(&rule, &deny("d", "[grant]"));
    let inside = Facts { resolved: resolved(&facts, &["10.1.2.3"]).resolved, ..known(&opened, "api.test:443") };
    assert_eq!(said(&opened.decide(&inside)), "deny guardrail guard/d at tls");
    assert_eq!(under(&opened, "normal", &[grant(&spec(&["api.test"]))], &inside), "allow grant grant/g1 at tls");
    let outside = Facts { resolved: resolved(&facts, &["192.168.1.1"]).resolved, ..inside };
    assert_eq!(under(&opened, "normal", &[grant(&spec(&["api.test"]))], &outside), "deny address_floor - at tls");
    let literal = Spec { hosts: Vec::new(), cidrs: vec!["10.0.0.0/8".to_owned()], ..spec(&[]) };
    let facts = asks(&set, "10.1.2.3:443");
    assert_eq!(under(&set, "normal", &[grant(&literal)], &facts), "deny address_floor - at request");
}

#[test]
fn an_exception_permits_inside_the_scope_of_its_fragment() {
    let set = policy("", "");
    let permits = |fragment: &str, hosts: &[&str]| exception(Kind::Permits(fragment.into()), &spec(hosts));
    let facts = known(&set, "a.narrow.test:443");
    assert_eq!(
        under(&set, "normal", &[permits("narrow", &["a.narrow.test"])], &facts),
        "allow permitted exception/e1 at tls"
    );
    let over = Facts { now: at(END), ..facts.clone() };
    let one = [permits("narrow", &["a.narrow.test"])];
    assert_eq!(under(&set, "normal", &one, &over), "deny rule_expired exception/e1 at tls");
    for (outside, why) in [
        (permits("narrow", &["api.test"]), "`api.test` is outside the fragment's scope"),
        (permits("gone", &["a.narrow.test"]), "the policy has no fragment `gone`"),
    ] {
        let (laid, dormant) = set.lay("normal", &[outside]);
        assert_eq!(dormant[0].why, why);
        assert_eq!(said(&set.decide_under(&facts, &laid)), "deny no_rule - at tls");
    }
    let pii = Spec { data_classes: vec!["pii".to_owned()], ..spec(&["a.narrow.test"]) };
    let (_, dormant) = set.lay("normal", &[exception(Kind::Permits("narrow".into()), &pii)]);
    assert_eq!(dormant[0].why, "`pii` is outside the fragment's scope");
    let wide = Spec { identities: vec!["spiffe://t.test/**".to_owned()], ..spec(&["a.narrow.test"]) };
    let (_, dormant) = set.lay("normal", &[exception(Kind::Permits("narrow".into()), &wide)]);
    assert_eq!(dormant[0].why, "`spiffe://t.test/**` is outside the fragment's scope");
}

const MODES: &str = r#"modes:
  restricted: {allow_when: 'destination.tags.exists(t, t == "signed")'}
  lockdown: {allow_when: "false"}
  odd: {allow_when: 'request.method == "GET"'}
  late: {allow_when: 'tls.sni == destination.host'}
"#;

fn with(rules: &str, guardrails: &str, more: &str) -> Vec<SourceFile> {
    let mut files = files(rules, guardrails);
    let bundle = files.iter_mut().find(|file| file.name == "bundle.yaml").unwrap();
    bundle.text.extend(more.bytes());
    files
}

#[test]
fn a_mode_allows_what_its_condition_says_and_what_a_grant_does() {
    let both = [allow("a", "hosts: [api.test, other.test], ports: [443]", "")].concat();
    let set = compile(&with(&both, "", MODES), at("2030-01-01T00:00:00Z")).unwrap().set;
    assert_eq!(set.modes(), ["normal", "late", "lockdown", "odd", "restricted"]);
    let (tagged, other) = (known(&set, "api.test:443"), known(&set, "other.test:443"));
    assert_eq!(under(&set, "normal", &[], &other), "allow allowed web/a at tls");
    assert_eq!(under(&set, "restricted", &[], &tagged), "allow allowed web/a at tls");
    assert_eq!(under(&set, "restricted", &[], &other), "deny guardrail mode/restricted at tls");
    for facts in [&tagged, &other] {
        assert_eq!(under(&set, "lockdown", &[], facts), "deny guardrail mode/lockdown at tls");
    }
    let grants = [grant(&spec(&["other.test"]))];
    assert_eq!(under(&set, "lockdown", &grants, &other), "allow grant grant/g1 at tls");
    assert_eq!(under(&set, "lockdown", &grants, &tagged), "deny guardrail mode/lockdown at tls");
    let permits = [exception(Kind::Permits("web".into()), &spec(&["other.test"]))];
    assert_eq!(under(&set, "lockdown", &permits, &other), "deny guardrail mode/lockdown at tls");
}

#[test]
fn a_condition_of_a_mode_that_has_no_answer_forbids() {
    let rule = allow("a", "hosts: [api.test], ports: [443]", "");
    let set = compile(&with(&rule, "", MODES), at("2030-01-01T00:00:00Z")).unwrap().set;
    let facts = known(&set, "api.test:443");
    // A tunnel has no method: the condition is not true, whatever else it is.
    assert_eq!(under(&set, "odd", &[], &facts), "deny guardrail mode/odd at tls");
    assert_eq!(under(&set, "late", &[], &asks(&set, "api.test:443")), "pending dns.answers tls.sni");
    assert_eq!(under(&set, "late", &[], &facts), "allow allowed web/a at tls");
    assert_eq!(under(&set, "late", &[], &with_sni(&facts, None)), "deny guardrail mode/late at tls");
}

#[test]
fn a_mode_that_the_policy_lost_forbids_everything_but_grants() {
    let set = policy(&allow("a", "hosts: [api.test], ports: [443]", ""), "");
    let facts = known(&set, "api.test:443");
    let (laid, dormant) = set.lay("contained", &[]);
    assert_eq!(said(&set.decide_under(&facts, &laid)), "deny guardrail mode/contained at tls");
    assert!(dormant[0].why.contains("no mode `contained`"), "{dormant:?}");
    let (laid, _) = set.lay("contained", &[grant(&spec(&["api.test"]))]);
    assert_eq!(said(&set.decide_under(&facts, &laid)), "allow grant grant/g1 at tls");
}

#[test]
fn rules_may_ask_for_the_mode() {
    let rule = allow("a", "hosts: [api.test], ports: [443]", "when: mode == \"restricted\"");
    let set = compile(&with(&rule, "", MODES), at("2030-01-01T00:00:00Z")).unwrap().set;
    let facts = known(&set, "api.test:443");
    assert_eq!(under(&set, "normal", &[], &facts), "deny no_rule - at tls");
    assert_eq!(under(&set, "restricted", &[], &facts), "allow allowed web/a at tls");
}

#[test]
fn what_an_override_covers_is_named_in_full_and_is_never_everything() {
    let faults = |spec: Spec| {
        let found = Override::new(Kind::Grant, named("grant/g"), &spec).unwrap_err();
        found.into_iter().map(|fault| fault.field).collect::<Vec<_>>()
    };
    let all = ["identities", "destinations", "destinations.ports", "data_classes"];
    assert_eq!(faults(Spec::default()), all);
    for host in ["*", "", "*.", "**.", "*.test", "a b.test", "x\0.test", "169.254.169.254", "API.test"] {
        assert_eq!(faults(spec(&[host])), ["destinations.hosts"], "{host:?}");
    }
    assert_eq!(faults(Spec { ports: vec![0], ..spec(&["api.test"]) }), ["destinations.ports"]);
    let literal = |cidr: &str| Spec { hosts: Vec::new(), cidrs: vec![cidr.to_owned()], ..spec(&[]) };
    for cidr in ["0.0.0.0/0", "169.254.169.254/32", "::/0", "1.2.3.4/8", "x"] {
        assert_eq!(faults(literal(cidr)), ["destinations.cidrs"], "{cidr}");
    }
    let both = Spec { cidrs: vec!["192.0.2.0/24".to_owned()], ..spec(&["api.test"]) };
    assert_eq!(faults(both), ["destinations.cidrs"]);
    let (_, dormant) =
        policy("", "").lay("normal", &[grant(&Spec { data_classes: vec!["nuclear".into()], ..spec(&["api.test"]) })]);
    assert_eq!(dormant[0].why, "`nuclear` is not a data class of the policy");
}

#[test]
fn the_bundle_says_on_which_terms() {
    let more = "grants: {second_factor: totp, data_classes: {pii: approval}, approvers: [olga]}\nexceptions: {approvers: [max]}\n";
    let set = compile(&with("", "", more), at("2030-01-01T00:00:00Z")).unwrap().set;
    let factors = |classes: &[&str]| set.factors(&classes.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(factors(&["public"]), Factors::TOTP);
    assert_eq!(factors(&["public", "pii"]), Factors::BOTH);
    assert_eq!(set.grant_approvers(), Some(&["olga".into()][..]));
    assert_eq!(set.exception_approvers(Some("web")), Some(&["max".into()][..]));
    assert_eq!(policy("", "").factors(&["pii".to_owned()]), Factors::EITHER);
    for (more, problem) in [
        ("modes: {normal: {allow_when: \"true\"}}\n", "bundle.yaml:21:9 `normal` always exists, and restricts nothing"),
        ("modes: {a: {allow_when: \"nonsense\"}}\n", "bundle.yaml:21:26 `nonsense` is not an attribute"),
        ("grants: {second_factor: sms}\n", "bundle.yaml:21:25 `either`, `totp`, `approval` or `both` is wanted here"),
        ("exceptions: {approvers: []}\n", "bundle.yaml:21:25 the list is empty"),
        ("grants: {data_classes: {nuclear: totp}}\n", "bundle.yaml:21:25 `nuclear` is not a data class of this bundle"),
    ] {
        let found = problems(&with("", "", more));
        assert_eq!(found, [problem], "{more}");
    }
}

const EXCEPTIONS: &str = r#"
apiVersion: gatepass/v1
kind: Exceptions
metadata: {id: exceptions, owner: sec@t.test}
exceptions:
  - id: one
    permits: narrow
    identities: [{id: "spiffe://t.test/ns/web/sa/shop"}]
    destinations: {hosts: [a.narrow.test], ports: [443]}
    data_classes: {at_most: [public, internal]}
    reason: trial
    approved_by: [olga]
    expires: "2030-02-01T00:00:00Z"
"#;

#[test]
fn exceptions_of_the_bundle_hold_like_those_of_the_store() {
    let mut files = files("", "");
    files.push(file("exceptions.yaml", EXCEPTIONS));
    let set = compile(&files, at("2030-01-01T00:00:00Z")).unwrap().set;
    let facts = known(&set, "a.narrow.test:443");
    assert_eq!(said(&set.decide(&facts)), "allow permitted exceptions/one at tls");
    assert_eq!(under(&set, "normal", &[], &facts), "allow permitted exceptions/one at tls");
    let over = Facts { now: at("2030-02-01T00:00:00Z"), ..facts };
    assert_eq!(said(&set.decide(&over)), "deny rule_expired exceptions/one at tls");
    for (from, to, problem) in [
        ("permits: narrow", "permits: gone", "exceptions.yaml:7:14 the policy has no fragment `gone`"),
        ("permits: narrow", "lifts: guard/x", "exceptions.yaml:7:12 the policy has no guardrail `guard/x`"),
        ("    permits: narrow\n", "", "exceptions.yaml:6:5 this exception does nothing"),
        ("a.narrow.test", "api.test", "exceptions.yaml:6:9 `api.test` is outside the fragment's scope"),
        (
            "{id: \"",
            "{spiffe_id: \"spiffe://t.test/**\"}, {id: \"",
            "exceptions.yaml:6:9 `spiffe://t.test/**` is outside the fragment's scope",
        ),
        (
            "{id: \"",
            "{labels: {env: prod}}, {id: \"",
            "exceptions.yaml:6:9 `labels alone` is outside the fragment's scope",
        ),
        ("[olga]", "[]", "exceptions.yaml:12:18 the list is empty"),
        ("2030-02-01", "2032-02-01", "exceptions.yaml:13:14 this lives longer than exceptions may: 365d after now"),
        (", ports: [443]", "", "exceptions.yaml:6:9 an exception must name `destinations.ports`"),
    ] {
        let last = files.len() - 1;
        files[last].text = EXCEPTIONS.replacen(from, to, 1).into_bytes();
        assert_eq!(problems(&files), [problem], "{from} -> {to}");
    }
}
