//! `Host` and `Authority`: what a client asked for, parsed once, canonical, safe to compare.
//!
//! A host that is accepted here has exactly one spelling: lower case, A-labels, no final dot, an IP address only in its
//! plain form. Everything else is refused before policy and DNS see it, because two parsers that read one spelling
//! differently are how filters are walked around (RFC 3986 section 7.4, WHATWG URL "ends in a number").

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use crate::address;

/// Longest host name in octets, without the final dot (RFC 1035 section 2.3.4).
const NAME_MAX: usize = 253;
/// Longest label in octets (RFC 1035 section 2.3.4).
const LABEL_MAX: usize = 63;

/// A destination host in its one canonical form.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// A DNS name: lower-case labels of `a-z 0-9 - _`, no final dot.
    Name(Arc<str>),
    /// An IP literal, IPv4-mapped IPv6 already unwrapped.
    Ip(IpAddr),
}

/// `host:port` as the client wrote it, normalised.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Authority {
    /// The canonical host.
    pub host: Host,
    /// 1 to 65535.
    pub port: u16,
}

/// Why a host or an authority is not one. The text is for the client that sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// There is no host.
    Empty,
    /// Longer than 253 octets, or a label longer than 63.
    TooLong,
    /// A byte outside `a-z 0-9 - _ .`.
    Character,
    /// An empty label, or one that begins or ends with a hyphen.
    Label,
    /// The last label begins with a digit, and the whole is not a dotted-quad address.
    Number,
    /// Brackets that do not hold an IPv6 address.
    Brackets,
    /// An `xn--` label that is not valid punycode (RFC 5891).
    Punycode,
    /// No port, or not a decimal number from 1 to 65535 without leading zeros.
    Port,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Malformed::Empty => "the host is empty",
            Malformed::TooLong => "the host is longer than 253 octets, or one of its labels longer than 63",
            Malformed::Character => "the host has a character other than letters, digits, `-`, `_` and `.`",
            Malformed::Label => "the host has an empty label, or one that begins or ends with `-`",
            Malformed::Number => "the host ends in a number but is not a plain IPv4 address",
            Malformed::Brackets => "brackets hold something other than an IPv6 address",
            Malformed::Punycode => "the host has an `xn--` label that is not valid",
            Malformed::Port => "the port is not a decimal number from 1 to 65535",
        })
    }
}

impl std::error::Error for Malformed {}

impl Host {
    /// Parse the host part of an authority: a name, a dotted quad, or an IPv6 address in brackets.
    pub fn parse(text: &[u8]) -> Result<Host, Malformed> {
        match text.split_first() {
            None => Err(Malformed::Empty),
            Some((b'[', rest)) => bracketed(rest),
            Some(_) => name_or_v4(text),
        }
    }

    /// The canonical text: `example.com`, `192.0.2.1`, `2001:db8::1` (no brackets).
    pub fn to_text(&self) -> std::borrow::Cow<'_, str> {
        match self {
            Host::Name(name) => std::borrow::Cow::Borrowed(name),
            Host::Ip(ip) => std::borrow::Cow::Owned(ip.to_string()),
        }
    }

    /// The name, unless this is an IP literal.
    pub fn name(&self) -> Option<&str> {
        match self {
            Host::Name(name) => Some(name),
            Host::Ip(_) => None,
        }
    }

    /// The registered domain of a name, by the public suffix list: what somebody bought.
    pub fn registered_domain(&self) -> Option<&str> {
        self.name().and_then(psl::domain_str)
    }

    /// The address, if this is an IP literal.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Host::Name(_) => None,
            Host::Ip(ip) => Some(*ip),
        }
    }

    /// Whether this host is `apex` or lies below it, on a label boundary. An IP literal lies within nothing.
    pub fn within(&self, apex: &str) -> bool {
        self.name().is_some_and(|name| name_within(name, apex))
    }
}

/// The domain that somebody registered, by the public suffix list: `b.example` of `a.b.example`.
pub fn registered_domain(name: &str) -> Option<&str> {
    psl::domain_str(name)
}

/// Whether the public suffix list has the suffix of this name, so that its registered domain is really one that somebody
/// registered: the list takes the last label of any other name for a suffix.
pub fn suffix_is_listed(name: &str) -> bool {
    psl::suffix(name.as_bytes()).is_some_and(|suffix| suffix.is_known())
}

/// Whether `name` is `apex` or below it, on a label boundary. Both are canonical.
pub fn name_within(name: &str, apex: &str) -> bool {
    match name.strip_suffix(apex) {
        Some(rest) => !apex.is_empty() && (rest.is_empty() || rest.ends_with('.')),
        None => false,
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::Ip(IpAddr::V4(ip)) => ip.fmt(f),
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
        }
    }
}

impl Authority {
    /// Parse `host:port`, the port required (RFC 9110 section 9.3.6).
    pub fn parse(text: &[u8]) -> Result<Authority, Malformed> {
        let (host, port) = split_port(text)?;
        let port = port.ok_or(Malformed::Port)?;
        Ok(Authority { host: Host::parse(host)?, port: parse_port(port)? })
    }

