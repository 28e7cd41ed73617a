//! YAML text to a tree of texts, lists and mappings, each with its place; whatever YAML has beyond that is refused.
//!
//! Anchors, tags, merge keys, directives and several documents in a file let a reviewer read one thing and a machine
//! another. So do invisible characters. None of them is needed to write policy.

pub(crate) mod read;

use std::borrow::Cow;
use std::collections::HashMap;

use serde_saphyr::granit_parser::{self, Event, Parser, ScalarStyle, ScanError, Span};

use crate::diagnostic::{Place, Report};
use crate::limits::Limits;

/// One file of a bundle, as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Path inside the bundle, with `/`.
    pub name: String,
    /// Its bytes.
    pub text: Vec<u8>,
}

/// How a text was written: only a plain one can be a number or a truth value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Quoted,
}

#[derive(Clone, Debug)]
pub(crate) struct Node<'t> {
    pub(crate) place: Place,
    pub(crate) value: Value<'t>,
}

#[derive(Clone, Debug)]
pub(crate) enum Value<'t> {
    Text(Cow<'t, str>, Style),
    List(Vec<Node<'t>>),
    Map(Vec<(Key<'t>, Node<'t>)>),
}

#[derive(Clone, Debug)]
pub(crate) struct Key<'t> {
    pub(crate) place: Place,
    pub(crate) text: Cow<'t, str>,
}

/// Read file number `file`. `None` if there is no tree to go on with; the report says why.
pub(crate) fn parse<'t>(file: u32, text: &'t [u8], limits: &Limits, report: &mut Report<'_>) -> Option<Node<'t>> {
    let text = readable(file, text, limits, report)?;
    let options = granit_parser::options! {
        disallow_directives: true,
        strict_indentation: true,
        emit_unresolved_aliases: true,
        emit_comments: false,
        flow_nesting_limit: limits.nesting,
        block_nesting_limit: limits.nesting,
    };
    let mut tree = Tree { file, open: Vec::new(), root: None, documents: 0, nodes: 0 };
    for event in Parser::new_from_str_with_options(text, options) {
        match event {
            Ok((event, span)) => {
                let place = tree.place(span);
                tree.take(event, span, report);
                if tree.nodes > limits.nodes {
                    let help = "write several files";
                    report.error_help(place, format!("the file has more than {} values", limits.nodes), help);
                    return None;
                }
                if report.is_full() {
                    return None;
                }
            }
            Err(problem) => {
                report.error(tree.at(&problem), format!("this is not YAML: {}", problem.info()));
                return None;
            }
        }
    }
    if tree.root.is_none() {
        report.error(Place { file, start: 0, end: 0 }, "the file is empty");
    }
    tree.root
}

/// The text, if it is UTF-8 of a bearable size without characters that hide something.
fn readable<'t>(file: u32, text: &'t [u8], limits: &Limits, report: &mut Report<'_>) -> Option<&'t str> {
    let spot = |start: usize, length: usize| {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Place { file, start: number(start), end: number(start + length) }
    };
    if text.len() > limits.file_bytes {
        report.error(spot(0, 0), format!("the file is longer than {} bytes", limits.file_bytes));
        return None;
    }
    let text = match std::str::from_utf8(text) {
        Ok(text) => text,
        Err(problem) => {
            report.error(spot(problem.valid_up_to(), 1), "the file is not UTF-8");
            return None;
        }
    };
    let mut start = 0;
    for line in text.as_bytes().split(|byte| *byte == b'\n') {
        if line.len() > limits.line_bytes {
            let message = format!("a line is longer than {} bytes", limits.line_bytes);
            report.error_help(spot(start, 1), message, "write one thing in a line");
            return None;
        }
        start += line.len() + 1;
    }
    // Nearly every file is plain ASCII and line feeds: then there is nothing to find.
    if text.bytes().all(|byte| matches!(byte, b'\n' | b' '..=b'~')) {
        return Some(text);
    }
    let mut clean = true;
    let mut rest = text.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        let next_is_feed = rest.peek().is_some_and(|(_, next)| *next == '\n');
        if let Some((what, help)) = hidden(c, next_is_feed) {
            let why = "a reader sees something else than a machine, or nothing at all";
            report.error_why(spot(at, c.len_utf8()), format!("{what} in the file"), why, help);
            clean = false;
            if report.is_full() {
                break;
            }
        }
    }
    clean.then_some(text)
}

