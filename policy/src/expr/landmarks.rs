//! What a condition distinguishes: the values of each attribute at which its answer can change.
//!
//! A condition that compares one attribute with literals cannot tell two values apart that stand the same way to all of
//! those literals. So a few values beside each literal stand for all there are; where that is not so, the attribute is
//! called vague.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use jiff::Timestamp;

use super::Expr;
use super::compiled::{Affix, Comparison, Cond, Each, Literal, Quantifier, Term};
use crate::schema::{Attribute, AttributeSet};

/// A value that conditions look at: an attribute, or the text under one key of a map.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Spot {
    Of(Attribute),
    Key(Attribute, Box<str>),
}

/// What the value at one spot is compared with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    pub(crate) equal: BTreeSet<Box<str>>,
    pub(crate) starts: BTreeSet<Box<str>>,
    pub(crate) ends: BTreeSet<Box<str>>,
    pub(crate) parts: BTreeSet<Box<str>>,
    pub(crate) numbers: BTreeSet<i64>,
    pub(crate) networks: BTreeSet<IpNet>,
    pub(crate) moments: BTreeSet<Timestamp>,
}

/// Everything that some conditions distinguish.
#[derive(Clone, Debug, Default)]
pub(crate) struct Landmarks {
    marks: BTreeMap<Spot, Marks>,
    /// Spots that are compared with each other.
    same: BTreeSet<(Spot, Spot)>,
    /// What the conditions look at.
    pub(crate) uses: AttributeSet,
    /// Attributes of which the marks do not tell all that conditions distinguish.
    pub(crate) vague: AttributeSet,
}

/// What is the same in every question of an analysis.
const FIXED: [Attribute; 2] = [Attribute::Now, Attribute::Mode];

impl Landmarks {
    /// Take in what a condition distinguishes.
    pub(crate) fn add(&mut self, expr: &Expr) {
        self.uses = self.uses.union(expr.uses);
        expr.conds.iter().for_each(|cond| self.cond(cond, None));
    }

    /// What the value at this spot is compared with.
    pub(crate) fn at(&self, spot: &Spot) -> Option<&Marks> {
        self.marks.get(spot)
    }

    /// The same for a whole attribute.
    pub(crate) fn of(&self, attribute: Attribute) -> Marks {
        self.at(&Spot::Of(attribute)).cloned().unwrap_or_default()
    }

    /// The keys that are asked of a map.
    pub(crate) fn keys(&self, map: Attribute) -> BTreeSet<&str> {
        let named = self.marks.keys().filter_map(|spot| match spot {
            Spot::Key(of, key) if *of == map => Some(&**key),
            Spot::Key(..) | Spot::Of(_) => None,
        });
        named.collect()
    }

