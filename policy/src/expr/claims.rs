//! What a condition claims about the bundle around it: the words it compares with, and the values it cannot do without.
//!
//! A misspelt data class or mode is no type error; it makes a deny that never matches, so whoever compiles a rule looks
//! the words up.

use super::compiled::{Comparison, Cond, Each, Literal, Term};
use crate::schema::Attribute;

/// A word that only the rest of the bundle can give a meaning to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Word {
    /// A data class.
    DataClass(Box<str>),
    /// A containment mode.
    Mode(Box<str>),
    /// A tag of a destination.
    Tag(Box<str>),
    /// The key of a label.
    Label(Box<str>),
}

/// Every such word of a condition, in the order it was written.
pub(super) fn words(cond: &Cond, found: &mut Vec<Word>) {
    walk(cond, None, found);
}

fn walk(cond: &Cond, item: Option<Attribute>, found: &mut Vec<Word>) {
    match cond {
        Cond::Is(attribute, text) => found.extend(word(*attribute, text)),
        Cond::Not(of) => walk(of, item, found),
        Cond::And(all) | Cond::Or(all) => all.iter().for_each(|cond| walk(cond, item, found)),
        Cond::If(parts) => parts.iter().for_each(|cond| walk(cond, item, found)),
        Cond::Compare(Comparison::Equal | Comparison::NotEqual, terms) => compared(terms, item, found),
        Cond::In(terms) => {
            compared(terms, item, found);
            if let [Term::Literal(Literal::Text(key)), Term::Attribute(map)] = &**terms {
                found.extend(label(*map, key));
            }
        }
        Cond::Has(map, key) => found.extend(label(*map, key)),
        Cond::Each(each) => {
            let Each { over, body, .. } = &**each;
            let over = if let Term::Attribute(attribute) = over { Some(*attribute) } else { None };
            walk(body, over, found);
        }
        Cond::Compare(
            Comparison::Less | Comparison::LessOrEqual | Comparison::Greater | Comparison::GreaterOrEqual,
            _,
        )
        | Cond::Const(_)
        | Cond::Flag(_)
        | Cond::Affix(..)
        | Cond::Within(_)
        | Cond::Matches(..)
        | Cond::IsGlobal(_)
        | Cond::Contains(_) => {}
    }
}

/// Two sides of which one may be a literal, and the other what gives it a meaning.
fn compared(terms: &[Term; 2], item: Option<Attribute>, found: &mut Vec<Word>) {
    let [left, right] = terms;
    for (one, other) in [(left, right), (right, left)] {
        let attribute = match one {
            Term::Attribute(attribute) => Some(*attribute),
            Term::Item => item,
            Term::Key(map, key) => {
                if let Term::Literal(Literal::Text(key)) = &**key {
                    found.extend(label(*map, key));
                }
                None
            }
            _ => None,
        };
        let texts: &[Box<str>] = match other {
            Term::Literal(Literal::Text(text)) => std::slice::from_ref(text),
            Term::Literal(Literal::Texts(texts)) => texts,
            _ => &[],
        };
        if let Some(attribute) = attribute {
            found.extend(texts.iter().filter_map(|text| word(attribute, text)));
        }
    }
}

fn word(attribute: Attribute, text: &str) -> Option<Word> {
    match attribute {
        Attribute::DataClasses => Some(Word::DataClass(text.into())),
        Attribute::Mode => Some(Word::Mode(text.into())),
        Attribute::DestinationTags => Some(Word::Tag(text.into())),
        _ => None,
    }
}

fn label(map: Attribute, key: &str) -> Option<Word> {
    (map == Attribute::IdentityLabels).then(|| Word::Label(key.into()))
}

/// The one value without which a condition is false: `port == 443`, `tls.present`, `!tls.present`.
pub(super) fn demand(cond: &Cond) -> Option<(Attribute, String)> {
    match cond {
        Cond::Is(attribute, text) => Some((*attribute, text.to_string())),
        Cond::Flag(attribute) => Some((*attribute, true.to_string())),
        Cond::Not(of) => match &**of {
            Cond::Flag(attribute) => Some((*attribute, false.to_string())),
            _ => None,
        },
        Cond::Compare(Comparison::Equal, terms) => match &**terms {
            [Term::Attribute(attribute), Term::Literal(Literal::Int(value))]
            | [Term::Literal(Literal::Int(value)), Term::Attribute(attribute)] => Some((*attribute, value.to_string())),
            _ => None,
        },
        _ => None,
    }
}
