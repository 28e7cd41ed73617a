//! Literals that are more than text: addresses, networks, moments, lengths of time, patterns. All are read at load.

use std::net::IpAddr;

use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};
use regex::{Regex, RegexBuilder};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::Look;

use crate::address;

/// What is wrong, and how to mend it.
type Wrong = (String, Option<String>);

/// Most bytes that a compiled pattern may take: `(a{1000}){1000}` is short and huge. A hundred host names take a tenth.
const REGEX_BYTES: usize = 256 * 1024;
/// Deepest nesting of a pattern's groups.
const REGEX_DEPTH: u32 = 32;

/// The argument of `ip()`.
pub(super) fn ip(text: &str) -> Result<IpAddr, Wrong> {
    let ip: IpAddr = text.parse().map_err(|_| (format!("`{text}` is not an IP address"), None))?;
    let plain = address::unmap(ip);
    if plain == ip {
        return Ok(ip);
    }
    let message = format!("`{text}` is an IPv4 address in IPv6 clothes, which no address ever wears here");
    Err((message, Some(format!("write `{plain}`"))))
}

/// The argument of `cidr()`.
pub(super) fn cidr(text: &str) -> Result<IpNet, Wrong> {
    let help = || Some("write an address and a length, such as `192.0.2.0/24`".to_owned());
    let network: IpNet = text.parse().map_err(|_| (format!("`{text}` is not a network"), help()))?;
    if address::unmap(network.addr()) != network.addr() {
        let message = format!("`{text}` is an IPv4 network in IPv6 clothes, which no address ever wears here");
        return Err((message, Some("write the IPv4 network".to_owned())));
    }
    if network.addr() != network.network() {
        let message = format!("`{text}` has bits beyond its length");
        return Err((
            message,
            Some(format!("write `{}`, or `{}/{}`", network.trunc(), network.addr(), network.max_prefix_len())),
        ));
    }
    Ok(network)
}

/// The argument of `timestamp()`: RFC 3339 with `Z`, the one spelling that needs no time zone.
pub(super) fn timestamp(text: &str) -> Result<Timestamp, Wrong> {
    let flaw = || {
        let message = format!("`{text}` is not a moment");
        (message, Some("write it in UTC, such as `2027-06-30T00:00:00Z`".to_owned()))
    };
    let shape = "dddd-dd-ddTdd:dd:dd";
    let (seconds, rest) = text.split_at_checked(shape.len()).ok_or_else(flaw)?;
    let fits = |(byte, wanted): (u8, u8)| if wanted == b'd' { byte.is_ascii_digit() } else { byte == wanted };
    let fraction = rest.strip_suffix('Z').ok_or_else(flaw)?;
    let fraction_fits = fraction.is_empty()
        || fraction
            .strip_prefix('.')
            .is_some_and(|f| (1..=9).contains(&f.len()) && f.bytes().all(|b| b.is_ascii_digit()));
    if !fraction_fits || !seconds.bytes().zip(shape.bytes()).all(fits) {
        return Err(flaw());
    }
    text.parse().map_err(|_| flaw())
}

/// The argument of `duration()`: CEL's `1h30m`, units from the largest to the smallest.
pub(super) fn duration(text: &str) -> Result<SignedDuration, Wrong> {
    let plain = |c: char| c.is_ascii_digit() || matches!(c, 'h' | 'm' | 's' | 'u' | 'n' | '.' | '-');
    let read = if text.chars().all(plain) { text.parse().ok() } else { None };
    read.ok_or_else(|| {
        let message = format!("`{text}` is not a length of time");
        (message, Some("write numbers with units of h, m, s, ms, us or ns, such as `1h30m`".to_owned()))
    })
}

/// Whether a pattern can only match the whole of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchored {
    Yes,
    No,
}

/// The pattern of `matches()`.
pub(super) fn regex(pattern: &str) -> Result<(Regex, Anchored), Wrong> {
    let parsed = ParserBuilder::new().nest_limit(REGEX_DEPTH).build().parse(pattern).map_err(|error| {
        let why = match &error {
            regex_syntax::Error::Parse(error) => error.kind().to_string(),
            regex_syntax::Error::Translate(error) => error.kind().to_string(),
            _ => "it cannot be read".to_owned(),
        };
        ("this is not a pattern: ".to_owned() + &why, None)
    })?;
    let looks = parsed.properties();
    let whole = looks.look_set_prefix().contains(Look::Start) && looks.look_set_suffix().contains(Look::End);
    let limits = |builder: &mut RegexBuilder| {
        builder.size_limit(REGEX_BYTES).dfa_size_limit(REGEX_BYTES).nest_limit(REGEX_DEPTH).build()
    };
    let regex = limits(&mut RegexBuilder::new(pattern)).map_err(|_| {
        let message = format!("this pattern takes more than {} KiB once compiled", REGEX_BYTES / 1024);
        (message, Some("write fewer or smaller repetitions".to_owned()))
    })?;
    Ok((regex, if whole { Anchored::Yes } else { Anchored::No }))
}
