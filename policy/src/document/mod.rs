//! The kinds of file, each key read and typed; what they mean together is decided in `compile`.

pub(crate) mod bundle;
pub(crate) mod cases;
pub(crate) mod catalogue;
pub(crate) mod exceptions;
pub(crate) mod limits;
pub(crate) mod overrides;
pub(crate) mod rules;
pub(crate) mod workloads;

use ipnet::IpNet;

use crate::diagnostic::{At, Place, Report, meant_or};
use crate::limits::Limits;
use crate::pattern::{HostPattern, IdentityPattern};
use crate::source::Node;
use crate::source::read::{self, Fields};

/// One file, read.
pub(crate) struct Document {
    pub(crate) id: At<String>,
    pub(crate) owner: Option<String>,
    pub(crate) body: Body,
}

pub(crate) enum Body {
    Bundle(Box<bundle::Bundle>),
    Workloads(Vec<workloads::Workload>),
    Destinations(catalogue::Destinations),
    Guardrails(Vec<rules::RawRule>),
    Fragment(Vec<rules::RawRule>),
    Exceptions(Vec<exceptions::RawException>),
    Tests(cases::RawSuite),
}

impl Document {
    /// How many tests it holds.
    pub(crate) fn tests(&self) -> usize {
        match &self.body {
            Body::Tests(suite) => suite.cases.len(),
            Body::Bundle(_)
            | Body::Workloads(_)
            | Body::Destinations(_)
            | Body::Guardrails(_)
            | Body::Fragment(_)
            | Body::Exceptions(_) => 0,
        }
    }
}

const VERSION: &str = "gatepass/v1";
const KINDS: [&str; 7] = ["Bundle", "Workloads", "Destinations", "Guardrails", "Fragment", "Exceptions", "Tests"];

/// Read one file's tree. `None` if nothing of it can be used; the report says why.
pub(crate) fn read(node: &Node<'_>, limits: &Limits, report: &mut Report<'_>) -> Option<Document> {
    let mut fields = Fields::of(node, "a policy file", report)?;
    let version = fields.required("apiVersion", "the first line is `apiVersion: gatepass/v1`", report);
    let kind = fields.required("kind", &format!("one of {}", KINDS.join(", ")), report);
    let version = version.and_then(|node| read::text(node, report))?;
    if version.value != VERSION {
        other_version(&version, report);
        return None;
    }
    let kind = kind.and_then(|node| read::text(node, report))?;
    let metadata = fields.required("metadata", "write `metadata: {id: …, owner: …}`", report);
    let (id, owner) = match metadata {
        Some(node) => self::metadata(node, report),
        None => (None, None),
    };
    let body = match kind.value.as_str() {
        "Bundle" => bundle::read(&mut fields, report).map(|bundle| Body::Bundle(Box::new(bundle))),
        "Workloads" => Some(Body::Workloads(workloads::read(&mut fields, report))),
        "Destinations" => Some(Body::Destinations(catalogue::read(&mut fields, report))),
        "Guardrails" => Some(Body::Guardrails(rules::read(&mut fields, rules::Book::Guardrails, report))),
        "Fragment" => Some(Body::Fragment(rules::read(&mut fields, rules::Book::Fragment, report))),
        "Exceptions" => Some(Body::Exceptions(exceptions::read(&mut fields, report))),
        "Tests" => cases::read(&mut fields, limits, report).map(Body::Tests),
        other => {
            let help = meant_or(other, KINDS, || format!("one of {}", KINDS.join(", ")));
            report.error_help(kind.place, format!("`{other}` is not a kind of policy file"), help);
            return None;
        }
    };
    fields.finish(report);
    Some(Document { id: id?, owner, body: body? })
}

