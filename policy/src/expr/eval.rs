//! Evaluation: yes, no, not yet, cannot, or never.

use std::cmp::Ordering;

use jiff::tz::Offset;

use super::compiled::{Affix, Arithmetic, Clock, Comparison, Cond, Each, Literal, Quantifier, Term};
use super::values::{Known, Missing, Scope, Texts, Value};
use crate::address;
use crate::host::name_within;
use crate::schema::Attribute;

/// What the checks at load rule out; were they wrong, the rule errs rather than decides.
const MISFIT: Missing = Missing::Error("the operands do not fit together");

impl Cond {
    /// Whether it holds.
    pub(super) fn eval(&self, scope: &Scope<'_>) -> Known<bool> {
        match self {
            Cond::Const(value) => Ok(*value),
            // Always known, and in nearly every condition: worth not going through the table.
            Cond::Is(Attribute::DestinationHost, wanted) => Ok(scope.host() == &**wanted),
            Cond::Is(attribute, wanted) => match scope.read(*attribute)? {
                Value::Text(text) => Ok(text == &**wanted),
                _ => Ok(false),
            },
            Cond::Flag(Attribute::TlsPresent) => Ok(scope.hello(Attribute::TlsPresent)?.is_some()),
            Cond::Flag(attribute) => match scope.read(*attribute)? {
                Value::Bool(value) => Ok(value),
                _ => Err(MISFIT),
            },
            Cond::Not(cond) => cond.eval(scope).map(|value| !value),
            Cond::And(conds) => all(conds, scope),
            Cond::Or(conds) => any(conds.iter().map(|cond| cond.eval(scope))),
            Cond::If(parts) => {
                let [condition, then, otherwise] = &**parts;
                if condition.eval(scope)? { then.eval(scope) } else { otherwise.eval(scope) }
            }
            Cond::Compare(comparison, terms) => match (comparison, same(terms, scope)) {
                (Comparison::Equal, Some(same)) => same,
                (Comparison::NotEqual, Some(same)) => same.map(|same| !same),
                _ => pair(terms, scope, |a, b| compare(*comparison, a, b)),
            },
            Cond::In(terms) => pair(terms, scope, contained),
            Cond::Affix(affix, terms) => pair(terms, scope, |a, b| {
                let (text, part) = (text(a)?, text(b)?);
                Ok(match affix {
                    Affix::Start => text.starts_with(part),
                    Affix::End => text.ends_with(part),
                    Affix::Anywhere => text.contains(part),
                })
            }),
            Cond::Within(terms) => pair(terms, scope, |a, b| Ok(name_within(text(a)?, text(b)?))),
            Cond::Matches(term, regex) => Ok(regex.is_match(text(term.eval(scope)?)?)),
            Cond::Has(map, key) => match scope.read(*map)? {
                Value::Map(map) => Ok(map.get(key).is_some()),
                _ => Err(MISFIT),
            },
            Cond::IsGlobal(term) => match term.eval(scope)? {
                Value::Ip(ip) => Ok(address::classify(ip).class == address::Class::Global),
                _ => Err(MISFIT),
            },
            Cond::Contains(terms) => pair(terms, scope, |a, b| match (a, b) {
                (Value::Network(network), Value::Ip(ip)) => Ok(network.contains(&ip)),
                _ => Err(MISFIT),
            }),
            Cond::Each(each) => each.eval(scope),
        }
    }
}

/// `&&` over any number of operands: one that is false makes the whole false whatever the others are.
pub(super) fn all(conds: &[Cond], scope: &Scope<'_>) -> Known<bool> {
    let mut missing: Option<Missing> = None;
    for cond in conds {
        match cond.eval(scope) {
            Ok(false) => return Ok(false),
            Ok(true) => {}
            Err(why) => missing = Some(missing.map_or(why, |known| known.and(why))),
        }
    }
    missing.map_or(Ok(true), Err)
}

