//! The facts of a test, each group as its attributes are called. What is not given is not known.

mod later;
mod request;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::address;
use crate::diagnostic::{At, Place, Report, did_you_mean};
use crate::facts::{HttpRequest, Labels, Protocol, Resolved, Tls, Upstream};
use crate::host::{Authority, Host, Malformed};
use crate::identity::{Certificate, Identity, Method};
use crate::pattern::IdentityPattern;
use crate::source::read::{self, Fields};
use crate::source::{Node, Style, Value};

/// What a test gives, before the policy has said what it knows of it.
pub(crate) struct Given {
    pub(crate) source: Option<SocketAddr>,
    pub(crate) listener: Option<Arc<str>>,
    pub(crate) identity: Identity,
    /// In place of the registry's.
    pub(crate) labels: Option<Labels>,
    /// In place of the registry's.
    pub(crate) data_classes: Option<Vec<At<String>>>,
    /// As the client's field has them.
    pub(crate) declared: Option<String>,
    pub(crate) destination: At<Result<Authority, Malformed>>,
    pub(crate) protocol: Protocol,
    pub(crate) request: Option<HttpRequest>,
    pub(crate) resolved: Option<Resolved>,
    pub(crate) tls: Option<Tls>,
    pub(crate) upstream: Option<Upstream>,
}

/// One line for each group.
pub(super) fn read(node: &Node<'_>, report: &mut Report<'_>) -> Option<Given> {
    let mut fields = Fields::of(node, "`facts`", report)?;
    let source = fields.optional("source").and_then(|node| source(node, report));
    let listener = fields.optional("listener").and_then(|node| listener(node, report));
    let identity = fields.required("identity", "say who asks: `identity: {id: …}`", report);
    let identity = identity.and_then(|node| self::identity(node, report));
    let data_classes = fields.optional("data_classes").map(|node| read::list(node, report, read::id));
    let declared = fields.optional("declared").map(|node| self::declared(node, report));
    if let (Some(at), true) = (&declared, data_classes.is_some()) {
        let help = "what a workload may declare follows from the registry: leave `data_classes` out";
        report.error_help(at.place, "`declared` beside `data_classes`", help);
    }
    let destination =
        fields.required("destination", "say what is asked for: `destination: {host: …, port: …}`", report);
    let destination = destination.and_then(|node| self::destination(node, report));
    let request = fields.optional("request");
    let (protocol, request) = request.map_or(Some((Protocol::Connect, None)), |node| request::read(node, report))?;
    let dns = fields.optional("dns").and_then(|node| later::dns(node, report).map(|found| (found, node.place)));
    let tls = fields.optional("tls").and_then(|node| later::tls(node, report).map(|found| (found, node.place)));
    let upstream = fields.optional("upstream").map(|node| (later::upstream(node, report), node.place));
    fields.finish(report);
    let destination = destination?;
    let tls = spoken(tls, protocol, report);
    if let (Some((_, place)), false) = (&upstream, matches!(tls, Some(Tls::Hello(_)))) {
        let help = "only a server that is spoken TLS with has a certificate: write `tls: {present: true}`";
        report.error_help(*place, "`upstream` where the client's TLS is not given", help);
    }
    Some(Given {
        source,
        listener,
        resolved: resolved(dns, &destination, report),
        destination,
        tls,
        upstream: upstream.and_then(|(found, _)| found),
        labels: identity.as_ref().and_then(|identity| identity.labels.clone()),
        identity: identity?.identity,
        data_classes,
        declared: declared.map(|at| at.value),
        protocol,
        request,
    })
}

fn source(node: &Node<'_>, report: &mut Report<'_>) -> Option<SocketAddr> {
    let mut fields = Fields::of(node, "`source`", report)?;
    let ip = fields.required("ip", "the client's address", report).and_then(|node| address(node, report));
    let port = fields.required("port", "the client's port, such as 40000", report);
    let port = port.and_then(|node| read::port(node, report));
    fields.finish(report);
    Some(SocketAddr::new(ip?, port?))
}

fn listener(node: &Node<'_>, report: &mut Report<'_>) -> Option<Arc<str>> {
    let mut fields = Fields::of(node, "`listener`", report)?;
    let name = fields.required("name", "the listener's name", report).and_then(|node| read::text(node, report));
    fields.finish(report);
    Some(name?.value.into())
}