/// Within a version keys may be added, and an older gateway refuses what it does not know: it never guesses.
fn other_version(version: &At<String>, report: &mut Report<'_>) {
    let later = version.value.strip_prefix("gatepass/v").and_then(|number| number.parse::<u32>().ok());
    if later.is_some_and(|number| number > 1) {
        let message = format!("`{}` is a later version of this language than this gateway reads", version.value);
        let why = "what a later version says cannot be left out: a deny may be among it";
        return report.error_why(version.place, message, why, format!("update the gateway, or write `{VERSION}`"));
    }
    let message = format!("`{}` is not a version of this language", version.value);
    report.error_help(version.place, message, format!("write `{VERSION}`"));
}

fn metadata(node: &Node<'_>, report: &mut Report<'_>) -> (Option<At<String>>, Option<String>) {
    let Some(mut fields) = Fields::of(node, "`metadata`", report) else { return (None, None) };
    let id = fields.required("id", "it is the first part of every rule's path", report);
    let id = id.and_then(|node| read::id(node, report));
    let owner = fields.optional("owner").and_then(|node| read::text(node, report)).map(|at| at.value);
    fields.finish(report);
    (id, owner)
}

/// A host pattern where it was written.
pub(crate) fn host(node: &Node<'_>, report: &mut Report<'_>) -> Option<At<HostPattern>> {
    let why = |text: &str| match (text.contains('*'), text.is_ascii()) {
        (true, _) => Some("a pattern that is read wider than it was meant lets in hosts that nobody looked at"),
        (false, false) => Some("two names that look alike may be two names, and only the A-label tells them apart"),
        (false, true) => Some("a host has one spelling in a decision, and another one would match nothing"),
    };
    parsed(node, report, why, HostPattern::parse)
}

/// An identity pattern where it was written.
pub(crate) fn identity(node: &Node<'_>, report: &mut Report<'_>) -> Option<At<IdentityPattern>> {
    parsed(node, report, |_| None, IdentityPattern::parse)
}

/// An identity pattern where captures would name nothing.
pub(crate) fn identity_without_captures(node: &Node<'_>, report: &mut Report<'_>) -> Option<At<IdentityPattern>> {
    let found = identity(node, report)?;
    let Some(name) = found.value.captures().next() else { return Some(found) };
    report.error_help(found.place, format!("the capture `{{{name}}}` has no use here"), "write `*`");
    None
}

/// A network in CIDR form, written with its first address.
pub(crate) fn network(node: &Node<'_>, report: &mut Report<'_>) -> Option<At<IpNet>> {
    let why = |text: &str| text.contains('/').then_some("one reader takes it for an address, the next for a network");
    parsed(node, report, why, parse_network)
}

/// Parse a network; on failure what is wrong, and how to mend it.
pub(crate) fn parse_network(text: &str) -> Result<IpNet, (String, String)> {
    let help = || "write a network such as `10.20.0.0/16` or `2001:db8::/32`".to_owned();
    let network: IpNet = text.parse().map_err(|_| (format!("`{text}` is not a network"), help()))?;
    let mapped = match network {
        IpNet::V4(_) => false,
        IpNet::V6(v6) => v6.network().to_ipv4_mapped().is_some(),
    };
    if mapped {
        return Err((format!("`{text}` is IPv4 in another form"), "write it as an IPv4 network".to_owned()));
    }
    if network != network.trunc() {
        let message = format!("`{text}` has bits set beyond its prefix");
        return Err((message, format!("write `{}`", network.trunc())));
    }
    Ok(network)
}

fn parsed<T>(
    node: &Node<'_>,
    report: &mut Report<'_>,
    why: impl Fn(&str) -> Option<&'static str>,
    parse: impl Fn(&str) -> Result<T, (String, String)>,
) -> Option<At<T>> {
    let text = read::text(node, report)?;
    match parse(&text.value) {
        Ok(value) => Some(At { value, place: text.place }),
        Err((message, help)) => {
            report.found(text.place, message, why(&text.value), Some(help));
            None
        }
    }
}

/// The only way out that is built.
pub(crate) fn egress_point(node: &Node<'_>, report: &mut Report<'_>) -> Option<Place> {
    let name = read::text(node, report)?;
    if name.value != "direct" {
        report.not_yet(name.place, &format!("egress_point: {}", name.value));
        return None;
    }
    Some(name.place)
}
