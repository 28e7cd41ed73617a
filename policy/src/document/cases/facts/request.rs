//! How a test's client asks, and on plain HTTP the head of its request.

use std::collections::BTreeMap;

use super::{whole, word};
use crate::diagnostic::{At, Report};
use crate::facts::{HttpRequest, Protocol};
use crate::source::Node;
use crate::source::read::{self, Fields};

/// Fields that end at the gateway or carry credentials: no rule ever sees them.
const HIDDEN: [&str; 9] = [
    "authorization",
    "cookie",
    "gatepass-data-class",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "set-cookie",
    "te",
    "trailer",
];

/// Of the head: everything that only plain HTTP has.
const OF_A_HEAD: [&str; 6] = ["method", "path", "query", "headers", "content_type", "content_length"];

pub(super) fn read(node: &Node<'_>, report: &mut Report<'_>) -> Option<(Protocol, Option<HttpRequest>)> {
    let mut fields = Fields::of(node, "`request`", report)?;
    let place = fields.place();
    let known = [Protocol::Connect, Protocol::Http, Protocol::Transparent].map(|one| (one.as_str(), one));
    let told = fields.optional("protocol");
    let protocol = told.map_or(Some(Protocol::Connect), |node| word(node, "a protocol", &known, report));
    let head = match protocol {
        // A plain HTTP request is known whole, or there is none.
        Some(Protocol::Http) => Some(head(&mut fields, report)),
        Some(Protocol::Connect | Protocol::Transparent) => {
            if let Some(key) = OF_A_HEAD.into_iter().find(|key| fields.says(key)) {
                let help = "write `protocol: http`: inside a tunnel the request is never seen";
                report.error_help(place, format!("`request.{key}` without plain HTTP"), help);
            }
            None
        }
        None => None,
    };
    // Asked for, so that they are not unknown where they have no place.
    OF_A_HEAD.into_iter().for_each(|key| {
        fields.optional(key);
    });
    fields.finish(report);
    match head {
        Some(head) => Some((protocol?, Some(head?))),
        None => Some((protocol?, None)),
    }
}

fn head(fields: &mut Fields<'_, '_>, report: &mut Report<'_>) -> Option<HttpRequest> {
    let method = fields.required("method", "such as `GET`", report).and_then(|node| read::text(node, report));
    let path = fields.required("path", "at least `/`", report).and_then(|node| path(node, report));
    let query = fields.optional("query").and_then(|node| read::text(node, report));
    let mut headers = fields.optional("headers").map(|node| headers(node, report)).unwrap_or_default();
    let media = fields.optional("content_type").and_then(|node| read::text(node, report));
    let length = fields.optional("content_length");
    let content_length = match length {
        None => Some(Some(0)),
        Some(node) if read::is_word(node, "chunked") => Some(None),
        Some(node) => whole(node, report).map(Some),
    };
    if let Some(At { value, place }) = media
        && headers.insert("content-type".to_owned(), value).is_some()
    {
        report.error(place, "`content_type` stands in `headers` too");
    }
    Some(HttpRequest {
        method: method?.value,
        path: path?,
        query: query.map(|at| at.value).unwrap_or_default(),
        headers,
        content_length: content_length?,
    })
}

fn path(node: &Node<'_>, report: &mut Report<'_>) -> Option<String> {
    let text = read::text(node, report)?;
    if text.value.starts_with('/') && !text.value.contains(['?', '#']) {
        return Some(text.value);
    }
    let help = "it begins with `/`; what follows the `?` stands in `query`";
    report.error_help(text.place, format!("`{}` is not a path", text.value), help);
    None
}

fn headers(node: &Node<'_>, report: &mut Report<'_>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (name, node) in read::entries(node, report) {
        if name.value.contains(|c: char| c.is_ascii_uppercase()) {
            let help = format!("write `{}`: fields are known by lower-case names", name.value.to_ascii_lowercase());
            report.error_help(name.place, format!("`{}` is not in lower case", name.value), help);
        }
        if HIDDEN.contains(&name.value) {
            let message = format!("no rule ever sees the field `{}`", name.value);
            report.error_help(name.place, message, "leave it out: it carries credentials, or ends at the gateway");
        }
        if let Some(value) = read::text(node, report) {
            found.insert(name.value.to_owned(), value.value);
        }
    }
    found
}