    /// Parse `host` or `host:port`; without a port it is `default` (a `Host` field, an `http` URL).
    pub fn parse_with_default(text: &[u8], default: u16) -> Result<Authority, Malformed> {
        let (host, port) = split_port(text)?;
        let port = match port {
            Some(port) => parse_port(port)?,
            None => default,
        };
        Ok(Authority { host: Host::parse(host)?, port })
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Split at the colon that ends the host. A second colon outside brackets belongs to nobody.
fn split_port(text: &[u8]) -> Result<(&[u8], Option<&[u8]>), Malformed> {
    if text.first() == Some(&b'[') {
        let end = text.iter().position(|&b| b == b']').ok_or(Malformed::Brackets)?;
        let (host, rest) = text.split_at(end + 1);
        return match rest.split_first() {
            None => Ok((host, None)),
            Some((b':', port)) => Ok((host, Some(port))),
            Some(_) => Err(Malformed::Brackets),
        };
    }
    match text.iter().position(|&b| b == b':') {
        None => Ok((text, None)),
        Some(at) => {
            let (host, rest) = text.split_at(at);
            Ok((host, rest.split_first().map(|(_, port)| port)))
        }
    }
}

fn parse_port(text: &[u8]) -> Result<u16, Malformed> {
    if text.is_empty() || text.len() > 5 || text.first() == Some(&b'0') || !text.iter().all(u8::is_ascii_digit) {
        return Err(Malformed::Port);
    }
    let number = text.iter().fold(0u32, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    u16::try_from(number).map_err(|_| Malformed::Port)
}

fn bracketed(rest: &[u8]) -> Result<Host, Malformed> {
    let inside = rest.strip_suffix(b"]").ok_or(Malformed::Brackets)?;
    let text = std::str::from_utf8(inside).map_err(|_| Malformed::Brackets)?;
    let ip: Ipv6Addr = text.parse().map_err(|_| Malformed::Brackets)?;
    Ok(Host::Ip(address::unmap(IpAddr::V6(ip))))
}

fn name_or_v4(text: &[u8]) -> Result<Host, Malformed> {
    // Rust's parser takes dotted quads without leading zeros and nothing else, which is exactly the plain form.
    if let Ok(ip) = std::str::from_utf8(text).unwrap_or("").parse::<Ipv4Addr>() {
        return Ok(Host::Ip(IpAddr::V4(ip)));
    }
    let name = text.strip_suffix(b".").unwrap_or(text);
    if name.is_empty() {
        return Err(Malformed::Empty);
    }
    if name.len() > NAME_MAX {
        return Err(Malformed::TooLong);
    }
    let mut lower = String::with_capacity(name.len());
    for &byte in name {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => lower.push(char::from(byte)),
            b'A'..=b'Z' => lower.push(char::from(byte.to_ascii_lowercase())),
            _ => return Err(Malformed::Character),
        }
    }
    check_labels(&lower)?;
    Ok(Host::Name(lower.into()))
}

fn check_labels(name: &str) -> Result<(), Malformed> {
    let mut last = "";
    let mut punycode = false;
    for label in name.split('.') {
        if label.is_empty() || label.starts_with('-') || label.ends_with('-') {
            return Err(Malformed::Label);
        }
        if label.len() > LABEL_MAX {
            return Err(Malformed::TooLong);
        }
        punycode |= label.starts_with("xn--");
        last = label;
    }
    // No top-level domain begins with a digit, and resolvers read `127.1`, `0x7f.1` or `1e9` as addresses.
    if last.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(Malformed::Number);
    }
    if punycode && !valid_punycode(name) {
        return Err(Malformed::Punycode);
    }
    Ok(())
}

/// An A-label must decode, and encode back to itself: otherwise two spellings would name one host.
fn valid_punycode(name: &str) -> bool {
    let (unicode, decoded) = idna::domain_to_unicode(name);
    decoded.is_ok() && idna::domain_to_ascii(&unicode).is_ok_and(|ascii| ascii == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_has_one_spelling() {
        let plain = Authority::parse(b"allowed.test:443").unwrap();
        for other in [&b"ALLOWED.TEST:443"[..], b"aLLowEd.tEst:443", b"allowed.test.:443"] {
            assert_eq!(Authority::parse(other).unwrap(), plain);
        }
        assert_eq!(plain.to_string(), "allowed.test:443");
    }

    #[test]
    fn numbers_that_a_resolver_would_read_as_addresses_are_refused() {
        for text in
            ["0X7F000001:80", "127.1:80", "0177.0.0.1:80", "1.2.3.4.5:80", "127.0.0.1h:80", "0:80", "127.0.0.:80"]
        {
            assert_eq!(Authority::parse(text.as_bytes()), Err(Malformed::Number), "{text}");
        }
    }

    #[test]
    fn a_port_is_a_plain_decimal_number() {
        for text in
            ["a.test", "a.test:", "a.test:0", "a.test:080", "a.test:65536", "a.test:443 ", "a.test:+1", "a.test:1:1"]
        {
            assert_eq!(Authority::parse(text.as_bytes()), Err(Malformed::Port), "{text}");
        }
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address() {
        assert_eq!(Host::parse(b"[::ffff:127.0.0.1]"), Host::parse(b"127.0.0.1"));
    }

    #[test]
    fn within_keeps_to_label_boundaries() {
        let host = Host::parse(b"a.x.test").unwrap();
        assert!(host.within("x.test") && host.within("a.x.test") && host.within("test"));
        assert!(!host.within(".test") && !host.within("") && !Host::parse(b"evilx.test").unwrap().within("x.test"));
    }
}
