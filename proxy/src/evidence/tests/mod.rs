//! Evidence, seen from outside: the shape of records, and the promises of reservations.

use std::io;
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use gatepass_policy::address::Floor;
use gatepass_policy::decision::{Decision, Effect, FailedClause, Keeping, Nearest, Reason, RuleInfo, Shown};
use gatepass_policy::facts::{
    Facts, Hello, HttpRequest, Proof, Protocol, Resolved, ServerCertificate, Subject, Tls, Upstream,
};
use gatepass_policy::host::Authority;
use gatepass_policy::identity::{Certificate, Identity};
use gatepass_policy::schema::Stage;
use jiff::Timestamp;

use super::parts::PolicyRef;
use super::*;
use crate::clock::Clock;

mod promises;

pub(crate) mod shape;

pub(crate) fn rule() -> Arc<RuleInfo> {
    Arc::new(RuleInfo {
        path: "payments/stripe".into(),
        owner: "alice@example.com".into(),
        purpose: "card payments".into(),
        ticket: None,
        expires: Some("2027-04-30T00:00:00Z".parse().unwrap()),
    })
}

pub(crate) fn facts() -> Facts {
    let labels = [("app", "checkout"), ("env", "prod"), ("team", "payments")];
    Facts {
        now: "2026-11-22T10:00:00.123456789Z".parse().unwrap(),
        mode: "normal".into(),
        source: Some("10.8.3.4:51234".parse().unwrap()),
        listener: Some("mesh".into()),
        identity: Identity::mtls(
            "spiffe://corp.example/ns/payments/sa/checkout",
            Certificate { sha256: "ab".repeat(32).into(), expires: Timestamp::MAX },
        ),
        subject: Subject {
            labels: Arc::new(labels.into_iter().map(|(key, value)| (key.into(), value.into())).collect()),
            registered: ["internal".into(), "pci".into()].into(),
            declared: Some(["internal".into()].into()),
        },
        destination: Authority::parse(b"api.stripe.com:443").unwrap(),
        tags: [].into(),
        protocol: Protocol::Connect,
        request: None,
        floor: Arc::new(Floor::default()),
        resolved: None,
        tls: None,
        upstream: None,
    }
}

/// Facts in which nothing is absent.
pub(crate) fn all_facts() -> Facts {
    Facts {
        request: Some(HttpRequest {
            method: "GET".into(),
            path: "/v1/charges".into(),
            query: "token=query-secret".into(),
            headers: [("cookie".to_owned(), "header-secret".to_owned())].into(),
            content_length: Some(0),
        }),
        floor: Arc::new(Floor { development_loopback: true, ..Floor::default() }),
        resolved: Some(Resolved {
            answers: vec!["203.0.113.7".parse::<IpAddr>().unwrap(), "2001:db8::7".parse().unwrap()],
            cname: vec!["edge.example.net".into()],
            min_ttl: 30,
            secure: true,
        }),
        tls: Some(Tls::Hello(Hello {
            sni: Some("api.stripe.com".into()),
            alpn: vec!["h2".into(), "http/1.1".into()],
            versions: vec!["1.3".into(), "1.2".into()],
            ech: false,
            ja4: Some("t13d1516h2_8daaf6152771_e5627efa2ab1".into()),
        })),
        upstream: Some(Arc::new(Upstream::Shown(ServerCertificate {
            proof: Proof::Unverified("the certificate has expired".into()),
            dns_sans: Some(vec!["api.stripe.com".into(), "*.stripe.com".into()]),
            issuer: Some("CN=R3,O=Let's Encrypt,C=US".into()),
            spki_sha256: Some("00ff".into()),
            not_after: Some("2027-01-01T00:00:00Z".parse().unwrap()),
            tls_version: Some("1.3".into()),
        }))),
        ..facts()
    }
}

pub(crate) fn decision(effect: Effect, reason: Reason) -> Decision {
    Decision {
        effect,
        reason,
        stage: Stage::Request,
        rule: (effect == Effect::Allow).then(rule),
        detail: None,
        overridden: None,
        exception: None,
        liftable: false,
        unopened: false,
        shadow: Vec::new(),
        used_declared: false,
        keeping: Keeping::AsConfigured,
        budgets: Vec::new(),
    }
}

