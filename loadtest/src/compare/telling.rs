//! What a reader must know to judge the figures: what was run, how, and what else the machine did.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::json;

use super::rounds::{CLIENTS, Run, TUNNELS};
use crate::machine::Placement;
use crate::process;

/// More work of others than this share of the cores makes figures doubtful.
const QUIET: f64 = 0.03;

/// Where the clocks stood.
pub(super) struct Clocks {
    at: Instant,
    /// Of all processes.
    busy: Option<f64>,
    /// Of this one, and of those that it started and awaited.
    own: f64,
}

impl Clocks {
    pub(super) fn read() -> Clocks {
        let own = process::stat(std::process::id()).map_or(0.0, |stat| stat.own + stat.ended);
        Clocks { at: Instant::now(), busy: process::busy(), own }
    }
}

/// Before the run: what is measured, and how.
pub(super) fn settings(run: &mut Run<'_>) {
    let options = run.options;
    let placement = match run.around.placement {
        Placement::Free => "free: the scheduler decides",
        Placement::Pinned => "pinned: proxy on core 0, load and origin on core 1",
    };
    let settings = &mut run.report.settings;
    if let Some(program) = &options.gatepass {
        settings.push(("gatepass", json!(version(program, "--version"))));
        run.report.notes.push(
            "gatepass: 1,000 rules, names from the scripted DNS server, decision and close records as JSON to a file; \
             the ClientHello row is a second process with a guardrail that demands agreeing names"
                .to_owned(),
        );
    }
    if let Some(program) = &options.squid {
        settings.push(("squid", json!(version(&crate::proxy::squid::find(program), "-v"))));
        settings.push(("squid workers", json!(run.squid_workers)));
        run.report.notes.push(
            "squid: an allow list of 1,000 names, an access log to a file, no cache; names from `hosts_file`, because \
             Squid asks DNS servers on port 53 only; it does not read the ClientHello"
                .to_owned(),
        );
    }
    if !run.around.environment.is_empty() {
        let all: Vec<String> = run.around.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
        settings.push(("proxy environment", json!(all.join(" "))));
    }
    settings.extend([
        ("placement", json!(placement)),
        ("cores", json!(run.cores)),
        ("rounds", json!(options.rounds)),
        ("seconds", json!(options.seconds)),
        ("clients", json!(CLIENTS)),
        ("tunnels", json!(TUNNELS)),
        ("steady rate", json!(options.rate)),
        ("idle tunnels", json!(run.idle)),
    ]);
    if run.idle < options.idle {
        let (wanted, files) = (options.idle, run.open_files);
        run.report.notes.push(format!("{wanted} idle tunnels do not fit into {files} open files"));
    }
    if cfg!(debug_assertions) {
        run.report.notes.push("this load tester is a debug build, and slow: run it with `--release`".to_owned());
    }
}

/// After the run: work of other processes falls on some measurements and not on others.
pub(super) fn others(run: &mut Run<'_>, before: &Clocks) {
    let after = Clocks::read();
    let Some((busy_before, busy_after)) = before.busy.zip(after.busy) else { return };
    let seconds = (after.at - before.at).as_secs_f64() * run.cores as f64;
    let share = (busy_after - busy_before - (after.own - before.own)).max(0.0) / seconds;
    run.report.settings.push(("work of others", json!(format!("{:.0} %", share * 100.0))));
    if share > QUIET {
        run.report.notes.push("the machine was not quiet: do not trust small differences".to_owned());
    }
}

/// The first line of what `program` says of its version, with its path.
fn version(program: &Path, flag: &str) -> String {
    let output = Command::new(program).arg(flag).output().map(|output| output.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&output);
    let line = text.lines().next().unwrap_or("unknown version").trim();
    format!("{line} (`{}`)", program.display())
}
