//! `gatepass bundle build`: a directory that compiles, as one archive.

use std::path::PathBuf;

use clap::Args;
use gatepass_config::limits::Limits;
use jiff::{Timestamp, Unit};
use serde_json::json;

use super::super::style::Paint;
use super::super::{Exit, read_bundle};
use crate::bundle::{Archive, Release, replace};

/// A moment that stands for now, so that a build can be repeated (reproducible-builds.org).
const EPOCH: &str = "SOURCE_DATE_EPOCH";

const NO_SERIAL: &str = "error: `--serial` is missing: gateways refuse a release with a lower serial than the highest they \
     have seen, so each needs a higher one than the last\n  = help: count on from what `gatepass bundle verify` shows of the \
     last release, or take a number that only grows, such as `--serial \"$(git rev-list --count HEAD)\"`";

#[derive(Debug, Args)]
pub struct Arguments {
    /// The bundle: a directory of YAML files.
    bundle: PathBuf,
    /// The archive to write.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// The number of this release, higher than that of every release before.
    #[arg(long, value_name = "N")]
    serial: Option<u64>,
    /// From when on gateways must not use it any more (RFC 3339, `Z`).
    #[arg(long, value_name = "TIME")]
    not_after: Timestamp,
    /// When it was made (RFC 3339, `Z`); otherwise `SOURCE_DATE_EPOCH`, or now.
    #[arg(long, value_name = "TIME")]
    created: Option<Timestamp>,
    /// The answer as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Exit {
    let Some(serial) = arguments.serial else {
        eprintln!("{NO_SERIAL}");
        return Exit::Usage;
    };
    let created = match created(arguments) {
        Ok(created) => created,
        Err(why) => {
            eprintln!("error: {why}");
            return Exit::Usage;
        }
    };
    let files = match read_bundle(&arguments.bundle) {
        Ok(files) => files,
        Err(exit) => return exit,
    };
    let compiled = match gatepass_policy::compile(&files, Timestamp::now()) {
        Ok(compiled) => compiled,
        Err(diagnostics) => {
            diagnostics.iter().for_each(|diagnostic| eprintln!("{diagnostic}"));
            eprintln!("{} no archive was written", Paint::stderr().bad("refused"));
            return Exit::No;
        }
    };
    compiled.warnings.iter().for_each(|warning| eprintln!("{warning}"));
    let release = Release { serial, created, not_after: arguments.not_after };
    let built = Archive::build(compiled.set.bundle(), release, files, &Limits::default());
    let bytes = built.and_then(|archive| archive.to_bytes().map(|bytes| (archive, bytes)));
    let (archive, bytes) = match bytes {
        Ok(built) => built,
        Err(refused) => {
            eprintln!("error: the archive cannot be made: {refused}");
            return Exit::No;
        }
    };
    if let Err(error) = replace(&arguments.output, &bytes) {
        eprintln!("error: `{}` cannot be written: {error}", arguments.output.display());
        return Exit::Failed;
    }
    if arguments.json {
        println!("{}", super::described(&archive.manifest, json!({"output": arguments.output})));
    } else {
        super::print(&archive.manifest);
    }
    Exit::Yes
}

/// Whole seconds: what nobody typed needs no more.
fn created(arguments: &Arguments) -> Result<Timestamp, String> {
    if let Some(created) = arguments.created {
        return Ok(created);
    }
    match std::env::var(EPOCH) {
        Ok(text) => {
            let seconds = text.parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
            seconds.ok_or_else(|| format!("`{EPOCH}` is `{text}`, which is no number of seconds since 1970"))
        }
        Err(_) => Timestamp::now().round(Unit::Second).map_err(|error| error.to_string()),
    }
}
