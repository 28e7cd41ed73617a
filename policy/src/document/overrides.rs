//! What the bundle says of overrides: containment modes, and on which terms operators may grant and except.

use std::collections::BTreeMap;

use crate::decision::Factors;
use crate::diagnostic::{At, Report};
use crate::expr::Expr;
use crate::overrides::NORMAL;
use crate::source::Node;
use crate::source::read::{self, Fields};

/// A containment mode.
pub(crate) struct Mode {
    pub(crate) name: At<String>,
    pub(crate) allow_when: Expr,
    pub(crate) text: At<String>,
}

/// Who must agree to a grant or an exception.
#[derive(Default)]
pub(crate) struct Terms {
    /// What a grant needs beside the operator's certificate.
    pub(crate) second_factor: Factors,
    /// More of it, where a grant covers data of these classes.
    pub(crate) by_class: BTreeMap<String, Factors>,
    pub(crate) classes: Vec<At<String>>,
    /// Operators who approve grants; `None`: everybody with the role.
    pub(crate) grant_approvers: Option<Vec<At<String>>>,
    /// Operators who approve exceptions; `None`: everybody with the role.
    pub(crate) exception_approvers: Option<Vec<At<String>>>,
}

/// `modes: {restricted: {allow_when: …}}`.
pub(crate) fn modes(node: &Node<'_>, report: &mut Report<'_>) -> Vec<Mode> {
    let mut found: Vec<Mode> = Vec::new();
    for (name, node) in read::entries(node, report) {
        let name = At { value: name.value.to_owned(), place: name.place };
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.value.is_empty() || name.value.len() > 63 || !name.value.chars().all(plain) {
            let help = "up to 63 lower-case letters, digits and `-`";
            report.error_help(name.place, format!("`{}` is not a name for a mode", name.value), help);
            continue;
        }
        if name.value == NORMAL {
            report.error_help(name.place, "`normal` always exists, and restricts nothing", "leave it out");
            continue;
        }
        let Some(mut fields) = Fields::of(node, "a mode", report) else { continue };
        let text = fields.required("allow_when", "what is still allowed; `\"false\"`: nothing but grants", report);
        let text = text.and_then(|node| read::text(node, report));
        fields.finish(report);
        let Some(text) = text else { continue };
        if let Some(allow_when) = crate::compile::condition(&text, report) {
            found.push(Mode { name, allow_when, text });
        }
    }
    found
}

/// The keys `grants` and `exceptions`.
pub(crate) fn terms(fields: &mut Fields<'_, '_>, report: &mut Report<'_>) -> Terms {
    let mut terms = Terms::default();
    if let Some(node) = fields.optional("grants") {
        grants(node, &mut terms, report);
    }
    if let Some(node) = fields.optional("exceptions")
        && let Some(mut fields) = Fields::of(node, "`exceptions` of the bundle", report)
    {
        terms.exception_approvers = fields.optional("approvers").map(|node| approvers(node, report));
        fields.finish(report);
    }
    terms
}

fn grants(node: &Node<'_>, terms: &mut Terms, report: &mut Report<'_>) {
    let Some(mut fields) = Fields::of(node, "`grants`", report) else { return };
    if let Some(found) = fields.optional("second_factor").and_then(|node| factor(node, report)) {
        terms.second_factor = found;
    }
    if let Some(node) = fields.optional("data_classes") {
        for (class, node) in read::entries(node, report) {
            if let Some(found) = factor(node, report) {
                terms.by_class.insert(class.value.to_owned(), found);
                terms.classes.push(At { value: class.value.to_owned(), place: class.place });
            }
        }
    }
    terms.grant_approvers = fields.optional("approvers").map(|node| approvers(node, report));
    fields.finish(report);
}

fn factor(node: &Node<'_>, report: &mut Report<'_>) -> Option<Factors> {
    let words = [
        ("either", Factors::EITHER),
        ("totp", Factors::TOTP),
        ("approval", Factors::APPROVAL),
        ("both", Factors::BOTH),
    ];
    let found = words.iter().find(|(word, _)| read::is_word(node, word)).map(|(_, factors)| *factors);
    if found.is_none() {
        report.error(node.place, "`either`, `totp`, `approval` or `both` is wanted here");
    }
    found
}

/// Names of operators, at least one.
pub(crate) fn approvers(node: &Node<'_>, report: &mut Report<'_>) -> Vec<At<String>> {
    read::list(node, report, read::text)
}
