//! `gatepass import`: another proxy's access list as a bundle, and word of every line that could not be carried over.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use gatepass_policy::import::{Imported, Kind, Options, Ports, Template, envoy, smokescreen, squid};
use gatepass_policy::source::SourceFile;
use gatepass_policy::{Diagnostic, compile};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::Exit;
use super::style::Paint;
use crate::state::entry::parse_length;

/// Longest file that is read: as long as a file of a bundle may be.
const FILE_MAX: u64 = 64 << 20;
/// How many files one name with a `*` may mean.
const FILES_MAX: usize = 1_000;

#[derive(Clone, Copy, Debug, ValueEnum)]
enum From {
    /// An egress ACL, version 1.
    Smokescreen,
    /// A configuration with `acl` and `http_access` lines, and the files that it names.
    Squid,
    /// A configuration with RBAC filters, or the rules of one alone; YAML or JSON.
    Envoy,
}

#[derive(Debug, Args)]
pub struct Arguments {
    /// What the file is of.
    #[arg(value_enum)]
    from: From,
    /// The file.
    file: PathBuf,
    /// A directory for the bundle, which does not exist yet or is empty; without it, standard output.
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Who answers for what the file names nobody for.
    #[arg(long)]
    owner: Option<String>,
    /// How a role becomes an identity: `{service}` stands for its name, as a whole segment.
    #[arg(long, value_name = "TEMPLATE", default_value = "token:{service}")]
    identity: String,
    /// A port of rules for which the file names none; may be repeated. Without it, 80 and 443, and a word about it.
    #[arg(long = "port", value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    ports: Vec<u16>,
    /// A class of data that imported rules take; may be repeated.
    #[arg(long = "data-class", value_name = "CLASS", default_value = "unclassified")]
    data_classes: Vec<String>,
    /// How long every permission lives, such as `30d`.
    #[arg(long, value_name = "LENGTH", default_value = "90d")]
    expires_in: String,
    /// Import as if at this moment (RFC 3339, `Z`).
    #[arg(long, value_name = "TIME")]
    now: Option<Timestamp>,
    /// The answer is no if anything was left out or narrowed.
    #[arg(long)]
    strict: bool,
    /// The files, and what was told of which line, as JSON on standard output.
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Exit {
    let options = match options(arguments) {
        Ok(options) => options,
        Err(problem) => return fail(&problem, Exit::Usage),
    };
    let named = arguments.file.display().to_string();
    let file = match read(&arguments.file, named) {
        Ok(file) => file,
        Err(why) => return fail(&format!("`{}`: {why}", arguments.file.display()), Exit::Failed),
    };
    let imported = match arguments.from {
        From::Smokescreen => smokescreen(&file, &options),
        From::Squid => Ok(squid(&file, &named_files, &options)),
        From::Envoy => envoy(&file, &options),
    };
    match imported {
        Ok(imported) => deliver(arguments, &options, &imported),
        Err(diagnostics) => refused(arguments, &diagnostics),
    }
}

fn fail(problem: &str, exit: Exit) -> Exit {
    eprintln!("error: {problem}");
    exit
}

fn options(arguments: &Arguments) -> Result<Options, String> {
    let identity = Template::parse(&arguments.identity);
    let identity = identity.map_err(|(message, help)| format!("`--identity`: {message}: {help}"))?;
    let length = parse_length(&arguments.expires_in)
        .map(|length| SignedDuration::from_secs(length.as_secs()))
        .filter(|length| *length > SignedDuration::ZERO)
        .ok_or_else(|| format!("`--expires-in {}` is not a length such as `30d`", arguments.expires_in))?;
    let plain =
        |name: &&String| !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) || name.is_empty();
    if let Some(class) = arguments.data_classes.iter().find(plain) {
        return Err(format!("`--data-class {class}` is not a name of letters, digits, `-`, `_` and `.`"));
    }
    if arguments.owner.as_ref().is_some_and(|owner| owner.trim().is_empty() || owner.chars().any(char::is_control)) {
        return Err("`--owner` names nobody: give an address such as `team@example.com`".to_owned());
    }
    let mut ports = arguments.ports.clone();
    ports.sort_unstable();
    ports.dedup();
    Ok(Options {
        now: arguments.now.unwrap_or_else(Timestamp::now),
        expires_in: length,
        owner: arguments.owner.clone(),
        identity,
        ports: if ports.is_empty() { Ports::Usual } else { Ports::Chosen(ports) },
        data_classes: arguments.data_classes.clone(),
    })
}

fn read(path: &Path, name: String) -> Result<SourceFile, String> {
    let length = fs::metadata(path).map_err(|error| error.to_string())?.len();
    if length > FILE_MAX {
        return Err(format!("it is longer than {FILE_MAX} bytes"));
    }
    let text = fs::read(path).map_err(|error| error.to_string())?;
    Ok(SourceFile { name, text })
}

