//! The embedded store: conditions, ends, watchers, and many writers at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use gatepass_config::limits::Limits;

use super::*;
use crate::state::store::Store;
use crate::state::store::local::tests::Scratch;

struct World {
    store: Store,
    time: Arc<AtomicI64>,
    _scratch: Scratch,
}

fn world(change: impl FnOnce(&mut Bounds)) -> World {
    let scratch = Scratch::new();
    let time = Arc::new(AtomicI64::new(1_000_000_000));
    let mut bounds = Bounds::of(&Limits::default());
    change(&mut bounds);
    let local = Local::open(scratch.path()).unwrap();
    let store = Store::Embedded(Embedded::new(local, Clock::Set(time.clone()), bounds));
    World { store, time, _scratch: scratch }
}

fn put(key: &str, value: &str) -> Write {
    Write::Put { key: key.to_owned(), value: value.as_bytes().to_vec(), ttl: None }
}

fn brief(key: &str, ttl: Duration) -> Write {
    Write::Put { key: key.to_owned(), value: b"brief".to_vec(), ttl: Some(ttl) }
}

fn always(writes: Vec<Write>) -> Transaction {
    Transaction { conditions: Vec::new(), writes }
}

fn kept(key: &str, value: &str, revision: u64) -> Kept {
    Kept { key: key.to_owned(), value: value.as_bytes().to_vec(), revision }
}

