//! The head of a request: read once, strictly, in time linear in its length however it arrives.

use std::fmt;
use std::ops::Range;

use gatepass_policy::host::Authority;

use super::fields::{Fields, Kind, Repeated, Span};
use super::framing::{self, Framing, Options};
use super::head_error::HeadError;
use super::lines::{self, LineError, Lines};
use super::target::{self, Target};
use super::{Limits, Version, syntax};

/// Room in a request line for what is not the target: the longest method taken, two spaces, the version, CRLF.
const LINE_OVERHEAD: usize = METHOD_MAX + 2 + 8 + 2;

/// Longest method. The longest registered one, `BASELINE-CONTROL`, has 16 octets.
const METHOD_MAX: usize = 32;

/// What a PROXY protocol version 2 header begins with, up to where it can be nothing else.
const PROXY_V2: &[u8] = b"\r\n\r\n\0";

/// A protocol that the client wants to change to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// RFC 6455, the only one that is forwarded.
    WebSocket,
}

/// The head of one request, everything in it consistent.
#[derive(Clone)]
pub struct RequestHead {
    method: Range<usize>,
    /// What is asked for.
    pub target: Target,
    /// The client's version.
    pub version: Version,
    /// All fields, as sent.
    pub fields: Fields,
    /// Where the body ends; never `UntilClose`.
    pub framing: Framing,
    /// Whether the client can send another request on this connection. Never on HTTP/1.0: RFC 9112 section 9.3 forbids
    /// a proxy to trust that version's `keep-alive`.
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expect_continue: bool,
    /// The upgrade that was asked for, if it is one that can be forwarded.
    pub upgrade: Option<Upgrade>,
}

impl RequestHead {
    /// The method, as sent: a token without lower-case letters.
    pub fn method(&self) -> &str {
        std::str::from_utf8(self.fields.raw(&self.method)).unwrap_or_default()
    }

    /// The credentials meant for this gateway. They appear in no `Debug` output and go no further.
    pub fn proxy_authorization(&self) -> Option<&[u8]> {
        self.fields.of(Kind::ProxyAuthorization).next()
    }

    /// The data classes that the client declares: the raw value of `Gatepass-Data-Class`.
    pub fn data_class(&self) -> Option<&[u8]> {
        self.fields.of(Kind::DataClass).next()
    }

    /// The trace that the client belongs to: the raw value of `traceparent`, where there is one and no more.
    pub fn traceparent(&self) -> Option<&[u8]> {
        let mut values = self.fields.of(Kind::TraceParent);
        values.next().filter(|_| values.next().is_none())
    }

    /// Whether a second attempt does no more than one (RFC 9110 section 9.2.2), by the method alone.
    pub fn is_idempotent(&self) -> bool {
        matches!(self.method(), "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE")
    }
}

impl fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", &self.method())
            .field("target", &self.target)
            .field("version", &self.version)
            .field("fields", &self.fields)
            .field("framing", &self.framing)
            .finish_non_exhaustive()
    }
}

/// A request line.
#[derive(Debug)]
struct Line {
    method: Range<usize>,
    target: Target,
    version: Version,
}

/// A parser that remembers how far it has read, so that no byte is looked at twice while a head trickles in.
#[derive(Debug, Default)]
pub struct Parser {
    lines: Lines,
    line: Option<Line>,
    spans: Vec<Span>,
}

/// Read one head from the start of `buf` in one go: what [`Parser::parse`] does, without memory.
pub fn parse(buf: &[u8], limits: &Limits) -> Result<Option<(RequestHead, usize)>, HeadError> {
    Parser::default().parse(buf, limits)
}

impl Parser {
    /// Read one head from the start of `buf`, and say how many octets it took. `None`: more are needed; call again with
    /// the same bytes and more after them. An error comes as soon as it is certain, and is the same however the bytes
    /// were split. After an answer the parser is ready for the next head.
    pub fn parse(&mut self, buf: &[u8], limits: &Limits) -> Result<Option<(RequestHead, usize)>, HeadError> {
        let line = match self.line.take() {
            Some(line) => line,
            None => match self.request_line(buf, limits)? {
                Some(line) => line,
                None => return Ok(None),
            },
        };
        loop {
            let Some(range) = self.lines.next(buf, limits.head)? else {
                self.line = Some(line);
                return Ok(None);
            };
            let text = buf.get(range.clone()).unwrap_or_default();
            if text.is_empty() {
                break;
            }
            if self.spans.len() >= limits.fields {
                return Err(HeadError::Line(LineError::TooManyFields));
            }
            self.spans.push(lines::field(text, range.start)?);
        }
        let parser = std::mem::take(self);
        let consumed = parser.lines.start;
        let fields = Fields::new(buf.get(..consumed).unwrap_or_default(), parser.spans);
        Ok(Some((whole(line, fields, limits)?, consumed)))
    }

