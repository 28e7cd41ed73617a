//! `PolicySet`: one bundle, compiled. Everything that is asked of a policy is asked here.

use std::sync::{Arc, LazyLock};

use jiff::Timestamp;

use crate::catalogue::Catalogue;
use crate::decision::{Breadth, Factors, Nearest, RuleInfo, Verdict};
use crate::document::bundle::Scope;
use crate::document::rules::Enforcement;
use crate::facts::{Classes, Facts, Subject};
use crate::host::Host;
use crate::identity::Identity;
use crate::index::{Index, RuleId};
use crate::limits::Limits;
use crate::nearest::Neighbours;
use crate::overrides::{Dormant, ModeRule, NORMAL, Override, Overrides};
use crate::registry::{ClassRefused, Registry};
use crate::rule::{Rule, Tier};
use crate::schema::{Attribute, AttributeSet};
use crate::terms::{Ceilings, Terms};
use crate::trace::Trace;

/// What `decide` lays over a policy: nothing.
static NONE: LazyLock<Overrides> = LazyLock::new(Overrides::none);

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
    terms: Terms,
    /// Those of the bundle's own files.
    exceptions: Vec<Override>,
    /// Laid over it when nothing else is.
    plain: Option<Arc<Overrides>>,
    uses: AttributeSet,
    allows_use: AttributeSet,
    /// Ends of allows, sorted.
    ends: Vec<Timestamp>,
    /// Reviews of denies that are enforced, the earliest first.
    reviews: Vec<(Timestamp, RuleId)>,
    limits: Limits,
}

