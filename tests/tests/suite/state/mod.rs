//! The store of a fleet, driven as a library against a real cluster of three members.

mod access;

mod failures;

use std::collections::BTreeMap;
use std::time::Duration;

use gatepass::clock::Clock;
use gatepass::state::store::{Change, Committed, Condition, Store, Transaction, Unavailable, Write};
use gatepass_tests::{Cluster, Scratch};
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, timeout};

/// The longest that a test waits for what has no time of its own.
const PATIENCE: Duration = Duration::from_secs(20);

/// A store of these members, as a gateway with this configuration has it.
fn store(endpoints: &[String], keys: &str) -> Store {
    store_within(endpoints, keys, "")
}

/// As [`store`], with these bounds.
fn store_within(endpoints: &[String], keys: &str, limits: &str) -> Store {
    let scratch = Scratch::new();
    scratch.write("policy/bundle.yaml", "");
    let endpoints = endpoints.iter().map(|endpoint| format!("\"{endpoint}\"")).collect::<Vec<_>>().join(", ");
    let text = format!(
        "listeners: [{{name: a, bind: \"127.0.0.1:0\", protocol: http}}]\npolicy: {{bundle: policy}}\n\
         state: {{store: etcd, endpoints: [{endpoints}], {keys}}}\n\
         limits: {{{limits}}}\n"
    );
    let config = gatepass_config::load(&scratch.write("gatepass.yaml", text), jiff::Timestamp::now()).unwrap();
    let (store, local) = Store::open(&config.state, &config.limits, Clock::system()).unwrap();
    assert!(matches!(store, Store::Etcd(_)));
    assert!(local.directory().starts_with(scratch.path()));
    store
}

/// A store of all members, asked from this one on.
fn store_from(cluster: &Cluster, first: usize) -> Store {
    let mut endpoints = cluster.endpoints();
    endpoints.rotate_left(first);
    store(&endpoints, &cluster.tls_section())
}

/// A store that knows one member only.
fn store_at(cluster: &Cluster, member: usize) -> Store {
    store(&[cluster.endpoint(member)], &cluster.tls_section())
}

fn put(key: &str, value: &str) -> Write {
    Write::Put { key: key.to_owned(), value: value.as_bytes().to_vec(), ttl: None }
}

fn once(key: &str, value: &str) -> Transaction {
    Transaction { conditions: vec![Condition::Absent(key.to_owned())], writes: vec![put(key, value)] }
}

fn always(writes: Vec<Write>) -> Transaction {
    Transaction { conditions: Vec::new(), writes }
}

/// Commit something that may be committed twice, as a caller does who meets trouble.
async fn insist(store: &Store, transaction: Transaction) {
    let end = Instant::now() + PATIENCE;
    while let Err(Unavailable(why)) = store.commit(transaction.clone()).await {
        assert!(Instant::now() < end, "{why}");
    }
}

async fn next(changes: &mut Receiver<Change>) -> Change {
    timeout(PATIENCE, changes.recv()).await.expect("a change in time").expect("a watch that goes on")
}

/// What a watcher knows, from everything that it is told.
#[derive(Default)]
struct Known {
    kept: BTreeMap<String, Vec<u8>>,
    /// Keys that were put, in the order in which they were told.
    told: Vec<String>,
    revision: u64,
    wholes: usize,
    losses: Vec<String>,
}

impl Known {
    fn learn(&mut self, change: Change) {
        match change {
            Change::Whole(view) => {
                self.wholes += 1;
                self.revision = view.revision;
                self.kept = view.kept.into_iter().map(|kept| (kept.key, kept.value)).collect();
            }
            Change::Some { revision, puts, deleted } => {
                assert!(revision > self.revision, "{revision} after {}", self.revision);
                self.revision = revision;
                deleted.iter().for_each(|key| drop(self.kept.remove(key)));
                for kept in puts {
                    self.told.push(kept.key.clone());
                    self.kept.insert(kept.key, kept.value);
                }
            }
            Change::Lost { why } => self.losses.push(why),
        }
    }

