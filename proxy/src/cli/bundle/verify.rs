//! `gatepass bundle verify`: who has signed an archive, and whether that is enough.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::super::Exit;
use super::super::style::Paint;
use crate::bundle::{KeyId, Keyring};

#[derive(Debug, Args)]
pub struct Arguments {
    /// The archive.
    archive: PathBuf,
    /// A public key that is known: Ed25519 in PEM (SPKI) or OpenSSH form; may be repeated.
    #[arg(long = "key", value_name = "PUB", required = true, num_args = 1..)]
    keys: Vec<PathBuf>,
    /// How many of the keys must have signed; otherwise all of them.
    #[arg(long, value_name = "N")]
    threshold: Option<usize>,
    /// Judge its end at this moment instead of now (RFC 3339, `Z`).
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// The answer as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Exit {
    let keyring = match Keyring::load(arguments.keys.iter().map(PathBuf::as_path), arguments.threshold) {
        Ok(keyring) => keyring,
        Err(problems) => {
            problems.iter().for_each(|problem| eprintln!("error: {problem}"));
            return Exit::Usage;
        }
    };
    let archive = match super::archive(&arguments.archive) {
        Ok(archive) => archive,
        Err(exit) => return exit,
    };
    let found = keyring.look(&archive);
    let now = arguments.at.unwrap_or_else(Timestamp::now);
    let end = archive.manifest.not_after;
    let refused = match found.suffice() {
        Err(refused) => Some(refused.to_string()),
        Ok(()) if now >= end => Some(format!("it ended at {end}")),
        Ok(()) => None,
    };
    if arguments.json {
        let ids = |keys: &[KeyId]| keys.iter().map(KeyId::to_string).collect::<Vec<_>>();
        let more = json!({
            "valid": refused.is_none(), "signed_by": ids(&found.good), "wrong": ids(&found.wrong),
            "unknown": ids(&found.unknown), "threshold": found.threshold, "reason": refused,
        });
        println!("{}", super::described(&archive.manifest, more));
    } else {
        super::print(&archive.manifest);
        let paint = Paint::stdout();
        for (word, keys) in [("signed by", &found.good), ("wrong", &found.wrong), ("unknown", &found.unknown)] {
            keys.iter().for_each(|key| println!("{word:<10} {key}"));
        }
        match &refused {
            None => println!("{} {} of {} needed", paint.good("valid"), found.good.len(), found.threshold),
            Some(why) => println!("{} {why}", paint.bad("refused")),
        }
    }
    if refused.is_none() { Exit::Yes } else { Exit::No }
}
