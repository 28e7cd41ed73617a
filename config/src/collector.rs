//! An OpenTelemetry collector: where it is, how it is spoken to, and what it is shown. Evidence and telemetry share it.

use std::path::PathBuf;

use crate::channel::{self, Channel};
use crate::node::{Entry, Node, Style, Value};
use crate::problem::{Located, Problem, Problems};
use crate::reading::{self, Reading, optional, owner_of};
use crate::scalar::{Plain, plain};
use crate::secret::Secret;
use crate::url::{self, Url};

/// An OpenTelemetry collector.
#[derive(Clone, Debug)]
pub struct Collector {
    /// For `Transport::Http` the base below which `/v1/logs` lies. The path is empty where it would be `/`.
    pub endpoint: Located<Url>,
    /// How it is spoken to.
    pub transport: Transport,
    /// Sent with every export; no name stands twice.
    pub headers: Vec<Header>,
    /// What it is reached through: TLS where the endpoint is `https`.
    pub channel: Channel,
}

/// How a collector is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// OTLP/gRPC.
    Grpc,
    /// OTLP/HTTP with protobuf bodies.
    Http,
}

/// A header field of every export.
#[derive(Clone, Debug)]
pub struct Header {
    /// In lower case.
    pub name: String,
    /// Where its value is.
    pub value: HeaderValue,
}

/// Where the value of a header is.
#[derive(Clone, Debug)]
pub enum HeaderValue {
    /// In the configuration.
    Inline(Secret),
    /// In a file of its own, which may change: read at the start and at each reload.
    File(Located<PathBuf>),
}

/// Bytes of a value, its line break included: the longest tokens in use are a quarter of it.
const VALUE_MAX: usize = 16 * 1024;

/// What the transport says itself, or reserves (RFC 9110 section 7.6.1, gRPC over HTTP/2).
const RESERVED: [&str; 12] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl Header {
    /// The value as it is now. A file's last line break is cut.
    pub fn read(&self) -> Result<Secret, Problems> {
        match &self.value {
            HeaderValue::Inline(secret) => Ok(secret.clone()),
            HeaderValue::File(path) => {
                let text = reading::read_text(&path.value, VALUE_MAX)?;
                let text = text.strip_suffix('\n').unwrap_or(&text);
                let text = text.strip_suffix('\r').unwrap_or(text);
                match is_value(text) {
                    true => Ok(Secret::new(text)),
                    false => Err(Problem::of_file(&path.value, format!("it does not hold {VALUE}")).into()),
                }
            }
        }
    }
}

const VALUE: &str = "the value of a header: one line of printable ASCII without spaces around it";

/// RFC 9110 section 5.5, without the bytes beyond ASCII that gRPC does not carry.
fn is_value(text: &str) -> bool {
    (1..=VALUE_MAX).contains(&text.len())
        && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        && text.trim_ascii().len() == text.len()
}

/// The keys of a collector, with those that its owner adds.
pub(crate) struct Keys<'n> {
    endpoint: Option<&'n Entry>,
    protocol: Option<&'n Entry>,
    headers: Option<&'n Entry>,
    tls: Option<&'n Entry>,
    /// The owner's own key.
    pub more: Option<&'n Entry>,
}

/// Read the keys of a collector; `more` is one that its owner has beside them.
pub(crate) fn keys<'n>(node: &'n Node, more: Option<&str>, reading: &mut Reading<'_>) -> Option<Keys<'n>> {
    // A misspelt `headers` may hold secrets as well.
    for entry in reading.entries(node)? {
        if !["endpoint", "protocol", "tls"].contains(&entry.name.as_str()) && Some(entry.name.as_str()) != more {
            entry.node.withhold(reading.found);
        }
    }
    let base = ["endpoint", "protocol", "headers", "tls"];
    match more {
        None => {
            let [endpoint, protocol, headers, tls] = reading.fields(node, base)?;
            Some(Keys { endpoint, protocol, headers, tls, more: None })
        }
        Some(key) => {
            let [first, second, third, fourth] = base;
            let [endpoint, protocol, headers, tls, more] = reading.fields(node, [first, second, third, fourth, key])?;
            Some(Keys { endpoint, protocol, headers, tls, more })
        }
    }
}

