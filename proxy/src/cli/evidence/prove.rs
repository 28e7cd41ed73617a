//! `gatepass evidence prove` and `check-proof`: one record for an auditor, who needs nothing but a public key.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::from::DIRECTORY;
use super::say::{failed, say};
use super::verify::{checkpoint, key};
use crate::cli::Exit;
use crate::cli::style::Paint;
use crate::evidence::line;
use crate::evidence::log::Files;
use crate::evidence::otlp::decode;
use crate::evidence::stdout::Colour;
use crate::evidence::verify::proof::{Proof, Proved, Which};

#[derive(Debug, Args)]
pub struct Arguments {
    /// The decision's id, or the whole key of a record, such as `ID/close`.
    #[arg(value_name = "ID", required_unless_present = "sequence")]
    id: Option<String>,
    /// The close of the decision, rather than the decision.
    #[arg(long, requires = "id")]
    close: bool,
    /// The record of this number.
    #[arg(long, value_name = "N", conflicts_with = "id")]
    sequence: Option<u64>,
    /// The spool of the gateway.
    #[arg(long, value_name = "DIR", default_value = DIRECTORY)]
    directory: PathBuf,
    /// Where the proof goes; otherwise to standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// A checkpoint of this log that the auditor has from before: the proof shows that the log only grew since.
    #[arg(long, value_name = "FILE")]
    since: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Check {
    /// The proof.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The log's public key: a file such as `log.pub`, or its text.
    #[arg(long, value_name = "KEY")]
    key: String,
    /// A checkpoint of this log that is trusted: the proof must lead on from it.
    #[arg(long, value_name = "FILE")]
    trusted: Option<PathBuf>,
    /// The answer as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Exit {
    match make(arguments) {
        Ok(text) => match &arguments.out {
            None => say(&text).map_or_else(|exit| exit, |()| Exit::Yes),
            Some(path) => match std::fs::write(path, text) {
                Ok(()) => Exit::Yes,
                Err(error) => failed(&format!("`{}` cannot be written: {error}", path.display())),
            },
        },
        Err(problem) => failed(&problem),
    }
}

fn make(arguments: &Arguments) -> Result<String, String> {
    let which = match (arguments.sequence, &arguments.id) {
        (Some(sequence), _) => Which::Sequence(sequence),
        (None, Some(id)) if arguments.close => Which::Uid(format!("{}/close", id.to_ascii_lowercase())),
        (None, Some(id)) => Which::Uid(id.to_ascii_lowercase()),
        (None, None) => return Err("neither an id nor a number is given".to_owned()),
    };
    let since = match &arguments.since {
        None => None,
        Some(path) => {
            let key = Files::of(&arguments.directory).key().map_err(|error| error.to_string())?;
            let key = key.ok_or_else(|| format!("there is no `log.pub` in `{}`", arguments.directory.display()))?;
            Some(checkpoint(path, &key)?)
        }
    };
    let proof = Proof::make(&arguments.directory, &which, since.as_ref()).map_err(|error| error.to_string())?;
    Ok(proof.to_text(&remark(proof.record())))
}

fn remark(record: &[u8]) -> String {
    readable(record).to_string()
}

/// The record for people; which gateway wrote it stands in the log's name.
fn readable(record: &[u8]) -> Value {
    let mut json = decode::record(record, "").unwrap_or_default();
    json.as_object_mut().and_then(|fields| fields.shift_remove("gateway"));
    json
}

pub fn check(arguments: &Check) -> Exit {
    let key = match key(&arguments.key) {
        Ok(key) => key,
        Err(problem) => return failed(&problem),
    };
    let text = match std::fs::read_to_string(&arguments.file) {
        Ok(text) => text,
        Err(error) => return failed(&format!("`{}`: {error}", arguments.file.display())),
    };
    let trusted = arguments.trusted.as_deref().map(|path| checkpoint(path, &key)).transpose();
    let trusted = match trusted {
        Ok(trusted) => trusted,
        Err(problem) => return failed(&problem),
    };
    let proved = Proof::parse(&text).and_then(|proof| proof.check(&key, trusted.as_ref()));
    let (text, exit) = match &proved {
        Ok(proved) if arguments.json => (format!("{}\n", as_json(proved)), Exit::Yes),
        Ok(proved) => (told(proved, Paint::stdout()), Exit::Yes),
        Err(why) if arguments.json => (format!("{}\n", json!({"proved": false, "why": why.to_string()})), Exit::No),
        Err(why) => (format!("{} {why}\n", Paint::stdout().bad("not proved:")), Exit::No),
    };
    say(&text).map_or_else(|exit| exit, |()| exit)
}

fn as_json(proved: &Proved) -> Value {
    json!({
        "proved": true,
        "log": proved.checkpoint.origin(),
        "size": proved.checkpoint.size(),
        "sequence": proved.sequence,
        "since": proved.since,
        "record": readable(&proved.record),
    })
}

fn told(proved: &Proved, paint: Paint) -> String {
    let json = readable(&proved.record);
    let mut text = format!("{} record {} of {}", paint.good("proved:"), proved.sequence, proved.checkpoint.origin());
    text.push_str(&format!(", which had {} records then", proved.checkpoint.size()));
    if let Some(size) = proved.since {
        text.push_str(&format!(", and only grew since it had {size}"));
    }
    let mut line = Vec::new();
    line::write(&json, None, Colour::Off, &mut line);
    let line = String::from_utf8_lossy(&line);
    text.push_str(&format!("\n  {}\n", line.trim_end()));
    if let Some(why) = json.pointer("/reason/text").and_then(Value::as_str) {
        text.push_str(&format!("  {why}\n"));
    }
    text
}
