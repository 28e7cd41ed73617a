//! How fast records are decided again: `cargo bench -p gatepass --bench replay`.
//!
//! A million records and more as a spool has them (decisions, their ends, checkpoints) of 400 identities, 3,000 hosts with
//! changing addresses, a dozen for each identity, and a bundle of 500 rules. Each form of them is read once before, so that files are in the page cache; a
//! figure is that of the best of three rounds, on one thread, by its CPU time.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    missing_docs,
    reason = "a benchmark that cannot do its work has no figure to tell"
)]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gatepass::evidence::otlp::encode::log_record;
use gatepass::evidence::questions::filter::Span;
use gatepass::evidence::questions::parquet;
use gatepass::evidence::questions::source::Sources;
use gatepass::evidence::spool::segment::{Header, file_name, write_frame};
use gatepass::recorded::facts::Workloads;
use gatepass::replay::report::Report;
use gatepass::replay::{Asked, Bounds, Replay};
use gatepass_policy::source::SourceFile;
use gatepass_policy::{PolicySet, compile};
use prost::Message as _;
use serde_json::{Value, json};

const CONNECTIONS: usize = 550_000;
const IDENTITIES: usize = 400;
const HOSTS: usize = 3_000;
const RULES: usize = 500;
const ROUNDS: usize = 3;
/// Records of a segment.
const SEGMENT: usize = 100_000;

/// The same numbers every time, without a pattern.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    /// Some far more often than others, as hosts and workloads are.
    fn skewed(&mut self, end: usize) -> usize {
        let one = self.below(end) * self.below(end) / end;
        one * self.below(end) / end
    }
}

fn host(number: usize) -> String {
    format!("api-{}.service-{}.example.com", number % 7, number / 7)
}

fn identity(number: usize) -> String {
    format!("spiffe://corp.example/ns/team-{}/sa/app-{number}", number % 20)
}

/// A decision as a gateway records it; one in ten is a denial.
fn decision(number: usize, sequence: usize, time: &str, numbers: &mut Numbers) -> Value {
    let who = numbers.skewed(IDENTITIES);
    // A workload has its dozen destinations, and shares some of them with others.
    let to = (who * 7 + numbers.skewed(12)) % HOSTS;
    let address = |n: usize| format!("3.{}.{}.{}", to % 250, to / 250, n);
    let mut record = json!({
        "schema": 1, "kind": "decision", "id": format!("019a8f3e-1d2c-7b4a-9c1e-{number:012x}"), "sequence": sequence,
        "time": time, "gateway": "gw-1", "effect": "allow", "outcome": "admitted", "mode": "normal", "stage": "tls",
        "reason": {"code": "allowed", "text": format!("team/r{} lets {} reach {}:443", to % RULES, identity(who), host(to))},
        "rule": {
            "path": format!("team/r{}", to % RULES), "owner": "alice@example.com", "purpose": "call the service",
            "expires": "2027-06-30T00:00:00Z",
        },
        "identity": {
            "id": identity(who), "method": "mtls", "cert_sha256": format!("{:064x}", number / 5_000 * 1_000 + who),
            "labels": {"app": format!("app-{who}"), "env": "prod", "team": format!("team-{}", who % 20)},
        },
        "data_classes": ["internal"], "data_classes_from": "registered",
        "client": {"address": format!("10.8.{}.{}", who / 250, who % 250), "port": 20_000 + numbers.below(40_000)},
        "listener": "mesh",
        "destination": {
            "host": host(to), "port": 443, "domain": "example.com", "first_seen": false,
            "addresses": [address(numbers.below(3)), address(3 + numbers.below(3))], "address": address(1),
        },
        "dns": {"min_ttl": numbers.below(60), "secure": false},
        "tls": {"present": true, "sni": host(to), "alpn": ["h2", "http/1.1"], "versions": ["1.3", "1.2"], "ech": false},
        "request": {"protocol": "connect"},
        "local": {"address": "198.51.100.7", "port": 20_000 + numbers.below(40_000)},
        "policy": {"bundle": "corp", "digest": format!("sha256:{:064x}", 7), "serial": 0},
        "timings": {"decide_us": 1, "dns_us": numbers.below(900), "dial_us": numbers.below(9_000)},
    });
    if numbers.below(10) == 0 {
        let fields = record.as_object_mut().unwrap();
        for key in ["rule", "dns", "tls", "local"] {
            fields.remove(key);
        }
        record["destination"] = json!({"host": host(to), "port": 22});
        (record["effect"], record["outcome"], record["stage"]) = ("deny".into(), "refused".into(), "request".into());
        record["reason"] =
            json!({"code": "no_rule", "text": format!("no rule lets {} reach {}:22", identity(who), host(to))});
        let failed = json!([{"clause": "destinations.ports", "seen": 22, "wanted": [443]}]);
        record["nearest"] =
            json!([{"rule": format!("team/r{}", to % RULES), "owner": "alice@example.com", "failed": failed}]);
    }
    record
}

