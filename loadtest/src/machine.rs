//! What a run asks of the machine: open files, and cores to stay on.

use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::Failure;

/// Where the proxy and everything else run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// The scheduler decides; the origin has a thread of its own.
    Free,
    /// The proxy on core 0; load, origin and DNS in one thread on core 1 that never sleeps, so that the proxy never
    /// pays for waking it.
    Pinned,
}

/// The core of the proxy when pinned.
const PROXY_CORE: &str = "0";
/// The core of everything else when pinned.
const LOAD_CORE: &str = "1";

impl Placement {
    /// The command that starts `program` where a proxy belongs.
    pub fn command(self, program: &std::path::Path) -> tokio::process::Command {
        match self {
            Placement::Free => tokio::process::Command::new(program),
            Placement::Pinned => {
                let mut command = tokio::process::Command::new("taskset");
                command.args(["-c", PROXY_CORE]).arg(program);
                command
            }
        }
    }

    /// Put this process where it belongs.
    pub fn settle(self) -> Result<(), Failure> {
        match self {
            Placement::Free => Ok(()),
            Placement::Pinned if cores() < 2 => Err(Failure("pinning takes two cores, and there is one".to_owned())),
            Placement::Pinned => {
                let own = std::process::id().to_string();
                let output = Command::new("taskset").args(["-a", "-c", "-p", LOAD_CORE, &own]).output();
                let output = output.map_err(Failure::at("pinning needs `taskset` (Debian: util-linux)"))?;
                let told = String::from_utf8_lossy(&output.stderr);
                if output.status.success() { Ok(()) } else { Err(Failure(format!("taskset: {}", told.trim()))) }
            }
        }
    }
}

/// How many cores this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Raise the limit on open files to what the system allows, for this process and those it starts, and tell it.
pub fn open_files() -> Result<u64, Failure> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).map_err(Failure::at("the limit on open files cannot be raised"))?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

/// How many of `wanted` idle tunnels fit: each takes two files here (load and origin) and two in the proxy.
pub fn idle_within(open_files: u64, wanted: u32) -> u32 {
    // A sixteenth for everything else; Gatepass keeps as much.
    let room = open_files.saturating_sub((open_files / 16).max(64)) / 2;
    wanted.min(u32::try_from(room).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_tunnels_fit_into_open_files() {
        assert_eq!(idle_within(20_000, 9_000), 9_000);
        assert_eq!(idle_within(1_024, 9_000), 480);
        assert_eq!(idle_within(u64::MAX, 9_000), 9_000);
        assert_eq!(idle_within(10, 9_000), 0);
    }
}
