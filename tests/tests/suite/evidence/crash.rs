//! Gateway and collector are killed again and again under load: what a client was carried for is in the spool and at the
//! collector, each record under its number, and the log is whole.
//!
//! `GATEPASS_CRASH_RECORDS=20000 ./tests/run -E 'test(crash)'` is the long form; the figure is the least number of records.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, RwLock};
use std::time::Duration;

use gatepass_tests::collector::{Collector, Otlp, Place};
use gatepass_tests::{Bundle, Client, Gateway, Setup, Witness, eventually};
use serde_json::Value;

/// Records of the short form: a connection has two, a denial one.
const RECORDS: usize = 2_000;

/// Deaths of the gateway, and of the collector, at least.
const KILLS: usize = 6;
const OUTAGES: usize = 2;

const CLIENTS: usize = 8;

/// How long a client waits for a gateway that is dead.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What clients were told.
#[derive(Default)]
struct Told {
    /// Decisions whose connection carried a byte to the origin and back.
    carried: Mutex<Vec<String>>,
    records: AtomicUsize,
    /// Nobody needs to ask any more.
    enough: AtomicBool,
}

/// Tells the clients to end, however this ends.
struct Done<'a>(&'a Told);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.enough.store(true, Ordering::Relaxed);
    }
}

/// One connection; the decision's id and whether a byte came back, unless the gateway died in between.
fn connect(address: SocketAddr, authority: &str) -> Option<(String, bool)> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT).ok()?;
    stream.set_read_timeout(Some(TIMEOUT)).ok()?;
    stream.write_all(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n").as_bytes()).ok()?;
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let id = head.lines().find_map(|line| line.strip_prefix("Gatepass-Decision: "))?.to_owned();
    if !head.starts_with("HTTP/1.1 200") {
        return Some((id, false));
    }
    stream.write_all(b"x").ok()?;
    stream.read_exact(&mut byte).ok()?;
    Some((id, true))
}

/// Numbers that are the same each time.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    *state >> 33
}

fn uids(records: &[String]) -> impl Iterator<Item = String> + '_ {
    records.iter().filter_map(|record| {
        let at = record.find("log.record.uid: Str(")? + "log.record.uid: Str(".len();
        Some(record[at..].split(')').next().unwrap().to_owned())
    })
}

