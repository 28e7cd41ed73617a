//! `gatepass login`: an ID token from the identity provider that a gateway names, kept for the commands that ask it.

mod browser;

mod device;

pub mod kept;

use std::path::PathBuf;

use clap::Args;
use http::Method;
use serde_json::{Value, json};

use super::Exit;
use super::ask::{self, Authentication, Place, Question};
use crate::admin::oidc::fetch::{self, Trust};

#[derive(Args)]
pub struct Arguments {
    /// The admin listener: `http://HOST:PORT`, `https://HOST:PORT` or `unix:/path`.
    #[arg(long, env = "GATEPASS_ADMIN", value_name = "URL")]
    admin: String,
    /// Whom to trust as the gateway, for an `https` URL.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// A client certificate, where the gateway requires one.
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Its key.
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Whom to trust as the identity provider; without it, the machine's own trust anchors.
    #[arg(long, value_name = "FILE")]
    issuer_ca: Option<PathBuf>,
    /// Log in with the browser of this machine, not with a code on any other.
    #[arg(long)]
    browser: bool,
    /// Forget the token that is kept for this gateway.
    #[arg(long, conflicts_with = "browser")]
    forget: bool,
    /// The answer as JSON.
    #[arg(long)]
    json: bool,
}

/// The identity provider, and who we are to it.
struct Provider {
    client_id: String,
    trust: Trust,
    issuer: String,
    document: Value,
}

impl Provider {
    /// An address of its discovery document.
    fn endpoint(&self, name: &str) -> Result<&str, String> {
        let found = self.document.get(name).and_then(Value::as_str);
        found.ok_or_else(|| format!("the identity provider has no `{name}`: it does not offer this way to log in"))
    }
}

pub fn run(arguments: &Arguments) -> Exit {
    if arguments.forget {
        return told(kept::forget(&arguments.admin).map(|()| "forgotten".to_owned()), arguments);
    }
    let (issuer, client_id) = match named(arguments) {
        Ok(named) => named,
        Err((exit, problem)) => {
            eprintln!("error: {problem}");
            return exit;
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return told(Err(error.to_string()), arguments),
    };
    let done = runtime.block_on(async {
        let trust = Trust { ca: arguments.issuer_ca.clone() };
        let document = fetch::discover(&issuer, &trust).await?;
        let provider = Provider { client_id, trust, issuer, document };
        let token = match arguments.browser {
            true => browser::log_in(&provider).await?,
            false => device::log_in(&provider).await?,
        };
        kept::keep(&arguments.admin, &token)
    });
    told(done.map(|file| format!("logged in; the token is in `{}`", file.display())), arguments)
}

fn told(done: Result<String, String>, arguments: &Arguments) -> Exit {
    match done {
        Ok(_) if arguments.json => println!("{}", json!({"admin": arguments.admin})),
        Ok(text) => println!("{text}"),
        Err(problem) => {
            eprintln!("error: {problem}");
            return Exit::Failed;
        }
    }
    Exit::Yes
}

/// The provider that the gateway names.
fn named(arguments: &Arguments) -> Result<(String, String), (Exit, String)> {
    let question = Question {
        place: Place::Admin(arguments.admin.clone()),
        method: Method::GET,
        path: "/v1/login".to_owned(),
        body: None,
        authentication: Authentication {
            certificate: arguments.cert.clone().zip(arguments.key.clone()),
            ca: arguments.ca.clone(),
            token: None,
            totp: None,
        },
        json: true,
    };
    let answer = ask::ask(&question).map_err(|problem| (Exit::Failed, problem))?;
    if answer.status == 404 {
        return Err((Exit::No, "this gateway takes no ID tokens: it has no `admin.oidc`".to_owned()));
    }
    let value: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    match (answer.status, text("issuer"), text("client_id")) {
        (200, Some(issuer), Some(client_id)) => Ok((issuer, client_id)),
        (status, _, _) => Err((Exit::Failed, format!("the gateway answered {status}, and named no identity provider"))),
    }
}

/// The ID token of an answer of the token endpoint.
fn id_token(answer: &Value) -> Result<String, String> {
    let token = answer.get("id_token").and_then(Value::as_str);
    token
        .map(str::to_owned)
        .ok_or_else(|| "the identity provider gave no ID token: allow the scope `openid`".to_owned())
}

/// What the provider says went wrong, without anything that a terminal would obey.
fn failure(answer: &Value) -> String {
    let text = |key: &str| answer.get(key).and_then(Value::as_str);
    let words = text("error_description").or(text("error")).unwrap_or("it gave no reason");
    format!("the identity provider refused: {}", visible(words))
}

fn visible(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}
