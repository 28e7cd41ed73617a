//! The paths of the admin listener.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header};
use http_body_util::Full;
use serde_json::{Value, json};
use uuid::Uuid;

use super::problem::Problem;
use super::{Limits, State, door};
use crate::evidence::DecisionRecord;
use crate::explanation::explain;
use crate::refusal::Form;
use crate::reserved::canonical;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
/// The version of the text format that the exporter writes.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Decisions in one answer where the request does not say.
const DECISIONS: usize = 100;

/// What is asked for.
enum Route<'a> {
    Health,
    Ready,
    Metrics,
    Policy,
    Tunnels,
    Decisions,
    Decision(&'a str),
}

impl Route<'_> {
    fn of(path: &str) -> Option<Route<'_>> {
        Some(match path {
            "/health" => Route::Health,
            "/ready" => Route::Ready,
            "/metrics" => Route::Metrics,
            "/v1/policy" => Route::Policy,
            "/v1/tunnels" => Route::Tunnels,
            "/v1/decisions" => Route::Decisions,
            _ => Route::Decision(path.strip_prefix("/v1/decisions/")?),
        })
    }

    fn open(&self) -> bool {
        match self {
            Route::Health | Route::Ready | Route::Metrics => true,
            Route::Policy | Route::Tunnels | Route::Decisions | Route::Decision(_) => false,
        }
    }
}

pub(super) fn route(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    state: &State,
    limits: Limits,
) -> Result<Response<Full<Bytes>>, Problem> {
    let route = Route::of(uri.path()).ok_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, "Not Found", "there is no such path on the admin listener")
    })?;
    if !route.open() {
        door::operator(headers, &state.operators, (state.now)())?;
    }
    if method != Method::GET && method != Method::HEAD {
        return Err(Problem {
            field: Some((header::ALLOW, "GET, HEAD")),
            ..Problem::new(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed", "this path only answers GET and HEAD")
        });
    }
    match route {
        Route::Health => Ok(answer(StatusCode::OK, JSON, json!({"status": "ok"}).to_string())),
        Route::Ready => Ok(ready(state)),
        Route::Metrics => {
            state.evidence.observe();
            (state.refresh)();
            Ok(answer(StatusCode::OK, PROMETHEUS, state.metrics.render()))
        }
        Route::Policy => Ok(policy(state)),
        Route::Tunnels => Ok(answer(StatusCode::OK, JSON, json!({"tunnels": (state.tunnels)()}).to_string())),
        Route::Decisions => {
            let query = Query::parse(uri.query().unwrap_or_default())?;
            let limit = query.limit.unwrap_or(DECISIONS).min(limits.decisions);
            let found = state.evidence.recent().newest(limit, |record| query.wants(record));
            told(&found, form_of(headers), |json| format!("{{\"decisions\":[{}]}}", json.join(",")))
        }
        Route::Decision(id) => told(&[decision(state, id)?], form_of(headers), |json| json.concat()),
    }
}

fn ready(state: &State) -> Response<Full<Bytes>> {
    let mut ready = (state.ready)();
    if let Err(unavailable) = state.evidence.available() {
        ready.not_ready.push(unavailable.to_string());
    }
    let status = if ready.not_ready.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "ready": ready.not_ready.is_empty(), "reasons": ready.not_ready, "degraded": ready.degraded,
    });
    answer(status, JSON, body.to_string())
}

fn policy(state: &State) -> Response<Full<Bytes>> {
    let view = (state.policy)();
    let mut body = json!({
        "bundle": view.policy.bundle, "digest": view.policy.digest, "serial": view.policy.serial,
        "rules": view.rules, "activated": view.activated.to_string(),
    });
    if let (Some(error), Value::Object(fields)) = (view.last_error, &mut body) {
        fields.insert("last_error".into(), error.into());
    }
    answer(StatusCode::OK, JSON, body.to_string())
}

/// Which decisions: `identity`, `host`, `outcome`, `limit`, each once.
#[derive(Default)]
struct Query {
    identity: Option<String>,
    host: Option<String>,
    /// One, or several with commas.
    outcome: Option<String>,
    limit: Option<usize>,
}

impl Query {
    fn parse(query: &str) -> Result<Query, Problem> {
        let malformed = || {
            Problem::new(
                StatusCode::BAD_REQUEST,
                "Bad Request",
                "the query takes `identity`, `host`, `outcome` and `limit`, each once, percent-encoded",
            )
        };
        let mut parsed = Query::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').ok_or_else(malformed)?;
            let value = decoded(value).ok_or_else(malformed)?;
            let repeated = match key {
                "identity" => parsed.identity.replace(value).is_some(),
                "host" => parsed.host.replace(canonical(&value).ok_or_else(malformed)?).is_some(),
                "outcome" => parsed.outcome.replace(value).is_some(),
                "limit" => parsed.limit.replace(value.parse().map_err(|_| malformed())?).is_some(),
                _ => return Err(malformed()),
            };
            if repeated {
                return Err(malformed());
            }
        }
        Ok(parsed)
    }

    fn wants(&self, record: &DecisionRecord) -> bool {
        let host = || record.destination.as_ref()?.host.as_ref().map(|host| host.as_str());
        let identity = record.identity.as_ref().map(|who| who.id.as_str());
        self.identity.as_deref().is_none_or(|wanted| identity == Some(wanted))
            && self.host.as_deref().is_none_or(|wanted| host() == Some(wanted))
            && self.outcome.as_deref().is_none_or(|wanted| wanted.split(',').any(|one| record.outcome.as_str() == one))
    }
}

/// Percent-decoded (RFC 3986 section 2.1); `None` where that is malformed or not UTF-8.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let high = char::from(rest.next()?).to_digit(16)?;
                let low = char::from(rest.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// JSON, unless text is all that the caller can read: `gatepass why` for people.
fn form_of(headers: &HeaderMap) -> Form {
    let text = headers.get(header::ACCEPT).is_some_and(|accept| accept.as_bytes() == b"text/plain");
    if text { Form::Text } else { Form::Json }
}

fn told(
    records: &[Arc<DecisionRecord>],
    form: Form,
    wrap: impl FnOnce(&[String]) -> String,
) -> Result<Response<Full<Bytes>>, Problem> {
    if form == Form::Text {
        let text: Vec<String> = records.iter().map(|record| explain(record)).collect();
        return Ok(answer(StatusCode::OK, TEXT, text.join("\n")));
    }
    let json: Result<Vec<String>, _> = records.iter().map(|record| serde_json::to_string(&**record)).collect();
    Ok(answer(StatusCode::OK, JSON, wrap(&json.map_err(|_| unwritable())?)))
}

fn decision(state: &State, id: &str) -> Result<Arc<DecisionRecord>, Problem> {
    Uuid::try_parse(id).ok().and_then(|id| state.evidence.recent().by_id(id)).ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "Not Found",
            "no decision of this id is in memory; older ones are in the records",
        )
    })
}

fn unwritable() -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "Internal Server Error",
        "the decision could not be written as JSON",
    )
}

/// An answer that no cache keeps and no browser guesses about.
pub(super) fn answer(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    fields.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