struct Told {
    identity: Identity,
    labels: Option<Labels>,
}

fn identity(node: &Node<'_>, report: &mut Report<'_>) -> Option<Told> {
    let mut fields = Fields::of(node, "`identity`", report)?;
    let place = fields.place();
    let id = fields.optional("id").map(|node| one_identity(node, report));
    let spiffe = fields.optional("spiffe_id").map(|node| one_identity(node, report));
    let method = fields.optional("method").map(|node| method(node, report));
    let labels = fields.optional("labels").map(|node| labels(node, report));
    let sha256 = fields.optional("cert_sha256").and_then(|node| read::text(node, report));
    let expires = fields.optional("cert_expires").and_then(|node| read::instant(node, report));
    if fields.says("data_classes") {
        fields.foreign("data_classes");
        let help = "write it beside `identity`, as the attribute is called";
        report.error_help(place, "`data_classes` inside `identity`", help);
    }
    fields.finish(report);
    let id = match (id, spiffe) {
        (Some(id), None) => id?,
        (None, Some(id)) => {
            let id = id?;
            if !id.value.starts_with("spiffe://") {
                report.error_help(id.place, format!("`{}` is not a SPIFFE URI", id.value), "write it as `id`");
                return None;
            }
            id
        }
        (Some(_), Some(_)) => {
            report.error_help(place, "`id` beside `spiffe_id`", "a SPIFFE URI is the whole id: write one of them");
            return None;
        }
        (None, None) => {
            report.error_help(place, "nobody asks", "write `id` or `spiffe_id`");
            return None;
        }
    };
    let method = match method {
        Some(told) => told?,
        None => At { value: Identity::named(&id.value).method(), place },
    };
    let certificate = match (sha256, expires) {
        (Some(sha256), Some(expires)) => Some(Certificate { sha256: sha256.value.into(), expires: expires.value }),
        (None, None) => None,
        (Some(at), None) => {
            report.error_help(at.place, "`cert_sha256` without `cert_expires`", "a certificate has both");
            return None;
        }
        (None, Some(at)) => {
            report.error_help(at.place, "`cert_expires` without `cert_sha256`", "a certificate has both");
            return None;
        }
    };
    established(&id, &method, certificate.as_ref(), report)?;
    Some(Told { identity: Identity::told(&id.value, method.value, certificate), labels })
}

/// Whether an id can have come about in this way.
fn established(
    id: &At<String>,
    method: &At<Method>,
    certificate: Option<&Certificate>,
    report: &mut Report<'_>,
) -> Option<()> {
    let usual = Identity::named(&id.value).method();
    let fits = match (usual, method.value) {
        // A token of an identity provider is given an id by the configuration, whatever its kind.
        (_, Method::Jwt) => id.value != crate::identity::ANONYMOUS,
        (usual, told) => usual == told,
    };
    if !fits {
        let message = format!("`{}` is never established by `{}`", id.value, method.value.as_str());
        report.error_help(method.place, message, format!("write `method: {}`, or leave it out", usual.as_str()));
        return None;
    }
    if certificate.is_some() && method.value != Method::Mtls {
        report.error_help(
            id.place,
            "a certificate without `method: mtls`",
            "leave `cert_sha256` and `cert_expires` out",
        );
        return None;
    }
    Some(())
}

fn one_identity(node: &Node<'_>, report: &mut Report<'_>) -> Option<At<String>> {
    let text = read::text(node, report)?;
    match IdentityPattern::parse(&text.value) {
        Ok(pattern) if pattern.exact().is_some() => Some(text),
        Ok(_) => {
            let message = format!("`{}` is a pattern, and one identity is wanted", text.value);
            report.error_help(text.place, message, "write out who asks");
            None
        }
        Err((message, help)) => {
            report.error_help(text.place, message, help);
            None
        }
    }
}

fn method(node: &Node<'_>, report: &mut Report<'_>) -> Option<At<Method>> {
    let all = [Method::Mtls, Method::Jwt, Method::Token, Method::Network, Method::None];
    let found = word(node, "a method", &all.map(|method| (method.as_str(), method)), report)?;
    Some(At { value: found, place: node.place })
}

