//! What becomes known after the request: the answers of DNS, the client's first bytes, what the server proves.

use super::{address, whole};
use crate::diagnostic::{At, Report};
use crate::facts::{Hello, Proof, Resolved, ServerCertificate, Tls, Upstream};
use crate::host::Host;
use crate::source::Node;
use crate::source::read::{self, Fields};

pub(super) fn dns(node: &Node<'_>, report: &mut Report<'_>) -> Option<Resolved> {
    let mut fields = Fields::of(node, "`dns`", report)?;
    let answers = fields.required("answers", "every address of the name", report);
    let answers = answers.map(|node| read::list(node, report, address));
    let cname = fields.optional("cname").map(|node| read::list(node, report, name)).unwrap_or_default();
    let min_ttl = fields.optional("min_ttl").map_or(Some(0), |node| seconds(node, report));
    let secure = fields.optional("secure").map_or(Some(false), |node| read::boolean(node, report));
    fields.finish(report);
    // An empty list was complained about; no decision is made on one.
    let answers = answers.filter(|answers| !answers.is_empty())?;
    Some(Resolved { answers, cname, min_ttl: min_ttl?, secure: secure? })
}

fn seconds(node: &Node<'_>, report: &mut Report<'_>) -> Option<u32> {
    let found = u32::try_from(whole(node, report)?).ok();
    if found.is_none() {
        report.error(node.place, "longer than DNS can say, which is 2147483647 seconds");
    }
    found
}

/// A canonical name on the way, as the resolver keeps it.
fn name(node: &Node<'_>, report: &mut Report<'_>) -> Option<String> {
    let text = read::text(node, report)?;
    match Host::parse(text.value.as_bytes()) {
        Ok(Host::Name(name)) => Some(name.to_string()),
        Ok(Host::Ip(_)) | Err(_) => {
            report.error(text.place, format!("`{}` is not a DNS name", text.value));
            None
        }
    }
}

/// The parts of a hello: whichever is given says that there was one.
const OF_A_HELLO: [&str; 5] = ["sni", "alpn", "versions", "ech", "ja4"];

pub(super) fn tls(node: &Node<'_>, report: &mut Report<'_>) -> Option<Tls> {
    let mut fields = Fields::of(node, "`tls`", report)?;
    let place = fields.place();
    let present = fields.optional("present").map(|node| read::boolean(node, report));
    let part = OF_A_HELLO.into_iter().find(|part| fields.says(part));
    let hello = hello(&mut fields, report);
    fields.finish(report);
    match (present, part) {
        (Some(Some(false)), Some(part)) => {
            let help = "leave it out, or take a default away: `sni: unknown`";
            report.error_help(place, format!("`tls.{part}` where TLS is not present"), help);
            None
        }
        (Some(Some(false)), None) => Some(Tls::Absent),
        (Some(Some(true)), _) | (None, Some(_)) => hello.map(Tls::Hello),
        (Some(None), _) => None,
        (None, None) => {
            report.error_help(place, "`present` is missing", "`true` or `false`");
            None
        }
    }
}

fn hello(fields: &mut Fields<'_, '_>, report: &mut Report<'_>) -> Option<Hello> {
    let sni = match fields.optional("sni") {
        None => Some(None),
        Some(node) if read::is_word(node, "null") => Some(None),
        Some(node) => read::text(node, report).map(Some),
    };
    let alpn = fields.optional("alpn").map(|node| texts(node, report)).unwrap_or_default();
    // What today's clients offer.
    let usual = || vec!["1.3".to_owned(), "1.2".to_owned()];
    let versions = fields.optional("versions").map_or_else(usual, |node| read::list(node, report, version));
    let ech = fields.optional("ech").map_or(Some(false), |node| read::boolean(node, report));
    let ja4 =
        fields.optional("ja4").map_or(Some(None), |node| read::text(node, report).map(|at| Some(at.value.into())));
    // As the gateway reads it: canonical where it is a host name, as sent otherwise.
    let canonical = |At { value, .. }: At<String>| match Host::parse(value.as_bytes()) {
        Ok(host) => host.to_text().into_owned(),
        Err(_) => value,
    };
    Some(Hello { sni: sni?.map(canonical), alpn, versions, ech: ech?, ja4: ja4? })
}

/// What the server proves: `nothing`, or its certificate. A part that is not given is not known.
pub(super) fn upstream(node: &Node<'_>, report: &mut Report<'_>) -> Option<Upstream> {
    if read::is_word(node, "nothing") {
        return Some(Upstream::Nothing("as the test says".into()));
    }
    let mut fields = Fields::of(node, "`upstream`", report)?;
    let verified = fields.required("verified", "`true` or `false`; or `upstream: nothing`", report);
    let verified = verified.and_then(|node| read::boolean(node, report));
    let dns_sans = fields.optional("dns_sans").map(|node| texts(node, report));
    let mut text = |key: &'static str, report: &mut Report<'_>| {
        fields.optional(key).map_or(Some(None), |node| read::text(node, report).map(|at| Some(at.value)))
    };
    let issuer = text("issuer", report);
    let spki_sha256 = text("spki_sha256", report);
    let not_after = fields.optional("not_after").map_or(Some(None), |node| read::instant(node, report).map(Some));
    let tls_version = fields.optional("tls_version").map_or(Some(None), |node| version(node, report).map(Some));
    fields.finish(report);
    let proof = if verified? { Proof::Verified } else { Proof::Unverified("as the test says".into()) };
    Some(Upstream::Shown(ServerCertificate {
        proof,
        dns_sans,
        issuer: issuer?,
        spki_sha256: spki_sha256?,
        not_after: not_after?.map(|at| at.value),
        tls_version: tls_version?,
    }))
}

fn texts(node: &Node<'_>, report: &mut Report<'_>) -> Vec<String> {
    read::list(node, report, read::text).into_iter().map(|at| at.value).collect()
}

fn version(node: &Node<'_>, report: &mut Report<'_>) -> Option<String> {
    const KNOWN: [&str; 4] = ["1.0", "1.1", "1.2", "1.3"];
    let text = read::text(node, report)?;
    if KNOWN.contains(&text.value.as_str()) {
        return Some(text.value);
    }
    let help = "\"1.3\", \"1.2\", \"1.1\" or \"1.0\", in quotes";
    report.error_help(text.place, format!("`{}` is not a version of TLS", text.value), help);
    None
}
