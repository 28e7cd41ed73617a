//! What a foreign line asks, as a formula over a few kinds of atoms, and its form as a choice of conjunctions.

use ipnet::IpNet;

use crate::pattern::{HostPattern, IdentityPattern};

/// More conjunctions than a person would read are not written.
const DISJUNCTS_MAX: usize = 64;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Formula {
    Always,
    Never,
    /// Something that is not understood: the line that asks it says what.
    Unknown,
    Is(Atom),
    Not(Box<Formula>),
    All(Vec<Formula>),
    Any(Vec<Formula>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Atom {
    /// The host asked for is one of these.
    Hosts(Vec<HostPattern>),
    /// The port is within one of these ranges, both ends included.
    Ports(Vec<(u16, u16)>),
    /// The client's address is in one of these networks.
    Sources(Vec<IpNet>),
    /// An address of the destination is in one of these networks.
    Answers(Vec<IpNet>),
    /// The server name of the ClientHello is one of these.
    Sni(Vec<HostPattern>),
    /// The identity is one of these.
    Who(Vec<IdentityPattern>),
    /// A plain HTTP request of which this holds, in CEL: no rule can ask it of what is inside a tunnel.
    Http(String),
    /// Anything else, in CEL.
    Text(String),
}

/// An atom or its opposite.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Literal {
    pub(super) holds: bool,
    pub(super) atom: Atom,
}

/// Everything in it holds.
pub(super) type Conjunction = Vec<Literal>;

/// What stands for the unknown: never for more access than there was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unknown {
    /// In an allow.
    IsFalse,
    /// In a deny.
    IsTrue,
}

impl Unknown {
    fn other(self) -> Unknown {
        match self {
            Unknown::IsFalse => Unknown::IsTrue,
            Unknown::IsTrue => Unknown::IsFalse,
        }
    }
}

impl Formula {
    pub(super) fn not(self) -> Formula {
        match self {
            Formula::Always => Formula::Never,
            Formula::Never => Formula::Always,
            Formula::Not(inner) => *inner,
            other => Formula::Not(Box::new(other)),
        }
    }

    /// Without the unknown, and without what is true or false anyway.
    pub(super) fn settled(&self, unknown: Unknown) -> Formula {
        match self {
            Formula::Unknown => match unknown {
                Unknown::IsFalse => Formula::Never,
                Unknown::IsTrue => Formula::Always,
            },
            Formula::Always | Formula::Never | Formula::Is(_) => self.clone(),
            Formula::Not(inner) => inner.settled(unknown.other()).not(),
            Formula::All(parts) => {
                let parts: Vec<Formula> = parts.iter().map(|part| part.settled(unknown)).collect();
                if parts.contains(&Formula::Never) {
                    return Formula::Never;
                }
                one_or(
                    parts.into_iter().filter(|part| *part != Formula::Always).collect(),
                    Formula::Always,
                    Formula::All,
                )
            }
            Formula::Any(parts) => {
                let parts: Vec<Formula> = parts.iter().map(|part| part.settled(unknown)).collect();
                if parts.contains(&Formula::Always) {
                    return Formula::Always;
                }
                one_or(parts.into_iter().filter(|part| *part != Formula::Never).collect(), Formula::Never, Formula::Any)
            }
        }
    }

    /// Whether it asks about plain HTTP requests.
    pub(super) fn asks_of_requests(&self) -> bool {
        match self {
            Formula::Always | Formula::Never | Formula::Unknown => false,
            Formula::Is(atom) => matches!(atom, Atom::Http(_)),
            Formula::Not(inner) => inner.asks_of_requests(),
            Formula::All(parts) | Formula::Any(parts) => parts.iter().any(Formula::asks_of_requests),
        }
    }

    /// The conjunctions of which one must hold; `None` where they are too many. The formula is settled.
    pub(super) fn conjunctions(&self) -> Option<Vec<Conjunction>> {
        self.expand(true)
    }

    fn expand(&self, holds: bool) -> Option<Vec<Conjunction>> {
        match (self, holds) {
            (Formula::Always, true) | (Formula::Never, false) => Some(vec![Vec::new()]),
            (Formula::Always, false) | (Formula::Never, true) => Some(Vec::new()),
            // Settled formulas have none; one that has is not understood.
            (Formula::Unknown, _) => None,
            // What is no such request: another protocol, or a request of which it does not hold.
            (Formula::Is(Atom::Http(asks)), false) => Some(vec![
                vec![Literal { holds: true, atom: Atom::Text("request.protocol != \"http\"".to_owned()) }],
                vec![Literal { holds: true, atom: Atom::Http(format!("!({asks})")) }],
            ]),
            (Formula::Is(atom), holds) => Some(vec![vec![Literal { holds, atom: atom.clone() }]]),
            (Formula::Not(inner), holds) => inner.expand(!holds),
            (Formula::All(parts), true) | (Formula::Any(parts), false) => product(parts, holds),
            (Formula::Any(parts), true) | (Formula::All(parts), false) => sum(parts, holds),
        }
    }
}

