//! A rule as the one CEL expression that it means.
//!
//! Structured fields are never compiled from this text; a property test holds the two to one meaning.

use ipnet::IpNet;

use crate::decision::Effect;
use crate::pattern::IdentityPattern;
use crate::rule::{Clause, Rule, Selector, Who};

/// The expression of a rule. Clauses are joined by `&&` in the order in which they are judged.
pub(crate) fn expression(rule: &Rule) -> String {
    let clauses: Vec<String> = Clause::ALL.into_iter().filter_map(|clause| one(rule, clause)).collect();
    if clauses.is_empty() { "true".to_owned() } else { clauses.join(" && ") }
}

/// One clause; `None` if the rule does not have it.
fn one(rule: &Rule, clause: Clause) -> Option<String> {
    match clause {
        Clause::Identities => match &rule.who {
            Who::Anyone => None,
            Who::Among(list) => Some(any(list.iter().map(selector))),
        },
        Clause::Hosts => (!rule.hosts.is_empty()).then(|| any(rule.hosts.iter().map(|pattern| pattern.to_cel()))),
        Clause::Ports => (!rule.ports.is_empty()).then(|| {
            let ports: Vec<String> = rule.ports.iter().map(u16::to_string).collect();
            format!("destination.port in [{}]", ports.join(", "))
        }),
        Clause::Networks => (!rule.networks.is_empty()).then(|| networks(rule)),
        Clause::AtMost => rule.at_most.as_ref().map(|classes| format!("data_classes.all(c, c in {})", list(classes))),
        Clause::AnyOf => rule.any_of.as_ref().map(|classes| format!("data_classes.exists(c, c in {})", list(classes))),
        Clause::Expires => rule.expires.map(|end| format!("now < timestamp(\"{end}\")")),
        // A comment at the end of the text must not swallow the parenthesis.
        Clause::When => rule.when.as_ref().map(|when| match when.source().contains("//") {
            true => format!("({}\n)", when.source().trim()),
            false => format!("({})", when.source().trim()),
        }),
    }
}

fn selector(selector: &Selector) -> String {
    let mut parts: Vec<String> = Vec::new();
    parts.extend(selector.id.as_ref().map(IdentityPattern::to_cel));
    parts.extend(selector.spiffe_id.as_ref().map(IdentityPattern::to_cel));
    for (key, value) in &selector.labels {
        parts.push(format!("has(identity.labels.{key}) && identity.labels.{key} == {}", quoted(value)));
    }
    if let Some(scope) = &selector.scope {
        parts.push(any(scope.iter().map(IdentityPattern::to_cel)));
    }
    match parts.as_slice() {
        [one] => one.clone(),
        _ => format!("({})", parts.join(" && ")),
    }
}

fn networks(rule: &Rule) -> String {
    let inside = any(rule.networks.iter().map(|network: &IpNet| format!("cidr(\"{network}\").containsIP(a)")));
    let quantifier = match rule.tier.effect() {
        Effect::Allow => "all",
        Effect::Deny => "exists",
    };
    let answers = format!("dns.answers.{quantifier}(a, {inside})");
    match rule.hosts.is_empty() {
        // Alone, networks are about IP literals: whoever may reach a network may not name its way into it.
        true => format!("destination.kind == \"ip\" && {answers}"),
        false => answers,
    }
}

fn any(parts: impl Iterator<Item = String>) -> String {
    let parts: Vec<String> = parts.collect();
    match parts.as_slice() {
        [one] => one.clone(),
        _ => format!("({})", parts.join(" || ")),
    }
}

fn list(names: &[Box<str>]) -> String {
    let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
    format!("[{}]", names.join(", "))
}

/// A CEL string literal.
pub(crate) fn quoted(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('"');
    for c in text.chars() {
        match c {
            '"' => literal.push_str("\\\""),
            '\\' => literal.push_str("\\\\"),
            '\n' => literal.push_str("\\n"),
            '\r' => literal.push_str("\\r"),
            '\t' => literal.push_str("\\t"),
            c => literal.push(c),
        }
    }
    literal.push('"');
    literal
}
