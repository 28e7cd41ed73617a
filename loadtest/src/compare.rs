//! The run: rounds in which every target is measured in turn, so that what happens to the machine happens to all.

mod rounds;
mod telling;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use crate::load::Destinations;
use crate::machine::{self, Placement};
use crate::options::{Compare, Measure};
use crate::origin::Ports;
use crate::proxy::Surroundings;
use crate::proxy::gatepass::Guardrail;
use crate::report::{Report, Target};
use crate::scratch::Scratch;
use crate::{Failure, dns, origin};
use rounds::Run;

/// On top of what a measurement should take, with a proxy's start and end; after that the run is given up.
const PATIENCE: Duration = Duration::from_secs(40);
/// A proxy's life, and what is measured in it.
struct Session {
    target: Target,
    guardrail: Guardrail,
    measures: Vec<Measure>,
}

/// Measure everything that was asked for. Ends early on SIGINT and SIGTERM, with the proxies.
pub fn run(options: &Compare) -> Result<Report, Failure> {
    let cores = machine::cores();
    let open_files = machine::open_files()?;
    let placement = options.placement();
    placement.settle()?;
    let runtime = runtime()?;
    runtime.block_on(async {
        let (ports, dns) = start_origin(placement).await?;
        let parent = options.scratch.clone().unwrap_or_else(std::env::temp_dir);
        let scratch = Scratch::new(&parent, &format!("gatepass-loadtest-{}", std::process::id()))?;
        let around = Surroundings {
            placement,
            environment: options.environment.clone(),
            dns,
            ports: ports.all(),
            scratch: scratch.path().to_owned(),
        };
        let squid_workers = options.squid_workers.unwrap_or(match placement {
            Placement::Pinned => 1,
            Placement::Free => cores,
        });
        let mut run = Run {
            options,
            destinations: Arc::new(Destinations::new(ports)?),
            around,
            open_files,
            squid_workers,
            idle: machine::idle_within(open_files, options.idle),
            cores,
            report: Report::default(),
        };
        let sessions = sessions(options);
        let measures = sessions.iter().map(|session| session.measures.len()).sum::<usize>();
        let steps = measures * usize::from(options.rounds);
        let longest = (options.timing().warm_up + options.timing().counted + PATIENCE)
            .saturating_mul(u32::try_from(steps).unwrap_or(u32::MAX));
        let mut terminated = signal(SignalKind::terminate()).map_err(Failure::at("SIGTERM"))?;
        let ended = tokio::select! {
            ended = tokio::time::timeout(longest, run.rounds(&sessions, steps)) => ended,
            _ = tokio::signal::ctrl_c() => return Err(Failure("interrupted".to_owned())),
            _ = terminated.recv() => return Err(Failure("terminated".to_owned())),
        };
        ended.unwrap_or_else(|_| Err(Failure(format!("not done after {} s", longest.as_secs()))))?;
        Ok(run.report)
    })
}

fn runtime() -> Result<Runtime, Failure> {
    Builder::new_current_thread().enable_all().build().map_err(Failure::at("the runtime"))
}

/// Start origin and DNS where the placement wants them.
async fn start_origin(placement: Placement) -> Result<(Ports, SocketAddr), Failure> {
    let serve = async || Ok((origin::serve()?, dns::serve().await?));
    match placement {
        Placement::Pinned => {
            // Never sleeping: see `Placement::Pinned`.
            tokio::spawn(async {
                loop {
                    tokio::task::yield_now().await;
                }
            });
            serve().await
        }
        Placement::Free => {
            let (sender, receiver) = mpsc::channel();
            // Ends with the process.
            std::thread::spawn(move || {
                let runtime = runtime();
                let started = runtime.as_ref().map_err(Clone::clone).and_then(|runtime| runtime.block_on(serve()));
                let serving = started.is_ok();
                let _ = sender.send(started);
                if let (Ok(runtime), true) = (runtime, serving) {
                    runtime.block_on(std::future::pending::<()>());
                }
            });
            receiver.recv().map_err(Failure::at("the origin"))?
        }
    }
}

/// What is started for what, in one round.
fn sessions(options: &Compare) -> Vec<Session> {
    use Measure::{Connect, Download, Hello, Http, Idle, Latency, Upload};
    let session = |target, guardrail, measures: &[Measure]| {
        let measures: Vec<Measure> = measures.iter().copied().filter(|measure| options.wants(*measure)).collect();
        (!measures.is_empty()).then_some(Session { target, guardrail, measures })
    };
    let bytes = [Connect, Latency, Http, Download, Upload];
    let all = [Connect, Latency, Hello, Http, Download, Upload];
    let mut found = vec![session(Target::Direct, Guardrail::None, &all)];
    if options.gatepass.is_some() {
        found.push(session(Target::Gatepass, Guardrail::None, &bytes));
        found.push(session(Target::Gatepass, Guardrail::Agreement, &[Hello]));
        // Memory is measured on a process that has done nothing else.
        found.push(session(Target::Gatepass, Guardrail::None, &[Idle]));
    }
    if options.squid.is_some() {
        found.push(session(Target::Squid, Guardrail::None, &all));
        found.push(session(Target::Squid, Guardrail::None, &[Idle]));
    }
    found.into_iter().flatten().collect()
}
