//! The smallest fragment that allows what was observed: for people to review, never to be used as it comes.
//!
//! What is not suggested is told beside it, with the reason.

mod against;

mod rules;

mod text;

pub use rules::{Rule, Wildcards};
pub use text::{left_out, write};

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::ControlFlow;

use gatepass_policy::PolicySet;
use gatepass_policy::address::{Class, Floor, unmap};
use gatepass_policy::decision::Reason;
use gatepass_policy::host::Host;
use gatepass_policy::pattern::{HostPattern, IdentityPattern};
use jiff::{SignedDuration, Timestamp};

use crate::evidence::questions::filter::{Pattern, Span};
use crate::evidence::questions::row::Kind;
use crate::recorded::Recorded;
use crate::recorded::facts::{host, is_whole};
use against::Against;

/// Different things that are observed: who, where to, with what data. More are counted.
const OBSERVED_MAX: usize = 100_000;

/// Examples of what is left out.
const EXAMPLES_MAX: usize = 8;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Only for these identities.
    pub identity: Option<Pattern>,
    /// Of which time.
    pub span: Span,
    /// Whether also what rules allowed.
    pub admitted: Admitted,
    /// Whether private addresses are suggested.
    pub private: Private,
    /// The moment that ends are counted from.
    pub now: Timestamp,
    /// How long the rules are to live.
    pub life: SignedDuration,
    /// The fragment's id.
    pub fragment: String,
    /// Who answers for it, where that is known.
    pub owner: Option<String>,
    /// Patterns for many names.
    pub wildcards: Wildcards,
}

/// Which of the admitted connections count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// Those that no rule allowed: by grant, or because the gateway only observes.
    WithoutRule,
    /// All.
    All,
}

/// What becomes of private addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Private {
    /// They are left out, and told.
    LeftOut,
    /// Each is named.
    Named,
}

/// Why something that was observed is not suggested.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftOut {
    /// The bundle allows it, as far as the record tells.
    Allowed,
    /// This rule denies it, or this reason.
    Denied(String),
    /// An address that never opens.
    Closed,
    /// A private address.
    Private,
    /// Credentials were asked for.
    Anonymous,
    /// Another part of the gateway than the policy refused it, or it failed.
    NotOfPolicy,
    /// A name on it cannot stand in a rule.
    Unnamed,
    /// Outside of the fragment's scope, or of the bundle's data classes.
    Outside(String),
    /// More than is kept.
    TooMuch,
}

/// So much of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Decisions.
    pub times: u64,
    /// Some of the destinations, the first by name.
    pub examples: BTreeSet<String>,
}

/// One thing that was observed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    identity: String,
    place: Place,
    port: u16,
    classes: Vec<String>,
    declared: bool,
    /// Addresses that a rule must name.
    networks: Vec<IpAddr>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Name(String),
    Address(IpAddr),
}

/// How often, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// Decisions.
    pub times: u64,
    /// The first, in microseconds since 1970.
    pub first: i64,
    /// The last.
    pub last: i64,
}

impl Times {
    fn and(self, other: Times) -> Times {
        Times { times: self.times + other.times, first: self.first.min(other.first), last: self.last.max(other.last) }
    }
}

/// What is suggested.
#[derive(Clone, Debug)]
pub struct Suggestion {
    /// The rules, by id.
    pub rules: Vec<Rule>,
    /// What is not.
    pub left_out: BTreeMap<LeftOut, Part>,
    /// Of all that is suggested; `None` where nothing is.
    pub seen: Option<Times>,
    /// Whether the bundle has the fragment; `None` without a bundle.
    pub listed: Option<bool>,
}

/// Collects what was observed.
pub struct Suggest<'s> {
    asked: Asked,
    bundle: Option<Against<'s>>,
    seen: BTreeMap<Seen, Times>,
    left_out: BTreeMap<LeftOut, Part>,
}

