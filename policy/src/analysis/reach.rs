//! Who can reach a host, and what an identity can reach.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use super::hosts::{self, Focus, HostClass, Places};
use super::side::Side;
use super::space::{Asked, space};
use super::walk::{Budget, Exactness, Flow, Point, walk};
use super::witness::Witness;
use crate::decision::{Decision, Reason, RuleInfo, Verdict};
use crate::facts::Subject;
use crate::host::Host;
use crate::identity::Identity;
use crate::rule::{Rule, Who};
use crate::schema::AttributeSet;

/// One way through: who, where to, and by which rule.
#[derive(Clone, Debug)]
pub struct Way {
    /// An id, or a pattern of ids: those of them that no other line names.
    pub who: Box<str>,
    /// A host, a pattern or a network: what of it no other line names.
    pub to: Box<str>,
    /// What allows it.
    pub rule: Arc<RuleInfo>,
    /// `allowed`, or `permitted` by an exception.
    pub reason: Reason,
    /// The ports.
    pub ports: BTreeSet<u16>,
    /// Sets of data classes with which it was allowed.
    pub data_classes: BTreeSet<Vec<Box<str>>>,
    /// What it hangs on beyond who, host and port; empty where it always goes.
    pub hangs_on: AttributeSet,
    /// One connection that goes this way.
    pub witness: Witness,
}

/// Every way.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// By destination, identity and rule.
    pub ways: Vec<Way>,
    /// Whether these are all.
    pub exactness: Exactness,
}

impl Serialize for Way {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("who", &self.who)?;
        map.serialize_entry("to", &self.to)?;
        map.serialize_entry("ports", &self.ports)?;
        map.serialize_entry("rule", &self.rule.path)?;
        map.serialize_entry("owner", &self.rule.owner)?;
        map.serialize_entry("expires", &self.rule.expires.map(|end| end.to_string()))?;
        map.serialize_entry("reason", self.reason.code())?;
        map.serialize_entry("data_classes", &self.data_classes)?;
        let names: Vec<&str> = self.hangs_on.iter().map(|attribute| attribute.row().name).collect();
        map.serialize_entry("hangs_on", &names)?;
        map.serialize_entry("witness", &self.witness)?;
        map.end()
    }
}

/// Who can reach this host, at this port or at any.
pub fn reach_to(side: &Side<'_>, host: &Host, port: Option<u16>) -> Reach {
    let class = HostClass { host: host.clone(), label: host.to_text().into() };
    let mut found = Found::default();
    found.host(side, &class, Asked { port, ..Asked::default() });
    found.finish()
}

/// What this identity can reach.
pub fn reach_from(side: &Side<'_>, identity: &str) -> Reach {
    let subject = side.set.registered(&Identity::named(identity));
    let mut places = Places::default();
    side.openings().filter(|rule| means(rule, identity, &subject)).for_each(|rule| places.rule(rule));
    let (classes, vague) = hosts::classes(&[side], &Focus::On(places), None);
    let mut found = Found::default();
    found.exactness.blur(vague);
    for class in &classes {
        found.host(side, class, Asked { identity: Some(identity), ..Asked::default() });
    }
    found.finish()
}

fn means(rule: &Rule, identity: &str, subject: &Subject) -> bool {
    match &rule.who {
        Who::Anyone => true,
        Who::Among(list) => list.iter().any(|selector| selector.matches(&Identity::named(identity), subject)),
    }
}

type Key = (Box<str>, Box<str>, Box<str>);

struct Found {
    ways: BTreeMap<Key, Way>,
    exactness: Exactness,
    budget: Budget,
}

impl Default for Found {
    fn default() -> Found {
        Found { ways: BTreeMap::new(), exactness: Exactness::default(), budget: Budget::new() }
    }
}

impl Found {
    fn host(&mut self, side: &Side<'_>, class: &HostClass, asked: Asked<'_>) {
        let candidates = [side.candidates(&class.host)];
        if !candidates.iter().any(|candidates| candidates.open()) {
            return;
        }
        let space = space(&[side], &candidates, &class.host, asked);
        self.exactness.blur(space.vague);
        let ways = &mut self.ways;
        // What the verdicts above hung on, until the walk comes to another connection.
        let mut waited = AttributeSet::EMPTY;
        walk(&[side], &class.host, &space, &mut self.budget, &mut |point| {
            if point.facts(0).is_some_and(|facts| facts.resolved.is_none()) {
                waited = AttributeSet::EMPTY;
            }
            match point.decide(0) {
                Some(Verdict::Allow(decision)) => {
                    add(ways, class, point, &decision, waited);
                    Flow::Settled
                }
                Some(Verdict::Pending(missing)) => {
                    waited = waited.union(missing);
                    Flow::Deeper
                }
                Some(Verdict::Deny(_)) | None => Flow::Settled,
            }
        });
    }

    fn finish(self) -> Reach {
        let Found { ways, mut exactness, budget } = self;
        exactness.cut_short |= budget.spent();
        Reach { ways: ways.into_values().collect(), exactness }
    }
}

fn add(ways: &mut BTreeMap<Key, Way>, class: &HostClass, point: &Point<'_>, decision: &Decision, waited: AttributeSet) {
    let (Some(rule), Some(facts)) = (&decision.rule, point.facts(0)) else { return };
    let key = (class.label.clone(), point.who.label.clone(), rule.path.clone());
    let way = ways.entry(key).or_insert_with(|| Way {
        who: point.who.label.clone(),
        to: class.label.clone(),
        rule: Arc::clone(rule),
        reason: decision.reason,
        ports: BTreeSet::new(),
        data_classes: BTreeSet::new(),
        hangs_on: AttributeSet::EMPTY,
        witness: Witness::of(facts),
    });
    way.ports.insert(facts.destination.port);
    let subject = &facts.subject;
    way.data_classes.insert(subject.declared.as_ref().unwrap_or(&subject.registered).to_vec());
    way.hangs_on = way.hangs_on.union(waited);
}
