//! `gatepass replay`: what a bundle would have decided on recorded traffic.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use gatepass_policy::PolicySet;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::Exit;
use super::evidence::from::{During, each_recorded, moment};
use super::evidence::say::say;
use super::style::Paint;
use crate::evidence::questions::source::Gaps;
use crate::evidence::questions::table::Look;
use crate::recorded::facts::Workloads;
use crate::replay::report::{Answer, Report};
use crate::replay::{Asked, Bounds, ChangeKind, Replay, Was};

#[derive(Debug, Args)]
pub struct Arguments {
    /// The bundle: a directory of YAML files.
    bundle: PathBuf,
    /// Spools, archives, segments, or exports as JSON lines or Parquet; `-` is JSON lines on standard input.
    #[arg(long, value_name = "PATH", required = true, num_args = 1..)]
    evidence: Vec<PathBuf>,
    /// Decide everything at this moment, instead of each record at its own (RFC 3339, or how long ago).
    #[arg(long, value_name = "TIME", value_parser = moment)]
    now: Option<Timestamp>,
    /// Decide everything in this containment mode, instead of each record in its own.
    #[arg(long, value_name = "NAME")]
    mode: Option<String>,
    /// Labels and data classes as they were recorded, instead of those of the bundle's `Workloads`.
    #[arg(long)]
    recorded_labels: bool,
    #[command(flatten)]
    during: During,
    /// Rows of each table.
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// The answer as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Exit {
    match replay(arguments) {
        Ok(exit) | Err(exit) => exit,
    }
}

fn replay(arguments: &Arguments) -> Result<Exit, Exit> {
    let set = super::compile_bundle(&arguments.bundle, arguments.now.unwrap_or_else(Timestamp::now))?;
    if let Some(mode) = arguments.mode.as_deref().filter(|mode| !set.modes().contains(mode)) {
        eprintln!("error: `--mode {mode}`: the bundle has no such mode; it has `{}`", set.modes().join("`, `"));
        return Err(Exit::Usage);
    }
    let workloads = if arguments.recorded_labels { Workloads::Recorded } else { Workloads::OfPolicy };
    let mode = arguments.mode.as_deref().map(Arc::from);
    let asked = Asked { now: arguments.now, mode, workloads, span: arguments.during.span() };
    let mut replay = Replay::new(&set, asked, Bounds::STANDARD);
    let gaps = each_recorded(&arguments.evidence, &mut |record| replay.see(record))?;
    let report = replay.end();
    match arguments.json {
        true => say(&format!("{}\n", json(&set, &report, &gaps, arguments.limit)))?,
        false => told(&set, &report, arguments.limit)?,
    }
    let exit = match (report.answer(), gaps.is_empty()) {
        (Answer::Falls, _) => Exit::No,
        (Answer::Stands, true) => Exit::Yes,
        (Answer::Stands, false) => Exit::Failed,
        (Answer::Nothing, _) => {
            eprintln!("error: there is no decision among these records: nothing was decided again");
            Exit::Failed
        }
    };
    Ok(exit)
}

fn json(set: &PolicySet, report: &Report, gaps: &Gaps, limit: usize) -> Value {
    let mut json = Map::new();
    json.insert("bundle".to_owned(), set.bundle().into());
    json.insert("digest".to_owned(), set.digest().into());
    json.insert("stands".to_owned(), (report.answer() == Answer::Stands).into());
    json.extend(report.json(limit));
    json.insert("complete".to_owned(), gaps.is_empty().into());
    json.into()
}

fn told(set: &PolicySet, report: &Report, limit: usize) -> Result<(), Exit> {
    let paint = Paint::stdout();
    let totals = &report.totals;
    let mut text = format!(
        "{} decisions among {} records, decided again by `{}`\n\n",
        totals.decisions,
        totals.records,
        set.bundle()
    );
    let mut row = |count: u64, what: &str| text.push_str(&format!("{count:>10}  {what}\n"));
    row(totals.allowed, "allowed as before");
    row(totals.denied, "denied as before");
    if totals.otherwise > 0 {
        row(totals.otherwise, "of these by another rule, or for another reason");
    }
    row(report.times(&[ChangeKind::NewlyDenied]), "newly denied");
    row(report.cuts(), "of these without an end: connections that it would cut");
    row(report.times(&[ChangeKind::NewlyAllowed]), "newly allowed");
    row(report.times(&[ChangeKind::Undecided(Was::Admitted)]), "admitted, and hang on what was not recorded");
    row(report.times(&[ChangeKind::Undecided(Was::Refused)]), "refused, and hang on what was not recorded");
    for (aside, count) in report.aside() {
        row(count, &format!("not decided again: {}", aside.sentence()));
    }
    say(&text)?;
    let look = if std::io::IsTerminal::is_terminal(&std::io::stdout()) { Look::Terminal } else { Look::Plain };
    for (name, table) in report.tables(limit).into_iter().filter(|(_, table)| !table.rows.is_empty()) {
        say(&format!("\n{}\n{}", paint.strong(name.replace('_', " ")), table.text(look)))?;
        if table.more > 0 {
            eprintln!("note: {} more rows of `{}`; --limit shows them", table.more, name.replace('_', " "));
        }
    }
    if totals.not_followed > 0 {
        eprintln!("note: of {} more connections the end was not looked for", totals.not_followed);
    }
    let verdict = match report.answer() {
        Answer::Stands => paint.good("stands") + ": whatever was admitted would be admitted again",
        Answer::Falls => paint.bad("falls") + ": something that was admitted would be denied, or may be",
        Answer::Nothing => return Ok(()),
    };
    say(&format!("\n{verdict}\n"))
}
