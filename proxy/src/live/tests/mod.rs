//! Open tunnels under changing circumstances, without a socket.

mod credentials;

mod endings;

mod properties;

mod races;

mod scale;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use gatepass_config::identity::NameKind;
use gatepass_policy::PolicySet;
use gatepass_policy::address::Floor;
use gatepass_policy::decision::{RuleInfo, Verdict};
use gatepass_policy::facts::{Facts, Protocol, Resolved, Tls};
use gatepass_policy::host::Authority;
use gatepass_policy::identity::Identity;
use gatepass_policy::overrides::{Kind, Override, Spec};
use gatepass_policy::source::SourceFile;
use jiff::Timestamp;
use uuid::Uuid;

use super::{Grounds, Listed, Live, Pass, Sources};
use crate::budget::Budgets;
use crate::clock::Clock;
use crate::evidence::Counters;
use crate::evidence::words::Ending;
use crate::identity::{Names, Registry};
use crate::policy_store::{Over, PolicyStore, Snapshot, Source};
use crate::state::store::Local;
use crate::state::store::local::tests::Scratch;

const NOW: &str = "2030-01-01T00:00:00Z";
const END: &str = "2030-01-20T00:00:00Z";
const SHOP: &str = "spiffe://t.test/ns/web/sa/shop";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn file(name: &str, text: String) -> SourceFile {
    SourceFile { name: name.to_owned(), text: text.into_bytes() }
}

/// A bundle with these rules of the fragment `web`, and these guardrails.
fn bundle(rules: &str, guardrails: &str) -> Vec<SourceFile> {
    let head = |kind: &str, id: &str| {
        format!("apiVersion: gatepass/v1\nkind: {kind}\nmetadata: {{id: {id}, owner: {id}@t.test}}\n")
    };
    let own = head("Bundle", "test")
        + "data_classes: [{id: public}, {id: internal}]\nlifetimes: {default: 365d, wildcard: 365d}\n"
        + "modes:\n  restricted: {allow_when: 'destination.tags.exists(t, t == \"critical\")'}\n  lockdown: {allow_when: \"false\"}\n"
        + "fragments:\n  - {id: web, owner: web@t.test, scope: {identities: any, destinations: any, data_classes: any}}\n";
    let mut files = vec![
        file("bundle.yaml", own),
        file(
            "workloads.yaml",
            head("Workloads", "workloads")
                + &format!(
                    "workloads:\n  - {{id: \"{SHOP}\", labels: {{env: prod}}, data_classes: [public, internal], may_declare: [public]}}\n"
                ),
        ),
        file(
            "catalogue.yaml",
            head("Destinations", "catalogue") + "destinations:\n  - {hosts: [\"vital.test\"], tags: [critical]}\n",
        ),
    ];
    for (kind, id, text) in [("Fragment", "web", rules), ("Guardrails", "guard", guardrails)] {
        if !text.is_empty() {
            files.push(file(&format!("{id}.yaml"), head(kind, id) + "rules:\n" + text));
        }
    }
    files
}

/// A rule `web/ID` that allows anyone to reach `host`.
fn allow(id: &str, host: &str, end: &str) -> String {
    format!(
        "  - {{id: {id}, action: allow, purpose: test, anyone: true, destinations: {{hosts: [\"{host}\"], ports: [443]}}, data_classes: {{at_most: [public, internal, unclassified]}}, expires: \"{end}\"}}\n"
    )
}

fn compiled(files: &[SourceFile]) -> PolicySet {
    match gatepass_policy::compile(files, at(NOW)) {
        Ok(compiled) => compiled.set,
        Err(problems) => panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
    }
}

/// An override of this path for everybody, until `end`.
fn over(kind: Kind, path: &str, host: &str, end: &str) -> Override {
    let info = RuleInfo {
        path: path.into(),
        owner: "operator@t.test".into(),
        purpose: "test".into(),
        ticket: None,
        expires: Some(at(end)),
    };
    let list = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>();
    let spec = Spec {
        identities: list(&[SHOP]),
        hosts: list(&[host]),
        cidrs: Vec::new(),
        ports: vec![443],
        data_classes: list(&["public", "internal"]),
    };
    Override::new(kind, info, &spec).unwrap()
}

