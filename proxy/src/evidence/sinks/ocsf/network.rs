//! Decisions and closes as Network Activity and HTTP Activity.

use serde_json::{Map, Value, json};

use super::event::{Told, copy};
use super::words::{self, Word};
use crate::evidence::sinks::view::{Severity, View};
use crate::evidence::words::Outcome;

const PROFILES: &[&str] = &["host", "network_proxy", "security_control"];

/// Fields that an object of the schema's `policy` holds.
pub(super) const POLICY: [&str; 3] = ["policy.bundle", "policy.digest", "policy.serial"];

/// What every decision has a place for.
const DECISION: [&str; 17] = [
    "effect",
    "outcome",
    "reason.code",
    "reason.text",
    "rule.path",
    "rule.purpose",
    "identity.id",
    "client.address",
    "client.port",
    "destination.host",
    "destination.port",
    "destination.address",
    "local.address",
    "local.port",
    "policy.bundle",
    "policy.digest",
    "policy.serial",
];

pub(super) fn decision(view: View<'_>) -> Told {
    let mut attributes = Map::new();
    let mut mapped = DECISION.to_vec();
    let failed = view.text("outcome") == Outcome::Failed.as_str();
    let admitted = view.text("outcome") == Outcome::Admitted.as_str();
    let (action, disposition) = verdict(view, failed);
    put(&mut attributes, ("action_id", "action"), action);
    put(&mut attributes, ("disposition_id", "disposition"), disposition);
    attributes.insert("status_detail".to_owned(), view.text("reason.text").into());
    if let Some(policy) = policy(view) {
        attributes.insert("policy".to_owned(), policy.into());
    }
    if view.field("rule").is_some() {
        let rule =
            json!({"uid": view.text("rule.path"), "name": view.text("rule.path"), "desc": view.text("rule.purpose")});
        attributes.insert("firewall_rule".to_owned(), rule);
    }
    if view.field("identity").is_some() {
        attributes.insert("actor".to_owned(), actor(view.text("identity.id")));
    }
    endpoints(view, &mut attributes);
    let (class, activity) = if view.text("request.protocol") == "http" {
        mapped.extend(["request.protocol", "request.path"]);
        http(view, &mut attributes, &mut mapped)
    } else {
        let activity = match (admitted, failed) {
            (true, _) => words::OPEN,
            (false, true) => words::FAIL,
            (false, false) => words::REFUSE,
        };
        (words::NETWORK, (activity.id, activity.caption.to_owned()))
    };
    Told {
        class,
        activity,
        status: if admitted { words::SUCCESS } else { words::FAILURE },
        status_code: view.text("reason.code").to_owned(),
        profiles: PROFILES,
        attributes,
        mapped,
    }
}

/// A close names neither client nor destination: it is joined to its decision by `connection_info.uid`. The class wants
/// an endpoint, and the connection that ended had the gateway for its source.
pub(super) fn close(view: View<'_>) -> Told {
    let mut attributes = Map::new();
    attributes.insert("src_endpoint".to_owned(), itself(view));
    attributes.insert("connection_info".to_owned(), connection(view));
    let mut traffic = Map::new();
    copy(view, "bytes_sent", &mut traffic, "bytes_out");
    copy(view, "bytes_received", &mut traffic, "bytes_in");
    let sum = ["bytes_sent", "bytes_received"].map(|path| view.field(path).and_then(Value::as_u64));
    if let [Some(sent), Some(received)] = sum {
        traffic.insert("bytes".to_owned(), sent.saturating_add(received).into());
    }
    attributes.insert("traffic".to_owned(), traffic.into());
    copy(view, "duration_ms", &mut attributes, "duration");
    Told {
        class: words::NETWORK,
        activity: (words::CLOSE.id, words::CLOSE.caption.to_owned()),
        status: match view.severity() {
            Severity::Info => words::SUCCESS,
            Severity::Warn | Severity::Error => words::FAILURE,
        },
        status_code: view.text("ending").to_owned(),
        profiles: &["host"],
        attributes,
        mapped: vec!["bytes_sent", "bytes_received", "duration_ms", "ending"],
    }
}