impl PolicySet {
    /// Put a set together from rules that passed every check.
    pub(crate) fn new(
        names: (Box<str>, Box<str>),
        mut rules: Vec<Rule>,
        registry: Registry,
        catalogue: Catalogue,
        terms: Terms,
        limits: Limits,
    ) -> PolicySet {
        rules.sort_by(|a, b| (a.tier, &a.info.path).cmp(&(b.tier, &b.info.path)));
        let of = |enforcement| {
            let ids = (0..).zip(&rules);
            Index::build(ids.filter(move |(_, rule)| rule.enforcement == enforcement))
        };
        let mut ends: Vec<Timestamp> = rules.iter().filter_map(|rule| rule.expires).collect();
        ends.sort_unstable();
        let enforced = (0..).zip(&rules).filter(|(_, rule)| rule.enforcement == Enforcement::Enforce);
        let mut reviews: Vec<(Timestamp, RuleId)> =
            enforced.filter_map(|(id, rule)| Some((rule.review_by?, id))).collect();
        reviews.sort_unstable();
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
            uses: {
                let modes = terms.modes.values().map(|mode| mode.uses());
                rules.iter().map(Rule::uses).chain(modes).fold(AttributeSet::EMPTY, AttributeSet::union)
            },
            rules,
            registry,
            catalogue,
            terms,
            exceptions: Vec::new(),
            plain: None,
            ends,
            reviews,
            limits,
        }
    }

    /// With exceptions of its own.
    pub(crate) fn with_exceptions(mut self, exceptions: Vec<Override>) -> PolicySet {
        self.exceptions = exceptions;
        self.plain = (!self.exceptions.is_empty()).then(|| Arc::new(self.lay(NORMAL, &[]).0));
        self
    }

    pub(crate) fn exceptions(&self) -> &[Override] {
        &self.exceptions
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

    /// Who answers for the rule or exception at this path.
    pub fn owner_of(&self, path: &str) -> Option<&str> {
        let exceptions = self.exceptions.iter().map(|exception| &**exception.info());
        let mut all = self.rules.iter().map(|rule| &*rule.info).chain(exceptions);
        all.find(|info| *info.path == *path).map(|info| &*info.owner)
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

    /// Decide on these facts, with nothing laid over the policy but its own exceptions. Allocates only to deny, or where a rule in shadow speaks.
    pub fn decide(&self, facts: &Facts) -> Verdict {
        crate::decide::decide(self, facts, self.plain.as_deref().unwrap_or(&NONE))
    }

    /// Decide on these facts under `overrides`, which were laid over this very set.
    pub fn decide_under(&self, facts: &Facts, overrides: &Overrides) -> Verdict {
        crate::decide::decide(self, facts, overrides)
    }

    /// Lay overrides over this policy, and tell which of them it does not take. A mode that it does not have denies
    /// everything but what is granted.
    pub fn lay(&self, mode: &str, overrides: &[Override]) -> (Overrides, Vec<Dormant>) {
        crate::overrides::lay(self, mode, overrides)
    }

    /// The containment modes, `normal` first, then by name.
    pub fn modes(&self) -> Vec<&str> {
        let mut modes: Vec<&str> = self.terms.modes.keys().map(|name| &**name).collect();
        modes.sort_unstable();
        modes.insert(0, NORMAL);
        modes
    }

    /// Whether nothing but grants goes in this mode. `false` for one that the policy does not have.
    pub fn forbids_all(&self, mode: &str) -> bool {
        self.mode(mode).is_some_and(|mode| mode.forbids_all())
    }

    /// How long overrides may live.
    pub fn ceilings(&self) -> Ceilings {
        self.terms.ceilings
    }

    /// What a grant for data of these classes needs beside its operator's certificate.
    pub fn factors(&self, data_classes: &[String]) -> Factors {
        let named = data_classes.iter().filter_map(|class| self.terms.by_class.get(class.as_str()));
        named.fold(self.terms.second_factor, |all, factors| all.and(*factors))
    }

    /// The operators who approve grants; `None`: all with the role.
    pub fn grant_approvers(&self) -> Option<&[Box<str>]> {
        self.terms.grant_approvers.as_deref()
    }

    /// The operators who approve exceptions, for one that permits inside `fragment`; `None`: all with the role.
    pub fn exception_approvers(&self, fragment: Option<&str>) -> Option<&[Box<str>]> {
        let own = fragment.and_then(|fragment| self.terms.fragment_approvers.get(fragment));
        own.or(self.terms.exception_approvers.as_ref()).map(Vec::as_slice)
    }

    /// The fragments of the bundle, by name.
    pub fn fragments(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.terms.scopes.keys().map(|name| &**name).collect();
        names.sort_unstable();
        names
    }

    pub(crate) fn mode(&self, name: &str) -> Option<Arc<ModeRule>> {
        self.terms.modes.get(name).map(Arc::clone)
    }

    /// What stands in for a mode that is not there: it forbids everything.
    pub(crate) fn unknown_mode(&self, name: &str) -> Arc<ModeRule> {
        Arc::new(ModeRule::new(name, &self.terms.owner, None))
    }

    pub(crate) fn scope(&self, fragment: &str) -> Option<&Scope> {
        self.terms.scopes.get(fragment)
    }

    pub(crate) fn knows_class(&self, name: &str) -> bool {
        self.registry.knows_class(name)
    }

    pub(crate) fn class_names(&self) -> impl Iterator<Item = &str> {
        self.registry.class_names()
    }

    /// The enforced or shadowed rule at this path.
    pub(crate) fn rule_at(&self, path: &str) -> Option<(RuleId, &Rule)> {
        [Tier::Guardrail, Tier::TeamDeny, Tier::Allow].into_iter().find_map(|tier| {
            let at = self.rules.binary_search_by(|rule| (rule.tier, &*rule.info.path).cmp(&(tier, path))).ok()?;
            Some((RuleId::try_from(at).ok()?, self.rules.get(at)?))
        })
    }

    /// All rules, by tier and path.
    pub(crate) fn all_rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The first id that no rule has.
    pub(crate) fn first_free(&self) -> RuleId {
        RuleId::try_from(self.rules.len()).unwrap_or(RuleId::MAX)
    }

    /// The allows that came nearest, at most `limit`.
    pub fn nearest(&self, facts: &Facts, limit: usize) -> Vec<Nearest> {
        crate::nearest::nearest(self, facts, limit)
    }

    /// What every candidate said, with nothing laid over the policy but its own exceptions.
    pub fn trace(&self, facts: &Facts) -> Trace {
        self.trace_under(facts, self.plain.as_deref().unwrap_or(&NONE))
    }

    /// What every candidate said under `overrides`, which were laid over this very set.
    pub fn trace_under(&self, facts: &Facts, overrides: &Overrides) -> Trace {
        crate::trace::trace(self, facts, overrides)
    }

    /// The one expression of the rule at `path`.
    pub fn desugar(&self, path: &str) -> Option<String> {
        self.rule_at(path).map(|(_, rule)| crate::desugar::expression(rule))
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

    /// The denies whose review is overdue, the longest first, and since when. They are in force all the same.
    pub fn overdue(&self, now: Timestamp) -> impl Iterator<Item = (Timestamp, &RuleInfo)> {
        let up_to = self.reviews.partition_point(|(review, _)| *review <= now);
        let overdue = self.reviews.get(..up_to).unwrap_or_default();
        overdue.iter().filter_map(|(review, id)| Some((*review, &*self.rule(*id)?.info)))
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

    /// Whether any rule is in shadow.
    pub(crate) fn has_shadow(&self) -> bool {
        !self.shadow.is_empty()
    }

    pub(crate) fn visit_shadow(&self, facts: &Facts, each: impl FnMut(RuleId, &Rule)) {
        self.visit(&self.shadow, facts, each);
    }

    /// The enforced rules that may hold for this host, whoever asks, by their ids.
    pub(crate) fn rules_at(&self, host: &Host) -> Vec<(RuleId, &Rule)> {
        let mut ids = Vec::new();
        self.enforced.visit_host(host, |id| ids.push(id));
        ids.sort_unstable();
        ids.dedup();
        ids.into_iter().filter_map(|id| Some((id, self.rule(id)?))).collect()
    }

    /// Every rule, by tier and path.
    pub(crate) fn all(&self) -> impl Iterator<Item = (RuleId, &Rule)> + Clone {
        (0..).zip(&self.rules)
    }

    /// Every rule that is enforced, by tier and path.
    pub(crate) fn enforced(&self) -> impl Iterator<Item = (RuleId, &Rule)> {
        self.all().filter(|(_, rule)| rule.enforcement == Enforcement::Enforce)
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(crate) fn catalogue(&self) -> &Catalogue {
        &self.catalogue
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
