//! What is wrong in a file that a user wrote, where, and how to mend it.

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Whether a problem keeps the configuration from being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It does.
    Error,
    /// It does not, but somebody should know.
    Warning,
}

/// One thing that is wrong. `Display` is the annotated line, without colour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Error or warning.
    pub severity: Severity,
    /// The file, as it was named.
    pub file: PathBuf,
    /// Where in the file; nowhere when the file as a whole is at fault.
    pub position: Option<Position>,
    /// The key, dotted from the root (`listeners[0].tls.crl`), or empty.
    pub key: String,
    /// What is wrong: lower case, no full stop, the user's text in backticks.
    pub message: String,
    /// How to mend it.
    pub help: Option<String>,
}

/// A stretch of one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// In characters, at least 1.
    pub length: usize,
    /// The line itself; empty where the file may hold secrets.
    pub source_line: String,
}

/// Every problem of one attempt, by file and place; at least one is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

/// Whether the text is meant for a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// Plain text.
    Plain,
    /// ANSI colours.
    Ansi,
}

/// The text of a file, shared by every place in it.
#[derive(Debug)]
pub(crate) struct Source {
    pub path: PathBuf,
    pub text: String,
    pub excerpts: Excerpts,
    /// Lines that are not repeated whatever the rest of the file is: a place outlives the reading of the file.
    pub withheld: Mutex<HashSet<usize>>,
}

/// Whether lines of the file may be repeated in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Excerpts {
    Shown,
    Withheld,
}

/// A place in a file, kept with a value so that whoever uses the value later can still point at it.
#[derive(Clone)]
pub struct Place {
    source: Arc<Source>,
    line: usize,
    column: usize,
    length: usize,
    key: Arc<str>,
}

/// A value with the place where the user wrote it; `None` for a value that no file gave.
#[derive(Clone, Debug)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it was written.
    pub place: Option<Place>,
}

impl Place {
    pub(crate) fn new(source: Arc<Source>, line: usize, column: usize, length: usize, key: Arc<str>) -> Place {
        Place { source, line, column, length: length.max(1), key }
    }

    /// The file, as it was named.
    pub fn file(&self) -> &Path {
        &self.source.path
    }

    /// From 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// In characters, from 1.
    pub fn column(&self) -> usize {
        self.column
    }

    /// The key, dotted from the root; empty for the root.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// An error here: a file that turned out to be unusable, an address that could not be bound.
    pub fn error(&self, message: impl Into<String>, help: Option<String>) -> Problem {
        self.problem(Severity::Error, message.into(), help)
    }

    pub(crate) fn problem(&self, severity: Severity, message: String, help: Option<String>) -> Problem {
        let withheld = self.source.withheld.lock().unwrap_or_else(PoisonError::into_inner).contains(&self.line);
        let source_line = match self.source.excerpts {
            Excerpts::Shown if withheld => String::new(),
            Excerpts::Shown => self.source.text.lines().nth(self.line.saturating_sub(1)).unwrap_or("").to_owned(),
            Excerpts::Withheld => String::new(),
        };
        Problem {
            severity,
            file: self.source.path.clone(),
            position: Some(Position { line: self.line, column: self.column, length: self.length, source_line }),
            key: self.key.to_string(),
            message,
            help,
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.source.path.display(), self.line, self.column)
    }
}

impl<T> Located<T> {
    /// A value that no file gave.
    pub fn nowhere(value: T) -> Located<T> {
        Located { value, place: None }
    }

    /// An error about the value, at its place where it has one, else about `file`.
    pub fn error(&self, file: &Path, message: impl Into<String>, help: Option<String>) -> Problem {
        match &self.place {
            Some(place) => place.error(message, help),
            None => Problem { help, ..Problem::of_file(file, message) },
        }
    }
}

impl Problem {
    /// An error about a file as a whole.
    pub fn of_file(file: &Path, message: impl Into<String>) -> Problem {
        Problem {
            severity: Severity::Error,
            file: file.to_owned(),
            position: None,
            key: String::new(),
            message: message.into(),
            help: None,
        }
    }

    /// The annotated line, for a terminal or for a file.
    pub fn render(&self, paint: Paint) -> String {
        let (label, colour) = match self.severity {
            Severity::Error => ("error", "\x1b[1;31m"),
            Severity::Warning => ("warning", "\x1b[1;33m"),
        };
        let (colour, bold, dim, reset) = match paint {
            Paint::Plain => ("", "", "", ""),
            Paint::Ansi => (colour, "\x1b[1m", "\x1b[2m", "\x1b[0m"),
        };
        let mut text = format!("{colour}{label}{reset}{bold}: {}{reset}\n", printable(&self.message));
        let file = self.file.display();
        let mut gutter = 2;
        match &self.position {
            None => text += &format!("  {dim}-->{reset} {file}\n"),
            Some(at) => {
                let line = at.line.to_string();
                gutter = gutter.max(line.len());
                text += &format!("{:gutter$}{dim}-->{reset} {file}:{line}:{}\n", "", at.column);
                if !at.source_line.is_empty() {
                    let before = " ".repeat(at.column.saturating_sub(1));
                    let marks = "^".repeat(at.length);
                    text += &format!("{:gutter$} {dim}|{reset}\n", "");
                    text += &format!("{line:>gutter$} {dim}|{reset} {}\n", printable(&at.source_line));
                    text += &format!("{:gutter$} {dim}|{reset} {before}{colour}{marks}{reset}\n", "");
                }
            }
        }
        if let Some(help) = &self.help {
            text += &format!("{:gutter$} {dim}={reset} {bold}help{reset}: {}\n", "", printable(help));
        }
        text
    }
}

