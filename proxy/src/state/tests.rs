//! Operations on overrides where others do the same at once, and where the store is away.

use std::sync::atomic::AtomicI64;

use gatepass_config::state::Etcd as Configured;
use gatepass_policy::host::Host;
use gatepass_policy::source::SourceFile;
use serde_json::json;

use super::entry::Done;
use super::grant::{Grant, Scope};
use super::held::Entry;
use super::store::embedded::Embedded;
use super::store::etcd::Etcd;
use super::store::local::tests::Scratch;
use super::store::{Bounds, Write};
use super::*;
use crate::admin::totp::Spent;
use crate::evidence::tests::settings;

const BUNDLE: &str = r#"
apiVersion: gatepass/v1
kind: Bundle
metadata: {id: test, owner: platform@t.test}
data_classes: [{id: public}]
lifetimes: {default: 365d}
fragments:
  - {id: web, owner: web@t.test, scope: {identities: any, destinations: any, data_classes: any}}
"#;

struct World {
    scratch: Scratch,
    now: Arc<AtomicI64>,
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_900_000_000 + second).unwrap()
}

impl World {
    fn new() -> World {
        World { scratch: Scratch::new(), now: Arc::new(AtomicI64::new(at(0).as_microsecond())) }
    }

    fn set(&self, second: i64) {
        self.now.store(at(second).as_microsecond(), std::sync::atomic::Ordering::SeqCst);
    }

    async fn open(&self, store: impl FnOnce(&Local, &Clock) -> Store) -> Arc<State> {
        let clock = Clock::Set(Arc::clone(&self.now));
        let local = Local::open(self.scratch.path()).unwrap();
        let file = SourceFile { name: "bundle.yaml".to_owned(), text: BUNDLE.as_bytes().to_vec() };
        let policy = PolicyStore::of(vec![file], at(0));
        let metrics = Arc::new(Metrics::new().unwrap());
        let hour = SignedDuration::from_hours(1);
        let parts = Parts {
            store: store(&local, &clock),
            local,
            policy: Arc::new(policy),
            evidence: Evidence::start(settings(None, 64), Arc::clone(&metrics)).unwrap(),
            clock,
            metrics,
            gateway: "gw".to_owned(),
            ceilings: Ceilings { grant: hour, exception: hour, requests_per_minute: 5 },
            webhooks: Webhooks::default(),
            log: super::Log::Nobody,
        };
        State::open(parts).await.unwrap()
    }

    /// One machine.
    async fn alone(&self) -> Arc<State> {
        self.open(|local, clock| Store::Embedded(Embedded::new(local.clone(), clock.clone(), bounds()))).await
    }

    /// One of a fleet whose store does not answer.
    async fn cut_off(&self) -> Arc<State> {
        self.open(|_, _| {
            let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let (host, port) = (Host::Ip("127.0.0.1".parse().unwrap()), taken.local_addr().unwrap().port());
            let url = gatepass_config::url::Url { scheme: "http".to_owned(), host, port, path: String::new() };
            let configured = Configured { endpoints: vec![url], tls: None, prefix: "t/".to_owned(), user: None };
            Store::Etcd(Etcd::new(&configured, bounds()).unwrap())
        })
        .await
    }
}

fn bounds() -> Bounds {
    let short = Duration::from_millis(100);
    Bounds { timeout: short, patience: short, heartbeat: short, changes: 16, keys: 1000 }
}

fn who(name: &str) -> Who {
    Who { name: name.to_owned(), person: name.to_owned(), method: "certificate".to_owned() }
}

fn asked(reason: &str) -> GrantRequest {
    let destinations = json!({"hosts": ["site.test"], "ports": [443]});
    let asked = json!({
        "identities": ["token:a"], "destinations": destinations, "data_classes": ["public"], "reason": reason, "for": "10m",
    });
    serde_json::from_value(asked).unwrap()
}

fn id(view: &serde_json::Value) -> String {
    view["id"].as_str().unwrap().to_owned()
}

fn active(state: &State) -> usize {
    state.policy.current().overrides.grants()
}

async fn put(state: &State, grant: &Grant) {
    let key = format!("grants/{}", grant.id);
    let value = serde_json::to_vec(grant).unwrap();
    let writes = vec![Write::Put { key, value, ttl: None }];
    assert!(matches!(state.commit(Transaction { conditions: Vec::new(), writes }).await, Ok(Committed::Yes { .. })));
}