    /// Read until this key is there.
    async fn until(&mut self, changes: &mut Receiver<Change>, key: &str) {
        while !self.kept.contains_key(key) {
            self.learn(next(changes).await);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_is_seen_by_a_watcher_at_another_member_within_a_second() {
    let cluster = Cluster::start();
    let (here, there) = (store_at(&cluster, 0), store_at(&cluster, 1));
    assert!(matches!(here.commit(once("before", "1")).await, Ok(Committed::Yes { .. })));
    let mut changes = there.watch();
    let Change::Whole(whole) = next(&mut changes).await else { panic!("the whole comes first") };
    assert_eq!(whole.kept.len(), 1);
    assert_eq!((whole.kept[0].key.as_str(), whole.kept[0].revision), ("before", whole.revision));
    // Somebody else's keys are no change of ours.
    cluster.ctl(&["put", "gatepasses/other", "x"]);
    let begun = Instant::now();
    let writes = vec![put("grant/1", "one"), put("grant/2", "two"), Write::Delete { key: "before".to_owned() }];
    let conditions = vec![Condition::At { key: "before".to_owned(), revision: whole.revision }];
    let committed = here.commit(Transaction { conditions: conditions.clone(), writes: writes.clone() }).await;
    let Ok(Committed::Yes { revision }) = committed else { panic!("{committed:?}") };
    let Change::Some { revision: told, puts, deleted } = next(&mut changes).await else {
        panic!("a change comes next")
    };
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(told, revision);
    let puts: Vec<(&str, &[u8], u64)> =
        puts.iter().map(|kept| (kept.key.as_str(), kept.value.as_slice(), kept.revision)).collect();
    assert_eq!(puts, [("grant/1", &b"one"[..], revision), ("grant/2", &b"two"[..], revision)]);
    assert_eq!(deleted, ["before"]);
    assert_eq!(here.commit(Transaction { conditions, writes }).await, Ok(Committed::No));
    assert_eq!(there.view().await.unwrap().kept.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_equal_transactions_over_three_gateways_exactly_one_is_committed() {
    let cluster = Cluster::start();
    let stores: Vec<Store> = (0..3).map(|member| store_from(&cluster, member)).collect();
    let tries: Vec<_> = (0..100)
        .map(|number| {
            let store = stores[number % 3].clone();
            tokio::spawn(async move { store.commit(once("grant", "the same")).await })
        })
        .collect();
    let mut yes = 0;
    for done in tries {
        match done.await.unwrap().unwrap() {
            Committed::Yes { .. } => yes += 1,
            Committed::No => {}
        }
    }
    assert_eq!(yes, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_with_an_end_has_a_lease_that_is_not_shorter_and_the_others_have_none() {
    let cluster = Cluster::start();
    let store = store_from(&cluster, 0);
    let brief = |key: &str| Write::Put { key: key.to_owned(), value: Vec::new(), ttl: Some(Duration::from_secs(90)) };
    let transaction = |key: &str| Transaction {
        conditions: vec![Condition::Absent("grant".to_owned())],
        writes: vec![brief(key), put("grant", "kept")],
    };
    assert!(matches!(store.commit(transaction("nonce")).await, Ok(Committed::Yes { .. })));
    assert_eq!(store.commit(transaction("another")).await, Ok(Committed::No));
    let lease_of = |key: &str| -> u64 {
        let found: serde_json::Value =
            serde_json::from_str(&cluster.ctl(&["get", key, "--write-out", "json"])).unwrap();
        found["kvs"][0]["lease"].as_u64().unwrap_or(0)
    };
    assert_eq!(lease_of("gatepass/grant"), 0);
    let lease = format!("{:x}", lease_of("gatepass/nonce"));
    let told = cluster.ctl(&["lease", "timetolive", &lease]);
    assert!(told.contains("granted with TTL(91s)"), "{told}");
    let leases = cluster.ctl(&["lease", "list"]);
    assert!(leases.contains("found 1 leases"), "the lease of what was not committed is given back: {leases}");
    let mut changes = store.watch();
    assert!(matches!(next(&mut changes).await, Change::Whole(whole) if whole.kept.len() == 2));
    cluster.ctl(&["lease", "revoke", &lease]);
    let Change::Some { puts, deleted, .. } = next(&mut changes).await else { panic!("its going is told") };
    assert_eq!((puts.len(), deleted), (0, vec!["nonce".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_store_is_viewed_whole_and_one_beyond_its_bound_is_not() {
    let cluster = Cluster::start();
    let store = store_from(&cluster, 0);
    for batch in 0..20 {
        let writes = (0..128).map(|number| put(&format!("{batch:02}/{number:03}"), "value")).collect();
        assert!(matches!(store.commit(always(writes)).await, Ok(Committed::Yes { .. })));
    }
    let view = store.view().await.unwrap();
    assert_eq!(view.kept.len(), 2_560);
    assert!(view.kept.windows(2).all(|pair| pair[0].key < pair[1].key), "in the order of the keys, none twice");
    let mut known = Known::default();
    known.until(&mut store.watch(), "19/127").await;
    assert_eq!((known.kept.len(), known.wholes), (2_560, 1));
    let small = store_within(&cluster.endpoints(), &cluster.tls_section(), "state_keys: 2000");
    let Unavailable(why) = small.commit(once("one more", "x")).await.unwrap_err();
    assert!(why.contains("nothing was written") && why.contains("would hold more than 2000 keys"), "{why}");
    assert!(matches!(
        small.commit(always(vec![Write::Delete { key: "00/000".to_owned() }])).await,
        Ok(Committed::Yes { .. })
    ));
    let Unavailable(why) = small.view().await.unwrap_err();
    assert!(why.contains("more than 2000 of our keys (`limits.state_keys`)"), "{why}");
    assert!(matches!(next(&mut small.watch()).await, Change::Lost { why } if why.contains("limits.state_keys")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_does_not_read_is_told_that_it_lost_changes_and_then_the_whole() {
    let cluster = Cluster::start();
    let store = store_within(&cluster.endpoints(), &cluster.tls_section(), "state_changes: 16");
    let mut changes = store.watch();
    let mut known = Known::default();
    known.learn(next(&mut changes).await);
    for number in 0..60 {
        insist(&store, always(vec![put(&format!("{number:02}"), "x")])).await;
    }
    known.until(&mut changes, "59").await;
    assert_eq!((known.kept.len(), known.wholes, known.losses.len()), (60, 2, 1));
    assert!(known.losses[0].contains("behind by more than 16 changes"), "{:?}", known.losses);
}
