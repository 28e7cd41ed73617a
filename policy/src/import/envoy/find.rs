//! Where the RBAC filters of a configuration are.

use super::super::told::Told;
use super::super::tree;
use crate::source::{Node, SourceFile, Value};

/// One filter's `rules`.
pub(super) struct Filter<'n, 't> {
    pub(super) node: &'n Node<'t>,
    pub(super) action: Action,
    pub(super) policies: &'n Node<'t>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Allow,
    Deny,
    Log,
    Unknown,
}

/// Every filter below `root`, in the order of the file. Shadow rules decide nothing and are told; a matcher tree is not read.
pub(super) fn filters<'n, 't>(root: &'n Node<'t>, file: &SourceFile, told: &mut Vec<Told>) -> Vec<Filter<'n, 't>> {
    let mut found = Vec::new();
    if let Some(policies) = tree::field(root, "policies") {
        found.push(filter(root, policies));
        return found;
    }
    walk(root, file, &mut found, told);
    found
}

fn walk<'n, 't>(node: &'n Node<'t>, file: &SourceFile, found: &mut Vec<Filter<'n, 't>>, told: &mut Vec<Told>) {
    match &node.value {
        Value::Text(..) => {}
        Value::List(items) => items.iter().for_each(|item| walk(item, file, found, told)),
        Value::Map(fields) => {
            for (key, value) in fields {
                match &*key.text {
                    "rules" => match tree::field(value, "policies") {
                        Some(policies) => found.push(filter(value, policies)),
                        None => walk(value, file, found, told),
                    },
                    "shadow_rules" if tree::field(value, "policies").is_some() => {
                        told.push(tree::spot(file, value).note(
                            "shadow rules decide nothing",
                            "write them with `enforcement: shadow` if they are wanted",
                        ));
                    }
                    "matcher" if of_rbac(node) => {
                        let why = "a matcher tree is not read: whatever this filter decides is not carried over";
                        told.push(tree::spot(file, value).dropped(why, "write it as policies, or by hand"));
                        found.push(Filter { node: value, action: Action::Unknown, policies: value });
                    }
                    _ => walk(value, file, found, told),
                }
            }
        }
    }
}

fn of_rbac(node: &Node<'_>) -> bool {
    tree::field(node, "@type").and_then(tree::text).is_some_and(|kind| kind.ends_with(".RBAC"))
}

/// Without a word the action is ALLOW, the first of its list.
fn filter<'n, 't>(rules: &'n Node<'t>, policies: &'n Node<'t>) -> Filter<'n, 't> {
    let action = match tree::field(rules, "action").map(tree::text) {
        None | Some(Some("ALLOW" | "0")) => Action::Allow,
        Some(Some("DENY" | "1")) => Action::Deny,
        Some(Some("LOG" | "2")) => Action::Log,
        Some(Some(_) | None) => Action::Unknown,
    };
    Filter { node: rules, action, policies }
}
