//! `gatepass mode`: containment, set with a reason, and rehearsed before.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Map, Value};

use super::Exit;
use super::operator::Operator;
use super::overrides::{look, moment, out, say, seconds, short};
use crate::evidence::questions::table::Table;

#[derive(Subcommand)]
pub enum Command {
    /// The mode, and who set it, when and why.
    Show(Show),
    /// Set it, or tell what setting it would cut and refuse.
    Set(Set),
}

#[derive(Args)]
pub struct Show {
    #[command(flatten)]
    operator: Operator,
}

#[derive(Args)]
pub struct Set {
    /// A mode of the policy, or `normal`.
    mode: String,
    /// Why.
    #[arg(long)]
    reason: String,
    /// Back to `normal` by itself after this time: `2h`.
    #[arg(long = "for", value_name = "LENGTH")]
    length: Option<String>,
    /// Only tell what it would cut and refuse, from what is open and from the last day's records.
    #[arg(long)]
    rehearse: bool,
    #[command(flatten)]
    operator: Operator,
}

pub fn run(command: &Command) -> Exit {
    let done = match command {
        Command::Show(arguments) => {
            arguments.operator.ask(Method::GET, "/v1/mode", None).map(|mode| told(&arguments.operator, &mode))
        }
        Command::Set(arguments) => set(arguments),
    };
    done.err().unwrap_or(Exit::Yes)
}

fn set(arguments: &Set) -> Result<(), Exit> {
    let mut body = Map::new();
    body.insert("mode".into(), arguments.mode.as_str().into());
    body.insert("reason".into(), arguments.reason.as_str().into());
    if let Some(length) = &arguments.length {
        let ttl = seconds(length).map_err(|problem| {
            eprintln!("error: {problem}");
            Exit::Usage
        })?;
        body.insert("ttl".into(), ttl.into());
    }
    if arguments.rehearse {
        body.insert("rehearse".into(), true.into());
    }
    let answer = arguments.operator.ask(Method::PUT, "/v1/mode", Some(body.into()))?;
    match arguments.rehearse {
        true => rehearsed(&arguments.operator, &answer),
        false => told(&arguments.operator, &answer),
    }
    Ok(())
}

fn told(operator: &Operator, mode: &Value) {
    if operator.json {
        return say(mode);
    }
    let modes = mode.get("modes").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let modes: Vec<&str> = modes.collect();
    for (name, text) in [
        ("mode", short(mode, "/mode")),
        ("set by", short(mode, "/set/by/person")),
        ("at", moment(mode, "/set/at")),
        ("why", short(mode, "/set/reason")),
        ("until", moment(mode, "/until")),
        ("scope", short(mode, "/scope")),
        ("there are", modes.join(", ")),
    ] {
        if !text.is_empty() {
            out(format_args!("{name:<9} {text}\n"));
        }
    }
}

fn rehearsed(operator: &Operator, answer: &Value) {
    if operator.json {
        return say(answer);
    }
    let rows = |pointer: &str, columns: [&str; 4]| -> Vec<Vec<Value>> {
        let list = answer.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
        list.map(|one| columns.iter().map(|key| one.get(*key).cloned().unwrap_or_default()).collect()).collect()
    };
    let mut cut = Table::new(&["would be cut", "where", "admitted by", "by"]);
    cut.rows = rows("/would_cut", ["identity", "destination", "admitted_by", "cut_by"]);
    out(format_args!("{}", cut.text(look())));
    let mut refused = Table::new(&["would be refused", "where", "by", "times"]);
    refused.rows = rows("/would_refuse/refused", ["identity", "destination", "by", "times"]);
    out(format_args!("\n{}", refused.text(look())));
    let count = |pointer| answer.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let (decisions, unknown) = (count("/would_refuse/decisions"), count("/would_refuse/unknown"));
    if unknown > 0 {
        out(format_args!("\n{unknown} more hang on what was not recorded of them\n"));
    }
    out(format_args!(
        "\nof {decisions} admitted connections since {}; nothing was changed\n",
        moment(answer, "/would_refuse/since")
    ));
}
