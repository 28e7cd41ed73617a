//! `gatepass check`: everything that is wrong with a bundle, at once.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use gatepass_config::limits::Limits;
use gatepass_config::problem::Problems;
use gatepass_policy::Diagnostic;
use gatepass_policy::diagnostic::{Colour, Severity};
use jiff::Timestamp;
use serde_json::json;

use super::Exit;
use super::annotations::Repository;
use super::style::Paint;

#[derive(Debug, Args)]
pub struct Arguments {
    /// The bundle: a directory of YAML files, or an archive.
    bundle: PathBuf,
    /// Judge expiries at this moment instead of now (RFC 3339, `Z`).
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// For whom: people, programs, or the annotations of a pull request on GitHub.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// The same as `--format json`.
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

/// How diagnostics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// With the line and a mark below it, on standard error.
    Text,
    /// One object on standard output.
    Json,
    /// Workflow commands on standard output, with paths from the root of the repository.
    Github,
}

pub fn run(arguments: &Arguments) -> Exit {
    let now = arguments.at.unwrap_or_else(Timestamp::now);
    let format = if arguments.json { Format::Json } else { arguments.format };
    let files = match crate::bundle::read(&arguments.bundle, &Limits::default()) {
        Ok(delivered) => delivered.files,
        Err(problems) => return unread(arguments, format, &problems),
    };
    let (diagnostics, rules) = match gatepass_policy::compile(&files, now) {
        Ok(compiled) => (compiled.warnings, Some(compiled.set.rules())),
        Err(diagnostics) => (diagnostics, None),
    };
    match format {
        Format::Json => println!("{}", json!({"valid": rules.is_some(), "rules": rules, "diagnostics": diagnostics})),
        Format::Github => {
            let repository = Repository::around(&arguments.bundle);
            diagnostics.iter().for_each(|found| println!("{}", repository.diagnostic(found)));
            told(&diagnostics, rules, files.len());
        }
        Format::Text => {
            let colour = if Paint::stderr() == Paint::Ansi { Colour::Always } else { Colour::Never };
            diagnostics.iter().for_each(|found| eprintln!("{}\n", found.render(colour)));
            told(&diagnostics, rules, files.len());
        }
    }
    if rules.is_some() { Exit::Yes } else { Exit::No }
}

/// A directory that is no bundle is an answer, and none at all is not.
fn unread(arguments: &Arguments, format: Format, problems: &Problems) -> Exit {
    match format {
        Format::Json => {
            let told = problems.iter().map(|problem| {
                json!({"severity": "error", "file": problem.file, "message": problem.message, "help": problem.help})
            });
            println!("{}", json!({"valid": false, "rules": null, "diagnostics": told.collect::<Vec<_>>()}));
        }
        Format::Github => {
            let repository = Repository::around(&arguments.bundle);
            problems.iter().for_each(|problem| println!("{}", repository.problem(problem)));
        }
        Format::Text => eprintln!("{problems}"),
    }
    if arguments.bundle.exists() { Exit::No } else { Exit::Failed }
}

/// The last line: what became of it.
fn told(diagnostics: &[Diagnostic], rules: Option<usize>, files: usize) {
    let errors = diagnostics.iter().filter(|found| found.severity == Severity::Error).count();
    let warnings = count(diagnostics.len() - errors, "warning");
    match rules {
        Some(rules) => {
            println!("{} {} in {}, {warnings}", Paint::stdout().good("ok"), count(rules, "rule"), count(files, "file"));
        }
        None => eprintln!(
            "{} {}, {warnings}; nothing of this bundle would be used",
            Paint::stderr().bad("refused"),
            count(errors, "error")
        ),
    }
}

/// `1 rule`, `2 rules`.
fn count(number: usize, what: &str) -> String {
    let end = if number == 1 { "" } else { "s" };
    format!("{number} {what}{end}")
}
