//! The workload registry: an identity's labels and data classes, from its most specific entry.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::diagnostic::{Place, Report};
use crate::document::workloads::Workload;
use crate::facts::{Classes, Labels, Subject};
use crate::identity::Identity;
use crate::index::Map;
use crate::limits::Limits;
use crate::pattern::IdentityPattern;

/// The class of data that nobody labelled.
pub const UNCLASSIFIED: &str = "unclassified";

/// Why a declared data class was refused. The text is for the client that declared it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassRefused {
    text: String,
}

impl fmt::Display for ClassRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for ClassRefused {}

#[derive(Debug)]
pub(crate) struct Registry {
    exact: Map<Box<str>, Arc<Entry>>,
    /// The most specific first.
    patterns: Vec<(IdentityPattern, Arc<Entry>)>,
    unregistered: Arc<Entry>,
    declared_bytes: usize,
    /// Every data class there is.
    catalogue: BTreeSet<Box<str>>,
}

#[derive(Debug, PartialEq)]
struct Entry {
    labels: Arc<Labels>,
    classes: Classes,
    may_declare: Classes,
}

impl Registry {
    /// Build it; two entries of which neither is more specific are an error. Classes are already checked.
    pub(crate) fn build(
        workloads: Vec<Workload>,
        catalogue: &BTreeSet<&str>,
        limits: &Limits,
        report: &mut Report<'_>,
    ) -> Registry {
        let mut exact: Map<Box<str>, Arc<Entry>> = Map::default();
        let mut patterns = Vec::new();
        let mut places: Map<Box<str>, Place> = Map::default();
        for workload in workloads {
            check_captures(&workload, report);
            let names =
                |list: &[crate::diagnostic::At<String>]| list.iter().map(|at| at.value.as_str().into()).collect();
            let entry = Arc::new(Entry {
                labels: Arc::new(workload.labels.iter().cloned().collect()),
                classes: classes(names(&workload.data_classes)),
                may_declare: sorted(names(&workload.may_declare)),
            });
            match workload.id.value.exact() {
                Some(id) => {
                    exact.insert(id.into(), entry);
                    if let Some(first) = places.insert(id.into(), workload.id.place) {
                        let message = format!("`{id}` is registered twice");
                        report.again(workload.id.place, first, message, ORDER, "keep one of the entries");
                    }
                }
                None => patterns.push((workload.id, entry)),
            }
        }
        if patterns.len() > limits.workload_patterns {
            let place = patterns.last().map_or(crate::diagnostic::Place::NOWHERE, |(id, _)| id.place);
            report.error(place, format!("more than {} workload patterns", limits.workload_patterns));
        } else {
            check_overlaps(&patterns, report);
        }
        patterns.sort_by_key(|(id, _)| id.value.specificity());
        Registry {
            exact,
            patterns: patterns.into_iter().map(|(id, entry)| (id.value, entry)).collect(),
            unregistered: Arc::new(Entry {
                labels: Arc::default(),
                classes: classes(Vec::new()),
                may_declare: Arc::new([]),
            }),
            declared_bytes: limits.declared_bytes,
            catalogue: catalogue.iter().map(|class| Box::from(*class)).collect(),
        }
    }

    /// What is known of an identity; `declared` is the raw value of the field with which the client narrows its classes.
    pub(crate) fn subject(&self, identity: &Identity, declared: Option<&[u8]>) -> Result<Subject, ClassRefused> {
        let (entry, labels) = self.entry(identity);
        let declared = declared.map(|value| entry.declare(value, self.declared_bytes)).transpose()?;
        Ok(Subject { labels, registered: entry.classes.clone(), declared })
    }

    /// The same of a client that declares nothing.
    pub(crate) fn registered(&self, identity: &Identity) -> Subject {
        let (entry, labels) = self.entry(identity);
        Subject { labels, registered: entry.classes.clone(), declared: None }
    }

    /// Whether the bundle has this data class.
    pub(crate) fn knows_class(&self, name: &str) -> bool {
        self.catalogue.contains(name)
    }

    /// The identities that are registered by their very id.
    pub(crate) fn exact_ids(&self) -> impl Iterator<Item = &str> {
        self.exact.keys().map(|id| &**id)
    }

    /// The patterns of identities that are registered, each with its labels as written.
    pub(crate) fn patterns(&self) -> impl Iterator<Item = (&IdentityPattern, &Labels)> {
        self.patterns.iter().map(|(pattern, entry)| (pattern, &*entry.labels))
    }

    /// The classes that an identity may declare.
    pub(crate) fn may_declare(&self, identity: &Identity) -> Classes {
        self.entry(identity).0.may_declare.clone()
    }

