//! `gatepass operators`: enrol, list and remove operators in a file that `admin.operators` names.

mod entry;

mod file;

mod whoami;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use gatepass_config::operators::Operator;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::Exit;
use file::File;

#[derive(Subcommand)]
pub enum Command {
    /// Enrol an operator; a token and the secret of one-time codes are shown now and never again.
    Add(Box<Add>),
    /// Who is enrolled.
    List(List),
    /// Take an operator out.
    Remove(Remove),
    /// Ask a running gateway who the caller is to it.
    Whoami(super::operator::Operator),
}

#[derive(Args)]
pub struct Add {
    /// The operator's name in records, each once.
    name: String,
    /// What the operator may do: `viewer`, `approver`, `breaker`, with commas.
    #[arg(long, value_name = "ROLES", value_delimiter = ',', required = true)]
    roles: Vec<String>,
    /// Who that is; entries of one person are one person wherever two are needed. The name, unless given.
    #[arg(long, value_name = "PERSON")]
    person: Option<String>,
    /// A client certificate (PEM) that proves it.
    #[arg(long = "certificate", value_name = "FILE")]
    certificates: Vec<PathBuf>,
    /// Make a token that proves it.
    #[arg(long)]
    token: bool,
    /// The mail address in an ID token that proves it.
    #[arg(long, value_name = "ADDRESS")]
    oidc_email: Option<String>,
    /// The subject of an ID token that proves it.
    #[arg(long, value_name = "SUBJECT")]
    oidc_subject: Option<String>,
    /// Make the secret of one-time codes, as a second factor.
    #[arg(long)]
    totp: bool,
    /// When the entry ends.
    #[arg(long, value_name = "TIME", conflicts_with = "days")]
    expires: Option<Timestamp>,
    /// In how many days it ends.
    #[arg(long, value_name = "DAYS", default_value_t = 90, value_parser = clap::value_parser!(u16).range(1..=3660))]
    days: u16,
    #[command(flatten)]
    place: PlaceOf,
}

#[derive(Args)]
pub struct List {
    #[command(flatten)]
    place: PlaceOf,
}

#[derive(Args)]
pub struct Remove {
    /// The operator's name.
    name: String,
    #[command(flatten)]
    place: PlaceOf,
}

#[derive(Args)]
struct PlaceOf {
    /// The file that `admin.operators` names.
    #[arg(long, value_name = "FILE", default_value = "operators.yaml")]
    file: PathBuf,
    /// The answer as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(command: &Command) -> Exit {
    let now = Timestamp::now();
    let done = match command {
        Command::Add(arguments) => add(arguments, now),
        Command::List(arguments) => list(arguments, now),
        Command::Remove(arguments) => remove(arguments, now),
        Command::Whoami(arguments) => return whoami::run(arguments),
    };
    match done {
        Ok(()) => Exit::Yes,
        Err((exit, problem)) => {
            eprintln!("error: {problem}");
            exit
        }
    }
}

type Failure = (Exit, String);

fn add(arguments: &Add, now: Timestamp) -> Result<(), Failure> {
    let usage = |problem: String| (Exit::Usage, problem);
    let expires = match arguments.expires {
        Some(end) if end <= now => return Err(usage(format!("`--expires {end}` is over"))),
        Some(end) => end,
        None => now
            .checked_add(SignedDuration::from_hours(24 * i64::from(arguments.days)))
            .map_err(|error| usage(error.to_string()))?,
    };
    let made = entry::make(arguments, expires).map_err(usage)?;
    let file = File::open(&arguments.place.file, now).map_err(|problem| (Exit::Failed, problem))?;
    if file.operators.iter().any(|operator| operator.name == arguments.name) {
        return Err((Exit::No, format!("`{}` is enrolled: remove the entry first", arguments.name)));
    }
    file.append(&made.text, now).map_err(|problem| (Exit::Failed, problem))?;
    made.tell(arguments.place.json);
    Ok(())
}

fn remove(arguments: &Remove, now: Timestamp) -> Result<(), Failure> {
    let file = File::open(&arguments.place.file, now).map_err(|problem| (Exit::Failed, problem))?;
    let name = &arguments.name;
    let Some(at) = file.operators.iter().position(|operator| operator.name == *name) else {
        return Err((Exit::No, format!("nobody is called `{name}` in `{}`", arguments.place.file.display())));
    };
    file.without(at, now).map_err(|problem| (Exit::Failed, problem))?;
    if arguments.place.json {
        println!("{}", json!({"removed": name}));
    } else {
        println!("removed `{name}`; the gateway forgets it at its next reload (SIGHUP, or by itself where it watches)");
    }
    Ok(())
}

fn list(arguments: &List, now: Timestamp) -> Result<(), Failure> {
    let file = File::open(&arguments.place.file, now).map_err(|problem| (Exit::Failed, problem))?;
    if arguments.place.json {
        let rows: Vec<Value> = file.operators.iter().map(|operator| row(operator, now)).collect();
        println!("{}", json!({"operators": rows}));
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["NAME", "PERSON", "ROLES", "SHOWS", "SECOND FACTOR", "EXPIRES"]);
    for operator in &file.operators {
        let roles: Vec<&str> = operator.roles.iter().map(|role| role.as_str()).collect();
        table.add_row([
            operator.name.clone(),
            operator.person.clone(),
            roles.join(", "),
            shows(operator).join(", "),
            if operator.totp.is_some() { "one-time code".to_owned() } else { "-".to_owned() },
            format!("{}{}", operator.expires, if operator.expires <= now { " (over)" } else { "" }),
        ]);
    }
    println!("{table}");
    Ok(())
}

fn row(operator: &Operator, now: Timestamp) -> Value {
    json!({
        "name": operator.name,
        "person": operator.person,
        "roles": operator.roles.iter().map(|role| role.as_str()).collect::<Vec<_>>(),
        "shows": shows(operator),
        "one_time_codes": operator.totp.is_some(),
        "expires": operator.expires.to_string(),
        "expired": operator.expires <= now,
    })
}

/// The kinds of credentials of an entry.
fn shows(operator: &Operator) -> Vec<&'static str> {
    let kinds = [
        (operator.sha256.is_some(), "token"),
        (!operator.certificates.is_empty(), "certificate"),
        (operator.oidc.is_some(), "oidc"),
    ];
    kinds.into_iter().filter(|(there, _)| *there).map(|(_, word)| word).collect()
}
