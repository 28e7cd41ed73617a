//! The rounds themselves: start, measure, note, end.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::Session;
use super::telling::{self, Clocks};
use crate::load::{Client, Destinations, Route};
use crate::measure::connect::Opening;
use crate::measure::stream::Direction;
use crate::measure::{Outcome, connect, enforcement, http, idle, stream};
use crate::options::{Compare, Measure};
use crate::progress::Progress;
use crate::proxy::gatepass::Guardrail;
use crate::proxy::{Running, Surroundings, gatepass, squid};
use crate::report::{Figure, Report, Target};
use crate::{Failure, statistics};

/// Clients of the measurements that go flat out.
pub(super) const CLIENTS: usize = 64;
/// Tunnels that carry as much as they can.
pub(super) const TUNNELS: usize = 16;
/// Between two measurements: connections end, records are written.
const PAUSE: Duration = Duration::from_millis(300);
/// Everything that a run needs, and what it has found.
pub(super) struct Run<'a> {
    pub(super) options: &'a Compare,
    pub(super) destinations: Arc<Destinations>,
    pub(super) around: Surroundings,
    pub(super) open_files: u64,
    pub(super) squid_workers: usize,
    /// Idle tunnels that fit.
    pub(super) idle: u32,
    pub(super) cores: usize,
    pub(super) report: Report,
}

