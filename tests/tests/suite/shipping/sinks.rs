//! The other sinks are fed from the same spool, each with a cursor of its own and in the order of the records.

use std::io::Read as _;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use gatepass::evidence::ship::{self, Shipped, Sink};
use gatepass::evidence::sinks::syslog::Form;
use gatepass::evidence::sinks::{ocsf, rfc5424, syslog};
use gatepass::evidence::spool::segment;
use gatepass_tests::Faulty;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message as _;
use serde_json::Value;
use socket2::{Domain, Socket, Type};
use tokio::sync::watch;

use super::{BOTH, World, eventually};

/// A decision as it is spooled, with no more than a reader needs.
fn decision(sequence: u64) -> Vec<u8> {
    let attribute = |key: &str, value| KeyValue {
        key: key.into(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    };
    let attributes = vec![
        attribute("gatepass.decision.id", Any::StringValue(format!("id-{sequence:04}"))),
        attribute("gatepass.evidence.sequence", Any::IntValue(sequence.try_into().unwrap())),
        attribute("gatepass.decision.effect", Any::StringValue("deny".into())),
    ];
    LogRecord { attributes, event_name: "gatepass.decision".into(), time_unix_nano: 1, ..LogRecord::default() }
        .encode_to_vec()
}

fn write(world: &World, records: u64) {
    world.segment(records, |sequence, into| segment::write_frame(&[&decision(sequence)], into));
}

fn start(world: &World, sink: Sink) -> Shipped {
    let settings = ship::Settings { sink, spool: world.spool().to_owned(), limits: world.limits };
    let (sender, written) = watch::channel(world.written());
    drop(sender);
    ship::start(settings, written, world.metrics.clone()).unwrap()
}

fn file(world: &World) -> Sink {
    let path = world.spool().join("ocsf.jsonl");
    Sink::ocsf(ocsf::Settings { path, rotate_size: 1 << 20, rotate_keep: 1 })
}

/// The events of the file, in their order.
fn events(world: &World) -> Vec<Value> {
    let text = std::fs::read_to_string(world.spool().join("ocsf.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_file_of_events_has_every_record_once_and_in_order_over_a_restart() {
    let world = World::new();
    write(&world, 35);
    let shipped = start(&world, file(&world));
    world.drained(&shipped).await;
    shipped.stop().await;
    write(&world, 35);
    let shipped = start(&world, file(&world));
    world.drained(&shipped).await;
    let text: Vec<String> = events(&world).iter().map(Value::to_string).collect();
    assert_eq!(text.len(), 70);
    for (at, event) in text.iter().enumerate() {
        assert!(event.contains(&format!("id-{:04}", at + 1)), "{event}");
    }
}

#[tokio::test]
async fn a_syslog_receiver_that_comes_late_reads_every_record_in_order() {
    let world = World::new();
    write(&world, 35);
    // Bound and not listening: connections are refused, and the port stays ours.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    let sink = Sink::syslog(syslog::Settings {
        host: "127.0.0.1".into(),
        port,
        tls: None,
        form: Form::Rfc5424,
        sender: rfc5424::Sender::new("machine", 7),
        timeout: Duration::from_secs(10),
    });
    let shipped = start(&world, sink);
    eventually("attempts fail", || (world.metric("export_failures_total") > 2).then_some(())).await;
    assert_eq!(shipped.position(), 0);
    socket.listen(16).unwrap();
    let listener = TcpListener::from(socket);
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
        text
    });
    world.drained(&shipped).await;
    shipped.stop().await;
    let text = reader.join().unwrap();
    let places: Vec<Option<usize>> = (1..=35).map(|sequence| text.find(&format!("id-{sequence:04}"))).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?} in\n{text}");
    assert_eq!(std::fs::read_to_string(world.spool().join("cursor/syslog")).unwrap(), "{\"sequence\":35}\n");
}

#[tokio::test]
async fn one_sink_that_fails_does_not_hold_up_another() {
    let (world, collector) = (World::new(), Faulty::bound(None));
    write(&world, 35);
    let stuck = world.start(&collector, BOTH[0]);
    let shipped = start(&world, file(&world));
    world.drained(&shipped).await;
    assert_eq!((events(&world).len(), stuck.position()), (35, 0));
}

#[tokio::test]
async fn bytes_that_are_no_record_go_to_quarantine_and_not_into_a_file_of_events() {
    let world = World::new();
    world.segment(20, |sequence, into| match sequence {
        7 => segment::write_frame(&[b"\xff\xff\xff"], into),
        _ => segment::write_frame(&[&decision(sequence)], into),
    });
    let shipped = start(&world, file(&world));
    world.drained(&shipped).await;
    assert_eq!(events(&world).len(), 19);
    let kept = world.spool().join("quarantine/00000000000000000007-00000000000000000007-ocsf.seg");
    assert!(kept.is_file());
}
