//! What operators do to what is open: see what a candidate would cut, and cut one.

use std::sync::Arc;

use gatepass_policy::diagnostic::Diagnostic;
use gatepass_policy::source::SourceFile;
use http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::api::{Answering, Asked};
use super::problem::{Fault, Problem};
use super::reply;
use crate::live::Candidate;

/// What answers a preview; what is wrong with the candidate otherwise.
pub type Preview = Arc<dyn Fn(&Candidate) -> Result<Value, Vec<Diagnostic>> + Send + Sync>;

/// Cuts what is open under this id, on this operator's word; whether there is such a thing.
pub type CutOne = Box<dyn Fn(Uuid, &str) -> bool + Send + Sync>;

pub(super) fn preview<'a>(asked: &'a Asked<'a>) -> Answering<'a> {
    Box::pin(async move {
        let candidate = candidate(&asked.body);
        if candidate.files.is_none() && candidate.mode.is_none() {
            let fault = Fault::new("files", "is missing, and so is `mode`: one of them is what would change");
            return Err(Problem::faults("the body is not as it has to be", vec![fault]));
        }
        let preview = Arc::clone(&asked.state.preview);
        let answer = tokio::task::spawn_blocking(move || preview(&candidate)).await;
        let answer = answer.map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the preview failed"))?;
        let body = answer.map_err(|diagnostics| {
            Problem::faults("the candidate bundle would be refused", diagnostics.iter().map(fault).collect())
        })?;
        Ok(reply::json(StatusCode::OK, &body))
    })
}

pub(super) fn cut<'a>(asked: &'a Asked<'a>) -> Answering<'a> {
    Box::pin(async move {
        let by = format!("operator/{}", asked.caller()?.operator.name);
        let id = asked.id.and_then(|id| Uuid::try_parse(id).ok()).filter(|id| (asked.state.cut)(*id, &by));
        match id {
            Some(id) => Ok(reply::json(StatusCode::OK, &json!({"id": id.to_string()}))),
            None => Err(Problem::not_found("nothing of this id is open")),
        }
    })
}

fn candidate(body: &Value) -> Candidate {
    let file = |file: &Value| {
        let text = |key| file.get(key).and_then(Value::as_str).map(str::to_owned);
        Some(SourceFile { name: text("name")?, text: text("text")?.into_bytes() })
    };
    Candidate {
        files: body.get("files").and_then(Value::as_array).map(|files| files.iter().filter_map(file).collect()),
        mode: body.get("mode").and_then(Value::as_str).map(str::to_owned),
    }
}

fn fault(diagnostic: &Diagnostic) -> Fault {
    let help = diagnostic.help.as_ref().map_or_else(String::new, |help| format!("; {help}"));
    let place = format!("{}:{}:{}", diagnostic.file, diagnostic.line, diagnostic.column);
    Fault::new(place, format!("{}{help}", diagnostic.message))
}
