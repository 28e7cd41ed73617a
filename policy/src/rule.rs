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
    pub(crate) ports: Box<[u16]>,
    /// `cidrs` and `cidr_sets` together; empty where the rule has neither.
    pub(crate) networks: Box<[IpNet]>,
    pub(crate) at_most: Option<Box<[Box<str>]>>,
    pub(crate) any_of: Option<Box<[Box<str>]>>,
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
    pub(crate) fn judge(&self, facts: &Facts, knowledge: Knowledge) -> Judgement {
        let mut pending = AttributeSet::EMPTY;
        let mut error = None;
        let mut truth = Truth::Yes;
        for clause in Clause::ALL {
            if clause == Clause::Expires {
                continue;
            }
            match self.clause(clause, facts) {
                None | Some(Truth::Yes) => {}
                Some(Truth::No) => return Judgement { truth: Truth::No, end: self.end(facts) },
                Some(Truth::Pending(missing)) => {
                    pending = pending.union(missing);
                    truth = Truth::Pending(pending);
                }
                Some(Truth::Error(why)) => error = error.or(Some(why)),
            }
        }
        truth = match (truth, error, knowledge) {
            (Truth::Pending(_), _, Knowledge::Complete) => Truth::Error("a fact that it needs never became known"),
            (Truth::Pending(missing), _, Knowledge::Partial) => Truth::Pending(missing),
            (_, Some(why), _) => Truth::Error(why),
            (other, None, _) => other,
        };
        Judgement { truth, end: self.end(facts) }
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
        let host = &facts.destination.host;
        match clause {
            Clause::Identities => match &self.who {
                Who::Anyone => None,
                Who::Among(list) => yes(list.iter().any(|s| s.matches(&facts.identity, &facts.subject))),
            },
            Clause::Hosts if self.hosts.is_empty() => None,
            Clause::Hosts => yes(self.hosts.iter().any(|pattern| pattern.matches(host))),
            Clause::Ports if self.ports.is_empty() => None,
            Clause::Ports => yes(self.ports.contains(&facts.destination.port)),
            Clause::Networks if self.networks.is_empty() => None,
            Clause::Networks => Some(self.networks(facts)),
            Clause::AtMost => {
                let most = self.at_most.as_ref()?;
                yes(self.classes(facts).iter().all(|class| most.contains(class)))
            }
            Clause::AnyOf => {
                let any = self.any_of.as_ref()?;
                yes(self.classes(facts).iter().any(|class| any.contains(class)))
            }
            Clause::Expires => self.expires.map(|_| match self.end(facts) {
                End::Ahead => Truth::Yes,
                End::Past => Truth::No,
            }),
            Clause::When => self.when.as_ref().map(|when| when.eval(facts, self.reading())),
        }
    }

    /// *All* answers inside in an allow, *any* inside in a deny.
    fn networks(&self, facts: &Facts) -> Truth {
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
