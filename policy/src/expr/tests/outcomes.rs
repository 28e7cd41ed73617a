//! What conditions say on facts: values, unknowns, errors, and what a protocol never has.

use std::sync::Arc;

use super::super::{Expr, HostKey, Reading, Truth};
use super::world::{asked, plain, to, tunnel, with_sni};
use crate::facts::{Facts, Tls};
use crate::identity::Identity;
use crate::schema::{ATTRIBUTES, Attribute, AttributeSet, Support};

fn on(facts: &Facts, text: &str) -> Truth {
    Expr::parse(text).unwrap_or_else(|problems| panic!("{text}: {problems:?}")).eval(facts, Reading::Registered)
}

fn all(facts: &Facts, wanted: Truth, texts: &[&str]) {
    for text in texts {
        assert_eq!(on(facts, text), wanted, "{text}");
    }
}

fn errs(facts: &Facts, text: &str, why: &'static str) {
    assert_eq!(on(facts, text), Truth::Error(why), "{text}");
}

fn waits(attribute: Attribute) -> Truth {
    Truth::Pending(AttributeSet::one(attribute))
}

#[test]
fn every_attribute_of_a_tunnel_reads_its_fact() {
    all(
        &tunnel(),
        Truth::Yes,
        &[
            "source.ip == ip('10.0.0.7') && source.port == 50123 && listener.name == 'main'",
            "identity.id == 'spiffe://corp.example/ns/payments/sa/checkout' && identity.id == identity.spiffe_id",
            "identity.method == 'mtls' && identity.trust_domain == 'corp.example' && identity.cert_sha256 == '00ff'",
            "identity.cert_expires == timestamp('2031-01-01T00:00:00Z') && now < identity.cert_expires",
            "identity.labels.env == 'prod' && identity.labels['app'] == 'checkout' && has(identity.labels.env)",
            "!has(identity.labels.team) && 'env' in identity.labels && size(identity.labels) == 2",
            "destination.host == 'api.stripe.com' && destination.port == 443 && destination.kind == 'name'",
            "destination.registered_domain == 'stripe.com' && 'dpa-signed' in destination.tags",
            "data_classes == ['internal', 'pci'] && data_classes_from == 'registered'",
            "request.protocol == 'connect'",
            "dns.answers.all(a, a.isGlobal()) && dns.cname == ['edge.stripe.com'] && dns.min_ttl == 60 && dns.secure",
            "tls.present && tls.sni == destination.host && 'h2' in tls.alpn && '1.3' in tls.versions && !tls.ech",
        ],
    );
}

#[test]
fn every_attribute_of_a_plain_request_reads_its_fact() {
    all(
        &plain(),
        Truth::Yes,
        &[
            "request.protocol == 'http' && request.method == 'POST' && request.path.startsWith('/v1/')",
            "request.query == 'limit=1' && request.headers['x-team'] == 'payments' && request.content_length == 17",
            "request.content_type == 'application/json'",
            "!tls.present && tls.sni == null && size(tls.alpn) == 0 && size(tls.versions) == 0 && !tls.ech",
        ],
    );
    let mut bare = plain();
    bare.request.as_mut().unwrap().headers.clear();
    all(&bare, Truth::Yes, &["request.content_type == null"]);
    bare.request.as_mut().unwrap().content_length = None;
    errs(&bare, "request.content_length < 10", "the body is chunked: its length is not declared");
    bare.request.as_mut().unwrap().headers.insert("content-type".to_owned(), "a".repeat(256));
    errs(&bare, "request.content_type != 'text/html'", "the media type is too long");
}

#[test]
fn an_ip_literal_is_text_of_its_own_kind() {
    let facts = to("[2001:db8::7]:8443");
    all(
        &facts,
        Truth::Yes,
        &[
            "destination.host == '2001:db8::7' && destination.kind == 'ip'",
            "destination.registered_domain == null && !destination.host.within('db8')",
            "destination.host in ['a.test', '2001:db8::7'] && size(destination.host) == 11",
        ],
    );
}

