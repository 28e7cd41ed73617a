//! Properties over random expressions and facts: the compiled form says what the CEL crate's interpreter says, what is
//! learnt later never contradicts what was said before, and outside its host keys an expression is false.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use cel::extractors::This;
use cel::{Context, Program, Value};
use proptest::prelude::*;

use super::super::{Expr, HostKey, Reading, Truth};
use super::hostile::cases;
use super::world::{SPIFFE, tunnel};
use crate::address;
use crate::facts::{Facts, Hello, HttpRequest, Labels, Protocol, Resolved, Subject, Tls};
use crate::host::{Authority, name_within};
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
    ]);
    prop_oneof![2 => literal(), 3 => names].boxed()
}

fn nullable() -> Text {
    one_of(&[
        "tls.sni",
        "identity.spiffe_id",
        "identity.trust_domain",
        "request.content_type",
        "destination.registered_domain",
    ])
}

fn list() -> Text {
    one_of(&["destination.tags", "data_classes", "dns.cname", "tls.alpn", "tls.versions", "['a.test', 'x']", "['pci']"])
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

fn condition() -> Text {
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
    (prop::option::of(word()), words(0), words(0), any::<bool>())
        .prop_map(|(sni, alpn, versions, ech)| Tls::Hello(Hello { sni, alpn, versions, ech }))
}

fn request() -> impl Strategy<Value = HttpRequest> {
    let headers = prop::collection::btree_map(prop::sample::select(vec!["x", "x-a", "content-type"]), word(), 0..3);
    (word(), word(), headers, prop::option::of(0u64..3)).prop_map(|(path, query, headers, content_length)| {
        let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        HttpRequest { method: "GET".to_owned(), path, query, headers, content_length }
    })
}

/// Facts of which everything is known that the protocol can have.
fn facts() -> impl Strategy<Value = Facts> {
    let host = prop::sample::select(vec!["a.test:443", "b.a.test:443", "x:80", "192.0.2.1:443", "[2001:db8::1]:1"]);
    let source = prop::sample::select(vec!["10.0.0.7:443", "[::1]:1", "8.8.8.8:80"]);
    let head = prop_oneof![hello().prop_map(|tls| (None, tls)), request().prop_map(|head| (Some(head), Tls::Absent))];
    (subject(), identity(), resolved(), head, (host, source, word(), words(0))).prop_map(
        |(subject, identity, resolved, (request, tls), (host, source, listener, tags))| Facts {
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
            ..tunnel()
        },
    )
}

fn map(entries: impl IntoIterator<Item = (&'static str, Option<Value>)>) -> Value {
    let known = entries.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Value::from(known.collect::<HashMap<String, Value>>())
}

fn string(text: impl AsRef<str>) -> Option<Value> {
    Some(Value::from(text.as_ref().to_owned()))
}

fn or_null(text: Option<impl AsRef<str>>) -> Option<Value> {
    text.map_or(Some(Value::Null), string)
}

fn strings<T: AsRef<str>>(texts: &[T]) -> Option<Value> {
    Some(Value::from(texts.iter().map(|text| Value::from(text.as_ref().to_owned())).collect::<Vec<Value>>()))
}

fn string_map<'a>(entries: impl Iterator<Item = (&'a str, &'a str)>) -> Option<Value> {
    Some(Value::from(
        entries.map(|(k, v)| (k.to_owned(), Value::from(v.to_owned()))).collect::<HashMap<String, Value>>(),
    ))
}

fn moment(at: jiff::Timestamp) -> Option<Value> {
    Program::compile(&format!("timestamp('{at}')")).unwrap().execute(&Context::default()).ok()
}

/// The facts as the interpreter's variables; what is an error or never there is a missing key.
fn variables(facts: &Facts, reading: Reading, context: &mut Context<'_, '_>) {
    let (identity, resolved) = (&facts.identity, facts.resolved.as_ref().unwrap());
    let hello = match facts.tls.as_ref().unwrap() {
        Tls::Hello(hello) => Some(hello),
        Tls::Absent => None,
    };
    let head = facts.request.as_ref();
    let host = facts.destination.host.to_text();
    let source = facts.source.unwrap();
    let answers: Vec<String> = resolved.answers.iter().map(IpAddr::to_string).collect();
    let (classes, from) = match (reading, &facts.subject.declared) {
        (Reading::Declared, Some(declared)) => (declared, "declared"),
        _ => (&facts.subject.registered, "registered"),
    };
    let labels = facts.subject.labels.iter().map(|(key, value)| (&**key, &**value));
    let mut add = |name: &str, value: Value| context.add_variable_from_value(name.to_owned(), value);
    add("source", map([("ip", string(source.ip().to_string())), ("port", Some(Value::Int(source.port().into())))]));
    add("listener", map([("name", string(facts.listener.as_deref().unwrap()))]));
    add(
        "identity",
        map([
            ("id", string(identity.id())),
            ("method", string(identity.method().as_str())),
            ("spiffe_id", or_null(identity.spiffe_id())),
            ("trust_domain", or_null(identity.trust_domain())),
            ("labels", string_map(labels)),
            ("cert_expires", identity.certificate().and_then(|certificate| moment(certificate.expires))),
        ]),
    );
    add(
        "destination",
        map([
            ("host", string(&host)),
            ("port", Some(Value::Int(facts.destination.port.into()))),
            ("kind", string(if facts.destination.host.ip().is_some() { "ip" } else { "name" })),
            ("registered_domain", or_null(facts.destination.host.name().and_then(psl::domain_str))),
            ("tags", strings(&facts.tags)),
        ]),
    );
    add("data_classes", strings(classes).unwrap());
    add("data_classes_from", string(from).unwrap());
    add("now", moment(facts.now).unwrap());
    add(
        "request",
        map([
            ("protocol", string(facts.protocol.as_str())),
            ("path", head.and_then(|head| string(&head.path))),
            ("query", head.and_then(|head| string(&head.query))),
            ("headers", head.and_then(|head| string_map(head.headers.iter().map(|(k, v)| (&**k, &**v))))),
            ("content_type", head.and_then(|head| or_null(head.headers.get("content-type")))),
            ("content_length", head.and_then(|head| Some(Value::Int(head.content_length? as i64)))),
        ]),
    );
    add(
        "dns",
        map([
            ("answers", strings(&answers)),
            ("cname", strings(&resolved.cname)),
            ("min_ttl", Some(Value::Int(resolved.min_ttl.into()))),
            ("secure", Some(Value::Bool(resolved.secure))),
        ]),
    );
    add(
        "tls",
        map([
            ("present", Some(Value::Bool(hello.is_some()))),
            ("sni", or_null(hello.and_then(|hello| hello.sni.as_ref()))),
            ("alpn", strings(hello.map_or(&[], |hello| &*hello.alpn))),
            ("versions", strings(hello.map_or(&[], |hello| &*hello.versions))),
            ("ech", Some(Value::Bool(hello.is_some_and(|hello| hello.ech)))),
        ]),
    );
}

/// Addresses and networks are texts to the interpreter.
fn functions(context: &mut Context<'_, '_>) {
    context.add_function("ip", |text: Arc<String>| text).unwrap();
    context.add_function("cidr", |text: Arc<String>| text).unwrap();
    let global = |This(ip): This<Arc<String>>| address::classify(ip.parse().unwrap()).class == address::Class::Global;
    context.add_function("isGlobal", global).unwrap();
    let contains = |This(network): This<Arc<String>>, ip: Arc<String>| {
        network.parse::<ipnet::IpNet>().unwrap().contains(&ip.parse::<IpAddr>().unwrap())
    };
    context.add_function("containsIP", contains).unwrap();
    let within = |This(host): This<Arc<String>>, apex: Arc<String>| name_within(&host, &apex);
    context.add_function("within", within).unwrap();
}

/// What the interpreter says, on a stack that suffices for its parser.
fn interpreted(text: &str, facts: &Facts, reading: Reading) -> Result<Value, String> {
    std::thread::scope(|scope| {
        let run = move || {
            let mut context = Context::default();
            functions(&mut context);
            variables(facts, reading, &mut context);
            Program::compile(text).unwrap().execute(&context).map_err(|error| error.to_string())
        };
        std::thread::Builder::new().stack_size(32 << 20).spawn_scoped(scope, run).unwrap().join().unwrap()
    })
}

/// The expression, unless chance made one beyond the bounds.
fn parsed(text: &str) -> Option<Expr> {
    match Expr::parse(text) {
        Ok(expr) => Some(expr),
        Err(problems) => {
            assert!(problems.iter().all(|problem| problem.message.contains("at most")), "{text}: {problems:?}");
            None
        }
    }
}

fn never(facts: &Facts, expr: &Expr) -> bool {
    facts.request.is_none()
        && expr
            .uses()
            .iter()
            .any(|attribute| attribute.row().name.starts_with("request.") && attribute.row().name != "request.protocol")
}

fn kind(truth: Truth) -> &'static str {
    match truth {
        Truth::Yes => "yes",
        Truth::No => "no",
        Truth::Pending(_) => "pending",
        Truth::Error(_) => "error",
    }
}

