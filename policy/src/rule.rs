//! A compiled rule, and what each of its clauses says about a set of facts.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use jiff::Timestamp;

use crate::budget::Budget;
use crate::decision::{Breadth, Effect, Keeping, RuleInfo};
use crate::document::rules::{Enforcement, Lifts, Trust};
use crate::expr::{Expr, Reading, Truth};
use crate::facts::{Classes, Facts, Subject};
use crate::host::Host;
use crate::identity::Identity;
use crate::pattern::{HostPattern, IdentityPattern};
use crate::schema::{Attribute, AttributeSet};

/// The order in which rules decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Tier {
    Guardrail,
    TeamDeny,
    Allow,
}

impl Tier {
    pub(crate) fn effect(self) -> Effect {
        match self {
            Tier::Guardrail | Tier::TeamDeny => Effect::Deny,
            Tier::Allow => Effect::Allow,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) info: Arc<RuleInfo>,
    pub(crate) tier: Tier,
    pub(crate) enforcement: Enforcement,
    pub(crate) trust: Trust,
    pub(crate) lifts: Lifts,
    pub(crate) keeping: Keeping,
    /// Only of an allow.
    pub(crate) budget: Option<Arc<Budget>>,
    pub(crate) who: Who,
    pub(crate) hosts: Box<[HostPattern]>,
    /// Many rules have the same ports, and the same classes: they share them, and what is shared is in the cache.
    pub(crate) ports: Arc<[u16]>,
    /// `cidrs` and `cidr_sets` together; empty where the rule has neither.
    pub(crate) networks: Box<[IpNet]>,
    pub(crate) at_most: Option<Classes>,
    pub(crate) any_of: Option<Classes>,
    /// The earliest of the rule's own end and those of its CIDR sets. Only an allow ends.
    pub(crate) expires: Option<Timestamp>,
    /// When somebody must look at a deny again. It stays in force past it.
    pub(crate) review_by: Option<Timestamp>,
    pub(crate) when: Option<Expr>,
}

#[derive(Debug)]
pub(crate) enum Who {
    Anyone,
    Among(Box<[Selector]>),
}

/// One entry of `identities`: everything in it must hold.
#[derive(Debug)]
pub(crate) struct Selector {
    pub(crate) id: Option<IdentityPattern>,
    pub(crate) spiffe_id: Option<IdentityPattern>,
    pub(crate) labels: Box<[(Box<str>, Box<str>)]>,
    /// The fragment's scope, for an entry that names no id: a team speaks about its own identities only.
    pub(crate) scope: Option<Arc<[IdentityPattern]>>,
}

/// One field of a rule. A rule holds when all that it has hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clause {
    Identities,
    Hosts,
    Ports,
    Networks,
    AtMost,
    AnyOf,
    Expires,
    When,
}

impl Clause {
    pub(crate) const ALL: [Clause; 8] = [
        Clause::Identities,
        Clause::Hosts,
        Clause::Ports,
        Clause::Networks,
        Clause::AtMost,
        Clause::AnyOf,
        Clause::Expires,
        Clause::When,
    ];

    /// The name in records and traces.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Clause::Identities => "identities",
            Clause::Hosts => "destinations.hosts",
            Clause::Ports => "destinations.ports",
            Clause::Networks => "destinations.cidrs",
            Clause::AtMost => "data_classes.at_most",
            Clause::AnyOf => "data_classes.any_of",
            Clause::Expires => "expires",
            Clause::When => "when",
        }
    }
}

/// What a rule says, its end left aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Judgement {
    pub(crate) truth: Truth,
    pub(crate) end: End,
}

/// Whether a rule is still in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Ahead,
    Past,
}

/// Whether anything can still become known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Knowledge {
    Partial,
    /// Whatever is pending now stays so: it counts as an error.
    Complete,
}

impl Rule {
    /// Judge the whole rule. `No` absorbs everything, pending outranks error (it may still become `No`).
    ///
    /// The clauses are those of `clause`, taken by what they cost.
    pub(crate) fn judge(&self, facts: &Facts, knowledge: Knowledge) -> Judgement {
        let end = self.end(facts);
        let truth = match self.fits(facts) {
            false => Truth::No,
            true => match (self.networks(facts), self.condition(facts)) {
                (None, None) => Truth::Yes,
                (Some(truth), None) | (None, Some(truth)) => truth,
                (Some(networks), Some(when)) => both(networks, when),
            },
        };
        let truth = match (truth, knowledge) {
            (Truth::Pending(_), Knowledge::Complete) => Truth::Error("a fact that it needs never became known"),
            (truth, _) => truth,
        };
        Judgement { truth, end }
    }

