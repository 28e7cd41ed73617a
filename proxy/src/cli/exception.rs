//! `gatepass exception`: the on-ramp from a denial to a reviewed change of the policy.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::Exit;
use super::ask::{self, Place};
use super::operator::{Credentials, Operator, flag};
use super::overrides::{Wanted, classes, closing, list, look, out, places, say, short, until, whom};
use crate::evidence::questions::table::Table;

#[derive(Subcommand)]
pub enum Command {
    /// Ask for one: for the caller, through the proxy; or as an operator for anybody.
    Request(Box<Request>),
    /// What became of a request of the caller's.
    Status(Status),
    /// Let one hold that somebody else asked for.
    Approve(One),
    /// Deny one, or end it now.
    Close(Closing),
    /// All of them, the newest first.
    List(List),
    /// Those that hold, as a file of the bundle: a change for review.
    Export(Export),
}

#[derive(Args)]
pub struct Request {
    #[command(flatten)]
    wanted: Wanted,
    /// For which identity, as an operator.
    #[arg(long = "identity", value_name = "ID", requires = "admin")]
    identities: Vec<String>,
    /// The fragment in whose scope it allows; left out: the one that takes it.
    #[arg(long, value_name = "FRAGMENT", conflicts_with = "lifts")]
    permits: Option<String>,
    /// The guardrail that it lifts.
    #[arg(long, value_name = "GUARDRAIL")]
    lifts: Option<String>,
    /// The id of the denial that led to it.
    #[arg(long, value_name = "ID")]
    decision: Option<String>,
    /// The gateway, as a proxy URL; credentials may stand in it.
    #[arg(long, env = "HTTPS_PROXY", value_name = "URL")]
    proxy: Option<String>,
    /// The admin listener, as an operator.
    #[arg(long, env = "GATEPASS_ADMIN", value_name = "URL")]
    admin: Option<String>,
    #[command(flatten)]
    shown: Credentials,
    /// The answer as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct Status {
    /// Its id.
    id: uuid::Uuid,
    /// The gateway, as a proxy URL; credentials may stand in it.
    #[arg(long, env = "HTTPS_PROXY", value_name = "URL")]
    proxy: String,
    #[command(flatten)]
    shown: Credentials,
    /// The answer as JSON.
    #[arg(long)]
    json: bool,
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
pub struct List {
    /// Only those that wait for a decision.
    #[arg(long)]
    pending: bool,
    #[command(flatten)]
    operator: Operator,
}

#[derive(Args)]
pub struct Export {
    /// Only these.
    ids: Vec<uuid::Uuid>,
    #[command(flatten)]
    operator: Operator,
}

pub fn run(command: &Command) -> Exit {
    let done = match command {
        Command::Request(arguments) => request(arguments),
        Command::Status(arguments) => status(arguments),
        Command::Approve(one) => {
            let path = format!("/v1/exceptions/{}/approve", one.id);
            one.operator.ask(Method::POST, &path, Some(json!({}))).map(|made| told(one.operator.json, &made))
        }
        Command::Close(one) => {
            let path = closing(&format!("/v1/exceptions/{}", one.id), one.reason.as_deref());
            one.operator.ask(Method::DELETE, &path, None).map(|made| told(one.operator.json, &made))
        }
        Command::List(arguments) => exceptions(arguments),
        Command::Export(arguments) => export(arguments),
    };
    done.err().unwrap_or(Exit::Yes)
}

fn request(arguments: &Request) -> Result<(), Exit> {
    let mut body = arguments.wanted.body()?;
    let named = [("permits", &arguments.permits), ("lifts", &arguments.lifts), ("decision", &arguments.decision)];
    for (key, text) in named {
        body.extend(text.iter().map(|text| (key.to_owned(), Value::from(text.as_str()))));
    }
    if !arguments.identities.is_empty() {
        body.insert("identities".into(), arguments.identities.clone().into());
    }
    // Whoever names an identity asks as an operator; whoever names none asks for the one that the proxy knows.
    let place = match (&arguments.admin, &arguments.proxy) {
        (Some(_), None) if arguments.identities.is_empty() => {
            eprintln!(
                "error: for whom? as an operator pass `--identity ID`; for the caller itself set HTTPS_PROXY or pass `--proxy http://HOST:PORT`"
            );
            return Err(Exit::Usage);
        }
        (Some(admin), None) => Place::Admin(admin.clone()),
        (Some(admin), Some(_)) if !arguments.identities.is_empty() => Place::Admin(admin.clone()),
        (Some(_) | None, Some(proxy)) => Place::Proxy(proxy.clone()),
        (None, None) => {
            eprintln!("error: which gateway? set HTTPS_PROXY or pass `--proxy http://HOST:PORT`");
            return Err(Exit::Usage);
        }
    };
    let made = asked(place, Method::POST, "/v1/exceptions", Some(body.into()), &arguments.shown)?;
    told(arguments.json, &made);
    if !arguments.json && made.get("status").is_some_and(|status| status == "pending") {
        out(format_args!("it waits for an approver:\n    gatepass exception approve {}\n", short(&made, "/id")));
    }
    Ok(())
}

fn status(arguments: &Status) -> Result<(), Exit> {
    let path = format!("/v1/exceptions/{}", arguments.id);
    let made = asked(Place::Proxy(arguments.proxy.clone()), Method::GET, &path, None, &arguments.shown)?;
    told(arguments.json, &made);
    Ok(())
}

/// A question through the proxy or to the admin listener; what went wrong is told.
fn asked(place: Place, method: Method, path: &str, body: Option<Value>, shown: &Credentials) -> Result<Value, Exit> {
    let (path, authentication) = (path.to_owned(), shown.authentication(&place));
    let question = ask::Question { place, method, path, body, authentication, json: true };
    let answer = ask::ask(&question).map_err(|problem| {
        eprintln!("error: {problem}");
        Exit::Failed
    })?;
    let value: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    if (200..300).contains(&answer.status) {
        return Ok(value);
    }
    let detail = short(&value, "/detail");
    eprintln!("error: {} ({})", if detail.is_empty() { "the gateway refused it" } else { &detail }, answer.status);
    for fault in value.get("errors").and_then(Value::as_array).into_iter().flatten() {
        eprintln!("  {}: {}", flag(&short(fault, "/field")), short(fault, "/detail"));
    }
    Err(Exit::No)
}

fn exceptions(arguments: &List) -> Result<(), Exit> {
    let mut found = list(&arguments.operator, "/v1/exceptions", "exceptions")?;
    found.retain(|one| !arguments.pending || one.get("status").is_some_and(|status| status == "pending"));
    if arguments.operator.json {
        say(&json!({"exceptions": found}));
        return Ok(());
    }
    let mut table = Table::new(&["status", "until", "for whom", "where", "does", "why", "asked by", "id"]);
    table.rows = found
        .iter()
        .map(|one| {
            let at = |pointer: &str| one.pointer(pointer).cloned().unwrap_or_default();
            let does = match short(one, "/permits") {
                fragment if fragment.is_empty() => format!("lifts {}", short(one, "/lifts")),
                fragment => format!("permits {fragment}"),
            };
            let by = at("/requested/by/person");
            vec![
                at("/status"),
                until(one).into(),
                whom(one).into(),
                places(one).into(),
                does.into(),
                at("/reason"),
                by,
                at("/id"),
            ]
        })
        .collect();
    out(format_args!("{}", table.text(look())));
    Ok(())
}

fn export(arguments: &Export) -> Result<(), Exit> {
    let mut found = list(&arguments.operator, "/v1/exceptions", "exceptions")?;
    let wanted = |one: &Value| {
        let id = short(one, "/id");
        arguments.ids.is_empty() || arguments.ids.iter().any(|wanted| wanted.to_string() == id)
    };
    found.retain(|one| one.get("status").is_some_and(|status| status == "active") && wanted(one));
    if arguments.operator.json {
        say(&json!({"exceptions": found}));
    } else {
        out(format_args!("{}", crate::state::export(&found)));
    }
    Ok(())
}

fn told(json: bool, one: &Value) {
    if json {
        return say(one);
    }
    out(format_args!("exception {}\n", short(one, "/id")));
    for (name, pointer) in [
        ("status", "/status"),
        ("permits", "/permits"),
        ("lifts", "/lifts"),
        ("why", "/reason"),
        ("asked by", "/requested/by/person"),
        ("approved", "/approved/by/person"),
        ("closed", "/closed/by/person"),
    ] {
        let text = short(one, pointer);
        if !text.is_empty() {
            out(format_args!("{name:<9} {text}\n"));
        }
    }
    out(format_args!(
        "until     {}\nfor whom  {}\nwhere     {}\ndata      {}\n",
        until(one),
        whom(one),
        places(one),
        classes(one)
    ));
}
