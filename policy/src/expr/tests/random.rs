//! Random expressions of the right types, over a broad grammar, and random facts that they hold on now and then.

use std::sync::Arc;

use proptest::prelude::*;

use super::world::{SPIFFE, tunnel};
use crate::facts::{
    Facts, Hello, HttpRequest, Labels, Proof, Protocol, Resolved, ServerCertificate, Subject, Tls, Upstream,
};
use crate::host::Authority;
use crate::identity::{Certificate, Identity};

type Text = BoxedStrategy<String>;

/// Texts that literals and facts share, so that comparisons hold now and then. All are canonical hosts.
const WORDS: [&str; 6] = ["a.test", "b.a.test", "x", "pci", "main", "192.0.2.1"];

fn one_of(texts: &'static [&'static str]) -> Text {
    prop::sample::select(texts).prop_map(str::to_owned).boxed()
}

fn literal() -> Text {
    prop::sample::select(&WORDS[..]).prop_map(|word| format!("'{word}'")).boxed()
}

fn text() -> Text {
    let names = one_of(&[
        "listener.name",
        "identity.id",
        "identity.labels.env",
        "identity.labels['team']",
        "destination.host",
        "request.path",
        "request.headers['x-a']",
        "request.query",
        "identity.labels[listener.name]",
        "upstream.issuer",
        "upstream.spki_sha256",
    ]);
    prop_oneof![2 => literal(), 3 => names].boxed()
}

fn nullable() -> Text {
    one_of(&[
        "tls.sni",
        "tls.ja4",
        "identity.spiffe_id",
        "identity.trust_domain",
        "request.content_type",
        "destination.registered_domain",
    ])
}

fn list() -> Text {
    one_of(&[
        "destination.tags",
        "data_classes",
        "dns.cname",
        "tls.alpn",
        "tls.versions",
        "upstream.dns_sans",
        "['a.test', 'x']",
        "['pci']",
    ])
}

fn int(condition: Text) -> Text {
    let leaf = prop_oneof![
        one_of(&[
            "0",
            "1",
            "-1",
            "443",
            "9223372036854775807",
            "-9223372036854775808",
            "destination.port",
            "source.port",
            "dns.min_ttl",
            "now.getHours()",
            "now.getDayOfWeek()",
            "now.getMonth()",
            "now.getDayOfYear()",
            "request.content_length",
            "size(identity.labels)",
            "size(dns.answers)",
        ]),
        list().prop_map(|list| format!("size({list})")),
        prop_oneof![text(), nullable()].prop_map(|text| format!("{text}.size()")),
    ];
    leaf.prop_recursive(2, 6, 2, move |inner| {
        prop_oneof![
            (inner.clone(), prop::sample::select(vec!["+", "-", "*"]), inner.clone())
                .prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            inner.clone().prop_map(|a| format!("-({a})")),
            (condition.clone(), inner.clone(), inner).prop_map(|(c, a, b)| format!("(({c}) ? {a} : {b})")),
        ]
    })
    .boxed()
}

fn comparison() -> Text {
    one_of(&["==", "!=", "<", "<=", ">", ">="])
}

