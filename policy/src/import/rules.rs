//! A conjunction as the fields of a rule: what they can say they say, the rest goes to `when`.

use ipnet::IpNet;

use super::Ports;
use super::cel;
use super::draft::{Body, Entry, Who};
use super::formula::{Atom, Conjunction, Literal};
use crate::address;
use crate::pattern::{HostPattern, IdentityPattern};

/// Ports that one rule lists at most, and the widest range that is written out.
const PORTS_MAX: usize = 64;

/// An allow, and what of it is less than what was asked for.
pub(super) struct Allowed {
    pub(super) body: Body,
    /// Why it gives less, and what to do.
    pub(super) narrowed: Vec<Unsayable>,
    /// Whether nobody has said for which ports.
    pub(super) ports_guessed: bool,
}

/// Why no rule can say it, or not all of it, and what to do.
pub(super) type Unsayable = (String, &'static str);

/// The fields of one side, gathered from a conjunction.
#[derive(Default)]
struct Fields {
    hosts: Option<Vec<HostPattern>>,
    cidrs: Option<Vec<IpNet>>,
    who: Option<Vec<IdentityPattern>>,
    ports: Option<Vec<(u16, u16)>>,
    not_ports: Vec<(u16, u16)>,
    rest: Vec<Literal>,
}

impl Fields {
    fn of(conjunction: Conjunction) -> Fields {
        let mut fields = Fields::default();
        for literal in conjunction {
            match (literal.holds, literal.atom) {
                (true, Atom::Hosts(found)) => {
                    fields.hosts = Some(match fields.hosts.take() {
                        None => found,
                        Some(known) => both(&known, &found),
                    });
                }
                (true, Atom::Ports(found)) => {
                    fields.ports = Some(match fields.ports.take() {
                        None => found,
                        Some(known) => overlap(&known, &found),
                    });
                }
                (true, Atom::Answers(found)) if fields.cidrs.is_none() => fields.cidrs = Some(found),
                (true, Atom::Who(found)) if fields.who.is_none() => fields.who = Some(found),
                (false, Atom::Ports(found)) => fields.not_ports.extend(found),
                (holds, atom) => fields.rest.push(Literal { holds, atom }),
            }
        }
        fields
    }

    /// The server names that are asked for.
    fn sni(&self) -> Option<Vec<HostPattern>> {
        self.rest.iter().find_map(|literal| match (&literal.atom, literal.holds) {
            (Atom::Sni(names), true) => Some(names.clone()),
            (
                Atom::Sni(_)
                | Atom::Hosts(_)
                | Atom::Ports(_)
                | Atom::Sources(_)
                | Atom::Answers(_)
                | Atom::Who(_)
                | Atom::Http(_)
                | Atom::Text(_),
                _,
            ) => None,
        })
    }

    /// Whether the host is an address that is written out.
    fn is_literal(&self) -> bool {
        let names = |atom: &Atom| matches!(atom, Atom::Text(text) if text.starts_with("destination.host == "));
        self.rest.iter().any(|literal| literal.holds && names(&literal.atom))
    }

    fn who(&self) -> Who {
        match &self.who {
            None => Who::Anyone,
            Some(ids) => Who::Among(ids.iter().map(|id| Entry { id: id.clone(), label: None }).collect()),
        }
    }
}

/// As an allow. `Ok(None)`: it can never hold.
pub(super) fn allow(conjunction: Conjunction, ports: &Ports) -> Result<Option<Allowed>, Unsayable> {
    let mut fields = Fields::of(conjunction);
    let mut narrowed = Vec::new();
    // A name in the ClientHello must also be the one that is asked for: it is the only key that the rule has.
    let hosts = fields.hosts.take().or_else(|| fields.sni());
    if hosts.as_ref().is_some_and(Vec::is_empty) {
        return Ok(None);
    }
    if let Some(hosts) = &hosts {
        // An exclusion of hosts that are not meant anyway says nothing.
        fields.rest.retain(|literal| match (&literal.atom, literal.holds) {
            (Atom::Hosts(others), false) => others.iter().any(|other| hosts.iter().any(|host| meet(host, other))),
            (
                Atom::Hosts(_)
                | Atom::Ports(_)
                | Atom::Sources(_)
                | Atom::Answers(_)
                | Atom::Sni(_)
                | Atom::Who(_)
                | Atom::Http(_)
                | Atom::Text(_),
                _,
            ) => true,
        });
    }
    let cidrs = match (fields.cidrs.take(), &hosts) {
        (None, None) => {
            let why = "it names no destination that a rule can list: an allow for every host is not expressible";
            return Err((why.to_owned(), "name the hosts that are needed, by hand or from observed traffic"));
        }
        (None, Some(_)) => Vec::new(),
        (Some(cidrs), hosts) => {
            narrowed.extend(match (hosts, fields.is_literal()) {
                (Some(_), _) => {
                    Some(("all addresses of a host must be in the networks, where one was enough".to_owned(), LESS))
                }
                (None, true) => None,
                (None, false) => Some((
                    "networks alone are about IP literals: a name that leads there is not meant".to_owned(),
                    NAMES,
                )),
            });
            openable(cidrs, &mut narrowed)?
        }
    };
    let hosts = hosts.unwrap_or_default();
    let guessed = fields.ports.is_none();
    let ports = listed(fields.ports.take(), &fields.not_ports, ports, &mut narrowed);
    if ports.is_empty() {
        return Ok(None);
    }
    let when = cel::all(fields.rest.iter().map(cel::literal).collect());
    if when.as_ref().is_some_and(|when| !cel::fits(when)) {
        return Err(("its conditions are more than one expression may hold".to_owned(), "write the rule by hand"));
    }
    let who = fields.who();
    Ok(Some(Allowed { body: Body { who, hosts, cidrs, ports, when }, narrowed, ports_guessed: guessed }))
}

const LESS: &str = "look whether every address of the host is meant; then list all of its networks";
const NAMES: &str = "add the names under `hosts`, beside the networks";

/// As a guardrail. `Ok(None)`: it can never hold.
pub(super) fn deny(conjunction: Conjunction) -> Result<Option<Body>, Unsayable> {
    let mut fields = Fields::of(conjunction);
    if fields.hosts.as_ref().is_some_and(Vec::is_empty) || fields.ports.as_ref().is_some_and(Vec::is_empty) {
        return Ok(None);
    }
    let mut rest: Vec<String> = fields.rest.iter().map(cel::literal).collect();
    if let Some(networks) = fields.cidrs.take() {
        // A guardrail's `cidrs` alone would miss the names that lead there.
        rest.push(cel::atom(&Atom::Answers(networks)));
    }
    let ports = match fields.ports.take() {
        Some(ranges) if count(&ranges) <= PORTS_MAX => written_out(&ranges),
        Some(ranges) => {
            rest.push(cel::atom(&Atom::Ports(ranges)));
            Vec::new()
        }
        None => Vec::new(),
    };
    if !fields.not_ports.is_empty() {
        rest.push(cel::literal(&Literal { holds: false, atom: Atom::Ports(fields.not_ports.clone()) }));
    }
    let when = cel::all(rest);
    if when.as_ref().is_some_and(|when| !cel::fits(when)) {
        return Err(("its conditions are more than one expression may hold".to_owned(), "write the guardrail by hand"));
    }
    let who = fields.who();
    Ok(Some(Body { who, hosts: fields.hosts.unwrap_or_default(), cidrs: Vec::new(), ports, when }))
}

/// The ports of an allow: those that are named, or the usual ones, less those that are excluded.
fn listed(
    named: Option<Vec<(u16, u16)>>,
    without: &[(u16, u16)],
    usual: &Ports,
    narrowed: &mut Vec<Unsayable>,
) -> Vec<u16> {
    let mut ports = match named {
        None => usual.list().to_vec(),
        Some(ranges) if count(&ranges) <= PORTS_MAX => written_out(&ranges),
        Some(ranges) => {
            let (wide, small): (Vec<_>, Vec<_>) = ranges.into_iter().partition(|(from, to)| to - from >= 16);
            let mut ports: Vec<u16> = written_out(&small).into_iter().take(PORTS_MAX).collect();
            ports.extend(usual.list().iter().filter(|port| within(&wide, **port)));
            let wide: Vec<String> = wide.iter().map(|(from, to)| format!("{from}-{to}")).collect();
            let why =
                format!("a rule lists its ports one by one: of {} only those of `--port` were taken", wide.join(", "));
            narrowed.push((why, "name the ports that are really needed with `--port`"));
            ports
        }
    };
    ports.retain(|port| !within(without, *port));
    ports.sort_unstable();
    ports.dedup();
    ports
}

fn within(ranges: &[(u16, u16)], port: u16) -> bool {
    ranges.iter().any(|(from, to)| (*from..=*to).contains(&port))
}

fn count(ranges: &[(u16, u16)]) -> usize {
    ranges.iter().map(|(from, to)| usize::from(to.saturating_sub(*from)) + 1).sum()
}

fn written_out(ranges: &[(u16, u16)]) -> Vec<u16> {
    let mut ports: Vec<u16> = ranges.iter().flat_map(|(from, to)| *from..=*to).filter(|port| *port > 0).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// The networks that an allow may name at all.
fn openable(networks: Vec<IpNet>, narrowed: &mut Vec<Unsayable>) -> Result<Vec<IpNet>, Unsayable> {
    let mut kept = Vec::new();
    for network in networks {
        match address::closed_block(network) {
            None => kept.push(network),
            Some(block) => {
                let why = format!("`{network}` can never be opened: {block}");
                narrowed.push((why, "nothing: no rule looks under the address floor"));
            }
        }
    }
    // Without any of them the rule would be for every address.
    match (kept.is_empty(), narrowed.pop()) {
        (true, Some(last)) => Err(last),
        (true, None) => Err(("it is for no network at all".to_owned(), "delete the line")),
        (false, last) => {
            narrowed.extend(last);
            Ok(kept)
        }
    }
}

/// The hosts that both lists mean.
fn both(one: &[HostPattern], other: &[HostPattern]) -> Vec<HostPattern> {
    let mut found: Vec<HostPattern> = Vec::new();
    for a in one {
        for b in other {
            let common = match (b.contains(a), a.contains(b)) {
                (true, _) => a,
                (false, true) => b,
                (false, false) => continue,
            };
            if !found.contains(common) {
                found.push(common.clone());
            }
        }
    }
    found
}

/// Whether a host can be meant by both: patterns contain one another or have nothing in common.
fn meet(a: &HostPattern, b: &HostPattern) -> bool {
    a.contains(b) || b.contains(a)
}

fn overlap(one: &[(u16, u16)], other: &[(u16, u16)]) -> Vec<(u16, u16)> {
    let pairs = one.iter().flat_map(|a| other.iter().map(move |b| (a.0.max(b.0), a.1.min(b.1))));
    pairs.filter(|(from, to)| from <= to).collect()
}
