//! Names: attributes, keys of maps, variables of macros.

use super::check::{Checker, Typed};
use super::compiled::{Cond, Literal, Term};
use super::syntax::{Kind, Node};
use crate::diagnostic::distance;
use crate::schema::{ATTRIBUTES, Attribute, AttributeSet, Support, Type};

impl Checker<'_> {
    /// A name or a chain of names.
    pub(super) fn name(&mut self, node: &Node) -> Option<Typed> {
        let Some(parts) = chain(node) else {
            if let Kind::Select { of, field } = &node.kind {
                self.term(of)?;
                let message = format!("`.{field}` selects nothing: only attributes have parts");
                self.problem(&node.range, message, None);
            }
            return None;
        };
        if let (Some(item), Some((first, rest))) = (&self.item, parts.split_first())
            && item.name == *first
        {
            let ty = item.ty;
            if rest.is_empty() {
                return Some(Typed::Term(Term::Item, ty));
            }
            self.problem(&node.range, format!("`{first}` is {ty} and has no parts"), None);
            return None;
        }
        let Some((attribute, rest)) = longest(&parts) else {
            let (message, help) = unknown(&parts.join("."));
            self.problem(&node.range, message, help);
            return None;
        };
        self.attribute(node, attribute)?;
        match (attribute.row().ty, rest) {
            (Type::Bool, []) => Some(Typed::Cond(Cond::Flag(attribute))),
            (ty, []) => Some(Typed::Term(Term::Attribute(attribute), ty)),
            (Type::StringMap, [key]) => {
                self.key(node, attribute, key);
                let key = Term::Literal(Literal::Text((*key).into()));
                Some(Typed::Term(Term::Key(attribute, Box::new(key)), Type::String))
            }
            (ty, [part, ..]) => {
                let message = format!("`{}` is {ty} and has no part `{part}`", attribute.row().name);
                self.problem(&node.range, message, None);
                None
            }
        }
    }

    /// Note that an attribute is used, if this version has it.
    fn attribute(&mut self, node: &Node, attribute: Attribute) -> Option<()> {
        match attribute.row().support {
            Support::Built => {
                self.uses = self.uses.union(AttributeSet::one(attribute));
                Some(())
            }
            Support::NotYet => {
                self.problem(&node.range, format!("`{}` is not supported yet", attribute.row().name), None);
                None
            }
        }
    }

    /// Header fields are known by lower-case names alone.
    pub(super) fn key(&mut self, node: &Node, map: Attribute, key: &str) {
        if map == Attribute::RequestHeaders && key.contains(|c: char| c.is_ascii_uppercase()) {
            let message = format!("`{key}` is never there: fields are known by lower-case names");
            self.problem(&node.range, message, Some(format!("write `{}`", key.to_ascii_lowercase())));
        }
    }

    /// A map that is asked for a key; `None` when it is not one, and that was said.
    fn map(&mut self, node: &Node) -> Option<Attribute> {
        match self.term(node)? {
            (Term::Attribute(attribute), Type::StringMap) => Some(attribute),
            (_, ty) => {
                let message = format!("`{}` is {ty}, where a map is needed", self.snippet(node));
                let help = match ty {
                    Type::NullableString => Some(format!("write `{} != null`", self.snippet(node))),
                    Type::StringList | Type::IpList | Type::IntList => {
                        Some("ask about its elements with `exists`, `all` or `in`".to_owned())
                    }
                    Type::Bool | Type::Int | Type::String | Type::Ip | Type::Timestamp | Type::Duration => None,
                    Type::StringMap | Type::Cidr | Type::Null => None,
                };
                self.problem(&node.range, message, help);
                None
            }
        }
    }

    pub(super) fn has(&mut self, node: &Node, of: &Node, field: &str) -> Option<Typed> {
        // `has(tls.sni)` reads as a part of `tls`, which is nothing by itself.
        let named = chain(of).map(|mut parts| {
            parts.push(field);
            parts.join(".")
        });
        if let Some(attribute) = named.as_deref().and_then(Attribute::named) {
            let name = attribute.row().name;
            self.attribute(node, attribute)?;
            let help = match attribute.row().ty {
                Type::NullableString => format!("to ask whether it is null, write `{name} != null`"),
                _ => format!("`{name}` is always there"),
            };
            self.problem(&node.range, "has() asks about a key of a map".to_owned(), Some(help));
            return None;
        }
        let map = self.map(of)?;
        self.key(node, map, field);
        Some(Typed::Cond(Cond::Has(map, field.into())))
    }

    pub(super) fn index(&mut self, node: &Node, of: &Node, key: &Node) -> Option<Typed> {
        let (map, key_term) = (self.map(of), self.term(key));
        let (map, (key_term, key_type)) = (map?, key_term?);
        if !matches!(key_type, Type::String | Type::NullableString) {
            self.problem(&key.range, format!("`{}` is {key_type}, where text is needed", self.snippet(key)), None);
            return None;
        }
        if let Term::Literal(Literal::Text(text)) = &key_term {
            self.key(node, map, text);
        }
        Some(Typed::Term(Term::Key(map, Box::new(key_term)), Type::String))
    }
}

/// `a.b.c` as its parts.
fn chain(node: &Node) -> Option<Vec<&str>> {
    match &node.kind {
        Kind::Name(name) => Some(vec![name]),
        Kind::Select { of, field } => {
            let mut parts = chain(of)?;
            parts.push(field);
            Some(parts)
        }
        _ => None,
    }
}

/// The attribute that the parts begin with, and what is left.
fn longest<'p, 'n>(parts: &'p [&'n str]) -> Option<(Attribute, &'p [&'n str])> {
    (1..=parts.len()).rev().find_map(|length| {
        let (name, rest) = parts.split_at_checked(length)?;
        Some((Attribute::named(&name.join("."))?, rest))
    })
}

fn unknown(name: &str) -> (String, Option<String>) {
    let names = || ATTRIBUTES.iter().filter(|row| row.support == Support::Built).map(|row| row.name);
    let group = name.split('.').next().unwrap_or_default();
    let of_group: Vec<&str> = names().filter(|known| known.split('.').next() == Some(group)).collect();
    let message = format!("`{name}` is not an attribute");
    let help = match nearest(name, names()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if of_group.is_empty() => format!("the attributes are {}", quoted(names())),
        None => format!("under `{group}` there are {}", quoted(of_group.into_iter())),
    };
    (message, Some(help))
}

/// Names in backticks, with commas.
pub(super) fn quoted<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

/// The name that was probably meant: at most a third of it would have to change.
pub(super) fn nearest<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let (distance, near) = names.map(|known| (distance(name, known), known)).min_by_key(|(distance, _)| *distance)?;
    (distance.saturating_mul(3) <= near.len().max(3)).then_some(near)
}
