//! Why a condition does not hold.

use super::super::{Expr, Reading, Truth};
use super::world::{asked, tunnel, with_sni};
use crate::facts::Facts;

/// The failed conjuncts, as a person reads them.
fn failed(text: &str, facts: &Facts) -> Vec<String> {
    let expr = Expr::parse(text).unwrap();
    expr.conjuncts()
        .filter_map(|part| part.failed(facts, Reading::Registered))
        .map(|clause| clause.to_string())
        .collect()
}

#[test]
fn conjuncts_keep_their_words() {
    let expr = Expr::parse("tls.present && (destination.port == 443 || tls.ech) && size(tls.alpn) > 0").unwrap();
    let texts: Vec<&str> = expr.conjuncts().map(|part| part.text()).collect();
    assert_eq!(texts, ["tls.present", "destination.port == 443 || tls.ech", "size(tls.alpn) > 0"]);
    assert!(expr.conjuncts().all(|part| part.eval(&tunnel(), Reading::Registered) == Truth::Yes));
    assert_eq!(expr.source(), "tls.present && (destination.port == 443 || tls.ech) && size(tls.alpn) > 0");
}

#[test]
fn a_failed_clause_shows_what_was_seen_and_what_was_wanted() {
    let facts = with_sni(Some("evil.example"));
    for (text, wanted) in [
        ("tls.sni == destination.host", "tls.sni == destination.host: evil.example is not api.stripe.com"),
        ("'a.test' == tls.sni", "'a.test' == tls.sni: evil.example is not a.test"),
        ("destination.port in [80, 8443]", "destination.port in [80, 8443]: 443 is not in [80, 8443]"),
        ("destination.port < 400", "destination.port < 400: 443 is not below 400"),
        ("400 > destination.port", "400 > destination.port: 443 is not below 400"),
        ("destination.port != 443", "destination.port != 443: 443 is not other than 443"),
        ("tls.sni.within('stripe.com')", "tls.sni.within('stripe.com'): evil.example is not within stripe.com"),
        ("tls.sni.endsWith('.a.test')", "tls.sni.endsWith('.a.test'): evil.example is not ending in .a.test"),
        ("tls.sni.matches('^a$')", "tls.sni.matches('^a$'): evil.example is not matching ^a$"),
        ("tls.ech", "tls.ech: false is not true"),
        ("!tls.present", "!tls.present: true is not false"),
        ("has(identity.labels.team)", "has(identity.labels.team): [app, env] is not a map with team"),
        (
            "destination.tags.exists(t, t == 'x')",
            "destination.tags.exists(t, t == 'x'): [critical-supplier, dpa-signed] is not one with such an element",
        ),
        (
            "cidr('192.0.2.0/24').containsIP(source.ip)",
            "cidr('192.0.2.0/24').containsIP(source.ip): 10.0.0.7 is not within 192.0.2.0/24",
        ),
        ("request.method == 'GET'", "request.method == 'GET': nothing: the protocol never has it is not GET"),
        ("identity.labels.team == 'x'", "identity.labels.team == 'x': an error (the map has no such key) is not x"),
    ] {
        assert_eq!(failed(text, &facts), [wanted]);
    }
    assert_eq!(
        failed("tls.sni == destination.host", &with_sni(None)),
        ["tls.sni == destination.host: null is not api.stripe.com"]
    );
    assert_eq!(failed("tls.ech", &asked()), ["tls.ech: not known yet is not true"]);
}

#[test]
fn only_the_clauses_that_fail_are_shown() {
    assert_eq!(failed("tls.present && tls.ech && destination.port == 443", &tunnel()), ["tls.ech: false is not true"]);
    assert_eq!(failed("tls.present", &tunnel()), [""; 0]);
}
