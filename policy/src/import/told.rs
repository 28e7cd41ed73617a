//! What is said about a line of the source: that it was dropped, narrowed, or is worth a look.

use std::fmt;

use serde::Serialize;

use crate::diagnostic::Place;
use crate::source::SourceFile;

/// How much of a line is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// All of it.
    Dropped,
    /// A part: what was carried over gives less access.
    Narrowed,
    /// Nothing, but somebody should know.
    Note,
}

/// One remark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Told {
    /// How much is missing.
    pub kind: Kind,
    /// The file, as the caller named it.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The line itself, or its beginning.
    pub text: String,
    /// Why.
    pub why: String,
    /// What to do.
    pub help: String,
}

/// Where something of the source stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) file: String,
    pub(super) line: u32,
    pub(super) text: String,
}

/// Longest part of a line that is repeated.
const TEXT_MAX: usize = 160;

impl Spot {
    pub(super) fn new(file: &str, line: usize, text: &str) -> Spot {
        let text = plain(text.trim()).chars().take(TEXT_MAX).collect();
        Spot { file: file.to_owned(), line: u32::try_from(line).unwrap_or(u32::MAX), text }
    }

    /// The line of a file that a place lies in.
    pub(super) fn of(file: &SourceFile, place: Place) -> Spot {
        let start = (place.start as usize).min(file.text.len());
        let (before, after) = file.text.split_at(start);
        let begin = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let end = after.iter().position(|byte| *byte == b'\n').map_or(file.text.len(), |at| start + at);
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        Spot::new(&file.name, line, &String::from_utf8_lossy(file.text.get(begin..end).unwrap_or_default()))
    }

    pub(super) fn dropped(&self, why: impl Into<String>, help: impl Into<String>) -> Told {
        self.told(Kind::Dropped, why.into(), help.into())
    }

    pub(super) fn narrowed(&self, why: impl Into<String>, help: impl Into<String>) -> Told {
        self.told(Kind::Narrowed, why.into(), help.into())
    }

    pub(super) fn note(&self, why: impl Into<String>, help: impl Into<String>) -> Told {
        self.told(Kind::Note, why.into(), help.into())
    }

    fn told(&self, kind: Kind, why: String, help: String) -> Told {
        Told { kind, file: self.file.clone(), line: self.line, text: self.text.clone(), why, help }
    }
}

/// Text of the source that can stand in a policy file and on a terminal: what hides or reorders is left out.
pub(super) fn plain(text: &str) -> String {
    let visible = |c: char| matches!(c, ' '..='~') || c.is_alphanumeric();
    text.chars().map(|c| if c == '\t' { ' ' } else { c }).filter(|c| visible(*c)).collect()
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Dropped => "not carried over",
            Kind::Narrowed => "narrowed",
            Kind::Note => "note",
        };
        write!(f, "{}:{}: {kind}: {}\n    {}\n    = help: {}", self.file, self.line, self.why, self.text, self.help)
    }
}