    /// Whether all clauses hold that can neither wait nor err.
    #[inline]
    fn fits(&self, facts: &Facts) -> bool {
        (self.ports.is_empty() || self.port_fits(facts))
            && (self.hosts.is_empty() || self.host_fits(facts))
            && self.identity_fits(facts)
            && self.at_most.as_ref().is_none_or(|most| self.at_most_fits(most, facts))
            && self.any_of.as_ref().is_none_or(|any| self.any_of_fits(any, facts))
    }

    fn port_fits(&self, facts: &Facts) -> bool {
        self.ports.contains(&facts.destination.port)
    }

    fn host_fits(&self, facts: &Facts) -> bool {
        self.hosts.iter().any(|pattern| pattern.matches(&facts.destination.host))
    }

    fn identity_fits(&self, facts: &Facts) -> bool {
        match &self.who {
            Who::Anyone => true,
            Who::Among(list) => list.iter().any(|s| s.matches(&facts.identity, &facts.subject)),
        }
    }

    fn at_most_fits(&self, most: &[Box<str>], facts: &Facts) -> bool {
        self.classes(facts).iter().all(|class| most.contains(class))
    }

    fn any_of_fits(&self, any: &[Box<str>], facts: &Facts) -> bool {
        self.classes(facts).iter().any(|class| any.contains(class))
    }

    fn condition(&self, facts: &Facts) -> Option<Truth> {
        self.when.as_ref().map(|when| when.eval(facts, self.reading()))
    }

    pub(crate) fn end(&self, facts: &Facts) -> End {
        match self.expires {
            Some(end) if facts.now >= end => End::Past,
            Some(_) | None => End::Ahead,
        }
    }

    /// What one clause says; `None` if the rule does not have it.
    pub(crate) fn clause(&self, clause: Clause, facts: &Facts) -> Option<Truth> {
        let yes = |holds: bool| Some(if holds { Truth::Yes } else { Truth::No });
        match clause {
            Clause::Identities => match &self.who {
                Who::Anyone => None,
                Who::Among(_) => yes(self.identity_fits(facts)),
            },
            Clause::Hosts if self.hosts.is_empty() => None,
            Clause::Hosts => yes(self.host_fits(facts)),
            Clause::Ports if self.ports.is_empty() => None,
            Clause::Ports => yes(self.port_fits(facts)),
            Clause::Networks => self.networks(facts),
            Clause::AtMost => yes(self.at_most_fits(self.at_most.as_ref()?, facts)),
            Clause::AnyOf => yes(self.any_of_fits(self.any_of.as_ref()?, facts)),
            Clause::Expires => self.expires.map(|_| match self.end(facts) {
                End::Ahead => Truth::Yes,
                End::Past => Truth::No,
            }),
            Clause::When => self.condition(facts),
        }
    }

    /// The fields that it has, in their order; its condition is left aside.
    pub(crate) fn fields(&self) -> impl Iterator<Item = Clause> {
        let has = [
            (matches!(self.who, Who::Among(_)), Clause::Identities),
            (!self.hosts.is_empty(), Clause::Hosts),
            (!self.ports.is_empty(), Clause::Ports),
            (!self.networks.is_empty(), Clause::Networks),
            (self.at_most.is_some(), Clause::AtMost),
            (self.any_of.is_some(), Clause::AnyOf),
            (self.expires.is_some(), Clause::Expires),
        ];
        has.into_iter().filter(|(has, _)| *has).map(|(_, clause)| clause)
    }

    /// *All* answers inside in an allow, *any* inside in a deny.
    #[inline]
    fn networks(&self, facts: &Facts) -> Option<Truth> {
        if self.networks.is_empty() { None } else { Some(self.answers_fit(facts)) }
    }

