//! The admin listener answers whom it should, and nobody else.

use std::net::SocketAddr;

use gatepass_policy::decision::Reason;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::evidence::tests::{denied, policy_ref, settings};
use crate::evidence::{Flushed, Settings};

const TOKEN: &str = "correct-horse";

struct Admin {
    address: SocketAddr,
    evidence: Evidence,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

async fn start(operators: Vec<TokenHash>, ready: Ready) -> Admin {
    let metrics = Arc::new(Metrics::new().unwrap());
    let settings = Settings { floor: None, ..settings(None, 4) };
    let evidence = Evidence::start(settings, metrics.clone()).unwrap();
    let gauges = metrics.clone();
    let state = State {
        refresh: Box::new(move || gauges.policy_age.set(7)),
        ready: Box::new(move || ready.clone()),
        policy: Box::new(|| PolicyView {
            policy: policy_ref(),
            rules: 3,
            activated: jiff::Timestamp::UNIX_EPOCH,
            last_error: Some("a.yaml:1:1: no".into()),
        }),
        tunnels: Box::new(|| vec![serde_json::json!({"id": "t"})]),
        metrics,
        evidence: evidence.clone(),
        names: Names(vec![gatepass_policy::host::Host::parse(b"gatepass-admin.infra.example").unwrap()]),
        operators: operators.into_iter().map(|hash| Operator { hash, expires: jiff::Timestamp::MAX }).collect(),
        now: Box::new(jiff::Timestamp::now),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, Arc::new(state), Limits::default()));
    Admin { address, evidence }
}

async fn open() -> Admin {
    start(vec![TokenHash::of(b"another"), TokenHash::of(TOKEN.as_bytes())], Ready::default()).await
}

impl Admin {
    /// One request with these fields besides `Connection: close`.
    async fn ask(&self, line: &str, fields: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("{line} HTTP/1.1\r\nConnection: close\r\n{fields}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0);
        Answer { status, head: head.to_ascii_lowercase(), body: body.into() }
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path}"), &format!("Host: {}\r\n", self.address)).await
    }

    async fn get_as_operator(&self, path: &str) -> Answer {
        let fields = format!("Host: {}\r\nAuthorization: Bearer {TOKEN}\r\n", self.address);
        self.ask(&format!("GET {path}"), &fields).await
    }
}

const PROTECTED: [&str; 4] =
    ["/v1/policy", "/v1/tunnels", "/v1/decisions", "/v1/decisions/019a8f3e-1d2c-7b4a-9c1e-2f60a1b3c4d5"];

#[tokio::test]
async fn a_rebound_name_is_refused_on_every_path() {
    let admin = open().await;
    let port = admin.address.port();
    for path in ["/health", "/metrics", "/v1/decisions", "/nothing"] {
        for host in [
            format!("Host: evil.example:{port}\r\n"),
            "Host: 127.0.0.1\r\n".into(),
            format!("Host: 127.0.0.2:{port}\r\n"),
            format!("Host: localhost.evil.example:{port}\r\n"),
            format!("Host: 127.0.0.1:{port}\r\nHost: evil.example\r\n"),
            String::new(),
        ] {
            let answer = admin.ask(&format!("GET {path}"), &format!("{host}Authorization: Bearer {TOKEN}\r\n")).await;
            assert_eq!((answer.status, answer.json()["status"].as_u64()), (421, Some(421)), "{path} {host}");
            assert!(answer.head.contains("content-type: application/problem+json"));
        }
    }
    for host in [format!("127.0.0.1:{port}"), format!("LOCALHOST:{port}"), "gatepass-admin.infra.example".into()] {
        assert_eq!(admin.ask("GET /health", &format!("Host: {host}\r\n")).await.status, 200, "{host}");
    }
}

#[tokio::test]
async fn it_is_no_proxy() {
    let admin = open().await;
    let host = format!("Host: {}\r\n", admin.address);
    for line in ["GET http://example.com/health", "CONNECT example.com:443", "OPTIONS *"] {
        assert_eq!(admin.ask(line, &host).await.status, 421, "{line}");
    }
}

#[tokio::test]
async fn a_page_of_another_site_gets_nothing() {
    let admin = open().await;
    for field in ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site", "Origin: http://evil.example"] {
        let fields = format!("Host: {}\r\n{field}\r\nAuthorization: Bearer {TOKEN}\r\n", admin.address);
        assert_eq!(admin.ask("GET /v1/policy", &fields).await.status, 403, "{field}");
        assert_eq!(admin.ask("GET /metrics", &fields).await.status, 403, "{field}");
    }
    let typed = format!("Host: {}\r\nSec-Fetch-Site: none\r\n", admin.address);
    assert_eq!(admin.ask("GET /health", &typed).await.status, 200, "an address typed by a person");
}

#[tokio::test]
async fn what_an_operator_asks_needs_an_operators_token() {
    let admin = open().await;
    for path in PROTECTED {
        for credential in [
            "",
            "Authorization: Bearer wrong\r\n",
            "Authorization: Bearer \r\n",
            "Authorization: Basic Y29ycmVjdC1ob3JzZQ==\r\n",
            "Authorization: correct-horse\r\n",
            "Authorization: Bearer correct-horse\r\nAuthorization: Bearer correct-horse\r\n",
        ] {
            let answer = admin.ask(&format!("GET {path}"), &format!("Host: {}\r\n{credential}", admin.address)).await;
            assert_eq!(answer.status, 401, "{path} {credential}");
            assert!(answer.head.contains("www-authenticate: bearer"), "{}", answer.head);
            assert!(!answer.body.contains("sha256"), "{}", answer.body);
        }
        assert_ne!(admin.get_as_operator(path).await.status, 401, "{path}");
    }
}

