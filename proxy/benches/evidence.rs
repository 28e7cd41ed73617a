//! What evidence costs: `cargo bench -p gatepass --bench evidence`.
//!
//! The admission of a connection on its own task (CPU time and allocations), records through spool and hash, and the
//! same record through the OpenTelemetry SDK, as far as its processor. Each figure is the median of seven rounds.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark that cannot do its work has no figure to tell"
)]

use std::future::{Future as _, poll_fn};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use gatepass::clock::Clock;
use gatepass::evidence::parts::PolicyRef;
use gatepass::evidence::words::{Ending, Outcome};
use gatepass::evidence::{
    Admission, Close, DecisionRecord, Durability, Evidence, Full, Limits, Paths, Settings, spool,
};
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
        mode: "normal".into(),
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
            ja4: None,
        })),
        upstream: None,
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
        exception: None,
        liftable: false,
        unopened: false,
        shadow: Vec::new(),
        used_declared: false,
        keeping: Keeping::AsConfigured,
        budgets: Vec::new(),
    };
    let policy = PolicyRef::new("corp", "sha256:00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff", 0);
    DecisionRecord::decided(&facts(), &decision, &[], policy)
        .with_dialled("3.18.12.63:443".parse().unwrap(), "10.0.0.5:40000".parse().unwrap())
}

/// The same connection, refused.
fn denied() -> DecisionRecord {
    DecisionRecord { effect: Effect::Deny, outcome: Outcome::Refused, ..allowed() }
}

fn evidence(directory: &std::path::Path, durability: Durability) -> Evidence {
    let settings = Settings {
        gateway: "bench".into(),
        floor: None,
        observe: None,
        clock: Clock::system(),
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
            // Reservations and records are there before, and so is the memory that a connection's task has anyway: what is
            // measured is the admission, from its first poll to its return.
            let mut pending: Vec<_> = (0..TOGETHER)
                .map(|_| Box::pin(evidence.reserve().unwrap().admit(Arc::new(allowed()), Durability::Interval)))
                .collect();
            let mut admitted: Vec<Option<Admission>> = (0..TOGETHER).map(|_| None).collect();
            let counted = runtime.block_on(async {
                let first = poll_fn(|context| {
                    let begin = cpu();
                    let counted = allocation_counter::measure(|| {
                        for (future, admission) in pending.iter_mut().zip(&mut admitted) {
                            // Most are pending; the writer may be quick.
                            if let Poll::Ready(ready) = future.as_mut().poll(context) {
                                *admission = Some(ready.unwrap());
                            }
                        }
                    });
                    spent += cpu() - begin;
                    Poll::Ready(counted)
                });
                first.await
            });
            // They are settled by the writer, then each is polled for its return.
            while evidence.waiting() > u32::try_from(TOGETHER).unwrap() {
                std::thread::yield_now();
            }
            let begin = cpu();
            runtime.block_on(async {
                for (future, admission) in pending.iter_mut().zip(&mut admitted) {
                    if admission.is_none() {
                        *admission = Some(future.await.unwrap());
                    }
                }
            });
            spent += cpu() - begin;
            allocated += counted.count_total;
            for admission in admitted.into_iter().flatten() {
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

/// CPU time of the writer's threads.
fn writer() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
    let ours = tasks.filter(|task| {
        let name = std::fs::read_to_string(task.join("comm")).unwrap_or_default();
        // The program's own thread has a longer name.
        ["evidence", "evidence-sync"].contains(&name.trim())
    });
    let spent = ours.map(|task| {
        let text = std::fs::read_to_string(task.join("schedstat")).unwrap_or_default();
        text.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0)
    });
    Duration::from_nanos(spent.sum())
}

/// Records a second: altogether, as fast as one thread refuses, and for a second of the writer's CPU alone.
fn throughput(evidence: &Evidence) -> (f64, f64) {
    const RECORDS: u32 = 200_000;
    let (mut rates, mut of_writer) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        // What a connection's task does anyway is done before.
        let ready: Vec<_> = (0..RECORDS / 2).map(|_| (evidence.reserve().unwrap(), denied())).collect();
        let (begin, before) = (Instant::now(), writer());
        for (reservation, record) in ready {
            reservation.refuse(record);
        }
        while evidence.waiting() > 0 {
            std::thread::yield_now();
        }
        rates.push(f64::from(RECORDS / 2) / begin.elapsed().as_secs_f64());
        of_writer.push(f64::from(RECORDS / 2) / (writer() - before).as_secs_f64());
    }
    (median(rates), median(of_writer))
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
    let (all, writer) = throughput(&interval);
    println!("{:<58} {writer:>12.0} records a second of the writer's CPU", "hash and spool (interval)");
    println!("{:<58} {all:>12.0} records/s", "encoder, queue, hash and spool, one producer (interval)");
    runtime.block_on(interval.flush(Duration::from_secs(30)));
    let _ = std::fs::remove_dir_all(&directory);
}