fn labels(node: &Node<'_>, report: &mut Report<'_>) -> Labels {
    let mut found = Labels::new();
    for (key, node) in read::entries(node, report) {
        if let Some(value) = read::text(node, report) {
            found.insert(key.value.into(), value.value.into());
        }
    }
    found
}

/// What the client would write into its field; whether it may is the registry's to say.
fn declared(node: &Node<'_>, report: &mut Report<'_>) -> At<String> {
    let names = read::list(node, report, read::text);
    let names: Vec<String> = names.into_iter().map(|at| at.value).collect();
    At { value: names.join(","), place: node.place }
}

/// By the parser that reads what clients ask for.
fn destination(node: &Node<'_>, report: &mut Report<'_>) -> Option<At<Result<Authority, Malformed>>> {
    let mut fields = Fields::of(node, "`destination`", report)?;
    let host = fields.required("host", "the host as a client writes it", report);
    let host = host.and_then(|node| read::text(node, report));
    let port = fields.required("port", "the port that is asked for", report).and_then(|node| read::port(node, report));
    fields.finish(report);
    let (host, port) = (host?, port?);
    let authority = Host::parse(host.value.as_bytes()).map(|host| Authority { host, port });
    Some(At { value: authority, place: host.place })
}

/// An IP literal is its own answer, and nobody asks DNS for it.
fn resolved(
    dns: Option<(Resolved, Place)>,
    destination: &At<Result<Authority, Malformed>>,
    report: &mut Report<'_>,
) -> Option<Resolved> {
    let literal = destination.value.as_ref().ok().and_then(|to| to.host.ip());
    match (literal, dns) {
        (None, dns) => dns.map(|(resolved, _)| resolved),
        (Some(ip), None) => Some(Resolved { answers: vec![ip], cname: Vec::new(), min_ttl: 0, secure: false }),
        (Some(ip), Some((_, place))) => {
            let help = "leave it out, or take a default away with `dns: unknown`";
            report.error_help(place, format!("`dns` of the IP literal {ip}, which is its own answer"), help);
            None
        }
    }
}

/// Plain HTTP has no TLS, and knows it from the start.
fn spoken(tls: Option<(Tls, Place)>, protocol: Protocol, report: &mut Report<'_>) -> Option<Tls> {
    match (protocol, tls) {
        (Protocol::Connect | Protocol::Transparent, tls) => tls.map(|(tls, _)| tls),
        (Protocol::Http, None | Some((Tls::Absent, _))) => Some(Tls::Absent),
        (Protocol::Http, Some((Tls::Hello(_), place))) => {
            let help = "leave it out, or take a default away with `tls: unknown`";
            report.error_help(place, "a ClientHello on plain HTTP", help);
            None
        }
    }
}

fn address(node: &Node<'_>, report: &mut Report<'_>) -> Option<IpAddr> {
    let parsed = match &node.value {
        Value::Text(text, _) => text.parse::<IpAddr>().ok(),
        Value::List(_) | Value::Map(_) => None,
    };
    if parsed.is_none() {
        report.error_help(node.place, "this is not an IP address", "such as \"192.0.2.1\" or \"2001:db8::1\"");
    }
    parsed.map(address::unmap)
}

/// A whole number, unquoted.
fn whole(node: &Node<'_>, report: &mut Report<'_>) -> Option<u64> {
    let parsed = match &node.value {
        Value::Text(text, Style::Plain) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        Value::Text(..) | Value::List(_) | Value::Map(_) => None,
    };
    if parsed.is_none() {
        report.error_help(node.place, "a whole number is wanted here", "write it without quotes: `300`");
    }
    parsed
}

/// One of a few words.
pub(super) fn word<T: Copy>(node: &Node<'_>, what: &str, known: &[(&str, T)], report: &mut Report<'_>) -> Option<T> {
    let text = match &node.value {
        Value::Text(text, _) => text.as_ref(),
        Value::List(_) | Value::Map(_) => "",
    };
    if let Some((_, value)) = known.iter().find(|(name, _)| *name == text) {
        return Some(*value);
    }
    let names = || known.iter().map(|(name, _)| *name);
    let help = match did_you_mean(text, names()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("one of {}", names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
    };
    report.error_help(node.place, format!("`{text}` is not {what}"), help);
    None
}