pub(crate) fn policy_ref() -> PolicyRef {
    PolicyRef::new("corp", "sha256:00ff", 0)
}

pub(crate) fn allowed() -> DecisionRecord {
    DecisionRecord::decided(&facts(), &decision(Effect::Allow, Reason::Allowed), &[], policy_ref())
}

pub(crate) fn denied() -> DecisionRecord {
    let failed = vec![FailedClause {
        clause: "destinations.ports".into(),
        seen: Shown::Int(443),
        wanted: Shown::List(vec![Shown::Int(22)]),
    }];
    let nearest = [Nearest { rule: rule(), failed }];
    DecisionRecord::decided(&facts(), &decision(Effect::Deny, Reason::NoRule), &nearest, policy_ref())
}

/// A standard output that tests read, that can be held up, and that can break.
#[derive(Clone)]
pub(crate) struct Pipe {
    to: Sender<Vec<u8>>,
    state: Arc<(Mutex<PipeState>, Condvar)>,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum PipeState {
    Flows,
    Blocks,
    Breaks,
}

impl Pipe {
    pub fn new(state: PipeState) -> (Pipe, Receiver<Vec<u8>>) {
        let (to, from) = channel();
        (Pipe { to, state: Arc::new((Mutex::new(state), Condvar::new())) }, from)
    }

    pub fn set(&self, state: PipeState) {
        *self.state.0.lock().unwrap() = state;
        self.state.1.notify_all();
    }
}

impl io::Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let state = self.state.0.lock().unwrap();
        let state = self.state.1.wait_while(state, |state| *state == PipeState::Blocks).unwrap();
        if *state == PipeState::Breaks {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        // Half at a time, as a pipe may.
        let taken = bytes.len().div_ceil(2);
        let _ = self.to.send(bytes[..taken].to_vec());
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) fn limits(queue: u32) -> Limits {
    Limits {
        queue,
        recent: 16,
        retry_first: Duration::from_millis(1),
        retry_longest: Duration::from_millis(20),
        // Only the one at the end, so that tests can count.
        checkpoint_interval: Duration::from_secs(3600),
        checkpoint_records: u64::MAX,
        ..Limits::default()
    }
}

/// A spool of its own, which goes with the process: on the machine's temporary directory.
pub(crate) fn spool() -> spool::Settings {
    spool::Settings {
        directory: std::env::temp_dir().join(format!("gatepass-test-{}", Uuid::now_v7())),
        max_size: 64 << 20,
        full: Full::Refuse,
        keep: Duration::from_secs(3600),
        archive: None,
        durability: Durability::Interval,
    }
}

pub(crate) fn settings(output: Option<Output>, queue: u32) -> Settings {
    Settings {
        gateway: "gw-1".into(),
        floor: Some(FloorMark::Development),
        observe: None,
        clock: Clock::system(),
        paths: Paths::Keep,
        spool: spool(),
        output,
        sinks: Vec::new(),
        limits: limits(queue),
    }
}

/// Evidence as JSON lines into a pipe.
pub(crate) fn start(state: PipeState, queue: u32) -> (Evidence, Pipe, Receiver<Vec<u8>>) {
    let (pipe, lines) = Pipe::new(state);
    let output = Output::new(Format::Json, Box::new(pipe.clone()));
    let metrics = Arc::new(Metrics::new().unwrap());
    (Evidence::start(settings(Some(output), queue), metrics).unwrap(), pipe, lines)
}

/// Everything that was written, after a flush.
pub(crate) async fn flushed(evidence: &Evidence, lines: &Receiver<Vec<u8>>) -> Vec<serde_json::Value> {
    assert_eq!(evidence.flush(Duration::from_secs(30)).await, Flushed::All);
    let bytes: Vec<u8> = lines.try_iter().flatten().collect();
    bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|l| serde_json::from_slice(l).unwrap())
        .filter(|record: &serde_json::Value| record["kind"] != "checkpoint")
        .collect()
}