/// Conditions without operands of type bool.
fn atom() -> Text {
    let any = || prop_oneof![text(), nullable()];
    let free =
        || one_of(&["listener.name", "identity.id", "request.path", "identity.spiffe_id", "request.headers['x-a']"]);
    prop_oneof![
        one_of(&[
            "true",
            "false",
            "tls.present",
            "tls.ech",
            "upstream.verified",
            "now < upstream.not_after",
            "dns.secure",
            "request.protocol == 'http'",
            "destination.kind != 'ip'",
            "data_classes_from == 'declared'",
            "identity.method in ['mtls', 'none']",
            "has(identity.labels.env)",
            "has(request.headers.x)",
            "'env' in identity.labels",
            "source.ip.isGlobal()",
            "source.ip == ip('10.0.0.7')",
            "source.ip in [ip('10.0.0.7'), ip('::1')]",
            "cidr('10.0.0.0/8').containsIP(source.ip)",
            "now < identity.cert_expires",
            "now == timestamp('2030-06-05T10:20:30.456Z')",
            "now + duration('1h') >= identity.cert_expires",
            "identity.cert_expires - now > duration('720h')",
            "dns.answers.all(a, a.isGlobal())",
            "dns.answers.exists(a, cidr('2600::/16').containsIP(a))",
            "dns.answers.exists_one(a, a == ip('8.8.8.8'))",
            "destination.host.endsWith('.test')",
            "destination.host.within('a.test')",
            "tls.sni.within(destination.host)",
            "tls.sni.matches('^(a|b[.]a)[.]test$')",
            "data_classes == ['pci', 'x']",
            "tls.ech == dns.secure",
            "destination.registered_domain == 'a.test'",
            "data_classes == destination.tags",
        ]),
        (any(), comparison(), any()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        (nullable(), one_of(&["==", "!="])).prop_map(|(a, op)| format!("{a} {op} null")),
        (any(), list()).prop_map(|(a, list)| format!("{a} in {list}")),
        (free(), one_of(&["startsWith", "endsWith", "contains"]), any()).prop_map(|(a, f, b)| format!("{a}.{f}({b})")),
        free().prop_map(|a| format!("{a}.matches('a.?[.]t|x')")),
        (list(), one_of(&["exists", "all", "exists_one"]), body()).prop_map(|(l, q, b)| format!("{l}.{q}(t, {b})")),
    ]
    .boxed()
}

/// The body of a macro over texts.
fn body() -> Text {
    let leaf = prop_oneof![
        (comparison(), text()).prop_map(|(op, b)| format!("t {op} {b}")),
        list().prop_map(|list| format!("t in {list}")),
        Just("identity.labels[t] == 'x'".to_owned()),
        Just("t.startsWith('a')".to_owned()),
        Just("tls.ech".to_owned()),
        Just("size(t) == 3".to_owned()),
    ];
    leaf.prop_recursive(2, 4, 2, |inner| {
        (inner.clone(), one_of(&["&&", "||"]), inner).prop_map(|(a, op, b)| format!("({a} {op} {b})"))
    })
    .boxed()
}

pub(super) fn condition() -> Text {
    let plain = atom().prop_recursive(3, 12, 3, joined).boxed();
    let numbers = (int(plain.clone()), comparison(), int(plain.clone())).prop_map(|(a, op, b)| format!("{a} {op} {b}"));
    let numbered = (int(plain.clone()), Just("in [443, 1, 80]")).prop_map(|(a, rest)| format!("{a} {rest}"));
    prop_oneof![4 => plain, 2 => numbers, 1 => numbered].prop_recursive(2, 8, 3, joined).boxed()
}

fn joined(inner: Text) -> Text {
    prop_oneof![
        (inner.clone(), one_of(&["&&", "||"]), inner.clone()).prop_map(|(a, op, b)| format!("({a}) {op} ({b})")),
        (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a}) && ({b}) && ({c})")),
        inner.clone().prop_map(|a| format!("!({a})")),
        (inner.clone(), inner.clone(), inner).prop_map(|(c, a, b)| format!("(({c}) ? ({a}) : ({b}))")),
    ]
    .boxed()
}

fn words(at_least: usize) -> impl Strategy<Value = Vec<String>> {
    prop::collection::btree_set(prop::sample::select(&WORDS[..]), at_least..3)
        .prop_map(|set| set.into_iter().map(str::to_owned).collect())
}

fn boxes(words: Vec<String>) -> Arc<[Box<str>]> {
    words.into_iter().map(String::into_boxed_str).collect()
}

fn word() -> impl Strategy<Value = String> {
    prop::sample::select(&WORDS[..]).prop_map(str::to_owned)
}

fn subject() -> impl Strategy<Value = Subject> {
    let labels = prop::collection::btree_map(prop::sample::select(vec!["env", "team", "main", "x"]), word(), 0..4);
    (labels, words(1), prop::option::of(words(1))).prop_map(|(labels, registered, declared)| {
        let labels: Labels = labels.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        Subject { labels: Arc::new(labels), registered: boxes(registered), declared: declared.map(boxes) }
    })
}

