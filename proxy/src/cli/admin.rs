//! Calls of the admin API from the command line: where it is, what the operator shows, and one call.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use super::Exit;
use super::ask::{self, Answer, Authentication, Method, Place};

/// Where the admin listener is, and what the operator shows.
#[derive(Debug, Args)]
pub struct Operator {
    /// The admin listener.
    #[arg(long, env = "GATEPASS_ADMIN", value_name = "URL", default_value = "http://127.0.0.1:3129")]
    admin: String,
    /// The operator's token.
    #[arg(long, env = "GATEPASS_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// The operator's certificate.
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Its key.
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Whom to trust as the gateway, for `https`.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl Operator {
    /// One call; its answer in JSON. Where there is none, why not is said, and how the command ends returned.
    pub fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Exit> {
        let question = ask::Question {
            place: Place::Admin(self.admin.clone()),
            path: path.to_owned(),
            authentication: Authentication {
                certificate: self.cert.clone().zip(self.key.clone()),
                ca: self.ca.clone(),
                token: self.token.clone(),
            },
            json: true,
            method,
            body: body.map(Value::to_string),
        };
        let failed = |problem: String| {
            eprintln!("error: {problem}");
            Exit::Failed
        };
        let answer = ask::ask(&question).map_err(failed)?;
        let value: Value = serde_json::from_str(&answer.body)
            .map_err(|_| failed(format!("`{}` does not answer as an admin listener does", self.admin)))?;
        if (200..300).contains(&answer.status) { Ok(value) } else { Err(refused(&answer, &value)) }
    }
}

/// Say why it was refused. 401, 403 and what the gateway could not do are no answers to the question.
fn refused(answer: &Answer, problem: &Value) -> Exit {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    eprintln!("error: {}", text(problem, "detail"));
    for fault in problem.get("errors").and_then(Value::as_array).into_iter().flatten() {
        eprintln!("  {}: {}", text(fault, "field"), text(fault, "detail"));
    }
    match answer.status {
        400 | 404 | 409 => Exit::No,
        _ => Exit::Failed,
    }
}