/// What a character is called that has no place in a policy file.
fn hidden(c: char, next_is_feed: bool) -> Option<(&'static str, &'static str)> {
    match c {
        '\n' => None,
        '\r' if next_is_feed => None,
        '\t' => Some(("a tab", "indent with spaces")),
        '\u{feff}' => Some(("a byte order mark", "save the file as UTF-8 without one")),
        '\0' => Some(("a NUL", "delete it")),
        // These reorder text on a screen, or end a line for some YAML readers and not for others.
        c if is_invisible(c) => Some(("an invisible formatting character", "delete it")),
        '\u{85}' | '\u{2028}' | '\u{2029}' => Some(("an unusual line break", "end lines with a line feed")),
        c if c.is_control() => Some(("a control character", "delete it")),
        _ => None,
    }
}

/// Why some of YAML is not accepted.
const REVIEWERS: &str = "a reviewer would read one thing, and a machine another";

/// Whether a character shows nothing and reorders what stands around it, or may hide in it.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}'..='\u{200f}' | '\u{feff}')
}

enum Open<'t> {
    List(Span, Vec<Node<'t>>),
    Map(Span, Vec<(Key<'t>, Node<'t>)>, Option<Key<'t>>),
}

struct Tree<'t> {
    file: u32,
    open: Vec<Open<'t>>,
    root: Option<Node<'t>>,
    documents: u32,
    nodes: usize,
}

impl<'t> Tree<'t> {
    fn take(&mut self, event: Event<'t>, span: Span, report: &mut Report<'_>) {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents == 2 {
                    let why = "whoever reads only the first would miss what stands in the second";
                    let help = "write one file for each";
                    report.error_why(self.place(span), "a second document in one file", why, help);
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.plain(anchor, tag.is_some(), span, report);
                let style = match style {
                    ScalarStyle::Plain => Style::Plain,
                    ScalarStyle::SingleQuoted
                    | ScalarStyle::DoubleQuoted
                    | ScalarStyle::Literal
                    | ScalarStyle::Folded => Style::Quoted,
                };
                self.add(Node { place: self.place(span), value: Value::Text(text, style) }, report);
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.plain(anchor, tag.is_some(), span, report);
                self.open.push(Open::List(span, Vec::new()));
            }
            Event::MappingStart(_, anchor, tag) => {
                self.plain(anchor, tag.is_some(), span, report);
                // A rule has some ten fields.
                self.open.push(Open::Map(span, Vec::with_capacity(8), None));
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let node = match self.open.pop() {
                    Some(Open::List(start, items)) => Node { place: self.place(start), value: Value::List(items) },
                    Some(Open::Map(start, fields, _)) => {
                        duplicates(&fields, report);
                        Node { place: self.place(start), value: Value::Map(fields) }
                    }
                    None => return,
                };
                self.add(node, report);
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                report.error_why(
                    self.place(span),
                    "aliases (`*name`) are not accepted",
                    REVIEWERS,
                    "write the value out",
                );
                let value = Value::Text(Cow::Borrowed(""), Style::Quoted);
                self.add(Node { place: self.place(span), value }, report);
            }
            // Stream and document ends, comments.
            _ => {}
        }
    }

    /// Refuse anchors and tags.
    fn plain(&self, anchor: usize, tagged: bool, span: Span, report: &mut Report<'_>) {
        if anchor != 0 {
            report.error_why(self.place(span), "anchors (`&name`) are not accepted", REVIEWERS, "write the value out");
        }
        if tagged {
            let help = "quote text, write numbers plainly";
            report.error_why(self.place(span), "tags (`!name`) are not accepted", REVIEWERS, help);
        }
    }

    fn add(&mut self, node: Node<'t>, report: &mut Report<'_>) {
        self.nodes += 1;
        match self.open.last_mut() {
            None => {
                // Of several documents the first is read on, the error is already reported.
                self.root.get_or_insert(node);
            }
            Some(Open::List(_, items)) => items.push(node),
            Some(Open::Map(_, fields, waiting)) => match waiting.take() {
                Some(key) => fields.push((key, node)),
                None => *waiting = Some(key(node, report)),
            },
        }
    }

    fn place(&self, span: Span) -> Place {
        let offset = |marker: granit_parser::Marker| {
            u32::try_from(marker.byte_offset().unwrap_or_else(|| marker.index())).unwrap_or(u32::MAX)
        };
        Place { file: self.file, start: offset(span.start), end: offset(span.end) }
    }

    fn at(&self, problem: &ScanError) -> Place {
        self.place(Span::new(*problem.marker(), *problem.marker()))
    }
}

