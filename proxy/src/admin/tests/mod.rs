//! The admin listener answers whom it should, and nobody else.

mod changes;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Mutex;

use gatepass_config::operators::{Asked as IsAsked, Hash, Means, Operator, Role};
use gatepass_policy::decision::Reason;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::api::{Row, TABLE};
use super::totp::{Spend, Spent, Totp};
use super::*;
use crate::evidence::tests::{denied, policy_ref, settings};
use crate::evidence::{Flushed, Settings};

const TOKEN: &str = "correct-horse";

struct Admin {
    address: SocketAddr,
    evidence: Evidence,
    /// One line a recorded call.
    calls: Arc<Mutex<Vec<String>>>,
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

fn operator(name: &str, token: &str, roles: &[Role]) -> Operator {
    Operator {
        name: name.into(),
        person: name.into(),
        roles: roles.to_vec(),
        expires: jiff::Timestamp::MAX,
        sha256: Some(Hash(Sha256::digest(token).into())),
        certificates: Vec::new(),
        oidc: None,
        totp: None,
    }
}

/// What a recorded call says, and whether it can be kept.
type Keep = Box<dyn Fn(&str) -> Result<(), Unkept> + Send + Sync>;

async fn serving(operators: Vec<Operator>, ready: Ready, table: &'static [Row], keep: Keep) -> Admin {
    let metrics = Arc::new(Metrics::new().unwrap());
    let settings = Settings { floor: None, ..settings(None, 4) };
    let evidence = Evidence::start(settings, metrics.clone()).unwrap();
    let gauges = metrics.clone();
    let calls: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = calls.clone();
    let means = Means { certificates: IsAsked::No, oidc: IsAsked::No };
    let state = State {
        table,
        refresh: Box::new(move || gauges.policy_age.set(7)),
        ready: Box::new(move || ready.clone()),
        policy: Box::new(|| PolicyView {
            policy: policy_ref(),
            rules: 3,
            activated: jiff::Timestamp::UNIX_EPOCH,
            last_error: Some("a.yaml:1:1: no".into()),
            not_after: None,
            confirmed: None,
            stale: None,
            candidate: None,
            fleet: Vec::new(),
        }),
        preview: Arc::new(|_| Ok(Value::Null)),
        cut: Box::new(|_, _| false),
        tunnels: Box::new(|| (1..=5).map(|n| serde_json::json!({"id": format!("t{n}")})).collect()),
        metrics,
        evidence: evidence.clone(),
        names: Names(vec![gatepass_policy::host::Host::parse(b"gatepass-admin.infra.example").unwrap()]),
        kept: Arc::new(Kept::new(operators, None, means, None)),
        oidc: None,
        wrong: Wrong::default(),
        totp: Totp::new(spending()),
        record: Box::new(move |call| {
            let outcome = match call.outcome {
                Outcome::Begun => "begun".to_owned(),
                Outcome::Answered { status, .. } => status.as_u16().to_string(),
            };
            let by: Vec<&str> = call.by.iter().map(|by| by.as_str()).collect();
            let who = call.operator.unwrap_or("-");
            let line = format!("{who} {} {} {} {outcome}", by.join("+"), call.method, call.route);
            noted.lock().unwrap().push(line.clone());
            keep(&line)
        }),
        overriding: None,
        now: Box::new(jiff::Timestamp::now),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(Socket::Tcp(listener), Arc::new(state), Limits::default()));
    Admin { address, evidence, calls }
}

/// Remembers used codes in memory.
fn spending() -> Spend {
    let used: Mutex<Vec<(String, u64)>> = Mutex::default();
    Box::new(move |person, step| {
        let mut used = used.lock().unwrap();
        if used.iter().any(|(who, last)| who == person && *last >= step) {
            return Spent::Before;
        }
        used.push((person.to_owned(), step));
        Spent::Now
    })
}

async fn start(operators: Vec<Operator>, ready: Ready) -> Admin {
    serving(operators, ready, TABLE, Box::new(|_| Ok(()))).await
}

fn two() -> Vec<Operator> {
    vec![operator("another", "another", &[Role::Viewer]), operator("alice", TOKEN, &[Role::Viewer])]
}

async fn open() -> Admin {
    start(two(), Ready::default()).await
}

impl Admin {
    /// One request with these fields besides `Connection: close`.
    async fn ask(&self, line: &str, fields: &str) -> Answer {
        self.send(line, fields, b"").await
    }

