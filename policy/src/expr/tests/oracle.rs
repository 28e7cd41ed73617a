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
use super::random::{condition, facts};
use crate::address;
use crate::facts::{Facts, Proof, Tls, Upstream};
use crate::host::name_within;

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
    let resolved = facts.resolved.as_ref().unwrap();
    let answers: Vec<String> = resolved.answers.iter().map(IpAddr::to_string).collect();
    let source = facts.source.unwrap();
    let (classes, from) = match (reading, &facts.subject.declared) {
        (Reading::Declared, Some(declared)) => (declared, "declared"),
        _ => (&facts.subject.registered, "registered"),
    };
    let source = [("ip", string(source.ip().to_string())), ("port", Some(Value::Int(source.port().into())))];
    let dns = [
        ("answers", strings(&answers)),
        ("cname", strings(&resolved.cname)),
        ("min_ttl", Some(Value::Int(resolved.min_ttl.into()))),
        ("secure", Some(Value::Bool(resolved.secure))),
    ];
    for (name, value) in [
        ("source", map(source)),
        ("listener", map([("name", string(facts.listener.as_deref().unwrap()))])),
        ("identity", who(facts)),
        ("destination", destination(facts)),
        ("data_classes", strings(classes).unwrap()),
        ("data_classes_from", string(from).unwrap()),
        ("now", moment(facts.now).unwrap()),
        ("mode", string(&facts.mode).unwrap()),
        ("request", head(facts)),
        ("dns", map(dns)),
        ("tls", tls(facts)),
        ("upstream", upstream(facts)),
    ] {
        context.add_variable_from_value(name, value);
    }
}

fn who(facts: &Facts) -> Value {
    let identity = &facts.identity;
    map([
        ("id", string(identity.id())),
        ("method", string(identity.method().as_str())),
        ("spiffe_id", or_null(identity.spiffe_id())),
        ("trust_domain", or_null(identity.trust_domain())),
        ("labels", string_map(facts.subject.labels.iter().map(|(key, value)| (&**key, &**value)))),
        ("cert_expires", identity.certificate().and_then(|certificate| moment(certificate.expires))),
    ])
}

fn destination(facts: &Facts) -> Value {
    let host = &facts.destination.host;
    map([
        ("host", string(host.to_text())),
        ("port", Some(Value::Int(facts.destination.port.into()))),
        ("kind", string(if host.ip().is_some() { "ip" } else { "name" })),
        ("registered_domain", or_null(host.name().and_then(psl::domain_str))),
        ("tags", strings(&facts.tags)),
    ])
}

fn head(facts: &Facts) -> Value {
    let head = facts.request.as_ref();
    map([
        ("protocol", string(facts.protocol.as_str())),
        ("path", head.and_then(|head| string(&head.path))),
        ("query", head.and_then(|head| string(&head.query))),
        ("headers", head.and_then(|head| string_map(head.headers.iter().map(|(k, v)| (&**k, &**v))))),
        ("content_type", head.and_then(|head| or_null(head.headers.get("content-type")))),
        ("content_length", head.and_then(|head| Some(Value::Int(head.content_length? as i64)))),
    ])
}

fn tls(facts: &Facts) -> Value {
    let hello = match facts.tls.as_ref().unwrap() {
        Tls::Hello(hello) => Some(hello),
        Tls::Absent => None,
    };
    map([
        ("present", Some(Value::Bool(hello.is_some()))),
        ("sni", or_null(hello.and_then(|hello| hello.sni.as_ref()))),
        ("alpn", strings(hello.map_or(&[], |hello| &*hello.alpn))),
        ("versions", strings(hello.map_or(&[], |hello| &*hello.versions))),
        ("ech", Some(Value::Bool(hello.is_some_and(|hello| hello.ech)))),
        ("ja4", or_null(hello.and_then(|hello| hello.ja4.as_ref()))),
    ])
}

/// Without a hello there is no key at all, and without a certificate only one.
fn upstream(facts: &Facts) -> Value {
    match (facts.tls.as_ref().unwrap(), &**facts.upstream.as_ref().unwrap()) {
        (Tls::Absent, _) => map([]),
        (Tls::Hello(_), Upstream::Nothing(_)) => map([("verified", Some(Value::Bool(false)))]),
        (Tls::Hello(_), Upstream::Shown(certificate)) => map([
            ("verified", Some(Value::Bool(certificate.proof == Proof::Verified))),
            ("dns_sans", strings(certificate.dns_sans.as_ref().unwrap())),
            ("issuer", string(certificate.issuer.as_ref().unwrap())),
            ("spki_sha256", string(certificate.spki_sha256.as_ref().unwrap())),
            ("not_after", moment(certificate.not_after.unwrap())),
        ]),
    }
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
    expr.uses().iter().any(|attribute| match attribute.row().name.split_once('.') {
        Some(("request", part)) => part != "protocol" && facts.request.is_none(),
        Some(("upstream", _)) => facts.tls == Some(Tls::Absent),
        _ => false,
    })
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
    #![proptest_config(ProptestConfig { cases: cases(96), failure_persistence: None, ..ProptestConfig::default() })]

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
    fn what_is_learnt_later_contradicts_nothing(text in condition(), facts in facts(), known in any::<[bool; 5]>()) {
        let Some(expr) = parsed(&text) else { return Ok(()) };
        let [source, listener, dns, tls, probed] = known;
        let partial = Facts {
            source: facts.source.filter(|_| source),
            listener: facts.listener.clone().filter(|_| listener),
            resolved: facts.resolved.clone().filter(|_| dns),
            tls: facts.tls.clone().filter(|_| tls),
            upstream: facts.upstream.clone().filter(|_| probed),
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
                    Some("upstream") => !tls || !probed,
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
        let facts = if known { facts } else { Facts { resolved: None, tls: None, upstream: None, ..facts } };
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
