//! Collects problems while a bundle is read.

use std::collections::HashSet;

use super::{Diagnostic, Place, Related, Severity};
use crate::source::SourceFile;

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

/// What is said of a problem beside what is wrong; nothing, where nothing is needed.
#[derive(Default)]
struct Beside {
    why: Option<String>,
    help: Option<String>,
    first: Option<Place>,
}

/// Longest part of a source line that is shown.
const SHOWN_LINE: usize = 160;

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
        self.add(Severity::Error, place, message.into(), Beside::default());
    }

    pub(crate) fn error_help(&mut self, place: Place, message: impl Into<String>, help: impl Into<String>) {
        let beside = Beside { help: Some(help.into()), ..Beside::default() };
        self.add(Severity::Error, place, message.into(), beside);
    }

    /// An error whose harm is not obvious.
    pub(crate) fn error_why(
        &mut self,
        place: Place,
        message: impl Into<String>,
        why: impl Into<String>,
        help: impl Into<String>,
    ) {
        let beside = Beside { why: Some(why.into()), help: Some(help.into()), first: None };
        self.add(Severity::Error, place, message.into(), beside);
    }

    /// Two that do not go together: this one, and the one that came first.
    pub(crate) fn again(
        &mut self,
        place: Place,
        first: Place,
        message: impl Into<String>,
        why: impl Into<String>,
        help: impl Into<String>,
    ) {
        let beside = Beside { why: Some(why.into()), help: Some(help.into()), first: Some(first) };
        self.add(Severity::Error, place, message.into(), beside);
    }

    /// A problem as an expression's check found it.
    pub(crate) fn found(&mut self, place: Place, message: String, why: Option<&str>, help: Option<String>) {
        let beside = Beside { why: why.map(str::to_owned), help, first: None };
        self.add(Severity::Error, place, message, beside);
    }

    pub(crate) fn warning(&mut self, place: Place, message: impl Into<String>, help: impl Into<String>) {
        let beside = Beside { help: Some(help.into()), ..Beside::default() };
        self.add(Severity::Warning, place, message.into(), beside);
    }

    /// A warning whose harm is not obvious.
    pub(crate) fn warning_why(
        &mut self,
        place: Place,
        message: impl Into<String>,
        why: impl Into<String>,
        help: impl Into<String>,
    ) {
        let beside = Beside { why: Some(why.into()), help: Some(help.into()), first: None };
        self.add(Severity::Warning, place, message.into(), beside);
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
            let last = self.locate(Severity::Error, Place::NOWHERE, message, Beside::default());
            self.errors.push(last);
        }
        self.errors.append(&mut self.warnings);
        Err(self.errors)
    }

    fn add(&mut self, severity: Severity, place: Place, message: String, beside: Beside) {
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
        let diagnostic = self.locate(severity, place, message, beside);
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

    fn locate(&mut self, severity: Severity, place: Place, message: String, beside: Beside) -> Diagnostic {
        let Related { file, line, column, length, source_line, cut, message } = self.spot(place, message);
        let related = beside.first.map(|first| self.spot(first, "first written here".to_owned()));
        let Beside { why, help, .. } = beside;
        Diagnostic { severity, file, line, column, length, source_line, cut, message, why, help, related }
    }

    /// A place as people find it.
    fn spot(&mut self, place: Place, message: String) -> Related {
        let at = place.file as usize;
        let (Some(file), Some(lines)) = (self.files.get(at), self.lines.get_mut(at)) else {
            let (file, source_line) = ("bundle.yaml".to_owned(), String::new());
            return Related { file, line: 1, column: 1, length: 1, source_line, cut: 0, message };
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
        Related {
            file: file.name.clone(),
            line: number(index + 1),
            column: number(column + 1),
            length: number(length),
            source_line: String::from_utf8_lossy(line).chars().skip(cut).take(SHOWN_LINE).collect(),
            cut: number(cut),
            message,
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
