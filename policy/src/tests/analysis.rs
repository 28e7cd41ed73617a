//! Reach, differences, invariants and reviews: against policies written by hand, and against brute force on random ones.

use proptest::prelude::*;

use super::properties::{Asked, Spec, config, numbered, set_of, spec};
use super::world::{NOW, WEB, allow, at, deny, policy};
use crate::PolicySet;
use crate::analysis::{Proof, Side, Turn, Why, diff, never_allow, reach_from, reach_to, review};
use crate::decision::Verdict;
use crate::expr::Expr;
use crate::facts::Facts;
use crate::host::Host;
use crate::pattern::{HostPattern, IdentityPattern};

fn side(set: &PolicySet) -> Side<'_> {
    Side::new(set, at(NOW))
}

fn ways_to(set: &PolicySet, host: &str) -> Vec<String> {
    let reach = reach_to(&side(set), &Host::parse(host.as_bytes()).unwrap(), None);
    assert!(reach.exactness.exact(), "{:?}", reach.exactness);
    reach.ways.iter().map(|way| format!("{} {:?} {}", way.who, way.ports, way.rule.path)).collect()
}

#[test]
fn who_can_reach_a_host_is_told_by_identity_port_and_rule() {
    let rules = allow("shop", "hosts: [\"a.test\"], ports: [443, 80]", "")
        + &allow(
            "web",
            "hosts: [\"*.test\"], ports: [443]",
            "identities: [{spiffe_id: \"spiffe://t.test/ns/web/**\"}]",
        )
        + &deny(
            "not",
            "identities: [{id: \"spiffe://t.test/ns/web/sa/shop\"}]\ndestinations: {hosts: [\"a.test\"], ports: [80]}",
        );
    let set = policy(&rules, "");
    assert_eq!(ways_to(&set, "a.test"), ["spiffe://t.test/ns/web/sa/shop {443} web/shop"]);
    assert_eq!(ways_to(&set, "z.example"), [""; 0]);
}

#[test]
fn a_way_tells_what_it_hangs_on() {
    let set = policy(&allow("shop", "hosts: [\"a.test\"], ports: [443]", "when: tls.sni == destination.host"), "");
    let reach = reach_to(&side(&set), &Host::parse(b"a.test").unwrap(), Some(443));
    let names: Vec<&str> = reach.ways[0].hangs_on.iter().map(|a| a.row().name).collect();
    assert_eq!(names, ["dns.answers", "tls.sni"]);
    assert!(reach.ways[0].witness.explain().contains("--sni a.test"), "{}", reach.ways[0].witness.explain());
}

#[test]
fn what_a_server_must_prove_is_what_a_way_hangs_on_and_what_a_difference_tells_apart() {
    let rule = |when: &str| policy(&allow("shop", "hosts: [\"a.test\"], ports: [443]", when), "");
    let (free, proved) = (rule(""), rule("when: upstream.verified"));
    let reach = reach_to(&side(&proved), &Host::parse(b"a.test").unwrap(), Some(443));
    let names: Vec<&str> = reach.ways[0].hangs_on.iter().map(|a| a.row().name).collect();
    assert!(names.contains(&"upstream.verified"), "{names:?}");
    assert!(reach.ways[0].witness.explain().contains("--upstream verified"), "{}", reach.ways[0].witness.explain());

    assert_eq!(changes(&free, &proved), [format!("- {WEB} -> a.test {{443}} web/shop => no_rule")]);
    let found = diff(&side(&proved), &side(&free));
    let shown = found.changes[0].witness.facts();
    assert!(denied(&proved, shown) && allows(&free, shown), "{shown:?}");
    assert!(found.changes[0].witness.explain().contains("--upstream "), "{}", found.changes[0].witness.explain());

    // Proof of the host is not proof of a name in the certificate, and the other way round.
    let named = rule("when: upstream.dns_sans.exists(n, n == destination.host)");
    let both = rule("when: upstream.verified && upstream.dns_sans.exists(n, n == destination.host)");
    assert_eq!(changes(&named, &both), [format!("- {WEB} -> a.test {{443}} web/shop => no_rule")]);
    assert_eq!(changes(&both, &proved), [format!("+ {WEB} -> a.test {{443}} no_rule => web/shop")]);
    assert_eq!(changes(&both, &both), [""; 0]);
}

