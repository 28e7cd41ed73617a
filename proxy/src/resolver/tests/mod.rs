//! The resolver against a scripted name server on loopback.

mod answers;
mod corpus;
mod encrypted;
mod names;
mod servers;
mod signed;
mod time;

use super::*;
use names::{Names, Reply, address, alias, nothing};

/// Generous, so that only a test that means to wait does; nothing here waits for luck.
pub const LIMITS: Limits = Limits {
    timeout: Duration::from_secs(20),
    resolution_delay: Duration::from_secs(10),
    in_flight: 100,
    max_answers: 256,
    cache_entries: 100,
    max_ttl: Duration::from_secs(3600),
    max_negative_ttl: Duration::from_secs(300),
};

pub fn settings(servers: &[&Names]) -> Settings {
    Settings {
        servers: servers.iter().map(|names| Server::Plain(names.address)).collect(),
        forwarders: vec![],
        dnssec: Dnssec::Ignore,
        roots: None,
        limits: LIMITS,
    }
}

pub fn limited(names: &Names, limits: Limits) -> Resolver {
    Resolver::new(&Settings { limits, ..settings(&[names]) }).unwrap()
}

pub fn resolver(names: &Names) -> Resolver {
    limited(names, LIMITS)
}

pub fn host(text: &str) -> Host {
    Host::parse(text.as_bytes()).unwrap()
}

pub async fn resolve(resolver: &Resolver, text: &str) -> Result<Resolved, ResolveError> {
    resolver.resolve(&host(text)).await
}

pub fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// A server that has `v4` for every A, `v6` for every AAAA.
pub async fn dual(v4: &'static [&'static str], v6: &'static [&'static str]) -> Names {
    Names::start(move |asked| match asked.kind {
        RecordType::A => Reply::Records(v4.iter().map(|ip| address(&asked.name, 60, ip)).collect()),
        _ => Reply::Records(v6.iter().map(|ip| address(&asked.name, 60, ip)).collect()),
    })
    .await
}
