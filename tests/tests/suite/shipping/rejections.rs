//! What a collector does not want at all: kept in quarantine, byte for byte, and never in the way of the rest.

use std::fs::File;
use std::path::PathBuf;

use gatepass::evidence::spool::segment::{Frame, Reader};
use gatepass_tests::{Fault, Faulty};
use serde_json::Value;

use super::{BOTH, World, counts, eventually, header, record, uid};

/// The segments in quarantine, in their order, each with its records and the reason beside it.
fn quarantine(world: &World) -> Vec<(Vec<(u64, Frame)>, Value)> {
    let entries = std::fs::read_dir(world.spool().join("quarantine")).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let segments = files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "seg"));
    let read = |path: &PathBuf| {
        let mut reader = Reader::open(File::open(path).unwrap()).unwrap();
        let mut frames = Vec::new();
        while let Some(frame) = reader.next().unwrap() {
            frames.push(frame);
        }
        assert_eq!(reader.header(), &header(frames[0].0));
        let reason = std::fs::read(path.with_extension("reason")).unwrap();
        (frames, serde_json::from_slice(&reason).unwrap())
    };
    let found: Vec<_> = segments.map(read).collect();
    assert_eq!(files.len(), 2 * found.len(), "{files:?}");
    found
}

fn frames(sequences: impl IntoIterator<Item = u64>) -> Vec<(u64, Frame)> {
    sequences.into_iter().map(|sequence| (sequence, Frame::Record(record(sequence)))).collect()
}

#[tokio::test]
async fn a_batch_that_was_taken_in_part_is_kept_whole_with_the_reason_and_not_sent_again() {
    for protocol in BOTH {
        let (mut world, collector) = (World::new(), Faulty::start());
        world.limits.in_flight = 1;
        collector.next([Fault::Partial(3)]);
        world.write(20);
        let shipped = world.start(&collector, protocol);
        world.drained(&shipped).await;
        assert_eq!(collector.count(), 17);
        let kept = quarantine(&world);
        assert_eq!(kept.len(), 1);
        assert_eq!(kept[0].0, frames(1..=10));
        assert_eq!((&kept[0].1["rejected"], &kept[0].1["sink"]), (&3.into(), &"otlp".into()));
        assert_eq!((&kept[0].1["first"], &kept[0].1["last"]), (&1.into(), &10.into()));
        assert!(kept[0].1["reason"].as_str().unwrap().contains("no\\u{a}room"), "{}", kept[0].1);
        assert_eq!((world.metric("rejected_total"), world.metric("exported_total")), (3, 17));
    }
}

#[tokio::test]
async fn a_record_that_no_request_may_carry_is_found_and_the_rest_of_its_batch_arrives() {
    for protocol in BOTH {
        let (world, collector) = (World::new(), Faulty::start());
        collector.set(Fault::Poison(uid(37)));
        world.write(60);
        let shipped = world.start(&collector, protocol);
        world.drained(&shipped).await;
        let there: Vec<String> = counts(&collector).into_keys().collect();
        assert_eq!(there, (1..=60).filter(|sequence| *sequence != 37).map(uid).collect::<Vec<_>>());
        assert_eq!(collector.count(), 59, "nothing comes twice");
        let kept = quarantine(&world);
        assert_eq!((kept.len(), &kept[0].0), (1, &frames([37])));
        assert!(kept[0].1["reason"].as_str().unwrap().contains("poisoned"), "{}", kept[0].1);
        assert_eq!((world.metric("rejected_total"), world.metric("exported_total")), (1, 59));
        assert_eq!(world.metric("export_failures_total"), 0, "a rejection is no outage");
    }
}

#[tokio::test]
async fn a_batch_that_is_too_large_arrives_in_parts() {
    for protocol in BOTH {
        let (world, collector) = (World::new(), Faulty::start());
        collector.set(Fault::TooLarge(3));
        world.write(40);
        let shipped = world.start(&collector, protocol);
        world.drained(&shipped).await;
        super::assert_complete(&collector, 40);
        assert_eq!((collector.count(), quarantine(&world).len()), (40, 0));
    }
}

#[tokio::test]
async fn a_record_that_is_too_large_alone_goes_to_quarantine() {
    for protocol in BOTH {
        let (mut world, collector) = (World::new(), Faulty::start());
        world.limits.records = 2;
        collector.set(Fault::TooLarge(1));
        world.write(4);
        let shipped = world.start(&collector, protocol);
        world.drained(&shipped).await;
        let kept: Vec<_> = quarantine(&world).into_iter().map(|(frames, _)| frames).collect();
        assert_eq!(kept, (1..=4).map(|sequence| frames([sequence])).collect::<Vec<_>>());
        assert_eq!(collector.count(), 0);
    }
}

#[tokio::test]
async fn what_cannot_be_put_into_quarantine_holds_the_cursor() {
    let (mut world, collector) = (World::new(), Faulty::start());
    world.limits.in_flight = 1;
    // A file where the directory belongs.
    let obstacle = world.scratch.write("quarantine", "");
    collector.set(Fault::Poison(uid(1)));
    world.write(10);
    let shipped = world.start(&collector, BOTH[0]);
    eventually("the record is rejected", || (world.metric("rejected_total") == 1).then_some(())).await;
    assert_eq!(shipped.position(), 0);
    std::fs::remove_file(obstacle).unwrap();
    world.drained(&shipped).await;
    assert_eq!(quarantine(&world)[0].0, frames([1]));
    assert_eq!(collector.count(), 9);
}