    /// Whether the other one knows every identity by the same labels and classes.
    pub(crate) fn same(&self, other: &Registry) -> bool {
        self.exact == other.exact && self.patterns == other.patterns
    }

    /// Every data class of the bundle.
    pub(crate) fn class_names(&self) -> impl Iterator<Item = &str> {
        self.catalogue.iter().map(|class| &**class)
    }

    fn entry(&self, identity: &Identity) -> (&Entry, Arc<Labels>) {
        let id = identity.id();
        match self.exact.get(id) {
            Some(entry) => (entry, entry.labels.clone()),
            None => match self.patterns.iter().find_map(|(pattern, entry)| Some((pattern.capture(id)?, entry))) {
                Some((captures, entry)) => (entry, filled(&entry.labels, &captures)),
                None => (&self.unregistered, self.unregistered.labels.clone()),
            },
        }
    }
}

impl Entry {
    fn declare(&self, value: &[u8], limit: usize) -> Result<Classes, ClassRefused> {
        let refused = |text: String| Err(ClassRefused { text });
        if value.len() > limit || !value.iter().all(|b| b.is_ascii_graphic() || *b == b' ' || *b == b'\t') {
            return refused("the declared data classes are not a list of plain names".to_owned());
        }
        let mut found: Vec<Box<str>> = Vec::new();
        for part in value.split(|byte| *byte == b',') {
            let name = std::str::from_utf8(part).unwrap_or("").trim_matches([' ', '\t']);
            if name.is_empty() {
                return refused("a declared data class is empty".to_owned());
            }
            let known = |list: &Classes| list.iter().any(|class| **class == *name);
            // One answer for both, so that nobody learns the catalogue by asking.
            if !known(&self.classes) || !known(&self.may_declare) {
                return refused(format!("`{}` is not a data class that this workload may declare", name));
            }
            found.push(name.into());
        }
        Ok(sorted(found))
    }
}

/// Sorted, without repetition, and never empty.
fn classes(mut names: Vec<Box<str>>) -> Classes {
    if names.is_empty() {
        names.push(UNCLASSIFIED.into());
    }
    sorted(names)
}

pub(crate) fn sorted(mut names: Vec<Box<str>>) -> Classes {
    names.sort_unstable();
    names.dedup();
    names.into()
}

/// Labels with `{name}` replaced by what it stands for.
fn filled(labels: &Arc<Labels>, captures: &[(&str, &str)]) -> Arc<Labels> {
    if captures.is_empty() {
        return labels.clone();
    }
    let fill = |template: &str| {
        let mut text = String::new();
        for part in pieces(template) {
            match part {
                Piece::Text(plain) => text.push_str(plain),
                Piece::Capture(name) => {
                    let value = captures.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value);
                    text.push_str(value);
                }
            }
        }
        text.into_boxed_str()
    };
    Arc::new(labels.iter().map(|(key, value)| (key.clone(), fill(value))).collect())
}

enum Piece<'t> {
    Text(&'t str),
    Capture(&'t str),
}

/// What the client sent is put in once: a capture's value is never itself read for captures.
fn pieces(template: &str) -> Vec<Piece<'_>> {
    let mut found = Vec::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, behind)) = after.split_once('}') else { break };
        found.push(Piece::Text(before));
        found.push(Piece::Capture(name));
        rest = behind;
    }
    found.push(Piece::Text(rest));
    found
}

fn check_captures(workload: &Workload, report: &mut Report<'_>) {
    let known: Vec<&str> = workload.id.value.captures().collect();
    for (key, value) in &workload.labels {
        for piece in pieces(value) {
            let problem = match piece {
                Piece::Capture(name) if !known.contains(&name) => name,
                Piece::Text(text) if text.contains(['{', '}']) => text,
                Piece::Capture(_) | Piece::Text(_) => continue,
            };
            let message = format!("label `{key}`: `{problem}` is not a capture of `{}`", workload.id.value);
            report.error_help(
                workload.labels_place,
                message,
                "only names that stand in the id as `{name}` can be used",
            );
        }
    }
}

/// Why an identity has one entry.
const ORDER: &str = "which labels and data classes such an identity has would hang on the order of files";

fn check_overlaps(patterns: &[(crate::diagnostic::At<IdentityPattern>, Arc<Entry>)], report: &mut Report<'_>) {
    for (at, (later, _)) in patterns.iter().enumerate() {
        let clash = patterns.iter().take(at).find(|(earlier, _)| {
            earlier.value.specificity() == later.value.specificity() && earlier.value.overlaps(&later.value)
        });
        if let Some((earlier, _)) = clash {
            let message = format!("`{}` and `{}` can be the same identity", later.value, earlier.value);
            let help = "make one of them more specific: neither outranks the other";
            report.again(later.place, earlier.place, message, ORDER, help);
        }
    }
}