#[tokio::test]
async fn a_transaction_writes_all_of_it_or_nothing() {
    let World { store, .. } = &world(|_| {});
    let yes = store.commit(always(vec![put("b", "1"), put("a", "2")])).await;
    assert_eq!(yes, Ok(Committed::Yes { revision: 1 }));
    let at = |key: &str, revision| Condition::At { key: key.to_owned(), revision };
    for conditions in [
        vec![Condition::Absent("a".to_owned())],
        vec![Condition::Absent("c".to_owned()), at("a", 2)],
        vec![at("a", 0)],
        vec![at("c", 1)],
    ] {
        let writes = vec![put("a", "changed"), Write::Delete { key: "b".to_owned() }];
        assert_eq!(store.commit(Transaction { conditions, writes }).await, Ok(Committed::No));
    }
    let whole = View { kept: vec![kept("a", "2", 1), kept("b", "1", 1)], revision: 1 };
    assert_eq!(store.view().await, Ok(whole));
    let conditions = vec![at("a", 1), at("b", 1), Condition::Absent("c".to_owned())];
    let writes = vec![put("c", "3"), Write::Delete { key: "b".to_owned() }];
    assert_eq!(store.commit(Transaction { conditions, writes }).await, Ok(Committed::Yes { revision: 2 }));
    assert_eq!(store.view().await, Ok(View { kept: vec![kept("a", "2", 1), kept("c", "3", 2)], revision: 2 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_equal_transactions_at_once_exactly_one_is_committed() {
    let World { store, .. } = &world(|_| {});
    let tries: Vec<_> = (0..100)
        .map(|_| {
            let store = store.clone();
            let conditions = vec![Condition::Absent("grant".to_owned())];
            tokio::spawn(
                async move { store.commit(Transaction { conditions, writes: vec![put("grant", "one")] }).await },
            )
        })
        .collect();
    let mut yes = 0;
    for done in tries {
        match done.await.unwrap().unwrap() {
            Committed::Yes { revision } => {
                assert_eq!(revision, 1);
                yes += 1;
            }
            Committed::No => {}
        }
    }
    assert_eq!(yes, 1);
}

#[tokio::test]
async fn a_key_with_an_end_goes_after_it_and_counts_as_there_until_then() {
    let world = world(|_| {});
    let store = &world.store;
    let absent = |key: &str| vec![Condition::Absent(key.to_owned())];
    let once = |key: &str| Transaction { conditions: absent(key), writes: vec![brief(key, Duration::from_secs(30))] };
    assert_eq!(store.commit(once("nonce")).await, Ok(Committed::Yes { revision: 1 }));
    world.time.fetch_add(30_000_000, Ordering::Relaxed);
    assert_eq!(store.commit(once("nonce")).await, Ok(Committed::No), "its whole time");
    world.time.fetch_add(1, Ordering::Relaxed);
    let mut changes = store.watch();
    assert!(matches!(changes.recv().await, Some(Change::Whole(view)) if view.kept.len() == 1));
    assert_eq!(store.commit(always(vec![put("other", "x")])).await, Ok(Committed::Yes { revision: 2 }));
    let gone = Change::Some { revision: 2, puts: vec![kept("other", "x", 2)], deleted: vec!["nonce".to_owned()] };
    assert_eq!(changes.recv().await, Some(gone), "its going is told");
    assert_eq!(store.commit(once("nonce")).await, Ok(Committed::Yes { revision: 3 }));
}

#[tokio::test]
async fn a_key_that_is_written_again_has_the_end_of_the_last_writing() {
    let world = world(|_| {});
    let store = &world.store;
    for writes in [vec![brief("a", Duration::from_secs(1)), brief("b", Duration::from_secs(1))], vec![put("a", "kept")]]
    {
        assert!(matches!(store.commit(always(writes)).await, Ok(Committed::Yes { .. })));
    }
    world.time.fetch_add(60_000_000, Ordering::Relaxed);
    assert!(matches!(store.commit(always(vec![put("c", "x")])).await, Ok(Committed::Yes { .. })));
    let keys: Vec<String> = store.view().await.unwrap().kept.into_iter().map(|kept| kept.key).collect();
    assert_eq!(keys, ["a", "c"]);
}

#[tokio::test]
async fn a_watcher_is_told_the_whole_and_then_each_change_in_its_order() {
    let World { store, .. } = &world(|_| {});
    assert!(matches!(store.commit(always(vec![put("a", "0")])).await, Ok(Committed::Yes { .. })));
    let mut changes = store.watch();
    let whole = View { kept: vec![kept("a", "0", 1)], revision: 1 };
    assert_eq!(changes.recv().await, Some(Change::Whole(whole)));
    for number in 2..20_u64 {
        let writes = vec![put("a", &number.to_string()), Write::Delete { key: "never there".to_owned() }];
        assert_eq!(store.commit(always(writes)).await, Ok(Committed::Yes { revision: number }));
        let puts = vec![kept("a", &number.to_string(), number)];
        assert_eq!(changes.recv().await, Some(Change::Some { revision: number, puts, deleted: Vec::new() }));
    }
}

#[tokio::test]
async fn a_watcher_that_does_not_read_is_told_that_it_lost_changes_and_then_the_whole() {
    let World { store, .. } = &world(|bounds| bounds.changes = 16);
    let mut changes = store.watch();
    assert!(matches!(changes.recv().await, Some(Change::Whole(_))));
    for number in 0..60 {
        assert!(matches!(store.commit(always(vec![put("a", &number.to_string())])).await, Ok(Committed::Yes { .. })));
    }
    let mut lost = false;
    loop {
        match changes.recv().await.unwrap() {
            Change::Some { .. } => assert!(!lost, "the whole comes next"),
            Change::Lost { why } => {
                assert!(why.contains("behind by more than 16 changes"), "{why}");
                lost = true;
            }
            Change::Whole(view) => {
                assert!(lost);
                assert_eq!(view.kept, [kept("a", "59", 60)]);
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_full_store_writes_nothing_and_says_which_bound_it_met() {
    let World { store, .. } = &world(|bounds| bounds.keys = 3);
    assert!(matches!(store.commit(always(vec![put("a", "1"), put("b", "1")])).await, Ok(Committed::Yes { .. })));
    let refused = store.commit(always(vec![put("c", "1"), put("d", "1")])).await.unwrap_err();
    assert!(refused.0.contains("holds 3 keys") && refused.0.contains("limits.state_keys"), "{refused}");
    assert_eq!(store.view().await.unwrap().kept.len(), 2);
    let instead = vec![put("c", "1"), put("d", "1"), Write::Delete { key: "a".to_owned() }];
    assert!(matches!(store.commit(always(instead)).await, Ok(Committed::Yes { .. })));
}

#[tokio::test]
async fn the_store_of_a_configuration_is_its_directory_for_one_process() {
    let scratch = Scratch::new();
    let mut state = gatepass_config::quickstart().state;
    state.directory.value = scratch.path().join("state");
    let limits = Limits::default();
    let (store, local) = Store::open(&state, &limits, Clock::system()).unwrap();
    assert!(matches!(store.commit(always(vec![put("a", "1")])).await, Ok(Committed::Yes { revision: 1 })));
    let refused = Store::open(&state, &limits, Clock::system()).unwrap_err();
    assert!(refused.contains("in use by another process"), "{refused}");
    drop((store, local));
    let (store, _local) = Store::open(&state, &limits, Clock::system()).unwrap();
    assert_eq!(store.view().await, Ok(View { kept: vec![kept("a", "1", 1)], revision: 1 }));
}