#[test]
fn a_fingerprint_of_a_hello_is_a_class_of_its_own() {
    const ODD: &str = "t13d1516h2_8daaf6152771_e5627efa2ab1";
    let rule = |when: &str| policy(&allow("shop", "hosts: [\"a.test\"], ports: [443]", when), "");
    let (any, one, others) =
        (rule(""), rule(&format!("when: tls.ja4 == \"{ODD}\"")), rule(&format!("when: tls.ja4 != \"{ODD}\"")));
    assert_eq!(changes(&any, &others), [format!("- {WEB} -> a.test {{443}} web/shop => no_rule")]);
    let found = diff(&side(&any), &side(&others));
    let facts = found.changes[0].witness.facts();
    assert!(matches!(&facts.tls, Some(crate::facts::Tls::Hello(hello)) if hello.ja4.as_deref() == Some(ODD)));
    assert!(found.changes[0].witness.explain().contains(&format!("--ja4 {ODD}")), "{:?}", found.changes[0].witness);
    assert_eq!(changes(&one, &others).len(), 2, "one opens and one closes");
    let reach = reach_to(&side(&one), &Host::parse(b"a.test").unwrap(), Some(443));
    let names: Vec<&str> = reach.ways[0].hangs_on.iter().map(|a| a.row().name).collect();
    assert!(names.contains(&"tls.ja4"), "{names:?}");
}

#[test]
fn what_an_identity_can_reach_is_told_by_host() {
    let rules = allow("a", "hosts: [\"a.test\", \"**.b.test\"], ports: [443]", "")
        + &allow("other", "hosts: [\"c.test\"], ports: [443]", "identities: [{id: \"token:x\"}]")
        + &deny("not", "destinations: {hosts: [\"x.b.test\"]}");
    let set = policy(&rules, "");
    let reach = reach_from(&side(&set), WEB);
    let told: Vec<&str> = reach.ways.iter().map(|way| &*way.to).collect();
    assert_eq!(told, ["**.b.test", "a.test"]);
}

fn changes(old: &PolicySet, new: &PolicySet) -> Vec<String> {
    let found = diff(&side(old), &side(new));
    assert!(found.exactness.exact(), "{:?}", found.exactness);
    let line = |c: &crate::analysis::Change| {
        let turn = if c.turn == Turn::Opened { '+' } else { '-' };
        let by = |said: &crate::analysis::Said| said.rule.as_deref().unwrap_or(said.reason).to_owned();
        format!("{turn} {} -> {} {:?} {} => {}", c.who, c.to, c.ports, by(&c.before), by(&c.after))
    };
    found.changes.iter().map(line).collect()
}

#[test]
fn a_difference_is_what_opens_and_what_closes_each_with_a_witness() {
    let old = policy(&allow("a", "hosts: [\"a.test\"], ports: [443]", ""), "");
    let new = policy(&allow("a", "hosts: [\"a.test\"], ports: [443, 22]", ""), "");
    assert_eq!(changes(&old, &new), [format!("+ {WEB} -> a.test {{22}} no_rule => web/a")]);
    assert_eq!(changes(&new, &old), [format!("- {WEB} -> a.test {{22}} web/a => no_rule")]);
    let quiet = policy(&allow("a", "hosts: [\"a.test\"], ports: [443]", "ticket: X-1"), "");
    assert_eq!(changes(&old, &quiet), [""; 0]);
}

#[test]
fn an_answer_that_only_several_addresses_show_is_found() {
    let lans = |id: &str, cidrs: &str| allow(id, &format!("hosts: [\"a.test\"], cidrs: [{cidrs}], ports: [443]"), "");
    let old = policy(&(lans("one", "\"10.1.0.0/24\"") + &lans("two", "\"10.2.0.0/24\"")), "");
    let new = policy(&lans("both", "\"10.1.0.0/24\", \"10.2.0.0/24\""), "");
    let found = diff(&side(&old), &side(&new));
    assert_eq!(found.changes.len(), 1, "{found:?}");
    assert_eq!(found.changes[0].witness.facts().resolved.as_ref().unwrap().answers.len(), 2);
}