    fn request_line(&mut self, buf: &[u8], limits: &Limits) -> Result<Option<Line>, HeadError> {
        if self.lines.start == 0 {
            match leading(buf)? {
                Some(start) => self.lines = if start > self.lines.start { Lines::from(start) } else { self.lines },
                None => return Ok(None),
            }
        }
        let Some(first) = buf.get(self.lines.start) else { return Ok(None) };
        // What can never be a method is refused before a line is there: it might never come.
        match first {
            byte if syntax::is_token_byte(*byte) => {}
            0..=8 | 11 | 12 | 14..=31 | 127.. => return Err(HeadError::NotHttp),
            b'\r' | b'\n' => return Err(HeadError::Line(LineError::LineEnd)),
            _ => return Err(HeadError::RequestLine),
        }
        let limit = limits.head.min(self.lines.start + LINE_OVERHEAD + limits.target);
        let range = match self.lines.next(buf, limit) {
            Ok(Some(range)) => range,
            Ok(None) => return Ok(None),
            Err(LineError::TooLarge) => return Err(HeadError::TargetTooLong),
            Err(error) => return Err(HeadError::Line(error)),
        };
        request_line(buf.get(range.clone()).unwrap_or_default(), range.start, limits).map(Some)
    }
}

/// How many octets to skip: one empty line before a request is tolerated (RFC 9112 section 2.2). `None`: cannot say yet.
fn leading(buf: &[u8]) -> Result<Option<usize>, HeadError> {
    match buf {
        [] | [b'\r'] | [b'\r', b'\n'] => Ok(None),
        [b'\r', b'\n', b'\r', ..] if buf.starts_with(PROXY_V2) => Err(HeadError::NotHttp),
        [b'\r', b'\n', b'\r', ..] if PROXY_V2.starts_with(buf) => Ok(None),
        [b'\r', b'\n', ..] => Ok(Some(2)),
        _ => Ok(Some(0)),
    }
}

fn request_line(line: &[u8], at: usize, limits: &Limits) -> Result<Line, HeadError> {
    if line.contains(&b'\r') {
        return Err(HeadError::Line(LineError::LineEnd));
    }
    let mut parts = line.split(|&b| b == b' ');
    let (Some(method), Some(target), Some(version), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(HeadError::RequestLine);
    };
    if !syntax::is_token(method) || method.len() > METHOD_MAX {
        return Err(HeadError::Method);
    }
    let version = match version {
        b"HTTP/1.1" => Version::Http11,
        b"HTTP/1.0" => Version::Http10,
        // The preface of HTTP/2 is made to look like a request (RFC 9113 section 3.4).
        b"HTTP/2.0" if method == b"PRI" && target == b"*" => return Err(HeadError::NotHttp),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => return Err(HeadError::Version),
        _ => return Err(HeadError::RequestLine),
    };
    // Methods are case-sensitive, and all that exist are upper case: `get` is a trick, not a method.
    if method.iter().any(u8::is_ascii_lowercase) {
        return Err(HeadError::Method);
    }
    if matches!(method, b"TRACE" | b"TRACK") {
        return Err(HeadError::MethodRefused);
    }
    if target.len() > limits.target {
        return Err(HeadError::TargetTooLong);
    }
    let target = match method {
        b"CONNECT" => target::connect(target),
        _ => target::absolute(target, method),
    }
    .map_err(HeadError::Target)?;
    Ok(Line { method: at..at + method.len(), target, version })
}

