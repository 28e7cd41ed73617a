//! `gatepass check`: everything that is wrong with a bundle, at once.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;

use super::Exit;
use super::style::Paint;
use gatepass_policy::diagnostic::Colour;

#[derive(Debug, Args)]
pub struct Arguments {
    /// The bundle: a directory of YAML files.
    bundle: PathBuf,
    /// Judge expiries at this moment instead of now (RFC 3339, `Z`).
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// Diagnostics as JSON on standard output.
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Exit {
    let now = arguments.at.unwrap_or_else(Timestamp::now);
    let files = match super::read_bundle(&arguments.bundle) {
        Ok(files) => files,
        Err(exit) => return exit,
    };
    let (diagnostics, rules) = match gatepass_policy::compile(&files, now) {
        Ok(compiled) => (compiled.warnings, Some(compiled.set.rules())),
        Err(diagnostics) => (diagnostics, None),
    };
    let exit = if rules.is_some() { Exit::Yes } else { Exit::No };
    if arguments.json {
        println!("{}", serde_json::json!({"valid": rules.is_some(), "rules": rules, "diagnostics": diagnostics}));
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
            eprintln!("{} {} problems; nothing of this bundle would be used", paint.bad("refused"), diagnostics.len())
        }
    }
    exit
}
