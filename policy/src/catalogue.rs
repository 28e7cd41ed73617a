//! The catalogue of destinations: which tags a host has.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::document::catalogue::Tagged;
use crate::host::Host;
use crate::index::{Map, parents};
use crate::pattern::HostPattern;

/// Tags of a host, sorted, without repetition.
pub(crate) type Tags = Arc<[Box<str>]>;

#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    /// Exact hosts, with the tags that patterns add already in.
    exact: Map<Box<str>, Tags>,
    /// By apex.
    patterns: Map<Box<str>, Vec<Pattern>>,
    none: Tags,
}

#[derive(Debug, PartialEq)]
struct Pattern {
    hosts: HostPattern,
    tags: Vec<Box<str>>,
}

impl Catalogue {
    pub(crate) fn build(entries: Vec<Tagged>) -> Catalogue {
        let mut catalogue = Catalogue::default();
        let mut exact: Map<Box<str>, Vec<Box<str>>> = Map::default();
        for entry in entries {
            for host in entry.hosts {
                match host {
                    HostPattern::Exact(name) => exact.entry(name).or_default().extend(entry.tags.iter().cloned()),
                    HostPattern::Child(_) | HostPattern::Below(_) => {
                        let under = catalogue.patterns.entry(host.base().into()).or_default();
                        under.push(Pattern { hosts: host, tags: entry.tags.clone() });
                    }
                }
            }
        }
        for (name, mut tags) in exact {
            tags.extend(catalogue.by_pattern(&Host::Name(Arc::from(&*name))));
            catalogue.exact.insert(name, sorted(tags));
        }
        catalogue
    }

    /// Every tag that some host has.
    pub(crate) fn all_tags(&self) -> BTreeSet<Box<str>> {
        let of_patterns = self.patterns.values().flatten().flat_map(|pattern| &pattern.tags);
        self.exact.values().flat_map(|tags| tags.iter()).chain(of_patterns).cloned().collect()
    }

    pub(crate) fn tags(&self, host: &Host) -> Tags {
        let Some(name) = host.name() else { return self.none.clone() };
        if let Some(tags) = self.exact.get(name) {
            return tags.clone();
        }
        let found = self.by_pattern(host);
        if found.is_empty() { self.none.clone() } else { sorted(found) }
    }

    /// Every pattern and name that has tags.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = HostPattern> {
        let exact = self.exact.keys().map(|name| HostPattern::Exact(name.clone()));
        exact.chain(self.patterns.values().flatten().map(|pattern| pattern.hosts.clone()))
    }

    /// Whether the other one gives every host the same tags.
    pub(crate) fn same(&self, other: &Catalogue) -> bool {
        self.exact == other.exact && self.patterns == other.patterns
    }

    /// The names and patterns of which one of the two says something else than the other.
    pub(crate) fn differing(&self, other: &Catalogue) -> Vec<HostPattern> {
        let said = |catalogue: &Catalogue, host: &HostPattern| match host {
            HostPattern::Exact(name) => catalogue.exact.get(name).map(|tags| tags.to_vec()),
            HostPattern::Child(apex) | HostPattern::Below(apex) => {
                let under = catalogue.patterns.get(apex).into_iter().flatten();
                Some(under.filter(|pattern| pattern.hosts == *host).flat_map(|p| p.tags.iter().cloned()).collect())
            }
        };
        self.hosts().chain(other.hosts()).filter(|host| said(self, host) != said(other, host)).collect()
    }

    fn by_pattern(&self, host: &Host) -> Vec<Box<str>> {
        let Some(name) = host.name() else { return Vec::new() };
        let under = parents(name).filter_map(|parent| self.patterns.get(parent)).flatten();
        under.filter(|pattern| pattern.hosts.matches(host)).flat_map(|pattern| pattern.tags.iter().cloned()).collect()
    }
}

fn sorted(mut tags: Vec<Box<str>>) -> Tags {
    tags.sort_unstable();
    tags.dedup();
    tags.into()
}
