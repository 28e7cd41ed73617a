//! What every command shares that asks the admin API: where it is, what the operator shows, and how answers are told.

use std::path::PathBuf;

use clap::Args;
use http::Method;
use serde_json::Value;

use super::Exit;
use super::ask::{self, Answer, Authentication, Place, Question};
use super::login::kept;

/// The admin API, and who asks.
#[derive(Args)]
pub struct Operator {
    /// The admin listener: `http://HOST:PORT`, `https://HOST:PORT` or `unix:/path`.
    #[arg(long, env = "GATEPASS_ADMIN", value_name = "URL")]
    pub admin: String,
    #[command(flatten)]
    pub shown: Credentials,
    /// The answer as JSON.
    #[arg(long)]
    pub json: bool,
}

/// What an operator shows.
#[derive(Args)]
pub struct Credentials {
    /// The operator's token.
    #[arg(long, env = "GATEPASS_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// The client certificate to show to the gateway.
    #[arg(long, env = "GATEPASS_CERT", value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,
    /// Its key.
    #[arg(long, env = "GATEPASS_KEY", value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
    /// Whom to trust as the gateway, for an `https` URL.
    #[arg(long, env = "GATEPASS_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// A one-time code.
    #[arg(long, env = "GATEPASS_TOTP", value_name = "CODE", hide_env_values = true)]
    pub totp: Option<String>,
}

impl Credentials {
    /// As a question to this place takes them. Whoever shows nothing shows what `gatepass login` has kept, if anything.
    pub fn authentication(&self, place: &Place) -> Authentication {
        let kept = match (place, &self.token, &self.cert) {
            (Place::Admin(url), None, None) => kept::token(url),
            (Place::Proxy(_) | Place::Admin(_), _, _) => None,
        };
        Authentication {
            certificate: self.cert.clone().zip(self.key.clone()),
            ca: self.ca.clone(),
            token: self.token.clone().or(kept),
            totp: self.totp.clone(),
        }
    }
}

impl Operator {
    /// Ask, or have something done; the value that was answered. What went wrong is told, and how the command ends.
    pub fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, Exit> {
        let place = Place::Admin(self.admin.clone());
        let authentication = self.shown.authentication(&place);
        let question = Question { place, method, path: path.to_owned(), body, authentication, json: true };
        match ask::ask(&question) {
            Ok(answer) if (200..300).contains(&answer.status) => {
                serde_json::from_str(&answer.body).map_err(|error| failed(&format!("the answer is not JSON: {error}")))
            }
            Ok(answer) => {
                if self.json {
                    println!("{}", answer.body);
                } else {
                    eprintln!("{}", problem(&answer));
                }
                Err(Exit::No)
            }
            Err(problem) => Err(failed(&problem)),
        }
    }
}

fn failed(problem: &str) -> Exit {
    eprintln!("error: {problem}");
    Exit::Failed
}

/// A problem document in words: the detail, and each field that is wrong.
fn problem(answer: &Answer) -> String {
    let Ok(document) = serde_json::from_str::<Value>(&answer.body) else {
        return format!("error: the gateway answered {}", answer.status);
    };
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let detail = text(&document, "detail").unwrap_or_default();
    let mut told = format!("error: {detail} ({})", answer.status);
    for fault in document.get("errors").and_then(Value::as_array).into_iter().flatten() {
        let field = text(fault, "field").filter(|field| !field.is_empty()).unwrap_or_else(|| "the body".to_owned());
        let field = flag(&field);
        told.push_str(&format!("\n  {field}: {}", text(fault, "detail").unwrap_or_default()));
    }
    told
}

/// A field of a request, by the flag that fills it.
pub fn flag(field: &str) -> &str {
    match field {
        "ttl" => "--for",
        "identities" => "--identity",
        "data_classes" => "--data-class",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::flag;

    #[test]
    fn a_field_is_told_by_the_flag_that_fills_it() {
        assert_eq!((flag("ttl"), flag("identities"), flag("mode")), ("--for", "--identity", "mode"));
    }
}