#[test]
fn absent_names_and_labels_are_classes_of_their_own() {
    let rule = |when: &str| policy(&allow("a", "hosts: [\"a.test\"], ports: [443]", &format!("when: {when}")), "");
    let found = changes(&rule("tls.sni == destination.host"), &rule("tls.sni == null || tls.sni == destination.host"));
    assert_eq!(found, [format!("+ {WEB} -> a.test {{443}} no_rule => web/a")]);
    let labelled = |labels: &str| {
        policy(
            &allow(
                "a",
                "hosts: [\"a.test\"], ports: [443]",
                &format!("identities: [{labels}]\ndata_classes: {{at_most: [public, internal, unclassified]}}"),
            ),
            "",
        )
    };
    let found = changes(&labelled("{labels: {env: prod}}"), &labelled("{spiffe_id: \"spiffe://t.test/**\"}"));
    assert!(found.iter().any(|line| line.starts_with("+ spiffe://t.test/")), "{found:?}");
}

#[test]
fn a_regular_expression_makes_an_answer_approximate() {
    let rule = |when: &str| policy(&allow("a", "hosts: [\"a.test\"], ports: [443]", when), "");
    let (old, new) = (rule(""), rule("when: tls.sni.matches('^a[.]test$')"));
    assert_eq!(diff(&side(&old), &side(&new)).exactness.vague, ["tls.sni"]);
}

fn proved(set: &PolicySet, condition: &str) -> String {
    match never_allow(&side(set), &Expr::parse(condition).unwrap()) {
        Proof::Holds => "holds".to_owned(),
        Proof::Broken(witness, rule) => format!("{} by {}", witness.destination(), rule.unwrap().path),
        Proof::Errs(_, why) => format!("errs: {why}"),
        Proof::Unproved(exactness) => format!("unproved: {:?}", exactness.vague),
    }
}

#[test]
fn an_invariant_is_proved_or_broken_by_a_connection() {
    let set = policy(
        &(allow("a", "hosts: [\"a.test\", \"*.b.test\"], ports: [443]", "")
            + &allow("c", "hosts: [\"c.test\"], ports: [443]", "data_classes: {at_most: [public]}")),
        "",
    );
    assert_eq!(proved(&set, "destination.port == 22"), "holds");
    assert_eq!(proved(&set, "destination.host.within('c.test')"), "holds");
    assert_eq!(proved(&set, "destination.host.within('b.test')"), "any.b.test:443 by web/a");
    assert_eq!(
        proved(&set, "data_classes.exists(c, c == 'internal') && destination.host != 'a.test'"),
        "any.b.test:443 by web/a"
    );
    assert_eq!(proved(&set, "!identity.id.startsWith('spiffe://t.test/ns/web/')"), "holds");
    assert_eq!(proved(&set, "identity.labels.nothing == 'x'"), "errs: the map has no such key");
    assert_eq!(proved(&set, "tls.sni != destination.host"), "a.test:443 by web/a");
    assert_eq!(proved(&set, "destination.host.matches('^z[.]test$')"), "unproved: [\"destination.host\"]");
}

#[test]
fn a_review_names_allows_of_no_use_and_why() {
    let rules = allow("wide", "hosts: [\"**.a.test\"], ports: [443]", "")
        + &allow("narrow", "hosts: [\"x.a.test\"], ports: [443]", "")
        + &allow("denied", "hosts: [\"d.test\"], ports: [443]", "")
        + &allow("floor", "hosts: [\"f.test\"], ports: [443]", "when: dns.answers.all(ip, ip == ip('127.0.0.1'))")
        + &allow("never", "hosts: [\"n.test\"], ports: [443]", "when: destination.port < 443")
        + &allow("good", "hosts: [\"g.test\"], ports: [443]", "")
        + &deny("d", "destinations: {hosts: [\"d.test\"]}");
    let set = policy(&rules, "");
    let found = review(&side(&set));
    let told: Vec<(&str, Why)> = found.useless.iter().map(|one| (&*one.rule, one.why)).collect();
    assert_eq!(
        told,
        [
            ("web/denied", Why::Denied),
            ("web/floor", Why::Denied),
            ("web/narrow", Why::Shadowed),
            ("web/never", Why::Unsatisfiable)
        ]
    );
    let paths: Vec<&[Box<str>; 2]> = found.overlaps.iter().map(|one| &one.rules).collect();
    assert_eq!(paths, [&["web/narrow".into(), "web/wide".into()]]);
}

