//! `gatepass diff`: who gains and who loses what from one bundle to another, or from one moment to another.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use gatepass_policy::analysis::{Change, Difference, Said, Side, Turn, diff};
use gatepass_policy::overrides::NORMAL;
use jiff::Timestamp;
use serde_json::json;

use super::Exit;
use super::analysed;
use super::style::Paint;

#[derive(Debug, Args)]
pub struct Arguments {
    /// The bundle as it is: a directory of YAML files, or an archive.
    old: PathBuf,
    /// The bundle as it is to be. May be left out with `--until`.
    #[arg(required_unless_present = "until")]
    new: Option<PathBuf>,
    /// At this moment instead of now (RFC 3339, `Z`).
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// Judge the new side at this later moment: what breaks before it.
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// In this containment mode, on both sides.
    #[arg(long, value_name = "NAME", default_value = NORMAL)]
    mode: String,
    /// Show at most so many changes.
    #[arg(long, value_name = "N", default_value_t = 200)]
    limit: usize,
    /// The answer as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Exit {
    match compare(arguments) {
        Ok(exit) | Err(exit) => exit,
    }
}

fn compare(arguments: &Arguments) -> Result<Exit, Exit> {
    let now = arguments.at.unwrap_or_else(Timestamp::now);
    let later = arguments.until.unwrap_or(now);
    if later < now {
        eprintln!("error: `--until {later}` is before `--at {now}`");
        return Err(Exit::Usage);
    }
    let old = super::compile_bundle(&arguments.old, now)?;
    // Compiled at the same moment: what is over by then is what is asked about.
    let new = arguments.new.as_ref().map(|new| super::compile_bundle(new, now)).transpose()?;
    let before = analysed::side(&old, &arguments.mode, now)?;
    let after: Side<'_> = analysed::side(new.as_ref().unwrap_or(&old), &arguments.mode, later)?;
    let found = diff(&before, &after);
    if arguments.json {
        analysed::out(&json!({
            "changes": found.changes,
            "left_out": found.left_out,
            "rules": found.edits,
            "exact": found.exactness.exact(),
            "vague": found.exactness.vague,
        }));
    } else {
        print(arguments, &found);
    }
    Ok(if found.changes.is_empty() && found.left_out == 0 { Exit::Yes } else { Exit::No })
}

fn print(arguments: &Arguments, found: &Difference) {
    let paint = Paint::stdout();
    for (turn, title) in [(Turn::Opened, "newly allowed"), (Turn::Closed, "newly denied")] {
        let of = grouped(found.changes.iter().filter(|change| change.turn == turn));
        if of.is_empty() {
            continue;
        }
        println!("{} ({})", paint.strong(title), of.len());
        for group in of.iter().take(arguments.limit) {
            println!("{}", lines(group, paint));
        }
        if of.len() > arguments.limit {
            println!("  and {} more: `--limit` or `--json`", of.len() - arguments.limit);
        }
        println!();
    }
    let edits = &found.edits;
    println!(
        "classes of connections: {} opened, {} closed; rules: {} added, {} removed, {} changed",
        found.changes.iter().filter(|change| change.turn == Turn::Opened).count(),
        found.changes.iter().filter(|change| change.turn == Turn::Closed).count(),
        edits.added.len(),
        edits.removed.len(),
        edits.changed.len()
    );
    if found.left_out > 0 {
        println!("and {} that are not told", found.left_out);
    }
    analysed::warn(&found.exactness);
}

/// Changes that differ in who alone: one line for people.
fn grouped<'c>(changes: impl Iterator<Item = &'c Change>) -> Vec<Vec<&'c Change>> {
    let mut groups: BTreeMap<_, Vec<&Change>> = BTreeMap::new();
    for change in changes {
        groups.entry((&change.to, &change.ports, &change.before, &change.after)).or_default().push(change);
    }
    groups.into_values().collect()
}

/// Identities of one line.
const NAMED: usize = 8;

fn lines(group: &[&Change], paint: Paint) -> String {
    let Some(change) = group.first() else { return String::new() };
    let sign = match change.turn {
        Turn::Opened => paint.good("+"),
        Turn::Closed => paint.bad("-"),
    };
    let ports = analysed::ports(&change.ports);
    let said = |said: &Said| match &said.rule {
        Some(rule) => format!("{} ({rule})", said.reason),
        None => said.reason.to_owned(),
    };
    let mut who: Vec<&str> = group.iter().take(NAMED).map(|change| &*change.who).collect();
    let more = format!("{} more", group.len().saturating_sub(NAMED));
    if group.len() > NAMED {
        who.push(&more);
    }
    let head = format!("  {sign} {} -> {}:{ports}", who.join(", "), change.to);
    let why = format!("      {} => {}", said(&change.before), said(&change.after));
    format!("{head}\n{why}\n      {}", paint.faint(format_args!("such as {}", change.witness)))
}
