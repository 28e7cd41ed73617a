//! `gatepass bundle sign`: one more signature in an archive.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::super::Exit;
use crate::bundle::{PrivateKey, Signature, replace};

#[derive(Debug, Args)]
pub struct Arguments {
    /// The archive; the signature is put into it.
    archive: PathBuf,
    /// The private key: Ed25519 in PEM (PKCS#8) or OpenSSH form, without a passphrase.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The answer as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Exit {
    let archive = match super::archive(&arguments.archive) {
        Ok(archive) => archive,
        Err(exit) => return exit,
    };
    let signed = PrivateKey::load(&arguments.key).and_then(|key| {
        let (public, signature) = (key.public()?, Signature::sign(&archive, &key)?);
        Ok((public.id(), signature))
    });
    let (id, signature) = match signed {
        Ok(signed) => signed,
        Err(why) => {
            eprintln!("error: {why}");
            return Exit::Failed;
        }
    };
    let before = archive.signatures().contains(&signature);
    let archive = archive.with_signature(signature);
    if !before {
        let written = archive.to_bytes().map_err(|refused| refused.to_string());
        let written = written.and_then(|bytes| replace(&arguments.archive, &bytes).map_err(|error| error.to_string()));
        if let Err(why) = written {
            eprintln!("error: `{}` cannot be written: {why}", arguments.archive.display());
            return Exit::Failed;
        }
    }
    if arguments.json {
        let more = json!({"key": id.to_string(), "signatures": archive.signatures().len()});
        println!("{}", super::described(&archive.manifest, more));
    } else {
        super::print(&archive.manifest);
        let word = if before { "signed before by" } else { "signed by" };
        println!("{word} {id}; signatures in all: {}", archive.signatures().len());
    }
    Exit::Yes
}
