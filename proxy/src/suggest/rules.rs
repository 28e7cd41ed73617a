//! From what was observed to rules: as few as there can be of which each allows exactly what was observed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use gatepass_policy::host::{registered_domain, suffix_is_listed};
use jiff::Timestamp;

use super::{Place, Seen, Times};

/// Longest id of a rule, as the language has it, with room for a number.
const ID_MAX: usize = 56;

/// Whether many names below one domain become a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wildcards {
    /// Each name stands for itself.
    Never,
    /// So many names that differ in their first label only.
    From(usize),
}

/// A rule that is suggested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its id.
    pub id: String,
    /// For whom.
    pub identities: Vec<String>,
    /// Names and patterns.
    pub hosts: Vec<String>,
    /// Networks of one address each.
    pub cidrs: Vec<String>,
    /// Ports.
    pub ports: Vec<u16>,
    /// What may travel at most.
    pub classes: Vec<String>,
    /// Whether the client declared these.
    pub declared: bool,
    /// Its end.
    pub expires: Timestamp,
    /// How often it was observed, and when.
    pub seen: Times,
    /// How many names stand behind each pattern.
    pub patterns: BTreeMap<String, usize>,
    /// Addresses in it that are not global.
    pub private: bool,
    domain: String,
}

/// What two observations must have in common to stand in one rule.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Common {
    domain: String,
    classes: Vec<String>,
    declared: bool,
    networks: Vec<IpAddr>,
}

/// What identities must have in common to share a rule: the places and the ports, beside the rest.
type Needs = (Common, BTreeSet<Place>, Vec<u16>);

/// Names with how often they were seen.
type Places = BTreeMap<Place, Times>;

/// Group them. Ports of one identity that have the same hosts share a rule, then identities that have the same hosts and
/// ports: a rule is the product of its lists, so nothing else may.
pub(super) fn of(seen: BTreeMap<Seen, Times>, wildcards: Wildcards) -> Vec<Rule> {
    let mut by_port: BTreeMap<(Common, String), BTreeMap<u16, Places>> = BTreeMap::new();
    for (one, times) in seen {
        let Seen { identity, place, port, classes, declared, networks } = one;
        let common = Common { domain: domain(&place), classes, declared, networks };
        by_port.entry((common, identity)).or_default().entry(port).or_default().insert(place, times);
    }
    let mut by_identity: BTreeMap<Needs, (Vec<String>, Times)> = BTreeMap::new();
    for ((common, identity), ports) in by_port {
        let mut by_hosts: BTreeMap<BTreeSet<Place>, (Vec<u16>, Times)> = BTreeMap::new();
        for (port, places) in ports {
            let Some(times) = places.values().copied().reduce(Times::and) else { continue };
            let places: BTreeSet<Place> = places.into_keys().collect();
            let entry = by_hosts.entry(places).or_insert((Vec::new(), times));
            entry.1 = if entry.0.is_empty() { times } else { entry.1.and(times) };
            entry.0.push(port);
        }
        for (places, (ports, times)) in by_hosts {
            let entry = by_identity.entry((common.clone(), places, ports)).or_insert((Vec::new(), times));
            entry.1 = if entry.0.is_empty() { times } else { entry.1.and(times) };
            entry.0.push(identity.clone());
        }
    }
    let rules = by_identity.into_iter().map(|((common, places, ports), (identities, seen))| {
        let (hosts, patterns) = hosts(&places, &common.domain, wildcards);
        Rule {
            id: String::new(),
            identities,
            hosts,
            cidrs: common.networks.iter().map(|ip| network(*ip)).collect(),
            ports,
            classes: common.classes,
            declared: common.declared,
            expires: Timestamp::MAX,
            seen,
            patterns,
            private: common
                .networks
                .iter()
                .any(|ip| gatepass_policy::address::classify(*ip).class != gatepass_policy::address::Class::Global),
            domain: common.domain,
        }
    });
    rules.collect()
}

/// What somebody registered; a name of which that cannot be told, and an address, stand alone.
fn domain(place: &Place) -> String {
    match place {
        Place::Address(ip) => ip.to_string(),
        Place::Name(name) => registered_domain(name).unwrap_or(name).to_owned(),
    }
}

pub(super) fn network(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => format!("{ip}/32"),
        IpAddr::V6(ip) => format!("{ip}/128"),
    }
}

/// The names, and in place of many that differ in their first label `*.PARENT`. The parent must be the registered domain
/// or lie below it: then whatever the pattern means belongs to who registered that. `**.` could mean names below a public
/// suffix further down, which are other people's, and is never written.
fn hosts(places: &BTreeSet<Place>, domain: &str, wildcards: Wildcards) -> (Vec<String>, BTreeMap<String, usize>) {
    let names = places.iter().filter_map(|place| match place {
        Place::Name(name) => Some(name.as_str()),
        Place::Address(_) => None,
    });
    let mut by_parent: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for name in names {
        by_parent.entry(name.split_once('.').map_or("", |(_, parent)| parent)).or_default().push(name);
    }
    let (mut hosts, mut patterns) = (Vec::new(), BTreeMap::new());
    for (parent, names) in by_parent {
        let enough = match wildcards {
            Wildcards::Never => false,
            Wildcards::From(count) => names.len() >= count.max(2),
        };
        if enough && registered_domain(parent) == Some(domain) && suffix_is_listed(parent) {
            let pattern = format!("*.{parent}");
            patterns.insert(pattern.clone(), names.len());
            hosts.push(pattern);
        } else {
            hosts.extend(names.into_iter().map(str::to_owned));
        }
    }
    hosts.sort_unstable();
    (hosts, patterns)
}

/// Give every rule an id after its domain, in an order that is always the same.
pub(super) fn name(rules: &mut [Rule]) {
    let mut used: BTreeSet<String> = BTreeSet::new();
    for rule in rules {
        let plain: String =
            rule.domain.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
        let mut base = plain.trim_start_matches(['-', '.']).to_owned();
        base.truncate(ID_MAX);
        if base.is_empty() {
            base.push_str("rule");
        }
        let numbered = (2..).map(|number: u32| format!("{base}-{number}"));
        let id = std::iter::once(base.clone()).chain(numbered).find(|id| !used.contains(id)).unwrap_or_default();
        used.insert(id.clone());
        rule.id = id;
    }
}

/// Whether a text can be the id of a data class.
pub(super) fn is_id(text: &str) -> bool {
    text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}
