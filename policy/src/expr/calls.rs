//! Functions and methods: CEL's, those of CEL's network extension, and ours.

use std::ops::Range;

use super::check::{Checker, Typed};
use super::compiled::{Affix, Clock, Cond, Literal, Term};
use super::names::{nearest, quoted};
use super::syntax::{Kind, Node};
use super::{hosts, literals};
use crate::schema::Type;

/// The functions of expressions.
pub const FUNCTIONS: &[&str] = &["cidr", "duration", "has", "ip", "matches", "size", "timestamp"];

/// The methods of expressions.
pub const METHODS: &[&str] = &[
    "all",
    "contains",
    "containsIP",
    "endsWith",
    "exists",
    "exists_one",
    "isGlobal",
    "matches",
    "size",
    "startsWith",
    "within",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getFullYear",
    "getHours",
    "getMilliseconds",
    "getMinutes",
    "getMonth",
    "getSeconds",
];

/// The rest of CEL's network extension.
const NOT_YET: &[&str] = &[
    "containsCIDR",
    "family",
    "isCIDR",
    "isCanonical",
    "isIP",
    "isLinkLocalMulticast",
    "isLinkLocalUnicast",
    "isLoopback",
    "isUnspecified",
    "masked",
    "prefixLength",
];

impl Checker<'_> {
    /// `target.name(arguments)` or `name(arguments)`.
    pub(super) fn call(
        &mut self,
        node: &Node,
        name: (&str, &Range<usize>),
        target: Option<&Node>,
        arguments: &[Node],
    ) -> Option<Typed> {
        match (target, name.0, arguments) {
            (None, "ip" | "cidr" | "timestamp" | "duration", [argument]) => self.constant(name.0, argument),
            (None, "size", [of]) | (Some(of), "size", []) => self.size(of),
            (None, "matches", [text, pattern]) | (Some(text), "matches", [pattern]) => self.matches(text, pattern),
            (Some(text), "startsWith", [part]) => self.affix(Affix::Start, node, text, part),
            (Some(text), "endsWith", [part]) => self.affix(Affix::End, node, text, part),
            (Some(text), "contains", [part]) => self.affix(Affix::Anywhere, node, text, part),
            (Some(host), "within", [apex]) => self.within(host, apex),
            (Some(of), "isGlobal", []) => {
                let ip = self.of_type(of, Type::Ip)?;
                Some(Typed::Cond(Cond::IsGlobal(Box::new(ip))))
            }
            (Some(network), "containsIP", [ip]) => {
                let (network, ip) = (self.of_type(network, Type::Cidr), self.of_type(ip, Type::Ip));
                Some(Typed::Cond(Cond::Contains(Box::new([network?, ip?]))))
            }
            (Some(moment), getter, _) if let Some(clock) = clock(getter) => {
                let moment = self.of_type(moment, Type::Timestamp)?;
                if let Some(zone) = arguments.first() {
                    let message = format!("`{getter}` takes no time zone: it counts in UTC");
                    self.problem(&zone.range, message, None);
                    return None;
                }
                Some(Typed::Term(Term::Clock(clock, Box::new(moment)), Type::Int))
            }
            _ => self.unknown_call(name, target, arguments),
        }
    }

    /// A function that is not there, or not for so many arguments; its parts are checked all the same.
    fn unknown_call(
        &mut self,
        (name, range): (&str, &Range<usize>),
        target: Option<&Node>,
        arguments: &[Node],
    ) -> Option<Typed> {
        let (known, kind) = if target.is_some() { (METHODS, "method") } else { (FUNCTIONS, "function") };
        if known.contains(&name) {
            let message = format!("`{name}` does not take {} arguments", arguments.len());
            self.problem(range, message, None);
            return None;
        }
        if NOT_YET.contains(&name) {
            self.problem(range, format!("`{name}` is not supported yet"), None);
            return None;
        }
        let help = match (name, nearest(name, known.iter().copied())) {
            ("isGlobalUnicast", _) => {
                "write `isGlobal()`; CEL's `isGlobalUnicast()` says yes to private addresses such as 192.168.0.1"
                    .to_owned()
            }
            (_, Some(near)) => format!("did you mean `{near}`?"),
            (_, None) => format!("the {kind}s are {}", quoted(known.iter().copied())),
        };
        self.problem(range, format!("`{name}` is not a {kind}"), Some(help));
        if let Some(target) = target {
            self.term(target)?;
        }
        None
    }

    fn of_type(&mut self, node: &Node, wanted: Type) -> Option<Term> {
        let (term, ty) = self.term(node)?;
        if ty == wanted {
            return Some(term);
        }
        let help = match (wanted, ty, &node.kind) {
            (Type::Ip, Type::String, Kind::Text(text)) => Some(format!("write `ip(\"{text}\")`")),
            (Type::Cidr, Type::String, Kind::Text(text)) => Some(format!("write `cidr(\"{text}\")`")),
            (Type::Ip, Type::IpList, _) => {
                let list = self.snippet(node);
                Some(format!("ask about every address: `{list}.all(a, …)`, or about any: `{list}.exists(a, …)`"))
            }
            _ => None,
        };
        self.problem(&node.range, format!("`{}` is {ty}, where {wanted} is needed", self.snippet(node)), help);
        None
    }

    /// Text, or text that may be null; asking null is an error when it is evaluated.
    fn text_term(&mut self, node: &Node) -> Option<Term> {
        let (term, ty) = self.term(node)?;
        if matches!(ty, Type::String | Type::NullableString) {
            return Some(term);
        }
        let help = (ty == Type::StringList).then(|| {
            format!("ask about its elements: `{}.exists(x, …)`, or look for one with `in`", self.snippet(node))
        });
        self.problem(&node.range, format!("`{}` is {ty}, where text is needed", self.snippet(node)), help);
        None
    }

    fn constant(&mut self, function: &str, argument: &Node) -> Option<Typed> {
        let Kind::Text(text) = &argument.kind else {
            self.term(argument)?;
            let message = format!("`{function}()` takes a text literal, which is checked when the policy is loaded");
            self.problem(&argument.range, message, None);
            return None;
        };
        let read = match function {
            "ip" => literals::ip(text).map(|ip| (Literal::Ip(ip), Type::Ip)),
            "cidr" => literals::cidr(text).map(|network| (Literal::Network(network), Type::Cidr)),
            "timestamp" => literals::timestamp(text).map(|moment| (Literal::Time(moment), Type::Timestamp)),
            _ => literals::duration(text).map(|span| (Literal::Span(span), Type::Duration)),
        };
        match read {
            Ok((literal, ty)) => Some(Typed::Term(Term::Literal(literal), ty)),
            Err((message, help)) => {
                self.problem(&argument.range, message, help);
                None
            }
        }
    }

    fn size(&mut self, of: &Node) -> Option<Typed> {
        let (term, ty) = self.term(of)?;
        match ty {
            Type::String | Type::NullableString | Type::StringList | Type::IpList | Type::IntList | Type::StringMap => {
                Some(Typed::Term(Term::Size(Box::new(term)), Type::Int))
            }
            Type::Bool | Type::Int | Type::Ip | Type::Timestamp | Type::Duration | Type::Cidr | Type::Null => {
                self.problem(&of.range, format!("`{}` is {ty} and has no size", self.snippet(of)), None);
                None
            }
        }
    }

    fn affix(&mut self, affix: Affix, node: &Node, text: &Node, part: &Node) -> Option<Typed> {
        let (text_term, part_term) = (self.text_term(text), self.text_term(part));
        let (text_term, part_term) = (text_term?, part_term?);
        if self.is_host(&text_term) {
            let host = self.snippet(text);
            let literal = if let Term::Literal(Literal::Text(text)) = &part_term { Some(&**text) } else { None };
            let flaw = match (affix, literal) {
                (Affix::Start, Some(literal)) => hosts::not_a_prefix(literal),
                (Affix::Start, None) => None,
                (Affix::End, Some(literal)) => hosts::not_a_suffix(&host, literal),
                (Affix::End, None) => Some(hosts::open_suffix(&host, &self.snippet(part))),
                (Affix::Anywhere, _) => Some(hosts::anywhere(&host)),
            };
            if let Some(flaw) = flaw {
                let range = if affix == Affix::Anywhere { &node.range } else { &part.range };
                self.flaw(range, flaw);
            }
        }
        Some(Typed::Cond(Cond::Affix(affix, Box::new([text_term, part_term]))))
    }

    fn within(&mut self, host: &Node, apex: &Node) -> Option<Typed> {
        let (host_term, apex_term) = (self.text_term(host), self.text_term(apex));
        let (host_term, apex_term) = (host_term?, apex_term?);
        if !self.is_host(&host_term) && !matches!(host_term, Term::Item) {
            self.problem(&host.range, format!("`{}` is not a host name", self.snippet(host)), None);
        }
        match &apex_term {
            Term::Literal(Literal::Text(text)) => {
                if let Some(flaw) = hosts::not_an_apex(text) {
                    self.flaw(&apex.range, flaw);
                }
            }
            other if self.is_host(other) => {}
            _ => self.problem(&apex.range, format!("`{}` is not a host name", self.snippet(apex)), None),
        }
        Some(Typed::Cond(Cond::Within(Box::new([host_term, apex_term]))))
    }

    fn matches(&mut self, text: &Node, pattern: &Node) -> Option<Typed> {
        let term = self.text_term(text);
        let Kind::Text(source) = &pattern.kind else {
            self.term(pattern)?;
            let message = "a pattern is a text literal, which is checked when the policy is loaded".to_owned();
            self.problem(&pattern.range, message, None);
            return None;
        };
        let (regex, anchored) = match literals::regex(source) {
            Ok(read) => read,
            Err((message, help)) => {
                self.problem(&pattern.range, message, help);
                return None;
            }
        };
        let term = term?;
        if self.is_host(&term) && anchored == literals::Anchored::No {
            self.flaw(&pattern.range, hosts::unanchored());
            return None;
        }
        Some(Typed::Cond(Cond::Matches(Box::new(term), Box::new(regex))))
    }
}

fn clock(name: &str) -> Option<Clock> {
    Some(match name {
        "getFullYear" => Clock::FullYear,
        "getMonth" => Clock::Month,
        "getDate" => Clock::Date,
        "getDayOfMonth" => Clock::DayOfMonth,
        "getDayOfWeek" => Clock::DayOfWeek,
        "getDayOfYear" => Clock::DayOfYear,
        "getHours" => Clock::Hours,
        "getMinutes" => Clock::Minutes,
        "getSeconds" => Clock::Seconds,
        "getMilliseconds" => Clock::Milliseconds,
        _ => return None,
    })
}
