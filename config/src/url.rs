//! The little of a URL that a configuration needs: scheme, host, port, path, and nothing that could hide another host.

use std::fmt;

use gatepass_policy::host::{Authority, Host};

/// A URL without user, query and fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// In lower case.
    pub scheme: String,
    /// Canonical.
    pub host: Host,
    /// The scheme's own where the URL has none.
    pub port: u16,
    /// Begins with `/`, or is empty.
    pub path: String,
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}{}", self.scheme, self.host, self.port, self.path)
    }
}

/// Parse a URL whose scheme is one of `schemes`, each with its port.
pub(crate) fn parse(text: &str, schemes: &[(&str, u16)]) -> Option<Url> {
    let (scheme, rest) = text.split_once("://")?;
    let (scheme, port) = schemes.iter().find(|(known, _)| *known == scheme)?;
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at_checked(at)?,
        None => (rest, ""),
    };
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '\\' | '"' | '<' | '>' | '`' | '{' | '}');
    if !path.chars().all(plain) {
        return None;
    }
    let Authority { host, port } = Authority::parse_with_default(authority.as_bytes(), *port).ok()?;
    Some(Url { scheme: (*scheme).to_owned(), host, port, path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMES: &[(&str, u16)] = &[("http", 80), ("https", 443)];

    #[test]
    fn a_url_is_taken_apart_and_put_together() {
        let shown = |text| parse(text, SCHEMES).map(|url| url.to_string());
        assert_eq!(shown("https://DNS.example/dns-query").as_deref(), Some("https://dns.example:443/dns-query"));
        assert_eq!(shown("http://127.0.0.1:4317").as_deref(), Some("http://127.0.0.1:4317"));
        assert_eq!(shown("http://[::1]:4318/").as_deref(), Some("http://[::1]:4318/"));
    }

    #[test]
    fn what_could_hide_another_host_is_not_a_url() {
        for text in [
            "ftp://a.example",
            "a.example",
            "http:/a.example",
            "http://",
            "http://u:p@a.example",
            "http://a.example?q",
            "http://a.example/?q",
            "http://a.example/#f",
            "http://a.example\\b",
            "http://a b",
            "http://a.example:0",
            "HTTP//a",
            "http://127.1/",
        ] {
            assert_eq!(parse(text, SCHEMES), None, "{text}");
        }
    }
}
