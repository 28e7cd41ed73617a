//! A condition parses, or its problems lie within its text; what parses says the same each time, and what is learnt later
//! never contradicts it.
#![no_main]

use std::sync::Arc;

use gatepass_policy::address::Floor;
use gatepass_policy::expr::{Expr, Reading, Truth};
use gatepass_policy::facts::{Facts, Hello, Protocol, Resolved, Subject, Tls, Upstream};
use gatepass_policy::host::Authority;
use gatepass_policy::identity::{Certificate, Identity};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Expr::parse(text) {
        Ok(expr) => {
            assert_eq!(expr.source(), text);
            evaluated(&expr);
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            assert!(problems.iter().all(|problem| text.get(problem.range.clone()).is_some()));
        }
    }
});

fn evaluated(expr: &Expr) {
    let conjuncts: Vec<_> = expr.conjuncts().collect();
    assert!(!conjuncts.is_empty());
    for host in ["api.stripe.com:443", "192.0.2.7:22", "[2001:db8::1]:8443"] {
        let request = request(host);
        let resolved = Resolved {
            answers: request
                .destination
                .host
                .ip()
                .map_or_else(|| vec!["93.184.216.34".parse().unwrap()], |ip| vec![ip]),
            cname: vec!["edge.example".to_owned()],
            min_ttl: 60,
            secure: true,
        };
        let resolved = Facts { resolved: Some(resolved), ..request.clone() };
        let hello =
            Hello { sni: Some("api.stripe.com".to_owned()), ech: true, ja4: Some("t13d".into()), ..Hello::default() };
        let tls = Facts {
            tls: Some(Tls::Hello(hello)),
            upstream: Some(Arc::new(Upstream::Nothing("no TLS".into()))),
            ..resolved.clone()
        };
        let stages = [&request, &resolved, &tls].map(|facts| expr.eval(facts, Reading::Registered));
        for pair in stages.windows(2) {
            match (pair[0], pair[1]) {
                (Truth::Yes, later) => assert_eq!(later, Truth::Yes),
                (Truth::No, later) => assert_eq!(later, Truth::No),
                (Truth::Pending(_) | Truth::Error(_), _) => {}
            }
        }
        assert!(!matches!(stages[2], Truth::Pending(_)), "everything is known: {:?}", stages[2]);
        for conjunct in &conjuncts {
            conjunct.failed(&tls, Reading::Declared);
        }
        if let Some(keys) = expr.host_keys()
            && keys.is_empty()
        {
            assert_eq!(stages[2], Truth::No, "it has no host and is not false");
        }
    }
}

fn request(authority: &str) -> Facts {
    let labels = [("team", "payments"), ("env", "prod")].map(|(key, value)| (key.into(), value.into()));
    Facts {
        now: Timestamp::from_second(1_795_521_600).unwrap(),
        mode: "normal".into(),
        source: Some("10.0.0.1:40000".parse().unwrap()),
        listener: Some("mesh".into()),
        identity: Identity::mtls(
            "spiffe://corp.example/ns/payments/sa/checkout",
            Certificate { sha256: "00ff".into(), expires: Timestamp::from_second(1_800_000_000).unwrap() },
        ),
        subject: Subject {
            labels: Arc::new(labels.into()),
            registered: Arc::new(["internal".into(), "pci".into()]),
            declared: Some(Arc::new(["internal".into()])),
        },
        destination: Authority::parse(authority.as_bytes()).unwrap(),
        tags: Arc::new(["dpa-signed".into()]),
        protocol: Protocol::Connect,
        request: None,
        floor: Arc::new(Floor::default()),
        resolved: None,
        upstream: None,
        tls: None,
    }
}
