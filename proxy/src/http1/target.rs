//! The request target: an authority for CONNECT, an absolute `http` URL for everything else.

use gatepass_policy::host::{Authority, Malformed};

/// The port of an `http` URL without one (RFC 9110 section 4.2.1).
pub const HTTP_PORT: u16 = 80;

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `CONNECT host:port`.
    Connect(Authority),
    /// `METHOD http://host[:port]/path?query`.
    Absolute {
        /// Host and port, the port 80 where the URL names none.
        authority: Authority,
        /// What the origin is asked for, at least `/`; `*` for OPTIONS of the whole server.
        path_and_query: Box<str>,
    },
}

impl Target {
    /// The destination.
    pub fn authority(&self) -> &Authority {
        match self {
            Target::Connect(authority) | Target::Absolute { authority, .. } => authority,
        }
    }

    /// The path without the query: begins with `/`, or is `*`. `None` for CONNECT.
    pub fn path(&self) -> Option<&str> {
        match self {
            Target::Connect(_) => None,
            Target::Absolute { path_and_query, .. } => path_and_query.split('?').next(),
        }
    }

    /// The query without `?`; empty where there is none. `None` for CONNECT.
    pub fn query(&self) -> Option<&str> {
        match self {
            Target::Connect(_) => None,
            Target::Absolute { path_and_query, .. } => {
                Some(path_and_query.split_once('?').map_or("", |(_, query)| query))
            }
        }
    }
}

/// What is wrong with a target. The text is for the client that sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetError {
    /// Not an absolute URL.
    Form,
    /// A scheme other than `http`.
    Scheme,
    /// The authority is malformed.
    Authority(Malformed),
    /// A character that a URL cannot have, a fragment among them.
    Character,
    /// A query without a path before it.
    Path,
    /// A `..` segment in the path, however it is written.
    Climbs,
}

impl TargetError {
    /// For the one who sent it.
    pub fn text(self) -> &'static str {
        match self {
            TargetError::Form => "a proxy request needs an absolute URL: http://host/path",
            TargetError::Scheme => "the scheme of the URL is not http",
            // One short sentence each: the parser of hosts has the details, a reason phrase has no room for them.
            TargetError::Authority(Malformed::Port) => "the port is not a decimal number from 1 to 65535",
            TargetError::Authority(_) => "the host is malformed",
            TargetError::Character => "the URL has a character that must not be there",
            TargetError::Path => "the URL has a query but no path",
            TargetError::Climbs => "the path has a `..` segment",
        }
    }
}

/// Read the target of a CONNECT: exactly `host:port` (RFC 9110 section 9.3.6).
pub(super) fn connect(text: &[u8]) -> Result<Target, TargetError> {
    Authority::parse(text).map(Target::Connect).map_err(TargetError::Authority)
}

/// Read the absolute form (RFC 9112 section 3.2.2).
pub(super) fn absolute(text: &[u8], method: &[u8]) -> Result<Target, TargetError> {
    let rest = after_scheme(text)?;
    let end = rest.iter().position(|b| matches!(b, b'/' | b'?' | b'#' | b'\\')).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let authority = Authority::parse_with_default(authority, HTTP_PORT).map_err(TargetError::Authority)?;
    let path_and_query = match rest.first() {
        // RFC 9112 section 3.2.4: the last proxy turns an empty path of OPTIONS into an asterisk.
        None if method == b"OPTIONS" => "*".into(),
        None => "/".into(),
        Some(b'?') => return Err(TargetError::Path),
        Some(_) => path_and_query(rest)?.into(),
    };
    Ok(Target::Absolute { authority, path_and_query })
}

fn after_scheme(text: &[u8]) -> Result<&[u8], TargetError> {
    let colon = text.iter().position(|&b| b == b':').ok_or(TargetError::Form)?;
    let (scheme, rest) = text.split_at(colon);
    let named = scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    let rest = rest.strip_prefix(b"://");
    match (named, scheme.eq_ignore_ascii_case(b"http"), rest) {
        (true, true, Some(rest)) => Ok(rest),
        (true, false, Some(_)) => Err(TargetError::Scheme),
        (true | false, _, _) => Err(TargetError::Form),
    }
}

/// RFC 3986 allows less; clients that follow the WHATWG rules leave `{ | } ^` and the like as they are. What is refused
/// is what peers disagree about: controls, space, non-ASCII, quotes, angle brackets, fragments, and `\` in a path.
fn path_and_query(text: &[u8]) -> Result<&str, TargetError> {
    let end = text.iter().position(|&b| b == b'?').unwrap_or(text.len());
    let (path, _) = text.split_at(end);
    let sound = |&b: &u8| b.is_ascii_graphic() && !matches!(b, b'#' | b'"' | b'<' | b'>');
    if !text.iter().all(sound) || path.contains(&b'\\') {
        return Err(TargetError::Character);
    }
    if climbs(path) {
        return Err(TargetError::Climbs);
    }
    std::str::from_utf8(text).map_err(|_| TargetError::Character)
}

/// Whether a segment is `..` once an origin has decoded it. Rules look at the path as it was sent, so a path that an
/// origin would read as another one is refused. Parameters (`..;x`) and encoded separators count too.
fn climbs(path: &[u8]) -> bool {
    if !path.windows(2).any(|pair| pair == b".." || pair.eq_ignore_ascii_case(b"2e")) {
        return false;
    }
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&first, tail)) = rest.split_first() {
        let (byte, tail) = match (first, tail) {
            (b'%', [b'2', b'e' | b'E', tail @ ..]) => (b'.', tail),
            (b'%', [b'2', b'f' | b'F', tail @ ..] | [b'5', b'c' | b'C', tail @ ..]) => (b'/', tail),
            (b'%', [b'3', b'b' | b'B', tail @ ..]) => (b';', tail),
            (byte, tail) => (byte, tail),
        };
        decoded.push(byte);
        rest = tail;
    }
    decoded.split(|&b| b == b'/').any(|segment| segment == b".." || segment.starts_with(b"..;"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_an_origin_would_read_as_another_is_refused() {
        for path in ["/a/../b", "/..", "/a/%2e%2E/b", "/a/.%2e", "/a/..%2fb", "/a/..;x=1/b", "/a%5c..%5Cb"] {
            let url = format!("http://a.test{path}");
            assert_eq!(absolute(url.as_bytes(), b"GET"), Err(TargetError::Climbs), "{path}");
        }
    }

    #[test]
    fn paths_that_clients_really_send_are_taken_as_they_are() {
        // apt asks for flat repositories with a single dot.
        for path in ["/debian/./InRelease", "/a..b/...", "/x?u=/../", "/a|b{c}^?[d]`\\", "/%2fa%zz"] {
            let url = format!("http://a.test{path}");
            let target = absolute(url.as_bytes(), b"GET").unwrap();
            assert!(matches!(&target, Target::Absolute { path_and_query, .. } if &**path_and_query == path), "{path}");
        }
    }

    #[test]
    fn path_and_query_are_told_apart() {
        let target = absolute(b"HTTP://A.test:8080/p?q?r", b"GET").unwrap();
        assert_eq!((target.path(), target.query()), (Some("/p"), Some("q?r")));
        assert_eq!(target.authority().to_string(), "a.test:8080");
        assert_eq!(absolute(b"http://a.test", b"OPTIONS").unwrap().path(), Some("*"));
        assert_eq!(absolute(b"http://a.test", b"GET").unwrap().path(), Some("/"));
    }
}
