//! Host keys: the hosts outside of which a condition is false, whatever the other facts are.

use super::HostKey;
use super::compiled::{Affix, Comparison, Cond, Literal, Term};
use crate::schema::Attribute;

/// The keys of one condition; `None` where it may be other than false for any host.
///
/// False means false: for a host outside the keys the condition neither holds, nor waits, nor errs, so an index that
/// leaves a rule out changes no decision. Therefore a ternary has no keys: its condition may err.
pub(super) fn of(cond: &Cond) -> Option<Vec<HostKey>> {
    match cond {
        Cond::Const(false) => Some(Vec::new()),
        Cond::Is(attribute, text) => named(*attribute, text).map(|key| vec![key]),
        Cond::In(terms) => match &**terms {
            [Term::Attribute(attribute), Term::Literal(Literal::Texts(texts))] => {
                texts.iter().map(|text| named(*attribute, text)).collect()
            }
            _ => None,
        },
        Cond::Affix(Affix::End, terms) => below(terms, |suffix| suffix.strip_prefix('.')),
        Cond::Within(terms) => below(terms, |apex| Some(apex)),
        Cond::And(conds) => of_all(conds.iter()),
        Cond::Or(conds) => {
            let keys: Option<Vec<Vec<HostKey>>> = conds.iter().map(of).collect();
            keys.map(|keys| sorted(keys.concat()))
        }
        Cond::Compare(
            Comparison::Equal
            | Comparison::NotEqual
            | Comparison::Less
            | Comparison::LessOrEqual
            | Comparison::Greater
            | Comparison::GreaterOrEqual,
            _,
        ) => None,
        Cond::Affix(Affix::Start | Affix::Anywhere, _) | Cond::Const(true) | Cond::Flag(_) | Cond::Not(_) => None,
        Cond::If(_) | Cond::Matches(..) | Cond::Has(..) | Cond::IsGlobal(_) | Cond::Contains(_) | Cond::Each(_) => None,
    }
}

/// The keys of a conjunction: those of the operand that leaves the fewest hosts, as far as can be told.
pub(super) fn of_all<'c>(conds: impl Iterator<Item = &'c Cond>) -> Option<Vec<HostKey>> {
    let wide = |keys: &Vec<HostKey>| keys.iter().filter(|key| matches!(key, HostKey::Within(_))).count();
    conds.filter_map(of).min_by_key(|keys| (wide(keys), keys.len())).map(sorted)
}

fn named(attribute: Attribute, text: &str) -> Option<HostKey> {
    match attribute {
        Attribute::DestinationHost => Some(HostKey::Exact(text.to_owned())),
        Attribute::DestinationRegisteredDomain => Some(HostKey::Within(text.to_owned())),
        _ => None,
    }
}

fn below(terms: &[Term; 2], apex: impl FnOnce(&str) -> Option<&str>) -> Option<Vec<HostKey>> {
    match terms {
        [Term::Attribute(Attribute::DestinationHost), Term::Literal(Literal::Text(text))] => {
            apex(text).map(|apex| vec![HostKey::Within(apex.to_owned())])
        }
        _ => None,
    }
}

fn sorted(mut keys: Vec<HostKey>) -> Vec<HostKey> {
    keys.sort_unstable();
    keys.dedup();
    keys
}
