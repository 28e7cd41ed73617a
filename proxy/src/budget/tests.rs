//! Seats and bytes without a socket, on a real state directory, under a clock that the test holds.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::task::{Context, Waker};

use gatepass_policy::decision::RuleInfo;

use super::*;
use crate::state::store::local::tests::Scratch;

const DAY: i64 = DAY_SECONDS * 1_000_000;
const SHOP: &str = "spiffe://t.test/ns/web/sa/shop";

/// A state directory and a clock: what a restart keeps.
struct World {
    disk: Scratch,
    time: Arc<AtomicI64>,
}

impl World {
    fn new() -> World {
        World { disk: Scratch::new(), time: Arc::new(AtomicI64::new(20_000 * DAY + 5 * 3_600_000_000)) }
    }

    fn local(&self) -> Local {
        Local::open(&self.disk.path().join("state")).unwrap()
    }

    async fn start(&self) -> Running {
        self.start_with(100).await
    }

    async fn start_with(&self, room: usize) -> Running {
        let budgets = Budgets::load(self.local(), Clock::Set(Arc::clone(&self.time)), room).await.unwrap();
        let keeper = tokio::spawn(budgets.clone().keep());
        Running { budgets, keeper }
    }
}

/// A gateway's budgets; dropping it is a death without an end.
struct Running {
    budgets: Budgets,
    keeper: tokio::task::JoinHandle<()>,
}

impl Running {
    async fn seat(&self, limits: &[&Arc<Budget>]) -> Result<Option<Arc<Seat>>, Refused> {
        self.seat_of(limits, SHOP).await
    }

    async fn seat_of(&self, limits: &[&Arc<Budget>], identity: &str) -> Result<Option<Arc<Seat>>, Refused> {
        let limits: Vec<_> = limits.iter().map(|limit| Arc::clone(limit)).collect();
        self.budgets.open(&limits, identity).await
    }

    /// Nothing of it runs any more, and the state directory is free.
    async fn die(self) {
        self.keeper.abort();
        let _ = self.keeper.await;
    }
}

fn none(path: &str) -> Budget {
    let rule =
        RuleInfo { path: path.into(), owner: "o@t.test".into(), purpose: "test".into(), ticket: None, expires: None };
    Budget {
        rule: Arc::new(rule),
        connections: None,
        new_connections_per_second: None,
        upload_bytes_per_day: None,
        download_bytes_per_day: None,
        max_connection_seconds: None,
    }
}

fn connections(path: &str, most: u64) -> Arc<Budget> {
    Arc::new(Budget { connections: Some(most), ..none(path) })
}

fn upload(path: &str, most: u64) -> Arc<Budget> {
    Arc::new(Budget { upload_bytes_per_day: Some(most), ..none(path) })
}

/// Which limit of which rule is in the way, and what it sees.
fn why<T: std::fmt::Debug>(seat: Result<T, Refused>) -> (String, &'static str, u64) {
    match seat {
        Err(Refused::Reached { budget, measure, seen, .. }) => (budget.rule.path.to_string(), measure.key(), seen),
        other => panic!("{other:?}"),
    }
}

/// Move up to `wanted` bytes up, waiting for the disk as a connection does; how many were moved before the day was spent.
async fn send(meter: &Meter, wanted: u64) -> u64 {
    let mut moved = 0;
    std::future::poll_fn(|cx| {
        let turn = meter.begin(cx);
        let now = turn.room(Way::Upload).min(wanted - moved);
        moved += now;
        let starved = (moved < wanted).then_some(Way::Upload);
        match turn.end(now, 0, [starved, None], cx) {
            Going::Over => std::task::Poll::Ready(()),
            Going::On if moved == wanted => std::task::Poll::Ready(()),
            Going::On => std::task::Poll::Pending,
        }
    })
    .await;
    moved
}

#[tokio::test]
async fn without_limits_there_is_no_seat_and_no_bound() {
    let running = World::new().start().await;
    assert!(running.seat(&[]).await.unwrap().is_none());
    let meter = Meter::default();
    let turn = meter.begin(&Context::from_waker(Waker::noop()));
    assert_eq!((turn.room(Way::Upload), turn.room(Way::Download)), (u64::MAX, u64::MAX));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_last_place_is_given_once_however_many_ask_at_once() {
    let running = World::new().start().await;
    let limit = connections("web/api", 10);
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let (budgets, limit) = (running.budgets.clone(), Arc::clone(&limit));
            tokio::spawn(async move { budgets.open(&[limit], SHOP).await })
        })
        .collect();
    let mut seats = Vec::new();
    for task in tasks {
        seats.extend(task.await.unwrap().ok());
    }
    assert_eq!(seats.len(), 10);
    assert_eq!(why(running.seat(&[&limit]).await), ("web/api".to_owned(), "connections", 11));
    seats.pop();
    assert!(running.seat(&[&limit]).await.is_ok(), "a place that is given back is there again");
}