/// The policy that holds, as the schema describes one.
pub(super) fn policy(view: View<'_>) -> Option<Map<String, Value>> {
    view.field("policy")?;
    let mut policy = Map::new();
    policy.insert("name".to_owned(), view.text("policy.bundle").into());
    policy.insert("uid".to_owned(), view.text("policy.digest").into());
    if let Some(serial) = view.field("policy.serial") {
        policy.insert("version".to_owned(), serial.to_string().into());
    }
    policy.insert("is_applied".to_owned(), true.into());
    Some(policy)
}

/// What the policy said, and what the gateway did.
fn verdict(view: View<'_>, failed: bool) -> (Word, Word) {
    if view.text("effect") == "allow" {
        return (words::ALLOWED, if failed { words::ERROR } else { words::ALLOWED });
    }
    let disposition = match view.text("reason.code") {
        "identity_required" | "identity_invalid" => words::UNAUTHORIZED,
        "invalid_request" | "hello_invalid" => words::REJECTED,
        _ => words::BLOCKED,
    };
    (words::DENIED, disposition)
}

fn actor(id: &str) -> Value {
    // A SPIFFE ID names a workload; of others it is not known whether a person or a program stands behind them.
    let (type_id, kind) = if id.starts_with("spiffe://") { (4, "Service") } else { (0, "Unknown") };
    json!({"user": {"uid": id, "name": id, "type_id": type_id, "type": kind}})
}

fn endpoints(view: View<'_>, into: &mut Map<String, Value>) {
    let mut source = Map::new();
    copy(view, "client.address", &mut source, "ip");
    copy(view, "client.port", &mut source, "port");
    let source = if source.contains_key("ip") { Value::Object(source) } else { itself(view) };
    into.insert("src_endpoint".to_owned(), source);
    let mut destination = Map::new();
    let host = view.text("destination.host");
    let literal = host.parse::<std::net::IpAddr>().is_ok();
    if !host.is_empty() {
        destination.insert(if literal { "ip" } else { "hostname" }.to_owned(), host.into());
    }
    copy(view, "destination.address", &mut destination, "ip");
    copy(view, "destination.port", &mut destination, "port");
    if destination.contains_key("ip") || destination.contains_key("hostname") {
        into.insert("dst_endpoint".to_owned(), destination.into());
    }
    if view.field("local").is_some() {
        let mut proxy = Map::new();
        copy(view, "local.address", &mut proxy, "ip");
        copy(view, "local.port", &mut proxy, "port");
        copy(view, "gateway", &mut proxy, "name");
        into.insert("proxy_endpoint".to_owned(), proxy.into());
    }
    into.insert("connection_info".to_owned(), connection(view));
}

fn itself(view: View<'_>) -> Value {
    json!({"name": view.text("gateway")})
}

fn connection(view: View<'_>) -> Value {
    // 2: outbound. 6: TCP.
    json!({
        "uid": view.text("id"),
        "direction_id": 2,
        "direction": "Outbound",
        "protocol_name": "tcp",
        "protocol_num": 6,
    })
}

/// The request's own attributes. A method that is no activity of the class is its name, and stays where it was.
fn http(
    view: View<'_>,
    into: &mut Map<String, Value>,
    mapped: &mut Vec<&'static str>,
) -> (words::Class, (u32, String)) {
    let method = view.text("request.method");
    let known = words::METHODS.iter().find(|(name, _)| *name == method).map(|(_, word)| word);
    let mut request = Map::new();
    request.insert("uid".to_owned(), view.text("id").into());
    if known.is_some() {
        request.insert("http_method".to_owned(), method.into());
        mapped.push("request.method");
    }
    let path = view.text("request.path");
    if !path.is_empty() {
        let mut url = Map::new();
        url.insert("scheme".to_owned(), "http".into());
        copy(view, "destination.host", &mut url, "hostname");
        copy(view, "destination.port", &mut url, "port");
        url.insert("path".to_owned(), path.into());
        request.insert("url".to_owned(), url.into());
    }
    into.insert("http_request".to_owned(), request.into());
    let activity = match known {
        Some(word) => (word.id, word.caption.to_owned()),
        None => (words::OTHER, method.to_owned()),
    };
    (words::HTTP, activity)
}

fn put(into: &mut Map<String, Value>, (id, caption): (&str, &str), word: Word) {
    into.insert(id.to_owned(), word.id.into());
    into.insert(caption.to_owned(), word.caption.into());
}
