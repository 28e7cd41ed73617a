//! Operators between two operands: which types they join, and which literals can ever be equal to something.

use std::ops::Range;

use super::check::{Checker, Typed, nullable};
use super::compiled::{Arithmetic, Comparison, Cond, Literal, Term};
use super::hosts::{self, Flaw};
use super::syntax::{Binary, Kind, Node};
use crate::schema::{Attribute, Type};

impl Checker<'_> {
    pub(super) fn binary(&mut self, node: &Node, operator: Binary, left: &Node, right: &Node) -> Option<Typed> {
        let (a, b) = (self.term(left), self.term(right));
        let ((a, a_type), (b, b_type)) = (a?, b?);
        let comparison = match operator {
            Binary::Equal => Comparison::Equal,
            Binary::NotEqual => Comparison::NotEqual,
            Binary::Less => Comparison::Less,
            Binary::LessOrEqual => Comparison::LessOrEqual,
            Binary::Greater => Comparison::Greater,
            Binary::GreaterOrEqual => Comparison::GreaterOrEqual,
            Binary::In => return self.membership(node, (left, a, a_type), (right, b, b_type)),
            Binary::Add => return self.arithmetic(node, Arithmetic::Add, (a, a_type), (b, b_type)),
            Binary::Subtract => return self.arithmetic(node, Arithmetic::Subtract, (a, a_type), (b, b_type)),
            Binary::Multiply => return self.arithmetic(node, Arithmetic::Multiply, (a, a_type), (b, b_type)),
        };
        let fits = match comparison {
            Comparison::Equal | Comparison::NotEqual => comparable(a_type, b_type),
            Comparison::Less | Comparison::LessOrEqual | Comparison::Greater | Comparison::GreaterOrEqual => {
                ordered(a_type, b_type)
            }
        };
        if !fits {
            self.mismatch(node, (left, a_type), (right, b_type));
            return None;
        }
        self.literal_fits(&a, right, &b);
        self.literal_fits(&b, left, &a);
        Some(Typed::Cond(match (comparison, a, b) {
            (Comparison::Equal, Term::Attribute(attribute), Term::Literal(Literal::Text(text)))
            | (Comparison::Equal, Term::Literal(Literal::Text(text)), Term::Attribute(attribute)) => {
                Cond::Is(attribute, text)
            }
            (comparison, a, b) => Cond::Compare(comparison, Box::new([a, b])),
        }))
    }

    fn mismatch(&mut self, node: &Node, (left, a): (&Node, Type), (right, b): (&Node, Type)) {
        let (l, r) = (self.snippet(left), self.snippet(right));
        let message = if a == Type::Null || b == Type::Null {
            let (other, ty) = if a == Type::Null { (&r, b) } else { (&l, a) };
            format!("`{other}` is {ty} and never null")
        } else {
            format!("`{l}` is {a} and `{r}` is {b}: they do not compare")
        };
        let (literal, other) = if matches!(left.kind, Kind::Text(_)) { (left, b) } else { (right, a) };
        let help = match (&literal.kind, other) {
            (Kind::Text(text), Type::Int) if text.parse::<i64>().is_ok() => {
                Some(format!("write `{text}` without quotes"))
            }
            (Kind::Text(text), Type::Ip) => Some(format!("write `ip(\"{text}\")`")),
            (Kind::Text(text), Type::Timestamp) => Some(format!("write `timestamp(\"{text}\")`")),
            (Kind::Text(_), Type::StringList) => Some("to look for an element, write `… in …`".to_owned()),
            _ => None,
        };
        let range = if matches!(literal.kind, Kind::Text(_)) { &literal.range } else { &node.range };
        self.problem(range, message, help);
    }

    /// Whether a literal can equal what it is compared with: a host in its one spelling, one of the few values there are.
    fn literal_fits(&mut self, term: &Term, node: &Node, literal: &Term) {
        let texts: Vec<(&str, &Range<usize>)> = match (literal, &node.kind) {
            (Term::Literal(Literal::Text(text)), _) => vec![(text, &node.range)],
            (Term::Literal(Literal::Texts(texts)), Kind::List(elements)) => {
                texts.iter().map(|text| &**text).zip(elements.iter().map(|element| &element.range)).collect()
            }
            _ => return,
        };
        for (text, range) in texts {
            let found = if self.is_host(term) { hosts::not_a_host(text) } else { not_a_value(term, text) };
            if let Some(flaw) = found {
                self.flaw(range, flaw);
            }
        }
    }

    /// Whether a term is a host name.
    pub(super) fn is_host(&self, term: &Term) -> bool {
        match term {
            Term::Attribute(
                Attribute::DestinationHost | Attribute::DestinationRegisteredDomain | Attribute::TlsSni,
            ) => true,
            Term::Item => self.item.as_ref().is_some_and(|item| item.host),
            _ => false,
        }
    }

    fn membership(
        &mut self,
        node: &Node,
        (left, item, item_type): (&Node, Term, Type),
        (right, list, list_type): (&Node, Term, Type),
    ) -> Option<Typed> {
        let text = matches!(item_type, Type::String | Type::NullableString);
        let fits = match list_type {
            Type::StringList => text,
            Type::IntList => item_type == Type::Int,
            Type::IpList => item_type == Type::Ip,
            Type::StringMap => item_type == Type::String,
            Type::Bool | Type::Int | Type::String | Type::NullableString | Type::Ip => false,
            Type::Timestamp | Type::Duration | Type::Cidr | Type::Null => false,
        };
        if !fits {
            let (l, r) = (self.snippet(left), self.snippet(right));
            let help = match (item_type, list_type) {
                (Type::Ip, Type::Cidr) => Some(format!("write `{r}.containsIP({l})`")),
                (Type::IpList, Type::Cidr) => Some(format!("write `{l}.all(a, {r}.containsIP(a))`")),
                _ => None,
            };
            let message = format!("`{l}` is {item_type} and `{r}` is {list_type}: it cannot be in there");
            self.problem(&node.range, message, help);
            return None;
        }
        self.literal_fits(&item, right, &list);
        if let (Term::Literal(Literal::Text(key)), Term::Attribute(map)) = (&item, &list) {
            self.key(left, *map, key);
        }
        Some(Typed::Cond(Cond::In(Box::new([item, list]))))
    }

    fn arithmetic(
        &mut self,
        node: &Node,
        operator: Arithmetic,
        (left, a): (Term, Type),
        (right, b): (Term, Type),
    ) -> Option<Typed> {
        let ty = match (operator, a, b) {
            (_, Type::Int, Type::Int) => Type::Int,
            (Arithmetic::Add | Arithmetic::Subtract, Type::Timestamp, Type::Duration)
            | (Arithmetic::Add, Type::Duration, Type::Timestamp) => Type::Timestamp,
            (Arithmetic::Subtract, Type::Timestamp, Type::Timestamp)
            | (Arithmetic::Add | Arithmetic::Subtract, Type::Duration, Type::Duration) => Type::Duration,
            _ => {
                let sign = match operator {
                    Arithmetic::Add => "+",
                    Arithmetic::Subtract => "-",
                    Arithmetic::Multiply => "*",
                };
                self.problem(&node.range, format!("`{sign}` does not join {a} and {b}"), None);
                return None;
            }
        };
        Some(Typed::Term(Term::Arithmetic(operator, Box::new([left, right])), ty))
    }
}

