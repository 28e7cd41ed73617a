//! `gatepass evidence erase`: personal data goes, the log stays whole.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::from::{DIRECTORY, moment};
use super::say::{failed, say};
use crate::cli::Exit;
use crate::evidence::spool::erase::{Erased, Erasure, Run, Unshipped, Wish};

#[derive(Debug, Args)]
pub struct Arguments {
    /// Everything about this identity: its decisions, and the ends of its connections.
    #[arg(long, value_name = "ID", group = "wish", required = true)]
    identity: Option<String>,
    /// Every decision and end before this moment: a time (RFC 3339) or how long ago, as in `90d`.
    #[arg(long, value_name = "TIME", group = "wish", value_parser = moment)]
    before: Option<Timestamp>,
    /// One decision, and its end.
    #[arg(long, value_name = "DECISION-ID", group = "wish")]
    id: Option<String>,
    /// The spool of the gateway.
    #[arg(long, value_name = "DIR", default_value = DIRECTORY)]
    directory: PathBuf,
    /// A folder of archived segments; may be repeated.
    #[arg(long = "archive", value_name = "DIR")]
    archives: Vec<PathBuf>,
    /// Also what not every sink has: it will get nothing of these records.
    #[arg(long)]
    force: bool,
    /// Only count.
    #[arg(long)]
    dry_run: bool,
    /// The counts as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Exit {
    let wish = match (&arguments.identity, arguments.before, &arguments.id) {
        (Some(identity), _, _) => Wish::Identity(identity.clone()),
        (None, Some(moment), _) => Wish::Before(moment.as_microsecond()),
        (None, None, Some(id)) => Wish::Id(id.trim_end_matches("/close").to_ascii_lowercase()),
        (None, None, None) => return Exit::Usage,
    };
    let unshipped = if arguments.force { Unshipped::Erase } else { Unshipped::Keep };
    let run = if arguments.dry_run { Run::Dry } else { Run::Real };
    let directory = &arguments.directory;
    let erased = Erasure::new(directory, wish, unshipped, run)
        .and_then(|erasure| erasure.run(directory, &arguments.archives))
        .map_err(|error| failed(&format!("`{}`: {error}; what was erased until then is", directory.display())));
    match erased.and_then(|erased| tell(arguments, &erased)) {
        Ok(exit) | Err(exit) => exit,
    }
}

fn tell(arguments: &Arguments, erased: &Erased) -> Result<Exit, Exit> {
    let Erased { records, segments, open, unshipped, damaged } = erased;
    if arguments.json {
        let json = json!({
            "erased": records, "segments": segments, "left_in_open_segment": open, "left_unshipped": unshipped,
            "damaged": damaged, "dry_run": arguments.dry_run,
        });
        say(&format!("{json}\n"))?;
    } else {
        let did = if arguments.dry_run { "would be erased" } else { "erased" };
        say(&format!("{records} records in {segments} segments {did}\n"))?;
    }
    if *open > 0 {
        eprintln!(
            "note: {open} more are in the segment that the gateway writes to; run this again once it is sealed, which \
             takes at most `limits.evidence_segment_age`"
        );
    }
    if *unshipped > 0 {
        eprintln!("note: {unshipped} more have not reached every sink; run this again later, or with --force");
    }
    for told in damaged {
        eprintln!("warning: left as it is: {told}");
    }
    if std::fs::read_dir(arguments.directory.join("damaged")).is_ok_and(|mut files| files.next().is_some()) {
        eprintln!("note: `damaged/` holds what a recovery cut off, which may be parts of records; remove it by hand");
    }
    Ok(match (damaged.is_empty(), open + unshipped) {
        (false, _) => Exit::Failed,
        (true, 0) => Exit::Yes,
        (true, _) => Exit::No,
    })
}
