//! Hosts that stand for all: one for each way of standing to the patterns and networks that rules name.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::answers;
use super::side::Side;
use crate::expr::{Expr, HostKey, Landmarks};
use crate::host::Host;
use crate::index::parents;
use crate::pattern::HostPattern;
use crate::rule::Rule;
use crate::schema::{Attribute, AttributeSet};

/// One host, and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct HostClass {
    pub(super) host: Host,
    /// A host, a pattern or a network.
    pub(super) label: Box<str>,
}

/// Which hosts are asked about.
pub(super) enum Focus {
    /// All that anything opens.
    All,
    /// Those that these mean.
    On(Places),
}

/// Hosts and networks.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    pub(super) patterns: BTreeSet<HostPattern>,
    /// Of destinations that are IP literals.
    pub(super) networks: BTreeSet<IpNet>,
    /// Whether there is something that names no place.
    pub(super) anywhere: bool,
}

/// Stands for every label that no rule writes out.
const FRESH: &str = "any";

impl Places {
    /// Take in where a rule can hold.
    pub(super) fn rule(&mut self, rule: &Rule) {
        match (rule.hosts.is_empty(), rule.networks.is_empty()) {
            (false, _) => self.patterns.extend(rule.hosts.iter().cloned()),
            (true, false) => self.networks.extend(rule.networks.iter().copied()),
            (true, true) => match rule.when.as_ref().and_then(Expr::host_keys) {
                Some(keys) => self.keys(&keys),
                None => self.anywhere = true,
            },
        }
    }

    /// Take in hosts outside of which a condition is false.
    pub(super) fn keys(&mut self, keys: &[HostKey]) {
        for key in keys {
            match key {
                HostKey::Exact(text) => match text.parse::<IpAddr>() {
                    Ok(ip) => {
                        self.networks.insert(IpNet::from(ip));
                    }
                    Err(_) => {
                        self.patterns.insert(HostPattern::Exact(text.as_str().into()));
                    }
                },
                HostKey::Within(apex) => {
                    self.patterns.insert(HostPattern::Exact(apex.as_str().into()));
                    self.patterns.insert(HostPattern::Below(apex.as_str().into()));
                }
            }
        }
    }
}

/// The classes of hosts to ask about, and what of hosts a few of them cannot stand for.
pub(super) fn classes(sides: &[&Side<'_>], focus: &Focus, condition: Option<&Expr>) -> (Vec<HostClass>, AttributeSet) {
    let limits = match focus {
        Focus::On(places) if !places.anywhere => Some(Limits::of(places)),
        Focus::On(_) | Focus::All => None,
    };
    let mut all = Places::default();
    let mut landmarks = Landmarks::default();
    condition.into_iter().for_each(|condition| landmarks.add(condition));
    for side in sides {
        side.mode_condition().into_iter().for_each(|condition| landmarks.add(condition));
        for rule in side.set.enforced().map(|(_, rule)| rule).chain(side.exceptions()) {
            // Of a hundred thousand rules few lie inside what is asked about.
            if limits.as_ref().is_none_or(|limits| limits.touch(rule)) {
                all.rule(rule);
                rule.when.iter().filter(|when| asks_of_host(when)).for_each(|when| landmarks.add(when));
            }
        }
    }
    if landmarks.uses.contains(Attribute::DestinationTags) {
        all.patterns.extend(sides.iter().flat_map(|side| side.set.catalogue().hosts()));
    }
    let marks = landmarks.of(Attribute::DestinationHost);
    let texts = marks.equal.iter().map(|text| HostKey::Exact(text.to_string()));
    let ends = marks.ends.iter().filter_map(|end| end.strip_prefix('.')).map(|apex| HostKey::Within(apex.to_owned()));
    let domains = landmarks.of(Attribute::DestinationRegisteredDomain).equal;
    let domains = domains.iter().map(|domain| HostKey::Within(domain.to_string()));
    all.keys(&texts.chain(ends).chain(domains).collect::<Vec<_>>());
    let vague = vague(&landmarks);
    let places = match (focus, &limits) {
        (Focus::On(places), Some(limits)) => limits.within(places, &all),
        (Focus::All | Focus::On(_), _) => all,
    };
    (instances(&places, marks.starts.iter().map(|start| &**start)), vague)
}

/// What of hosts the classes cannot stand for: texts that are looked into, and comparisons with what is not about hosts.
fn vague(landmarks: &Landmarks) -> AttributeSet {
    let mut vague = AttributeSet::EMPTY;
    for attribute in OF_A_HOST {
        let marks = landmarks.of(attribute);
        let whole = attribute == Attribute::DestinationHost;
        // Names end at label boundaries, or the bundle does not load.
        let inside = !marks.parts.is_empty() || !marks.starts.is_empty() || (!whole && !marks.ends.is_empty());
        if landmarks.vague.contains(attribute) || inside {
            vague = vague.union(AttributeSet::one(attribute));
        }
    }
    // Names in a hello and in a certificate are tried with the host itself.
    let tried = [Attribute::TlsSni, Attribute::UpstreamDnsSans];
    for (one, other) in landmarks.pairs().flat_map(|(a, b)| [(a, b), (b, a)]) {
        if OF_A_HOST.contains(&one) && !(one == Attribute::DestinationHost && tried.contains(&other)) {
            vague = vague.union(AttributeSet::one(one)).union(AttributeSet::one(other));
        }
    }
    vague
}

const OF_A_HOST: [Attribute; 3] =
    [Attribute::DestinationHost, Attribute::DestinationRegisteredDomain, Attribute::DestinationTags];

fn asks_of_host(when: &Expr) -> bool {
    OF_A_HOST.into_iter().any(|attribute| when.uses().contains(attribute))
}

/// What patterns and networks may lie inside what is asked about.
struct Limits<'p> {
    /// Apexes below which everything is asked about.
    open: HashSet<&'p str>,
    networks: Vec<IpNet>,
}

