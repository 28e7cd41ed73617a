//! What every command about evidence is told: where the records are, and which of them are meant.

use std::ops::ControlFlow;
use std::path::PathBuf;

use clap::Args;
use jiff::{SpanRelativeTo, Timestamp};

use super::say::{Progress, failed};
use crate::cli::Exit;
use crate::evidence::questions::filter::{Filter, Pattern, Span};
use crate::evidence::questions::source::{Gaps, Sources, Take};
use crate::recorded::Recorded;

/// Where a gateway keeps records that was not told otherwise.
pub const DIRECTORY: &str = "./gatepass-data/evidence";

/// Where the records are.
#[derive(Clone, Debug, Args)]
pub struct From {
    /// Spools, archives, segments, or exports as JSON lines, instead of the directory.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The spool of the gateway.
    #[arg(long, value_name = "DIR", default_value = DIRECTORY)]
    directory: PathBuf,
}

/// The time that is asked about.
#[derive(Clone, Copy, Debug, Args)]
pub struct During {
    /// From this moment on: a time (RFC 3339) or how long ago, as in `10m` or `7d`.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,
    /// Up to this moment.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,
}

/// The decisions that are asked about; `*` in a pattern stands for any text.
#[derive(Clone, Debug, Args)]
pub struct About {
    /// Only of these identities.
    #[arg(long, value_name = "PATTERN")]
    identity: Option<Pattern>,
    /// Only to these hosts.
    #[arg(long, value_name = "PATTERN")]
    host: Option<Pattern>,
    /// Only with this outcome: `admitted`, `refused` or `failed`.
    #[arg(long, value_name = "OUTCOME")]
    outcome: Option<Pattern>,
    /// Only for this reason.
    #[arg(long, value_name = "REASON")]
    reason: Option<Pattern>,
    /// Only by these rules.
    #[arg(long, value_name = "PATTERN")]
    rule: Option<Pattern>,
}

impl From {
    /// Read everything; what cannot be read is told on standard error, and how much of it there is.
    pub fn each(&self, take: &mut Take<'_>) -> Result<Gaps, Exit> {
        let directory = std::slice::from_ref(&self.directory);
        let paths = if self.paths.is_empty() { directory } else { &self.paths };
        let sources = Sources::find(paths).map_err(|problem| {
            failed(&problem);
            if self.paths.is_empty() {
                eprintln!("help: name the gateway's `evidence.spool.directory` with --directory");
            }
            Exit::Failed
        })?;
        let mut progress = Progress::new(sources.bytes);
        let gaps = sources.each(&mut |read| progress.at(read), take);
        progress.end();
        told(gaps)
    }
}

/// Read everything in these places with the facts that records keep; what cannot be read is told, as by [`From::each`].
pub fn each_recorded(paths: &[PathBuf], take: &mut dyn FnMut(&Recorded<'_>) -> ControlFlow<()>) -> Result<Gaps, Exit> {
    let sources = Sources::find(paths).map_err(|problem| failed(&problem))?;
    let mut progress = Progress::new(sources.bytes);
    let gaps = sources.each_recorded(&mut |read| progress.at(read), take);
    progress.end();
    told(gaps)
}

fn told(gaps: std::io::Result<Gaps>) -> Result<Gaps, Exit> {
    let gaps = gaps.map_err(|error| failed(&format!("the records cannot be read: {error}")))?;
    for told in &gaps.told {
        eprintln!("warning: {told}");
    }
    if gaps.more > 0 {
        eprintln!("warning: and {} more of these", gaps.more);
    }
    if gaps.erased > 0 {
        eprintln!("note: {} records were erased and are not part of the answer", gaps.erased);
    }
    Ok(gaps)
}

impl During {
    /// As a span.
    pub fn span(self) -> Span {
        let since = self.since.map_or(i64::MIN, Timestamp::as_microsecond);
        Span { since, until: self.until.map_or(i64::MAX, Timestamp::as_microsecond) }
    }
}

impl About {
    /// As a filter.
    pub fn filter(&self) -> Filter {
        let About { identity, host, outcome, reason, rule } = self.clone();
        Filter { identity, host, outcome, reason, rule }
    }
}

/// A time, or how long ago.
pub fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let ago = duration(text).map_err(|_| "neither a time such as `2026-11-22T10:00:00Z` nor as long as `10m` ago")?;
    Timestamp::now().checked_sub(ago).map_err(|error| error.to_string())
}

/// As long as `10m`, `36h` or `7d`; a day has 24 hours.
pub fn duration(text: &str) -> Result<jiff::SignedDuration, String> {
    let span: jiff::Span = text.parse().map_err(|_| format!("`{text}` is no duration such as `10m` or `7d`"))?;
    span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|error| error.to_string())
}
