//! YAML text to a tree in which every node knows its place.
//!
//! Built on the event parser beneath `serde-saphyr`, not on a `Deserialize` mirror: serde stops at the first problem,
//! and a user who mends a configuration wants all of them. Anchors, aliases, tags, duplicate keys and further documents
//! are problems here, once, for every section.

use std::sync::{Arc, Mutex};

use serde_saphyr::granit_parser::{Event, Options, Parser, ScalarStyle, Span, StrInput};

use crate::problem::{Excerpts, Findings, Place, Source};

/// A configuration nests four deep; hostile text must not nest the reader's stack.
const DEPTH_MAX: usize = 16;

#[derive(Debug)]
pub(crate) struct Node {
    pub place: Place,
    pub value: Value,
}

#[derive(Debug)]
pub(crate) enum Value {
    Map(Vec<Entry>),
    List(Vec<Node>),
    Scalar(String, Style),
    /// Something that was reported already; whoever reads it says nothing more.
    Refused,
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub name: String,
    pub place: Place,
    pub node: Node,
}

/// Quoted text is text; plain text may be a number, a boolean or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Quoted,
}

impl Node {
    /// Keep every line of this node out of what is told: somebody may have written a secret where its hash belongs.
    pub(crate) fn withhold(&self, found: &mut Findings) {
        found.withhold(&self.place);
        match &self.value {
            Value::Map(entries) => entries.iter().for_each(|entry| {
                found.withhold(&entry.place);
                entry.node.withhold(found);
            }),
            Value::List(items) => items.iter().for_each(|item| item.withhold(found)),
            Value::Scalar(..) | Value::Refused => {}
        }
    }

    /// Withhold what stands below any key called `name`, also where the key was put into the wrong place.
    pub(crate) fn withhold_below(&self, name: &str, found: &mut Findings) {
        match &self.value {
            Value::Map(entries) => entries.iter().for_each(|entry| match entry.name == name {
                true => entry.node.withhold(found),
                false => entry.node.withhold_below(name, found),
            }),
            Value::List(items) => items.iter().for_each(|item| item.withhold_below(name, found)),
            Value::Scalar(..) | Value::Refused => {}
        }
    }

    /// Whether this is the one word, unquoted.
    pub(crate) fn is_word(&self, word: &str) -> bool {
        matches!(&self.value, Value::Scalar(text, Style::Plain) if text == word)
    }
}

/// The root of the one document in `text`, or nothing where the text is not YAML or empty.
pub(crate) fn parse(path: &std::path::Path, text: String, excerpts: Excerpts, found: &mut Findings) -> Option<Node> {
    let source = Arc::new(Source { path: path.to_owned(), text, excerpts, withheld: Mutex::default() });
    let mut options = Options::default();
    options.emit_comments = false;
    options.emit_anchor_events = true;
    options.emit_unresolved_aliases = true;
    options.flow_nesting_limit = DEPTH_MAX;
    options.block_nesting_limit = DEPTH_MAX;
    let events = Parser::new_from_str_with_options(&source.text, options);
    let mut reader = Reader { events, source: &source, found };
    let mut root = None;
    while let Some((event, span)) = reader.next() {
        match event {
            Event::StreamStart | Event::DocumentEnd => {}
            Event::StreamEnd => break,
            Event::DocumentStart(..) if root.is_some() => {
                let place = reader.place(&span, "");
                reader.found.error(&place, "a second document begins here; a file holds one");
                return None;
            }
            Event::DocumentStart(..) => {
                let (event, span) = reader.next()?;
                root = Some(reader.node(event, &span, "")?);
            }
            _ => return None,
        }
    }
    root
}

struct Reader<'t, 'f> {
    events: Parser<'t, StrInput<'t>>,
    source: &'t Arc<Source>,
    found: &'f mut Findings,
}

impl<'t> Reader<'t, '_> {
    /// The next event that belongs to the tree; nothing after a syntax error, which is reported.
    fn next(&mut self) -> Option<(Event<'t>, Span)> {
        loop {
            match self.events.next()? {
                Ok((Event::Anchor(..), span)) => {
                    let place = self.place(&span, "");
                    self.found.error_with_help(&place, "anchors are not allowed", "write the value where it is used");
                }
                Ok(event) => return Some(event),
                Err(error) => {
                    let mark = error.marker();
                    let place = Place::new(self.source.clone(), mark.line(), mark.col() + 1, 1, "".into());
                    self.found.error(&place, format!("this is not YAML: {}", error.info()));
                    return None;
                }
            }
        }
    }

    fn place(&self, span: &Span, key: &str) -> Place {
        let length = match span.start.line() == span.end.line() {
            true => span.end.col().saturating_sub(span.start.col()),
            false => 1,
        };
        Place::new(self.source.clone(), span.start.line(), span.start.col() + 1, length, key.into())
    }

    /// The node that begins with `event`. Nothing after a syntax error.
    fn node(&mut self, event: Event<'t>, span: &Span, key: &str) -> Option<Node> {
        let place = self.place(span, key);
        if event.tag().is_some() {
            let at = span.tag_span().map_or_else(|| place.clone(), |span| self.place(&span, key));
            self.found.error_with_help(&at, "tags are not allowed", "leave it out: every key has one type");
        }
        let value = match event {
            // The parser writes `~` where the user wrote nothing.
            Event::Scalar(_, ScalarStyle::Plain, ..) if span.is_empty() => Value::Scalar(String::new(), Style::Plain),
            Event::Scalar(text, style, ..) => Value::Scalar(text.into_owned(), style_of(style)),
            Event::SequenceStart(..) => self.list(key)?,
            Event::MappingStart(..) => self.map(key)?,
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                self.found.error_with_help(&place, "aliases are not allowed", "write the value where it is used");
                Value::Refused
            }
            _ => return None,
        };
        Some(Node { place, value })
    }

    fn list(&mut self, key: &str) -> Option<Value> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Some(Value::List(items)),
                (event, span) => {
                    let key = format!("{key}[{}]", items.len());
                    items.push(self.node(event, &span, &key)?);
                }
            }
        }
    }

    fn map(&mut self, key: &str) -> Option<Value> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                return Some(Value::Map(entries));
            }
            let head = self.node(event, &span, key)?;
            let (next, next_span) = self.next()?;
            let Value::Scalar(name, _) = head.value else {
                self.found.error(&head.place, "a key is one word");
                self.node(next, &next_span, key)?;
                continue;
            };
            let path = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
            let place = self.place(&span, &path);
            let mut node = self.node(next, &next_span, &path)?;
            if matches!(&node.value, Value::Scalar(text, Style::Plain) if text.is_empty()) {
                // Nothing was written, so the key is the place to point at.
                node.place = place.clone();
            }
            match entries.iter().find(|entry| entry.name == name) {
                Some(first) => {
                    let help = format!("the first is on line {}; keep one", first.place.line());
                    self.found.error_with_help(&place, format!("`{name}` is given twice"), help);
                }
                None => entries.push(Entry { name, place, node }),
            }
        }
    }
}

fn style_of(style: ScalarStyle) -> Style {
    match style {
        ScalarStyle::Plain => Style::Plain,
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted | ScalarStyle::Literal | ScalarStyle::Folded => {
            Style::Quoted
        }
    }
}