#[test]
fn functions_mean_what_they_say() {
    all(
        &tunnel(),
        Truth::Yes,
        &[
            "destination.host.within('stripe.com') && destination.host.within('api.stripe.com')",
            "!destination.host.within('pi.stripe.com') && tls.sni.within(destination.registered_domain)",
            "dns.cname.exists(c, c.within('stripe.com')) && destination.host.endsWith('.stripe.com')",
            "destination.host.startsWith('api.') && destination.host.matches('^api[.][a-z]+[.]com$')",
            "identity.id.contains('/payments/') && identity.id.matches('sa/check') && size('aé') == 2 && 'aé'.size() == 2",
            "ip('8.8.8.8').isGlobal() && !ip('192.168.0.1').isGlobal() && !ip('169.254.169.254').isGlobal()",
            "cidr('10.0.0.0/8').containsIP(source.ip) && !cidr('10.0.0.0/8').containsIP(ip('2001:db8::1'))",
            "source.ip in [ip('10.0.0.7'), ip('10.0.0.8')] && destination.port in [80, 443] && !(tls.sni in ['a.test'])",
            "destination.tags.exists_one(t, t == 'dpa-signed') && tls.versions.all(v, v >= '1.2')",
            "(tls.ech ? 80 : 443) == destination.port && (tls.present ? tls.sni : null) != null && (true ? true : false)",
            "destination.port + 1 == 444 && destination.port * 2 - 1 == 885 && -destination.port < 0 && -1 == 0 - 1",
            "now.getFullYear() == 2030 && now.getMonth() == 5 && now.getDate() == 5 && now.getDayOfMonth() == 4",
            "now.getDayOfWeek() == 3 && now.getDayOfYear() == 155 && now.getHours() == 10 && now.getMinutes() == 20",
            "now.getSeconds() == 30 && now.getMilliseconds() == 456 && duration('90m') == duration('1h30m')",
            "now + duration('24h') < identity.cert_expires && identity.cert_expires - now > duration('720h')",
            "now - duration('1s') < now && duration('1h') - duration('1m') + duration('1m') == duration('1h')",
            "true // until the end of the line",
        ],
    );
}

#[test]
fn null_equals_nothing_but_null_and_answers_nothing_else() {
    let facts = with_sni(None);
    all(&facts, Truth::Yes, &["tls.sni == null", "tls.sni != 'a.test'", "tls.sni != destination.host", "null == null"]);
    all(
        &facts,
        Truth::No,
        &["tls.sni != null", "tls.sni == 'a.test'", "tls.sni == destination.host", "tls.sni in ['a.test']"],
    );
    for text in [
        "tls.sni.startsWith('a')",
        "tls.sni.endsWith('.a')",
        "tls.sni.matches('^a$')",
        "tls.sni.within('a')",
        "size(tls.sni) == 1",
        "tls.sni < 'a'",
    ] {
        errs(&facts, text, "the text is null");
    }
}

#[test]
fn errors_say_why() {
    let nobody = Facts { identity: Identity::anonymous(), ..tunnel() };
    errs(&tunnel(), "identity.labels.team == 'x'", "the map has no such key");
    errs(&tunnel(), "9223372036854775807 + destination.port > 0", "the result is out of range");
    errs(&tunnel(), "-9223372036854775807 - destination.port < 0", "the result is out of range");
    errs(&tunnel(), "9223372036854775807 * destination.port > 0", "the result is out of range");
    errs(&tunnel(), "timestamp('9999-12-30T00:00:00Z') + duration('48h') > now", "the result is out of range");
    errs(&nobody, "now < identity.cert_expires", "no client certificate was shown");
    all(
        &nobody,
        Truth::Yes,
        &["identity.cert_sha256 == null && identity.spiffe_id == null && identity.id == 'anonymous'"],
    );
}

/// One operand of each outcome on the facts of a tunnel before its ClientHello.
const OPERANDS: [(&str, char); 5] = [
    ("true", 'y'),
    ("false", 'n'),
    ("tls.ech", 'p'),
    ("identity.labels.team == 'x'", 'e'),
    ("request.method == 'GET'", 'v'),
];

/// What remains: of `&&` and `||` alike where neither operand decides.
fn rest(a: char, b: char) -> char {
    "pev".chars().find(|c| *c == a || *c == b).unwrap_or(a)
}

fn letter(truth: Truth) -> char {
    match truth {
        Truth::Yes => 'y',
        Truth::No => 'n',
        Truth::Pending(waits) => {
            assert_eq!(waits, AttributeSet::one(Attribute::TlsEch));
            'p'
        }
        Truth::Error(why) => {
            assert_eq!(why, "the map has no such key");
            'e'
        }
    }
}

