//! What evidence costs: `cargo bench -p gatepass --bench evidence`.
//!
//! The admission of a connection on its own task (CPU time and allocations), records through spool and hash, and the
//! same record through the OpenTelemetry SDK, as far as its processor. Each figure is the median of seven rounds.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark that cannot do its work has no figure to tell")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use gatepass::clock::Clock;
use gatepass::evidence::parts::PolicyRef;
use gatepass::evidence::words::Ending;
use gatepass::evidence::{Close, DecisionRecord, Durability, Evidence, Full, Limits, Paths, Settings, spool};
use gatepass::metrics::Metrics;
use gatepass_policy::address::Floor;
use gatepass_policy::decision::{Decision, Effect, Keeping, Reason, RuleInfo};
use gatepass_policy::facts::{Facts, Hello, Protocol, Resolved, Subject, Tls};
use gatepass_policy::host::Authority;
use gatepass_policy::identity::{Certificate, Identity};
use gatepass_policy::schema::Stage;
use jiff::Timestamp;

const ROUNDS: usize = 7;

fn facts() -> Facts {
    let labels = [("app", "checkout"), ("env", "prod"), ("team", "payments")];
    Facts {
        now: Timestamp::now(),
        source: Some("10.8.3.4:51234".parse().unwrap()),
        listener: Some("mesh".into()),
        identity: Identity::mtls(
            "spiffe://corp.example/ns/payments/sa/checkout",
            Certificate { sha256: "ab".repeat(32).into(), expires: Timestamp::MAX },
        ),
        subject: Subject {
            labels: Arc::new(labels.into_iter().map(|(key, value)| (key.into(), value.into())).collect()),
            registered: ["internal".into(), "pci".into()].into(),
            declared: None,
        },
        destination: Authority::parse(b"api.stripe.com:443").unwrap(),
        tags: [].into(),
        protocol: Protocol::Connect,
        request: None,
        floor: Arc::new(Floor::default()),
        resolved: Some(Resolved {
            answers: vec!["3.18.12.63".parse().unwrap(), "3.130.192.231".parse().unwrap()],
            cname: Vec::new(),
            min_ttl: 30,
            secure: false,
        }),
        tls: Some(Tls::Hello(Hello {
            sni: Some("api.stripe.com".into()),
            alpn: vec!["h2".into(), "http/1.1".into()],
            versions: vec!["1.3".into(), "1.2".into()],
            ech: false,
        })),
    }
}

fn allowed() -> DecisionRecord {
    let rule = RuleInfo {
        path: "payments/stripe".into(),
        owner: "alice@example.com".into(),
        purpose: "charge cards".into(),
        ticket: None,
        expires: Some("2027-04-30T00:00:00Z".parse().unwrap()),
    };
    let decision = Decision {
        effect: Effect::Allow,
        reason: Reason::Allowed,
        stage: Stage::Tls,
        rule: Some(Arc::new(rule)),
        detail: None,
        overridden: None,
        shadow: Vec::new(),
        used_declared: false,
        keeping: Keeping::AsConfigured,
    };
    let policy = PolicyRef::new("corp", "sha256:00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff", 0);
    DecisionRecord::decided(&facts(), &decision, &[], policy)
        .with_dialled("3.18.12.63:443".parse().unwrap(), "10.0.0.5:40000".parse().unwrap())
}

fn evidence(directory: &std::path::Path, durability: Durability) -> Evidence {
    let settings = Settings {
        gateway: "bench".into(),
        floor: None,
        clock: Clock::System,
        paths: Paths::Keep,
        spool: spool::Settings {
            directory: directory.to_owned(),
            max_size: 8 << 30,
            full: Full::Refuse,
            keep: Duration::ZERO,
            archive: None,
            durability,
        },
        output: None,
        sinks: Vec::new(),
        limits: Limits { queue: 400_000, ..Limits::default() },
    };
    Evidence::start(settings, Arc::new(Metrics::new().unwrap())).unwrap()
}

