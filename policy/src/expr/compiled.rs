//! The compiled form: a small typed tree that is evaluated on borrowed facts without allocating.
//!
//! Types were checked on the way here, so evaluation meets no pair of operands that does not fit.

use std::net::IpAddr;

use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};
use regex::Regex;

use crate::schema::Attribute;

pub(super) use super::syntax::Quantifier;

/// A condition.
#[derive(Clone, Debug)]
pub(super) enum Cond {
    Const(bool),
    /// An attribute of type bool.
    Flag(Attribute),
    /// An attribute that is text equals a literal: the commonest atom of all.
    Is(Attribute, Box<str>),
    Not(Box<Cond>),
    And(Box<[Cond]>),
    Or(Box<[Cond]>),
    If(Box<[Cond; 3]>),
    Compare(Comparison, Box<[Term; 2]>),
    /// The first is an element of the second, or a key of it.
    In(Box<[Term; 2]>),
    /// Text begins with, ends with, contains text.
    Affix(Affix, Box<[Term; 2]>),
    /// A host is an apex or below it.
    Within(Box<[Term; 2]>),
    Matches(Box<Term>, Box<Regex>),
    /// `has(map.key)`
    Has(Attribute, Box<str>),
    IsGlobal(Box<Term>),
    /// The network has the address.
    Contains(Box<[Term; 2]>),
    Each(Box<Each>),
}

/// `over.exists(variable, body)` and its kin. With one level of nesting there is one variable.
#[derive(Clone, Debug)]
pub(super) struct Each {
    pub(super) quantifier: Quantifier,
    pub(super) over: Term,
    pub(super) body: Cond,
}

/// A value.
#[derive(Clone, Debug)]
pub(super) enum Term {
    Literal(Literal),
    Attribute(Attribute),
    /// The variable of the macro around it.
    Item,
    /// The text under a key of a map.
    Key(Attribute, Box<Term>),
    Size(Box<Term>),
    Arithmetic(Arithmetic, Box<[Term; 2]>),
    Negate(Box<Term>),
    Clock(Clock, Box<Term>),
    Truth(Box<Cond>),
    If(Box<(Cond, Term, Term)>),
}

/// What a literal was read to.
#[derive(Clone, Debug)]
pub(super) enum Literal {
    Null,
    Int(i64),
    Text(Box<str>),
    Ip(IpAddr),
    Network(IpNet),
    Time(Timestamp),
    Span(SignedDuration),
    Texts(Box<[Box<str>]>),
    Ints(Box<[i64]>),
    Ips(Box<[IpAddr]>),
}

/// `== != < <= > >=`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Where in a text another one is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Affix {
    Start,
    End,
    Anywhere,
}

/// `+ - *`; the first two also move a moment by a length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
}

/// A part of a moment, in UTC, counted as CEL counts it: months, days of the month (`getDayOfMonth`), days of the year
/// and days of the week (Sunday) from 0, `getDate` from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clock {
    FullYear,
    Month,
    Date,
    DayOfMonth,
    DayOfWeek,
    DayOfYear,
    Hours,
    Minutes,
    Seconds,
    Milliseconds,
}
