//! What the operations that read are answered with.

use std::cell::Cell;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::{Value, json};
use uuid::Uuid;

use super::api::{self, Asked, More, link};
use super::problem::{Fault, Problem};
use super::reply::{self, JSON, TEXT, answer};
use crate::evidence::DecisionRecord;
use crate::explanation::explain;
use crate::refusal::Form;
use crate::reserved::canonical;

/// The version of the text format that the exporter writes.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

type Answered = Result<Response<Full<Bytes>>, Problem>;

pub(super) fn health(_: &Asked<'_>) -> Answered {
    Ok(reply::json(StatusCode::OK, &json!({"status": "ok"})))
}

pub(super) fn ready(asked: &Asked<'_>) -> Answered {
    let mut ready = (asked.state.ready)();
    if let Err(unavailable) = asked.state.evidence.available() {
        ready.not_ready.push(unavailable.to_string());
    }
    let status = if ready.not_ready.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "ready": ready.not_ready.is_empty(), "reasons": ready.not_ready, "degraded": ready.degraded,
    });
    Ok(reply::json(status, &body))
}

pub(super) fn metrics(asked: &Asked<'_>) -> Answered {
    asked.state.evidence.observe();
    (asked.state.refresh)();
    Ok(answer(StatusCode::OK, PROMETHEUS, asked.state.metrics.render()))
}

pub(super) fn openapi(asked: &Asked<'_>) -> Answered {
    Ok(reply::json(StatusCode::OK, &api::document(asked.state.table)))
}

pub(super) fn login(asked: &Asked<'_>) -> Answered {
    let oidc = asked.state.oidc.as_ref();
    let provider =
        oidc.ok_or_else(|| Problem::not_found("no identity provider is configured: see `admin.oidc`"))?.settings();
    Ok(reply::json(StatusCode::OK, &json!({"issuer": provider.issuer, "client_id": provider.client_id})))
}

pub(super) fn whoami(asked: &Asked<'_>) -> Answered {
    let caller = asked.caller()?;
    let operator = &caller.operator;
    let roles: Vec<&str> = operator.roles.iter().map(|role| role.as_str()).collect();
    let by: Vec<&str> = caller.by.iter().map(|by| by.as_str()).collect();
    let body = json!({
        "operator": operator.name, "person": operator.person, "roles": roles, "by": by,
        "expires": operator.expires.to_string(), "one_time_codes": operator.totp.is_some(),
    });
    Ok(reply::json(StatusCode::OK, &body))
}

pub(super) fn policy(asked: &Asked<'_>) -> Answered {
    let view = (asked.state.policy)();
    let mut body = json!({
        "bundle": view.policy.bundle, "digest": view.policy.digest, "serial": view.policy.serial,
        "rules": view.rules, "activated": view.activated.to_string(),
    });
    if let Value::Object(fields) = &mut body {
        let times = [("not_after", view.not_after), ("confirmed", view.confirmed)];
        fields.extend(times.into_iter().filter_map(|(key, time)| Some((key.to_owned(), time?.to_string().into()))));
        fields.extend(view.stale.map(|why| ("stale".to_owned(), why.into())));
        fields.extend(view.candidate.map(|candidate| ("candidate".to_owned(), candidate)));
        fields.extend(view.last_error.map(|error| ("last_error".to_owned(), error.into())));
        fields.extend((!view.fleet.is_empty()).then(|| ("fleet".to_owned(), view.fleet.into())));
    }
    Ok(reply::json(StatusCode::OK, &body))
}

pub(super) fn tunnels(asked: &Asked<'_>) -> Answered {
    let page = asked.page();
    let (tunnels, more) = page.cut((asked.state.tunnels)());
    Ok(page.answer("tunnels", tunnels, more))
}

pub(super) fn decisions(asked: &Asked<'_>) -> Answered {
    let page = asked.page();
    let wanted = Wanted::of(asked)?;
    let recent = asked.state.evidence.recent();
    let after = page.after.and_then(|after| Uuid::try_parse(after).ok());
    // Where the last one of the page before is forgotten, so is every older one; ids are in the order of time.
    let reached = Cell::new(after.is_none());
    let remembered = after.is_some_and(|after| recent.by_id(after).is_some());
    let older = |record: &DecisionRecord| {
        let is_older = reached.get() || (!remembered && after.is_some_and(|after| record.id < after));
        reached.set(reached.get() || after == Some(record.id));
        is_older
    };
    let mut found = recent.newest(page.limit.saturating_add(1), |record| older(record) && wanted.wants(record));
    let more = if found.len() > page.limit { More::Yes } else { More::No };
    found.truncate(page.limit);
    let last = found.last().map(|record| record.id.to_string());
    let next = page.next(last.as_deref(), more);
    let shown = next.as_ref().map_or_else(String::new, |next| format!(",\"next\":{}", Value::from(next.as_str())));
    let mut response =
        told(&found, form_of(asked.headers), |json| format!("{{\"decisions\":[{}]{shown}}}", json.join(",")))?;
    link(&mut response, next.as_deref());
    Ok(response)
}

pub(super) fn decision(asked: &Asked<'_>) -> Answered {
    let id = asked.id.and_then(|id| Uuid::try_parse(id).ok());
    let found = id
        .and_then(|id| asked.state.evidence.recent().by_id(id))
        .ok_or_else(|| Problem::not_found("no decision of this id is in memory; older ones are in the records"))?;
    told(&[found], form_of(asked.headers), |json| json.concat())
}

/// Which decisions.
struct Wanted {
    identity: Option<String>,
    host: Option<String>,
    /// One, or several with commas.
    outcome: Option<String>,
}

impl Wanted {
    fn of(asked: &Asked<'_>) -> Result<Wanted, Problem> {
        let text = |name| asked.query.text(name).map(str::to_owned);
        let host = match asked.query.text("host") {
            None => None,
            Some(host) => Some(canonical(host).ok_or_else(|| {
                let fault = Fault::new("host", "is neither a host name nor an address");
                Problem::faults("the query is not as it has to be", vec![fault])
            })?),
        };
        Ok(Wanted { identity: text("identity"), host, outcome: text("outcome") })
    }

    fn wants(&self, record: &DecisionRecord) -> bool {
        let host = || record.destination.as_ref()?.host.as_ref().map(|host| host.as_str());
        let identity = record.identity.as_ref().map(|who| who.id.as_str());
        self.identity.as_deref().is_none_or(|wanted| identity == Some(wanted))
            && self.host.as_deref().is_none_or(|wanted| host() == Some(wanted))
            && self.outcome.as_deref().is_none_or(|wanted| wanted.split(',').any(|one| record.outcome.as_str() == one))
    }
}

/// JSON, unless text is all that the caller can read: `gatepass why` for people.
fn form_of(headers: &HeaderMap) -> Form {
    let text = headers.get(header::ACCEPT).is_some_and(|accept| accept.as_bytes() == b"text/plain");
    if text { Form::Text } else { Form::Json }
}

fn told(records: &[Arc<DecisionRecord>], form: Form, wrap: impl FnOnce(&[String]) -> String) -> Answered {
    if form == Form::Text {
        let text: Vec<String> = records.iter().map(|record| explain(record)).collect();
        return Ok(answer(StatusCode::OK, TEXT, text.join("\n")));
    }
    let json: Result<Vec<String>, _> = records.iter().map(|record| serde_json::to_string(&**record)).collect();
    let unwritable = "the decision could not be written as JSON";
    let json = json.map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, unwritable))?;
    Ok(answer(StatusCode::OK, JSON, wrap(&json)))
}