    fn answers_fit(&self, facts: &Facts) -> Truth {
        if self.hosts.is_empty() && matches!(facts.destination.host, Host::Name(_)) {
            return Truth::No;
        }
        let inside = |ip: &IpAddr| self.networks.iter().any(|network| network.contains(ip));
        let holds = match (known_answers(facts), self.tier.effect()) {
            (None, _) => return Truth::Pending(AttributeSet::one(Attribute::DnsAnswers)),
            (Some([]), _) => return Truth::Error("there are no addresses"),
            (Some(answers), Effect::Allow) => answers.iter().all(inside),
            (Some(answers), Effect::Deny) => answers.iter().any(inside),
        };
        if holds { Truth::Yes } else { Truth::No }
    }

    /// The classes that this rule may read.
    pub(crate) fn classes<'f>(&self, facts: &'f Facts) -> &'f Classes {
        match (self.trust, &facts.subject.declared) {
            (Trust::Declared, Some(declared)) => declared,
            (Trust::Declared, None) | (Trust::Registered, _) => &facts.subject.registered,
        }
    }

    pub(crate) fn reading(&self) -> Reading {
        match self.trust {
            Trust::Registered => Reading::Registered,
            Trust::Declared => Reading::Declared,
        }
    }

    /// How broadly it names hosts.
    pub(crate) fn breadth(&self) -> Breadth {
        let any_host = self.hosts.is_empty() && self.networks.is_empty();
        let pattern = |host: &HostPattern| match host {
            HostPattern::Exact(_) => false,
            HostPattern::Child(_) | HostPattern::Below(_) => true,
        };
        if any_host || self.hosts.iter().any(pattern) { Breadth::Wildcard } else { Breadth::Named }
    }

    /// What it looks at.
    pub(crate) fn uses(&self) -> AttributeSet {
        let when = self.when.as_ref().map_or(AttributeSet::EMPTY, |when| when.uses());
        let clauses = [
            (matches!(self.who, Who::Among(_)), Attribute::IdentityId),
            (
                matches!(&self.who, Who::Among(list) if list.iter().any(|s| !s.labels.is_empty())),
                Attribute::IdentityLabels,
            ),
            (!self.hosts.is_empty(), Attribute::DestinationHost),
            (!self.ports.is_empty(), Attribute::DestinationPort),
            (!self.networks.is_empty(), Attribute::DnsAnswers),
            (self.at_most.is_some() || self.any_of.is_some(), Attribute::DataClasses),
            (self.expires.is_some(), Attribute::Now),
        ];
        let used = clauses.iter().filter(|(used, _)| *used);
        used.fold(when, |all, (_, attribute)| all.union(AttributeSet::one(*attribute)))
    }

    /// The ids of which its identity must be one, if they can be listed.
    pub(crate) fn exact_ids(&self) -> Option<Vec<&str>> {
        match &self.who {
            Who::Anyone => None,
            Who::Among(list) => list.iter().map(Selector::exact_id).collect(),
        }
    }
}

/// Two clauses of which both must hold; of two errors the first is told.
fn both(one: Truth, other: Truth) -> Truth {
    match (one, other) {
        (Truth::No, _) | (_, Truth::No) => Truth::No,
        (Truth::Pending(a), Truth::Pending(b)) => Truth::Pending(a.union(b)),
        (Truth::Pending(missing), _) | (_, Truth::Pending(missing)) => Truth::Pending(missing),
        (Truth::Error(why), _) | (_, Truth::Error(why)) => Truth::Error(why),
        (Truth::Yes, Truth::Yes) => Truth::Yes,
    }
}

impl Selector {
    pub(crate) fn matches(&self, identity: &Identity, subject: &Subject) -> bool {
        let id = identity.id();
        self.id.as_ref().is_none_or(|pattern| pattern.matches(id))
            && self.spiffe_id.as_ref().is_none_or(|pattern| pattern.matches(id))
            && self.labels.iter().all(|(key, value)| subject.labels.get(key) == Some(value))
            && self.scope.as_ref().is_none_or(|scope| scope.iter().any(|pattern| pattern.matches(id)))
    }

    fn exact_id(&self) -> Option<&str> {
        self.id.as_ref().and_then(IdentityPattern::exact).or_else(|| self.spiffe_id.as_ref()?.exact())
    }
}

/// The addresses, once they are known; for an IP literal that is from the start.
pub(crate) fn known_answers(facts: &Facts) -> Option<&[IpAddr]> {
    match (&facts.resolved, &facts.destination.host) {
        (Some(resolved), _) => Some(&resolved.answers),
        (None, Host::Ip(ip)) => Some(std::slice::from_ref(ip)),
        (None, Host::Name(_)) => None,
    }
}
