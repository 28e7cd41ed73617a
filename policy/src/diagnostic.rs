//! What is wrong with a bundle, where, why it matters and how to mend it: every problem of it, not only the first.

mod report;

use std::fmt::{self, Write as _};

pub(crate) use report::Report;

/// Whether the bundle can be used all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It cannot.
    Error,
    /// It can, but somebody should look.
    Warning,
}

impl Severity {
    /// The word for people and machines.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
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
    /// Why it matters, where that is not obvious.
    pub why: Option<String>,
    /// How to mend it.
    pub help: Option<String>,
    /// The other place, where two do not go together.
    pub related: Option<Related>,
}

/// A second place that a problem is about.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Related {
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
    /// What stands there.
    pub message: String,
}

impl Diagnostic {
    /// As text for people, with colours or without.
    pub fn render(&self, colour: Colour) -> String {
        let (strong, blue, end) = match (colour, self.severity) {
            (Colour::Never, _) => ("", "", ""),
            (Colour::Always, Severity::Error) => ("\x1b[1;31m", "\x1b[1;34m", "\x1b[0m"),
            (Colour::Always, Severity::Warning) => ("\x1b[1;33m", "\x1b[1;34m", "\x1b[0m"),
        };
        let other = self.related.as_ref();
        let width = self.line.max(other.map_or(0, |other| other.line)).to_string().len();
        let margin = " ".repeat(width);
        let mut text = format!("{strong}{}{end}: {}", self.severity.as_str(), printable(&self.message));
        let (before, under) = mark(self.column, self.length, self.cut, &self.source_line, "^");
        let _ = write!(
            text,
            "\n{margin} {blue}-->{end} {}:{}:{}\n{margin}  {blue}|{end}\n {blue}{:>width$} |{end} {}\n{margin}  \
             {blue}|{end} {before}{strong}{under}{end}",
            printable(&self.file),
            self.line,
            self.column,
            self.line,
            printable(&self.source_line),
        );
        if let Some(other) = other {
            let (before, under) = mark(other.column, other.length, other.cut, &other.source_line, "-");
            let _ = write!(
                text,
                "\n{margin} {blue}:::{end} {}:{}:{}\n{margin}  {blue}|{end}\n {blue}{:>width$} |{end} {}\n{margin}  \
                 {blue}|{end} {before}{blue}{under} {}{end}",
                printable(&other.file),
                other.line,
                other.column,
                other.line,
                printable(&other.source_line),
                printable(&other.message),
            );
        }
        for (word, said) in [("why", &self.why), ("help", &self.help)] {
            if let Some(said) = said {
                let _ = write!(text, "\n{margin}  {blue}={end} {word}: {}", printable(said));
            }
        }
        text
    }
}

/// What stands before the mark below a line, and the mark.
fn mark(column: u32, length: u32, cut: u32, line: &str, sign: &str) -> (String, String) {
    let before = " ".repeat((column - 1).saturating_sub(cut) as usize);
    let room = (line.chars().count() + 1).saturating_sub(before.len()).max(1);
    let under = sign.repeat((length as usize).clamp(1, room));
    (before, under)
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Colour::Never))
    }
}

/// A bundle is other people's text: nothing in it may steer a terminal, or be read in another order than it has.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || crate::source::is_invisible(c) { '\u{fffd}' } else { c }).collect()
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

/// The known name closest to what was written, if one is close enough to be what was meant.
pub(crate) fn did_you_mean<'n>(written: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let allowed = (written.len() / 3).clamp(1, 3);
    // A distance is at least the difference in length, which is cheaper to tell.
    let near = known.into_iter().filter(|name| name.len().abs_diff(written.len()) <= allowed);
    let scored = near.map(|name| (distance(written, name), name));
    scored.filter(|(d, _)| *d <= allowed).min().map(|(_, name)| name)
}

/// How many letters differ: one that is missing, added, another, or has changed places with its neighbour counts once
/// (optimal string alignment). Long words are not compared at all.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    if a.len() > 64 || b.len() > 64 {
        return usize::MAX;
    }
    let (b, width) = (b.as_bytes(), b.len() + 1);
    let mut above: Vec<usize> = (0..width).collect();
    let mut before = above.clone();
    let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX);
    let mut last = None;
    for (i, x) in a.bytes().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut best = (at(&above, j) + usize::from(x != *y)).min(at(&row, j) + 1).min(at(&above, j + 1) + 1);
            let previous = j.checked_sub(1).and_then(|j| b.get(j).copied());
            if last == Some(*y) && previous == Some(x) {
                best = best.min(at(&before, j.saturating_sub(1)) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
        last = Some(x);
    }
    at(&above, b.len())
}

/// `did you mean` the known name closest to what was written, or else `otherwise`.
pub(crate) fn meant_or<'n>(
    written: &str,
    known: impl IntoIterator<Item = &'n str>,
    otherwise: impl FnOnce() -> String,
) -> String {
    match did_you_mean(written, known) {
        Some(name) => format!("did you mean `{name}`?"),
        None => otherwise(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SourceFile;

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
        report.error(Place { file: 0, start: 3, end: 4 }, "`\x1b` here, and \u{202e} there");
        assert!(!report.finish().unwrap_err()[0].to_string().contains(['\x1b', '\u{202e}']));
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
        assert_eq!(did_you_mean("tema", ["env", "team"]), Some("team"));
        assert_eq!(did_you_mean("colour", ["owner", "purpose"]), None);
    }

    #[test]
    fn letters_that_changed_places_are_one_mistake() {
        for (a, b, wanted) in [("", "", 0), ("", "ab", 2), ("ab", "ba", 1), ("kitten", "sitting", 3), ("ca", "abc", 3)]
        {
            assert_eq!((distance(a, b), distance(b, a)), (wanted, wanted), "{a} {b}");
        }
    }

    #[test]
    fn two_places_that_do_not_go_together_are_both_shown() {
        let text = "a: 1\n".to_owned() + &"\n".repeat(10) + "a: 2\n";
        let files = [SourceFile { name: "a.yaml".into(), text: text.into_bytes() }];
        let mut report = Report::new(&files, 10);
        let place = |start| Place { file: 0, start, end: start + 1 };
        report.again(place(15), place(0), "`a` stands twice", "readers disagree which one counts", "keep one");
        assert_eq!(
            report.finish().unwrap_err()[0].to_string(),
            "error: `a` stands twice\n   --> a.yaml:12:1\n    |\n 12 | a: 2\n    | ^\n   ::: a.yaml:1:1\n    |\n  1 | a: 1\n    | \
             - first written here\n    = why: readers disagree which one counts\n    = help: keep one"
        );
    }
}
