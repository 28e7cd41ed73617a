//! How far a sink has the records, over restarts and accidents.

use gatepass::evidence::ship::Drained;
use gatepass::evidence::spool::segment;
use gatepass_tests::{Fault, Faulty, PATIENCE};

use super::{BOTH, World, assert_complete, counts, record, uid};

fn cursor(world: &World) -> String {
    std::fs::read_to_string(world.spool().join("cursor/otlp")).unwrap()
}

#[tokio::test]
async fn a_restart_goes_on_where_the_collector_has_everything() {
    let (world, collector) = (World::new(), Faulty::start());
    world.write(25);
    let shipped = world.start(&collector, BOTH[0]);
    world.drained(&shipped).await;
    assert_eq!((cursor(&world).as_str(), shipped.position()), ("{\"sequence\":25}\n", 25));
    shipped.stop().await;
    world.write(25);
    let shipped = world.start(&collector, BOTH[1]);
    assert_eq!(shipped.position(), 25);
    world.drained(&shipped).await;
    assert_complete(&collector, 50);
    assert_eq!(collector.count(), 50, "nothing comes twice");
    assert_eq!(world.metric("export_failures_total"), 0);
}

#[tokio::test]
async fn a_way_that_ends_during_an_outage_leaves_everything_to_the_next() {
    let (world, collector) = (World::new(), Faulty::start());
    collector.set(Fault::StoredButUnavailable);
    world.write(25);
    let shipped = world.start(&collector, BOTH[0]);
    super::eventually("the collector has some", || (collector.count() > 0).then_some(())).await;
    shipped.stop().await;
    collector.set(Fault::None);
    let shipped = world.start(&collector, BOTH[0]);
    assert_eq!(shipped.position(), 0);
    world.drained(&shipped).await;
    assert_complete(&collector, 25);
}

#[tokio::test]
async fn a_damaged_cursor_sends_everything_again() {
    for damaged in ["", "{\"sequence\":", "{\"sequence\":-1}", "{\"sequence\":7,\"more\":1}", "\0\0\0\0"] {
        let (world, collector) = (World::new(), Faulty::start());
        world.scratch.write("cursor/otlp", damaged);
        world.write(10);
        let shipped = world.start(&collector, BOTH[0]);
        world.drained(&shipped).await;
        assert_complete(&collector, 10);
        assert_eq!(cursor(&world), "{\"sequence\":10}\n");
    }
}

#[tokio::test]
async fn a_cursor_beyond_the_last_record_does_not_hide_those_that_come() {
    let (world, collector) = (World::new(), Faulty::start());
    world.write(10);
    world.scratch.write("cursor/otlp", "{\"sequence\":25}");
    let shipped = world.start(&collector, BOTH[0]);
    assert_eq!((shipped.position(), cursor(&world).as_str()), (10, "{\"sequence\":10}\n"));
    world.write(10);
    world.drained(&shipped).await;
    assert_eq!(counts(&collector).into_keys().collect::<Vec<_>>(), (11..=20).map(uid).collect::<Vec<_>>());
}

#[tokio::test]
async fn erased_records_are_nothing_to_send_and_no_obstacle() {
    let (world, collector) = (World::new(), Faulty::start());
    world.segment(30, |sequence, into| match sequence {
        5..=20 => segment::write_erased(&[7; 32], into),
        _ => segment::write_frame(&[&record(sequence)], into),
    });
    let shipped = world.start(&collector, BOTH[0]);
    world.drained(&shipped).await;
    let expected: Vec<String> = (1..=4).chain(21..=30).map(uid).collect();
    assert_eq!(counts(&collector).into_keys().collect::<Vec<_>>(), expected);
    assert_eq!((collector.count(), world.metric("exported_total")), (14, 14));
}

#[tokio::test]
async fn a_spool_whose_oldest_records_are_gone_is_shipped_from_what_there_is() {
    let (world, collector) = (World::new(), Faulty::start());
    world.write(10);
    world.write(10);
    std::fs::remove_file(world.spool().join("segments").join(segment::file_name(1))).unwrap();
    let shipped = world.start(&collector, BOTH[0]);
    world.drained(&shipped).await;
    assert_eq!(counts(&collector).into_keys().collect::<Vec<_>>(), (11..=20).map(uid).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_damaged_segment_costs_its_own_records_and_no_others() {
    let (world, collector) = (World::new(), Faulty::start());
    world.write(10);
    world.write(10);
    let path = world.spool().join("segments").join(segment::file_name(1));
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let shipped = world.start(&collector, BOTH[0]);
    world.drained(&shipped).await;
    let expected: Vec<String> = (1..=9).chain(11..=20).map(uid).collect();
    assert_eq!(counts(&collector).into_keys().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn draining_ends_with_the_way() {
    let (world, collector) = (World::new(), Faulty::start());
    world.write(5);
    let shipped = world.start(&collector, BOTH[0]);
    world.drained(&shipped).await;
    assert_eq!(shipped.drained(6, PATIENCE / 100).await, Drained::Left(1));
}
