//! Lines that end in CRLF, found in a growing buffer without looking at a byte twice.

use std::ops::Range;

use super::fields::{Kind, Span};
use super::syntax;

/// What is wrong with a line of a head, whoever sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineError {
    /// A line ends in LF alone, or a CR stands inside it.
    LineEnd,
    /// A line that goes on with white space (obs-fold, RFC 9112 section 5.2).
    Fold,
    /// A field name that is not a token followed by a colon.
    FieldName,
    /// A control byte in a field value.
    FieldValue,
    /// The head is longer than the limit.
    TooLarge,
    /// More fields than the limit.
    TooManyFields,
}

impl LineError {
    /// For the one who sent it.
    pub fn text(self) -> &'static str {
        match self {
            LineError::LineEnd => "a line does not end in CRLF, or has a CR inside",
            LineError::Fold => "a field goes on over a second line",
            LineError::FieldName => "a field has no proper name and colon",
            LineError::FieldValue => "a field value has a control character",
            LineError::TooLarge => "the header section is too long",
            LineError::TooManyFields => "the header section has too many fields",
        }
    }
}

/// Where in the buffer the next line begins, and how far its end was looked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lines {
    pub(super) start: usize,
    looked: usize,
}

impl Lines {
    /// Begin at `start`.
    pub(super) fn from(start: usize) -> Lines {
        Lines { start, looked: start }
    }

    /// The next line without its CRLF, if it is complete and its end lies within the first `limit` octets of `buf`.
    ///
    /// The limit comes before anything else is judged, so that the answer does not hang on how the bytes were split.
    pub(super) fn next(&mut self, buf: &[u8], limit: usize) -> Result<Option<Range<usize>>, LineError> {
        let window = buf.get(self.looked..buf.len().min(limit)).unwrap_or_default();
        let Some(at) = window.iter().position(|&b| b == b'\n') else {
            if buf.len() >= limit {
                return Err(LineError::TooLarge);
            }
            self.looked = buf.len();
            return Ok(None);
        };
        let newline = self.looked + at;
        let line = buf.get(self.start..newline).unwrap_or_default();
        let [content @ .., b'\r'] = line else { return Err(LineError::LineEnd) };
        let range = self.start..self.start + content.len();
        *self = Lines::from(newline + 1);
        Ok(Some(range))
    }
}

/// Read one field line that stands at `at` in the buffer.
pub(super) fn field(line: &[u8], at: usize) -> Result<Span, LineError> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(LineError::Fold);
    }
    let colon = line.iter().position(|&b| !syntax::is_token_byte(b)).unwrap_or(line.len());
    let (name, rest) = line.split_at(colon);
    let Some((b':', value)) = rest.split_first() else {
        return Err(if line.contains(&b'\r') { LineError::LineEnd } else { LineError::FieldName });
    };
    if name.is_empty() {
        return Err(LineError::FieldName);
    }
    if !value.iter().all(|&b| syntax::is_value_byte(b)) {
        return Err(if value.contains(&b'\r') { LineError::LineEnd } else { LineError::FieldValue });
    }
    let text = syntax::trim(value);
    let led = value.iter().take_while(|b| matches!(b, b' ' | b'\t')).count().min(value.len() - text.len());
    let start = at + colon + 1 + led;
    Ok(Span { name: at..at + colon, value: start..start + text.len(), kind: Kind::of(name) })
}
