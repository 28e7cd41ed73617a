//! Identities that stand for all: one for each way of standing to the patterns, labels and classes that rules ask of.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;

use super::side::{Candidates, Side};
use super::values::{self, Cover};
use crate::document::rules::Trust;
use crate::expr::{Landmarks, Marks, Spot};
use crate::identity::{Certificate, Identity, Method};
use crate::pattern::IdentityPattern;
use crate::rule::{Rule, Selector, Tier, Who as Named};
use crate::schema::{Attribute, AttributeSet};

/// One identity, with the data classes that it declares.
#[derive(Clone, Debug)]
pub(super) struct Who {
    pub(super) identity: Identity,
    /// What it stands for: an id, or a pattern of ids.
    pub(super) label: Box<str>,
    /// The field with which it declares its classes, as a client would write it.
    pub(super) declared: Option<Vec<u8>>,
}

/// From how many patterns on their common parts are not all looked for.
const PATTERNS_MAX: usize = 400;
/// Of how many classes every subset is declared.
const DECLARED_MAX: usize = 6;
/// Stands for every segment that no rule writes out.
const FRESH: &str = "any";

/// What stands for the identities that no rule names.
const OTHERS: [&str; 4] = ["other SPIFFE IDs", "other DNS names", "other tokens", "other networks"];

