//! Through all combinations, in the order in which facts become known.

use std::sync::Arc;

use super::side::Side;
use super::space::Space;
use super::who::Who;
use crate::address::Floor;
use crate::decision::Verdict;
use crate::facts::{Facts, Protocol, Resolved, Tls};
use crate::host::{Authority, Host};
use crate::schema::AttributeSet;

/// Whether an answer holds for every connection there can be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exactness {
    /// Attributes that conditions look at in a way that a few values cannot stand for.
    pub vague: Vec<&'static str>,
    /// Whether the bound on the work was reached, and something was not looked at.
    pub cut_short: bool,
}

impl Exactness {
    /// Whether nothing was left out.
    pub fn exact(&self) -> bool {
        self.vague.is_empty() && !self.cut_short
    }

    pub(super) fn blur(&mut self, vague: AttributeSet) {
        for attribute in vague.iter().filter(|a| !self.vague.contains(&a.row().name)).collect::<Vec<_>>() {
            self.vague.push(attribute.row().name);
        }
    }
}

/// How much an analysis may cost, in combinations.
#[derive(Debug)]
pub(super) struct Budget(u64);

/// Some ten seconds.
const COMBINATIONS_MAX: u64 = 20_000_000;

impl Budget {
    pub(super) fn new() -> Budget {
        Budget(COMBINATIONS_MAX)
    }

    /// Whether one more may be looked at.
    pub(super) fn take(&mut self) -> bool {
        self.0 = self.0.saturating_sub(1);
        self.0 > 0
    }
}

/// Where to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// More must become known.
    Deeper,
    /// What is known settles it.
    Settled,
    /// The question is answered.
    Stop,
}

/// One combination as far as it is known: the facts of each side.
pub(super) struct Point<'p> {
    pub(super) who: &'p Who,
    sides: &'p [&'p Side<'p>],
    facts: &'p [Option<Facts>],
}

impl Point<'_> {
    /// What this side says; `None` where it refuses the declared data classes.
    pub(super) fn decide(&self, side: usize) -> Option<Verdict> {
        let facts = self.facts.get(side)?.as_ref()?;
        Some(self.sides.get(side)?.decide(facts))
    }

    /// The facts as this side knows them.
    pub(super) fn facts(&self, side: usize) -> Option<&Facts> {
        self.facts.get(side)?.as_ref()
    }
}

/// Go through all combinations at one host.
pub(super) fn walk(
    sides: &[&Side<'_>],
    host: &Host,
    space: &Space,
    budget: &mut Budget,
    visit: &mut dyn FnMut(&Point<'_>) -> Flow,
) -> Flow {
    let tags: Vec<_> = sides.iter().map(|side| side.set.tags(host)).collect();
    let floor = Arc::new(Floor::default());
    for who in &space.whos {
        let subjects: Vec<_> =
            sides.iter().map(|side| side.set.subject(&who.identity, who.declared.as_deref()).ok()).collect();
        for ask in &space.asks {
            let made = sides.iter().zip(&tags).zip(&subjects).map(|((side, tags), subject)| {
                Some(Facts {
                    now: side.now,
                    mode: side.mode(),
                    source: ask.source,
                    listener: ask.listener.clone(),
                    identity: who.identity.clone(),
                    subject: subject.clone()?,
                    destination: Authority { host: host.clone(), port: ask.port },
                    tags: tags.clone(),
                    protocol: ask.protocol,
                    request: ask.request.clone(),
                    floor: floor.clone(),
                    resolved: host.ip().map(literal),
                    tls: (ask.protocol == Protocol::Http).then_some(Tls::Absent),
                    upstream: None,
                })
            });
            let mut facts: Vec<Option<Facts>> = made.collect();
            if descend(sides, who, &mut facts, space, budget, visit) == Flow::Stop {
                return Flow::Stop;
            }
        }
    }
    Flow::Deeper
}

fn literal(ip: std::net::IpAddr) -> Resolved {
    Resolved { answers: vec![ip], cname: Vec::new(), min_ttl: 0, secure: false }
}

/// Look at what is known; where that does not settle it, let the next group of facts become known.
fn descend(
    sides: &[&Side<'_>],
    who: &Who,
    facts: &mut [Option<Facts>],
    space: &Space,
    budget: &mut Budget,
    visit: &mut dyn FnMut(&Point<'_>) -> Flow,
) -> Flow {
    if !budget.take() {
        return Flow::Stop;
    }
    match visit(&Point { who, sides, facts }) {
        Flow::Deeper => {}
        Flow::Settled => return Flow::Deeper,
        Flow::Stop => return Flow::Stop,
    }
    let known = facts.iter().flatten().next().map(Known::of);
    let mut each = |set: &dyn Fn(&mut Facts)| {
        let mut next = facts.to_vec();
        next.iter_mut().flatten().for_each(set);
        descend(sides, who, &mut next, space, budget, visit)
    };
    let stopped = match known {
        Some(Known::Request) => {
            space.answers.iter().any(|answers| each(&|facts| facts.resolved = Some(answers.clone())) == Flow::Stop)
        }
        Some(Known::Addresses) => {
            space.hellos.iter().any(|tls| each(&|facts| facts.tls = Some(tls.clone())) == Flow::Stop)
        }
        Some(Known::Hello) => {
            space.servers.iter().any(|server| each(&|facts| facts.upstream = Some(Arc::clone(server))) == Flow::Stop)
        }
        Some(Known::Everything) | None => false,
    };
    if stopped { Flow::Stop } else { Flow::Deeper }
}

/// Which groups of facts are known.
enum Known {
    Request,
    Addresses,
    Hello,
    Everything,
}

impl Known {
    fn of(facts: &Facts) -> Known {
        match (&facts.resolved, &facts.tls, &facts.upstream) {
            (None, _, _) => Known::Request,
            (Some(_), None, _) => Known::Addresses,
            // Only a server that is spoken TLS with has a certificate.
            (Some(_), Some(Tls::Hello(_)), None) => Known::Hello,
            (Some(_), Some(_), _) => Known::Everything,
        }
    }
}

impl Budget {
    /// Whether it is used up.
    pub(super) fn spent(&self) -> bool {
        self.0 == 0
    }
}