impl Run<'_> {
    /// All rounds, each beginning with another target.
    pub(super) async fn rounds(&mut self, sessions: &[Session], steps: usize) -> Result<(), Failure> {
        telling::settings(self);
        let clocks = Clocks::read();
        let mut progress = Progress::new(steps);
        for round in 0..usize::from(self.options.rounds) {
            for turn in 0..sessions.len() {
                if let Some(session) = sessions.get((turn + round) % sessions.len()) {
                    self.session(session, round, &mut progress).await?;
                }
            }
        }
        drop(progress);
        telling::others(self, &clocks);
        Ok(())
    }

    async fn session(&mut self, session: &Session, round: usize, progress: &mut Progress) -> Result<(), Failure> {
        let proxy = self.start(session).await?;
        let route = proxy.as_ref().map_or(Route::Direct, |proxy| Route::Proxy(proxy.address));
        let client = Arc::new(Client::new(self.destinations.clone(), route));
        let pid = proxy.as_ref().map(|proxy| proxy.pid);
        if proxy.is_some() {
            check_policy(&client, session).await?;
        }
        let mut done = 0;
        for measure in &session.measures {
            progress.step(&format!("round {}, {}: {}", round + 1, session.target.name(), title(*measure)));
            done += self.measure(&client, *measure, session.target, pid).await;
            tokio::time::sleep(PAUSE).await;
        }
        if let Some(proxy) = proxy {
            self.check_records(&proxy, session.target, done);
            proxy.stop().await;
        }
        Ok(())
    }

    async fn start(&self, session: &Session) -> Result<Option<Running>, Failure> {
        let missing = || Failure(format!("no path to {}", session.target.name()));
        match session.target {
            Target::Direct => Ok(None),
            Target::Gatepass => {
                let program = self.options.gatepass.as_deref().ok_or_else(missing)?;
                gatepass::start(program, session.guardrail, &self.around).await.map(Some)
            }
            Target::Squid => {
                let program = self.options.squid.as_deref().ok_or_else(missing)?;
                squid::start(program, self.squid_workers, self.open_files, &self.around).await.map(Some)
            }
        }
    }

    /// Measure, keep the figures, and tell how many operations must have left a record.
    async fn measure(&mut self, client: &Arc<Client>, measure: Measure, target: Target, pid: Option<u32>) -> u64 {
        let timing = self.options.timing();
        let outcome = match measure {
            Measure::Connect => connect::flat_out(client, CLIENTS, Opening::Byte, timing, pid).await,
            Measure::Hello => connect::flat_out(client, CLIENTS, Opening::Hello, timing, pid).await,
            Measure::Latency => connect::at_rate(client, self.options.rate, timing, pid).await,
            Measure::Http => http::measure(client, CLIENTS, timing, pid).await,
            Measure::Download => stream::measure(client, TUNNELS, Direction::Download, timing, pid).await,
            Measure::Upload => stream::measure(client, TUNNELS, Direction::Upload, timing, pid).await,
            Measure::Idle => {
                // Without a proxy there is nothing whose memory could be read.
                if let Some(pid) = pid {
                    self.idle(client, target, pid).await;
                }
                return 0;
            }
        };
        if let Some(failure) = &outcome.first_failure {
            let (name, title, failed) = (target.name(), title(measure), outcome.failed);
            self.report.notes.push(format!("{name}, {title}: {failed} failed; the first: {failure}"));
        }
        self.keep(measure, target, &outcome);
        outcome.done
    }

    fn keep(&mut self, measure: Measure, target: Target, outcome: &Outcome) {
        let Outcome { seconds, done, bytes, cpu, latencies, .. } = outcome;
        let gigabytes = *bytes as f64 / 1e9;
        let (rate, cost, unit, amount) = match measure {
            Measure::Connect => (Figure::ConnectRate, Figure::ConnectCpu, 1e6, *done as f64),
            Measure::Hello => (Figure::HelloRate, Figure::HelloCpu, 1e6, *done as f64),
            Measure::Http => (Figure::HttpRate, Figure::HttpCpu, 1e6, *done as f64),
            Measure::Download => (Figure::Download, Figure::DownloadCpu, 1.0, gigabytes),
            Measure::Upload => (Figure::Upload, Figure::UploadCpu, 1.0, gigabytes),
            Measure::Latency => {
                for (figure, share) in [(Figure::LatencyMedian, 0.5), (Figure::LatencyTail, 0.99)] {
                    if let Some(latency) = statistics::percentile(latencies, share) {
                        self.report.add(figure, target, f64::from(latency));
                    }
                }
                return;
            }
            Measure::Idle => return,
        };
        self.report.add(rate, target, amount / seconds);
        if let (Some(cpu), true) = (cpu, amount > 0.0) {
            self.report.add(cost, target, cpu / amount * unit);
        }
    }

    async fn idle(&mut self, client: &Arc<Client>, target: Target, pid: u32) {
        let found = idle::measure(client, self.idle, pid).await;
        if found.open == self.idle {
            self.report.add(Figure::IdleMemory, target, found.each / 1e3);
            return;
        }
        // The figure of fewer tunnels is another figure.
        let (name, wanted, open) = (target.name(), self.idle, found.open);
        let why = found.first_failure.map_or_else(String::new, |failure| format!(": {failure}"));
        self.report.notes.push(format!("{name}, {}: {open} of {wanted} opened{why}", title(Measure::Idle)));
    }

    /// A proxy that keeps no log of what it did was measured at another job.
    fn check_records(&mut self, proxy: &Running, target: Target, done: u64) {
        let name = target.name();
        match lines(&proxy.records) {
            Ok(lines) if lines >= done => {}
            Ok(lines) => self.report.notes.push(format!("{name} logged {lines} lines for at least {done} operations")),
            Err(error) => self.report.notes.push(format!("{name} has no log: {error}")),
        }
    }
}

/// Refuses to measure a proxy without its policy.
async fn check_policy(client: &Client, session: &Session) -> Result<(), Failure> {
    let name = session.target.name();
    enforcement::unlisted_name(client).await.map_err(Failure::at(name))?;
    match session.guardrail {
        Guardrail::None => Ok(()),
        Guardrail::Agreement => enforcement::no_tls(client).await.map_err(Failure::at(name)),
    }
}

fn lines(path: &Path) -> std::io::Result<u64> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1024 * 1024];
    let mut lines = 0;
    loop {
        let read = file.read(&mut buffer)?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { return Ok(lines) };
        lines += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
    }
}

fn title(measure: Measure) -> &'static str {
    match measure {
        Measure::Connect => "CONNECT",
        Measure::Latency => "CONNECT at a steady rate",
        Measure::Hello => "CONNECT + ClientHello",
        Measure::Http => "HTTP",
        Measure::Download => "download",
        Measure::Upload => "upload",
        Measure::Idle => "idle tunnels",
    }
}
