//! The head of an upstream's answer, read as strictly as a request.

use std::fmt;
use std::ops::Range;

use super::fields::{Fields, Kind, Span};
use super::framing::{self, Framing, FramingError};
use super::lines::{self, LineError, Lines};
use super::{Limits, Version, syntax};

/// The head of one answer.
#[derive(Clone)]
pub struct ResponseHead {
    /// The upstream's version.
    pub version: Version,
    /// 100 to 999.
    pub status: u16,
    reason: Range<usize>,
    /// All fields, as sent.
    pub fields: Fields,
    /// Where the body ends, were this an answer to GET: what the fields say. See [`ResponseHead::framing`].
    pub declared: Option<Framing>,
    /// Whether the upstream will take another request on this connection.
    pub keep_alive: bool,
    /// Whether it switches to WebSocket: `Upgrade: websocket` that `Connection` names.
    pub websocket: bool,
}

impl ResponseHead {
    /// The reason phrase; often empty.
    pub fn reason(&self) -> &[u8] {
        self.fields.raw(&self.reason)
    }

    /// Whether another head will follow to the same request (RFC 9110 section 15.2).
    pub fn is_interim(&self) -> bool {
        (100..200).contains(&self.status)
    }

    /// Where the body ends that answers a request with `method` (RFC 9112 section 6.3).
    pub fn framing(&self, method: &str) -> Framing {
        if method == "HEAD" || self.is_interim() || matches!(self.status, 204 | 304) {
            return Framing::None;
        }
        self.declared.unwrap_or(Framing::UntilClose)
    }

    /// Whether it announces a body that a 204 cannot have. What follows is then anybody's guess, and the connection must
    /// not be used again.
    pub fn contradicts_itself(&self) -> bool {
        self.status == 204 && declares_body(self.declared)
    }
}

impl fmt::Debug for ResponseHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseHead")
            .field("version", &self.version)
            .field("status", &self.status)
            .field("fields", &self.fields)
            .field("declared", &self.declared)
            .finish_non_exhaustive()
    }
}

/// Why an answer is refused: the client gets a 502, and the connection to the upstream is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseError {
    /// Not `HTTP/1.x NNN reason`.
    StatusLine,
    /// A line of the head is malformed.
    Line(LineError),
    /// The framing is ambiguous.
    Framing(FramingError),
}

impl ResponseError {
    /// For the client and the record: ASCII, nothing of the answer in it.
    pub fn text(self) -> &'static str {
        match self {
            ResponseError::StatusLine => "the status line is not `HTTP/1.1 NNN reason`",
            ResponseError::Line(error) => error.text(),
            ResponseError::Framing(error) => error.text(),
        }
    }
}

impl fmt::Display for ResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for ResponseError {}

/// A status line.
#[derive(Clone, Debug)]
struct Line {
    version: Version,
    status: u16,
    reason: Range<usize>,
}

/// A parser that remembers how far it has read.
#[derive(Debug, Default)]
pub struct Parser {
    lines: Lines,
    line: Option<Line>,
    spans: Vec<Span>,
}

/// Read one head from the start of `buf` in one go: what [`Parser::parse`] does, without memory.
pub fn parse(buf: &[u8], limits: &Limits) -> Result<Option<(ResponseHead, usize)>, ResponseError> {
    Parser::default().parse(buf, limits)
}

impl Parser {
    /// Read one head from the start of `buf`, and say how many octets it took. `None`: more are needed; call again with
    /// the same bytes and more after them. After a head the parser is ready for the next one.
    pub fn parse(&mut self, buf: &[u8], limits: &Limits) -> Result<Option<(ResponseHead, usize)>, ResponseError> {
        // Something else than HTTP is refused before a line is there: it might never come.
        if !buf.iter().zip(b"HTTP/1.").all(|(got, wanted)| got == wanted) {
            return Err(ResponseError::StatusLine);
        }
        loop {
            let Some(range) = self.lines.next(buf, limits.head).map_err(ResponseError::Line)? else {
                return Ok(None);
            };
            let text = buf.get(range.clone()).unwrap_or_default();
            if self.line.is_none() {
                self.line = Some(status_line(text, range.start)?);
            } else if text.is_empty() {
                break;
            } else if self.spans.len() >= limits.fields {
                return Err(ResponseError::Line(LineError::TooManyFields));
            } else {
                self.spans.push(lines::field(text, range.start).map_err(ResponseError::Line)?);
            }
        }
        let parser = std::mem::take(self);
        let Some(line) = parser.line else { return Err(ResponseError::StatusLine) };
        let consumed = parser.lines.start;
        let fields = Fields::new(buf.get(..consumed).unwrap_or_default(), parser.spans);
        let head = whole(line, fields, limits).map_err(ResponseError::Framing)?;
        Ok(Some((head, consumed)))
    }
}

fn status_line(line: &[u8], at: usize) -> Result<Line, ResponseError> {
    if line.contains(&b'\r') {
        return Err(ResponseError::Line(LineError::LineEnd));
    }
    let (version, rest) = match line {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1', b' ', rest @ ..] => (Version::Http11, rest),
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0', b' ', rest @ ..] => (Version::Http10, rest),
        _ => return Err(ResponseError::StatusLine),
    };
    let (status, reason) = rest.split_at_checked(3).ok_or(ResponseError::StatusLine)?;
    let status = syntax::decimal(status).and_then(|n| u16::try_from(n).ok()).filter(|&n| n >= 100);
    let status = status.ok_or(ResponseError::StatusLine)?;
    // RFC 9112 section 4 wants a space even before an empty reason; some servers leave it out.
    let reason = match reason {
        [] => reason,
        [b' ', reason @ ..] if reason.iter().all(|&b| syntax::is_value_byte(b)) => reason,
        [..] => return Err(ResponseError::StatusLine),
    };
    let end = at + line.len();
    Ok(Line { version, status, reason: end - reason.len()..end })
}

fn declares_body(declared: Option<Framing>) -> bool {
    !matches!(declared, None | Some(Framing::None | Framing::Length(0)))
}

fn whole(line: Line, fields: Fields, limits: &Limits) -> Result<ResponseHead, FramingError> {
    let declared = framing::declared(&fields, line.version)?;
    if line.status < 200 && declares_body(declared) {
        return Err(FramingError::Interim);
    }
    let options = framing::options(&fields, limits.fields)?;
    let keep_alive = match line.version {
        Version::Http11 => !options.close,
        Version::Http10 => options.keep_alive && !options.close,
    };
    let websocket = options.upgrade
        && matches!(fields.single(Kind::Upgrade), Ok(Some(value)) if value.eq_ignore_ascii_case(b"websocket"));
    let Line { version, status, reason } = line;
    Ok(ResponseHead { version, status, reason, fields, declared, keep_alive, websocket })
}