    /// The pairs of attributes that are compared with each other.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (Attribute, Attribute)> {
        self.same.iter().map(|(one, other)| (attribute_of(one), attribute_of(other)))
    }

    fn blur(&mut self, attributes: AttributeSet) {
        for attribute in attributes.iter().filter(|attribute| !FIXED.contains(attribute)) {
            self.vague = self.vague.union(AttributeSet::one(attribute));
        }
    }

    fn cond(&mut self, cond: &Cond, item: Option<Attribute>) {
        match cond {
            Cond::Const(_) | Cond::Flag(_) => {}
            Cond::Is(attribute, text) => self.literal(Spot::Of(*attribute), &Literal::Text(text.clone())),
            Cond::Not(cond) => self.cond(cond, item),
            Cond::And(conds) | Cond::Or(conds) => conds.iter().for_each(|cond| self.cond(cond, item)),
            Cond::If(conds) => conds.iter().for_each(|cond| self.cond(cond, item)),
            Cond::Compare(comparison, terms) => self.compare(*comparison, terms, item),
            Cond::In(terms) => self.member(terms, item),
            Cond::Affix(affix, terms) => self.affix(*affix, terms, item),
            Cond::Within(terms) => self.within(terms, item),
            Cond::Matches(term, _) => self.blur(attributes(term, item)),
            Cond::Has(map, key) => {
                self.marks.entry(Spot::Key(*map, key.clone())).or_default();
            }
            Cond::IsGlobal(term) => self.blur_unless_spot(term, item),
            Cond::Contains(terms) => match &**terms {
                [Term::Literal(Literal::Network(network)), ip] if spot(ip, item).is_some() => {
                    self.with(ip, item, |marks| {
                        marks.networks.insert(*network);
                    });
                }
                [network, ip] => self.blur(attributes(network, item).union(attributes(ip, item))),
            },
            Cond::Each(each) => self.each(each),
        }
    }

    fn each(&mut self, each: &Each) {
        let Term::Attribute(over) = &each.over else {
            // Over a literal: its elements are no attribute's.
            self.blur(attributes(&each.over, None).union(used(&each.body, None)));
            return;
        };
        self.marks.entry(Spot::Of(*over)).or_default();
        if each.quantifier == Quantifier::ExistsOne {
            self.blur(AttributeSet::one(*over));
        }
        self.cond(&each.body, Some(*over));
    }

    fn compare(&mut self, comparison: Comparison, terms: &[Term; 2], item: Option<Attribute>) {
        let [left, right] = terms;
        let ordered = match comparison {
            Comparison::Equal | Comparison::NotEqual => false,
            Comparison::Less | Comparison::LessOrEqual | Comparison::Greater | Comparison::GreaterOrEqual => true,
        };
        match (spot(left, item), spot(right, item), left, right) {
            (Some(at), None, _, Term::Literal(literal)) | (None, Some(at), Term::Literal(literal), _) => {
                let text = matches!(literal, Literal::Text(_));
                let list = matches!(literal, Literal::Texts(_) | Literal::Ints(_) | Literal::Ips(_));
                if (ordered && text) || list {
                    self.blur(AttributeSet::one(attribute_of(&at)));
                }
                self.literal(at, literal);
            }
            (Some(a), Some(b), ..) => {
                if ordered && !is_time(&a) {
                    self.blur(AttributeSet::one(attribute_of(&a)).union(AttributeSet::one(attribute_of(&b))));
                }
                self.same.insert((a, b));
            }
            _ => self.blur(attributes(left, item).union(attributes(right, item))),
        }
    }

    fn member(&mut self, terms: &[Term; 2], item: Option<Attribute>) {
        let [element, list] = terms;
        match (spot(element, item), spot(list, item), element, list) {
            (Some(at), None, _, Term::Literal(list)) => self.literal(at, list),
            (None, Some(Spot::Of(map @ (Attribute::IdentityLabels | Attribute::RequestHeaders))), key, _) => {
                match key {
                    Term::Literal(Literal::Text(key)) => {
                        self.marks.entry(Spot::Key(map, key.clone())).or_default();
                    }
                    _ => self.blur(attributes(key, item).union(AttributeSet::one(map))),
                }
            }
            (None, Some(at), Term::Literal(element), _) => self.literal(at, element),
            _ => self.blur(attributes(element, item).union(attributes(list, item))),
        }
    }

    fn affix(&mut self, affix: Affix, terms: &[Term; 2], item: Option<Attribute>) {
        match terms {
            [text, Term::Literal(Literal::Text(part))] if spot(text, item).is_some() => {
                self.with(text, item, |marks| {
                    let set = match affix {
                        Affix::Start => &mut marks.starts,
                        Affix::End => &mut marks.ends,
                        Affix::Anywhere => &mut marks.parts,
                    };
                    set.insert(part.clone());
                });
            }
            [text, part] => self.blur(attributes(text, item).union(attributes(part, item))),
        }
    }

    fn within(&mut self, terms: &[Term; 2], item: Option<Attribute>) {
        match terms {
            [text, Term::Literal(Literal::Text(apex))] if spot(text, item).is_some() => {
                self.with(text, item, |marks| {
                    marks.equal.insert(apex.clone());
                    marks.ends.insert(format!(".{apex}").into());
                });
            }
            [text, apex] => self.blur(attributes(text, item).union(attributes(apex, item))),
        }
    }

    /// `isGlobal` tells classes of addresses apart, which every analysis does by itself.
    fn blur_unless_spot(&mut self, term: &Term, item: Option<Attribute>) {
        match spot(term, item) {
            Some(at) => {
                self.marks.entry(at).or_default();
            }
            None => self.blur(attributes(term, item)),
        }
    }

    fn with(&mut self, term: &Term, item: Option<Attribute>, add: impl FnOnce(&mut Marks)) {
        if let Some(at) = spot(term, item) {
            add(self.marks.entry(at).or_default());
        }
    }

    fn literal(&mut self, at: Spot, literal: &Literal) {
        let marks = self.marks.entry(at).or_default();
        match literal {
            Literal::Null | Literal::Span(_) => {}
            Literal::Int(number) => {
                marks.numbers.insert(*number);
            }
            Literal::Text(text) => {
                marks.equal.insert(text.clone());
            }
            Literal::Ip(ip) => {
                marks.networks.insert(IpNet::from(*ip));
            }
            Literal::Network(network) => {
                marks.networks.insert(*network);
            }
            Literal::Time(moment) => {
                marks.moments.insert(*moment);
            }
            Literal::Texts(list) => marks.equal.extend(list.iter().cloned()),
            Literal::Ints(list) => marks.numbers.extend(list.iter().copied()),
            Literal::Ips(list) => marks.networks.extend(list.iter().map(|ip| IpNet::from(*ip))),
        }
    }
}

