//! What answers the operations on grants, exceptions, the mode and tunnels.

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;
use serde_json::{Map, Value, json};

use super::Overriding;
use super::api::{Answering, Asked};
use super::caller::By;
use super::problem::{Fault, Problem};
use super::reply;
use super::totp::FIELD;
use crate::state::entry::{Destinations, Who, show_length};
use crate::state::{Code, ExceptionRequest, GrantRequest, ModeRequest, Refused, Requester, State};

type Answered = Result<Response<Full<Bytes>>, Problem>;

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Problem {
        match refused {
            Refused::Invalid(faults) => {
                let faults = faults.into_iter().map(|(field, detail)| Fault::new(renamed(&field), detail));
                Problem::faults("the request is not as it has to be", faults.collect())
            }
            Refused::Forbidden(detail) => Problem::forbidden(detail),
            Refused::NotFound(detail) => Problem::not_found(detail),
            Refused::Conflict(detail) => Problem::new(StatusCode::CONFLICT, detail),
            Refused::TooMany(wait) => Problem::too_many("too many requests of one person: wait", wait),
            Refused::Unavailable(detail) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail),
        }
    }
}

/// The field of the body in place of the part of it that was read from there.
fn renamed(field: &str) -> &str {
    match field {
        "for" => "ttl",
        other if other.starts_with("destinations.") => "destinations",
        other => other,
    }
}

/// Who calls, as it is kept.
fn who(asked: &Asked<'_>) -> Result<Who, Problem> {
    let caller = asked.caller()?;
    // A certificate is the strongest of what was shown.
    let by =
        if caller.showed(By::Certificate) { By::Certificate } else { caller.by.first().copied().unwrap_or(By::Token) };
    Ok(Who { name: caller.operator.name.clone(), person: caller.person().to_owned(), method: by.as_str().to_owned() })
}

fn overriding<'a>(asked: &'a Asked<'_>) -> Result<&'a Overriding, Problem> {
    let none = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "this gateway keeps no overrides");
    asked.state.overriding.as_ref().ok_or_else(none)
}

fn state<'a>(asked: &'a Asked<'_>) -> Result<&'a State, Problem> {
    overriding(asked).map(|overriding| &*overriding.state)
}

fn id<'a>(asked: &'a Asked<'_>) -> Result<&'a str, Problem> {
    asked.id.ok_or_else(|| Problem::not_found("an id is wanted"))
}

/// What of a body can be read as it is.
fn fields(body: &Value, keys: &[&str]) -> Map<String, Value> {
    let found = keys.iter().filter_map(|key| Some(((*key).to_owned(), body.get(*key)?.clone())));
    found.collect()
}

/// A body as a request: seconds become a length, `host:port` becomes places and ports.
fn request<T: serde::de::DeserializeOwned>(body: &Value, keys: &[&str]) -> Result<T, Problem> {
    let mut read = fields(body, keys);
    if let Some(list) = body.get("destinations") {
        let destinations = destinations(list)?;
        read.insert("destinations".to_owned(), json!(destinations));
    }
    if let Some(seconds) = body.get("ttl").and_then(Value::as_i64) {
        let length = show_length(jiff::SignedDuration::from_secs(seconds));
        read.insert("for".to_owned(), length.into());
    }
    serde_json::from_value(Value::Object(read))
        .map_err(|error| Problem::faults("the request is not as it has to be", vec![Fault::new("", error.to_string())]))
}

/// `host:port` each; all with the same ports, for what is granted is every place with every port.
fn destinations(list: &Value) -> Result<Destinations, Problem> {
    let fault = |at: usize, detail: String| {
        let fault = Fault::new(format!("destinations[{at}]"), detail);
        Problem::faults("the request is not as it has to be", vec![fault])
    };
    let (mut places, mut to) = (std::collections::BTreeMap::<String, Vec<u16>>::new(), Destinations::default());
    for (at, text) in list.as_array().into_iter().flatten().enumerate() {
        let text = text.as_str().unwrap_or_default();
        let split = text.rsplit_once(':').and_then(|(place, port)| Some((place, port.parse::<u16>().ok()?)));
        let Some((place, port @ 1..)) = split else {
            return Err(fault(at, format!("`{}` is not `host:port`, such as `api.example.com:443`", shown(text))));
        };
        let ports = places.entry(place.to_owned()).or_default();
        if !ports.contains(&port) {
            ports.push(port);
        }
        ports.sort_unstable();
    }
    let first = places.values().next().cloned().unwrap_or_default();
    if places.values().any(|ports| *ports != first) {
        let detail = "places with different ports would each be opened on all of them: ask once for each set of ports";
        return Err(fault(0, detail.to_owned()));
    }
    to.ports = first;
    for place in places.into_keys() {
        let bare = place.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&place);
        if let Ok(ip) = bare.parse::<std::net::IpAddr>() {
            to.cidrs.push(ipnet::IpNet::from(gatepass_policy::address::unmap(ip)).to_string());
        } else if bare.contains('/') {
            to.cidrs.push(bare.to_owned());
        } else {
            to.hosts.push(place);
        }
    }
    Ok(to)
}

fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}

pub(super) fn grants(asked: &Asked<'_>) -> Answered {
    let page = asked.page();
    let (grants, more) = page.cut(state(asked)?.list_grants());
    Ok(page.answer("grants", grants, more))
}

pub(super) fn grant(asked: &Asked<'_>) -> Answered {
    Ok(reply::json(StatusCode::OK, &state(asked)?.grant_uses(id(asked)?)?))
}

pub(super) fn grant_request<'a>(asked: &'a Asked<'a>) -> Answering<'a> {
    Box::pin(async move {
        let who = who(asked)?;
        let mut read: GrantRequest =
            request(&asked.body, &["identities", "data_classes", "reason", "ticket", "drill", "nonce"])?;
        state(asked)?.complete(&read.identities, &mut read.data_classes);
        let code = match asked.headers.contains_key(FIELD) {
            true => asked.second_factor().map(|_| Code::Right)?,
            false => Code::None,
        };
        let granted = state(asked)?.request_grant(&who, code, read).await?;
        Ok(reply::json(StatusCode::CREATED, &granted))
    })
}

pub(super) fn grant_approve<'a>(asked: &'a Asked<'a>) -> Answering<'a> {
    Box::pin(async move {
        let granted = state(asked)?.approve_grant(&who(asked)?, id(asked)?).await?;
        Ok(reply::json(StatusCode::OK, &granted))
    })
}

pub(super) fn grant_revoke<'a>(asked: &'a Asked<'a>) -> Answering<'a> {
    Box::pin(async move {
        let reason = asked.query.text("reason").map(str::to_owned);
        let granted = state(asked)?.revoke_grant(&who(asked)?, id(asked)?, reason).await?;
        Ok(reply::json(StatusCode::OK, &granted))
    })
}

pub(super) fn grant_review<'a>(asked: &'a Asked<'a>) -> Answering<'a> {
    Box::pin(async move {
        let note = asked.body.get("note").and_then(Value::as_str).map(str::to_owned);
        let granted = state(asked)?.review_grant(&who(asked)?, id(asked)?, note).await?;
        Ok(reply::json(StatusCode::OK, &granted))
    })
}

pub(super) fn exceptions(asked: &Asked<'_>) -> Answered {
    let page = asked.page();
    let (exceptions, more) = page.cut(state(asked)?.list_exceptions());
    Ok(page.answer("exceptions", exceptions, more))
}

pub(super) fn exception(asked: &Asked<'_>) -> Answered {
    Ok(reply::json(StatusCode::OK, &state(asked)?.exception(id(asked)?, None)?))
}

/// What a body asks for, as an exception.
pub fn exception_of(body: &Value) -> Result<ExceptionRequest, Problem> {
    request(body, &["identities", "data_classes", "reason", "ticket", "permits", "lifts", "decision"])
}

pub(super) fn exception_request<'a>(asked: &'a Asked<'a>) -> Answering<'a> {
    Box::pin(async move {
        let mut read = exception_of(&asked.body)?;
        state(asked)?.complete(&read.identities, &mut read.data_classes);
        let made = state(asked)?.request_exception(Requester::Operator(who(asked)?), read).await?;
        Ok(reply::json(StatusCode::CREATED, &made))
    })
}

pub(super) fn exception_approve<'a>(asked: &'a Asked<'a>) -> Answering<'a> {
    Box::pin(async move {
        let made = state(asked)?.approve_exception(&who(asked)?, id(asked)?).await?;
        Ok(reply::json(StatusCode::OK, &made))
    })
}

pub(super) fn exception_close<'a>(asked: &'a Asked<'a>) -> Answering<'a> {
    Box::pin(async move {
        let reason = asked.query.text("reason").map(str::to_owned);
        let made = state(asked)?.close_exception(&who(asked)?, id(asked)?, reason).await?;
        Ok(reply::json(StatusCode::OK, &made))
    })
}

pub(super) fn mode(asked: &Asked<'_>) -> Answered {
    Ok(reply::json(StatusCode::OK, &state(asked)?.mode_view()))
}

pub(super) fn mode_set<'a>(asked: &'a Asked<'a>) -> Answering<'a> {
    Box::pin(async move {
        let read: ModeRequest = request(&asked.body, &["mode", "reason", "rehearse"])?;
        if read.rehearse {
            let over = state(asked)?.rehearsed(&read)?;
            let told = (overriding(asked)?.rehearse)(over).await?;
            return Ok(reply::json(StatusCode::OK, &told));
        }
        let set = state(asked)?.set_mode(&who(asked)?, read).await?;
        Ok(reply::json(StatusCode::OK, &set))
    })
}
