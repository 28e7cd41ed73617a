//! `gatepass test`: whether the policy says what its tests expect.

mod coverage;
mod invariants;
mod json;
mod junit;
mod run;
mod text;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use gatepass_policy::analysis::Proof;
use gatepass_policy::case::{Case, Invariant, Ran, RuleCoverage, Suite};
use gatepass_policy::diagnostic::Diagnostic;
use gatepass_policy::trace::RuleTrace;
use jiff::Timestamp;

use super::Exit;
use super::style::Paint;

#[derive(Debug, Args)]
pub struct Arguments {
    /// The bundle: a directory of YAML files.
    bundle: PathBuf,
    /// Only tests and invariants whose name contains this.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Also say which rules, and which clauses of them, no test exercises.
    #[arg(long)]
    coverage: bool,
    /// Exit 1 where less than this share of all clauses, in percent, is exercised in both senses.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=100))]
    min_coverage: Option<u8>,
    /// List the tests that passed, too.
    #[arg(long)]
    verbose: bool,
    /// Judge lifetimes at this moment instead of now (RFC 3339, `Z`); tests have their own `now`.
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// Write the results as JUnit XML, which CI systems read.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// The results as JSON.
    #[arg(long)]
    json: bool,
}

/// How everything went.
struct Report<'c> {
    files: Vec<File<'c>>,
    coverage: Option<Vec<RuleCoverage>>,
    took: Duration,
}

/// How the tests of one file went.
struct File<'c> {
    suite: &'c Suite,
    tests: Vec<Test<'c>>,
    invariants: Vec<(&'c Invariant, Proof)>,
}

/// How one test went.
struct Test<'c> {
    case: &'c Case,
    ran: Ran,
    /// Of a test that failed: what the rules said that it is about.
    trace: Vec<RuleTrace>,
    took: Duration,
}

impl Test<'_> {
    fn passed(&self) -> bool {
        self.ran.mismatches.is_empty()
    }
}

impl File<'_> {
    fn failed(&self) -> usize {
        self.tests.iter().filter(|test| !test.passed()).count()
    }

    /// Invariants that are not known to hold.
    fn unkept(&self) -> usize {
        self.invariants.iter().filter(|(_, proof)| !matches!(proof, Proof::Holds)).count()
    }
}

impl<'c> Report<'c> {
    fn sum(&self, of: impl Fn(&File<'c>) -> usize) -> usize {
        self.files.iter().map(of).sum()
    }

    /// Whether everything is as it is expected to be; a bundle that tests nothing is not.
    fn good(&self) -> bool {
        let anything = self.sum(|file| file.tests.len() + file.invariants.len()) > 0;
        anything && self.sum(File::failed) == 0 && self.sum(File::unkept) == 0
    }
}

pub fn run(arguments: &Arguments) -> Exit {
    let began = Instant::now();
    let now = arguments.at.unwrap_or_else(Timestamp::now);
    let files = match super::read_bundle(&arguments.bundle) {
        Ok(files) => files,
        Err(exit) => return exit,
    };
    let compiled = match gatepass_policy::compile(&files, now) {
        Ok(compiled) => compiled,
        Err(diagnostics) => return invalid(arguments, &diagnostics),
    };
    let chosen = |name: &str| arguments.filter.as_deref().is_none_or(|part| name.contains(part));
    let counted = arguments.coverage || arguments.min_coverage.is_some();
    let (files, coverage) = run::all(&compiled, &chosen, counted);
    let report = Report { files, coverage, took: began.elapsed() };
    let enough = arguments.min_coverage.is_none_or(|least| {
        report.coverage.as_deref().map(coverage::share).is_some_and(|share| share.reaches(usize::from(least)))
    });
    let good = report.good() && enough;
    if arguments.json {
        println!("{}", json::of(&report, good));
    } else {
        print!("{}", text::of(&report, arguments, Paint::stdout()));
    }
    if let Some(path) = &arguments.junit
        && let Err(error) = std::fs::write(path, junit::of(&report))
    {
        eprintln!("error: `{}` cannot be written: {error}", path.display());
        return Exit::Failed;
    }
    if good { Exit::Yes } else { Exit::No }
}

fn invalid(arguments: &Arguments, diagnostics: &[Diagnostic]) -> Exit {
    if arguments.json {
        println!("{}", serde_json::json!({"passed": false, "valid": false, "diagnostics": diagnostics}));
    } else {
        diagnostics.iter().for_each(|diagnostic| eprintln!("{diagnostic}"));
        eprintln!("{} nothing was tested: the bundle is not valid", Paint::stderr().bad("refused"));
    }
    Exit::No
}
