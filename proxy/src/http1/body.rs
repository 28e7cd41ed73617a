//! An incremental reader of bodies: it looks at the bytes at hand and says what they are, and never holds any.

use std::fmt;

use super::framing::Framing;
use super::lines::{LineError, Lines};
use super::trailers::Trailers;
use super::{Limits, lines, syntax};

/// What the first bytes at hand are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// So many octets of framing: drop them, ask again.
    Skip(usize),
    /// So many octets of the body, never 0: take them, ask again.
    Data(usize),
    /// Not enough to say.
    More,
    /// The body has ended; what follows belongs to the next message.
    End,
}

/// Why a body is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// The chunk size is not a plain hexadecimal number, or the line around it is malformed.
    ChunkSize,
    /// A chunk extension is malformed (RFC 9112 section 7.1.1).
    ChunkExtension,
    /// The line before a chunk is longer than the limit.
    ChunkLine,
    /// No CRLF where a chunk ends.
    ChunkEnd,
    /// A trailer is malformed.
    Trailer(LineError),
    /// The connection ended before the body did.
    Truncated,
}

impl BodyError {
    /// For the one who sent it.
    pub fn text(self) -> &'static str {
        match self {
            BodyError::ChunkSize => "a chunk size is not a plain hexadecimal number",
            BodyError::ChunkExtension => "a chunk extension is malformed",
            BodyError::ChunkLine => "a chunk extension is too long",
            BodyError::ChunkEnd => "a chunk does not end where it said",
            BodyError::Trailer(LineError::TooLarge | LineError::TooManyFields) => "there are too many trailers",
            BodyError::Trailer(LineError::LineEnd | LineError::Fold | LineError::FieldName | LineError::FieldValue) => {
                "a trailer is malformed"
            }
            BodyError::Truncated => "the body is cut off",
        }
    }

    /// The status to answer a request with whose body this was.
    pub fn status(self) -> u16 {
        match self {
            BodyError::Trailer(LineError::TooLarge | LineError::TooManyFields) => 431,
            BodyError::ChunkSize
            | BodyError::ChunkExtension
            | BodyError::ChunkLine
            | BodyError::ChunkEnd
            | BodyError::Trailer(LineError::LineEnd | LineError::Fold | LineError::FieldName | LineError::FieldValue)
            | BodyError::Truncated => 400,
        }
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for BodyError {}

/// Where in a body we are.
#[derive(Clone, Copy, Debug)]
enum State {
    /// So many octets are left of a body of known length.
    Length(u64),
    /// Everything up to the end of the connection.
    UntilClose,
    /// At the line before a chunk.
    ChunkLine(Lines),
    /// So many octets are left of a chunk.
    Chunk(u64),
    /// At the CRLF after a chunk.
    ChunkEnd,
    /// Among the trailers, of which so many octets are gone.
    Trailers(Lines, usize),
    /// After the body.
    End,
}

/// A reader of one body.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    trailers: Trailers,
}