#[test]
fn what_ends_before_a_moment_is_a_difference_of_moments() {
    let rules = allow("a", "hosts: [\"a.test\"], ports: [443]", "expires: \"2030-01-10T00:00:00Z\"")
        + &allow("b", "hosts: [\"b.test\"], ports: [443]", "expires: \"2030-01-10T00:00:00Z\"")
        + &allow("c", "hosts: [\"b.test\"], ports: [443]", "");
    let set = policy(&rules, "");
    let later = Side::new(&set, at("2030-01-15T00:00:00Z"));
    let found = diff(&side(&set), &later);
    let told: Vec<&str> = found.changes.iter().map(|change| &*change.to).collect();
    assert_eq!(told, ["a.test"]);
    assert_eq!(found.edits.changed.len(), 2);
}

/// What servers prove, where some rule asks, and otherwise one that proves the host.
fn proofs<'s>(specs: impl IntoIterator<Item = &'s (usize, Spec)>) -> &'static [Option<Option<bool>>] {
    let asked = specs.into_iter().any(|(_, spec)| spec.asks_for_proof());
    if asked { &[Some(Some(true)), Some(Some(false)), Some(None)] } else { &[Some(Some(true))] }
}

#[test]
fn what_stands_for_the_unnamed_is_named_by_no_rule() {
    let rules = allow("wide", "hosts: [\"**.b.test\"], ports: [443]", "");
    for denied in ["\"*.b.test\", \"any.any.b.test\"", "\"*.b.test\", \"*.any.b.test\""] {
        let guard =
            format!("  - {{id: g, action: deny, purpose: test, lifted_by: [], destinations: {{hosts: [{denied}]}}}}\n");
        let set = policy(&rules, &guard);
        assert!(proved(&set, "destination.port == 443").contains("by web/wide"), "{denied}");
        assert!(!reach_from(&side(&set), WEB).ways.is_empty(), "{denied}");
    }
}

#[test]
fn what_only_another_protocol_lets_through_is_found() {
    let deny = |id: &str, protocol: &str| {
        format!(
            "  - {{id: {id}, action: deny, purpose: test, lifted_by: [], when: 'request.protocol == \"{protocol}\"'}}\n"
        )
    };
    let set =
        policy(&allow("a", "hosts: [\"a.test\"], ports: [443]", ""), &(deny("c", "connect") + &deny("h", "http")));
    assert!(proved(&set, "destination.port == 443").contains("by web/a"));
}

#[test]
fn texts_that_must_have_several_parts_are_found() {
    let when = "when: 'request.protocol == \"http\" && request.path.startsWith(\"/api/\") && request.path.contains(\"m1\") && request.path.contains(\"n1\")'";
    let set = policy(&allow("a", "hosts: [\"a.test\"], ports: [80]", when), "");
    assert!(proved(&set, "destination.port == 80").contains("by web/a"));
    let when = "when: 'request.protocol == \"http\" && has(request.headers.x) && request.headers.x == \"\"'";
    let set = policy(&allow("a", "hosts: [\"a.test\"], ports: [80]", when), "");
    assert!(proved(&set, "destination.port == 80").contains("by web/a"));
}

#[test]
fn what_is_looked_into_or_compared_with_other_things_is_not_called_exact() {
    let wide = |when: &str| policy(&allow("a", "hosts: [\"**.b.test\"], ports: [443]", when), "");
    let plain = wide("");
    for condition in [
        "destination.registered_domain != null && destination.registered_domain.startsWith('zz')",
        "identity.trust_domain != null && identity.trust_domain.startsWith('zz')",
    ] {
        assert!(proved(&plain, condition).starts_with("unproved"), "{condition}: {}", proved(&plain, condition));
    }
    let compared = wide("when: destination.host == identity.labels.env");
    assert!(!reach_from(&side(&compared), WEB).exactness.exact());
}