#[test]
fn a_deciding_operand_absorbs_the_other_in_either_order() {
    let facts = Facts { tls: None, ..tunnel() };
    // Never is false as a whole, and stays never below a `!`.
    let whole = |c: char| if c == 'v' { 'n' } else { c };
    let not = |c: char| match c {
        'y' => 'n',
        'n' => 'y',
        other => other,
    };
    for (left, a) in OPERANDS {
        assert_eq!(letter(on(&facts, &format!("!({left})"))), whole(not(a)), "!({left})");
        for (right, b) in OPERANDS {
            let and = if a == 'n' || b == 'n' { 'n' } else { rest(a, b) };
            let or = if a == 'y' || b == 'y' { 'y' } else { rest(a, b) };
            for (sign, wanted) in [("&&", and), ("||", or)] {
                let text = format!("({left}) {sign} ({right})");
                assert_eq!(letter(on(&facts, &text)), whole(wanted), "{text}");
                let text = format!("!({text})");
                assert_eq!(letter(on(&facts, &text)), whole(not(wanted)), "{text}");
            }
        }
    }
}

#[test]
fn macros_absorb_as_the_operators_they_stand_for() {
    let facts = Facts { tls: None, ..tunnel() };
    let error = "identity.labels[t] == 'x'";
    for (macro_text, wanted) in [
        (format!("destination.tags.exists(t, t == 'dpa-signed' || {error})"), 'y'),
        (format!("destination.tags.exists(t, t == 'critical-supplier' || {error})"), 'y'),
        (format!("destination.tags.exists(t, {error})"), 'e'),
        (format!("destination.tags.all(t, t != 'dpa-signed' && {error})"), 'n'),
        ("destination.tags.exists(t, t == 'dpa-signed' ? identity.labels[t] == 'x' : tls.ech)".to_owned(), 'p'),
        (format!("destination.tags.exists_one(t, t == 'dpa-signed' || {error})"), 'e'),
        ("[1, 2].exists_one(n, n == 1 || tls.ech)".to_owned(), 'p'),
        ("[1, 2].all(n, n > 0)".to_owned(), 'y'),
    ] {
        assert_eq!(letter(on(&facts, &macro_text)), wanted, "{macro_text}");
    }
}

#[test]
fn what_is_not_known_yet_is_named() {
    let offline = Facts { source: None, listener: None, ..asked() };
    for (text, attribute) in [
        ("source.ip == ip('10.0.0.7')", Attribute::SourceIp),
        ("source.port == 1", Attribute::SourcePort),
        ("listener.name == 'main'", Attribute::ListenerName),
        ("dns.answers.exists(a, a.isGlobal())", Attribute::DnsAnswers),
        ("size(dns.cname) == 0", Attribute::DnsCname),
        ("dns.min_ttl < 60", Attribute::DnsMinTtl),
        ("dns.secure", Attribute::DnsSecure),
        ("tls.present", Attribute::TlsPresent),
        ("tls.sni != destination.host", Attribute::TlsSni),
        ("'h2' in tls.alpn", Attribute::TlsAlpn),
        ("tls.versions.all(v, v == '1.3')", Attribute::TlsVersions),
        ("!tls.ech", Attribute::TlsEch),
        ("tls.ja4 == 'x'", Attribute::TlsJa4),
        ("!upstream.verified", Attribute::UpstreamVerified),
        ("'a' in upstream.dns_sans", Attribute::UpstreamDnsSans),
        ("upstream.issuer != 'x'", Attribute::UpstreamIssuer),
        ("upstream.spki_sha256 == 'x'", Attribute::UpstreamSpkiSha256),
        ("now < upstream.not_after", Attribute::UpstreamNotAfter),
        ("upstream.tls_version == '1.3'", Attribute::UpstreamTlsVersion),
    ] {
        assert_eq!(on(&offline, text), waits(attribute), "{text}");
    }
    let both = AttributeSet::one(Attribute::TlsSni).union(AttributeSet::one(Attribute::DnsMinTtl));
    assert_eq!(on(&offline, "tls.sni == 'a.test' && dns.min_ttl == 1"), Truth::Pending(both));
    let headless = Facts { request: None, ..plain() };
    assert_eq!(on(&headless, "request.method == 'GET'"), waits(Attribute::RequestMethod), "an offline question");
}

