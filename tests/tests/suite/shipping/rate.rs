//! How many records a second get to a collector: measurements, for the release profile and by hand.

use std::time::Instant;

use gatepass::evidence::ship::otlp::{Compression, Settings};
use gatepass_tests::collector::{self, Otlp};
use gatepass_tests::{Collector, Faulty};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message as _;

use super::{BOTH, World, segment, uid};

/// What a sink has to take (records a second).
const WANTED: f64 = 20_000.0;

const RECORDS: u64 = 100_000;

/// A record of the size and the shape of a decision: thirty attributes, some 900 bytes.
fn typical(sequence: u64) -> Vec<u8> {
    let attribute = |key: String, text: String| {
        let value = Some(AnyValue { value: Some(Any::StringValue(text)) });
        KeyValue { key, value, ..KeyValue::default() }
    };
    let more = (0..25).map(|n| attribute(format!("gatepass.field.{n}"), format!("{:x}", sequence * (n + 1) * 7919)));
    let attributes = std::iter::once(attribute(super::UID.into(), uid(sequence))).chain(more).collect();
    let body = Some(AnyValue { value: Some(Any::StringValue("the rule payments/stripe allows it".into())) });
    LogRecord { attributes, body, event_name: "gatepass.decision".into(), ..LogRecord::default() }.encode_to_vec()
}

fn world() -> World {
    let mut world = World::new();
    world.limits.records = 512;
    for _ in 0..RECORDS / 20_000 {
        world.segment(20_000, |sequence, into| segment::write_frame(&[&typical(sequence)], into));
    }
    world
}

/// Ship everything there; records a second.
async fn rate(world: &World, settings: &Settings) -> f64 {
    let start = Instant::now();
    let shipped = world.ship(settings);
    world.drained(&shipped).await;
    let rate = RECORDS as f64 / start.elapsed().as_secs_f64();
    // The cursor moves over what was rejected or lost as well, and that would be a fast way to ship.
    let (exported, rejected) = (world.metric("exported_total"), world.metric("rejected_total"));
    assert_eq!((exported, rejected, world.metric("export_failures_total")), (RECORDS, 0, 0));
    rate
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement of the release profile: docs/performance.md lists it"]
async fn a_collector_in_this_process_takes_what_is_wanted() {
    for protocol in BOTH {
        for compression in [Compression::None, Compression::Gzip] {
            let (world, collector) = (world(), Faulty::start());
            let rate = rate(&world, &Settings { compression, ..world.settings(&collector, protocol) }).await;
            println!("{protocol:?} {compression:?}: {rate:.0} records/s of {} bytes", typical(1).len());
            assert_eq!(collector.count() as u64, RECORDS);
            assert!(rate > WANTED, "{rate}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement of the release profile: docs/performance.md lists it"]
async fn rotel_takes_what_is_wanted() {
    for (protocol, otlp) in BOTH.into_iter().zip([Otlp::Grpc, Otlp::Http]) {
        for compression in [Compression::None, Compression::Gzip] {
            let world = world();
            let place = collector::Place::find();
            let _collector = Collector::quiet(&place);
            let endpoint = place.endpoint(otlp);
            let settings = Settings { compression, endpoint, ..world.settings(&Faulty::start(), protocol) };
            let rate = rate(&world, &settings).await;
            println!("{protocol:?} {compression:?}: {rate:.0} records/s of {} bytes", typical(1).len());
            assert!(rate > WANTED, "{rate}");
        }
    }
}