/// `||` over any number of outcomes: one that is true makes the whole true whatever the others are.
#[inline]
fn any(outcomes: impl Iterator<Item = Known<bool>>) -> Known<bool> {
    let mut missing: Option<Missing> = None;
    for outcome in outcomes {
        match outcome {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(why) => missing = Some(missing.map_or(why, |known| known.and(why))),
        }
    }
    missing.map_or(Ok(false), Err)
}

/// Both values, or what remains where one or both are missing; the order of the operands never matters.
#[inline]
fn pair<'a, T>(
    terms: &'a [Term; 2],
    scope: &Scope<'a>,
    then: impl FnOnce(Value<'a>, Value<'a>) -> Known<T>,
) -> Known<T> {
    let [left, right] = terms;
    match (left.eval(scope), right.eval(scope)) {
        (Ok(left), Ok(right)) => then(left, right),
        (Err(why), Ok(_)) | (Ok(_), Err(why)) => Err(why),
        (Err(left), Err(right)) => Err(left.and(right)),
    }
}

/// Whether both are the same text, both null, or the same port; `None` where one of them takes the way through the table. Guardrails that
/// are judged in every decision compare these: `pair` and `compare` would say the same, at three times the cost.
#[inline]
fn same(terms: &[Term; 2], scope: &Scope<'_>) -> Option<Known<bool>> {
    let [left, right] = terms;
    if let (Term::Attribute(Attribute::DestinationPort), Term::Literal(Literal::Int(wanted))) = (left, right) {
        return Some(Ok(i64::from(scope.facts.destination.port) == *wanted));
    }
    Some(match (at_hand(left, scope)?, at_hand(right, scope)?) {
        (Ok(left), Ok(right)) => Ok(left == right),
        (Err(why), Ok(_)) | (Ok(_), Err(why)) => Err(why),
        (Err(left), Err(right)) => Err(left.and(right)),
    })
}

#[inline]
fn at_hand<'a>(term: &'a Term, scope: &Scope<'a>) -> Option<Known<Option<&'a str>>> {
    match term {
        Term::Attribute(Attribute::DestinationHost) => Some(Ok(Some(scope.host()))),
        Term::Attribute(Attribute::RequestProtocol) => Some(Ok(Some(scope.facts.protocol.as_str()))),
        Term::Attribute(Attribute::TlsSni) => {
            Some(scope.hello(Attribute::TlsSni).map(|hello| hello.and_then(|hello| hello.sni.as_deref())))
        }
        Term::Literal(Literal::Text(text)) => Some(Ok(Some(text))),
        _ => None,
    }
}

/// Text, where null is an error: only `==`, `!=` and `in` may be asked of null.
fn text(value: Value<'_>) -> Known<&str> {
    match value {
        Value::Text(text) => Ok(text),
        Value::Null => Err(Missing::Error("the text is null")),
        _ => Err(MISFIT),
    }
}

pub(super) fn compare(comparison: Comparison, left: Value<'_>, right: Value<'_>) -> Known<bool> {
    match comparison {
        Comparison::Equal => Ok(equal(left, right)),
        Comparison::NotEqual => Ok(!equal(left, right)),
        Comparison::Less => Ok(order(left, right)?.is_lt()),
        Comparison::LessOrEqual => Ok(order(left, right)?.is_le()),
        Comparison::Greater => Ok(order(left, right)?.is_gt()),
        Comparison::GreaterOrEqual => Ok(order(left, right)?.is_ge()),
    }
}

fn equal(left: Value<'_>, right: Value<'_>) -> bool {
    match (left, right) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Int(a), Value::Int(b)) => a == b,
        (Value::Text(a), Value::Text(b)) => a == b,
        (Value::Ip(a), Value::Ip(b)) => a == b,
        (Value::Time(a), Value::Time(b)) => a == b,
        (Value::Span(a), Value::Span(b)) => a == b,
        (Value::Texts(a), Value::Texts(b)) => a.iter().eq(b.iter()),
        (Value::Ips(a), Value::Ips(b)) => a == b,
        (Value::Ints(a), Value::Ints(b)) => a == b,
        // Text and null; the check lets no other pair of kinds through.
        _ => false,
    }
}

