//! What may be compared with a host: canonical spellings, whole labels, anchored patterns.
//!
//! A host in the facts has one spelling. A literal in another one would match nothing, and a suffix off a label boundary
//! would match somebody else's name.

use crate::address;
use crate::host::{Authority, Host, Malformed};

/// What is wrong, why it matters, and how to mend it.
pub(super) struct Flaw {
    pub(super) message: String,
    pub(super) why: Option<&'static str>,
    pub(super) help: Option<String>,
}

const ONE_SPELLING: &str = "a host has one spelling in a decision, and a literal in another one matches nothing";

const ANYBODYS: &str = "whoever registers such a name would be let in, or would slip past a deny";

impl Flaw {
    fn new(message: String, why: Option<&'static str>, help: Option<String>) -> Flaw {
        Flaw { message, why, help }
    }
}

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
            Some(Flaw::new(message, Some(ONE_SPELLING), Some(format!("write `{plain}`"))))
        }
        Err(why) => Some(Flaw::new(format!("`{text}` is not a host: {why}"), Some(ONE_SPELLING), guess(text))),
    }
}

/// Why this literal is no apex for `within()`.
pub(super) fn not_an_apex(text: &str) -> Option<Flaw> {
    match Host::parse(text.as_bytes()) {
        Ok(Host::Ip(_)) => Some(Flaw::new(format!("`{text}` is an address, and nothing is within one"), None, None)),
        Ok(Host::Name(_)) => not_a_host(text),
        Err(_) => match text.strip_prefix('.').map(|rest| (rest, not_a_host(rest))) {
            Some((rest, None)) => {
                let message = format!("`{text}` begins with a dot; within() keeps to label boundaries by itself");
                Some(Flaw::new(message, None, Some(format!("write `{rest}`"))))
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
            Some(Flaw::new(message, Some(ANYBODYS), Some(help)))
        }
    }
}

/// A suffix that only the facts will tell.
pub(super) fn open_suffix(host: &str, part: &str) -> Flaw {
    let help = format!("write `{host}.within({part})`");
    Flaw::new("this suffix may end off a label boundary".to_owned(), Some(ANYBODYS), Some(help))
}

/// A part of a host that may stand anywhere in it.
pub(super) fn anywhere(host: &str) -> Flaw {
    let message = "contains() on a host also holds for names that somebody else registers".to_owned();
    Flaw::new(message, Some(ANYBODYS), Some(format!("write `{host}.within(…)`, or compare with `==`")))
}

/// A pattern on a host that is open at an end.
pub(super) fn unanchored() -> Flaw {
    let message = "this pattern on a host may match in the middle of somebody else's name".to_owned();
    let help = "begin it with `^` and end it with `$`, every alternative of it: `^(a|b)$`, not `^a|b$`";
    Flaw::new(message, Some(ANYBODYS), Some(help.to_owned()))
}

/// Why this literal begins no host name.
pub(super) fn not_a_prefix(text: &str) -> Option<Flaw> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.' | ':');
    let message = || format!("`{text}` begins no host: hosts are lower case, A-labels, without other signs");
    (!text.chars().all(plain)).then(|| Flaw::new(message(), Some(ONE_SPELLING), None))
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
