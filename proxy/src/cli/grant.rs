//! `gatepass grant`: break-glass, asked for, approved, taken back and reviewed.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Map, Value, json};

use super::Exit;
use super::operator::Operator;
use super::overrides::{Wanted, classes, list, look, out, say, short, until};
use crate::evidence::questions::table::Table;

#[derive(Subcommand)]
pub enum Command {
    /// Ask for one. It holds once a second factor confirms it.
    Request(Box<Request>),
    /// Let one begin that somebody else asked for.
    Approve(One),
    /// End one now, or deny it.
    Revoke(Closing),
    /// All of them, the newest first.
    List(List),
    /// One, with what was done under it.
    Show(One),
    /// Look at what was done under one that is over, and say so.
    Review(Review),
}

#[derive(Args)]
pub struct Request {
    /// For which identity, or pattern of identities.
    #[arg(long = "identity", value_name = "ID", required = true)]
    identities: Vec<String>,
    #[command(flatten)]
    wanted: Wanted,
    /// An exercise: it works like any other, and is marked.
    #[arg(long)]
    drill: bool,
    #[command(flatten)]
    operator: Operator,
}

#[derive(Args)]
pub struct One {
    /// Its id.
    id: uuid::Uuid,
    #[command(flatten)]
    operator: Operator,
}

#[derive(Args)]
pub struct Closing {
    /// Its id.
    id: uuid::Uuid,
    /// Why.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    operator: Operator,
}

#[derive(Args)]
pub struct Review {
    /// Its id.
    id: uuid::Uuid,
    /// What was found.
    #[arg(long)]
    note: Option<String>,
    #[command(flatten)]
    operator: Operator,
}

#[derive(Args)]
pub struct List {
    /// Only those that wait or hold.
    #[arg(long)]
    live: bool,
    #[command(flatten)]
    operator: Operator,
}

pub fn run(command: &Command) -> Exit {
    let done = match command {
        Command::Request(arguments) => request(arguments),
        Command::Approve(one) => {
            let path = format!("/v1/grants/{}/approve", one.id);
            one.operator.ask(Method::POST, &path, Some(json!({}))).map(|grant| told(&one.operator, &grant))
        }
        Command::Revoke(closing) => {
            let path = super::overrides::closing(&format!("/v1/grants/{}", closing.id), closing.reason.as_deref());
            closing.operator.ask(Method::DELETE, &path, None).map(|grant| told(&closing.operator, &grant))
        }
        Command::List(arguments) => grants(arguments),
        Command::Show(one) => {
            let path = format!("/v1/grants/{}", one.id);
            one.operator.ask(Method::GET, &path, None).map(|grant| told(&one.operator, &grant))
        }
        Command::Review(review) => {
            let mut body = Map::new();
            body.extend(review.note.iter().map(|note| ("note".to_owned(), Value::from(note.as_str()))));
            let path = format!("/v1/grants/{}/review", review.id);
            let reviewed = review.operator.ask(Method::POST, &path, Some(body.into()));
            reviewed.map(|grant| told(&review.operator, &grant))
        }
    };
    done.err().unwrap_or(Exit::Yes)
}

fn request(arguments: &Request) -> Result<(), Exit> {
    let mut body = arguments.wanted.body()?;
    body.insert("identities".into(), arguments.identities.clone().into());
    if arguments.drill {
        body.insert("drill".into(), true.into());
    }
    // A request that is sent twice, by whatever, is one request.
    body.insert("nonce".into(), uuid::Uuid::now_v7().to_string().into());
    let grant = arguments.operator.ask(Method::POST, "/v1/grants", Some(body.into()))?;
    told(&arguments.operator, &grant);
    let is_pending = grant.get("status").is_some_and(|status| status == "pending");
    if is_pending && !arguments.operator.json {
        let id = grant.get("id").and_then(Value::as_str).unwrap_or_default();
        out(format_args!("somebody else has to approve it within 15 minutes:\n    gatepass grant approve {id}\n"));
    }
    Ok(())
}

fn grants(arguments: &List) -> Result<(), Exit> {
    let mut grants = list(&arguments.operator, "/v1/grants", "grants")?;
    let live = |grant: &Value| matches!(grant.get("status").and_then(Value::as_str), Some("pending" | "active"));
    grants.retain(|grant| !arguments.live || live(grant));
    if arguments.operator.json {
        say(&json!({"grants": grants}));
        return Ok(());
    }
    let mut table = Table::new(&["status", "until", "for whom", "where", "why", "asked by", "id"]);
    table.rows = grants
        .iter()
        .map(|grant| {
            let at = |pointer: &str| grant.pointer(pointer).cloned().unwrap_or_default();
            let status =
                short(grant, "/status") + if grant.get("drill") == Some(&true.into()) { " (drill)" } else { "" };
            let reason = at("/reason");
            vec![
                status.into(),
                until(grant).into(),
                super::overrides::whom(grant).into(),
                super::overrides::places(grant).into(),
                reason,
                at("/requested/by/person"),
                at("/id"),
            ]
        })
        .collect();
    out(format_args!("{}", table.text(look())));
    Ok(())
}

/// One grant, and what was done under it.
fn told(operator: &Operator, grant: &Value) {
    if operator.json {
        return say(grant);
    }
    out(format_args!("grant     {}\n", short(grant, "/id")));
    for (name, pointer) in [
        ("status", "/status"),
        ("scope", "/scope"),
        ("why", "/reason"),
        ("ticket", "/ticket"),
        ("asked by", "/requested/by/person"),
        ("approved", "/approved/by/person"),
        ("revoked", "/revoked/by/person"),
        ("reviewed", "/reviewed/by/person"),
    ] {
        let text = short(grant, pointer);
        if !text.is_empty() {
            out(format_args!("{name:<9} {text}\n"));
        }
    }
    let is_true = |key: &str| grant.get(key) == Some(&true.into());
    if is_true("totp") {
        out(format_args!("code      shown by who asked\n"));
    }
    if is_true("drill") {
        out(format_args!("drill     yes\n"));
    }
    let (whom, places) = (super::overrides::whom(grant), super::overrides::places(grant));
    out(format_args!(
        "until     {}\nfor whom  {whom}\nwhere     {places}\ndata      {}\n",
        until(grant),
        classes(grant)
    ));
    let Some(gateways) = grant.get("uses").and_then(Value::as_array) else { return };
    let mut table = Table::new(&["gateway", "identity", "host", "port", "connections", "sent", "received"]);
    for gateway in gateways {
        for one in gateway.get("uses").and_then(Value::as_array).into_iter().flatten() {
            let of = |key: &str| one.get(key).cloned().unwrap_or_default();
            let name = gateway.get("gateway").cloned().unwrap_or_default();
            let row = vec![
                name,
                of("identity"),
                of("host"),
                of("port"),
                of("connections"),
                of("bytes_sent"),
                of("bytes_received"),
            ];
            table.rows.push(row);
        }
    }
    if table.rows.is_empty() {
        out(format_args!("nothing was done under it\n"));
    } else {
        out(format_args!("\n{}", table.text(look())));
    }
}
