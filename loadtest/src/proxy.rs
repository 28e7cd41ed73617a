//! Proxies as processes: started with a generated configuration, awaited, and ended with all their children.

pub mod gatepass;
pub mod squid;

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;

use crate::machine::Placement;
use crate::scratch::Scratch;
use crate::{Failure, process};

/// From start to accepting connections: compiling 1,000 rules takes a fraction of a second.
const START: Duration = Duration::from_secs(20);
/// From SIGTERM to the end; then the process is killed.
const STOP: Duration = Duration::from_secs(8);
/// From SIGTERM to SIGKILL when a run is broken off.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// How often a starting proxy is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// What every proxy is told.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Where it runs.
    pub placement: Placement,
    /// More environment.
    pub environment: Vec<(String, String)>,
    /// The scripted DNS server.
    pub dns: SocketAddr,
    /// The ports that the policy opens.
    pub ports: [u16; 4],
    /// Directory for generated files.
    pub scratch: PathBuf,
}

/// A proxy that accepts connections. Dropping it ends it.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its number.
    pub pid: u32,
    /// Its log of connections: one record or line each.
    pub records: PathBuf,
    child: Child,
    /// Gone after the process.
    _files: Scratch,
}

/// A proxy that has been started.
struct Starting {
    child: Child,
    pid: u32,
    /// What it says of itself.
    log: PathBuf,
}

impl Starting {
    /// Start `program` with its output in `records` and its errors in `log`.
    fn begin(
        program: &Path,
        arguments: &[&std::ffi::OsStr],
        around: &Surroundings,
        log: &Path,
        records: &Path,
    ) -> Result<Starting, Failure> {
        let shown = program.display();
        let file = |path: &Path| File::create(path).map_err(Failure::at(format!("`{}`", path.display())));
        let child = (around.placement.command(program).args(arguments))
            .envs(around.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(file(records)?)
            .stderr(file(log)?)
            .kill_on_drop(true)
            .spawn()
            .map_err(Failure::at(format!("`{shown}` cannot be started")))?;
        let pid = child.id().ok_or_else(|| Failure(format!("`{shown}` ended at once")))?;
        Ok(Starting { child, pid, log: log.to_owned() })
    }

    /// Look until `ready` tells where it listens.
    async fn wait(
        &mut self,
        name: &str,
        mut ready: impl AsyncFnMut(&str) -> Option<SocketAddr>,
    ) -> Result<SocketAddr, Failure> {
        let begun = Instant::now();
        loop {
            let said = fs::read_to_string(&self.log).unwrap_or_default();
            if let Some(address) = ready(&said).await {
                return Ok(address);
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(Failure(format!("{name} ended with {status}; it said:\n{}", tail(&said))));
            }
            if begun.elapsed() > START {
                return Err(Failure(format!(
                    "{name} is not ready after {} s; it said:\n{}",
                    START.as_secs(),
                    tail(&said)
                )));
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Running {
    /// End it, politely first, and wait for it.
    pub async fn stop(mut self) {
        signal(self.pid, Signal::TERM);
        // Whatever is left after that is killed on drop.
        let _ = tokio::time::timeout(STOP, self.child.wait()).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Without a number it has been waited for, and the number may belong to somebody else by now.
        if self.child.id().is_none() {
            return;
        }
        let all = process::tree(self.pid);
        // A parent that ends by itself takes its children with it; the run is over, so nobody minds the wait.
        signal(self.pid, Signal::TERM);
        let begun = Instant::now();
        while begun.elapsed() < LAST_WORDS {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(LOOK);
        }
        for pid in all {
            signal(pid, Signal::KILL);
        }
    }
}

fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may have ended on its own.
        let _ = kill_process(pid, signal);
    }
}

/// The last lines, enough to see what is wrong.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
}
