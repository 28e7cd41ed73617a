//! What a `when` claims of the rest of the bundle and of its own rule: words that nothing gives a meaning to, and
//! conditions that can never hold.

use std::collections::BTreeSet;

use super::{Surroundings, when};
use crate::diagnostic::{At, Place, Report, meant_or};
use crate::document::rules::RawRule;
use crate::document::workloads::Workload;
use crate::expr::{Expr, Word};
use crate::overrides::NORMAL;
use crate::schema::Attribute;

/// The words of a bundle that expressions name.
#[derive(Default)]
pub(super) struct Vocabulary {
    pub(super) tags: BTreeSet<Box<str>>,
    pub(super) labels: BTreeSet<Box<str>>,
}

/// Complain about every word that the bundle does not have, and about two conditions that exclude each other.
pub(super) fn check(raw: &RawRule, expr: &Expr, text: &At<String>, around: &Surroundings<'_>, report: &mut Report<'_>) {
    words(expr, text, around, report);
    contradictions(raw, expr, text, report);
}

/// A warning for each label that a rule asks of identities and no workload has.
pub(super) fn selectors(raw: &RawRule, around: &Surroundings<'_>, report: &mut Report<'_>) {
    let asked = raw.identities.iter().flatten().flat_map(|selector| &selector.labels);
    let mut unknown: Vec<&str> =
        asked.map(|(key, _)| &**key).filter(|key| !around.words.labels.contains(*key)).collect();
    unknown.dedup();
    for key in unknown {
        let why = "an entry that asks for it means nobody";
        report.warning_why(raw.id.place, no_label(key), why, label_help(key, around));
    }
}

fn no_label(key: &str) -> String {
    format!("no workload has the label `{key}`")
}

fn label_help(key: &str, around: &Surroundings<'_>) -> String {
    let known = around.words.labels.iter().map(|label| &**label);
    meant_or(key, known, || "give it to an identity in a `Workloads` file".to_owned())
}

/// The words alone, of a condition that is no rule's.
pub(super) fn words(expr: &Expr, text: &At<String>, around: &Surroundings<'_>, report: &mut Report<'_>) {
    const NEVER: &str = "a comparison that is never true makes a deny that never matches";
    let modes = || around.bundle.modes.iter().map(|mode| mode.name.value.as_str()).chain([NORMAL]);
    for (word, conjunct) in expr.words() {
        match word {
            Word::DataClass(name) if !around.classes.contains(&*name) => {
                let help = meant_or(&name, around.classes.iter().copied(), || {
                    "list it under `data_classes` of the bundle".to_owned()
                });
                let message = format!("`{name}` is not a data class of this bundle");
                report.error_why(literal(text, &name, conjunct, report), message, NEVER, help);
            }
            Word::Mode(name) if modes().all(|mode| *mode != *name) => {
                let help = meant_or(&name, modes(), || "list it under `modes` of the bundle".to_owned());
                let message = format!("`{name}` is not a mode of this bundle");
                report.error_why(literal(text, &name, conjunct, report), message, NEVER, help);
            }
            Word::Tag(name) if !around.words.tags.contains(&name) => {
                let help = meant_or(&name, around.words.tags.iter().map(|tag| &**tag), || {
                    "give it to a host in a `Destinations` file".to_owned()
                });
                let message = format!("no destination has the tag `{name}`");
                report.warning_why(literal(text, &name, conjunct, report), message, NEVER, help);
            }
            Word::Label(name) if !around.words.labels.contains(&name) => {
                let place = literal(text, &name, conjunct, report);
                report.warning_why(place, no_label(&name), NEVER, label_help(&name, around));
            }
            Word::DataClass(_) | Word::Mode(_) | Word::Tag(_) | Word::Label(_) => {}
        }
    }
}

/// Where a word stands: in its conjunct, as far as it is written plainly there.
fn literal(text: &At<String>, word: &str, conjunct: std::ops::Range<usize>, report: &Report<'_>) -> Place {
    let written = text.value.get(conjunct.clone()).unwrap_or_default();
    let spellings = [format!("\"{word}\""), format!("'{word}'"), format!(".{word}")];
    let found = spellings.iter().find_map(|spelling| Some((written.find(spelling)?, spelling.len())));
    let range = found.map_or(conjunct.clone(), |(at, length)| conjunct.start + at..conjunct.start + at + length);
    when::within(text, &range, report)
}

fn contradictions(raw: &RawRule, expr: &Expr, text: &At<String>, report: &mut Report<'_>) {
    let demands: Vec<_> = expr.demands().collect();
    for (at, (attribute, value, range)) in demands.iter().enumerate() {
        let clash = demands.iter().take(at).find(|(other, earlier, _)| other == attribute && earlier != value);
        if let Some((_, _, first)) = clash {
            let (place, first) = (when::within(text, range, report), when::within(text, first, report));
            let message = "this rule can never match: two of its conditions exclude each other";
            let why = format!("`{}` has one value in a decision", attribute.row().name);
            report.again(place, first, message, why, "write two rules, or join the conditions by `||`");
        }
        let ports = &raw.destinations.ports;
        if *attribute == Attribute::DestinationPort
            && !ports.is_empty()
            && !ports.iter().any(|port| port.to_string() == *value)
        {
            let help = "name the port in `destinations.ports` alone";
            let message = format!("this rule can never match: `destinations.ports` does not list {value}");
            report.error_help(when::within(text, range, report), message, help);
        }
    }
}

/// The key of every label that some workload has.
pub(super) fn labels(workloads: &[Workload]) -> BTreeSet<Box<str>> {
    let mut found: BTreeSet<Box<str>> = BTreeSet::new();
    for (key, _) in workloads.iter().flat_map(|one| &one.labels) {
        if !found.contains(key) {
            found.insert(key.clone());
        }
    }
    found
}
