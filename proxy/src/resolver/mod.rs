//! Turns a host into addresses, once per passage: what it returns is what is checked, and what is checked is dialled.
//!
//! Names are absolute, always: there is no search list, and `/etc/hosts` is not read, so that a policy means the same on
//! every gateway. A and AAAA are asked for together. `localhost` is loopback and `invalid` and `onion` do not exist,
//! without a packet (RFC 6761, RFC 7686).

mod answer;
mod cache;
mod settings;
mod upstream;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use gatepass_policy::address::unmap;
use gatepass_policy::facts::Resolved;
use gatepass_policy::host::{Host, name_within};
use hickory_resolver::proto::dnssec::TrustAnchors;
use hickory_resolver::proto::rr::{Name, RecordType};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::dial::race::interleave;
use answer::{Found, Step, Walk};
use cache::{Cache, Known};
pub use settings::{Dnssec, Forwarder, Limits, Server, Settings, SettingsError};
use upstream::{Failure, Upstream};

/// How long an answer is kept of which one family is missing because its server was late or failed: long enough to
/// spare such a server, short enough that a bad moment does not outlast itself.
const PARTIAL_TTL_MAX: Duration = Duration::from_secs(10);

/// Why a host has no addresses. The text is for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResolveError {
    /// DNS says that there is no such name, or that it has no address.
    Nxdomain,
    /// DNS did not say anything that can be used; the text is why.
    Failed(&'static str),
    /// DNS did not answer within the budget.
    Timeout,
    /// As many lookups as the limit are under way.
    Limit,
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ResolveError::Nxdomain => "no name server knows an address of it",
            ResolveError::Failed(why) => why,
            ResolveError::Timeout => "no name server answered in time",
            ResolveError::Limit => "too many lookups are under way",
        })
    }
}

impl std::error::Error for ResolveError {}

/// Servers, what they said lately, and how much is asked of them now.
pub struct Resolver {
    default: Upstream,
    /// Longest domain first.
    forwarders: Vec<(Box<str>, Upstream)>,
    cache: Cache,
    in_flight: Semaphore,
    limits: Limits,
}

impl Resolver {
    /// Reads `/etc/resolv.conf` where a server is `System`; opens nothing.
    pub fn new(settings: &Settings) -> Result<Resolver, SettingsError> {
        Resolver::trusting(settings, TrustAnchors::default())
    }

    /// With `anchors` in the place of the root's keys.
    fn trusting(settings: &Settings, anchors: TrustAnchors) -> Result<Resolver, SettingsError> {
        let limits = settings.limits;
        let roots = settings.roots.as_ref();
        let anchors = match settings.dnssec {
            Dnssec::Ignore => None,
            Dnssec::Validate => Some(Arc::new(anchors)),
        };
        if settings.servers.is_empty() {
            return Err(SettingsError::NoServer(None));
        }
        let mut forwarders: Vec<(Box<str>, Upstream)> = Vec::new();
        for Forwarder { domain, servers } in &settings.forwarders {
            let canonical = Host::parse(domain.as_bytes()).is_ok_and(|host| host.name() == Some(&**domain));
            if !canonical || forwarders.iter().any(|(other, _)| other == domain) {
                return Err(SettingsError::Domain(domain.clone()));
            }
            if servers.is_empty() {
                return Err(SettingsError::NoServer(Some(domain.clone())));
            }
            forwarders.push((domain.clone(), Upstream::new(servers, roots, None, &limits)?));
        }
        forwarders.sort_by_key(|(domain, _)| std::cmp::Reverse(domain.len()));
        Ok(Resolver {
            default: Upstream::new(&settings.servers, roots, anchors, &limits)?,
            forwarders,
            cache: Cache::new(limits.cache_entries),
            in_flight: Semaphore::new(limits.in_flight.min(Semaphore::MAX_PERMITS)),
            limits,
        })
    }