/// Everything that depends on more than one line.
fn whole(line: Line, fields: Fields, limits: &Limits) -> Result<RequestHead, HeadError> {
    check_host(&line, &fields)?;
    let framing = framing::declared(&fields, line.version)?.unwrap_or(Framing::None);
    let options = framing::options(&fields, limits.fields)?;
    fields.single(Kind::ProxyAuthorization).map_err(|_| HeadError::CredentialsRepeated)?;
    fields.single(Kind::DataClass).map_err(|_| HeadError::DataClassRepeated)?;
    let framing = match (&line.target, framing) {
        // Some clients write `Content-Length: 0` on a CONNECT; it says what is true anyway.
        (Target::Connect(_), Framing::None | Framing::Length(0)) => Framing::None,
        (Target::Connect(_), Framing::Length(_) | Framing::Chunked | Framing::UntilClose) => {
            return Err(HeadError::ConnectBody);
        }
        (Target::Absolute { .. }, framing) => framing,
    };
    if fields.of(Kind::Via).any(|via| passed_through(via, &limits.pseudonym)) {
        return Err(HeadError::Loop);
    }
    let method = fields.raw(&line.method);
    if method == b"OPTIONS" {
        check_max_forwards(&fields)?;
    }
    let expect_continue = expects_continue(&fields, line.version)? && framing != Framing::None;
    let upgrade = upgrade(&fields, options, &line, framing);
    let keep_alive = line.version == Version::Http11 && !options.close;
    let Line { method, target, version } = line;
    Ok(RequestHead { method, target, version, fields, framing, keep_alive, expect_continue, upgrade })
}

/// One `Host`, and the same authority as the target: RFC 9112 section 3.2.2 lets a proxy ignore a different one, but
/// whoever reads the request behind us might not.
fn check_host(line: &Line, fields: &Fields) -> Result<(), HeadError> {
    let host = match (fields.single(Kind::Host), line.version) {
        (Err(Repeated), Version::Http10 | Version::Http11) => return Err(HeadError::HostRepeated),
        (Ok(None), Version::Http11) => return Err(HeadError::HostMissing),
        // Python's http.client sends CONNECT in HTTP/1.0 and without Host.
        (Ok(None), Version::Http10) => return Ok(()),
        (Ok(Some(host)), Version::Http10 | Version::Http11) => host,
    };
    let port = match &line.target {
        // Java, Node and aiohttp leave the port out.
        Target::Connect(authority) => authority.port,
        Target::Absolute { .. } => target::HTTP_PORT,
    };
    let host = Authority::parse_with_default(host, port).map_err(HeadError::Host)?;
    if host == *line.target.authority() { Ok(()) } else { Err(HeadError::HostDiffers) }
}

/// Whether one element of `Via` was put there under `pseudonym`: `1.1 name` or `HTTP/1.1 name (comment)`.
fn passed_through(via: &[u8], pseudonym: &str) -> bool {
    syntax::list(via).any(|element| {
        let mut words = element.split(|b| matches!(b, b' ' | b'\t')).filter(|word| !word.is_empty());
        words.nth(1).is_some_and(|by| by.eq_ignore_ascii_case(pseudonym.as_bytes()))
    })
}

fn check_max_forwards(fields: &Fields) -> Result<(), HeadError> {
    match fields.single(Kind::MaxForwards) {
        Ok(None) => Ok(()),
        Ok(Some(value)) if syntax::decimal(value).is_some_and(|left| left > 0) => Ok(()),
        Ok(Some(_)) | Err(Repeated) => Err(HeadError::MaxForwards),
    }
}

fn expects_continue(fields: &Fields, version: Version) -> Result<bool, HeadError> {
    let mut expects = false;
    for value in fields.of(Kind::Expect) {
        for expectation in syntax::list(value) {
            if !expectation.eq_ignore_ascii_case(b"100-continue") {
                return Err(HeadError::Expectation);
            }
            expects = true;
        }
    }
    // RFC 9110 section 10.1.1: a server ignores it in HTTP/1.0.
    Ok(expects && version == Version::Http11)
}

/// Only a whole and plain WebSocket handshake is one; anything else is forwarded without its upgrade, which RFC 9110
/// section 7.8 permits.
fn upgrade(fields: &Fields, options: Options, line: &Line, framing: Framing) -> Option<Upgrade> {
    let value = fields.single(Kind::Upgrade).ok()??;
    let handshake = options.upgrade
        && line.version == Version::Http11
        && fields.raw(&line.method) == b"GET"
        && framing == Framing::None
        && value.eq_ignore_ascii_case(b"websocket");
    handshake.then_some(Upgrade::WebSocket)
}