fn attribute_of(spot: &Spot) -> Attribute {
    match spot {
        Spot::Of(attribute) | Spot::Key(attribute, _) => *attribute,
    }
}

fn is_time(spot: &Spot) -> bool {
    attribute_of(spot).row().ty == crate::schema::Type::Timestamp
}

fn spot(term: &Term, item: Option<Attribute>) -> Option<Spot> {
    match term {
        Term::Attribute(attribute) => Some(Spot::Of(*attribute)),
        Term::Item => item.map(Spot::Of),
        Term::Key(map, key) => match &**key {
            Term::Literal(Literal::Text(key)) => Some(Spot::Key(*map, key.clone())),
            _ => None,
        },
        Term::Literal(_) | Term::Size(_) | Term::Arithmetic(..) | Term::Negate(_) | Term::Clock(..) => None,
        Term::Truth(_) | Term::If(_) => None,
    }
}

/// The attributes in a term.
fn attributes(term: &Term, item: Option<Attribute>) -> AttributeSet {
    match term {
        Term::Literal(_) => AttributeSet::EMPTY,
        Term::Attribute(attribute) => AttributeSet::one(*attribute),
        Term::Item => item.map_or(AttributeSet::EMPTY, AttributeSet::one),
        Term::Key(map, key) => AttributeSet::one(*map).union(attributes(key, item)),
        Term::Size(of) | Term::Negate(of) | Term::Clock(_, of) => attributes(of, item),
        Term::Arithmetic(_, terms) => both(terms, item),
        Term::Truth(cond) => used(cond, item),
        Term::If(parts) => {
            let (cond, then, otherwise) = &**parts;
            used(cond, item).union(attributes(then, item)).union(attributes(otherwise, item))
        }
    }
}

fn both(terms: &[Term; 2], item: Option<Attribute>) -> AttributeSet {
    terms.iter().fold(AttributeSet::EMPTY, |all, term| all.union(attributes(term, item)))
}

/// The attributes in a condition.
fn used(cond: &Cond, item: Option<Attribute>) -> AttributeSet {
    let among = |conds: &[Cond]| conds.iter().fold(AttributeSet::EMPTY, |all, cond| all.union(used(cond, item)));
    match cond {
        Cond::Const(_) => AttributeSet::EMPTY,
        Cond::Is(attribute, _) | Cond::Flag(attribute) | Cond::Has(attribute, _) => AttributeSet::one(*attribute),
        Cond::Not(cond) => used(cond, item),
        Cond::And(conds) | Cond::Or(conds) => among(conds),
        Cond::If(conds) => among(&**conds),
        Cond::Compare(_, terms)
        | Cond::In(terms)
        | Cond::Affix(_, terms)
        | Cond::Within(terms)
        | Cond::Contains(terms) => both(terms, item),
        Cond::Matches(term, _) | Cond::IsGlobal(term) => attributes(term, item),
        Cond::Each(each) => attributes(&each.over, item).union(used(&each.body, None)),
    }
}