/// Writes the same records in each form.
fn generate(folder: &Path) -> usize {
    let mut numbers = Numbers(7);
    std::fs::create_dir_all(folder.join("spool/segments")).unwrap();
    let file = |name: &str| std::io::BufWriter::new(std::fs::File::create(folder.join(name)).unwrap());
    let (mut lines, mut columns) = (file("lines.jsonl"), parquet::File::begin(file("columns.parquet")).unwrap());
    let (mut sequence, mut segment) = (0, Vec::new());
    let mut first = 1;
    let mut put = |record: &Value, last: bool| {
        sequence += 1;
        if segment.is_empty() {
            first = sequence;
            let header = Header {
                first: sequence as u64,
                gateway: "gw-1".into(),
                log: "gatepass.evidence/gw-1/00000000".into(),
                run: "019a8f3e-1d2c-7b4a-9c1e-2f60a1b3c4d5".into(),
                created: "2026-11-22T10:00:00Z".into(),
                version: "0.1.0".into(),
                host: None,
            };
            segment = header.encode();
        }
        write_frame(&[&log_record(record).unwrap().encode_to_vec()], &mut segment);
        writeln!(lines, "{record}").unwrap();
        columns.add(record).unwrap();
        if last || sequence - first + 1 == SEGMENT {
            std::fs::write(folder.join("spool/segments").join(file_name(first as u64)), &segment).unwrap();
            segment.clear();
        }
        sequence
    };
    let begin: jiff::Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
    let mut next = 1;
    for number in 0..CONNECTIONS {
        let time = (begin + jiff::SignedDuration::from_millis(i64::try_from(number).unwrap() * 20)).to_string();
        let record = decision(number, next, &time, &mut numbers);
        let admitted = record["outcome"] == "admitted";
        next = put(&record, false) + 1;
        if admitted {
            let close = json!({
                "schema": 1, "kind": "close", "id": record["id"], "sequence": next, "time": time, "gateway": "gw-1",
                "bytes_sent": numbers.below(100_000), "bytes_received": numbers.below(1_000_000),
                "duration_ms": numbers.below(60_000), "ending": "client_closed",
            });
            next = put(&close, number + 1 == CONNECTIONS) + 1;
        } else if number + 1 == CONNECTIONS {
            let end = json!({"schema": 1, "kind": "gap", "id": record["id"], "sequence": next, "time": time, "gateway": "gw-1"});
            next = put(&end, true) + 1;
        }
    }
    lines.flush().unwrap();
    columns.end().unwrap().flush().unwrap();
    next - 1
}