    /// The same with a body.
    async fn send(&self, line: &str, fields: &str, body: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("{line} HTTP/1.1\r\nConnection: close\r\n{fields}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        // Whoever is refused early closes early.
        let _ = stream.write_all(body).await;
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        let text = String::from_utf8(bytes).unwrap();
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
    assert_eq!(admin.get_as_operator("/v1/tunnels").await.json()["tunnels"][0]["id"], "t1");
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
    assert!(answer.head.contains("allow: get, head, options"));
    let fields = format!("Host: {}\r\nX: {}\r\n", admin.address, "x".repeat(64 << 10));
    assert_ne!(admin.ask("GET /health", &fields).await.status, 200, "a head has a bound");
    let head = admin.ask("HEAD /health", &format!("Host: {}\r\n", admin.address)).await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

#[tokio::test]
async fn what_can_be_done_with_a_path_is_told() {
    let admin = open().await;
    let host = format!("Host: {}\r\n", admin.address);
    for path in ["/health", "/v1/policy", "/v1/decisions/abc"] {
        let answer = admin.ask(&format!("OPTIONS {path}"), &host).await;
        assert_eq!((answer.status, answer.body.as_str()), (204, ""), "{path}");
        assert!(answer.head.contains("allow: get, head, options"), "{}", answer.head);
        assert!(!answer.head.contains("access-control"), "no page of another site is told that it may ask");
    }
    assert_eq!(admin.ask("OPTIONS /nothing", &host).await.status, 404);
    let preflight = format!("{host}Origin: http://evil.example\r\nAccess-Control-Request-Method: DELETE\r\n");
    assert_eq!(admin.ask("OPTIONS /v1/policy", &preflight).await.status, 403);
}

#[tokio::test]
async fn every_call_that_needs_an_operator_is_recorded_and_no_other() {
    let admin = open().await;
    let host = format!("Host: {}\r\n", admin.address);
    admin.get("/health").await;
    admin.get("/nothing").await;
    admin.ask("DELETE /v1/policy", &host).await;
    admin.get_as_operator("/v1/policy").await;
    admin.get("/v1/tunnels").await;
    admin.get_as_operator("/v1/decisions/019a8f3e-1d2c-7b4a-9c1e-2f60a1b3c4d5").await;
    assert_eq!(
        *admin.calls.lock().unwrap(),
        ["alice token GET /v1/policy 200", "-  GET /v1/tunnels 401", "alice token GET /v1/decisions/{id} 404"]
    );
}

#[tokio::test]
async fn wrong_tokens_are_told_to_wait_and_a_right_one_never_is() {
    let admin = open().await;
    let fields = format!("Host: {}\r\nAuthorization: Bearer wrong\r\n", admin.address);
    let mut seen = Vec::new();
    for _ in 0..40 {
        let answer = admin.ask("GET /v1/policy", &fields).await;
        if answer.status == 429 {
            assert!(answer.head.contains("retry-after: "), "{}", answer.head);
        }
        seen.push(answer.status);
        assert_eq!(admin.get_as_operator("/v1/policy").await.status, 200);
    }
    assert!(seen.starts_with(&[401; 20]) && seen[22..].iter().all(|status| *status == 429), "{seen:?}");
    assert_eq!(admin.get("/v1/policy").await.status, 401, "whoever shows nothing guesses nothing");
}

#[tokio::test]
async fn lists_come_in_pages_that_name_the_next() {
    let admin = open().await;
    let first = admin.get_as_operator("/v1/tunnels?limit=2").await;
    let ids = |answer: &Answer| answer.json()["tunnels"].as_array().unwrap().len();
    assert_eq!(ids(&first), 2);
    let all = admin.get_as_operator("/v1/tunnels").await;
    assert!(ids(&all) == 5 && all.json().get("next").is_none() && !all.head.contains("link:"), "{}", all.head);
    let mut records = Vec::new();
    for _ in 0..5 {
        let record = loop {
            match admin.evidence.reserve() {
                Ok(room) => break room.refuse(denied()),
                Err(_) => tokio::task::yield_now().await,
            }
        };
        records.insert(0, record.id.to_string());
    }
    let mut path = "/v1/decisions?limit=2&host=api.stripe.com".to_owned();
    let (mut found, mut pages) = (Vec::new(), 0);
    loop {
        let answer = admin.get_as_operator(&path).await;
        let json = answer.json();
        found.extend(json["decisions"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()));
        pages += 1;
        let Some(next) = json["next"].as_str() else { break };
        assert!(answer.head.contains(&format!("link: <{next}>; rel=\"next\"")), "{}", answer.head);
        next.clone_into(&mut path);
    }
    assert_eq!((found, pages), (records, 3));
    assert_eq!(admin.get_as_operator("/v1/decisions?after=yesterday").await.status, 400);
    assert_eq!(admin.evidence.flush(std::time::Duration::from_secs(9)).await, Flushed::All);
}

#[tokio::test]
async fn the_document_names_what_is_served_and_nothing_else() {
    let admin = open().await;
    let document = admin.get("/v1/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let served: BTreeSet<(String, String)> = (TABLE.iter())
        .map(|row| (row.operation.path.to_owned(), row.operation.verb.method().as_str().to_lowercase()))
        .collect();
    let paths = document["paths"].as_object().unwrap().iter();
    let told: BTreeSet<(String, String)> = paths
        .flat_map(|(path, verbs)| verbs.as_object().unwrap().keys().map(|verb| (path.clone(), verb.clone())))
        .collect();
    assert_eq!(told, served);
    assert_eq!(document["paths"]["/v1/policy"]["get"]["security"][0]["token"][0], "viewer");
    assert_eq!(document["paths"]["/health"]["get"]["security"], serde_json::json!([]));
}
