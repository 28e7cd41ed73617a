//! What a collector does wrong, and what then arrives all the same.

use std::time::Duration;

use gatepass::evidence::ship::Drained;
use gatepass_tests::{Fault, Faulty};

use super::{BOTH, World, assert_complete, counts, eventually, uid};

#[tokio::test]
async fn a_collector_that_is_down_at_first_gets_every_record_once() {
    for protocol in BOTH {
        let (world, collector) = (World::new(), Faulty::bound(None));
        world.write(100);
        let shipped = world.start(&collector, protocol);
        eventually("attempts fail", || (world.metric("export_failures_total") > 8).then_some(())).await;
        assert_eq!(shipped.drained(100, Duration::from_millis(1)).await, Drained::Left(100));
        collector.listen();
        world.drained(&shipped).await;
        assert!(counts(&collector).values().all(|times| *times == 1), "{:?}", counts(&collector));
        assert_complete(&collector, 100);
    }
}

#[tokio::test]
async fn a_collector_that_dies_again_and_again_misses_nothing() {
    for protocol in BOTH {
        let (world, collector) = (World::new(), Faulty::start());
        let shipped = world.start(&collector, protocol);
        for _ in 0..5 {
            world.write(100);
            let before = collector.count();
            eventually("some records arrive", || (collector.count() > before).then_some(())).await;
            collector.set(Fault::Down);
            let failed = world.metric("export_failures_total");
            world.write(100);
            eventually("attempts fail", || (world.metric("export_failures_total") > failed).then_some(())).await;
            collector.set(Fault::None);
        }
        world.drained(&shipped).await;
        assert_complete(&collector, 1000);
    }
}

#[tokio::test]
async fn a_slow_collector_holds_the_records_up_and_loses_none() {
    for protocol in BOTH {
        let (world, collector) = (World::new(), Faulty::start());
        collector.set(Fault::Slow(Duration::from_millis(50)));
        let shipped = world.start(&collector, protocol);
        world.write(100);
        world.drained(&shipped).await;
        assert_complete(&collector, 100);
        assert_eq!((collector.count(), world.metric("exported_total")), (100, 100));
    }
}

#[tokio::test]
async fn a_collector_that_hangs_is_given_up_and_asked_again() {
    for protocol in BOTH {
        let (mut world, collector) = (World::new(), Faulty::start());
        world.timeout = Duration::from_millis(50);
        collector.set(Fault::Hang);
        let shipped = world.start(&collector, protocol);
        world.write(100);
        eventually("attempts fail", || (world.metric("export_failures_total") > 4).then_some(())).await;
        collector.set(Fault::None);
        world.drained(&shipped).await;
        assert_complete(&collector, 100);
    }
}

#[tokio::test]
async fn no_answer_but_a_proper_yes_moves_the_cursor() {
    let faults =
        [Fault::Internal, Fault::Unauthenticated, Fault::Exhausted, Fault::Garbage, Fault::StoredButUnavailable];
    for protocol in BOTH {
        for fault in &faults {
            let (world, collector) = (World::new(), Faulty::start());
            collector.set(fault.clone());
            let shipped = world.start(&collector, protocol);
            world.write(10);
            eventually("attempts fail", || (world.metric("export_failures_total") > 3).then_some(())).await;
            assert_eq!((shipped.position(), world.metric("exported_total")), (0, 0), "{fault:?}");
            collector.set(Fault::None);
            world.drained(&shipped).await;
            assert_complete(&collector, 10);
            let twice = counts(&collector).values().any(|times| *times > 1);
            assert_eq!(twice, *fault == Fault::StoredButUnavailable, "{fault:?} by {protocol:?}");
            assert!(!world.spool().join("quarantine").exists(), "{fault:?} by {protocol:?}");
        }
    }
}

#[tokio::test]
async fn a_busy_collector_is_asked_again_when_it_wants_but_no_later_than_the_longest_pause() {
    for protocol in BOTH {
        let (mut world, collector) = (World::new(), Faulty::start());
        world.limits.retry_longest = Duration::from_millis(1500);
        collector.next([Fault::Busy(Duration::from_secs(1)), Fault::Busy(Duration::from_secs(3600))]);
        let shipped = world.start(&collector, protocol);
        world.write(10);
        world.drained(&shipped).await;
        let seen = collector.seen();
        assert_eq!(seen.len(), 3);
        let waited = seen[1].at - seen[0].at;
        assert!(waited > Duration::from_millis(900), "{protocol:?} after {waited:?}");
        assert_complete(&collector, 10);
    }
}

#[tokio::test]
async fn batches_are_under_way_together_and_the_cursor_passes_none_that_is_not_through() {
    for protocol in BOTH {
        let (mut world, collector) = (World::new(), Faulty::start());
        world.timeout = Duration::from_secs(60);
        world.write(100);
        collector.set(Fault::Held(uid(1)));
        let shipped = world.start(&collector, protocol);
        eventually("three batches pass the one that is held", || (collector.count() == 30).then_some(())).await;
        assert_eq!((shipped.position(), collector.seen().len()), (0, 4), "no more than four are under way");
        collector.set(Fault::None);
        world.drained(&shipped).await;
        assert_complete(&collector, 100);
        assert_eq!(collector.count(), 100, "what was taken is not sent again");
    }
}

#[tokio::test]
async fn a_batch_is_bounded_in_records_and_in_bytes() {
    let (mut world, collector) = (World::new(), Faulty::start());
    world.limits.bytes = 5 * super::record(1).len();
    let shipped = world.start(&collector, BOTH[0]);
    world.write(100);
    world.drained(&shipped).await;
    let sizes: Vec<usize> =
        collector.seen().iter().map(|seen| seen.request.resource_logs[0].scope_logs[0].log_records.len()).collect();
    assert!(sizes.iter().all(|size| *size == 5), "{sizes:?}");
}