fn identity() -> impl Strategy<Value = Identity> {
    let certificate = |expires: &str| Certificate { sha256: "00".into(), expires: expires.parse().unwrap() };
    prop::sample::select(vec![
        Identity::anonymous(),
        Identity::token("x"),
        Identity::mtls(SPIFFE, certificate("2030-06-05T11:00:00Z")),
        Identity::mtls("dns:a.test", certificate("2031-01-01T00:00:00Z")),
    ])
}

fn resolved() -> impl Strategy<Value = Resolved> {
    let address = prop::sample::select(vec!["8.8.8.8", "10.0.0.1", "2600:1f16::1", "::1"]);
    let answers = prop::collection::vec(address, 1..3);
    (answers, words(0), 0u32..3, any::<bool>()).prop_map(|(answers, cname, min_ttl, secure)| {
        let answers = answers.into_iter().map(|text| text.parse().unwrap()).collect();
        Resolved { answers, cname, min_ttl, secure }
    })
}

fn hello() -> impl Strategy<Value = Tls> {
    (prop::option::of(word()), words(0), words(0), any::<bool>(), word()).prop_map(|(sni, alpn, versions, ech, ja4)| {
        Tls::Hello(Hello { sni, alpn, versions, ech, ja4: Some(ja4.into()) })
    })
}

fn upstream() -> impl Strategy<Value = Upstream> {
    let shown = (any::<bool>(), words(0), word(), word(), any::<bool>());
    let shown = shown.prop_map(|(verified, dns_sans, issuer, spki, ended)| {
        let not_after = if ended { "2029-01-01T00:00:00Z" } else { "2031-01-01T00:00:00Z" };
        Upstream::Shown(ServerCertificate {
            proof: if verified { Proof::Verified } else { Proof::Unverified("it is unknown".into()) },
            dns_sans: Some(dns_sans),
            issuer: Some(issuer),
            spki_sha256: Some(spki),
            not_after: Some(not_after.parse().unwrap()),
            tls_version: Some("1.3".to_owned()),
        })
    });
    prop_oneof![3 => shown, 1 => Just(Upstream::Nothing("it hangs".into()))]
}

fn request() -> impl Strategy<Value = HttpRequest> {
    let headers = prop::collection::btree_map(prop::sample::select(vec!["x", "x-a", "content-type"]), word(), 0..3);
    (word(), word(), headers, prop::option::of(0u64..3)).prop_map(|(path, query, headers, content_length)| {
        let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        HttpRequest { method: "GET".to_owned(), path, query, headers, content_length }
    })
}

/// Facts of which everything is known that the protocol can have.
pub(super) fn facts() -> impl Strategy<Value = Facts> {
    let host = prop::sample::select(vec!["a.test:443", "b.a.test:443", "x:80", "192.0.2.1:443", "[2001:db8::1]:1"]);
    let source = prop::sample::select(vec!["10.0.0.7:443", "[::1]:1", "8.8.8.8:80"]);
    let head = prop_oneof![
        4 => hello().prop_map(|tls| (None, tls)),
        1 => Just((None, Tls::Absent)),
        4 => request().prop_map(|head| (Some(head), Tls::Absent)),
    ];
    (subject(), identity(), resolved(), head, upstream(), (host, source, word(), words(0))).prop_map(
        |(subject, identity, resolved, (request, tls), upstream, (host, source, listener, tags))| Facts {
            source: Some(source.parse().unwrap()),
            listener: Some(listener.into()),
            identity,
            subject,
            destination: Authority::parse(host.as_bytes()).unwrap(),
            tags: boxes(tags),
            protocol: if request.is_some() { Protocol::Http } else { Protocol::Connect },
            request,
            resolved: Some(resolved),
            tls: Some(tls),
            upstream: Some(Arc::new(upstream)),
            ..tunnel()
        },
    )
}