struct World {
    policy: PolicyStore,
    floor: ArcSwap<Floor>,
    identity: Registry,
    clock: Clock,
    wall: Arc<AtomicI64>,
    live: Live,
    budgets: Budgets,
    _disk: Scratch,
}

impl World {
    fn new(files: Vec<SourceFile>) -> World {
        let wall = Arc::new(AtomicI64::new(at(NOW).as_microsecond()));
        let disk = Scratch::new();
        let local = Local::open(&disk.path().join("state")).unwrap();
        World {
            policy: PolicyStore::load(Source::Embedded(files), at(NOW)).unwrap().0,
            floor: ArcSwap::from_pointee(Floor::default()),
            identity: Registry {
                names: Names { trust_domains: Vec::new(), kinds: vec![NameKind::Spiffe] },
                tokens: Vec::new(),
                networks: Vec::new(),
            },
            clock: Clock::Set(Arc::clone(&wall)),
            wall: Arc::clone(&wall),
            live: Live::new(Duration::ZERO),
            budgets: Budgets::new(local, Clock::Set(Arc::clone(&wall)), 100),
            _disk: disk,
        }
    }

    fn sources(&self) -> Sources<'_> {
        Sources {
            policy: &self.policy,
            floor: &self.floor,
            identity: &self.identity,
            budgets: &self.budgets,
            clock: &self.clock,
        }
    }

    /// Set the wall clock.
    fn set(&self, now: &str) {
        self.wall.store(at(now).as_microsecond(), Ordering::Relaxed);
    }

    fn swap(&self, files: &[SourceFile]) {
        self.policy.activate(compiled(files), self.clock.now());
    }

    fn lay(&self, mode: &str, overrides: Vec<Override>) -> Arc<Snapshot> {
        self.policy.lay(Over { mode: mode.into(), overrides })
    }

    /// The shop asks for `host:443` now, and DNS has answered.
    fn facts(&self, snapshot: &Snapshot, host: &str) -> Facts {
        let (identity, destination) =
            (Identity::named(SHOP), Authority::parse(format!("{host}:443").as_bytes()).unwrap());
        Facts {
            now: self.clock.now(),
            mode: Arc::clone(snapshot.overrides.mode()),
            source: Some("192.0.2.1:5000".parse().unwrap()),
            listener: Some("plain".into()),
            subject: snapshot.set.registered(&identity),
            identity,
            tags: snapshot.set.tags(&destination.host),
            destination,
            protocol: Protocol::Connect,
            request: None,
            floor: self.floor.load_full(),
            resolved: Some(Resolved {
                answers: vec!["1.1.1.1".parse().unwrap()],
                cname: Vec::new(),
                min_ttl: 60,
                secure: false,
            }),
            tls: Some(Tls::Absent),
            upstream: None,
        }
    }

    /// What such a connection is admitted on, if it is.
    fn grounds(&self, snapshot: &Snapshot, facts: Facts) -> Option<Grounds> {
        let Verdict::Allow(decision) = snapshot.decide(&facts) else { return None };
        Some(Grounds {
            facts,
            declared: None,
            checked: None,
            rule: decision.rule,
            reason: decision.reason,
            seat: None,
            change: snapshot.change,
            generation: snapshot.generation,
        })
    }

    /// Open a tunnel to `host`.
    fn open(&self, host: &str) -> Listed<'_> {
        let snapshot = self.policy.current();
        let grounds = self.grounds(&snapshot, self.facts(&snapshot, host)).unwrap();
        self.list(grounds)
    }

    fn list(&self, grounds: Grounds) -> Listed<'_> {
        self.live.list(Uuid::now_v7(), grounds, Arc::new(Counters::default()), self.sources())
    }

    fn pass(&self) -> Pass {
        self.live.redecide(self.sources())
    }
}

/// How it was cut and by what, if it was.
fn end(listed: &Listed<'_>) -> Option<(Ending, String)> {
    let ending = futures_now(listed.cut())?;
    Some((ending, listed.cut_by(ending).unwrap()))
}

/// What a future gives without waiting.
fn futures_now<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(value) => Some(value),
        std::task::Poll::Pending => None,
    }
}