fn key<'t>(node: Node<'t>, report: &mut Report<'_>) -> Key<'t> {
    let text = match node.value {
        Value::Text(text, Style::Plain) if text == "<<" => {
            report.error_why(node.place, "merge keys (`<<`) are not accepted", REVIEWERS, "write the fields out");
            text
        }
        Value::Text(text, _) => text,
        Value::List(_) | Value::Map(_) => {
            report.error(node.place, "a key is text");
            Cow::Borrowed("")
        }
    };
    Key { place: node.place, text }
}

fn duplicates(fields: &[(Key<'_>, Node<'_>)], report: &mut Report<'_>) {
    // Nearly every mapping has a handful of keys.
    let small = fields.len() <= 16;
    let mut seen: HashMap<&str, Place> = HashMap::new();
    for (at, (key, _)) in fields.iter().enumerate() {
        let first = match small {
            true => fields.iter().take(at).find(|(earlier, _)| earlier.text == key.text).map(|(key, _)| key.place),
            false => seen.insert(&key.text, key.place),
        };
        if let Some(first) = first {
            let message = format!("`{}` stands twice in one mapping", key.text);
            report.again(
                key.place,
                first,
                message,
                "YAML readers disagree which of the two counts",
                "keep one of them",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<(u32, u32, String)> {
        let files = [SourceFile { name: "a.yaml".into(), text: text.as_bytes().to_vec() }];
        let mut report = Report::new(&files, 100);
        parse(0, &files[0].text, &Limits::STANDARD, &mut report);
        match report.finish() {
            Ok(_) => Vec::new(),
            Err(found) => found.into_iter().map(|d| (d.line, d.column, d.message)).collect(),
        }
    }

    #[test]
    fn what_lets_two_readers_disagree_is_refused() {
        for (text, line, column, message) in [
            ("a: &x 1\nb: 2\n", 1, 7, "anchors (`&name`) are not accepted"),
            ("a: 1\nb: *x\n", 2, 4, "aliases (`*name`) are not accepted"),
            ("a: !!str 1\n", 1, 10, "tags (`!name`) are not accepted"),
            ("a: 1\n<<: {b: 2}\n", 2, 1, "merge keys (`<<`) are not accepted"),
            ("a: 1\nb: 2\na: 3\n", 3, 1, "`a` stands twice in one mapping"),
            ("a: 1\n---\nb: 2\n", 2, 1, "a second document in one file"),
            ("\u{feff}a: 1\n", 1, 1, "a byte order mark in the file"),
            ("a: \"\0\"\n", 1, 5, "a NUL in the file"),
            ("a:\tb\n", 1, 3, "a tab in the file"),
            ("a: b\rc: d\n", 1, 5, "a control character in the file"),
            ("a: \"x\u{202e}y\"\n", 1, 6, "an invisible formatting character in the file"),
            ("? [a]\n: 1\n", 1, 3, "a key is text"),
            ("", 1, 1, "the file is empty"),
        ] {
            assert_eq!(problems(text), [(line, column, message.to_owned())], "{text:?}");
        }
        assert!(problems("%YAML 1.2\n---\na: 1\n")[0].2.starts_with("this is not YAML"));
        assert!(problems(&"[".repeat(100_000))[0].2.starts_with("this is not YAML"));
        assert!(problems(&"a: ".repeat(100_000))[0].2.starts_with("this is not YAML"));
    }

    #[test]
    fn windows_line_ends_are_line_ends() {
        assert_eq!(problems("a: 1\r\nb: 2\r\n"), []);
    }

    #[test]
    fn a_file_that_is_not_text_is_an_error() {
        let files = [SourceFile { name: "a.yaml".into(), text: b"a: \xff\n".to_vec() }];
        let mut report = Report::new(&files, 100);
        assert!(parse(0, &files[0].text, &Limits::STANDARD, &mut report).is_none());
        assert_eq!(report.finish().unwrap_err()[0].message, "the file is not UTF-8");
    }
}
