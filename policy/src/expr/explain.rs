//! Why a condition does not hold: the clause as written, the value seen and the value wanted.

use super::compiled::{Affix, Comparison, Cond, Quantifier, Term};
use super::eval::element;
use super::values::{Known, Missing, Scope, Value};
use crate::decision::{FailedClause, Shown};

/// The failed clause of a condition whose source is `clause`.
pub(super) fn failed(cond: &Cond, clause: &str, scope: &Scope<'_>) -> FailedClause {
    let (seen, wanted) = match cond {
        Cond::Is(attribute, text) => (shown(scope.read(*attribute)), Shown::Text((**text).to_owned())),
        Cond::Compare(comparison, terms) => compared(*comparison, terms, scope),
        Cond::In(terms) => two(terms, scope, |wanted| wanted),
        Cond::Affix(Affix::Start, terms) => two(terms, scope, |wanted| prefixed("beginning with", &wanted)),
        Cond::Affix(Affix::End, terms) => two(terms, scope, |wanted| prefixed("ending in", &wanted)),
        Cond::Affix(Affix::Anywhere, terms) => two(terms, scope, |wanted| prefixed("containing", &wanted)),
        Cond::Within(terms) => two(terms, scope, |wanted| prefixed("within", &wanted)),
        Cond::Matches(term, regex) => (shown(term.eval(scope)), Shown::Text(format!("matching {}", regex.as_str()))),
        Cond::Has(map, key) => (shown(scope.read(*map)), Shown::Text(format!("a map with {key}"))),
        Cond::IsGlobal(term) => (shown(term.eval(scope)), Shown::Text("a global address".to_owned())),
        Cond::Contains(terms) => {
            let [network, ip] = &**terms;
            (shown(ip.eval(scope)), prefixed("within", &shown(network.eval(scope))))
        }
        Cond::Each(each) => {
            let wanted = match each.quantifier {
                Quantifier::Exists => "one with such an element",
                Quantifier::All => "one with such elements alone",
                Quantifier::ExistsOne => "one with exactly one such element",
            };
            (shown(each.over.eval(scope)), Shown::Text(wanted.to_owned()))
        }
        Cond::Const(_) | Cond::Flag(_) | Cond::And(_) | Cond::Or(_) | Cond::If(_) => {
            (shown(cond.eval(scope).map(Value::Bool)), Shown::Bool(true))
        }
        Cond::Not(of) => (shown(of.eval(scope).map(Value::Bool)), Shown::Bool(false)),
    };
    FailedClause { clause: clause.to_owned(), seen, wanted }
}

/// What is compared is shown first; a literal is what it is compared with, on whichever side it stands.
fn compared(comparison: Comparison, [left, right]: &[Term; 2], scope: &Scope<'_>) -> (Shown, Shown) {
    let turned = matches!(left, Term::Literal(_)) && !matches!(right, Term::Literal(_));
    let (seen, wanted) = if turned { (right, left) } else { (left, right) };
    let (seen, wanted) = (shown(seen.eval(scope)), shown(wanted.eval(scope)));
    let words = match (comparison, turned) {
        (Comparison::Equal, _) => return (seen, wanted),
        (Comparison::NotEqual, _) => "other than",
        (Comparison::Less, false) | (Comparison::Greater, true) => "below",
        (Comparison::LessOrEqual, false) | (Comparison::GreaterOrEqual, true) => "at most",
        (Comparison::Greater, false) | (Comparison::Less, true) => "above",
        (Comparison::GreaterOrEqual, false) | (Comparison::LessOrEqual, true) => "at least",
    };
    (seen, prefixed(words, &wanted))
}

fn two([left, right]: &[Term; 2], scope: &Scope<'_>, wanted: impl FnOnce(Shown) -> Shown) -> (Shown, Shown) {
    (shown(left.eval(scope)), wanted(shown(right.eval(scope))))
}

fn prefixed(words: &str, value: &Shown) -> Shown {
    Shown::Text(format!("{words} {value}"))
}

fn shown(value: Known<Value<'_>>) -> Shown {
    match value {
        Ok(Value::Null) => Shown::Null,
        Ok(Value::Bool(value)) => Shown::Bool(value),
        Ok(Value::Int(value)) => Shown::Int(value),
        Ok(Value::Text(text)) => Shown::Text(text.to_owned()),
        Ok(Value::Ip(ip)) => Shown::Text(ip.to_string()),
        Ok(Value::Network(network)) => Shown::Text(network.to_string()),
        Ok(Value::Time(moment)) => Shown::Text(moment.to_string()),
        Ok(Value::Span(span)) => Shown::Text(format!("{span:#}")),
        Ok(list @ (Value::Texts(_) | Value::Ints(_) | Value::Ips(_))) => {
            Shown::List((0..).map_while(|index| element(list, index)).map(|item| shown(Ok(item))).collect())
        }
        // Names alone: a map may be long, and its values are not all for everybody's eyes.
        Ok(Value::Map(map)) => Shown::List(map.keys().into_iter().map(|key| Shown::Text(key.to_owned())).collect()),
        Err(Missing::Pending(_)) => Shown::Text("not known yet".to_owned()),
        Err(Missing::Never) => Shown::Text("nothing: the protocol never has it".to_owned()),
        Err(Missing::Error(why)) => Shown::Text(format!("an error ({why})")),
    }
}
