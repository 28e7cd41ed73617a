//! `StringMatcher` and its older spelling in a header's own fields, and networks.

use ipnet::IpNet;

use super::super::tree;
use crate::source::Node;

/// How a text is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Match {
    Exact(String),
    Prefix(String),
    Suffix(String),
    Contains(String),
    /// A regular expression, or a way that is newer than this.
    Other(String),
}

/// A `StringMatcher`; also a header's `exact_match`, `prefix_match` and so on.
pub(super) fn matcher(node: &Node<'_>) -> Match {
    if let Some(inner) = tree::field(node, "string_match") {
        return matcher(inner);
    }
    let text = |name: &str| tree::field(node, name).and_then(tree::text).map(str::to_owned);
    let both = |name: &str| text(name).or_else(|| text(&format!("{name}_match")));
    if let Some(text) = both("exact") {
        return Match::Exact(text);
    }
    if let Some(text) = both("prefix") {
        return Match::Prefix(text);
    }
    if let Some(text) = both("suffix") {
        return Match::Suffix(text);
    }
    if let Some(text) = both("contains") {
        return Match::Contains(text);
    }
    let names: Vec<&str> = tree::fields(node).iter().map(|(key, _)| &*key.text).filter(|key| *key != "name").collect();
    Match::Other(names.join(", "))
}

/// Whether letters of either case are the same to it.
pub(super) fn ignores_case(node: &Node<'_>) -> bool {
    let node = tree::field(node, "string_match").unwrap_or(node);
    tree::field(node, "ignore_case").and_then(tree::text) == Some("true")
}

/// `{address_prefix: …, prefix_len: …}`; without a length, no address bits are compared.
pub(super) fn network(node: &Node<'_>) -> Option<IpNet> {
    let ip: std::net::IpAddr = tree::text(tree::field(node, "address_prefix")?)?.parse().ok()?;
    let bits = match tree::field(node, "prefix_len") {
        None => 0,
        Some(node) => match tree::field(node, "value") {
            Some(value) => tree::text(value)?.parse().ok()?,
            None => tree::text(node)?.parse().ok()?,
        },
    };
    Some(IpNet::new(ip, bits).ok()?.trunc())
}
