//! Formulas and their atoms in CEL, for what no field of a rule says.

use ipnet::IpNet;

use super::formula::{Atom, Formula, Literal};
use crate::desugar::quoted;
use crate::expr::Expr;
use crate::pattern::{HostPattern, IdentityPattern};

/// The formula; it is settled.
pub(super) fn formula(formula: &Formula) -> String {
    match formula {
        Formula::Always => "true".to_owned(),
        // What is not understood holds for nobody.
        Formula::Never | Formula::Unknown => "false".to_owned(),
        Formula::Is(atom) => self::atom(atom),
        Formula::Not(inner) => negated(&self::formula(inner)),
        Formula::All(parts) => parts.iter().map(|part| operand(&self::formula(part))).collect::<Vec<_>>().join(" && "),
        Formula::Any(parts) => any(parts.iter().map(self::formula).collect()),
    }
}

/// An atom or its opposite.
pub(super) fn literal(literal: &Literal) -> String {
    let text = atom(&literal.atom);
    if literal.holds { text } else { negated(&text) }
}

/// All of them, each in brackets where it needs them; `None` of none.
pub(super) fn all(parts: Vec<String>) -> Option<String> {
    match parts.as_slice() {
        [] => None,
        [only] => Some(only.clone()),
        several => Some(several.iter().map(|part| operand(part)).collect::<Vec<_>>().join(" && ")),
    }
}

/// Whether the language takes it: it has bounds on the length of an expression.
pub(super) fn fits(text: &str) -> bool {
    Expr::parse(text).is_ok()
}

pub(super) fn atom(atom: &Atom) -> String {
    match atom {
        Atom::Hosts(patterns) => hosts(patterns),
        Atom::Ports(ranges) => ports(ranges),
        Atom::Sources(networks) => inside("source.ip", networks),
        Atom::Answers(networks) => format!("dns.answers.exists(a, {})", inside("a", networks)),
        Atom::Sni(patterns) => any(patterns.iter().map(sni).collect()),
        Atom::Who(patterns) => who(patterns),
        Atom::Http(asks) => format!("request.protocol == \"http\" && {}", operand(asks)),
        Atom::Text(text) => text.clone(),
    }
}

fn sni(pattern: &HostPattern) -> String {
    match pattern {
        HostPattern::Exact(name) => format!("tls.sni == {}", quoted(name)),
        HostPattern::Child(base) | HostPattern::Below(base) => {
            format!("(tls.sni != null && tls.sni.endsWith({}))", quoted(&format!(".{base}")))
        }
    }
}

fn hosts(patterns: &[HostPattern]) -> String {
    let exact: Vec<String> =
        patterns.iter().filter(|p| matches!(p, HostPattern::Exact(_))).map(|p| quoted(p.base())).collect();
    let open = patterns.iter().filter(|p| !matches!(p, HostPattern::Exact(_))).map(HostPattern::to_cel);
    any(in_list("destination.host", exact).into_iter().chain(open).collect())
}

/// Who asks is one of these.
pub(super) fn who(patterns: &[IdentityPattern]) -> String {
    let exact: Vec<String> = patterns.iter().filter_map(IdentityPattern::exact).map(quoted).collect();
    let open = patterns.iter().filter(|p| p.exact().is_none()).map(IdentityPattern::to_cel);
    any(in_list("identity.id", exact).into_iter().chain(open).collect())
}

fn ports(ranges: &[(u16, u16)]) -> String {
    let single = ranges.iter().filter(|(from, to)| from == to).map(|(port, _)| port.to_string()).collect();
    let wide = ranges.iter().filter(|(from, to)| from != to);
    let wide = wide.map(|(from, to)| format!("(destination.port >= {from} && destination.port <= {to})"));
    any(in_list("destination.port", single).into_iter().chain(wide).collect())
}

fn inside(what: &str, networks: &[IpNet]) -> String {
    any(networks.iter().map(|network| format!("cidr(\"{network}\").containsIP({what})")).collect())
}

fn in_list(what: &str, values: Vec<String>) -> Option<String> {
    match values.as_slice() {
        [] => None,
        [only] => Some(format!("{what} == {only}")),
        several => Some(format!("{what} in [{}]", several.join(", "))),
    }
}

fn any(parts: Vec<String>) -> String {
    match parts.as_slice() {
        [] => "false".to_owned(),
        [only] => only.clone(),
        several => format!("({})", several.join(" || ")),
    }
}

/// As one side of `&&`, which binds tighter than `||` alone.
fn operand(text: &str) -> String {
    let safe = !text.contains(" || ") || enclosed(text);
    if safe { text.to_owned() } else { format!("({text})") }
}

fn negated(text: &str) -> String {
    let simple = !text.contains(' ') || (text.starts_with('(') && enclosed(text));
    if simple { format!("!{text}") } else { format!("!({text})") }
}

/// Whether one pair of brackets is around all of it. Brackets in texts are none that a host, a path or an id begins with.
fn enclosed(text: &str) -> bool {
    let mut depth = 0_i32;
    let text = text.trim_start_matches('!');
    if !text.starts_with('(') {
        return false;
    }
    for (at, c) in text.char_indices() {
        depth += match c {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        if depth == 0 {
            return at + 1 == text.len();
        }
    }
    false
}