#[tokio::test]
async fn a_local_grant_that_was_taken_back_is_not_brought_back_by_an_approval_under_way() {
    let world = World::new();
    let state = world.cut_off().await;
    let id = id(&state.request_grant(&who("alice"), Code::None, asked("an incident")).await.unwrap());
    let Entry { value: seen, revision } = state.held().grants.get(&id).cloned().unwrap();
    assert_eq!(seen.scope, Scope::Local);
    state.revoke_grant(&who("carol"), &id, None).await.unwrap();
    // The approval goes on from what it saw before.
    let approved = Grant { approved: Some(Done { at: at(0), by: who("bob"), reason: None }), ..seen };
    assert_eq!(state.put_local(&approved, revision).await, Ok(Committed::No));
    assert!(state.approve_grant(&who("bob"), &id).await.is_err());
    assert_eq!(active(&state), 0);
    // Nor do two approvals make two beginnings.
    let second = state.request_grant(&who("alice"), Code::None, asked("another")).await.unwrap();
    let second = second["id"].as_str().unwrap();
    let (bob, carol) = (who("bob"), who("carol"));
    let (first, other) = tokio::join!(state.approve_grant(&bob, second), state.approve_grant(&carol, second));
    assert!(first.is_ok() != other.is_ok(), "{first:?} {other:?}");
    assert_eq!(active(&state), 1);
}

#[tokio::test]
async fn the_same_request_is_one_local_grant_and_its_own() {
    let world = World::new();
    let state = world.cut_off().await;
    let alice = who("alice");
    let once = || state.request_grant(&alice, Code::None, asked("an incident"));
    let (first, second, third) = tokio::join!(once(), once(), once());
    let ids = [first, second, third].map(|view| id(&view.unwrap()));
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let nonce = GrantRequest { nonce: Some("12345678".to_owned()), ..asked("with a nonce") };
    state.request_grant(&alice, Code::None, nonce.clone()).await.unwrap();
    let again = state.request_grant(&alice, Code::None, nonce).await;
    assert!(matches!(again, Err(Refused::Conflict(_))), "{again:?}");
}

#[tokio::test]
async fn what_was_done_under_a_local_grant_is_there_after_a_restart() {
    let world = World::new();
    let state = world.cut_off().await;
    let id = id(&state.request_grant(&who("alice"), Code::None, asked("an incident")).await.unwrap());
    state.approve_grant(&who("bob"), &id).await.unwrap();
    let way = Way { identity: "token:a".to_owned(), host: "site.test".to_owned(), port: 443 };
    state.opened(&id, &way);
    state.carried(&id, &way, 3, 4);
    state.flush_usage().await;
    drop(state);
    let state = world.cut_off().await;
    state.opened(&id, &way);
    let told = state.grant_uses(&id).unwrap();
    assert_eq!(told["uses"][0]["uses"][0]["connections"], 2, "{told}");
    assert_eq!(told["uses"][0]["uses"][0]["bytes_received"], 4, "{told}");
}

#[tokio::test]
async fn what_could_not_be_told_of_several_grants_is_told_of_all_of_them_later() {
    let world = World::new();
    let state = world.cut_off().await;
    let way = Way { identity: "token:a".to_owned(), host: "site.test".to_owned(), port: 443 };
    for grant in ["1", "2", "3"] {
        state.opened(grant, &way);
    }
    state.flush_usage().await;
    assert_eq!(state.usage.changed(&state.replica).len(), 3);
}

#[tokio::test]
async fn a_workload_called_as_a_person_takes_nothing_from_that_person() {
    let world = World::new();
    let state = world.alone().await;
    for _ in 0..10 {
        let requester = Requester::Workload { identity: "alice".to_owned(), data_classes: vec!["public".to_owned()] };
        let asked = json!({"destinations": {"hosts": ["site.test"], "ports": [443]}, "reason": "please", "for": "1m"});
        let _ = state.request_exception(requester, serde_json::from_value(asked).unwrap()).await;
    }
    assert!(state.request_grant(&who("alice"), Code::None, asked("an incident")).await.is_ok());
}

