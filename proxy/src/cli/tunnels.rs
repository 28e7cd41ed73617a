//! `gatepass tunnels`: what is open, what another bundle would cut, and cutting one.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Exit;
use super::operator::Operator;
use super::overrides::out;
use crate::evidence::questions::table::{Look, Table};

/// Pages of a list that are asked for: a million tunnels, more than a gateway carries.
const PAGES_MAX: usize = 1_000;

#[derive(Subcommand)]
pub enum Command {
    /// What is open, the oldest first.
    List(List),
    /// What another bundle, or a mode, would cut. Nothing is cut.
    Preview(Preview),
    /// Cut one.
    Cut(Cut),
}

#[derive(Args)]
pub struct List {
    #[command(flatten)]
    operator: Operator,
}

#[derive(Args)]
pub struct Preview {
    /// The bundle that would be in force: a directory of YAML files, or an archive.
    #[arg(required_unless_present = "mode")]
    bundle: Option<PathBuf>,
    /// The containment mode that would be in force.
    #[arg(long)]
    mode: Option<String>,
    #[command(flatten)]
    operator: Operator,
}

#[derive(Args)]
pub struct Cut {
    /// The id of its decision.
    id: uuid::Uuid,
    #[command(flatten)]
    operator: Operator,
}

pub fn run(command: &Command) -> Exit {
    let done = match command {
        Command::List(arguments) => list(arguments),
        Command::Preview(arguments) => preview(arguments),
        Command::Cut(arguments) => cut(arguments),
    };
    done.err().unwrap_or(Exit::Yes)
}

fn list(arguments: &List) -> Result<(), Exit> {
    let mut tunnels = Vec::new();
    let mut path = "/v1/tunnels?limit=1000".to_owned();
    for _ in 0..PAGES_MAX {
        let page = arguments.operator.ask(Method::GET, &path, None)?;
        tunnels.extend(page.get("tunnels").and_then(Value::as_array).into_iter().flatten().cloned());
        match page.get("next").and_then(Value::as_str) {
            Some(next) => path = next.to_owned(),
            None => break,
        }
    }
    if arguments.operator.json {
        out(format_args!("{}\n", json!({"tunnels": tunnels})));
        return Ok(());
    }
    let now = Timestamp::now();
    let mut table = Table::new(&["identity", "destination", "admitted by", "age", "bytes", "id"]);
    table.rows = tunnels
        .iter()
        .map(|tunnel| {
            let of = |key: &str| tunnel.get(key).cloned().unwrap_or_default();
            let since = tunnel.get("since").and_then(Value::as_str).and_then(|since| since.parse::<Timestamp>().ok());
            let age = since.map_or(Value::Null, |since| age(now.duration_since(since).as_secs()));
            vec![of("identity"), of("destination"), of("rule"), age, bytes(tunnel), of("id")]
        })
        .collect();
    out(format_args!("{}", table.text(look())));
    Ok(())
}

fn preview(arguments: &Preview) -> Result<(), Exit> {
    let mut body = json!({});
    if let (Some(directory), Some(fields)) = (&arguments.bundle, body.as_object_mut()) {
        let files = super::read_bundle(directory)?;
        let file = |file: &gatepass_policy::source::SourceFile| json!({"name": file.name, "text": String::from_utf8_lossy(&file.text)});
        fields.insert("files".to_owned(), files.iter().map(file).collect());
    }
    if let (Some(mode), Some(fields)) = (&arguments.mode, body.as_object_mut()) {
        fields.insert("mode".to_owned(), mode.as_str().into());
    }
    let answer = arguments.operator.ask(Method::POST, "/v1/policy/preview", Some(body))?;
    if arguments.operator.json {
        out(format_args!("{answer}\n"));
        return Ok(());
    }
    out(format_args!("{}", foreseen(&answer).text(look())));
    let number = |key: &str| answer.get(key).and_then(Value::as_u64).unwrap_or(0);
    let cut = answer.get("would_cut").and_then(Value::as_array).map_or(0, Vec::len);
    out(format_args!("{cut} of {} would be cut\n", number("open")));
    Ok(())
}

/// A row for each that would be cut.
fn foreseen(answer: &Value) -> Table {
    let mut table =
        Table::new(&["identity", "destination", "admitted by", "would be cut by", "ending", "age", "bytes", "id"]);
    let would_cut = answer.get("would_cut").and_then(Value::as_array).into_iter().flatten();
    table.rows = would_cut
        .map(|one| {
            let of = |key: &str| one.get(key).cloned().unwrap_or_default();
            let age = age(one.get("age_seconds").and_then(Value::as_i64).unwrap_or(0));
            let (by, ending) = (of("cut_by"), of("ending"));
            vec![of("identity"), of("destination"), of("admitted_by"), by, ending, age, bytes(one), of("id")]
        })
        .collect();
    table
}

fn cut(arguments: &Cut) -> Result<(), Exit> {
    arguments.operator.ask(Method::DELETE, &format!("/v1/tunnels/{}", arguments.id), None)?;
    out(format_args!("{} is being cut\n", arguments.id));
    Ok(())
}

/// Both directions together.
fn bytes(tunnel: &Value) -> Value {
    let number = |key: &str| tunnel.get(key).and_then(Value::as_u64).unwrap_or(0);
    number("bytes_sent").saturating_add(number("bytes_received")).into()
}

/// In the two largest units.
fn age(seconds: i64) -> Value {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} m {} s", seconds % 60),
        (0, hours, minutes) => format!("{hours} h {minutes} m"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
    .into()
}

fn look() -> Look {
    if std::io::stdout().is_terminal() { Look::Terminal } else { Look::Plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_read_at_a_glance() {
        for (seconds, text) in [(0, "0 s"), (59, "59 s"), (61, "1 m 1 s"), (3_600, "1 h 0 m"), (90_000, "1 d 1 h")] {
            assert_eq!(age(seconds), text);
        }
    }

    #[test]
    fn a_preview_tells_who_is_cut_by_what() {
        let one = json!({
            "id": "019a8f3e-1d2c-7b4a-9c1e-2f60a1b3c4d5", "identity": "token:ci", "destination": "a.test:443",
            "admitted_by": "web/a", "cut_by": "mode/lockdown", "ending": "mode_changed", "age_seconds": 61,
            "bytes_sent": 1, "bytes_received": 2,
        });
        let text = foreseen(&json!({"would_cut": [one]})).text(Look::Plain);
        let line = text.lines().nth(1).unwrap();
        for part in ["token:ci", "a.test:443", "web/a", "mode/lockdown", "mode_changed", "1 m 1 s", " 3 "] {
            assert!(line.contains(part), "{part} in {line}");
        }
    }
}