#[test]
fn limits_are_an_edit_and_make_an_allow_needed() {
    let limited = |limits: &str| allow("a", "hosts: [\"a.test\"], ports: [443]", limits);
    let (old, new) = (policy(&limited("limits: {connections: 1}"), ""), policy(&limited(""), ""));
    assert_eq!(diff(&side(&old), &side(&new)).edits.changed.len(), 1);
    let both =
        policy(&(limited("limits: {connections: 1}") + &allow("b", "hosts: [\"a.test\"], ports: [443]", "")), "");
    let found = review(&side(&both));
    assert_eq!(found.useless.iter().map(|one| &*one.rule).collect::<Vec<_>>(), ["web/b"]);
}

/// Every connection out of the pools that random policies are made of, with all facts known.
fn everything(proofs: &[Option<Option<bool>>]) -> Vec<Asked> {
    let answers = [
        vec!["1.1.1.1"],
        vec!["8.8.8.8", "8.8.8.9"],
        vec!["10.1.2.3"],
        vec!["10.1.2.3", "10.9.9.9"],
        vec!["1.1.1.1", "10.1.2.3"],
    ];
    let mut all = Vec::new();
    for who in
        [WEB, "spiffe://t.test/ns/web/sa/other", "spiffe://t.test/ns/other/sa/x", "token:a", "token:b", "anonymous"]
    {
        for host in ["a.test", "b.a.test", "c.b.a.test", "z.test", "other.test", "8.8.8.8", "10.1.2.3"] {
            for port in [443u16, 80, 22] {
                for answers in &answers {
                    for tls in [None, Some(None), Some(Some("a.test")), Some(Some("b.a.test"))] {
                        // Without TLS nobody proves anything.
                        let proofs = if tls.is_none() { &proofs[..1] } else { proofs };
                        let each = proofs.iter().flat_map(|proved| [(*proved, false), (*proved, true)]);
                        all.extend(each.map(|(proved, declared)| Asked {
                            who,
                            host,
                            port,
                            answers: Some(answers.clone()),
                            http: tls.is_none(),
                            tls,
                            proved,
                            declared,
                            now: NOW,
                        }));
                    }
                }
            }
        }
    }
    all
}

fn allows(set: &PolicySet, facts: &Facts) -> bool {
    match set.decide(facts) {
        Verdict::Allow(_) => true,
        Verdict::Deny(_) => false,
        Verdict::Pending(missing) => panic!("{missing:?} is known"),
    }
}

fn denied(set: &PolicySet, facts: &Facts) -> bool {
    matches!(set.decide(facts), Verdict::Deny(_))
}

fn names(label: &str, host: &Host) -> bool {
    match host {
        Host::Name(_) => HostPattern::parse(label).is_ok_and(|pattern| pattern.matches(host)),
        Host::Ip(ip) => label.parse::<ipnet::IpNet>().is_ok_and(|network| network.contains(ip)),
    }
}