    /// Every address of `host`; an IP literal is its own, without a packet.
    ///
    /// Ends within the time limit. Dropping the future ends the lookup: no task is left behind.
    pub async fn resolve(&self, host: &Host) -> Result<Resolved, ResolveError> {
        let name = match host {
            Host::Ip(ip) => return Ok(literal(vec![unmap(*ip)])),
            Host::Name(name) => name,
        };
        if name_within(name, "localhost") {
            return Ok(literal(vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()]));
        }
        if name_within(name, "invalid") || name_within(name, "onion") {
            return Err(ResolveError::Nxdomain);
        }
        match self.cache.get(name, Instant::now()) {
            Some(Known::Found(resolved)) => return Ok(Resolved::clone(&resolved)),
            Some(Known::Absent) => return Err(ResolveError::Nxdomain),
            None => {}
        }
        let _slot = self.in_flight.try_acquire().map_err(|_| ResolveError::Limit)?;
        match timeout(self.limits.timeout, self.look_up(name)).await {
            Ok(Ok((resolved, keep))) => {
                self.cache.put(name.clone(), Known::Found(Arc::new(resolved.clone())), keep, Instant::now());
                Ok(resolved)
            }
            Ok(Err(Miss::Absent(ttl))) => {
                let keep = seconds(ttl.unwrap_or(0)).min(self.limits.max_negative_ttl);
                self.cache.put(name.clone(), Known::Absent, keep, Instant::now());
                Err(ResolveError::Nxdomain)
            }
            Ok(Err(Miss::TooMany)) => Err(ResolveError::Failed("the name has more addresses than the limit")),
            Ok(Err(Miss::Failed(why))) => Err(ResolveError::Failed(why)),
            Ok(Err(Miss::Timeout)) | Err(_) => Err(ResolveError::Timeout),
        }
    }

    /// Both families, and how long the outcome may be kept.
    async fn look_up(&self, name: &str) -> Result<(Resolved, Duration), Miss> {
        let mut absolute = Name::from_ascii(name).map_err(|_| Miss::Failed("the name cannot be asked for"))?;
        absolute.set_fqdn(true);
        let mut v6 = pin!(self.family(absolute.clone(), RecordType::AAAA));
        let mut v4 = pin!(self.family(absolute, RecordType::A));
        let (early, late): (_, Pin<&mut _>) = tokio::select! {
            biased;
            early = &mut v6 => (early, v4),
            early = &mut v4 => (early, v6),
        };
        let late = match &early {
            // Without an answer yet, there is nothing to hurry for but the budget.
            Err(_) => late.await,
            Ok(_) => timeout(self.limits.resolution_delay, late).await.unwrap_or(Err(Miss::Timeout)),
        };
        self.unite(early, late)
    }

    fn unite(&self, early: Result<Found, Miss>, late: Result<Found, Miss>) -> Result<(Resolved, Duration), Miss> {
        let (found, longest) = match (early, late) {
            (Err(Miss::TooMany), _) | (_, Err(Miss::TooMany)) => return Err(Miss::TooMany),
            (Ok(one), Ok(other)) => (one.and(other), self.limits.max_ttl),
            (Ok(only), Err(Miss::Absent(_))) | (Err(Miss::Absent(_)), Ok(only)) => (only, self.limits.max_ttl),
            (Ok(only), Err(Miss::Failed(_) | Miss::Timeout)) | (Err(Miss::Failed(_) | Miss::Timeout), Ok(only)) => {
                (only, self.limits.max_ttl.min(PARTIAL_TTL_MAX))
            }
            (Err(one), Err(other)) => return Err(one.and(other)),
        };
        if found.addresses.len() > self.limits.max_answers {
            return Err(Miss::TooMany);
        }
        let (mut answers, v4): (Vec<IpAddr>, Vec<IpAddr>) = found.addresses.iter().partition(|ip| ip.is_ipv6());
        answers.extend(v4);
        let resolved = Resolved {
            answers: interleave(&answers, |ip| ip.is_ipv6()),
            cname: found.cname,
            min_ttl: found.ttl,
            secure: found.secure,
        };
        let keep = seconds(resolved.min_ttl).min(longest);
        Ok((resolved, keep))
    }

    /// The addresses of one family, over as many responses as the aliases take; [`Walk`] bounds them.
    async fn family(&self, name: Name, kind: RecordType) -> Result<Found, Miss> {
        let mut walk = Walk::new(name, kind, self.limits.max_answers);
        loop {
            let question = walk.question();
            let upstream = self.upstream(&answer::canonical(&question.name));
            let response = upstream.ask(&question).await.map_err(|failure| match failure {
                Failure::Failed(why) => Miss::Failed(why),
                Failure::Timeout => Miss::Timeout,
            })?;
            match walk.read(&response, upstream.validation()) {
                Step::Found(found) => return Ok(found),
                Step::Ask => {}
                Step::Absent(ttl) => return Err(Miss::Absent(ttl)),
                Step::TooMany => return Err(Miss::TooMany),
                Step::Unusable(why) => return Err(Miss::Failed(why)),
            }
        }
    }

    /// The servers of a name: those of the longest domain that holds it. An alias into another domain is asked there.
    fn upstream(&self, name: &str) -> &Upstream {
        let own = self.forwarders.iter().find(|(domain, _)| name_within(name, domain));
        own.map_or(&self.default, |(_, upstream)| upstream)
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// Why a family has no addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Miss {
    /// There are none, and for so many seconds.
    Absent(Option<u32>),
    /// There are more than the limit. That is the whole lookup's failure, whatever the other family has.
    TooMany,
    /// What was answered cannot be used.
    Failed(&'static str),
    Timeout,
}

impl Miss {
    /// Of both families: absent only if both are, for as long as both are.
    fn and(self, other: Miss) -> Miss {
        match (self, other) {
            (Miss::TooMany, _) | (_, Miss::TooMany) => Miss::TooMany,
            (Miss::Failed(why), _) | (_, Miss::Failed(why)) => Miss::Failed(why),
            (Miss::Timeout, _) | (_, Miss::Timeout) => Miss::Timeout,
            (Miss::Absent(one), Miss::Absent(other)) => Miss::Absent(one.min(other)),
        }
    }
}

fn literal(answers: Vec<IpAddr>) -> Resolved {
    Resolved { answers, cname: Vec::new(), min_ttl: 0, secure: false }
}

fn seconds(ttl: u32) -> Duration {
    Duration::from_secs(u64::from(ttl))
}

#[cfg(test)]
mod tests;
