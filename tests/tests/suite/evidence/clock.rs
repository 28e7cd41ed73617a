//! A clock that steps: records keep their order by number, nothing waits for the old time, and the log stays provable.

use std::path::PathBuf;

use gatepass_tests::{Bundle, Origin, Setup};
use jiff::Timestamp;

/// Seconds that the clock is off by, one after the other.
const STEPS: [i64; 4] = [0, -3_600, 43_200, -86_400];

/// The library of the Debian package `faketime`, for whatever machine this is.
fn library() -> PathBuf {
    let machine = std::env::consts::ARCH;
    let path = PathBuf::from(format!("/usr/lib/{machine}-linux-gnu/faketime/libfaketime.so.1"));
    assert!(path.is_file(), "`{}` is missing: install the Debian package `faketime`", path.display());
    path
}

/// A gateway whose wall clock is off by as many seconds as the function sets; its monotonic clock is the machine's.
pub(crate) fn stepping(setup: Setup) -> (Setup, impl Fn(i64)) {
    let offset = setup.scratch.write("offset", "+0");
    let file = offset.display().to_string();
    let set = move |seconds: i64| {
        // Renamed over the old one: the process reads the file at every look at the clock.
        let new = offset.with_extension("new");
        std::fs::write(&new, format!("{seconds:+}")).unwrap();
        std::fs::rename(&new, &offset).unwrap();
    };
    let setup = setup
        .environment("LD_PRELOAD", &library().display().to_string())
        .environment("FAKETIME_TIMESTAMP_FILE", &file)
        .environment("FAKETIME_NO_CACHE", "1")
        .environment("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    (setup, set)
}

#[test]
fn a_clock_that_steps_costs_no_record_no_order_and_no_proof() {
    let setup = Setup::new();
    setup.resolver.answer("allowed.test", &["127.0.0.1"]);
    let origin = Origin::http();
    let (setup, set) = stepping(setup);
    let gateway = setup.start(&Bundle::new().allow("web", "allowed.test", &[origin.port()]));
    let mut off = Vec::new();
    for seconds in STEPS {
        set(seconds);
        let reply = gateway.client().connect(&format!("allowed.test:{}", origin.port()));
        assert_eq!(reply.status, 200, "a clock {seconds} s off: {}", reply.body);
        let time: Timestamp = gateway.decision(&reply.id())["time"].as_str().unwrap().parse().unwrap();
        let away = (time.as_second() - Timestamp::now().as_second()) - seconds;
        assert!(away.abs() < 60, "the record has the time of the clock: {time}, {away} s from it");
        off.push(reply.id());
    }
    gateway.signal("TERM");
    let records = gateway.exported();
    let numbers: Vec<u64> = records.iter().map(|record| record["sequence"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    let admitted = records.iter().filter(|record| record["kind"] == "decision");
    assert_eq!(admitted.map(|record| record["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>(), off);
    assert_eq!(records.iter().filter(|record| record["kind"] == "gap").count(), 0);
    gateway.evidence(&["verify"]);
}
