//! Gateway and collector are killed again and again under load: what a client was carried for is in the spool and at the
//! collector, each record under its number, and the log is whole.
//!
//! `GATEPASS_CRASH_RECORDS=20000 ./tests/run -E 'test(crash)'` is the long form; the figure is the least number of records.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, RwLock};
use std::time::Duration;

use gatepass_tests::collector::{Collector, Otlp, Place};
use gatepass_tests::gateway::binary;
use gatepass_tests::{Bundle, Gateway, Origin, Setup, eventually};
use serde_json::Value;

/// Records of the short form: a connection has two, a denial one.
const RECORDS: usize = 2_000;

/// Deaths of the gateway, and of the collector, at least.
const KILLS: usize = 6;
const OUTAGES: usize = 2;

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

/// Every record in the spool, by `gatepass evidence export`.
fn exported(gateway: &Gateway) -> Vec<Value> {
    let output = Command::new(binary()).args(["evidence", "export"]).current_dir(gateway.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn verified(gateway: &Gateway) {
    let output = Command::new(binary()).args(["evidence", "verify"]).current_dir(gateway.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// Kill and start again at random points until there are enough records and enough deaths. Returns the last gateway, and what the collectors
/// before the last one had printed when they died.
fn torment(
    mut gateway: Gateway,
    place: &Place,
    address: &RwLock<SocketAddr>,
    told: &Told,
    wanted: usize,
) -> (Gateway, Collector, BTreeSet<String>, usize) {
    let (mut dice, mut kills, mut outages, mut arrived) = (42, 0, 0, BTreeSet::new());
    let mut collector = Collector::start(place);
    while told.records.load(Ordering::Relaxed) < wanted || kills < KILLS || outages < OUTAGES {
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
            kills += 1;
        }
    }
    told.enough.store(true, Ordering::Relaxed);
    (gateway, collector, arrived, kills)
}

#[test]
fn nothing_that_was_carried_is_missing_after_crashes_of_gateway_and_collector() {
    let wanted = std::env::var("GATEPASS_CRASH_RECORDS").map_or(RECORDS, |text| text.parse().unwrap());
    let place = Place::find();
    let setup = Setup::new()
        .section(&place.evidence(Otlp::Grpc))
        .section("limits: {evidence_retry_first: 20ms, evidence_retry_longest: 100ms}");
    setup.resolver.answer("allowed.test", &["127.0.0.1"]);
    let origin = Origin::echo();
    let allowed = format!("allowed.test:{}", origin.port());
    let gateway = setup.start(&Bundle::new().allow("web", "allowed.test", &[origin.port()]));
    let told = Told::default();
    let address = RwLock::new(gateway.plain());
    let (gateway, collector, mut arrived, kills) = std::thread::scope(|scope| {
        let tormented = scope.spawn(|| torment(gateway, &place, &address, &told, wanted));
        (0..8).for_each(|_| drop(scope.spawn(|| load(&told, &address, &allowed))));
        tormented.join().unwrap()
    });
    let carried = told.carried.into_inner().unwrap();
    let records = eventually("every admission in the spool has its close", || {
        let records = exported(&gateway);
        let closes: BTreeSet<&str> =
            records.iter().filter(|r| r["kind"] == "close").filter_map(|r| r["id"].as_str()).collect();
        let admitted = records.iter().filter(|record| record["outcome"] == "admitted");
        let open = admitted.filter(|record| !closes.contains(record["id"].as_str().unwrap())).count();
        (open == 0).then_some(records)
    });
    let mut known = BTreeMap::new();
    for (number, record) in records.iter().enumerate() {
        assert_eq!(record["sequence"], number + 1, "a hole or a repetition: {record}");
        let uid = match record["kind"].as_str().unwrap() {
            "close" => format!("{}/close", record["id"].as_str().unwrap()),
            _ => record["id"].as_str().unwrap().to_owned(),
        };
        assert!(known.insert(uid, record).is_none(), "twice: {record}");
    }
    for id in &carried {
        assert!(known.get(id).is_some_and(|record| record["outcome"] == "admitted"), "{id} was carried unrecorded");
    }
    verified(&gateway);
    eventually("the collector has the last record", || {
        let last = records.last().unwrap()["id"].as_str().unwrap();
        collector.records().iter().any(|record| record.contains(last)).then_some(())
    });
    arrived.extend(uids(&collector.records()));
    let missing: Vec<_> = known.keys().filter(|uid| !arrived.contains(*uid)).collect();
    assert!(missing.is_empty(), "{} of {} never arrived: {missing:?}", missing.len(), known.len());
    println!("{} records, {} carried, {kills} kills of the gateway, none missing", known.len(), carried.len());
}
