//! What DNS can answer: addresses inside and outside of every network that rules name, one or several of them.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::side::Candidates;
use super::values::{self, Cover};
use crate::address;
use crate::expr::Landmarks;
use crate::facts::Resolved;
use crate::rule::{Rule, Tier};
use crate::schema::{Attribute, AttributeSet};

/// A public address that stands for all that no rule names.
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(93, 184, 215, 14));

/// Every kind of answer that rules tell apart.
pub(super) fn answers(candidates: &[Candidates<'_>], landmarks: &Landmarks) -> (Vec<Resolved>, AttributeSet) {
    let rules = || candidates.iter().flat_map(Candidates::all);
    let mut networks: BTreeSet<IpNet> = rules().flat_map(|rule| rule.networks.iter().copied()).collect();
    networks.extend(landmarks.of(Attribute::DnsAnswers).networks);
    let mut vague = AttributeSet::EMPTY;
    let points = match (networks.is_empty(), landmarks.uses.contains(Attribute::DnsAnswers)) {
        (true, false) => vec![ELSEWHERE],
        (true, true) | (false, _) => points(&networks),
    };
    let (mut sets, cover) = values::subsets(&points);
    if cover == Cover::Some {
        sets.extend(rules().flat_map(|rule| largest(rule, &points, &mut rules())));
        let denies = rules().filter(|rule| rule.tier != Tier::Allow && !rule.networks.is_empty()).count();
        if denies > 1 || landmarks.uses.contains(Attribute::DnsAnswers) {
            vague = AttributeSet::one(Attribute::DnsAnswers);
        }
    }
    sets.retain(|set| !set.is_empty());
    sets.sort();
    sets.dedup();
    (told(&sets, landmarks, &mut vague), vague)
}

/// The largest answers that an allow takes: all that is in its networks, with and without what denies name.
///
/// An answer that an allow newly takes is inside one of these, and where no allow took all of the answer before, none took
/// the larger one.
fn largest(rule: &Rule, points: &[IpAddr], rules: &mut dyn Iterator<Item = &Rule>) -> Vec<Vec<IpAddr>> {
    let inside = |rule: &Rule, ip: &IpAddr| rule.networks.iter().any(|network| network.contains(ip));
    if rule.tier != Tier::Allow || rule.networks.is_empty() {
        return Vec::new();
    }
    let all: Vec<IpAddr> = points.iter().copied().filter(|ip| inside(rule, ip)).collect();
    let mut found = vec![all.clone()];
    for deny in rules.filter(|other| other.tier != Tier::Allow && !other.networks.is_empty()) {
        found.push(all.iter().copied().filter(|ip| !inside(deny, ip)).collect());
    }
    found
}

/// The answers with everything else that DNS tells.
fn told(sets: &[Vec<IpAddr>], landmarks: &Landmarks, vague: &mut AttributeSet) -> Vec<Resolved> {
    let uses = |attribute| landmarks.uses.contains(attribute);
    let (names, cover) = match uses(Attribute::DnsCname) {
        true => values::lists(&landmarks.of(Attribute::DnsCname), "alias.invalid"),
        false => (vec![Vec::new()], Cover::All),
    };
    if cover == Cover::Some {
        *vague = vague.union(AttributeSet::one(Attribute::DnsCname));
    }
    let ttls: Vec<u32> = match uses(Attribute::DnsMinTtl) {
        true => values::numbers(&landmarks.of(Attribute::DnsMinTtl), 0, i64::from(u32::MAX))
            .into_iter()
            .filter_map(|n| u32::try_from(n).ok())
            .collect(),
        false => vec![60],
    };
    let proofs: &[bool] = if uses(Attribute::DnsSecure) { &[false, true] } else { &[false] };
    let mut found = Vec::new();
    for (set, cname) in sets.iter().flat_map(|set| names.iter().map(move |names| (set, names))) {
        for (min_ttl, secure) in ttls.iter().flat_map(|ttl| proofs.iter().map(move |proof| (*ttl, *proof))) {
            found.push(Resolved { answers: set.clone(), cname: cname.clone(), min_ttl, secure });
        }
    }
    found
}

/// One address for each way of standing to these networks and to the blocks of the registries inside them: inside each but
/// outside those that it holds, and outside all.
pub(super) fn points(networks: &BTreeSet<IpNet>) -> Vec<IpAddr> {
    let mut parts = networks.clone();
    for network in networks {
        parts.extend(address::blocks_within(*network));
    }
    let mut found: BTreeSet<IpAddr> = BTreeSet::new();
    for part in &parts {
        let within: Vec<&IpNet> = parts.iter().filter(|other| *other != part && part.contains(*other)).collect();
        found.extend(outside(*part, &within));
    }
    let everywhere = |ip: &IpAddr| !parts.iter().any(|part| part.contains(ip));
    let elsewhere = [ELSEWHERE, IpAddr::V6(Ipv6Addr::new(0x2a00, 0x1450, 0, 0, 0, 0, 0, 0xe))];
    found.extend(elsewhere.into_iter().find(everywhere));
    if !elsewhere.iter().any(everywhere) {
        found.extend((1..=223u8).map(|first| IpAddr::V4(Ipv4Addr::new(first, 200, 200, 1))).find(everywhere));
    }
    // On the floor wherever no rule names it: what a rule opens must not be taken for it.
    found.extend([IpAddr::V4(Ipv4Addr::new(10, 255, 255, 1))].into_iter().filter(everywhere));
    found.into_iter().collect()
}

/// An address of a network outside those that it holds, if there is one.
fn outside(network: IpNet, within: &[&IpNet]) -> Option<IpAddr> {
    let free = |ip: &IpAddr| network.contains(ip) && !within.iter().any(|other| other.contains(ip));
    let ends = [network.network(), network.broadcast()];
    let beside = within.iter().flat_map(|other| [previous(other.network()), next(other.broadcast())]).flatten();
    // Not the first address where another will do: people read these.
    let inner = [next(network.network()), previous(network.broadcast())].into_iter().flatten();
    inner.chain(beside).chain(ends).find(free)
}

fn next(ip: IpAddr) -> Option<IpAddr> {
    match ip {
        IpAddr::V4(v4) => u32::from(v4).checked_add(1).map(|n| IpAddr::V4(n.into())),
        IpAddr::V6(v6) => u128::from(v6).checked_add(1).map(|n| IpAddr::V6(n.into())),
    }
}

fn previous(ip: IpAddr) -> Option<IpAddr> {
    match ip {
        IpAddr::V4(v4) => u32::from(v4).checked_sub(1).map(|n| IpAddr::V4(n.into())),
        IpAddr::V6(v6) => u128::from(v6).checked_sub(1).map(|n| IpAddr::V6(n.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_an_address_for_each_way_of_standing_to_networks() {
        let networks: BTreeSet<IpNet> = ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "8.8.8.0/24"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        let stands = |ip: &IpAddr| networks.iter().map(|network| network.contains(ip)).collect::<Vec<bool>>();
        let ways: BTreeSet<Vec<bool>> = points(&networks).iter().map(stands).collect();
        assert_eq!(ways.len(), 5, "{ways:?}");
    }

    #[test]
    fn a_network_that_its_parts_fill_has_no_address_of_its_own() {
        let halves: Vec<IpNet> = ["10.0.0.0/9", "10.128.0.0/9"].iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(outside("10.0.0.0/8".parse().unwrap(), &halves.iter().collect::<Vec<_>>()), None);
    }
}