#[tokio::test]
async fn without_a_configured_operator_nobody_is_one() {
    let admin = start(Vec::new(), Ready::default()).await;
    for path in PROTECTED {
        assert_eq!(admin.get(path).await.status, 403, "{path}");
        assert_eq!(admin.get_as_operator(path).await.status, 403, "{path}");
    }
    assert_eq!(admin.get("/health").await.status, 200);
}

#[tokio::test]
async fn readiness_tells_why_not_and_what_is_degraded() {
    let admin = open().await;
    let answer = admin.get("/ready").await;
    assert_eq!((answer.status, &answer.json()["ready"]), (200, &Value::Bool(true)));
    let held = [admin.evidence.reserve().unwrap(), admin.evidence.reserve().unwrap()];
    let answer = admin.get("/ready").await;
    assert_eq!(answer.status, 503);
    assert!(answer.json()["reasons"][0].as_str().unwrap().contains("queue is full"), "{}", answer.body);
    drop(held);
    let reasons = Ready { not_ready: vec!["draining".into()], degraded: vec!["the last reload was rejected".into()] };
    let admin = start(Vec::new(), reasons).await;
    let answer = admin.get("/ready").await;
    assert_eq!((answer.status, &answer.json()["reasons"][0]), (503, &"draining".into()));
    assert_eq!(answer.json()["degraded"][0], "the last reload was rejected");
}

#[tokio::test]
async fn metrics_parse_as_the_prometheus_text_format() {
    let admin = open().await;
    admin.evidence.reserve().unwrap().refuse(denied());
    let answer = admin.get("/metrics").await;
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4"));
    assert!(answer.body.contains("gatepass_decisions_total{outcome=\"refused\",reason=\"no_rule\",mode=\"normal\"} 1"));
    assert!(answer.body.contains("gatepass_policy_age_seconds 7"), "refreshed before it is shown");
    assert!(answer.body.contains("gatepass_evidence_queue_limit 4"));
    for line in answer.body.lines().filter(|line| !line.is_empty() && !line.starts_with("# ")) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let name = series.split('{').next().unwrap();
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{line}");
        assert!(!series.contains("stripe") && !series.contains("spiffe"), "{line}");
    }
}

#[tokio::test]
async fn an_operator_finds_decisions() {
    let admin = open().await;
    let record = admin.evidence.reserve().unwrap().refuse(denied());
    let one = admin.get_as_operator(&format!("/v1/decisions/{}", record.id)).await;
    assert_eq!((one.status, &one.json()["reason"]["code"]), (200, &Reason::NoRule.code().into()));
    let id = "identity=spiffe%3A%2F%2Fcorp.example/ns/payments/sa/checkout";
    for (query, found) in [
        ("", 1),
        (id, 1),
        ("identity=anonymous", 0),
        ("host=api.stripe.com&outcome=refused", 1),
        ("host=API.Stripe.com.&outcome=failed,refused", 1),
        ("outcome=admitted", 0),
        ("limit=0", 0),
    ] {
        let answer = admin.get_as_operator(&format!("/v1/decisions?{query}")).await;
        assert_eq!(answer.json()["decisions"].as_array().map(Vec::len), Some(found), "{query}");
    }
    for query in ["who=x", "limit=many", "host=a&host=b", "host", "host=%zz", "host=%ff", "host=a%20b"] {
        assert_eq!(admin.get_as_operator(&format!("/v1/decisions?{query}")).await.status, 400, "{query}");
    }
    assert_eq!(admin.get_as_operator("/v1/decisions/019a8f3e-1d2c-7b4a-9c1e-2f60a1b3c4d5").await.status, 404);
    assert_eq!(admin.get_as_operator("/v1/decisions/..%2f").await.status, 404);
    let policy = admin.get_as_operator("/v1/policy").await.json();
    assert_eq!((&policy["digest"], &policy["last_error"]), (&"sha256:00ff".into(), &"a.yaml:1:1: no".into()));
    assert_eq!(admin.get_as_operator("/v1/tunnels").await.json()["tunnels"][0]["id"], "t");
    assert_eq!(admin.evidence.flush(std::time::Duration::from_secs(9)).await, Flushed::All);
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    let admin = open().await;
    assert_eq!(admin.get("/").await.status, 404);
    assert_eq!(admin.get("/v1/decisionsx").await.status, 404);
    assert_eq!(admin.get("/health/").await.status, 404);
    let answer = admin.ask("POST /health", &format!("Host: {}\r\nContent-Length: 0\r\n", admin.address)).await;
    assert_eq!(answer.status, 405);
    assert!(answer.head.contains("allow: get, head"));
    let fields = format!("Host: {}\r\nX: {}\r\n", admin.address, "x".repeat(64 << 10));
    assert_ne!(admin.ask("GET /health", &fields).await.status, 200, "a head has a bound");
    let head = admin.ask("HEAD /health", &format!("Host: {}\r\n", admin.address)).await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}
