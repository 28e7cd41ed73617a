//! The resolver's settings, from `dns`.

use std::sync::Arc;

use gatepass_config::dns;
use gatepass_config::limits::Limits;

use crate::resolver;

/// What `dns` and the limits mean to the resolver; every server has an address by now.
pub(super) fn resolver_settings(dns: &gatepass_config::dns::Dns, limits: &Limits) -> resolver::Settings {
    let server = |server: &dns::Server| match server {
        dns::Server::System => resolver::Server::System,
        dns::Server::Plain(address) => resolver::Server::Plain(*address),
        dns::Server::Tls { name, port, address } => resolver::Server::Tls {
            name: name.to_text().into(),
            addresses: address.iter().copied().collect(),
            port: *port,
        },
        dns::Server::Https { url, address } => resolver::Server::Https {
            name: url.host.to_text().into(),
            addresses: address.iter().copied().collect(),
            port: url.port,
            path: if url.path.is_empty() { "/dns-query".into() } else { url.path.as_str().into() },
        },
    };
    let forwarder = |forwarder: &dns::Forwarder| resolver::Forwarder {
        domain: (*forwarder.domain).into(),
        servers: forwarder.servers.iter().map(server).collect(),
    };
    resolver::Settings {
        servers: dns.servers.iter().map(server).collect(),
        forwarders: dns.forwarders.iter().map(forwarder).collect(),
        dnssec: match dns.dnssec {
            dns::Dnssec::None => resolver::Dnssec::Ignore,
            dns::Dnssec::Validate => resolver::Dnssec::Validate,
        },
        roots: system_roots(dns),
        limits: resolver::Limits {
            timeout: dns.timeout,
            resolution_delay: limits.dns_resolution_delay,
            in_flight: limits.dns_lookups,
            max_answers: limits.dns_answers_max,
            cache_entries: limits.dns_cache_entries,
            max_ttl: limits.dns_ttl_max,
            max_negative_ttl: limits.dns_negative_ttl_max,
        },
    }
}

/// The addresses of name servers that are given by name alone, from the machine's own resolver, once. Whatever it says,
/// such a server must prove its name in TLS.
pub(super) async fn find_servers(dns: &dns::Dns) -> Result<dns::Dns, String> {
    let mut found = dns.clone();
    let forwarded = found.forwarders.iter_mut().flat_map(|forwarder| &mut forwarder.servers);
    for server in found.servers.iter_mut().chain(forwarded) {
        let (name, port, address) = match server {
            dns::Server::System | dns::Server::Plain(_) => continue,
            dns::Server::Tls { name, port, address } => (name.to_text().into_owned(), *port, address),
            dns::Server::Https { url, address } => (url.host.to_text().into_owned(), url.port, address),
        };
        if address.is_none() {
            let failed = |why: String| {
                format!("error: `dns`: the name server `{name}` cannot be found ({why}); write `{name}@IP`")
            };
            let mut addresses =
                tokio::net::lookup_host((name.as_str(), port)).await.map_err(|error| failed(error.to_string()))?;
            *address = Some(addresses.next().ok_or_else(|| failed("no address".to_owned()))?.ip());
        }
    }
    Ok(found)
}

/// The machine's trust anchors, read only where a name server is spoken to in TLS.
fn system_roots(dns: &gatepass_config::dns::Dns) -> Option<Arc<rustls::RootCertStore>> {
    let secure = |server: &dns::Server| matches!(server, dns::Server::Tls { .. } | dns::Server::Https { .. });
    let mut all = dns.servers.iter().chain(dns.forwarders.iter().flat_map(|forwarder| &forwarder.servers));
    all.any(secure).then(|| {
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    })
}