fn comparable(a: Type, b: Type) -> bool {
    match (a, b) {
        (Type::String, Type::Null) | (Type::Null, Type::String) => false,
        (Type::StringMap | Type::Cidr, _) => false,
        (a, b) => a == b || (nullable(a) && nullable(b)),
    }
}

fn ordered(a: Type, b: Type) -> bool {
    let text = |ty| matches!(ty, Type::String | Type::NullableString);
    (text(a) && text(b)) || (a == b && matches!(a, Type::Int | Type::Timestamp | Type::Duration))
}

/// Attributes with few values: a misspelt one would make a deny that never matches.
fn not_a_value(term: &Term, text: &str) -> Option<Flaw> {
    let Term::Attribute(attribute) = term else { return None };
    let values: &[&str] = match attribute {
        Attribute::IdentityMethod => &["mtls", "jwt", "token", "network", "none"],
        Attribute::DestinationKind => &["name", "ip"],
        Attribute::DataClassesFrom => &["registered", "declared"],
        Attribute::RequestProtocol => &["connect", "http", "transparent"],
        _ => return None,
    };
    if values.contains(&text) {
        return None;
    }
    let list: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
    let help = format!("it is one of {}", list.join(", "));
    let message = format!("`{}` is never `{text}`", attribute.row().name);
    Some(Flaw {
        message,
        why: Some("a comparison that is never true makes a deny that never matches"),
        help: Some(help),
    })
}
