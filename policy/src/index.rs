//! Which rules can hold for a destination, without walking all of them.
//!
//! A rule stands under every host name, apex or network outside of which it cannot hold; a rule without such a key is
//! in every answer. Where many rules share one key, those that name their identities stand under the identity too, so
//! that a thousand workloads with a rule each for one host cost each of them one rule. What the index hands out is
//! always judged in full: it may name too many rules, never too few.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::expr::{Expr, HostKey};
use crate::facts::Facts;
use crate::host::Host;
use crate::pattern::HostPattern;
use crate::rule::Rule;

/// Position of a rule in its set: smaller means a stronger tier, then a smaller path.
pub(crate) type RuleId = u32;

pub(crate) type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

#[derive(Debug, Default)]
pub(crate) struct Index {
    /// By the very name.
    names: Map<Box<str>, Bucket>,
    /// By a name that the host lies below.
    apexes: Map<Box<str>, Bucket>,
    /// Numbers of labels that occur in `apexes`, one bit each: a name has at most 127 (RFC 1035 section 2.3.4).
    depths: u128,
    networks: Map<IpNet, Bucket>,
    /// Prefix lengths that occur in `networks`.
    lengths: Vec<u8>,
    global: Bucket,
}

#[derive(Debug, Default)]
struct Bucket {
    rules: Vec<RuleId>,
    by_identity: Option<Box<Map<Box<str>, Vec<RuleId>>>>,
}

/// From how many rules on a bucket is split by identity: judging that many costs about as much as one more look-up.
const SPLIT: usize = 8;

/// Where a rule stands.
pub(crate) enum Keys {
    /// Under no key.
    Global,
    Under(Vec<Key>),
}

pub(crate) enum Key {
    Exact(Box<str>),
    Below(Box<str>),
    Network(IpNet),
}

/// The keys outside of which the rule cannot hold.
pub(crate) fn keys(rule: &Rule) -> Keys {
    if !rule.hosts.is_empty() {
        let under = rule.hosts.iter().map(|pattern| match pattern {
            HostPattern::Exact(name) => Key::Exact(name.clone()),
            HostPattern::Child(apex) | HostPattern::Below(apex) => Key::Below(apex.clone()),
        });
        return Keys::Under(under.collect());
    }
    if !rule.networks.is_empty() {
        return Keys::Under(rule.networks.iter().copied().map(Key::Network).collect());
    }
    let Some(hosts) = rule.when.as_ref().and_then(Expr::host_keys) else { return Keys::Global };
    let mut under = Vec::new();
    for key in hosts {
        match key {
            HostKey::Exact(text) => match text.parse::<IpAddr>() {
                Ok(ip) => under.push(Key::Network(IpNet::from(ip))),
                Err(_) => under.push(Key::Exact(text.into())),
            },
            HostKey::Within(apex) => {
                under.push(Key::Exact(apex.clone().into()));
                under.push(Key::Below(apex.into()));
            }
        }
    }
    Keys::Under(under)
}