impl<'s> Suggest<'s> {
    /// For this bundle, where there is one.
    pub fn new(asked: Asked, set: Option<&'s PolicySet>) -> Suggest<'s> {
        let bundle = set.map(Against::new);
        Suggest { asked, bundle, seen: BTreeMap::new(), left_out: BTreeMap::new() }
    }

    /// Look at the next record.
    pub fn see(&mut self, record: &Recorded<'_>) -> ControlFlow<()> {
        let asked = &self.asked;
        let meant = record.kind == Kind::Decision
            && asked.span.has(record.time)
            && asked.identity.as_ref().is_none_or(|pattern| pattern.matches(record.identity));
        // What a rule allowed needs no other, unless it is asked for.
        let allowed = record.outcome == "admitted" && record.effect != "deny" && record.grant.is_empty();
        if meant && (!allowed || asked.admitted == Admitted::All) {
            match self.observed(record) {
                Ok(seen) => self.add(seen, record),
                Err(why) => self.leave_out(why, record),
            }
        }
        ControlFlow::Continue(())
    }

    /// What is to be allowed, or why it is not.
    fn observed(&mut self, record: &Recorded<'_>) -> Result<Seen, LeftOut> {
        let floor = Reason::AddressFloor.code();
        if record.outcome != "admitted" || record.effect == "deny" {
            match record.reason {
                reason if reason == Reason::NoRule.code() || reason == Reason::RuleExpired.code() => {}
                reason if reason == floor => {}
                reason if reason == Reason::IdentityRequired.code() => return Err(LeftOut::Anonymous),
                reason
                    if [Reason::Guardrail, Reason::TeamDeny, Reason::RuleError].iter().any(|r| r.code() == reason) =>
                {
                    let by = if record.rule.is_empty() { reason } else { record.rule };
                    return Err(LeftOut::Denied(by.to_owned()));
                }
                _ => return Err(LeftOut::NotOfPolicy),
            }
        }
        let seen = seen(record)?;
        let networks = self.networks(&seen, record)?;
        if record.reason == floor && networks.is_empty() {
            return Err(LeftOut::Closed);
        }
        if let Some(against) = &mut self.bundle {
            against.leaves_open(record, self.asked.now)?;
        }
        Ok(Seen { networks, ..seen })
    }

    /// The addresses that a rule must name for this to open.
    fn networks(&self, seen: &Seen, record: &Recorded<'_>) -> Result<Vec<IpAddr>, LeftOut> {
        let mut answers: Vec<IpAddr> = match &seen.place {
            Place::Address(ip) => vec![*ip],
            Place::Name(_) => {
                let texts = record.addresses.texts().map_err(|_| LeftOut::Unnamed)?;
                texts.iter().filter_map(|text| text.parse().ok()).map(unmap).collect()
            }
        };
        answers.sort_unstable();
        answers.dedup();
        let floor = Floor::default();
        let mut private = false;
        for ip in &answers {
            match floor.classify(*ip, seen.port).class {
                Class::Global => {}
                Class::Private => private = true,
                Class::Loopback | Class::Metadata | Class::Reserved | Class::Gateway | Class::Interface => {
                    return Err(LeftOut::Closed);
                }
            }
        }
        match (private, self.asked.private, &seen.place) {
            (true, Private::LeftOut, _) => Err(LeftOut::Private),
            (true, Private::Named, _) | (false, _, Place::Address(_)) => Ok(answers),
            (false, _, Place::Name(_)) => Ok(Vec::new()),
        }
    }

    fn add(&mut self, seen: Seen, record: &Recorded<'_>) {
        if self.seen.len() >= OBSERVED_MAX && !self.seen.contains_key(&seen) {
            return self.leave_out(LeftOut::TooMuch, record);
        }
        let once = Times { times: 1, first: record.time, last: record.time };
        self.seen.entry(seen).and_modify(|times| *times = times.and(once)).or_insert(once);
    }

    fn leave_out(&mut self, why: LeftOut, record: &Recorded<'_>) {
        let example = match (record.host, record.port) {
            ("", _) => None,
            (host, Some(port)) if host.contains(':') => Some(format!("[{host}]:{port}")),
            (host, Some(port)) => Some(format!("{host}:{port}")),
            (host, None) => Some(host.to_owned()),
        };
        self.left_out.entry(why).or_default().add(1, example);
    }

    /// Everything was seen.
    pub fn end(mut self) -> Suggestion {
        let listed = self.bundle.as_ref().map(|against| against.lists(&self.asked.fragment));
        let fragment = listed.unwrap_or(false).then(|| self.asked.fragment.clone());
        let mut inside = BTreeMap::new();
        for (seen, times) in std::mem::take(&mut self.seen) {
            let (place, cidrs) = (seen.place.to_string(), seen.networks.iter().map(|ip| rules::network(*ip)));
            let places: Vec<String> = seen.place.name().map(str::to_owned).into_iter().chain(cidrs).collect();
            let outside = self.bundle.as_ref().and_then(|against| {
                let mut all = places.iter();
                all.find_map(|place| against.outside(&seen.identity, place, &seen.classes, fragment.as_deref()))
            });
            match outside {
                None => drop(inside.insert(seen, times)),
                Some(why) => {
                    let example = format!("{place}:{}", seen.port);
                    self.left_out.entry(LeftOut::Outside(why)).or_default().add(times.times, Some(example));
                }
            }
        }
        let (mut kept, now) = (Vec::new(), self.asked.now);
        for mut rule in rules::of(inside, self.asked.wildcards) {
            let classes: Vec<&str> = rule.classes.iter().map(String::as_str).collect();
            let longest = self.bundle.as_ref().map(|against| against.longest_life(&classes));
            let life = longest.map_or(self.asked.life, |longest| longest.min(self.asked.life));
            rule.expires = now.checked_add(life).unwrap_or(Timestamp::MAX);
            // Each name lies inside; a pattern that stands for them may not.
            let outside = self.bundle.as_ref().and_then(|against| {
                let who = rule.identities.first()?;
                let mut patterns = rule.patterns.keys();
                patterns.find_map(|pattern| against.outside(who, pattern, &rule.classes, fragment.as_deref()))
            });
            match outside {
                None => kept.push(rule),
                Some(why) => {
                    let part = self.left_out.entry(LeftOut::Outside(why)).or_default();
                    rule.patterns.into_keys().for_each(|pattern| part.add(0, Some(pattern)));
                    part.times += rule.seen.times;
                }
            }
        }
        rules::name(&mut kept);
        let seen = kept.iter().map(|rule| rule.seen).reduce(Times::and);
        Suggestion { rules: kept, left_out: self.left_out, seen, listed }
    }
}

impl Place {
    fn name(&self) -> Option<&str> {
        match self {
            Place::Name(name) => Some(name),
            Place::Address(_) => None,
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Name(name) => f.write_str(name),
            Place::Address(ip) => Host::Ip(*ip).fmt(f),
        }
    }
}

impl Part {
    fn add(&mut self, times: u64, example: Option<String>) {
        self.times += times;
        self.examples.extend(example);
        // Always the first by name, in whatever order they come.
        if self.examples.len() > EXAMPLES_MAX {
            self.examples.pop_last();
        }
    }
}

/// Who, where to and with what data, where all of it can stand in a rule.
fn seen(record: &Recorded<'_>) -> Result<Seen, LeftOut> {
    let nameable =
        |text: &str| is_whole(text) && IdentityPattern::parse(text).is_ok_and(|found| found.exact().is_some());
    let port = record.port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
    let (Some(port), Some(host), true) = (port, host(record.host), nameable(record.identity)) else {
        return Err(LeftOut::Unnamed);
    };
    let place = match host {
        Host::Ip(ip) => Place::Address(ip),
        Host::Name(name) if HostPattern::parse(&name).is_ok() => Place::Name(name.as_ref().to_owned()),
        Host::Name(_) => return Err(LeftOut::Unnamed),
    };
    let classes = record.data_classes.texts().map_err(|_| LeftOut::Unnamed)?;
    let mut classes: Vec<String> = classes.into_iter().map(str::to_owned).collect();
    classes.sort_unstable();
    classes.dedup();
    if classes.is_empty() || !classes.iter().all(|class| rules::is_id(class)) {
        return Err(LeftOut::Unnamed);
    }
    let declared = record.data_classes_from == "declared";
    Ok(Seen { identity: record.identity.to_owned(), place, port, classes, declared, networks: Vec::new() })
}

#[cfg(test)]
mod tests;