pub(crate) fn convert(node: &Node, keys: &Keys<'_>, reading: &mut Reading<'_>) -> Option<Collector> {
    let transport = optional(keys.protocol, reading, |node, reading| {
        reading.choice(node, &[("grpc", Transport::Grpc), ("http", Transport::Http)])
    });
    let headers = optional(keys.headers, reading, self::headers);
    let tls = optional(keys.tls, reading, channel::tls);
    let endpoint = reading.required(node, keys.endpoint, "endpoint").and_then(|node| self::endpoint(node, reading));
    let (endpoint, transport) = (endpoint?, transport?.unwrap_or(Transport::Grpc));
    let channel = channel::of(&endpoint.value, "https", keys.tls, tls?, reading);
    if let Some(place) = &endpoint.place {
        if transport == Transport::Grpc && !endpoint.value.path.is_empty() {
            let message = format!("a gRPC endpoint has no path, and this one has `{}`", endpoint.value.path);
            reading.found.error_with_help(place, message, "leave it out, or write `protocol: http`");
        }
        if let (Some(headers), Some(Channel::Clear)) = (keys.headers, &channel)
            && !endpoint.value.host.ip().is_some_and(|ip| gatepass_policy::address::unmap(ip).is_loopback())
        {
            let message = "headers go to another machine in clear text";
            reading.found.warning(&headers.place, message, "write `https://` in `endpoint`");
        }
    }
    Some(Collector { endpoint, transport, headers: headers?.unwrap_or_default(), channel: channel? })
}

fn endpoint(node: &Node, reading: &mut Reading<'_>) -> Option<Located<Url>> {
    let wanted = "a collector's URL such as `http://127.0.0.1:4317`";
    let mut value = reading.parsed(node, wanted, |text| url::parse(text, &[("http", 80), ("https", 443)]))?;
    if value.path == "/" {
        value.path.clear();
    }
    Some(Located { value, place: Some(node.place.clone()) })
}

/// Names to values, each name once.
pub(crate) fn headers(node: &Node, reading: &mut Reading<'_>) -> Option<Vec<Header>> {
    let Value::Map(entries) = &node.value else {
        // What stands here instead may be a secret: it is not repeated.
        let message = format!("{} is not a mapping of names to values", owner_of(node));
        reading.found.error_with_help(&node.place, message, "write `{NAME: \"VALUE\"}` or `{NAME: {file: PATH}}`");
        return None;
    };
    let mut headers: Vec<Header> = Vec::new();
    for entry in entries {
        let Some(header) = header(entry, reading) else { continue };
        if headers.iter().any(|other| other.name == header.name) {
            reading.found.error(&entry.place, format!("the header `{}` is given twice", header.name));
        }
        headers.push(header);
    }
    (headers.len() == entries.len()).then_some(headers)
}

fn header(entry: &Entry, reading: &mut Reading<'_>) -> Option<Header> {
    let name = entry.name.to_ascii_lowercase();
    // A name that is not one may be a secret whose name was forgotten: it is not repeated.
    if !is_name(&name) {
        let message = "this is not the name of a header: letters, digits, `-`, `_` and `.`";
        reading.found.error_with_help(&entry.place, message, "write `NAME: \"VALUE\"`");
        return None;
    }
    if RESERVED.contains(&name.as_str()) || name.starts_with("grpc-") || name.ends_with("-bin") {
        let help = "leave it out: the protocol gives it a meaning of its own";
        reading.found.error_with_help(&entry.place, format!("the header `{name}` cannot be set"), help);
        return None;
    }
    let value = match &entry.node.value {
        Value::Map(_) => HeaderValue::File(from_file(&entry.node, reading)?),
        Value::Scalar(text, style) => HeaderValue::Inline(inline(&entry.node, text, *style, reading)?),
        Value::List(_) => {
            reading.found.error(&entry.node.place, format!("{} is a list, not a value", owner_of(&entry.node)));
            return None;
        }
        Value::Refused => return None,
    };
    let header = Header { name, value };
    match header.read() {
        Ok(_) => Some(header),
        Err(problems) => {
            problems.into_vec().into_iter().for_each(|problem| reading.found.push(problem));
            None
        }
    }
}

fn from_file(node: &Node, reading: &mut Reading<'_>) -> Option<Located<PathBuf>> {
    let [file] = reading.fields(node, ["file"])?;
    reading.required(node, file, "file").and_then(|node| reading.file(node))
}

/// `Reading::text` and its words, without the text.
fn inline(node: &Node, text: &str, style: Style, reading: &mut Reading<'_>) -> Option<Secret> {
    if style == Style::Plain && !matches!(plain(text), Plain::Text) {
        let message = format!("{} is text, but YAML may read it as something else", owner_of(node));
        reading.found.error_with_help(&node.place, message, "write it in quotes");
        return None;
    }
    if !is_value(text) {
        reading.found.error(&node.place, format!("{} is not {VALUE}", owner_of(node)));
        return None;
    }
    Some(Secret::new(text))
}

/// The part of a token (RFC 9110 section 5.6.2) that gRPC takes as well.
fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(&c))
}