fn order(left: Value<'_>, right: Value<'_>) -> Known<Ordering> {
    match (left, right) {
        (Value::Int(a), Value::Int(b)) => Ok(a.cmp(&b)),
        (Value::Time(a), Value::Time(b)) => Ok(a.cmp(&b)),
        (Value::Span(a), Value::Span(b)) => Ok(a.cmp(&b)),
        (a, b) => Ok(text(a)?.cmp(text(b)?)),
    }
}

fn contained(item: Value<'_>, list: Value<'_>) -> Known<bool> {
    match (item, list) {
        (Value::Text(item), Value::Texts(list)) => Ok(list.iter().any(|text| text == item)),
        (Value::Null, Value::Texts(_)) => Ok(false),
        (Value::Int(item), Value::Ints(list)) => Ok(list.contains(&item)),
        (Value::Ip(item), Value::Ips(list)) => Ok(list.contains(&item)),
        (Value::Text(key), Value::Map(map)) => Ok(map.get(key).is_some()),
        _ => Err(MISFIT),
    }
}

impl Each {
    fn eval(&self, scope: &Scope<'_>) -> Known<bool> {
        let over = self.over.eval(scope)?;
        let outcomes = (0..length(over)?).filter_map(|index| element(over, index)).map(|item| {
            let outcome = self.body.eval(&scope.with(item));
            if self.quantifier == Quantifier::All { outcome.map(|value| !value) } else { outcome }
        });
        match self.quantifier {
            Quantifier::Exists => any(outcomes),
            Quantifier::All => any(outcomes).map(|value| !value),
            Quantifier::ExistsOne => exactly_one(outcomes),
        }
    }
}

/// Unlike the others it has to know every outcome.
fn exactly_one(outcomes: impl Iterator<Item = Known<bool>>) -> Known<bool> {
    let mut found = 0;
    let mut missing: Option<Missing> = None;
    for outcome in outcomes {
        match outcome {
            Ok(value) => found += usize::from(value),
            Err(why) => missing = Some(missing.map_or(why, |known| known.and(why))),
        }
    }
    missing.map_or(Ok(found == 1), Err)
}

fn length(value: Value<'_>) -> Known<usize> {
    Ok(match value {
        Value::Texts(list) => list.len(),
        Value::Ints(list) => list.len(),
        Value::Ips(list) => list.len(),
        Value::Map(map) => map.len(),
        value => text(value)?.chars().count(),
    })
}

