//! `gatepass evidence verify`: whether records are those that were written.

use std::path::{Path, PathBuf};

use clap::Args;

use super::from::DIRECTORY;
use super::say::{Progress, failed, say};
use crate::cli::Exit;
use crate::cli::style::Paint;
use crate::evidence::log::{Checkpoint, Files, VerifyingKey};
use crate::evidence::verify::{self, Report, Wanted};

#[derive(Debug, Args)]
pub struct Arguments {
    /// A spool, a folder of segments, an export as JSON lines, or what a collector stored as OTLP/JSON lines.
    #[arg(value_name = "PATH", default_value = DIRECTORY)]
    path: PathBuf,
    /// The key that is trusted: a file such as `log.pub`, or its text. Otherwise the one beside the records.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// The directory of the log's tiles and checkpoint, where PATH is not that directory.
    #[arg(long, value_name = "DIR")]
    log: Option<PathBuf>,
    /// A checkpoint of this log that was kept from before: the records must begin with what it signs.
    #[arg(long, value_name = "FILE")]
    trusted: Option<PathBuf>,
    /// Whose records are meant, in a file with those of several gateways; may be repeated.
    #[arg(long = "gateway", value_name = "NAME")]
    gateways: Vec<String>,
    /// The report as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Exit {
    let key = match arguments.key.as_deref().map(key).transpose() {
        Ok(key) => key,
        Err(problem) => return failed(&problem),
    };
    let from_outside = key.is_some();
    let trusted = match arguments.trusted.as_deref().map(|path| trusted(arguments, key.as_ref(), path)).transpose() {
        Ok(trusted) => trusted,
        Err(problem) => return failed(&problem),
    };
    let (path, log, gateways) = (arguments.path.clone(), arguments.log.clone(), arguments.gateways.clone());
    let wanted = Wanted { path, log, key, trusted, gateways };
    let mut progress = Progress::new(verify::size(&arguments.path));
    let outcome = verify::verify(&wanted, &mut |read| progress.at(read));
    progress.end();
    let report = match outcome {
        Ok(report) => report,
        Err(failure) => {
            let exit = failed(&failure.to_string());
            if !arguments.path.exists() {
                eprintln!("help: name the gateway's `evidence.spool.directory`");
            }
            return exit;
        }
    };
    let exit = match (&report.broken, &report.unproved) {
        (Some(_), _) => Exit::No,
        (None, Some(_)) => Exit::Failed,
        (None, None) => Exit::Yes,
    };
    let text = match arguments.json {
        true => serde_json::to_string(&report).map(|json| json + "\n").unwrap_or_default(),
        false => told(&report, from_outside, Paint::stdout()),
    };
    say(&text).map_or_else(|exit| exit, |()| exit)
}

/// A key from a file, or as it is.
pub(super) fn key(text: &str) -> Result<VerifyingKey, String> {
    let read = if Path::new(text).exists() { std::fs::read_to_string(text) } else { Ok(text.to_owned()) };
    let read = read.map_err(|error| format!("the key `{text}` cannot be read: {error}"))?;
    VerifyingKey::parse(&read).ok_or_else(|| format!("`{text}` is no public key of a log, such as `log.pub` holds"))
}

fn trusted(arguments: &Arguments, key: Option<&VerifyingKey>, path: &Path) -> Result<Checkpoint, String> {
    let beside = Files::of(arguments.log.as_deref().unwrap_or(&arguments.path)).key();
    let key = match key {
        Some(key) => key.clone(),
        None => beside.map_err(|error| error.to_string())?.ok_or_else(|| verify::Failure::NoKey.to_string())?,
    };
    checkpoint(path, &key)
}

/// A checkpoint from a file.
pub(super) fn checkpoint(path: &Path, key: &VerifyingKey) -> Result<Checkpoint, String> {
    let note = std::fs::read_to_string(path).map_err(|error| format!("`{}`: {error}", path.display()))?;
    Checkpoint::verify(&note, key).map_err(|error| format!("`{}`: {error}", path.display()))
}

fn told(report: &Report, from_outside: bool, paint: Paint) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: String| text.push_str(&format!("{name:<12} {value}\n"));
    row("log", report.log.clone());
    let span = match (report.first, report.last) {
        (Some(first), Some(last)) => format!("{} ({first} to {last})", report.records),
        (_, _) => "0".to_owned(),
    };
    row("records", span);
    if let (Some(from), Some(to)) = (report.from, report.to) {
        row("written", format!("{from:.0} to {to:.0}"));
    }
    row("files", report.files.to_string());
    row("signed", format!("the first {} records; {} checkpoints among these hold", report.signed, report.checkpoints));
    let more = [
        ("removed", report.before, "older records are not here: retention, or not exported"),
        ("erased", report.erased, "records were erased; their hashes hold"),
        ("repeated", report.repeated, "records stand more than once, unchanged"),
        ("unsigned", report.unsigned, "newest records are not signed yet: a gateway that runs does so within a second"),
        ("after", report.after, "records that the log signs come after the last one here"),
        ("others", report.others, "records of other gateways were passed over"),
        ("gaps", report.gaps, "records tell of others that are missing"),
        (
            "unfinished",
            report.unfinished,
            "bytes at the end of the newest segment: being written, or cut off by a crash",
        ),
    ];
    for (name, count, what) in more {
        if count > 0 {
            row(name, format!("{count} {what}"));
        }
    }
    if let Some(broken) = &report.broken {
        let uid = broken.uid.as_ref().map_or_else(String::new, |uid| format!(" ({uid})"));
        row("broken", paint.bad(format!("record {}{uid}: {}", broken.sequence, broken.what)));
        row("", format!("in {} at {}", broken.file, broken.at));
    } else if let Some(why) = &report.unproved {
        row("unproved", paint.bad(why));
    } else if report.unsigned > 0 {
        row("whole", paint.good("every record that is signed is the one that was written"));
    } else {
        row("whole", paint.good("every record is the one that was written"));
    }
    if !from_outside {
        text.push_str(
            "note: the key is the one beside the records; who altered both would not be noticed: give --key\n",
        );
    }
    text
}