#[tokio::test]
async fn a_new_gateway_tells_no_end_of_what_was_never_in_force_on_it() {
    let world = World::new();
    let state = world.alone().await;
    let id = id(&state.request_grant(&who("alice"), Code::None, asked("an incident")).await.unwrap());
    state.approve_grant(&who("bob"), &id).await.unwrap();
    let old = state.held().grants.get(&id).cloned().unwrap().value;
    let long_ago = Grant { id: "long-ago".to_owned(), begins: Some(at(-9000)), ends: Some(at(-8400)), ..old };
    put(&state, &long_ago).await;
    drop(state);
    world.set(3600);
    let state = world.alone().await;
    state.tell_what_ended_before().await;
    assert_eq!(state.local.noted(&format!("told/grant/{id}")).await.unwrap().as_deref(), Some(b"ended".as_slice()));
    assert_eq!(state.local.noted("told/grant/long-ago").await.unwrap(), None);
}

#[tokio::test]
async fn what_was_done_under_a_grant_goes_with_it() {
    let world = World::new();
    let state = world.alone().await;
    let id = id(&state.request_grant(&who("alice"), Code::None, asked("an incident")).await.unwrap());
    let way = Way { identity: "token:a".to_owned(), host: "site.test".to_owned(), port: 443 };
    state.opened(&id, &way);
    state.flush_usage().await;
    assert_eq!(state.held().uses.len(), 1);
    state.sweep(state.now()).await;
    assert_eq!(state.held().uses.len(), 1, "as long as the grant is there");
    world.set(91 * 86_400);
    state.sweep(state.now()).await;
    state.sweep(state.now()).await;
    assert!(state.held().grants.is_empty() && state.held().uses.is_empty());
    let kept = state.store.view().await.unwrap().kept;
    assert!(!kept.iter().any(|kept| kept.key.starts_with("uses/")), "{kept:?}");
}

#[tokio::test]
async fn a_code_is_used_once_where_the_store_is_away_too() {
    let world = World::new();
    let state = world.cut_off().await;
    let (first, second) = tokio::join!(state.spend_code("alice", 7), state.spend_code("Alice", 7));
    let both = [first, second];
    assert_eq!(both.iter().filter(|spent| **spent == Spent::Now).count(), 1, "{both:?}");
    assert_eq!(state.spend_code("alice", 6).await, Spent::Before);
}

#[tokio::test]
async fn an_end_that_this_gateway_reckoned_outlives_it() {
    let world = World::new();
    let state = world.alone().await;
    let id = id(&state.request_grant(&who("alice"), Code::None, asked("an incident")).await.unwrap());
    let asked = state.held().grants.get(&id).cloned().unwrap().value;
    // Approved by a gateway whose clock is five minutes ahead.
    let approved = Some(Done { at: at(300), by: who("bob"), reason: None });
    put(&state, &Grant { approved, begins: Some(at(300)), ends: Some(at(900)), ..asked }).await;
    state.settle().await;
    let end = |state: &State| state.policy.current().overrides.end(&format!("grant/{id}"));
    assert_eq!(end(&state), Some(at(600)));
    drop(state);
    world.set(400);
    let state = world.alone().await;
    assert_eq!(end(&state), Some(at(600)));
    // What is gone is forgotten, and nothing else.
    state.local.note("told/grant/gone", b"ended").await.unwrap();
    state.forget_gone().await;
    assert_eq!(state.local.noted("told/grant/gone").await.unwrap(), None);
    assert!(state.local.noted(&format!("ends/grant/{id}")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_local_grant_is_over_where_the_clock_is_found_behind() {
    let world = World::new();
    let state = world.cut_off().await;
    let id = id(&state.request_grant(&who("alice"), Code::None, asked("an incident")).await.unwrap());
    state.approve_grant(&who("bob"), &id).await.unwrap();
    assert_eq!(active(&state), 1);
    state.local.note("grants/broken", b"{").await.unwrap();
    drop(state);
    let state = world.cut_off().await;
    assert_eq!(active(&state), 1, "a restart alone ends nothing");
    state.held().replace(&View { kept: Vec::new(), revision: 9 }, at(0));
    assert!(state.worries().iter().any(|worry| worry.contains("grants/broken")), "{:?}", state.worries());
    drop(state);
    world.set(-60);
    let state = world.cut_off().await;
    assert_eq!(active(&state), 0);
}
