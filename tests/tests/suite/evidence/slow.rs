//! A collector that stalls or is away: decisions are made and kept as if it were well, and it gets all of them later.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use gatepass_tests::faulty::text;
use gatepass_tests::{Bundle, Fault, Faulty, Gateway, Origin, Setup, eventually};
use opentelemetry_proto::tonic::logs::v1::LogRecord;

/// Tunnels of each gateway: enough for a median, and several batches for the collector.
const TUNNELS: usize = 200;

fn world(origin: &Origin, evidence: &str) -> Gateway {
    let setup = Setup::new()
        .section(&format!("evidence: {{stdout: none{evidence}}}"))
        .section("limits: {evidence_retry_first: 20ms, evidence_retry_longest: 100ms, evidence_batch_records: 20, otlp_timeout: 1s}");
    setup.resolver.answer("allowed.test", &["127.0.0.1"]);
    setup.start(&Bundle::new().allow("web", "allowed.test", &[origin.port()]))
}

fn shipping(origin: &Origin, collector: &Faulty) -> Gateway {
    world(origin, &format!(", otlp: {{endpoint: \"http://{}\"}}", collector.address()))
}

/// The time from a CONNECT to its answer, with a connection of its own.
fn open(gateway: &Gateway, origin: &Origin) -> Duration {
    let mut client = gateway.client();
    let begun = Instant::now();
    assert_eq!(client.connect(&format!("allowed.test:{}", origin.port())).status, 200);
    begun.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Ids of decisions and ends in the spool, as records for a collector bear them.
fn kept(gateway: &Gateway) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for record in gateway.exported() {
        let id = record["id"].as_str().unwrap();
        match record["kind"].as_str().unwrap() {
            "decision" => ids.insert(id.to_owned()),
            "close" => ids.insert(format!("{id}/close")),
            _ => false,
        };
    }
    ids
}

fn taken(records: &[LogRecord]) -> BTreeSet<String> {
    records.iter().map(|record| text(record, "log.record.uid").unwrap()).collect()
}

/// Tunnels of a gateway whose collector is like this are opened as fast as those of one without; all that was kept
/// meanwhile arrives once `mend` was done.
fn costs_no_time_and_no_record(collector: &Faulty, mend: impl FnOnce()) {
    let origin = Origin::echo();
    let (alone, gateway) = (world(&origin, ""), shipping(&origin, collector));
    // Taken in turns, so that whatever else this machine does slows both down.
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..TUNNELS {
        without.push(open(&alone, &origin));
        with.push(open(&gateway, &origin));
    }
    assert_eq!(collector.count(), 0, "the collector took nothing so far");
    let (without, with) = (median(without), median(with));
    assert!(with <= without * 3, "a tunnel took {with:?} instead of {without:?}");
    let kept = eventually("every decision and every end is kept", || {
        let kept = kept(&gateway);
        (kept.len() == 2 * TUNNELS).then_some(kept)
    });
    mend();
    eventually("the collector has all of them", || taken(&collector.records()).is_superset(&kept).then_some(()));
    gateway.evidence(&["verify"]);
}

#[test]
pub fn a_collector_that_takes_requests_and_never_answers_costs_no_time_and_no_record() {
    let collector = Faulty::start();
    collector.set(Fault::Hang);
    costs_no_time_and_no_record(&collector, || collector.set(Fault::None));
}

#[test]
pub fn a_collector_that_is_away_costs_no_time_and_no_record() {
    let collector = Faulty::bound(None);
    costs_no_time_and_no_record(&collector, || collector.listen());
}