impl Index {
    /// Index those rules, given with their ids.
    pub(crate) fn build<'r>(rules: impl Iterator<Item = (RuleId, &'r Rule)> + Clone) -> Index {
        let mut index = Index::default();
        for (id, rule) in rules.clone() {
            match keys(rule) {
                Keys::Global => index.global.rules.push(id),
                Keys::Under(keys) => keys.into_iter().for_each(|key| index.bucket(key).push(id)),
            }
        }
        let ids: Map<RuleId, &Rule> = rules.collect();
        let named = index.names.values_mut().chain(index.apexes.values_mut());
        named.chain(index.networks.values_mut()).for_each(|bucket| bucket.split(&ids));
        index.global.split(&ids);
        index.depths = index.apexes.keys().fold(0, |depths, apex| depths | depth_bit(labels(apex)));
        index.lengths = index.networks.keys().map(IpNet::prefix_len).collect();
        index.lengths.sort_unstable();
        index.lengths.dedup();
        index
    }

    /// Every rule in every answer.
    #[cfg(test)]
    pub(crate) fn everything(ids: impl Iterator<Item = RuleId>) -> Index {
        let global = Bucket { rules: ids.collect(), by_identity: None };
        Index { global, ..Index::default() }
    }

    fn bucket(&mut self, key: Key) -> &mut Vec<RuleId> {
        match key {
            Key::Exact(name) => &mut self.names.entry(name).or_default().rules,
            Key::Below(apex) => &mut self.apexes.entry(apex).or_default().rules,
            Key::Network(network) => &mut self.networks.entry(network).or_default().rules,
        }
    }

    /// Whether no rule stands in it.
    pub(crate) fn is_empty(&self) -> bool {
        let keyed = self.names.is_empty() && self.apexes.is_empty() && self.networks.is_empty();
        keyed && self.global.rules.is_empty() && self.global.by_identity.is_none()
    }

    /// Hand every rule that may hold to `each`; some of them more than once.
    pub(crate) fn visit(&self, facts: &Facts, mut each: impl FnMut(RuleId)) {
        let id = facts.identity.id();
        match &facts.destination.host {
            Host::Name(name) => {
                if let Some(bucket) = self.names.get(&**name) {
                    bucket.visit(id, &mut each);
                }
                if self.depths != 0 {
                    self.visit_apexes(name, id, &mut each);
                }
            }
            Host::Ip(ip) => {
                for length in &self.lengths {
                    let Ok(network) = IpNet::new(*ip, *length) else { continue };
                    if let Some(bucket) = self.networks.get(&network.trunc()) {
                        bucket.visit(id, &mut each);
                    }
                }
            }
        }
        self.global.visit(id, &mut each);
    }

    /// Hand every rule that may hold for this host to `each`, whoever asks; some of them more than once.
    pub(crate) fn visit_host(&self, host: &Host, mut each: impl FnMut(RuleId)) {
        match host {
            Host::Name(name) => {
                let above = parents(name).filter_map(|parent| self.apexes.get(parent));
                self.names.get(&**name).into_iter().chain(above).for_each(|bucket| bucket.visit_all(&mut each));
            }
            Host::Ip(ip) => {
                let networks = self.lengths.iter().filter_map(|length| IpNet::new(*ip, *length).ok());
                let named = networks.filter_map(|network| self.networks.get(&network.trunc()));
                named.for_each(|bucket| bucket.visit_all(&mut each));
            }
        }
        self.global.visit_all(&mut each);
    }

    fn visit_apexes(&self, name: &str, identity: &str, each: &mut impl FnMut(RuleId)) {
        let mut depth = labels(name);
        if self.depths & (depth_bit(depth) - 1) == 0 {
            return;
        }
        for parent in parents(name) {
            depth -= 1;
            if self.depths & depth_bit(depth) == 0 {
                continue;
            }
            if let Some(bucket) = self.apexes.get(parent) {
                bucket.visit(identity, each);
            }
        }
    }
}

fn labels(name: &str) -> usize {
    name.bytes().filter(|byte| *byte == b'.').count() + 1
}

/// The last bit stands for every number of labels that no name can have.
fn depth_bit(labels: usize) -> u128 {
    1 << labels.min(127)
}

impl Bucket {
    fn visit(&self, identity: &str, each: &mut impl FnMut(RuleId)) {
        self.rules.iter().copied().for_each(&mut *each);
        if let Some(rules) = self.by_identity.as_ref().and_then(|by_identity| by_identity.get(identity)) {
            rules.iter().copied().for_each(each);
        }
    }

    fn visit_all(&self, each: &mut impl FnMut(RuleId)) {
        let split = self.by_identity.iter().flat_map(|by_identity| by_identity.values()).flatten();
        self.rules.iter().chain(split).copied().for_each(each);
    }

    fn split(&mut self, rules: &Map<RuleId, &Rule>) {
        if self.rules.len() <= SPLIT {
            self.rules.shrink_to_fit();
            return;
        }
        let mut rest = Vec::new();
        let mut by_identity: Map<Box<str>, Vec<RuleId>> = Map::default();
        for id in std::mem::take(&mut self.rules) {
            match rules.get(&id).and_then(|rule| rule.exact_ids()) {
                Some(identities) => {
                    for identity in identities {
                        by_identity.entry(identity.into()).or_default().push(id);
                    }
                }
                None => rest.push(id),
            }
        }
        self.rules = rest;
        self.by_identity = (!by_identity.is_empty()).then(|| Box::new(by_identity));
    }
}

/// `c`, then `b.c` … of `a.b.c`: the names it lies below, the nearest first.
pub(crate) fn parents(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(name.split_once('.').map(|(_, parent)| parent), |name| {
        name.split_once('.').map(|(_, parent)| parent)
    })
}