#[test]
fn what_a_tunnel_never_has_makes_the_whole_false() {
    all(
        &tunnel(),
        Truth::No,
        &[
            "request.method == 'GET'",
            "request.method != 'GET'",
            "!(request.path == '/')",
            "request.headers['x-a'] == 'b' || request.content_length > 5",
            "has(request.headers.x) && tls.present",
            "request.protocol == 'http' && request.method == 'GET'",
        ],
    );
    all(&tunnel(), Truth::Yes, &["request.method == 'GET' || tls.present"]);
}

#[test]
fn data_classes_are_read_as_the_rule_may_read_them() {
    let expr = Expr::parse("data_classes == ['internal'] && data_classes_from == 'declared'").unwrap();
    assert_eq!(expr.eval(&tunnel(), Reading::Declared), Truth::Yes);
    assert_eq!(expr.eval(&tunnel(), Reading::Registered), Truth::No);
    let mut facts = tunnel();
    facts.subject.declared = None;
    assert_eq!(expr.eval(&facts, Reading::Declared), Truth::No, "nothing was declared");
    let registered = Expr::parse("'pci' in data_classes && data_classes_from == 'registered'").unwrap();
    assert_eq!(registered.eval(&facts, Reading::Declared), Truth::Yes);
}

#[test]
fn uses_names_every_attribute_and_every_built_one_can_be_used() {
    let expr = Expr::parse("tls.present ? identity.labels.env == 'x' : destination.port in [1]").unwrap();
    let names: Vec<&str> = expr.uses().iter().map(|attribute| attribute.row().name).collect();
    assert_eq!(names, ["identity.labels", "destination.port", "tls.present"]);
    for row in ATTRIBUTES.iter().filter(|row| row.support == Support::Built) {
        let expr = Expr::parse(&format!("{0} == {0} || size('x') == 1", row.name));
        let wanted = row.ty != crate::schema::Type::StringMap;
        assert_eq!(expr.is_ok_and(|expr| expr.uses().contains(row.attribute)), wanted, "{}", row.name);
    }
}

#[test]
fn host_keys_are_found_where_there_are_some() {
    let keys = |text: &str| Expr::parse(text).unwrap().host_keys();
    let exact = |host: &str| HostKey::Exact(host.to_owned());
    let within = |apex: &str| HostKey::Within(apex.to_owned());
    for (text, wanted) in [
        ("destination.host == 'a.test'", Some(vec![exact("a.test")])),
        ("'a.test' == destination.host", Some(vec![exact("a.test")])),
        ("destination.host in ['b.test', 'a.test']", Some(vec![exact("a.test"), exact("b.test")])),
        ("destination.host.endsWith('.a.test')", Some(vec![within("a.test")])),
        ("destination.host.within('a.test')", Some(vec![within("a.test")])),
        ("destination.registered_domain == 'a.test'", Some(vec![within("a.test")])),
        ("tls.present && destination.host == 'a.test'", Some(vec![exact("a.test")])),
        ("destination.host.within('a.test') && destination.host == 'b.a.test'", Some(vec![exact("b.a.test")])),
        (
            "destination.host == 'a.test' || destination.host.within('b.test')",
            Some(vec![exact("a.test"), within("b.test")]),
        ),
        ("destination.host == 'a.test' || tls.present", None),
        (
            "(destination.host == 'a.test' || destination.host == 'b.test') && tls.ech",
            Some(vec![exact("a.test"), exact("b.test")]),
        ),
        ("!(destination.host == 'a.test')", None),
        ("destination.host != 'a.test'", None),
        ("tls.sni == 'a.test'", None),
        ("tls.ech ? destination.host == 'a.test' : destination.host == 'b.test'", None),
        ("false", Some(vec![])),
        ("true", None),
    ] {
        assert_eq!(keys(text), wanted, "{text}");
    }
}

#[test]
fn an_expression_is_shared_between_threads() {
    fn shared<T: Send + Sync + Clone + 'static>(_: &T) {}
    let expr = Arc::new(Expr::parse("destination.host.matches('^a$')").unwrap());
    shared(&expr);
    let absent = Facts { tls: Some(Tls::Absent), ..tunnel() };
    assert_eq!(expr.eval(&absent, Reading::Registered), Truth::No);
}