fn load(told: &Told, address: &RwLock<SocketAddr>, allowed: &str) {
    let mut turn = 0_usize;
    while !told.enough.load(Ordering::Relaxed) {
        let denied = turn % 3 == 2;
        turn += 1;
        let target = if denied { "denied.test:443" } else { allowed };
        let now = *address.read().unwrap();
        match connect(now, target) {
            Some((id, true)) => {
                told.carried.lock().unwrap().push(id);
                told.records.fetch_add(2, Ordering::Relaxed);
            }
            Some((_, false)) => {
                told.records.fetch_add(1, Ordering::Relaxed);
            }
            // Nobody answers while the gateway starts again.
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

/// A tunnel that carried a byte and stays open, and its decision's id.
fn open(gateway: &Gateway, allowed: &str) -> (Client, String) {
    let mut client = gateway.client();
    let reply = client.connect(allowed);
    assert_eq!(reply.status, 200, "{}", reply.head);
    client.say("x");
    assert_eq!(client.take(1), b"x");
    (client, reply.id())
}

/// What is left when gateway and collector have died often enough.
struct Tormented {
    gateway: Gateway,
    collector: Collector,
    /// What the collectors before the last one had printed when they died.
    arrived: BTreeSet<String>,
    /// Decisions of tunnels that were open when the gateway died, one for each death.
    cut: Vec<String>,
}

/// Kill and start again at random points until there are enough records and enough deaths.
fn torment(
    mut gateway: Gateway,
    place: &Place,
    address: &RwLock<SocketAddr>,
    told: &Told,
    (allowed, wanted): (&str, usize),
) -> Tormented {
    let (mut dice, mut outages, mut arrived, mut cut) = (42, 0, BTreeSet::new(), Vec::new());
    let mut collector = Collector::start(place);
    while told.records.load(Ordering::Relaxed) < wanted || cut.len() < KILLS || outages < OUTAGES {
        let (client, id) = open(&gateway, allowed);
        std::thread::sleep(Duration::from_millis(20 + random(&mut dice) % 400));
        if random(&mut dice).is_multiple_of(4) {
            arrived.extend(uids(&collector.kill()));
            collector = Collector::start(place);
            outages += 1;
        } else {
            gateway.signal("KILL");
            gateway.wait();
            gateway = gateway.start_again();
            *address.write().unwrap() = gateway.plain();
            cut.push(id);
        }
        drop(client);
    }
    Tormented { gateway, collector, arrived, cut }
}

/// Every record in the spool by its uid, once every admission has its close. Numbers have no hole, and no uid comes twice.
fn settled(gateway: &Gateway) -> (Vec<Value>, BTreeMap<String, Value>) {
    let records = eventually("every admission in the spool has its close", || {
        let records = gateway.exported();
        let closes: BTreeSet<&str> =
            records.iter().filter(|r| r["kind"] == "close").filter_map(|r| r["id"].as_str()).collect();
        let mut admitted = records.iter().filter(|record| record["outcome"] == "admitted");
        admitted.all(|record| closes.contains(record["id"].as_str().unwrap())).then_some(records)
    });
    let mut known = BTreeMap::new();
    for (number, record) in records.iter().enumerate() {
        assert_eq!(record["sequence"], number + 1, "a hole or a repetition: {record}");
        let uid = match record["kind"].as_str().unwrap() {
            "close" => format!("{}/close", record["id"].as_str().unwrap()),
            _ => record["id"].as_str().unwrap().to_owned(),
        };
        assert!(known.insert(uid, record.clone()).is_none(), "twice: {record}");
    }
    (records, known)
}

#[test]
fn nothing_that_was_carried_is_missing_after_crashes_of_gateway_and_collector() {
    let wanted = std::env::var("GATEPASS_CRASH_RECORDS").map_or(RECORDS, |text| text.parse().unwrap());
    let place = Place::find();
    let setup = Setup::new()
        .section(&place.evidence(Otlp::Grpc))
        .section("limits: {evidence_retry_first: 20ms, evidence_retry_longest: 100ms}");
    setup.resolver.answer("allowed.test", &["127.0.0.1"]);
    let witness = Witness::of(&setup.scratch.path().join("gatepass-data/evidence"));
    let allowed = format!("allowed.test:{}", witness.port());
    let gateway = setup.start(&Bundle::new().allow("web", "allowed.test", &[witness.port()]));
    let told = Told::default();
    let address = RwLock::new(gateway.plain());
    let Tormented { gateway, collector, mut arrived, cut } = std::thread::scope(|scope| {
        let tormented = scope.spawn(|| {
            // Also where this fails, so that the others end.
            let _done = Done(&told);
            torment(gateway, &place, &address, &told, (&allowed, wanted))
        });
        (0..CLIENTS).for_each(|_| drop(scope.spawn(|| load(&told, &address, &allowed))));
        tormented.join().unwrap()
    });
    let (records, known) = settled(&gateway);
    let carried = told.carried.into_inner().unwrap();
    for id in carried.iter().chain(&cut) {
        assert!(known.get(id).is_some_and(|record| record["outcome"] == "admitted"), "{id} was carried unrecorded");
    }
    assert_eq!(witness.unrecorded(), Vec::<String>::new(), "bytes that came before their record");
    for id in &cut {
        let close = &known[&format!("{id}/close")];
        assert_eq!(close["ending"], "error", "{close}");
        assert!(close.get("bytes_sent").is_none() && close.get("bytes_received").is_none(), "{close}");
    }
    gateway.evidence(&["verify"]);
    eventually("the collector has the last record", || {
        let last = records.last().unwrap()["id"].as_str().unwrap();
        collector.records().iter().any(|record| record.contains(last)).then_some(())
    });
    arrived.extend(uids(&collector.records()));
    let missing: Vec<_> = known.keys().filter(|uid| !arrived.contains(*uid)).collect();
    assert!(missing.is_empty(), "{} of {} never arrived: {missing:?}", missing.len(), known.len());
    let (kills, known) = (cut.len(), known.len());
    println!("{known} records, {} carried, {kills} kills of the gateway, none missing", carried.len());
}
