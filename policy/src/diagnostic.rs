//! What is wrong with a bundle, where, and how to mend it: every problem of it, not only the first.

use std::collections::HashSet;
use std::fmt;

use crate::source::SourceFile;

/// Whether the bundle can be used all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It cannot.
    Error,
    /// It can, but somebody should look.
    Warning,
}

/// Whether a diagnostic is printed with ANSI colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Colour {
    /// Plain text.
    Never,
    /// Escape sequences for a terminal.
    Always,
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The file, as the caller named it.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// How many characters it covers, at least 1.
    pub length: u32,
    /// The line itself; of a long one, the part around the column.
    pub source_line: String,
    /// How many characters of the line were left out before `source_line`.
    pub cut: u32,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub help: Option<String>,
}

/// Longest part of a source line that is shown.
const SHOWN_LINE: usize = 160;

impl Diagnostic {
    /// As text for people, with colours or without.
    pub fn render(&self, colour: Colour) -> String {
        let (strong, blue, end) = match (colour, self.severity) {
            (Colour::Never, _) => ("", "", ""),
            (Colour::Always, Severity::Error) => ("\x1b[1;31m", "\x1b[1;34m", "\x1b[0m"),
            (Colour::Always, Severity::Warning) => ("\x1b[1;33m", "\x1b[1;34m", "\x1b[0m"),
        };
        let word = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        let before = " ".repeat((self.column - 1).saturating_sub(self.cut) as usize);
        let room = (self.source_line.chars().count() + 1).saturating_sub(before.len()).max(1);
        let under = "^".repeat((self.length as usize).clamp(1, room));
        let mut text = format!(
            "{strong}{word}{end}: {}\n{margin} {blue}-->{end} {}:{}:{}\n{margin}  {blue}|{end}\n \
             {blue}{number} |{end} {}\n{margin}  {blue}|{end} {before}{strong}{under}{end}",
            printable(&self.message),
            printable(&self.file),
            self.line,
            self.column,
            printable(&self.source_line),
        );
        if let Some(help) = &self.help {
            text.push_str(&format!("\n{margin}  {blue}={end} help: {}", printable(help)));
        }
        text
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Colour::Never))
    }
}

/// A bundle is other people's text: nothing in it may steer a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// A range of bytes in one file of the bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) file: u32,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Place {
    /// The bundle as a whole.
    pub(crate) const NOWHERE: Place = Place { file: u32::MAX, start: 0, end: 0 };
}

/// A value and where it was written.
#[derive(Clone, Debug)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}

/// Collects diagnostics while a bundle is read.
pub(crate) struct Report<'f> {
    files: &'f [SourceFile],
    /// Offsets at which lines begin, per file, once a diagnostic needed them.
    lines: Vec<Option<Vec<usize>>>,
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    told: HashSet<(Place, String)>,
    cap: usize,
    dropped: usize,
}

impl<'f> Report<'f> {
    pub(crate) fn new(files: &'f [SourceFile], cap: usize) -> Report<'f> {
        Report {
            files,
            lines: files.iter().map(|_| None).collect(),
            errors: Vec::new(),
            warnings: Vec::new(),
            told: HashSet::new(),
            cap,
            dropped: 0,
        }
    }

    pub(crate) fn error(&mut self, place: Place, message: impl Into<String>) {
        self.add(Severity::Error, place, message.into(), None);
    }

    pub(crate) fn error_help(&mut self, place: Place, message: impl Into<String>, help: impl Into<String>) {
        self.add(Severity::Error, place, message.into(), Some(help.into()));
    }

    pub(crate) fn warning(&mut self, place: Place, message: impl Into<String>, help: impl Into<String>) {
        self.add(Severity::Warning, place, message.into(), Some(help.into()));
    }

    /// A part of the language that this version does not enforce, and therefore does not read.
    pub(crate) fn not_yet(&mut self, place: Place, what: &str) {
        self.error(place, format!("`{what}` is not supported yet"));
    }

    pub(crate) fn has_errors(&self) -> bool {
        !self.errors.is_empty() || self.dropped > 0
    }

    /// Whether what is still found will not be shown: whoever reads on only takes time. It says that there is more.
    pub(crate) fn is_full(&mut self) -> bool {
        let full = self.errors.len() >= self.cap;
        self.dropped = self.dropped.max(usize::from(full));
        full
    }

    /// How many errors there are so far.
    pub(crate) fn error_count(&self) -> usize {
        self.errors.len() + self.dropped
    }

    /// The bytes of a file that a place lies in.
    pub(crate) fn text(&self, place: Place) -> &[u8] {
        self.files.get(place.file as usize).map_or(&[], |file| &file.text)
    }

    /// Errors if there are any, with the warnings behind them; otherwise the warnings.
    pub(crate) fn finish(mut self) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        let order = |d: &Diagnostic| (d.file.clone(), d.line, d.column);
        self.errors.sort_by_cached_key(order);
        self.warnings.sort_by_cached_key(order);
        if !self.has_errors() {
            return Ok(self.warnings);
        }
        if self.dropped > 0 {
            let message = format!("only the first {} problems are shown", self.cap);
            let last = self.locate(Severity::Error, Place::NOWHERE, message, None);
            self.errors.push(last);
        }
        self.errors.append(&mut self.warnings);
        Err(self.errors)
    }

