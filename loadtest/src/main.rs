//! `loadtest`: the command line around the library.

use std::process::ExitCode;

use clap::Parser;
use gatepass_loadtest::compare;
use gatepass_loadtest::options::{Command, Options};

/// What the other commands of this project say when something could not run.
const COULD_NOT_RUN: u8 = 3;

fn main() -> ExitCode {
    let Command::Compare(options) = Options::parse().command;
    match compare::run(&options) {
        Ok(report) if options.json => println!("{:#}", report.json()),
        Ok(report) => print!("{}", report.text()),
        Err(failure) => {
            eprintln!("loadtest: {failure}");
            return ExitCode::from(COULD_NOT_RUN);
        }
    }
    ExitCode::SUCCESS
}
