//! `gatepass bundle`: make an archive of a bundle, sign it, and say who has signed it.

mod build;

mod sign;

mod verify;

use std::path::Path;

use clap::Subcommand;
use gatepass_config::limits::Limits;
use serde_json::{Value, json};

use super::Exit;
use crate::bundle::{self, Archive, Manifest};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Compile a directory, and write it as one archive with a manifest; the same files give the same bytes.
    Build(build::Arguments),
    /// Add a signature to an archive.
    Sign(sign::Arguments),
    /// Say who has signed an archive, and whether a gateway with these keys would take it.
    Verify(verify::Arguments),
}

pub fn run(command: &Command) -> Exit {
    match command {
        Command::Build(arguments) => build::run(arguments),
        Command::Sign(arguments) => sign::run(arguments),
        Command::Verify(arguments) => verify::run(arguments),
    }
}

/// Read an archive, or say what is wrong with it and how the command ends.
fn archive(path: &Path) -> Result<Archive, Exit> {
    let read = bundle::read(path, &Limits::default()).map_err(|problems| {
        eprintln!("{problems}");
        if path.exists() { Exit::No } else { Exit::Failed }
    })?;
    read.archive.ok_or_else(|| {
        eprintln!(
            "error: `{}` is a directory, and only an archive can be signed: make one with `gatepass bundle build`",
            path.display()
        );
        Exit::Usage
    })
}

/// What a release is, for machines, and what else is to be told.
fn described(manifest: &Manifest, more: Value) -> Value {
    let mut told = json!({
        "bundle": manifest.bundle, "digest": manifest.digest, "serial": manifest.serial, "files": manifest.files(),
        "created": manifest.created.to_string(), "not_after": manifest.not_after.to_string(),
    });
    if let (Value::Object(told), Value::Object(more)) = (&mut told, more) {
        told.extend(more);
    }
    told
}

/// The same for people.
fn print(manifest: &Manifest) {
    let Manifest { bundle, digest, serial, created, not_after, .. } = manifest;
    println!("bundle     {bundle}\ndigest     {digest}\nserial     {serial}\nfiles      {}", manifest.files());
    println!("created    {created}\nnot after  {not_after}");
}
