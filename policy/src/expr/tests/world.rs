//! Facts to evaluate on.

use std::sync::Arc;

use crate::address::Floor;
use crate::facts::{
    Facts, Hello, HttpRequest, Labels, Proof, Protocol, Resolved, ServerCertificate, Subject, Tls, Upstream,
};
use crate::host::Authority;
use crate::identity::{Certificate, Identity};

pub(super) const JA4: &str = "t13d1516h2_8daaf6152771_e5627efa2ab1";

pub(super) const PIN: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

pub(super) const SPIFFE: &str = "spiffe://corp.example/ns/payments/sa/checkout";

fn boxes(texts: &[&str]) -> Arc<[Box<str>]> {
    texts.iter().map(|text| Box::from(*text)).collect()
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// A tunnel to `api.stripe.com:443` of which everything is known.
pub(super) fn tunnel() -> Facts {
    let expires = "2031-01-01T00:00:00Z".parse().unwrap();
    let labels: Labels = [("env", "prod"), ("app", "checkout")].map(|(k, v)| (k.into(), v.into())).into();
    Facts {
        now: "2030-06-05T10:20:30.456Z".parse().unwrap(),
        mode: "normal".into(),
        source: Some("10.0.0.7:50123".parse().unwrap()),
        listener: Some("main".into()),
        identity: Identity::mtls(SPIFFE, Certificate { sha256: "00ff".into(), expires }),
        subject: Subject {
            labels: Arc::new(labels),
            registered: boxes(&["internal", "pci"]),
            declared: Some(boxes(&["internal"])),
        },
        destination: Authority::parse(b"api.stripe.com:443").unwrap(),
        tags: boxes(&["critical-supplier", "dpa-signed"]),
        protocol: Protocol::Connect,
        request: None,
        floor: Arc::new(Floor::default()),
        resolved: Some(Resolved {
            answers: vec!["3.18.12.63".parse().unwrap(), "2600:1f16::1".parse().unwrap()],
            cname: texts(&["edge.stripe.com"]),
            min_ttl: 60,
            secure: true,
        }),
        tls: Some(Tls::Hello(Hello {
            sni: Some("api.stripe.com".to_owned()),
            alpn: texts(&["h2", "http/1.1"]),
            versions: texts(&["1.3", "1.2"]),
            ech: false,
            ja4: Some(JA4.into()),
        })),
        upstream: Some(Arc::new(Upstream::Shown(ServerCertificate {
            proof: Proof::Verified,
            dns_sans: Some(texts(&["api.stripe.com", "*.stripe.com"])),
            issuer: Some("CN=R3,O=Let's Encrypt,C=US".to_owned()),
            spki_sha256: Some(PIN.to_owned()),
            not_after: Some("2030-08-01T00:00:00Z".parse().unwrap()),
            tls_version: Some("1.3".to_owned()),
        }))),
    }
}

/// The same before DNS and before any client byte.
pub(super) fn asked() -> Facts {
    Facts { resolved: None, tls: None, upstream: None, ..tunnel() }
}

/// A plain HTTP request of which everything is known.
pub(super) fn plain() -> Facts {
    let headers = [("content-type", "Application/JSON; charset=utf-8"), ("x-team", "payments")];
    Facts {
        protocol: Protocol::Http,
        request: Some(HttpRequest {
            method: "POST".to_owned(),
            path: "/v1/charges".to_owned(),
            query: "limit=1".to_owned(),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            content_length: Some(17),
        }),
        tls: Some(Tls::Absent),
        upstream: None,
        ..tunnel()
    }
}

/// To another destination.
pub(super) fn to(authority: &str) -> Facts {
    Facts { destination: Authority::parse(authority.as_bytes()).unwrap(), ..tunnel() }
}

/// With another server name.
pub(super) fn with_sni(sni: Option<&str>) -> Facts {
    Facts { tls: Some(Tls::Hello(Hello { sni: sni.map(str::to_owned), ..Hello::default() })), ..tunnel() }
}