#[tokio::test]
async fn every_limit_holds_and_a_refusal_takes_nothing() {
    let running = World::new().start().await;
    let (wide, narrow) = (connections("a/wide", 2), connections("b/narrow", 1));
    let both = running.seat(&[&wide, &narrow]).await.unwrap();
    for _ in 0..5 {
        assert_eq!(why(running.seat(&[&wide, &narrow]).await), ("b/narrow".to_owned(), "connections", 2));
    }
    let second = running.seat(&[&wide]).await.unwrap();
    assert_eq!(why(running.seat(&[&wide]).await), ("a/wide".to_owned(), "connections", 3));
    assert!(running.seat_of(&[&wide, &narrow], "network:other").await.is_ok(), "each identity has its own");
    drop((both, second));
    assert!(running.seat(&[&wide, &narrow]).await.is_ok());
}

#[tokio::test]
async fn in_no_second_are_more_opened_than_the_limit() {
    let running = World::new().start().await;
    let limit = [Arc::new(Budget { new_connections_per_second: Some(2), ..none("web/api") })];
    let start = Instant::now();
    let after = |ms| running.budgets.take(&limit, SHOP, start + Duration::from_millis(ms));
    assert!(after(0).is_ok() && after(600).is_ok());
    let refused = after(999).unwrap_err();
    assert_eq!(refused.retry_after(), Some(1));
    assert_eq!(why(Err::<(), _>(refused)), ("web/api".to_owned(), "new_connections_per_second", 3));
    assert!(after(1_000).is_ok(), "the first is a whole second ago");
    assert!(after(1_599).is_err() && after(1_600).is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn not_one_byte_moves_past_the_budget_of_the_day() {
    const MOST: u64 = 5_000_001;
    let running = World::new().start().await;
    let limit = upload("web/api", MOST);
    let moved = Arc::new(AtomicU64::new(0));
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let meter = Meter::new(running.seat(&[&limit]).await.unwrap());
        let moved = Arc::clone(&moved);
        tasks.push(tokio::spawn(async move {
            moved.fetch_add(send(&meter, u64::MAX).await, Ordering::Relaxed);
            meter.over().unwrap().to_owned()
        }));
    }
    for task in tasks {
        assert_eq!(task.await.unwrap(), "web/api");
    }
    assert_eq!(moved.load(Ordering::Relaxed), MOST);
    let (path, key, seen) = why(running.seat(&[&limit]).await);
    assert_eq!((path.as_str(), key, seen), ("web/api", "upload_bytes_per_day", MOST));
}

#[tokio::test]
async fn of_two_budgets_the_smaller_ends_it_and_both_are_charged() {
    let running = World::new().start().await;
    let (small, large) = (upload("b/small", 1_000), upload("a/large", 3_000));
    let meter = Meter::new(running.seat(&[&large, &small]).await.unwrap());
    assert_eq!(send(&meter, 10_000).await, 1_000);
    assert_eq!(meter.over(), Some("b/small"));
    let meter = Meter::new(running.seat(&[&large]).await.unwrap());
    assert_eq!(send(&meter, 10_000).await, 2_000);
}

#[tokio::test]
async fn an_end_in_good_order_keeps_the_bytes_exactly() {
    let world = World::new();
    let limit = upload("web/api", 10_000_000);
    let running = world.start().await;
    let meter = Meter::new(running.seat(&[&limit]).await.unwrap());
    assert_eq!(send(&meter, 3_000_000).await, 3_000_000);
    drop(meter);
    running.budgets.settle().await;
    running.die().await;
    let running = world.start().await;
    let meter = Meter::new(running.seat(&[&limit]).await.unwrap());
    assert_eq!(send(&meter, u64::MAX).await, 7_000_000);
}

#[tokio::test]
async fn a_death_counts_too_many_by_a_step_at_most_and_never_too_few() {
    const MOST: u64 = 10 << 20;
    let world = World::new();
    let limit = upload("web/api", MOST);
    let running = world.start().await;
    let meter = Meter::new(running.seat(&[&limit]).await.unwrap());
    assert_eq!(send(&meter, 3 << 20).await, 3 << 20);
    running.die().await;
    drop(meter);
    let running = world.start().await;
    let meter = Meter::new(running.seat(&[&limit]).await.unwrap());
    let left = send(&meter, u64::MAX).await;
    assert!(left <= MOST - (3 << 20), "{left}");
    assert!(left >= MOST - (3 << 20) - MOST / 16, "{left}");
}

#[tokio::test]
async fn a_new_day_brings_a_new_budget_and_a_clock_that_goes_back_none() {
    let world = World::new();
    let limit = upload("web/api", 1_000);
    let running = world.start().await;
    let spend = async || send(&Meter::new(running.seat(&[&limit]).await.unwrap()), u64::MAX).await;
    assert_eq!(spend().await, 1_000);
    let refused = running.seat(&[&limit]).await.unwrap_err();
    assert_eq!(refused.retry_after(), Some(19 * 3_600), "until midnight UTC");
    world.time.fetch_add(DAY, Ordering::Relaxed);
    assert_eq!(spend().await, 1_000);
    running.die().await;
    // A start at which the clock stands a day behind what the disk knows.
    world.time.fetch_sub(DAY, Ordering::Relaxed);
    let running = world.start().await;
    assert!(running.seat(&[&limit]).await.is_err());
    world.time.fetch_add(2 * DAY, Ordering::Relaxed);
    assert!(running.seat(&[&limit]).await.is_ok());
}

#[tokio::test]
async fn a_connection_that_is_open_at_midnight_goes_on_with_the_new_day() {
    let world = World::new();
    let running = world.start().await;
    let meter = Meter::new(running.seat(&[&upload("web/api", 1_000)]).await.unwrap());
    assert_eq!(send(&meter, 1_000).await, 1_000);
    world.time.fetch_add(DAY, Ordering::Relaxed);
    assert_eq!(send(&meter, 500).await, 500);
}

#[tokio::test]
async fn a_note_that_cannot_be_read_is_a_day_that_is_spent() {
    let world = World::new();
    world.local().note("budget/web/api/network:build/x", b"nonsense").await.unwrap();
    let running = world.start().await;
    let limit = upload("web/api", u64::MAX / 2);
    assert!(running.seat_of(&[&limit], "network:build/x").await.is_err());
    assert!(running.seat(&[&limit]).await.is_ok());
    world.time.fetch_add(DAY, Ordering::Relaxed);
    assert!(running.seat_of(&[&limit], "network:build/x").await.is_ok());
}

#[tokio::test]
async fn where_the_disk_does_not_answer_no_byte_moves() {
    let world = World::new();
    // Without its keeper nothing is ever noted.
    let budgets = Budgets::new(world.local(), Clock::Set(Arc::clone(&world.time)), 10);
    tokio::time::pause();
    for _ in 0..10 {
        assert_eq!(budgets.open(&[upload("web/api", 1_000)], SHOP).await.unwrap_err(), Refused::Unkept);
    }
    let accounts = budgets.0.accounts();
    assert!(
        accounts.values().all(|account| account.ledger(budgets.0.day()).waiting() == 0),
        "who gave up waits no more"
    );
    assert_eq!((Refused::Unkept.status(), Refused::Full.status()), (None, None), "the gateway's fault is a 503");
}

#[tokio::test]
async fn accounts_are_bounded_and_only_idle_ones_give_way() {
    let world = World::new();
    let running = world.start_with(2).await;
    let (open, bytes) = (connections("a/open", 5), upload("b/bytes", 1_000));
    let seat = running.seat(&[&open]).await.unwrap();
    let meter = Meter::new(running.seat(&[&bytes]).await.unwrap());
    assert_eq!(send(&meter, 10).await, 10);
    drop(meter);
    running.budgets.settle().await;
    assert_eq!(running.seat_of(&[&open], "network:third").await.unwrap_err(), Refused::Full);
    drop(seat);
    // What has opened within a second is not idle; what has used bytes today is not either.
    let told = Instant::now();
    while running.seat_of(&[&open], "network:third").await.is_err() {
        assert!(told.elapsed() < Duration::from_secs(20), "nothing gave way");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(running.budgets.0.accounts().len(), 2);
    assert!(running.budgets.0.accounts().keys().any(|key| *key.rule == *"b/bytes"), "today's bytes stay");
}

#[tokio::test]
async fn another_seat_is_followed_from_the_next_turn_on() {
    let running = World::new().start().await;
    let (wide, tight) = (upload("web/api", 10_000), upload("web/api", 1_000));
    let meter = Meter::new(running.seat(&[&wide]).await.unwrap());
    assert_eq!(send(&meter, 900).await, 900);
    assert!(!meter.goes_by(std::slice::from_ref(&tight)));
    meter.change(running.budgets.reseat(std::slice::from_ref(&tight), SHOP).unwrap());
    assert!(meter.goes_by(std::slice::from_ref(&tight)));
    assert_eq!(send(&meter, 10_000).await, 100, "what was used before counts");
}
