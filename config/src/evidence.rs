//! `evidence`: where decision records go.

use std::fmt;
use std::path::PathBuf;

use gatepass_policy::address;
use gatepass_policy::host::Host;

use crate::node::{Node, Value};
use crate::problem::Located;
use crate::reading::{Reading, optional};
use crate::url::{self, Url};

/// Where decision records go; at least one of the two takes them.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// What standard output carries.
    pub stdout: Stdout,
    /// A collector.
    pub otlp: Option<Otlp>,
}

/// What standard output carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdout {
    /// One readable line for each decision.
    Text,
    /// One JSON object a line.
    Json,
    /// No records.
    None,
}

/// An OpenTelemetry collector.
#[derive(Clone, Debug)]
pub struct Otlp {
    /// `http` or `https`; for `Transport::Http` the path is where logs are posted, `/v1/logs` unless given.
    pub endpoint: Located<Url>,
    /// How it is spoken to.
    pub transport: Transport,
    /// Sent with every export. Names are lower case and unique.
    pub headers: Vec<(String, Secret)>,
    /// Trust anchors for `https`, PEM; without them the system's.
    pub ca: Option<Located<PathBuf>>,
}

/// How a collector is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// OTLP/gRPC.
    Grpc,
    /// OTLP/HTTP with protobuf bodies.
    Http,
}

/// A value that no log may show.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The value, for the one place that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl Evidence {
    /// What holds where the file says nothing.
    pub(crate) fn on_stdout() -> Evidence {
        Evidence { stdout: Stdout::Text, otlp: None }
    }
}

#[derive(Clone, Copy)]
enum Durability {
    Interval,
    Synced,
}

pub(crate) fn convert(node: Option<&Node>, reading: &mut Reading<'_>) -> Option<Evidence> {
    let default = Evidence::on_stdout();
    let Some(node) = node else { return Some(default) };
    let [stdout, durability, spool, otlp] = reading.fields(node, ["stdout", "durability", "spool", "otlp"])?;
    reading.unsupported(spool);
    if let Some(entry) = durability {
        let words = [("interval", Durability::Interval), ("synced", Durability::Synced)];
        match reading.choice(&entry.node, &words) {
            Some(Durability::Synced) => reading.unsupported_value(&entry.node.place, "durability: synced"),
            Some(Durability::Interval) | None => {}
        }
    }
    let format = optional(stdout, reading, |node, reading| {
        reading.choice(node, &[("text", Stdout::Text), ("json", Stdout::Json), ("none", Stdout::None)])
    });
    if let (Some(Some(Stdout::None)), None, Some(entry)) = (format, otlp, stdout) {
        let help = "write `text` or `json`, or give `otlp`";
        reading.found.error_with_help(&entry.node.place, "evidence would go nowhere: there is no `otlp` either", help);
    }
    let otlp = optional(otlp, reading, self::otlp);
    Some(Evidence { stdout: format?.unwrap_or(default.stdout), otlp: otlp? })
}

fn otlp(node: &Node, reading: &mut Reading<'_>) -> Option<Otlp> {
    let [endpoint, protocol, headers, ca] = reading.fields(node, ["endpoint", "protocol", "headers", "ca"])?;
    let transport = optional(protocol, reading, |node, reading| {
        reading.choice(node, &[("grpc", Transport::Grpc), ("http", Transport::Http)])
    });
    let endpoint = reading.required(node, endpoint, "endpoint").and_then(|node| {
        let wanted = "a collector's URL such as `http://127.0.0.1:4317`";
        let value = reading.parsed(node, wanted, |text| url::parse(text, &[("http", 80), ("https", 443)]))?;
        Some(Located { value, place: Some(node.place.clone()) })
    });
    let has_headers = headers.is_some();
    let headers = optional(headers, reading, self::headers);
    if let (Some(entry), Some(Located { value: Url { scheme, .. }, .. })) = (ca, &endpoint)
        && scheme == "http"
    {
        reading.found.error(&entry.place, "`ca` belongs to an `https` endpoint, and this one is `http`");
    }
    let ca = optional(ca, reading, |node, reading| reading.file(node));
    let (mut endpoint, transport) = (endpoint?, transport?.unwrap_or(Transport::Grpc));
    path(&mut endpoint, transport, reading)?;
    if has_headers && in_clear(&endpoint.value) {
        let help = "use `https`, unless the network is yours alone";
        warn(&endpoint, "`headers` cross the network in clear", help, reading);
    }
    Some(Otlp { endpoint, transport, headers: headers?.unwrap_or_default(), ca: ca? })
}

/// gRPC has no path of its own; OTLP/HTTP posts logs to `/v1/logs` (OTLP specification, "OTLP/HTTP Request").
fn path(endpoint: &mut Located<Url>, transport: Transport, reading: &mut Reading<'_>) -> Option<()> {
    let empty = matches!(endpoint.value.path.as_str(), "" | "/");
    match transport {
        Transport::Grpc if empty => endpoint.value.path.clear(),
        Transport::Grpc => {
            if let Some(place) = &endpoint.place {
                let message = format!("a gRPC endpoint has no path, and this one has `{}`", endpoint.value.path);
                reading.found.error_with_help(place, message, "leave it out, or write `protocol: http`");
            }
            return None;
        }
        Transport::Http if empty => endpoint.value.path = "/v1/logs".to_owned(),
        Transport::Http => {}
    }
    Some(())
}

fn in_clear(url: &Url) -> bool {
    let local = match &url.host {
        Host::Ip(ip) => address::unmap(*ip).is_loopback(),
        Host::Name(name) => &**name == "localhost",
    };
    url.scheme == "http" && !local
}

fn warn<T>(at: &Located<T>, message: &str, help: &str, reading: &mut Reading<'_>) {
    if let Some(place) = &at.place {
        reading.found.warning(place, message, help);
    }
}

/// RFC 9110 section 5.1 and 5.5, without obs-text; gRPC wants names in lower case.
fn headers(node: &Node, reading: &mut Reading<'_>) -> Option<Vec<(String, Secret)>> {
    let entries = reading.entries(node)?;
    let mut headers = Vec::new();
    for entry in entries {
        let token = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "!#$%&'*+-.^_`|~".contains(c);
        if entry.name.is_empty() || !entry.name.chars().all(token) {
            let message = format!("`{}` is not the name of a header in lower case", entry.name);
            reading.found.error(&entry.place, message);
            continue;
        }
        // Errors point at the name and do not repeat the value, which is often a key.
        match &entry.node.value {
            Value::Scalar(text, _) if !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() || c == ' ') => {
                headers.push((entry.name.clone(), Secret(text.clone())));
            }
            Value::Scalar(..) | Value::List(_) | Value::Map(_) => {
                reading.found.error(&entry.place, "the value of a header is one line of ASCII text");
            }
            Value::Refused => {}
        }
    }
    (headers.len() == entries.len()).then_some(headers)
}
