//! Colour, on a terminal only, and never where `NO_COLOR` is set.

use std::fmt::Display;
use std::io::IsTerminal;

/// Whether to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// Colours.
    Ansi,
    /// None.
    Plain,
}

impl Paint {
    /// For what is written to standard output.
    pub fn stdout() -> Paint {
        Paint::when(std::io::stdout().is_terminal())
    }

    /// For what is written to standard error.
    pub fn stderr() -> Paint {
        Paint::when(std::io::stderr().is_terminal())
    }

    fn when(terminal: bool) -> Paint {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        if terminal && wanted { Paint::Ansi } else { Paint::Plain }
    }

    /// Green: it went.
    pub fn good(self, text: impl Display) -> String {
        self.code("32", text)
    }

    /// Red: it did not.
    pub fn bad(self, text: impl Display) -> String {
        self.code("31", text)
    }

    /// Bold.
    pub fn strong(self, text: impl Display) -> String {
        self.code("1", text)
    }

    /// Dim.
    pub fn faint(self, text: impl Display) -> String {
        self.code("2", text)
    }

    fn code(self, code: &str, text: impl Display) -> String {
        match self {
            Paint::Ansi => format!("\x1b[{code}m{text}\x1b[0m"),
            Paint::Plain => text.to_string(),
        }
    }
}
