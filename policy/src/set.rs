//! `PolicySet`: one bundle, compiled. Everything that is asked of a policy is asked here.

use std::sync::Arc;

use jiff::Timestamp;

use crate::catalogue::Catalogue;
use crate::decision::{Breadth, Nearest, RuleInfo, Verdict};
use crate::document::rules::Enforcement;
use crate::facts::{Classes, Facts, Subject};
use crate::host::Host;
use crate::identity::Identity;
use crate::index::{Index, RuleId};
use crate::limits::Limits;
use crate::nearest::Neighbours;
use crate::registry::{ClassRefused, Registry};
use crate::rule::{Rule, Tier};
use crate::schema::{Attribute, AttributeSet};
use crate::trace::Trace;

/// A compiled bundle. It never changes; a new bundle is a new set.
#[derive(Debug)]
pub struct PolicySet {
    bundle: Box<str>,
    digest: Box<str>,
    /// Sorted by tier and path.
    rules: Vec<Rule>,
    enforced: Index,
    shadow: Index,
    neighbours: Neighbours,
    registry: Registry,
    catalogue: Catalogue,
    uses: AttributeSet,
    allows_use: AttributeSet,
    /// Ends of allows, sorted.
    ends: Vec<Timestamp>,
    limits: Limits,
}

impl PolicySet {
    /// Put a set together from rules that passed every check.
    pub(crate) fn new(
        names: (Box<str>, Box<str>),
        mut rules: Vec<Rule>,
        registry: Registry,
        catalogue: Catalogue,
        limits: Limits,
    ) -> PolicySet {
        rules.sort_by(|a, b| (a.tier, &a.info.path).cmp(&(b.tier, &b.info.path)));
        let of = |enforcement| {
            let ids = (0..).zip(&rules);
            Index::build(ids.filter(move |(_, rule)| rule.enforcement == enforcement))
        };
        let mut ends: Vec<Timestamp> = rules.iter().filter_map(|rule| rule.expires).collect();
        ends.sort_unstable();
        PolicySet {
            bundle: names.0,
            digest: names.1,
            enforced: of(Enforcement::Enforce),
            shadow: of(Enforcement::Shadow),
            neighbours: Neighbours::build(&rules),
            allows_use: {
                let allows = rules.iter().filter(|r| r.tier == Tier::Allow && r.enforcement == Enforcement::Enforce);
                allows.fold(AttributeSet::EMPTY, |all, rule| all.union(rule.uses()))
            },
            uses: rules.iter().fold(AttributeSet::EMPTY, |all, rule| all.union(rule.uses())),
            rules,
            registry,
            catalogue,
            ends,
            limits,
        }
    }

    /// The bundle's name.
    pub fn bundle(&self) -> &str {
        &self.bundle
    }

    /// `sha256:` and the digest of all files, names included, in lower-case hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// How many rules there are, those in shadow included.
    pub fn rules(&self) -> usize {
        self.rules.len()
    }

    /// Every allow that is enforced, by its path, and how broadly it names hosts.
    pub fn allows(&self) -> impl Iterator<Item = (&RuleInfo, Breadth)> {
        let enforced = |rule: &&Rule| rule.tier == Tier::Allow && rule.enforcement == Enforcement::Enforce;
        self.rules.iter().filter(enforced).map(|rule| (&*rule.info, rule.breadth()))
    }

    /// Whether any rule, those in shadow included, looks at this attribute.
    pub fn uses(&self, attribute: Attribute) -> bool {
        self.uses.contains(attribute)
    }

    /// Labels and data classes of an identity. `declared` is the raw value of its `Gatepass-Data-Class` field.
    ///
    /// # Errors
    ///
    /// When it declares what it may not.
    pub fn subject(&self, identity: &Identity, declared: Option<&[u8]>) -> Result<Subject, ClassRefused> {
        self.registry.subject(identity, declared)
    }

    /// Labels and data classes of an identity that declares nothing.
    pub fn registered(&self, identity: &Identity) -> Subject {
        self.registry.registered(identity)
    }

    /// A set of data classes by name, each of the catalogue; or the first that is not.
    pub fn classes<'n>(&self, names: &'n [String]) -> Result<Classes, &'n str> {
        match names.iter().find(|name| !self.registry.knows_class(name)) {
            Some(unknown) => Err(unknown),
            None => Ok(crate::registry::sorted(names.iter().map(|name| name.as_str().into()).collect())),
        }
    }

    /// Whether an enforced allow looks at this attribute.
    pub fn allows_use(&self, attribute: Attribute) -> bool {
        self.allows_use.contains(attribute)
    }

    /// The tags of a host in the catalogue, sorted.
    pub fn tags(&self, host: &Host) -> Arc<[Box<str>]> {
        self.catalogue.tags(host)
    }

    /// Decide on these facts. Allocates only to deny, or where a rule in shadow speaks.
    pub fn decide(&self, facts: &Facts) -> Verdict {
        crate::decide::decide(self, facts)
    }

    /// The allows that came nearest, at most `limit`.
    pub fn nearest(&self, facts: &Facts, limit: usize) -> Vec<Nearest> {
        crate::nearest::nearest(self, facts, limit)
    }

    /// What every candidate said.
    pub fn trace(&self, facts: &Facts) -> Trace {
        crate::trace::trace(self, facts)
    }

    /// The one expression of the rule at `path`.
    pub fn desugar(&self, path: &str) -> Option<String> {
        self.rules.iter().find(|rule| *rule.info.path == *path).map(crate::desugar::expression)
    }

    /// The first end of a permission after this moment: then decisions can change without a new bundle.
    pub fn next_expiry(&self, after: Timestamp) -> Option<Timestamp> {
        self.ends.get(self.ends.partition_point(|end| *end <= after)).copied()
    }

    /// How many permissions end after `now` and not after `end`.
    pub fn expiring(&self, now: Timestamp, end: Timestamp) -> usize {
        let up_to = |moment: Timestamp| self.ends.partition_point(|at| *at <= moment);
        up_to(end).saturating_sub(up_to(now))
    }

    pub(crate) fn rule(&self, id: RuleId) -> Option<&Rule> {
        self.rules.get(id as usize)
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn neighbours(&self) -> &Neighbours {
        &self.neighbours
    }

    pub(crate) fn visit_enforced(&self, facts: &Facts, each: impl FnMut(RuleId, &Rule)) {
        self.visit(&self.enforced, facts, each);
    }

    pub(crate) fn visit_shadow(&self, facts: &Facts, each: impl FnMut(RuleId, &Rule)) {
        self.visit(&self.shadow, facts, each);
    }

    fn visit(&self, index: &Index, facts: &Facts, mut each: impl FnMut(RuleId, &Rule)) {
        index.visit(facts, |id| {
            if let Some(rule) = self.rule(id) {
                each(id, rule);
            }
        });
    }

    /// The same set without an index: what the index is measured against.
    #[cfg(test)]
    pub(crate) fn without_index(mut self) -> PolicySet {
        let of = |enforcement| {
            let ids = (0..).zip(&self.rules).filter(move |(_, rule)| rule.enforcement == enforcement);
            Index::everything(ids.map(|(id, _)| id))
        };
        let (enforced, shadow) = (of(Enforcement::Enforce), of(Enforcement::Shadow));
        self.enforced = enforced;
        self.shadow = shadow;
        self
    }
}
