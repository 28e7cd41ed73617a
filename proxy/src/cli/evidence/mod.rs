//! `gatepass evidence`: follow the records, ask them, take them along, and let go of what must not be kept.

pub(super) mod from;

pub(super) mod say;

mod tail;

mod picker;

mod query;

mod export;

mod erase;

mod verify;

mod prove;

use clap::Subcommand;

use super::Exit;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the last records, and follow.
    Tail(tail::Arguments),
    /// Ask the records.
    #[command(subcommand)]
    Query(query::Question),
    /// All records as JSON lines, or as a Parquet file.
    Export(export::Arguments),
    /// Whether records are those that were written.
    Verify(verify::Arguments),
    /// Make a file that proves one record to an auditor.
    Prove(prove::Arguments),
    /// Check such a file with the log's public key.
    CheckProof(prove::Check),
    /// Erase records: their bytes go, their place in the log stays.
    Erase(erase::Arguments),
}

pub fn run(command: &Command) -> Exit {
    match command {
        Command::Tail(arguments) => tail::run(arguments),
        Command::Query(question) => query::run(question),
        Command::Export(arguments) => export::run(arguments),
        Command::Verify(arguments) => verify::run(arguments),
        Command::Prove(arguments) => prove::run(arguments),
        Command::CheckProof(arguments) => prove::check(arguments),
        Command::Erase(arguments) => erase::run(arguments),
    }
}
