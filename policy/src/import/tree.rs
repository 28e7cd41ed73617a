//! Reading foreign YAML, and JSON, which is YAML: the same parser as for policy, and fields without a fixed form.

use std::borrow::Cow;

use super::told::Spot;
use crate::diagnostic::{Diagnostic, Report};
use crate::limits::Limits;
use crate::source::{self, Key, Node, SourceFile, Value};

/// A configuration of a proxy nests deeper than a policy, and is smaller.
const LIMITS: Limits = Limits { nesting: 96, ..Limits::STANDARD };

/// Read the file's tree and make something of it.
pub(super) fn read<T>(file: &SourceFile, make: impl FnOnce(&Node<'_>) -> T) -> Result<T, Vec<Diagnostic>> {
    let files = [file.clone()];
    let mut report = Report::new(&files, LIMITS.diagnostics);
    let made =
        source::parse(0, &file.text, &LIMITS, &mut report).filter(|_| !report.has_errors()).map(|tree| make(&tree));
    let told = report.finish()?;
    made.ok_or(told)
}

/// One thing that is wrong with the file as a whole.
pub(super) fn refused(file: &SourceFile, node: Option<&Node<'_>>, message: &str, help: &str) -> Vec<Diagnostic> {
    let files = [file.clone()];
    let mut report = Report::new(&files, 1);
    let place = node.map_or(crate::diagnostic::Place { file: 0, start: 0, end: 0 }, |node| node.place);
    report.error_help(place, message, help);
    report.finish().err().unwrap_or_default()
}

/// The fields of a mapping; of anything else, none.
pub(super) fn fields<'n, 't>(node: &'n Node<'t>) -> &'n [(Key<'t>, Node<'t>)] {
    match &node.value {
        Value::Map(fields) => fields,
        Value::List(_) | Value::Text(..) => &[],
    }
}

/// The field of this name, unless it is null.
pub(super) fn field<'n, 't>(node: &'n Node<'t>, name: &str) -> Option<&'n Node<'t>> {
    fields(node).iter().find(|(key, value)| key.text == name && !is_null(value)).map(|(_, value)| value)
}

/// The items of a list; of anything else, none.
pub(super) fn items<'n, 't>(node: Option<&'n Node<'t>>) -> &'n [Node<'t>] {
    match node.map(|node| &node.value) {
        Some(Value::List(items)) => items,
        Some(Value::Map(_) | Value::Text(..)) | None => &[],
    }
}

/// The text of a scalar.
pub(super) fn text<'n>(node: &'n Node<'_>) -> Option<&'n str> {
    match &node.value {
        Value::Text(Cow::Borrowed(text), _) => Some(text),
        Value::Text(Cow::Owned(text), _) => Some(text),
        Value::List(_) | Value::Map(_) => None,
    }
}

fn is_null(node: &Node<'_>) -> bool {
    matches!(&node.value, Value::Text(text, source::Style::Plain) if matches!(&**text, "" | "~" | "null"))
}

/// Where a node stands.
pub(super) fn spot(file: &SourceFile, node: &Node<'_>) -> Spot {
    Spot::of(file, node.place)
}
