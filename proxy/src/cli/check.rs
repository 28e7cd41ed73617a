//! `gatepass check`: everything that is wrong with a bundle, at once.

use std::path::PathBuf;

use clap::Args;
use gatepass_config::limits::Limits;
use gatepass_config::problem::Problems;
use gatepass_policy::diagnostic::{Colour, Severity};
use jiff::Timestamp;
use serde_json::json;

use super::Exit;
use super::style::Paint;

#[derive(Debug, Args)]
pub struct Arguments {
    /// The bundle: a directory of YAML files, or an archive.
    bundle: PathBuf,
    /// Judge expiries at this moment instead of now (RFC 3339, `Z`).
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// Diagnostics as JSON on standard output.
    #[arg(long)]
    json: bool,
}

/// A directory or file that is no bundle is an answer, and none at all is not.
fn unread(arguments: &Arguments, problems: &Problems) -> Exit {
    if arguments.json {
        let told = problems.iter().map(|problem| {
            json!({"severity": "error", "file": problem.file, "message": problem.message, "help": problem.help})
        });
        println!("{}", json!({"valid": false, "rules": null, "diagnostics": told.collect::<Vec<_>>()}));
    } else {
        eprintln!("{problems}");
    }
    if arguments.bundle.exists() { Exit::No } else { Exit::Failed }
}

pub fn run(arguments: &Arguments) -> Exit {
    let now = arguments.at.unwrap_or_else(Timestamp::now);
    let files = match crate::bundle::read(&arguments.bundle, &Limits::default()) {
        Ok(delivered) => delivered.files,
        Err(problems) => return unread(arguments, &problems),
    };
    let (diagnostics, rules) = match gatepass_policy::compile(&files, now) {
        Ok(compiled) => (compiled.warnings, Some(compiled.set.rules())),
        Err(diagnostics) => (diagnostics, None),
    };
    let exit = if rules.is_some() { Exit::Yes } else { Exit::No };
    if arguments.json {
        println!("{}", json!({"valid": rules.is_some(), "rules": rules, "diagnostics": diagnostics}));
        return exit;
    }
    let paint = Paint::stderr();
    let colour = if paint == Paint::Ansi { Colour::Always } else { Colour::Never };
    for diagnostic in &diagnostics {
        eprintln!("{}", diagnostic.render(colour));
    }
    match rules {
        Some(rules) => println!(
            "{} {} rules in {} files, {} warnings",
            Paint::stdout().good("ok"),
            rules,
            files.len(),
            diagnostics.len()
        ),
        None => {
            let errors = diagnostics.iter().filter(|found| found.severity == Severity::Error).count();
            eprintln!(
                "{} {errors} errors, {} warnings; nothing of this bundle would be used",
                paint.bad("refused"),
                diagnostics.len() - errors
            );
        }
    }
    exit
}