impl Decoder {
    /// A reader for a body framed so.
    pub fn new(framing: Framing) -> Decoder {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::End,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::ChunkLine(Lines::default()),
            Framing::UntilClose => State::UntilClose,
        };
        Decoder { state, trailers: Trailers::default() }
    }

    /// Say what `buf` begins with. Whatever a step counts must be taken off the front before the next call; after
    /// `More` the next call brings the same bytes and more after them.
    pub fn step(&mut self, buf: &[u8], limits: &Limits) -> Result<Step, BodyError> {
        match self.state {
            State::End => Ok(Step::End),
            _ if buf.is_empty() => Ok(Step::More),
            State::UntilClose => Ok(Step::Data(buf.len())),
            State::Length(left) => {
                let (taken, left) = take(left, buf.len());
                self.state = if left == 0 { State::End } else { State::Length(left) };
                Ok(Step::Data(taken))
            }
            State::Chunk(left) => {
                let (taken, left) = take(left, buf.len());
                self.state = if left == 0 { State::ChunkEnd } else { State::Chunk(left) };
                Ok(Step::Data(taken))
            }
            State::ChunkEnd => match buf {
                [b'\r', b'\n', ..] => {
                    self.state = State::ChunkLine(Lines::default());
                    Ok(Step::Skip(2))
                }
                [b'\r'] => Ok(Step::More),
                _ => Err(BodyError::ChunkEnd),
            },
            State::ChunkLine(lines) => self.chunk_line(lines, buf, limits),
            State::Trailers(lines, gone) => self.trailer(lines, gone, buf, limits),
        }
    }

    /// Whether the body has ended.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::End)
    }

    /// The connection has ended: was that the end of the body?
    pub fn end_of_stream(&mut self) -> Result<(), BodyError> {
        match self.state {
            State::End | State::UntilClose => {
                self.state = State::End;
                Ok(())
            }
            State::Length(_) | State::ChunkLine(_) | State::Chunk(_) | State::ChunkEnd | State::Trailers(..) => {
                Err(BodyError::Truncated)
            }
        }
    }

    /// The trailers, complete once the body has ended.
    pub fn trailers(&self) -> &Trailers {
        &self.trailers
    }

    fn chunk_line(&mut self, mut lines: Lines, buf: &[u8], limits: &Limits) -> Result<Step, BodyError> {
        // What cannot be a size is refused before its line is there: it might never come.
        if !buf.first().is_some_and(u8::is_ascii_hexdigit) {
            return Err(BodyError::ChunkSize);
        }
        let range = match lines.next(buf, limits.chunk_line) {
            Ok(Some(range)) => range,
            Ok(None) => {
                self.state = State::ChunkLine(lines);
                return Ok(Step::More);
            }
            Err(LineError::TooLarge) => return Err(BodyError::ChunkLine),
            Err(_) => return Err(BodyError::ChunkSize),
        };
        let size = chunk_size(buf.get(range).unwrap_or_default())?;
        self.state = if size == 0 { State::Trailers(Lines::default(), 0) } else { State::Chunk(size) };
        Ok(Step::Skip(lines.start))
    }

    fn trailer(&mut self, mut lines: Lines, gone: usize, buf: &[u8], limits: &Limits) -> Result<Step, BodyError> {
        let left = limits.trailers.saturating_sub(gone);
        let Some(range) = lines.next(buf, left).map_err(BodyError::Trailer)? else {
            self.state = State::Trailers(lines, gone);
            return Ok(Step::More);
        };
        let line = buf.get(range).unwrap_or_default();
        if line.is_empty() {
            self.state = State::End;
        } else {
            if self.trailers.seen() >= limits.fields {
                return Err(BodyError::Trailer(LineError::TooManyFields));
            }
            self.trailers.keep(line, &lines::field(line, 0).map_err(BodyError::Trailer)?);
            self.state = State::Trailers(Lines::default(), gone + lines.start);
        }
        Ok(Step::Skip(lines.start))
    }
}

/// Whether what is at hand of a request's body is sound so far: asked before anything is dialled, so that a request
/// that is already seen to be malformed leaves no trace upstream.
pub fn sound_so_far(framing: Framing, buf: &[u8], limits: &Limits) -> Result<(), BodyError> {
    let mut decoder = Decoder::new(framing);
    let mut rest = buf;
    loop {
        match decoder.step(rest, limits)? {
            Step::Skip(n) | Step::Data(n) => rest = rest.get(n..).unwrap_or_default(),
            Step::More | Step::End => return Ok(()),
        }
    }
}

/// Take what is there of what is left.
fn take(left: u64, there: usize) -> (usize, u64) {
    let taken = usize::try_from(left).map_or(there, |left| left.min(there));
    (taken, left.saturating_sub(taken as u64))
}

/// Read `size *( ";" name [ "=" value ] )`. The extensions are checked and go no further.
fn chunk_size(line: &[u8]) -> Result<u64, BodyError> {
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let (size, extensions) = line.split_at(digits);
    // 16 digits hold every size; more zeros before it serve nobody.
    if size.is_empty() || size.len() > 16 {
        return Err(BodyError::ChunkSize);
    }
    let number = std::str::from_utf8(size).ok().and_then(|text| u64::from_str_radix(text, 16).ok());
    // Up to 2^63 - 1, as for Content-Length.
    let number = number.filter(|&n| i64::try_from(n).is_ok()).ok_or(BodyError::ChunkSize)?;
    match extensions.first() {
        None => {}
        Some(b';') => check_extensions(extensions)?,
        Some(_) => return Err(BodyError::ChunkSize),
    }
    Ok(number)
}

fn check_extensions(text: &[u8]) -> Result<(), BodyError> {
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        let name = tail.iter().take_while(|&&b| syntax::is_token_byte(b)).count();
        if *first != b';' || name == 0 {
            return Err(BodyError::ChunkExtension);
        }
        rest = tail.get(name..).unwrap_or_default();
        if let [b'=', value @ ..] = rest {
            rest = after_value(value).ok_or(BodyError::ChunkExtension)?;
        }
    }
    Ok(())
}

/// What follows a token or a quoted string.
fn after_value(value: &[u8]) -> Option<&[u8]> {
    let [b'"', quoted @ ..] = value else {
        let length = value.iter().take_while(|&&b| syntax::is_token_byte(b)).count();
        return if length == 0 { None } else { value.get(length..) };
    };
    let mut rest = quoted;
    loop {
        match rest {
            [b'"', tail @ ..] => return Some(tail),
            [b'\\', escaped, tail @ ..] if syntax::is_value_byte(*escaped) => rest = tail,
            [b'\\', ..] | [] => return None,
            [byte, tail @ ..] if syntax::is_value_byte(*byte) => rest = tail,
            [_, ..] => return None,
        }
    }
}