/// CPU time of this thread.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).unwrap())
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Nanoseconds of CPU on the task, and allocations, for one admission; sixty-four wait for their records at a time.
fn admission(evidence: &Evidence, runtime: &tokio::runtime::Runtime) -> (f64, f64) {
    const TOGETHER: usize = 64;
    const TIMES: usize = 200;
    let (mut times, mut allocations) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (mut spent, mut allocated) = (Duration::ZERO, 0);
        for _ in 0..TIMES {
            // Reservations, records and rooms for futures are there before: what is measured is the admission.
            let ready: Vec<_> = (0..TOGETHER).map(|_| (evidence.reserve().unwrap(), Arc::new(allowed()))).collect();
            let mut pending = Vec::with_capacity(TOGETHER);
            let mut admitted = Vec::with_capacity(TOGETHER);
            let mut begin = cpu();
            let counted = allocation_counter::measure(|| {
                begin = cpu();
                pending
                    .extend(ready.into_iter().map(|(room, record)| Box::pin(room.admit(record, Durability::Interval))));
                runtime.block_on(async {
                    for future in &mut pending {
                        admitted.push(future.await.unwrap());
                    }
                });
                spent += cpu() - begin;
            });
            allocated += counted.count_total;
            for admission in admitted {
                admission.close(Close {
                    now: Timestamp::now(),
                    sent: 1,
                    received: 1,
                    ending: Ending::ClientClosed,
                    cut_by: None,
                });
            }
        }
        #[allow(clippy::cast_precision_loss, reason = "small numbers")]
        let each = (TOGETHER * TIMES) as f64;
        times.push(spent.as_nanos() as f64 / each);
        allocations.push(allocated as f64 / each);
    }
    (median(times), median(allocations))
}

/// Records a second through encoder, queue, hash and spool, as fast as one thread refuses.
fn throughput(evidence: &Evidence) -> f64 {
    const RECORDS: u32 = 300_000;
    let record = allowed();
    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        for _ in 0..RECORDS {
            loop {
                if let Ok(reservation) = evidence.reserve() {
                    reservation.refuse(record.clone());
                    break;
                }
                std::thread::yield_now();
            }
        }
        while evidence.waiting() > 0 {
            std::thread::yield_now();
        }
        rates.push(f64::from(RECORDS) / begin.elapsed().as_secs_f64());
    }
    median(rates)
}

/// Nanoseconds and allocations of building the same record through the SDK, up to a processor that does nothing.
fn sdk() -> (f64, f64) {
    use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity};
    use opentelemetry_sdk::logs::{LogProcessor, SdkLogRecord, SdkLoggerProvider};

    #[derive(Debug)]
    struct Nowhere;
    impl LogProcessor for Nowhere {
        fn emit(&self, record: &mut SdkLogRecord, _: &opentelemetry::InstrumentationScope) {
            std::hint::black_box(record);
        }
        fn force_flush(&self) -> opentelemetry_sdk::error::OTelSdkResult {
            Ok(())
        }
    }

    let provider = SdkLoggerProvider::builder().with_log_processor(Nowhere).build();
    let logger = provider.logger("gatepass.decision");
    let json = serde_json::to_value(allowed()).unwrap();
    let flat: Vec<(&'static str, String)> = gatepass::evidence::fields::FIELDS
        .iter()
        .filter_map(|field| {
            let value = field.path.split('.').try_fold(&json, |value, key| value.get(key))?;
            Some((field.path, value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        })
        .collect();
    const TIMES: u32 = 20_000;
    let (mut times, mut allocations) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begin = cpu();
        let counted = allocation_counter::measure(|| {
            for _ in 0..TIMES {
                let mut record = logger.create_log_record();
                record.set_event_name("gatepass.decision");
                record.set_severity_number(Severity::Info);
                record.set_body(AnyValue::from("payments/stripe lets it pass"));
                for (key, value) in &flat {
                    record.add_attribute(*key, value.clone());
                }
                logger.emit(record);
            }
        });
        times.push((cpu() - begin).as_nanos() as f64 / f64::from(TIMES));
        allocations.push(counted.count_total as f64 / f64::from(TIMES));
    }
    (median(times), median(allocations))
}

fn main() {
    let directory = std::env::temp_dir().join(format!("gatepass-bench-{}", std::process::id()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    println!("{:<58} {:>12} {:>12}", "", "ns of CPU", "allocations");
    let interval = evidence(&directory.join("interval"), Durability::Interval);
    let (time, allocations) = admission(&interval, &runtime);
    println!("{:<58} {time:>12.0} {allocations:>12.2}", "admit, on the connection's task (interval)");
    let (time, allocations) = sdk();
    println!("{:<58} {time:>12.0} {allocations:>12.2}", "the same record through the SDK, to its processor");
    println!("{:<58} {:>12.0} records/s", "encoder, queue, hash and spool (interval)", throughput(&interval));
    runtime.block_on(interval.flush(Duration::from_secs(30)));
    let _ = std::fs::remove_dir_all(&directory);
}
