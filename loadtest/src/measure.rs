//! Measurements: many clients for a bounded time, and what was counted meanwhile.

pub mod connect;
pub mod enforcement;
pub mod http;
pub mod idle;
pub mod stream;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::load::Client;
use crate::{Failure, process};

/// After this an operation has failed.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// Pause of a worker after a failure, so that a broken proxy is not measured by how fast it refuses.
const AFTER_FAILURE: Duration = Duration::from_millis(2);
/// Latencies kept; more operations are counted without theirs.
const SAMPLES: usize = 4_000_000;

/// How long a measurement takes.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Load before anything is counted.
    pub warm_up: Duration,
    /// Load that counts.
    pub counted: Duration,
}

/// What a measurement found.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Seconds that counted.
    pub seconds: f64,
    /// Operations that succeeded.
    pub done: u64,
    /// Operations that failed, the warm-up's included.
    pub failed: u64,
    /// Payload bytes that arrived at the load or left it.
    pub bytes: u64,
    /// Microseconds of each operation, sorted.
    pub latencies: Vec<u32>,
    /// Seconds of processor time of the proxy, if there is one.
    pub cpu: Option<f64>,
    /// The first failure.
    pub first_failure: Option<Failure>,
}

/// What the clients of one measurement share.
#[derive(Debug, Default)]
pub struct Tally {
    counting: AtomicBool,
    done: AtomicU64,
    failed: AtomicU64,
    bytes: AtomicU64,
    latencies: Mutex<Vec<u32>>,
    first_failure: Mutex<Option<Failure>>,
}

impl Tally {
    /// An operation that began at `begun` ended, well or not.
    pub fn ended(&self, begun: Instant, result: Result<(), Failure>) {
        match result {
            Err(failure) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                if let Ok(mut first) = self.first_failure.lock() {
                    first.get_or_insert(failure);
                }
            }
            Ok(()) if self.counting.load(Ordering::Relaxed) => {
                self.done.fetch_add(1, Ordering::Relaxed);
                let took = u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX);
                if let Ok(mut latencies) = self.latencies.lock()
                    && latencies.len() < SAMPLES
                {
                    latencies.push(took);
                }
            }
            Ok(()) => {}
        }
    }

    /// Payload moved.
    pub fn moved(&self, bytes: usize) {
        if self.counting.load(Ordering::Relaxed) {
            self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }
}

/// Let `workers` run until the time is over, then end them.
pub async fn run(mut workers: JoinSet<()>, tally: &Tally, timing: Timing, proxy: Option<u32>) -> Outcome {
    tokio::time::sleep(timing.warm_up).await;
    let cpu_before = proxy.map(process::cpu);
    let begun = Instant::now();
    tally.counting.store(true, Ordering::Relaxed);
    tokio::time::sleep(timing.counted).await;
    tally.counting.store(false, Ordering::Relaxed);
    let seconds = begun.elapsed().as_secs_f64();
    let cpu_after = proxy.map(process::cpu);
    workers.shutdown().await;

    let mut latencies = tally.latencies.lock().map(|mut kept| std::mem::take(&mut *kept)).unwrap_or_default();
    latencies.sort_unstable();
    Outcome {
        seconds,
        done: tally.done.load(Ordering::Relaxed),
        failed: tally.failed.load(Ordering::Relaxed),
        bytes: tally.bytes.load(Ordering::Relaxed),
        latencies,
        cpu: cpu_before.zip(cpu_after).map(|(before, after)| after - before),
        first_failure: tally.first_failure.lock().ok().and_then(|first| first.clone()),
    }
}

/// Do `operation` again and again, one after the other.
pub async fn repeat(client: Arc<Client>, tally: Arc<Tally>, operation: impl AsyncFn(&Client) -> Result<(), Failure>) {
    loop {
        let begun = Instant::now();
        let result = within_patience(operation(&client)).await;
        let failed = result.is_err();
        tally.ended(begun, result);
        if failed {
            tokio::time::sleep(AFTER_FAILURE).await;
        }
    }
}

/// What takes too long has failed.
pub async fn within_patience<T>(operation: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let late = |_| Err(Failure(format!("no end after {} s", PATIENCE.as_secs())));
    tokio::time::timeout(PATIENCE, operation).await.unwrap_or_else(late)
}