/// A user's text may hold tabs, which break the alignment, and escape sequences, which a terminal would obey.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(Paint::Plain).trim_end())
    }
}

impl Problems {
    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }

    /// Give them up one by one.
    pub fn into_vec(self) -> Vec<Problem> {
        self.0
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Problems {
        Problems(vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let gap = if index == 0 { "" } else { "\n\n" };
            write!(f, "{gap}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

impl std::error::Error for Problems {}

/// Where conversions leave what they find.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    list: Vec<Problem>,
    withheld: HashSet<(PathBuf, usize)>,
}

impl Findings {
    pub(crate) fn push(&mut self, problem: Problem) {
        self.list.push(problem);
    }

    pub(crate) fn count(&self) -> usize {
        self.list.len()
    }

    /// Quote the line of this place in no problem: it may hold a secret.
    pub(crate) fn withhold(&mut self, place: &Place) {
        self.withheld.insert((place.source.path.clone(), place.line));
        place.source.withheld.lock().unwrap_or_else(PoisonError::into_inner).insert(place.line);
    }

    /// Quote no line at all of what was found so far.
    pub(crate) fn withhold_everything(&mut self) {
        let positions = self.list.iter_mut().filter_map(|problem| problem.position.as_mut());
        positions.for_each(|position| position.source_line.clear());
    }

    pub(crate) fn error(&mut self, place: &Place, message: impl Into<String>) {
        self.push(place.error(message, None));
    }

    pub(crate) fn error_with_help(&mut self, place: &Place, message: impl Into<String>, help: impl Into<String>) {
        self.push(place.error(message, Some(help.into())));
    }

    pub(crate) fn warning(&mut self, place: &Place, message: impl Into<String>, help: impl Into<String>) {
        self.push(place.problem(Severity::Warning, message.into(), Some(help.into())));
    }

    /// The value and the warnings, if there is a value and no error; otherwise everything. `file` comes first, and each
    /// file from top to bottom.
    pub(crate) fn close<T>(mut self, value: Option<T>, file: &Path) -> Result<(T, Vec<Problem>), Problems> {
        let at = |problem: &Problem| problem.position.as_ref().map(|at| (at.line, at.column));
        self.list.sort_by(|a, b| (a.file != file, &a.file, at(a)).cmp(&(b.file != file, &b.file, at(b))));
        for problem in &mut self.list {
            if let Some(position) = &mut problem.position
                && self.withheld.contains(&(problem.file.clone(), position.line))
            {
                position.source_line.clear();
            }
        }
        let failed = self.list.iter().any(|problem| problem.severity == Severity::Error);
        match value {
            Some(value) if !failed => Ok((value, self.list)),
            _ => {
                if !failed {
                    // Every conversion that yields nothing says why; should one ever forget, the answer stays no.
                    self.push(Problem::of_file(file, "the configuration is not usable"));
                }
                Err(Problems(self.list))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(excerpts: Excerpts) -> Place {
        let source = Source {
            path: "gatepass.yaml".into(),
            text: "a: 1\n\tb: \x1b[31m2\n".to_owned(),
            excerpts,
            withheld: Mutex::default(),
        };
        Place::new(Arc::new(source), 2, 2, 1, "b".into())
    }

    #[test]
    fn a_problem_shows_the_line_with_a_mark_and_the_help() {
        let problem = place(Excerpts::Shown).error("`b` is wrong", Some("write `c`".to_owned()));
        assert_eq!(
            problem.to_string(),
            "error: `b` is wrong\n  --> gatepass.yaml:2:2\n   |\n 2 |  b:  [31m2\n   |  ^\n   = help: write `c`"
        );
        assert!(problem.render(Paint::Ansi).contains("\x1b[1;31m^"));
    }

    #[test]
    fn a_file_that_may_hold_secrets_is_pointed_at_and_not_quoted() {
        let problem = place(Excerpts::Withheld).error("`b` is wrong", None);
        assert_eq!(problem.to_string(), "error: `b` is wrong\n  --> gatepass.yaml:2:2");
    }

    #[test]
    fn a_conversion_that_yields_nothing_is_never_a_success() {
        let closed = Findings::default().close(None::<()>, Path::new("f"));
        assert_eq!(closed.unwrap_err().iter().count(), 1);
    }
}
