//! `gatepass why`: why the caller was denied, asked of the gateway itself with the caller's own identity.

use clap::Args;
use http::Method;

use super::Exit;
use super::ask::{self, Place};
use super::operator::Credentials;

#[derive(Args)]
pub struct Arguments {
    /// A decision id, or a host; without either, the caller's last denial.
    what: Option<String>,
    /// The gateway, as a proxy URL; credentials may stand in it.
    #[arg(long, env = "HTTPS_PROXY", value_name = "URL")]
    proxy: Option<String>,
    /// Ask the admin API instead, as an operator, for anyone's decision.
    #[arg(long, env = "GATEPASS_ADMIN", value_name = "URL")]
    admin: Option<String>,
    #[command(flatten)]
    shown: Credentials,
    /// The answer as JSON.
    #[arg(long)]
    json: bool,
}

/// The last time that anybody did not get through.
const LAST: &str = "/v1/decisions?outcome=refused,failed&limit=1";

pub fn run(arguments: &Arguments) -> Exit {
    let question = match question(arguments) {
        Ok(question) => question,
        Err(problem) => {
            eprintln!("error: {problem}");
            return Exit::Usage;
        }
    };
    match ask::ask(&question) {
        Ok(answer) if answer.status != 200 => {
            print!("{}", answer.body);
            Exit::No
        }
        Ok(answer) => match the_one(answer.body, arguments.json) {
            Some(text) => {
                print!("{text}");
                Exit::Yes
            }
            None => {
                println!("no such denial is remembered");
                Exit::No
            }
        },
        Err(problem) => {
            eprintln!("error: {problem}");
            Exit::Failed
        }
    }
}

/// The decision of an answer, which on the admin listener may be a list of one or none.
fn the_one(body: String, json: bool) -> Option<String> {
    if !json {
        return (!body.is_empty()).then_some(body);
    }
    let value: serde_json::Value = serde_json::from_str(&body).ok()?;
    match value.get("decisions") {
        None => Some(body),
        Some(list) => Some(format!("{}\n", list.get(0)?)),
    }
}

fn question(arguments: &Arguments) -> Result<ask::Question, String> {
    let what = arguments.what.as_deref().unwrap_or_default();
    if what.bytes().any(|b| !(b.is_ascii_alphanumeric() || b"-._:[]".contains(&b))) {
        return Err(format!("`{what}` is neither a decision id nor a host"));
    }
    // In a query an IPv6 address stands without brackets: they are no characters of a URL there.
    let what = what.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(what);
    let id = uuid::Uuid::try_parse(what).is_ok();
    // A gateway that is named on the command line is meant, whatever the environment says of another.
    let is_named = |value: &Option<String>, variable| value.is_some() && *value != std::env::var(variable).ok();
    let is_proxy = is_named(&arguments.proxy, "HTTPS_PROXY") && !is_named(&arguments.admin, "GATEPASS_ADMIN");
    let (place, path) = match (arguments.admin.as_ref().filter(|_| !is_proxy), &arguments.proxy) {
        (Some(admin), _) => {
            let path = match (what, id) {
                ("", _) => LAST.to_owned(),
                (id, true) => format!("/v1/decisions/{id}"),
                (host, false) => format!("{LAST}&host={host}"),
            };
            (Place::Admin(admin.clone()), path)
        }
        (None, Some(proxy)) => {
            let path = match (what, id) {
                ("", _) => "/".to_owned(),
                (id, true) => format!("/{id}"),
                (host, false) => format!("/?host={host}"),
            };
            (Place::Proxy(proxy.clone()), path)
        }
        (None, None) => {
            return Err("which gateway? set HTTPS_PROXY or pass `--proxy http://HOST:PORT`".to_owned());
        }
    };
    let authentication = arguments.shown.authentication(&place);
    Ok(ask::Question { place, method: Method::GET, path, body: None, authentication, json: arguments.json })
}
