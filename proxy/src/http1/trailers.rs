//! The fields after a chunked body, and which of them may go further.

use super::fields::{Fields, Kind, Span};
use super::syntax;

/// The trailers of one body. Those that must not be forwarded are not kept.
#[derive(Clone, Debug, Default)]
pub struct Trailers {
    /// Sound lines, `name: value`, without CRLF.
    kept: Vec<Box<[u8]>>,
    seen: usize,
}

impl Trailers {
    /// How many there were, the forbidden ones included.
    pub(super) fn seen(&self) -> usize {
        self.seen
    }

    /// Keep one unless it is forbidden.
    pub(super) fn keep(&mut self, line: &[u8], span: &Span) {
        self.seen += 1;
        let name = line.get(span.name.clone()).unwrap_or_default();
        let value = line.get(span.value.clone()).unwrap_or_default();
        if !forbidden(name, span.kind) {
            self.kept.push([name, b": ", value].concat().into());
        }
    }

    /// Those that the head announced in `Trailer`, as lines without CRLF. The rest is dropped: a receiver that does not
    /// expect a field after the body may mistake it for one of the head, or for the next message (RFC 9110 section
    /// 6.5.1 lets an intermediary discard trailers).
    pub fn announced<'a>(&'a self, head: &'a Fields) -> impl Iterator<Item = &'a [u8]> {
        self.kept.iter().map(|line| &**line).filter(move |line| {
            let name = line.split(|&b| b == b':').next().unwrap_or_default();
            head.of(Kind::Trailer).any(|value| syntax::list(value).any(|listed| listed.eq_ignore_ascii_case(name)))
        })
    }
}

/// Fields that frame, route, authenticate or control: never in trailers (RFC 9110 section 6.5.1).
const FORBIDDEN: &[&str] = &[
    "age",
    "allow",
    "cache-control",
    "content-encoding",
    "content-location",
    "content-range",
    "content-type",
    "date",
    "etag",
    "expires",
    "forwarded",
    "last-modified",
    "location",
    "pragma",
    "range",
    "retry-after",
    "vary",
    "warning",
    "www-authenticate",
];

/// Names of which every extension is forbidden too.
const FORBIDDEN_STARTS: &[&str] = &["access-control-", "content-security-", "if-", "sec-", "x-forwarded-"];

fn forbidden(name: &[u8], kind: Kind) -> bool {
    let named = || FORBIDDEN.iter().any(|other| name.eq_ignore_ascii_case(other.as_bytes()));
    let begins = || {
        FORBIDDEN_STARTS
            .iter()
            .any(|start| name.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start.as_bytes())))
    };
    // Every field that the gateway knows by name is one of those.
    kind != Kind::Other || named() || begins()
}
