//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::machine::Placement;
use crate::measure::Timing;

/// Load before anything is counted: caches fill, connections and threads come up.
const WARM_UP: Duration = Duration::from_millis(700);

/// Measures forward proxies on loopback.
#[derive(Debug, Parser)]
#[command(name = "loadtest", version)]
pub struct Options {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Measure Gatepass, Squid and no proxy at all in one run, in turn, and print the medians
    Compare(Compare),
}

/// How to compare.
#[derive(Clone, Debug, Args)]
pub struct Compare {
    /// The Gatepass binary, best a release build
    #[arg(long, value_name = "PATH")]
    pub gatepass: Option<PathBuf>,
    /// Squid too
    #[arg(long, value_name = "PATH", num_args = 0..=1, default_missing_value = "squid")]
    pub squid: Option<PathBuf>,
    /// Seconds that each measurement counts
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=60))]
    pub seconds: u16,
    /// Rounds; each measures every target once
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=50))]
    pub rounds: u16,
    /// Proxy on core 0, everything else on core 1 (needs `taskset`)
    #[arg(long)]
    pub pin: bool,
    /// Environment of the proxies, such as TOKIO_WORKER_THREADS=1
    #[arg(long = "proxy-env", value_name = "NAME=VALUE", value_parser = assignment)]
    pub environment: Vec<(String, String)>,
    /// Squid's workers [default: 1 when pinned, else one a core]
    #[arg(long, value_name = "N")]
    pub squid_workers: Option<usize>,
    /// CONNECTs a second when latency is measured
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rate: u32,
    /// Idle tunnels; fewer if there are not two open files for each
    #[arg(long, value_name = "N", default_value_t = 9_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub idle: u32,
    /// Only these measurements
    #[arg(long, value_name = "WHAT", value_enum, value_delimiter = ',')]
    pub only: Vec<Measure>,
    /// Where generated files and records go for the time of the run [default: the system's temporary directory]
    #[arg(long, value_name = "DIRECTORY")]
    pub scratch: Option<PathBuf>,
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

/// One measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Measure {
    /// CONNECT, one byte and back, close; flat out
    Connect,
    /// The same at a steady rate
    Latency,
    /// CONNECT, a TLS ClientHello, one byte back; Gatepass demands that the names agree
    Hello,
    /// Plain HTTP requests on kept connections
    Http,
    /// Tunnels that carry bytes to the client
    Download,
    /// Tunnels that carry bytes to the origin
    Upload,
    /// Memory of idle tunnels
    Idle,
}

impl Compare {
    /// How long each measurement takes.
    pub fn timing(&self) -> Timing {
        Timing { warm_up: WARM_UP, counted: Duration::from_secs(self.seconds.into()) }
    }

    /// Where everything runs.
    pub fn placement(&self) -> Placement {
        if self.pin { Placement::Pinned } else { Placement::Free }
    }

    /// Whether a measurement was asked for.
    pub fn wants(&self, measure: Measure) -> bool {
        self.only.is_empty() || self.only.contains(&measure)
    }
}

fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write `NAME=VALUE`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn compare(words: &[&str]) -> Compare {
        let all = ["loadtest", "compare"].iter().chain(words);
        let Command::Compare(compare) = Options::try_parse_from(all).unwrap().command;
        compare
    }

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn squid_needs_no_path() {
        assert_eq!(compare(&[]).squid, None);
        assert_eq!(compare(&["--squid"]).squid, Some("squid".into()));
        assert_eq!(compare(&["--squid", "/opt/squid", "--pin"]).squid, Some("/opt/squid".into()));
    }

    #[test]
    fn everything_is_measured_unless_something_is_named() {
        assert!(compare(&[]).wants(Measure::Idle));
        let some = compare(&["--only", "connect,idle"]);
        assert!(some.wants(Measure::Connect) && some.wants(Measure::Idle) && !some.wants(Measure::Http));
    }

    #[test]
    fn environment_has_a_name() {
        let set = compare(&["--proxy-env", "A=b=c", "--proxy-env", "D="]).environment;
        assert_eq!(set, [("A".to_owned(), "b=c".to_owned()), ("D".to_owned(), String::new())]);
        assert!(Options::try_parse_from(["loadtest", "compare", "--proxy-env", "=x"]).is_err());
    }
}
