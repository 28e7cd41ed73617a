//! `gatepass evidence export`: the records, to be taken elsewhere.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use clap::Args;

use super::from::{During, From};
use super::say::{failed, unheard};
use crate::cli::Exit;
use crate::evidence::questions::filter::Span;
use crate::evidence::questions::parquet;
use crate::evidence::questions::row::Row;
use crate::evidence::questions::source::Record;

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    from: From,
    /// JSON, a record a line, to standard output: what is done without `--parquet`.
    #[arg(long, conflicts_with = "parquet")]
    jsonl: bool,
    /// One Parquet file instead, a column for each field.
    #[arg(long, value_name = "FILE")]
    parquet: Option<PathBuf>,
    #[command(flatten)]
    during: During,
}

pub fn run(arguments: &Arguments) -> Exit {
    let span = arguments.during.span();
    let exported = match &arguments.parquet {
        Some(path) => to_parquet(&arguments.from, span, path),
        None => to_lines(&arguments.from, span),
    };
    match exported {
        Ok(exit) | Err(exit) => exit,
    }
}

/// Hand on every record of the time; ends with the first that cannot be written.
fn each(
    from: &From,
    span: Span,
    mut write: impl FnMut(&serde_json::Value) -> io::Result<()>,
) -> Result<(Exit, io::Result<u64>), Exit> {
    let mut written: io::Result<u64> = Ok(0);
    let gaps = from.each(&mut |record: &Record<'_>, row: &Row<'_>| {
        // What has a row has its JSON.
        if let (Ok(count), true, Ok(json)) = (&written, span.has(row.time), record.json()) {
            written = write(&json).map(|()| count + 1);
        }
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok((if gaps.is_empty() { Exit::Yes } else { Exit::Failed }, written))
}

fn to_lines(from: &From, span: Span) -> Result<Exit, Exit> {
    let mut out = BufWriter::with_capacity(256 << 10, io::stdout().lock());
    let (exit, written) = each(from, span, |json| writeln!(out, "{json}"))?;
    written.and_then(|_| out.flush()).map_err(|error| unheard(&error))?;
    Ok(exit)
}

fn to_parquet(from: &From, span: Span, path: &Path) -> Result<Exit, Exit> {
    let said = |error: io::Error| failed(&format!("`{}` cannot be written: {error}", path.display()));
    // A file of this name is a whole one, whatever happens meanwhile.
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.partial", std::process::id()));
    let partial = PathBuf::from(name);
    let export = || {
        let mut file = parquet::File::begin(BufWriter::new(File::create(&partial).map_err(said)?)).map_err(said)?;
        let (exit, written) = each(from, span, |json| file.add(json))?;
        let count = written.map_err(said)?;
        let file = file.end().map_err(said)?.into_inner().map_err(|error| said(error.into_error()))?;
        file.sync_all().and_then(|()| std::fs::rename(&partial, path)).map_err(said)?;
        eprintln!("{count} records in `{}`", path.display());
        Ok(exit)
    };
    let exported = export();
    if exported.is_err() {
        // It may not be there at all.
        let _ = std::fs::remove_file(&partial);
    }
    exported
}
