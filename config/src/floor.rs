//! `floor`: what the network and the machine ask of the addresses that no rule looks under.

use ipnet::Ipv6Net;

use crate::node::Node;
use crate::problem::Place;
use crate::reading::{Reading, listed, optional};

/// What the floor is told by the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Floor {
    /// Whether rules may open loopback.
    pub loopback: Loopback,
    /// Prefixes in which the network embeds IPv4 addresses (RFC 6052); no two overlap.
    pub nat64_prefixes: Vec<Ipv6Net>,
}

/// Whether rules may open loopback and the gateway's own interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loopback {
    /// Never.
    Closed,
    /// Rules that name them may: everything binds loopback, and every record says so.
    Development,
}

/// The floor, and where `development_loopback: true` stands, for the check against everything that is bound.
pub(crate) type Read<'n> = (Floor, Option<&'n Place>);

pub(crate) fn convert<'n>(node: Option<&'n Node>, reading: &mut Reading<'_>) -> Option<Read<'n>> {
    let Some(node) = node else {
        return Some((Floor { loopback: Loopback::Closed, nat64_prefixes: Vec::new() }, None));
    };
    let [development, prefixes] = reading.fields(node, ["development_loopback", "nat64_prefixes"])?;
    let open = optional(development, reading, |node, reading| reading.flag(node));
    let prefixes = optional(prefixes, reading, nat64_prefixes);
    let (loopback, place) = match open? {
        Some(true) => (Loopback::Development, development.map(|entry| &entry.node.place)),
        Some(false) | None => (Loopback::Closed, None),
    };
    Some((Floor { loopback, nat64_prefixes: prefixes?.unwrap_or_default() }, place))
}

/// Refuse development where anybody but this machine can reach the gateway.
pub(crate) fn check(development: Option<&Place>, exposed: &[String], reading: &mut Reading<'_>) {
    if let Some(place) = development
        && !exposed.is_empty()
    {
        let binds: Vec<&str> = exposed.iter().map(String::as_str).collect();
        let message = format!("`development_loopback` is refused: {} can be reached from outside", listed(&binds));
        reading.found.error_with_help(place, message, "bind every listener and the admin API to loopback");
    }
}

fn nat64_prefixes(node: &Node, reading: &mut Reading<'_>) -> Option<Vec<Ipv6Net>> {
    let items = reading.list(node)?;
    let mut prefixes: Vec<Ipv6Net> = Vec::new();
    for item in items {
        let Some(prefix) = prefix(item, reading) else { continue };
        if let Some(other) = prefixes.iter().find(|other| other.contains(&prefix) || prefix.contains(*other)) {
            reading.found.error(&item.place, format!("`{prefix}` overlaps `{other}`"));
        }
        prefixes.push(prefix);
    }
    (prefixes.len() == items.len()).then_some(prefixes)
}

/// RFC 6052 section 2.2: six lengths, and bits 64 to 71 are zero.
fn prefix(node: &Node, reading: &mut Reading<'_>) -> Option<Ipv6Net> {
    let prefix: Ipv6Net = reading.parsed(node, "an IPv6 prefix such as `64:ff9b::/96`", |text| text.parse().ok())?;
    let [.., reserved, _, _, _, _, _, _, _] = prefix.addr().octets();
    let wrong = if ![32, 40, 48, 56, 64, 96].contains(&prefix.prefix_len()) {
        "a NAT64 prefix is 32, 40, 48, 56, 64 or 96 bits long (RFC 6052)"
    } else if prefix.trunc() != prefix {
        "there are bits set after its length"
    } else if reserved != 0 {
        "bits 64 to 71 must be zero (RFC 6052)"
    } else {
        return Some(prefix);
    };
    reading.found.error(&node.place, format!("`{prefix}` is not a NAT64 prefix: {wrong}"));
    None
}