pub(super) fn element(list: Value<'_>, index: usize) -> Option<Value<'_>> {
    match list {
        Value::Texts(list) => list.get(index).map(Value::Text),
        Value::Ints(list) => list.get(index).copied().map(Value::Int),
        Value::Ips(list) => list.get(index).copied().map(Value::Ip),
        _ => None,
    }
}

impl Term {
    /// The value.
    pub(super) fn eval<'a>(&'a self, scope: &Scope<'a>) -> Known<Value<'a>> {
        match self {
            Term::Literal(literal) => Ok(literal.value()),
            Term::Attribute(attribute) => scope.read(*attribute),
            Term::Item => Ok(scope.item),
            Term::Key(map, key) => match (scope.read(*map), key.eval(scope)) {
                (Ok(Value::Map(map)), Ok(key)) => {
                    let found = map.get(text(key)?);
                    found.map(Value::Text).ok_or(Missing::Error("the map has no such key"))
                }
                (Ok(_), Ok(_)) => Err(MISFIT),
                (Err(why), Ok(_)) | (Ok(_), Err(why)) => Err(why),
                (Err(map), Err(key)) => Err(map.and(key)),
            },
            Term::Size(of) => {
                let size = length(of.eval(scope)?)?;
                i64::try_from(size).map(Value::Int).map_err(|_| OVERFLOW)
            }
            Term::Arithmetic(operator, terms) => pair(terms, scope, |a, b| arithmetic(*operator, a, b)),
            Term::Negate(of) => match of.eval(scope)? {
                Value::Int(value) => value.checked_neg().map(Value::Int).ok_or(OVERFLOW),
                _ => Err(MISFIT),
            },
            Term::Clock(clock, of) => match of.eval(scope)? {
                Value::Time(moment) => Ok(Value::Int(clock.of(moment))),
                _ => Err(MISFIT),
            },
            Term::Truth(cond) => cond.eval(scope).map(Value::Bool),
            Term::If(parts) => {
                let (condition, then, otherwise) = &**parts;
                if condition.eval(scope)? { then.eval(scope) } else { otherwise.eval(scope) }
            }
        }
    }
}

const OVERFLOW: Missing = Missing::Error("the result is out of range");

fn arithmetic<'a>(operator: Arithmetic, left: Value<'a>, right: Value<'a>) -> Known<Value<'a>> {
    let value = match (operator, left, right) {
        (Arithmetic::Add, Value::Int(a), Value::Int(b)) => a.checked_add(b).map(Value::Int),
        (Arithmetic::Subtract, Value::Int(a), Value::Int(b)) => a.checked_sub(b).map(Value::Int),
        (Arithmetic::Multiply, Value::Int(a), Value::Int(b)) => a.checked_mul(b).map(Value::Int),
        (Arithmetic::Add, Value::Time(moment), Value::Span(span))
        | (Arithmetic::Add, Value::Span(span), Value::Time(moment)) => moment.checked_add(span).ok().map(Value::Time),
        (Arithmetic::Subtract, Value::Time(moment), Value::Span(span)) => {
            moment.checked_sub(span).ok().map(Value::Time)
        }
        (Arithmetic::Subtract, Value::Time(a), Value::Time(b)) => Some(Value::Span(a.duration_since(b))),
        (Arithmetic::Add, Value::Span(a), Value::Span(b)) => a.checked_add(b).map(Value::Span),
        (Arithmetic::Subtract, Value::Span(a), Value::Span(b)) => a.checked_sub(b).map(Value::Span),
        _ => return Err(MISFIT),
    };
    value.ok_or(OVERFLOW)
}

impl Literal {
    pub(super) fn value(&self) -> Value<'_> {
        match self {
            Literal::Null => Value::Null,
            Literal::Int(value) => Value::Int(*value),
            Literal::Text(text) => Value::Text(text),
            Literal::Ip(ip) => Value::Ip(*ip),
            Literal::Network(network) => Value::Network(*network),
            Literal::Time(moment) => Value::Time(*moment),
            Literal::Span(span) => Value::Span(*span),
            Literal::Texts(list) => Value::Texts(Texts::Boxed(list)),
            Literal::Ints(list) => Value::Ints(list),
            Literal::Ips(list) => Value::Ips(list),
        }
    }
}

impl Clock {
    fn of(self, moment: jiff::Timestamp) -> i64 {
        let at = Offset::UTC.to_datetime(moment);
        match self {
            Clock::FullYear => at.year().into(),
            Clock::Month => i64::from(at.month()) - 1,
            Clock::Date => at.day().into(),
            Clock::DayOfMonth => i64::from(at.day()) - 1,
            Clock::DayOfWeek => at.weekday().to_sunday_zero_offset().into(),
            Clock::DayOfYear => i64::from(at.day_of_year()) - 1,
            Clock::Hours => at.hour().into(),
            Clock::Minutes => at.minute().into(),
            Clock::Seconds => at.second().into(),
            Clock::Milliseconds => at.millisecond().into(),
        }
    }
}