fn means(label: &str, id: &str) -> bool {
    match IdentityPattern::parse(label) {
        Ok(pattern) => pattern.matches(id),
        Err(_) => match label {
            "other SPIFFE IDs" => id.starts_with("spiffe:"),
            "other DNS names" => id.starts_with("dns:"),
            "other tokens" => id.starts_with("token:"),
            "other networks" => id.starts_with("network:"),
            unknown => panic!("`{unknown}` stands for nobody"),
        },
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..config() })]

    #[test]
    fn a_difference_is_what_brute_force_finds(
        before in prop::collection::vec(spec(), 0..7), after in prop::collection::vec(spec(), 0..3), keep in 0usize..7,
    ) {
        // Two policies that share some rules, as two versions of one do.
        let old = numbered(before);
        let mut new: Vec<(usize, Spec)> = old.iter().copied().take(keep).collect();
        new.extend(after.into_iter().enumerate().map(|(n, spec)| (n + 100, spec)));
        let proofs = proofs(old.iter().chain(&new));
        let (old, new) = (set_of(&old), set_of(&new));
        let found = diff(&side(&old), &side(&new));
        for change in &found.changes {
            let facts = change.witness.facts();
            prop_assert_eq!(allows(&old, &complete(facts)), change.turn == Turn::Closed, "{:?}", change);
            prop_assert_eq!(allows(&new, &complete(facts)), change.turn == Turn::Opened, "{:?}", change);
        }
        for asked in everything(proofs) {
            let facts = asked.facts(&old);
            let (was, is) = (allows(&old, &facts), allows(&new, &facts));
            if was == is {
                continue;
            }
            let turn = if is { Turn::Opened } else { Turn::Closed };
            let told = found.changes.iter().any(|change| {
                change.turn == turn && means(&change.who, asked.who) && names(&change.to, &facts.destination.host)
            });
            prop_assert!(told, "{:?} {:?} is not among {:#?}", turn, asked, found.changes);
        }
    }

    #[test]
    fn reach_is_what_brute_force_finds(specs in prop::collection::vec(spec(), 0..8)) {
        let specs = numbered(specs);
        let set = set_of(&specs);
        let connections: Vec<Asked> = everything(proofs(&specs)).into_iter().filter(|asked| !asked.declared).collect();
        for host in ["a.test", "b.a.test", "z.test", "8.8.8.8"] {
            let host = Host::parse(host.as_bytes()).unwrap();
            let reach = reach_to(&side(&set), &host, None);
            for way in &reach.ways {
                prop_assert!(allows(&set, &complete(way.witness.facts())), "{:?}", way);
            }
            for asked in &connections {
                let facts = asked.facts(&set);
                if facts.destination.host == host && allows(&set, &facts) {
                    let told = reach.ways.iter().any(|way| means(&way.who, asked.who) && way.ports.contains(&asked.port));
                    prop_assert!(told, "{:?} is not among {:#?}", asked, reach.ways);
                }
            }
        }
    }

    #[test]
    fn what_is_proved_never_to_be_allowed_is_not(specs in prop::collection::vec(spec(), 0..8), which in 0usize..8) {
        let specs = numbered(specs);
        let set = set_of(&specs);
        let condition = [
            "destination.host.within('a.test')",
            "destination.port == 22",
            "data_classes.exists(c, c == 'internal') && tls.sni != destination.host",
            "identity.id.startsWith('token:')",
            "dns.answers.exists(ip, cidr('10.0.0.0/8').containsIP(ip))",
            "request.protocol == 'http' && destination.host != 'z.test'",
            "tls.present && !upstream.verified",
            "upstream.verified && upstream.dns_sans.exists(n, n == destination.host)",
        ][which];
        let expr = Expr::parse(condition).unwrap();
        let proof = never_allow(&side(&set), &expr);
        let every = if which < 6 { proofs(&specs) } else { &[Some(Some(true)), Some(Some(false)), Some(None)] };
        let broken = everything(every).into_iter().find(|asked| {
            let facts = asked.facts(&set);
            allows(&set, &facts) && expr.eval(&facts, crate::expr::Reading::Registered) == crate::expr::Truth::Yes
        });
        match proof {
            Proof::Holds => prop_assert!(broken.is_none(), "{} is broken by {:?}", condition, broken),
            Proof::Broken(witness, _) => prop_assert!(allows(&set, &complete(witness.facts()))),
            // Where nothing was shown, a name in a certificate is an error, and an error is no proof.
            Proof::Errs(witness, _) => {
                let facts = complete(witness.facts());
                let says = expr.eval(&facts, crate::expr::Reading::Registered);
                prop_assert!(allows(&set, &facts) && matches!(says, crate::expr::Truth::Error(_)), "{:?}", facts);
                prop_assert_eq!(which, 7);
            }
            Proof::Unproved(exactness) => prop_assert!(false, "{:?}", exactness),
        }
    }
}

/// Facts that an answer did not hang on, set to something.
fn complete(facts: &Facts) -> Facts {
    let mut facts = facts.clone();
    facts.resolved.get_or_insert_with(|| crate::facts::Resolved {
        answers: vec!["1.1.1.1".parse().unwrap()],
        cname: Vec::new(),
        min_ttl: 60,
        secure: false,
    });
    facts.tls.get_or_insert(crate::facts::Tls::Absent);
    facts
}