/// The files that a Squid configuration names: beside the one that names them, `*` in the last part as in a shell.
fn named_files(by: &str, name: &str) -> Result<Vec<SourceFile>, String> {
    let path = Path::new(by).parent().unwrap_or(Path::new("")).join(name);
    let last = path.file_name().and_then(|last| last.to_str()).unwrap_or_default().to_owned();
    if !last.contains('*') {
        return read(&path, path.display().to_string()).map(|file| vec![file]);
    }
    let parts: Vec<&str> = last.split('*').collect();
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut found: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(directory).map_err(|error| error.to_string())? {
        let entry = entry.map_err(|error| error.to_string())?;
        if entry.file_name().to_str().is_some_and(|name| !name.starts_with('.') && fits(name, &parts)) {
            found.push(entry.path());
        }
        if found.len() > FILES_MAX {
            return Err(format!("`{name}` means more than {FILES_MAX} files"));
        }
    }
    found.sort();
    found.iter().map(|path| read(path, path.display().to_string())).collect()
}

/// Whether a name is made of these parts, with anything between them.
fn fits(name: &str, parts: &[&str]) -> bool {
    let [first, middle @ .., last] = parts else { return false };
    let Some(mut rest) = name.strip_prefix(first).and_then(|rest| rest.strip_suffix(last)) else { return false };
    for part in middle {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    true
}

fn refused(arguments: &Arguments, diagnostics: &[Diagnostic]) -> Exit {
    if arguments.json {
        println!("{}", json!({"files": [], "rules": 0, "told": [], "diagnostics": diagnostics}));
    } else {
        diagnostics.iter().for_each(|diagnostic| eprintln!("{diagnostic}"));
    }
    Exit::No
}

fn deliver(arguments: &Arguments, options: &Options, imported: &Imported) -> Exit {
    // What is handed over is what `gatepass check` will say of it: nothing that does not compile goes unsaid.
    let diagnostics = match imported.files.is_empty() {
        true => Vec::new(),
        false => compile(&imported.files, options.now).err().unwrap_or_default(),
    };
    if let Some(directory) = &arguments.output
        && let Err(error) = write(directory, &imported.files)
    {
        return fail(&format!("`{}`: {error}", directory.display()), Exit::Failed);
    }
    if arguments.json {
        print_json(imported, &diagnostics);
    } else {
        print_text(arguments, imported, &diagnostics);
    }
    let carried = imported.rules > 0 && diagnostics.is_empty();
    if carried && (!arguments.strict || imported.is_whole()) { Exit::Yes } else { Exit::No }
}

fn print_json(imported: &Imported, diagnostics: &[Diagnostic]) {
    let files =
        imported.files.iter().map(|file| json!({"name": file.name, "text": String::from_utf8_lossy(&file.text)}));
    let files: Vec<_> = files.collect();
    println!("{}", json!({"files": files, "rules": imported.rules, "told": imported.told, "diagnostics": diagnostics}));
}

fn print_text(arguments: &Arguments, imported: &Imported, diagnostics: &[Diagnostic]) {
    if arguments.output.is_none() {
        for (at, file) in imported.files.iter().enumerate() {
            let between = if at == 0 { "" } else { "---\n" };
            print!("{between}# file: {}\n{}", file.name, String::from_utf8_lossy(&file.text));
        }
    }
    imported.told.iter().for_each(|told| eprintln!("{told}"));
    diagnostics.iter().for_each(|diagnostic| eprintln!("{diagnostic}"));
    let paint = Paint::stderr();
    let count = |kind: Kind| imported.told.iter().filter(|told| told.kind == kind).count();
    let (dropped, narrowed, notes) = (count(Kind::Dropped), count(Kind::Narrowed), count(Kind::Note));
    let verdict = match (imported.rules, diagnostics.is_empty()) {
        (0, _) => paint.bad("nothing"),
        (_, false) => paint.bad("unusable"),
        (_, true) => paint.good("imported"),
    };
    eprintln!(
        "{verdict} {} rules in {} files; {dropped} not carried over, {narrowed} narrowed, {notes} notes",
        imported.rules,
        imported.files.len()
    );
}

/// Into a directory that holds nothing yet: rules beside others of the same names would be neither's.
fn write(directory: &Path, files: &[SourceFile]) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    if fs::read_dir(directory)?.next().is_some() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the directory is not empty"));
    }
    for file in files {
        let path = directory.join(&file.name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, &file.text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything_within_a_name() {
        for (name, pattern, is) in [
            ("a.conf", "*.conf", true),
            ("a.conf.bak", "*.conf", false),
            ("10-a-b.conf", "10-*-b*", true),
            ("ab", "ab*b", false),
            ("abb", "ab*b", true),
        ] {
            let parts: Vec<&str> = pattern.split('*').collect();
            assert_eq!(fits(name, &parts), is, "{name} {pattern}");
        }
    }
}