fn reading() -> impl Strategy<Value = Reading> {
    prop::sample::select(vec![Reading::Registered, Reading::Declared])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(128), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_compiled_form_says_what_the_interpreter_says(text in condition(), facts in facts(), reading in reading()) {
        let Some(expr) = parsed(&text) else { return Ok(()) };
        let ours = expr.eval(&facts, reading);
        match interpreted(&text, &facts, reading) {
            Ok(Value::Bool(value)) => prop_assert_eq!(ours, if value { Truth::Yes } else { Truth::No }, "{}", text),
            Ok(other) => prop_assert!(false, "{text}: {other:?}"),
            Err(why) => {
                let error = matches!(ours, Truth::Error(_)) || (ours == Truth::No && never(&facts, &expr));
                prop_assert!(error, "{text}: {why:?}, {ours:?}");
            }
        }
    }

    #[test]
    fn what_is_learnt_later_contradicts_nothing(text in condition(), facts in facts(), known in any::<[bool; 4]>()) {
        let Some(expr) = parsed(&text) else { return Ok(()) };
        let [source, listener, dns, tls] = known;
        let partial = Facts {
            source: facts.source.filter(|_| source),
            listener: facts.listener.clone().filter(|_| listener),
            resolved: facts.resolved.clone().filter(|_| dns),
            tls: facts.tls.clone().filter(|_| tls),
            ..facts.clone()
        };
        let (before, after) = (expr.eval(&partial, Reading::Registered), expr.eval(&facts, Reading::Registered));
        prop_assert_ne!(kind(after), "pending");
        match before {
            Truth::Pending(waits) => {
                prop_assert!(!waits.is_empty() && waits.union(expr.uses()) == expr.uses());
                let unknown = waits.iter().all(|attribute| match attribute.row().name.split('.').next() {
                    Some("source") => !source,
                    Some("listener") => !listener,
                    Some("dns") => !dns,
                    Some("tls") => !tls,
                    _ => false,
                });
                prop_assert!(unknown, "{text}: {waits:?}");
            }
            said => prop_assert_eq!(kind(said), kind(after), "{}", text),
        }
    }

    #[test]
    fn outside_its_host_keys_an_expression_is_false(text in condition(), facts in facts(), known in any::<bool>()) {
        let Some(expr) = parsed(&text) else { return Ok(()) };
        let Some(keys) = expr.host_keys() else { return Ok(()) };
        let host = facts.destination.host.to_text().into_owned();
        let inside = keys.iter().any(|key| match key {
            HostKey::Exact(name) => *name == host,
            HostKey::Within(apex) => name_within(&host, apex),
        });
        let facts = if known { facts } else { Facts { resolved: None, tls: None, ..facts } };
        if !inside {
            prop_assert_eq!(expr.eval(&facts, Reading::Registered), Truth::No, "{}", text);
        }
    }

    #[test]
    fn conjuncts_together_are_the_whole(text in condition(), facts in facts()) {
        let Some(expr) = parsed(&text) else { return Ok(()) };
        let whole = expr.eval(&facts, Reading::Registered);
        let parts: Vec<Truth> = expr.conjuncts().map(|part| part.eval(&facts, Reading::Registered)).collect();
        prop_assert_eq!(whole == Truth::Yes, parts.iter().all(|part| *part == Truth::Yes), "{}", &text);
        let failed = expr.conjuncts().filter_map(|part| part.failed(&facts, Reading::Registered)).count();
        prop_assert_eq!(failed, parts.iter().filter(|part| **part != Truth::Yes).count());
    }
}