/// The identities that tell apart all that `candidates` (of each side) and the landmarks distinguish.
pub(super) fn identities(
    sides: &[&Side<'_>],
    candidates: &[Candidates<'_>],
    landmarks: &Landmarks,
) -> (Vec<Who>, AttributeSet) {
    let rules = || candidates.iter().flat_map(Candidates::all);
    let mut kinds = Kinds::default();
    rules().for_each(|rule| kinds.rule(rule));
    kinds.marks(landmarks);
    if kinds.opens {
        kinds.registered(sides, landmarks);
    }
    kinds.close();
    let mut vague = kinds.vague;
    let ids = if kinds.opens {
        kinds.all_ids(sides, landmarks)
    } else {
        kinds.exact.iter().map(|id| (id.clone(), id.clone())).collect()
    };
    let mut found = Vec::new();
    for (id, label) in ids {
        for identity in certified(&id, landmarks, sides) {
            declared(identity, &label, sides, rules(), landmarks, &mut vague, &mut found);
        }
    }
    (found, vague)
}

/// One given identity, with everything that it may declare.
pub(super) fn only(
    id: &str,
    sides: &[&Side<'_>],
    candidates: &[Candidates<'_>],
    landmarks: &Landmarks,
) -> (Vec<Who>, AttributeSet) {
    let (mut found, mut vague) = (Vec::new(), AttributeSet::EMPTY);
    for identity in certified(id, landmarks, sides) {
        let rules = candidates.iter().flat_map(Candidates::all);
        declared(identity, id, sides, rules, landmarks, &mut vague, &mut found);
    }
    (found, vague)
}

/// What rules say of identities.
#[derive(Default)]
struct Kinds {
    exact: BTreeSet<String>,
    patterns: BTreeMap<String, IdentityPattern>,
    /// Labels that are asked for, with the values that they are compared with.
    labels: BTreeMap<Box<str>, BTreeSet<Box<str>>>,
    /// Whether an allow means identities that it does not list.
    opens: bool,
    vague: AttributeSet,
}

impl Kinds {
    fn rule(&mut self, rule: &Rule) {
        // Where every allow lists its identities, only those can be allowed, whoever is denied beside them.
        let opens = rule.tier == Tier::Allow
            && match &rule.who {
                Named::Anyone => true,
                Named::Among(_) => rule.exact_ids().is_none(),
            };
        self.opens |= opens;
        if let Named::Among(list) = &rule.who {
            list.iter().for_each(|selector| self.selector(selector));
        }
    }

    fn selector(&mut self, selector: &Selector) {
        let scope = selector.scope.iter().flat_map(|scope| scope.iter());
        for pattern in selector.id.iter().chain(&selector.spiffe_id).chain(scope) {
            self.pattern(pattern);
        }
        for (key, value) in &selector.labels {
            self.labels.entry(key.clone()).or_default().insert(value.clone());
        }
    }

    fn pattern(&mut self, pattern: &IdentityPattern) {
        match pattern.exact() {
            Some(id) => {
                self.exact.insert(id.to_owned());
            }
            None => {
                self.patterns.insert(pattern.to_string(), pattern.clone());
            }
        }
    }

    /// What conditions say of ids and labels.
    fn marks(&mut self, landmarks: &Landmarks) {
        for attribute in [Attribute::IdentityId, Attribute::IdentitySpiffeId] {
            self.text(attribute, &landmarks.of(attribute));
        }
        let domains = landmarks.of(Attribute::IdentityTrustDomain);
        if !(domains.starts.is_empty() && domains.ends.is_empty() && domains.parts.is_empty()) {
            self.blur(Attribute::IdentityTrustDomain);
        }
        for domain in domains.equal {
            self.parsed(&format!("spiffe://{domain}/**"));
        }
        for key in landmarks.keys(Attribute::IdentityLabels) {
            let spot = Spot::Key(Attribute::IdentityLabels, key.into());
            let marks = landmarks.at(&spot).cloned().unwrap_or_default();
            if !(marks.starts.is_empty() && marks.ends.is_empty() && marks.parts.is_empty()) {
                self.blur(Attribute::IdentityLabels);
            }
            self.labels.entry(key.into()).or_default().extend(marks.equal);
        }
    }

    fn text(&mut self, attribute: Attribute, marks: &Marks) {
        for id in &marks.equal {
            self.parsed(id);
        }
        for start in &marks.starts {
            // Up to a segment's end it is a pattern; within a segment, one of those that begin so.
            match start.strip_suffix('/') {
                Some(whole) => self.parsed(&format!("{whole}/**")),
                None if start.ends_with(':') => self.parsed(&format!("{start}*")),
                None => {
                    self.blur(attribute);
                    self.parsed(&format!("{start}{FRESH}"));
                    self.parsed(&format!("{start}{FRESH}/**"));
                }
            }
        }
        if !marks.ends.is_empty() || !marks.parts.is_empty() {
            self.blur(attribute);
        }
    }

    fn parsed(&mut self, text: &str) {
        if let Ok(pattern) = IdentityPattern::parse(text) {
            match pattern.exact() {
                Some(id) => {
                    self.exact.insert(id.to_owned());
                }
                None => {
                    self.patterns.insert(pattern.to_string(), pattern);
                }
            }
        }
    }

    fn blur(&mut self, attribute: Attribute) {
        self.vague = self.vague.union(AttributeSet::one(attribute));
    }

    /// Patterns of the registry, as they are and with the labels that are asked for.
    fn registered(&mut self, sides: &[&Side<'_>], landmarks: &Landmarks) {
        if landmarks.vague.contains(Attribute::IdentityLabels) {
            self.blur(Attribute::IdentityLabels);
        }
        let mut more = Vec::new();
        for (pattern, labels) in sides.iter().flat_map(|side| side.set.registry().patterns()) {
            more.push(pattern.clone());
            let mut filled = vec![pattern.clone()];
            for (key, values) in &self.labels {
                let Some(template) = labels.get(key) else { continue };
                let Some((before, name, after)) = capture(template) else { continue };
                if after.contains('{') {
                    self.vague = self.vague.union(AttributeSet::one(Attribute::IdentityLabels));
                }
                for value in values {
                    let inner = value.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
                    let Some(inner) = inner else { continue };
                    let next: Vec<IdentityPattern> = filled.iter().filter_map(|p| p.filled(name, inner)).collect();
                    filled.extend(next);
                }
            }
            more.extend(filled.into_iter().skip(1));
        }
        for pattern in more {
            self.pattern(&pattern);
        }
    }

    /// Take in what any two patterns have in common, until that is all.
    fn close(&mut self) {
        let mut all: Vec<IdentityPattern> = self.patterns.values().cloned().collect();
        let mut at = 0;
        while let Some(one) = all.get(at).cloned() {
            if all.len() > PATTERNS_MAX {
                return self.blur(Attribute::IdentityId);
            }
            let met: Vec<IdentityPattern> = all.iter().take(at).filter_map(|other| one.meet(other)).collect();
            for pattern in met {
                let text = pattern.to_string();
                match pattern.exact() {
                    Some(id) => {
                        self.exact.insert(id.to_owned());
                    }
                    None if !self.patterns.contains_key(&text) => {
                        self.patterns.insert(text, pattern.clone());
                        all.push(pattern);
                    }
                    None => {}
                }
            }
            at += 1;
        }
    }

    /// An id for each kind, with what it stands for.
    fn all_ids(&self, sides: &[&Side<'_>], landmarks: &Landmarks) -> Vec<(String, String)> {
        let mut ids: Vec<(String, String)> = self.exact.iter().map(|id| (id.clone(), id.clone())).collect();
        let fresh = self.fresh();
        for (text, pattern) in &self.patterns {
            ids.push((self.instance(pattern, &fresh), text.clone()));
        }
        let [spiffe, dns, token, network] = OTHERS;
        ids.push((format!("spiffe://{fresh}.invalid/{fresh}"), spiffe.to_owned()));
        ids.push((format!("dns:{fresh}.invalid"), dns.to_owned()));
        ids.push((format!("token:{fresh}"), token.to_owned()));
        ids.push((format!("network:{fresh}"), network.to_owned()));
        ids.push((crate::identity::ANONYMOUS.to_owned(), crate::identity::ANONYMOUS.to_owned()));
        self.registered_ids(sides, landmarks, &mut ids);
        ids
    }

    /// Of the identities that are registered by their ids, one of each kind.
    fn registered_ids(&self, sides: &[&Side<'_>], landmarks: &Landmarks, ids: &mut Vec<(String, String)>) {
        let all_labels = landmarks.vague.contains(Attribute::IdentityLabels);
        let mut seen = HashMap::new();
        for id in sides.iter().flat_map(|side| side.set.registry().exact_ids()) {
            if self.exact.contains(id) {
                continue;
            }
            let identity = Identity::named(id);
            let kind: Vec<_> = sides
                .iter()
                .map(|side| {
                    let subject = side.set.registered(&identity);
                    let labels: Vec<Option<Box<str>>> = match all_labels {
                        true => subject.labels.iter().flat_map(|(k, v)| [Some(k.clone()), Some(v.clone())]).collect(),
                        false => self
                            .labels
                            .iter()
                            .map(|(key, wanted)| told(subject.labels.get(key).map(|value| &**value), wanted))
                            .collect(),
                    };
                    (labels, subject.registered, side.set.registry().may_declare(&identity))
                })
                .collect();
            let meant: Vec<bool> = self.patterns.values().map(|pattern| pattern.matches(id)).collect();
            seen.entry((kind, meant, identity.method() == Method::Mtls)).or_insert_with(|| {
                ids.push((id.to_owned(), id.to_owned()));
            });
        }
    }

    /// A segment that nothing writes out.
    fn fresh(&self) -> String {
        let written = |text: &str| {
            let literals = self.patterns.values().flat_map(IdentityPattern::literals);
            literals.into_iter().any(|literal| literal == text) || self.exact.iter().any(|id| id.ends_with(text))
        };
        let numbered = (0..).map(|n| if n == 0 { FRESH.to_owned() } else { format!("{FRESH}-{n}") });
        numbered.take(1_000).find(|text| !written(text)).unwrap_or_else(|| FRESH.to_owned())
    }

    /// An id that this pattern means, and no other pattern that does not mean all of it.
    fn instance(&self, pattern: &IdentityPattern, fresh: &str) -> String {
        let deepest = self.patterns.values().map(IdentityPattern::depth).max().unwrap_or(0);
        let alone = |id: &String| self.patterns.values().all(|other| other.contains(pattern) || !other.matches(id));
        let mut tried = (1..=deepest + 1).map(|rest| pattern.instance(fresh, rest));
        tried.find(alone).unwrap_or_else(|| pattern.instance(fresh, 1))
    }
}

/// A label's value as far as rules can tell it from others.
fn told(value: Option<&str>, wanted: &BTreeSet<Box<str>>) -> Option<Box<str>> {
    value.map(|value| if wanted.contains(value) { value.into() } else { "".into() })
}

/// `before{name}after` of a template with one capture.
fn capture(template: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = template.split_once('{')?;
    let (name, after) = rest.split_once('}')?;
    Some((before, name, after))
}

/// The identity as it comes with certificates, where rules ask about them.
fn certified(id: &str, landmarks: &Landmarks, sides: &[&Side<'_>]) -> Vec<Identity> {
    let plain = Identity::named(id);
    let asked = landmarks.uses.contains(Attribute::IdentityCertSha256)
        || landmarks.uses.contains(Attribute::IdentityCertExpires);
    if !asked || plain.method() != Method::Mtls {
        return vec![plain];
    }
    let hashes = values::texts(&landmarks.of(Attribute::IdentityCertSha256), "0000").0;
    let mut ends: BTreeSet<Timestamp> = BTreeSet::new();
    for side in sides {
        ends.extend(values::moments(&landmarks.of(Attribute::IdentityCertExpires), Some(side.now)));
    }
    let made = hashes.iter().flat_map(|hash| ends.iter().map(move |end| (hash, *end)));
    made.map(|(hash, expires)| Identity::mtls(id, Certificate { sha256: hash.as_str().into(), expires })).collect()
}

/// The identity with each set of classes that it may declare, where that can matter.
fn declared<'r>(
    identity: Identity,
    label: &str,
    sides: &[&Side<'_>],
    rules: impl Iterator<Item = &'r Rule>,
    landmarks: &Landmarks,
    vague: &mut AttributeSet,
    found: &mut Vec<Who>,
) {
    found.push(Who { identity: identity.clone(), label: label.into(), declared: None });
    let mut rules = rules;
    let matters =
        rules.any(|rule| rule.trust == Trust::Declared) || landmarks.uses.contains(Attribute::DataClassesFrom);
    if !matters {
        return;
    }
    let may: BTreeSet<Box<str>> =
        sides.iter().flat_map(|side| side.set.registry().may_declare(&identity).to_vec()).collect();
    let may: Vec<Box<str>> = may.into_iter().collect();
    let (sets, cover) = values::subsets(&may);
    if cover == Cover::Some || may.len() > DECLARED_MAX {
        *vague = vague.union(AttributeSet::one(Attribute::DataClasses));
    }
    for set in sets.into_iter().filter(|set| !set.is_empty()) {
        let field = set.join(",").into_bytes();
        found.push(Who { identity: identity.clone(), label: label.into(), declared: Some(field) });
    }
}
