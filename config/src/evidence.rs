//! `evidence`: where decision records go.

use crate::node::Node;
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
    /// `http`; for `Transport::Http` the base below which `/v1/logs` lies. The path is empty where it would be `/`.
    pub endpoint: Located<Url>,
    /// How it is spoken to.
    pub transport: Transport,
}

/// How a collector is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// OTLP/gRPC.
    Grpc,
    /// OTLP/HTTP with protobuf bodies.
    Http,
}

impl Evidence {
    /// What holds where the file says nothing.
    pub(crate) fn on_stdout() -> Evidence {
        Evidence { stdout: Stdout::Text, otlp: None }
    }
}

pub(crate) fn convert(node: Option<&Node>, reading: &mut Reading<'_>) -> Option<Evidence> {
    let default = Evidence::on_stdout();
    let Some(node) = node else { return Some(default) };
    let [stdout, durability, spool, otlp] = reading.fields(node, ["stdout", "durability", "spool", "otlp"])?;
    reading.unsupported(spool);
    reading.unsupported(durability);
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
    if let Some(entry) = headers {
        entry.node.withhold(reading.found);
    }
    reading.unsupported(headers);
    reading.unsupported(ca);
    let transport = optional(protocol, reading, |node, reading| {
        reading.choice(node, &[("grpc", Transport::Grpc), ("http", Transport::Http)])
    });
    let endpoint = reading.required(node, endpoint, "endpoint").and_then(|node| self::endpoint(node, reading));
    let (endpoint, transport) = (endpoint?, transport?.unwrap_or(Transport::Grpc));
    if transport == Transport::Grpc
        && !endpoint.value.path.is_empty()
        && let Some(place) = &endpoint.place
    {
        let message = format!("a gRPC endpoint has no path, and this one has `{}`", endpoint.value.path);
        reading.found.error_with_help(place, message, "leave it out, or write `protocol: http`");
    }
    Some(Otlp { endpoint, transport })
}

fn endpoint(node: &Node, reading: &mut Reading<'_>) -> Option<Located<Url>> {
    let wanted = "a collector's URL such as `http://127.0.0.1:4317`";
    let mut value = reading.parsed(node, wanted, |text| url::parse(text, &[("http", 80), ("https", 443)]))?;
    if value.scheme == "https" {
        reading.unsupported_value(&node.place, "an https endpoint");
    }
    if value.path == "/" {
        value.path.clear();
    }
    Some(Located { value, place: Some(node.place.clone()) })
}