fn one_or(mut parts: Vec<Formula>, none: Formula, several: fn(Vec<Formula>) -> Formula) -> Formula {
    match (parts.pop(), parts.is_empty()) {
        (None, _) => none,
        (Some(only), true) => only,
        (Some(last), false) => {
            parts.push(last);
            several(parts)
        }
    }
}

fn product(parts: &[Formula], holds: bool) -> Option<Vec<Conjunction>> {
    let mut all: Vec<Conjunction> = vec![Vec::new()];
    for part in parts {
        let choices = part.expand(holds)?;
        if all.len() * choices.len() > DISJUNCTS_MAX {
            return None;
        }
        let with = |left: &Conjunction| -> Vec<Conjunction> {
            choices.iter().map(|right| left.iter().chain(right).cloned().collect()).collect()
        };
        all = all.iter().flat_map(with).collect();
    }
    Some(all)
}

/// Conjunctions that differ in their hosts alone, or in their ports alone, are one.
fn sum(parts: &[Formula], holds: bool) -> Option<Vec<Conjunction>> {
    let mut all: Vec<Conjunction> = Vec::new();
    for part in parts {
        for found in part.expand(holds)? {
            let merged = all.iter_mut().any(|known| merge(known, &found));
            if !merged {
                all.push(found);
            }
        }
        if all.len() > DISJUNCTS_MAX {
            return None;
        }
    }
    Some(all)
}

fn merge(known: &mut Conjunction, found: &Conjunction) -> bool {
    let differing: Vec<usize> =
        (0..known.len().max(found.len())).filter(|at| known.get(*at) != found.get(*at)).collect();
    let [at] = differing.as_slice() else { return differing.is_empty() };
    let (Some(mine), Some(theirs)) = (known.get_mut(*at), found.get(*at)) else { return false };
    if !(mine.holds && theirs.holds) {
        return false;
    }
    match (&mut mine.atom, &theirs.atom) {
        (Atom::Hosts(mine), Atom::Hosts(theirs)) => union(mine, theirs),
        (Atom::Ports(mine), Atom::Ports(theirs)) => union(mine, theirs),
        (Atom::Sources(mine), Atom::Sources(theirs)) => union(mine, theirs),
        (Atom::Answers(mine), Atom::Answers(theirs)) => union(mine, theirs),
        (Atom::Sni(mine), Atom::Sni(theirs)) => union(mine, theirs),
        (Atom::Who(mine), Atom::Who(theirs)) => union(mine, theirs),
        (Atom::Http(mine), Atom::Http(theirs)) => *mine = format!("({mine} || {theirs})"),
        (
            Atom::Hosts(_)
            | Atom::Ports(_)
            | Atom::Sources(_)
            | Atom::Answers(_)
            | Atom::Sni(_)
            | Atom::Who(_)
            | Atom::Http(_)
            | Atom::Text(_),
            _,
        ) => return false,
    }
    true
}

fn union<T: Clone + PartialEq>(mine: &mut Vec<T>, theirs: &[T]) {
    for item in theirs {
        if !mine.contains(item) {
            mine.push(item.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(n: u16) -> Formula {
        Formula::Is(Atom::Ports(vec![(n, n)]))
    }

    fn text(t: &str) -> Formula {
        Formula::Is(Atom::Text(t.to_owned()))
    }

    #[test]
    fn the_unknown_never_gives_more() {
        let asks = Formula::All(vec![port(1), Formula::Unknown]);
        assert_eq!(asks.settled(Unknown::IsFalse), Formula::Never);
        assert_eq!(asks.settled(Unknown::IsTrue), port(1));
        let unless = Formula::All(vec![port(1), Formula::Unknown.not()]);
        assert_eq!(unless.settled(Unknown::IsFalse), Formula::Never, "an allow unless something unknown");
        assert_eq!(unless.settled(Unknown::IsTrue), port(1), "a deny unless something unknown");
    }

    #[test]
    fn a_negated_conjunction_is_a_choice() {
        let asks = Formula::All(vec![text("a"), port(1).not()]).not().conjunctions().unwrap();
        let wanted = [
            vec![Literal { holds: false, atom: Atom::Text("a".to_owned()) }],
            vec![Literal { holds: true, atom: Atom::Ports(vec![(1, 1)]) }],
        ];
        assert_eq!(asks, wanted);
    }

    #[test]
    fn what_differs_in_one_list_is_one_conjunction_and_too_many_are_none() {
        let same = Formula::Any(vec![Formula::All(vec![text("a"), port(1)]), Formula::All(vec![text("a"), port(2)])]);
        assert_eq!(same.conjunctions().unwrap().len(), 1);
        let pair = |n: usize| Formula::Any(vec![text(&format!("a{n}")), text(&format!("b{n}"))]);
        assert_eq!(Formula::All((0..6).map(pair).collect()).conjunctions().unwrap().len(), 64);
        assert!(Formula::All((0..7).map(pair).collect()).conjunctions().is_none());
    }
}