    fn add(&mut self, severity: Severity, place: Place, message: String, help: Option<String>) {
        // Counted apart: warnings never push errors out of sight, nor do they fail a bundle by their number.
        match severity {
            Severity::Error if self.errors.len() >= self.cap => {
                self.dropped += 1;
                return;
            }
            Severity::Warning if self.warnings.len() >= self.cap => return,
            Severity::Error | Severity::Warning => {}
        }
        // What several parts of a file share is read for each of them, and wrong once.
        if !self.told.insert((place, message.clone())) {
            return;
        }
        let diagnostic = self.locate(severity, place, message, help);
        match severity {
            Severity::Error => self.errors.push(diagnostic),
            Severity::Warning => self.warnings.push(diagnostic),
        }
    }

    /// The file of a place, and its line from 1.
    pub(crate) fn line(&mut self, place: Place) -> (String, u32) {
        let at = place.file as usize;
        let (Some(file), Some(lines)) = (self.files.get(at), self.lines.get_mut(at)) else {
            return (String::new(), 1);
        };
        let starts = lines.get_or_insert_with(|| line_starts(&file.text));
        (file.name.clone(), number(starts.partition_point(|&line| line <= place.start as usize)))
    }

    fn locate(&mut self, severity: Severity, place: Place, message: String, help: Option<String>) -> Diagnostic {
        let at = place.file as usize;
        let (Some(file), Some(lines)) = (self.files.get(at), self.lines.get_mut(at)) else {
            let file = "bundle.yaml".to_owned();
            let source_line = String::new();
            return Diagnostic { severity, file, line: 1, column: 1, length: 1, source_line, cut: 0, message, help };
        };
        let starts = lines.get_or_insert_with(|| line_starts(&file.text));
        let start = (place.start as usize).min(file.text.len());
        let index = starts.partition_point(|&line| line <= start).saturating_sub(1);
        let begin = starts.get(index).copied().unwrap_or(0);
        let end = starts.get(index + 1).map_or(file.text.len(), |&next| next.saturating_sub(1));
        let line = file.text.get(begin..end.max(begin)).unwrap_or(&[]);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let split = (start - begin).min(line.len());
        let (before, after) = line.split_at(split);
        let column = String::from_utf8_lossy(before).chars().count();
        let covered = after.get(..((place.end as usize).saturating_sub(start)).min(after.len())).unwrap_or(&[]);
        let length = String::from_utf8_lossy(covered).chars().count().max(1);
        let cut = column.saturating_sub(SHOWN_LINE / 2);
        Diagnostic {
            severity,
            file: file.name.clone(),
            line: number(index + 1),
            column: number(column + 1),
            length: number(length),
            source_line: String::from_utf8_lossy(line).chars().skip(cut).take(SHOWN_LINE).collect(),
            cut: number(cut),
            message,
            help,
        }
    }
}

fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn line_starts(text: &[u8]) -> Vec<usize> {
    let after_breaks = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    std::iter::once(0).chain(after_breaks).collect()
}

/// The known name closest to what was written, if one is close enough to be what was meant.
pub(crate) fn did_you_mean<'n>(written: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let allowed = (written.len() / 3).clamp(1, 3);
    // A distance is at least the difference in length, which is cheaper to tell.
    let near = known.into_iter().filter(|name| name.len().abs_diff(written.len()) <= allowed);
    let scored = near.map(|name| (distance(written, name), name));
    scored.filter(|(d, _)| *d <= allowed).min().map(|(_, name)| name)
}

/// Levenshtein distance over bytes; long words are not compared at all.
fn distance(a: &str, b: &str) -> usize {
    if a.len() > 64 || b.len() > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, y) in row.iter_mut().skip(1).zip(b.bytes()) {
            let best = (diagonal + usize::from(x != y)).min(left + 1).min(*cell + 1);
            diagonal = *cell;
            *cell = best;
            left = best;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagnostic_points_at_the_text() {
        let files = [SourceFile { name: "teams/a.yaml".into(), text: "one: 1\ntwo: zwö 2\n".as_bytes().to_vec() }];
        let mut report = Report::new(&files, 10);
        report.error_help(Place { file: 0, start: 12, end: 16 }, "`zwö` is not a number", "write `2`");
        let found = report.finish().unwrap_err();
        assert_eq!(
            found[0].to_string(),
            "error: `zwö` is not a number\n  --> teams/a.yaml:2:6\n   |\n 2 | two: zwö 2\n   |      ^^^\n   = help: write `2`"
        );
        assert!(found[0].render(Colour::Always).starts_with("\x1b[1;31merror"));
    }

    #[test]
    fn text_of_a_bundle_cannot_steer_a_terminal() {
        let files = [SourceFile { name: "a".into(), text: b"x: \x1b[2J".to_vec() }];
        let mut report = Report::new(&files, 10);
        report.error(Place { file: 0, start: 3, end: 4 }, "`\x1b` here");
        assert!(!report.finish().unwrap_err()[0].to_string().contains('\x1b'));
    }

    #[test]
    fn problems_beyond_the_bound_still_fail_the_bundle() {
        let mut report = Report::new(&[], 1);
        report.warning(Place::NOWHERE, "a warning", "");
        report.error(Place::NOWHERE, "first");
        report.error(Place::NOWHERE, "second");
        let found: Vec<String> = report.finish().unwrap_err().into_iter().map(|d| d.message).collect();
        assert_eq!(found, ["first", "only the first 1 problems are shown", "a warning"]);
    }

    #[test]
    fn a_near_miss_is_named() {
        assert_eq!(did_you_mean("purpos", ["owner", "purpose"]), Some("purpose"));
        assert_eq!(did_you_mean("colour", ["owner", "purpose"]), None);
    }
}
