//! Exceptions through the reserved host: a workload that was denied asks for itself, with the identity that it has, and
//! asks later what became of it. It needs no account anywhere, and can ask for nobody else.

use std::time::Duration;

use gatepass_policy::identity::{Identity, Method};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use crate::admin::{Problem, exception_of};
use crate::conversation::Conversation;
use crate::http1::{Framing, RequestHead, Target};
use crate::refusal::{After, Body, Form, quoted};
use crate::shared::Shared;
use crate::state::Requester;

/// Where exceptions are asked for, on the reserved host.
const PATH: &str = "/v1/exceptions";

/// Bytes of a request: a page of text.
const BODY_MAX: usize = 16 << 10;

/// How long a client may take to send them.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is asked about exceptions.
pub enum Errand {
    /// For one.
    Request,
    /// What became of one.
    Status(String),
}

impl Errand {
    /// Of a request to the reserved host; `None` where it is about something else.
    pub fn of(head: &RequestHead) -> Option<Errand> {
        let Target::Absolute { path_and_query, .. } = &head.target else { return None };
        match (head.method(), &**path_and_query) {
            ("POST", PATH) => Some(Errand::Request),
            ("GET" | "HEAD", path) => {
                let id = path.strip_prefix(PATH)?.strip_prefix('/')?;
                uuid::Uuid::try_parse(id).ok().map(|id| Errand::Status(id.to_string()))
            }
            _ => None,
        }
    }
}

/// The whole HTTP/1.1 answer.
pub async fn answer(
    errand: Errand,
    asker: &Identity,
    conversation: &mut Conversation,
    head: &RequestHead,
    (form, after): (Form, After),
    shared: &Shared,
) -> Vec<u8> {
    let done = match errand {
        Errand::Request => request(asker, conversation, head, shared).await,
        Errand::Status(id) => shared.state.exception(&id, Some(asker.id())).map_err(Problem::from),
    };
    render(done, form, after, Body::for_method(head.method()))
}

async fn request(
    asker: &Identity,
    conversation: &mut Conversation,
    head: &RequestHead,
    shared: &Shared,
) -> Result<Value, Problem> {
    match asker.method() {
        Method::None => {
            let detail =
                "without an identity nobody knows for whom this is asked: show credentials, or ask an operator";
            return Err(Problem::forbidden(detail));
        }
        Method::Mtls | Method::Jwt | Method::Token | Method::Network => {}
    }
    let field = |name: &str| head.fields.iter().find(|field| field.lower() == name).map(|field| field.value().to_vec());
    // A page in a browser that uses this proxy must not ask in somebody's name.
    if field("origin").is_some() || field("sec-fetch-site").is_some_and(|site| site != b"none") {
        return Err(Problem::forbidden("requests of web pages are not answered"));
    }
    if !field("content-type").is_some_and(|kind| kind.eq_ignore_ascii_case(b"application/json")) {
        return Err(Problem::new(
            http::StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "`Content-Type: application/json` is wanted",
        ));
    }
    let body = read(conversation, head.framing).await?;
    let body: Value = serde_json::from_slice(&body)
        .map_err(|error| Problem::new(http::StatusCode::BAD_REQUEST, format!("the body is not JSON: {error}")))?;
    let known =
        ["identities", "destinations", "data_classes", "reason", "ticket", "ttl", "permits", "lifts", "decision"];
    if let Some(unknown) = body.as_object().into_iter().flatten().find(|(key, _)| !known.contains(&key.as_str())) {
        return Err(Problem::new(
            http::StatusCode::BAD_REQUEST,
            format!("`{}` is not a field here", unknown.0.escape_debug()),
        ));
    }
    let asked = exception_of(&body)?;
    let subject = shared.policy.current().set.registered(asker);
    let data_classes = subject.registered.iter().map(ToString::to_string).collect();
    let requester = Requester::Workload { identity: asker.id().to_owned(), data_classes };
    shared.state.request_exception(requester, asked).await.map_err(Problem::from)
}

/// A whole body of a length that is told beforehand.
async fn read(conversation: &mut Conversation, framing: Framing) -> Result<Vec<u8>, Problem> {
    let length = match framing {
        Framing::Length(length) => usize::try_from(length).unwrap_or(usize::MAX),
        Framing::None | Framing::Chunked | Framing::UntilClose => {
            return Err(Problem::new(http::StatusCode::LENGTH_REQUIRED, "a body with `Content-Length` is wanted"));
        }
    };
    if length > BODY_MAX {
        let detail = format!("the body is longer than {BODY_MAX} bytes");
        return Err(Problem::new(http::StatusCode::PAYLOAD_TOO_LARGE, detail));
    }
    let Conversation { client, buffer, .. } = conversation;
    let early = || Problem::new(http::StatusCode::BAD_REQUEST, "the body ended too early");
    let all = async {
        while buffer.len() < length {
            buffer.reserve(length - buffer.len());
            match client.read_buf(buffer).await {
                Ok(0) | Err(_) => return Err(early()),
                Ok(_) => {}
            }
        }
        Ok(buffer.split_to(length).to_vec())
    };
    let late = || Problem::new(http::StatusCode::REQUEST_TIMEOUT, "the body did not come in 10 s");
    tokio::time::timeout(PATIENCE, all).await.unwrap_or_else(|_| Err(late()))
}

fn render(done: Result<Value, Problem>, form: Form, after: After, sent: Body) -> Vec<u8> {
    let (status, more, body) = match (&done, form) {
        (Ok(value), Form::Json) => (http::StatusCode::OK, String::new(), format!("{value}\n")),
        (Ok(value), Form::Text) => (http::StatusCode::OK, String::new(), words(value)),
        (Err(problem), form) => {
            let errors: Vec<Value> =
                problem.errors.iter().map(|fault| json!({"field": fault.field, "detail": fault.detail})).collect();
            let body = match form {
                Form::Json => format!(
                    "{}\n",
                    json!({"status": problem.status.as_u16(), "detail": problem.detail, "errors": errors})
                ),
                Form::Text => {
                    let faults = problem.errors.iter().map(|fault| format!("  {}: {}\n", fault.field, fault.detail));
                    format!("{}\n{}", problem.detail, faults.collect::<String>())
                }
            };
            let details = quoted(&problem.detail);
            (problem.status, format!("; error=http_request_error; details={details}"), body)
        }
    };
    let kind = match form {
        Form::Text => "text/plain; charset=utf-8",
        Form::Json => "application/json",
    };
    let connection = match after {
        After::Close => "Connection: close\r\n",
        After::KeepAlive => "",
    };
    let length = body.len();
    let body = match sent {
        Body::Sent => &*body,
        Body::Withheld => "",
    };
    let phrase = status.canonical_reason().unwrap_or("Error");
    format!(
        "HTTP/1.1 {} {phrase}\r\nProxy-Status: gatepass{more}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nCache-Control: no-store\r\n{connection}\r\n{body}",
        status.as_u16()
    )
    .into_bytes()
}

/// An exception for a person.
fn words(one: &Value) -> String {
    let word = |pointer: &str| one.pointer(pointer).and_then(Value::as_str).unwrap_or("-").to_owned();
    format!("exception {}\n  status   {}\n  until    {}\n", word("/id"), word("/status"), word("/ends"))
}