/// One rule in fifty is gone, and one host in seven is new; more conditions where `conditions` has some.
fn bundle(conditions: &str) -> PolicySet {
    let mut rules = String::new();
    for number in 0..RULES {
        let hosts: Vec<String> = (0..HOSTS)
            .filter(|host| host % RULES == number && number % 50 != 0)
            .map(|number| format!("\"{}\"", host(number)))
            .collect();
        if hosts.is_empty() {
            continue;
        }
        rules += &format!(
            "  - {{id: r{number}, action: allow, purpose: p, owner: o@example.com, identities: [{{spiffe_id: \"spiffe://corp.example/ns/**\"}}], destinations: {{hosts: [{}], ports: [443]}}, data_classes: {{at_most: [internal]}}, expires: \"2027-06-30T00:00:00Z\"{conditions}}}\n",
            hosts.join(", ")
        );
    }
    let head = |kind: &str, id: &str| {
        format!("apiVersion: gatepass/v1\nkind: {kind}\nmetadata: {{id: {id}, owner: o@example.com}}\n")
    };
    let files = [
        (
            "bundle.yaml",
            head("Bundle", "corp")
                + "data_classes: [{id: internal}]\nlifetimes: {default: 400d}\nfragments:\n  - {id: team, scope: {identities: any, destinations: any, data_classes: any}}\n",
        ),
        (
            "workloads.yaml",
            head("Workloads", "workloads")
                + "workloads:\n  - {id: \"spiffe://corp.example/ns/{team}/sa/{app}\", labels: {team: \"{team}\", app: \"{app}\", env: prod}, data_classes: [internal]}\n",
        ),
        (
            "guard.yaml",
            head("Guardrails", "guard")
                + "rules:\n  - {id: names-agree, action: deny, purpose: p, lifted_by: [], when: 'tls.present && tls.sni != destination.host'}\n",
        ),
        ("team.yaml", head("Fragment", "team") + "rules:\n" + &rules),
    ];
    let files: Vec<SourceFile> =
        files.into_iter().map(|(name, text)| SourceFile { name: name.into(), text: text.into_bytes() }).collect();
    compile(&files, "2026-11-22T00:00:00Z".parse().unwrap()).unwrap().set
}

/// CPU time of this thread.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).unwrap())
}

fn replayed(set: &PolicySet, path: &Path, bounds: Bounds) -> (Report, f64) {
    let sources = Sources::find(&[PathBuf::from(path)]).unwrap();
    let asked = Asked { now: None, mode: None, workloads: Workloads::OfPolicy, span: Span::ALL };
    let begin = cpu();
    let mut replay = Replay::new(set, asked, bounds);
    let gaps = sources.each_recorded(&mut |_| {}, &mut |record| replay.see(record)).unwrap();
    let report = replay.end();
    assert!(gaps.is_empty(), "{gaps:?}");
    let rate = report.totals.records as f64 / (cpu() - begin).as_secs_f64();
    (report, rate)
}

fn main() {
    let folder = std::env::temp_dir().join(format!("gatepass-bench-replay-{}", std::process::id()));
    let records = generate(&folder);
    let (set, sensitive) = (bundle(""), bundle(", when: 'source.port > 1024'"));
    println!("{records} records, {} rules", set.rules());
    let forms = [("segments", "spool"), ("Parquet", "columns.parquet"), ("JSON lines", "lines.jsonl")];
    let wanted = replayed(&set, &folder.join("spool"), Bounds::STANDARD).0;
    for (name, path) in forms {
        let bytes = match name {
            "segments" => Sources::find(&[folder.join(path)]).unwrap().bytes,
            _ => std::fs::metadata(folder.join(path)).unwrap().len(),
        };
        let mut best = 0.0_f64;
        for _ in 0..ROUNDS {
            let (report, rate) = replayed(&set, &folder.join(path), Bounds::STANDARD);
            assert_eq!(report, wanted, "every form gives the same answer");
            best = best.max(rate);
        }
        println!("{name:<52} {best:>12.0} records/s of one core ({} MiB)", bytes >> 20);
    }
    let spool = folder.join("spool");
    let (report, rate) = replayed(&set, &spool, Bounds { answers: 0, ..Bounds::STANDARD });
    assert_eq!(report, wanted, "a remembered answer is the one that is worked out");
    println!("{:<52} {rate:>12.0} records/s of one core", "segments, no answer remembered");
    let (_, rate) = replayed(&sensitive, &spool, Bounds::STANDARD);
    println!("{:<52} {rate:>12.0} records/s of one core", "segments, every rule looks at `source.port`");
    std::fs::remove_dir_all(&folder).unwrap();
}
