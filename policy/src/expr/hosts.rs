//! What may be compared with a host: canonical spellings, whole labels, anchored patterns.
//!
//! A host in the facts has one spelling. A literal in another one would match nothing, and a suffix off a label boundary
//! would match somebody else's name.

use crate::address;
use crate::host::{Authority, Host, Malformed};

/// What is wrong, and how to mend it.
pub(super) type Flaw = (String, Option<String>);

/// The one spelling of a host, or why it is none.
fn canonical(text: &str) -> Result<String, Malformed> {
    match text.parse().map(address::unmap) {
        Ok(ip) => Ok(ip.to_string()),
        Err(_) => Host::parse(text.as_bytes()).map(|host| host.to_text().into_owned()),
    }
}

/// Why nothing ever equals this literal; `None` where something may.
pub(super) fn not_a_host(text: &str) -> Option<Flaw> {
    match canonical(text) {
        Ok(plain) if plain == text => None,
        Ok(plain) => {
            let message = format!("`{text}` is not the canonical spelling, so nothing equals it");
            Some((message, Some(format!("write `{plain}`"))))
        }
        Err(why) => Some((format!("`{text}` is not a host: {why}"), guess(text))),
    }
}

/// Why this literal is no apex for `within()`.
pub(super) fn not_an_apex(text: &str) -> Option<Flaw> {
    match Host::parse(text.as_bytes()) {
        Ok(Host::Ip(_)) => Some((format!("`{text}` is an address, and nothing is within one"), None)),
        Ok(Host::Name(_)) => not_a_host(text),
        Err(_) => match text.strip_prefix('.').map(|rest| (rest, not_a_host(rest))) {
            Some((rest, None)) => {
                let message = format!("`{text}` begins with a dot; within() keeps to label boundaries by itself");
                Some((message, Some(format!("write `{rest}`"))))
            }
            _ => not_a_host(text),
        },
    }
}

/// Why this literal is no suffix of host names.
pub(super) fn not_a_suffix(host: &str, text: &str) -> Option<Flaw> {
    match text.strip_prefix('.') {
        Some(rest) => not_a_host(rest),
        None => {
            let example = if text.is_empty() { "example" } else { text };
            let message = format!("`{text}` does not begin with a dot, so it also ends names such as `evil{example}`");
            let help = format!("write `{host}.within(\"{text}\")` for the name and all below it, or `\".{text}\"`");
            Some((message, Some(help)))
        }
    }
}

/// Why this literal begins no host name.
pub(super) fn not_a_prefix(text: &str) -> Option<Flaw> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.' | ':');
    let message = || format!("`{text}` begins no host: hosts are lower case, A-labels, without other signs");
    (!text.chars().all(plain)).then(|| (message(), None))
}

/// What the author of something that is not a host may have meant.
fn guess(text: &str) -> Option<String> {
    if let Some(apex) = text.strip_prefix("**.").or_else(|| text.strip_prefix("*."))
        && canonical(apex).is_ok_and(|plain| plain == apex)
    {
        return Some(format!("patterns belong in `destinations.hosts`; here, ask `.within(\"{apex}\")`"));
    }
    if let Ok(authority) = Authority::parse(text.as_bytes()) {
        return Some(format!("write `{}`, and compare the port with `destination.port`", authority.host));
    }
    let ascii = idna::domain_to_ascii(text).ok()?;
    (canonical(&ascii).is_ok_and(|plain| plain == ascii)).then(|| format!("write `{ascii}`"))
}
