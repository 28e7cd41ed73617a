//! Defaults under what a test says itself: deep, by key; lists and texts are replaced.

use crate::source::read;
use crate::source::{Node, Value};

/// The word with which a test takes a default away: the fact is not known.
const UNKNOWN: &str = "unknown";

/// `over` with what only `base` has.
pub(super) fn merged<'t>(base: Option<&Node<'t>>, over: Option<&Node<'t>>) -> Option<Node<'t>> {
    match (base, over) {
        (_, Some(over)) if read::is_word(over, UNKNOWN) => None,
        (None, Some(only)) => Some(without_unknown(only)),
        (Some(only), None) => Some(without_unknown(only)),
        (None, None) => None,
        (Some(base), Some(over)) => match (&base.value, &over.value) {
            (Value::Map(under), Value::Map(fields)) => {
                let mut all: Vec<_> = Vec::with_capacity(under.len() + fields.len());
                for (key, node) in under {
                    let own = fields.iter().find(|(name, _)| name.text == key.text).map(|(_, node)| node);
                    all.extend(merged(Some(node), own).map(|node| (key.clone(), node)));
                }
                for (key, node) in fields.iter().filter(|(key, _)| !under.iter().any(|(name, _)| name.text == key.text))
                {
                    all.extend(merged(None, Some(node)).map(|node| (key.clone(), node)));
                }
                Some(Node { place: over.place, value: Value::Map(all) })
            }
            (Value::Text(..) | Value::List(_) | Value::Map(_), _) => Some(without_unknown(over)),
        },
    }
}

fn without_unknown<'t>(node: &Node<'t>) -> Node<'t> {
    let Value::Map(fields) = &node.value else { return node.clone() };
    let known = fields.iter().filter_map(|(key, node)| Some((key.clone(), merged(None, Some(node))?)));
    Node { place: node.place, value: Value::Map(known.collect()) }
}

/// Bytes of all texts, and a few for each.
pub(super) fn weight(node: &Node<'_>) -> usize {
    const EACH: usize = 16;
    match &node.value {
        Value::Text(text, _) => text.len() + EACH,
        Value::List(items) => items.iter().map(weight).sum::<usize>() + EACH,
        Value::Map(fields) => fields.iter().map(|(key, node)| key.text.len() + weight(node)).sum::<usize>() + EACH,
    }
}