impl<'p> Limits<'p> {
    fn of(places: &'p Places) -> Limits<'p> {
        let apex = |pattern: &'p HostPattern| match pattern {
            HostPattern::Exact(_) => None,
            HostPattern::Child(apex) | HostPattern::Below(apex) => Some(&**apex),
        };
        let open = places.patterns.iter().filter_map(apex).collect();
        Limits { open, networks: places.networks.iter().copied().collect() }
    }

    /// Whether anything that a rule names lies inside.
    fn touch(&self, rule: &Rule) -> bool {
        match (rule.hosts.is_empty(), rule.networks.is_empty()) {
            (false, _) => {
                rule.when.as_ref().is_some_and(asks_of_host) || rule.hosts.iter().any(|host| self.inside(host))
            }
            (true, false) => rule.networks.iter().any(|network| self.holds(network)),
            (true, true) => true,
        }
    }

    fn inside(&self, pattern: &HostPattern) -> bool {
        let base = pattern.base();
        !self.open.is_empty() && (self.open.contains(base) || parents(base).any(|parent| self.open.contains(parent)))
    }

    fn holds(&self, network: &IpNet) -> bool {
        self.networks.iter().any(|place| place.contains(network))
    }

    /// What is asked about, and everything inside it.
    fn within(&self, places: &Places, all: &Places) -> Places {
        let mut found = places.clone();
        found.patterns.extend(all.patterns.iter().filter(|pattern| self.inside(pattern)).cloned());
        found.networks.extend(all.networks.iter().filter(|network| self.holds(network)).copied());
        found
    }
}

/// A host for each pattern, one more where it reaches deeper, and one for each part of the networks.
fn instances<'m>(places: &Places, starts: impl Iterator<Item = &'m str>) -> Vec<HostClass> {
    let mut found: BTreeMap<Host, Box<str>> = BTreeMap::new();
    let mut add = |text: &str, label: &str| {
        if let Ok(host) = Host::parse(text.as_bytes()) {
            found.entry(host).or_insert_with(|| label.into());
        }
    };
    let free = &*fresh(places);
    let starts: Vec<&str> = starts.collect();
    for pattern in &places.patterns {
        let label = pattern.to_string();
        match pattern {
            HostPattern::Exact(name) => add(name, &label),
            HostPattern::Child(apex) => add(&format!("{free}.{apex}"), &label),
            HostPattern::Below(apex) => {
                add(&format!("{free}.{apex}"), &label);
                add(&format!("{free}.{free}.{apex}"), &label);
            }
        }
        if !matches!(pattern, HostPattern::Exact(_)) {
            for start in &starts {
                add(&format!("{start}{}", pattern.base()), &label);
                add(&format!("{start}{free}.{}", pattern.base()), &label);
            }
        }
    }
    for ip in if places.networks.is_empty() { Vec::new() } else { answers::points(&places.networks) } {
        let network = places.networks.iter().filter(|network| network.contains(&ip)).max_by_key(|n| n.prefix_len());
        if let Some(network) = network {
            found.entry(Host::Ip(ip)).or_insert_with(|| network.to_string().into());
        }
    }
    found.into_iter().map(|(host, label)| HostClass { host, label }).collect()
}

/// A label that stands in no name and no pattern.
fn fresh(places: &Places) -> String {
    let written: HashSet<&str> = places.patterns.iter().flat_map(|pattern| pattern.base().split('.')).collect();
    let numbered = (0..=written.len()).map(|n| if n == 0 { FRESH.to_owned() } else { format!("{FRESH}-{n}") });
    let mut free = numbered.filter(|label| !written.contains(&**label));
    free.next().unwrap_or_else(|| FRESH.to_owned())
}
