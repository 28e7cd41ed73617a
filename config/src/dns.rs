//! `dns`: who is asked for addresses.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use gatepass_policy::host::{Authority, Host};

use crate::node::Node;
use crate::reading::{Reading, each_once, optional};
use crate::url::{self, Url};

/// DNS (RFC 1035) over UDP and TCP.
const PORT: u16 = 53;
/// DNS over TLS (RFC 7858 section 3.1).
const TLS_PORT: u16 = 853;

/// Who is asked, and how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    /// Who is asked for names that no forwarder claims.
    pub servers: Servers,
    /// For one lookup, all servers and families together.
    pub timeout: Duration,
    /// Whether answers are validated.
    pub dnssec: Dnssec,
    /// Other servers for some domains; the longest domain wins, and no domain stands twice.
    pub forwarders: Vec<Forwarder>,
}

/// A set of servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Servers {
    /// What the machine is configured with.
    System,
    /// These, in the order of preference; never empty.
    These(Vec<Server>),
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server {
    /// UDP, and TCP for long answers.
    Plain(SocketAddr),
    /// DNS over TLS (RFC 7858).
    Tls {
        /// What the certificate must name.
        name: Host,
        /// 853 unless given.
        port: u16,
        /// Where it is; without one, and with a name, the system's servers are asked.
        address: Option<IpAddr>,
    },
    /// DNS over HTTPS (RFC 8484); the path is `/dns-query` unless given.
    Https(Url),
}

/// Whether DNSSEC is validated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dnssec {
    /// No.
    None,
    /// Yes: a bogus answer is a failure.
    Validate,
}

/// Servers of one domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarder {
    /// Canonical; the domain and everything below it.
    pub domain: Arc<str>,
    /// Who is asked.
    pub servers: Servers,
}

impl Dns {
    /// What holds where the file says nothing.
    pub(crate) fn system() -> Dns {
        Dns { servers: Servers::System, timeout: TIMEOUT, dnssec: Dnssec::None, forwarders: Vec::new() }
    }
}

/// Two attempts of a second each reach past one lost packet; clients wait five.
const TIMEOUT: Duration = Duration::from_secs(2);
const TIMEOUT_RANGE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

pub(crate) fn convert(node: Option<&Node>, reading: &mut Reading<'_>) -> Option<Dns> {
    let default = Dns::system();
    let Some(node) = node else { return Some(default) };
    let [servers, timeout, dnssec, forwarders] =
        reading.fields(node, ["servers", "timeout", "dnssec", "forwarders"])?;
    let servers = optional(servers, reading, self::servers);
    let timeout = optional(timeout, reading, self::timeout);
    let dnssec = optional(dnssec, reading, |node, reading| {
        reading.choice(node, &[("none", Dnssec::None), ("validate", Dnssec::Validate)])
    });
    let forwarders = optional(forwarders, reading, self::forwarders);
    Some(Dns {
        servers: servers?.unwrap_or(default.servers),
        timeout: timeout?.unwrap_or(default.timeout),
        dnssec: dnssec?.unwrap_or(default.dnssec),
        forwarders: forwarders?.unwrap_or(default.forwarders),
    })
}

fn timeout(node: &Node, reading: &mut Reading<'_>) -> Option<Duration> {
    let timeout = reading.duration(node)?;
    let (least, most) = TIMEOUT_RANGE;
    if timeout < least || timeout > most {
        reading.found.error(&node.place, "`dns.timeout` goes from 100ms to 30s");
        return None;
    }
    Some(timeout)
}

fn servers(node: &Node, reading: &mut Reading<'_>) -> Option<Servers> {
    let read = each_once(node, reading, server)?;
    let given: Vec<Server> = read.iter().flatten().cloned().collect();
    match (given.len(), read.len()) {
        (0, _) => Some(Servers::System),
        (given_len, all) if given_len == all => Some(Servers::These(given)),
        _ => {
            let message = "`system` stands alone: beside other servers nobody could tell which answered";
            reading.found.error(&node.place, message);
            None
        }
    }
}

/// `None` inside stands for `system`.
fn server(node: &Node, reading: &mut Reading<'_>) -> Option<Option<Server>> {
    let wanted = "a DNS server: `system`, IP, IP:port, tls://name[:port][@IP] or https://url";
    reading.parsed(node, wanted, |text| match text {
        "system" => Some(None),
        _ => parse_server(text).map(Some),
    })
}

fn parse_server(text: &str) -> Option<Server> {
    if let Some(rest) = text.strip_prefix("tls://") {
        return parse_tls(rest);
    }
    if text.starts_with("https://") {
        let mut url = url::parse(text, &[("https", 443)])?;
        if matches!(url.path.as_str(), "" | "/") {
            url.path = "/dns-query".to_owned();
        }
        return Some(Server::Https(url));
    }
    let plain = match text.parse::<IpAddr>() {
        Ok(ip) => SocketAddr::new(ip, PORT),
        Err(_) => text.parse().ok()?,
    };
    (plain.port() != 0 && !plain.ip().is_unspecified()).then_some(Server::Plain(plain))
}

fn parse_tls(rest: &str) -> Option<Server> {
    let (authority, address) = match rest.split_once('@') {
        Some((authority, ip)) => (authority, Some(ip.parse().ok()?)),
        None => (rest, None),
    };
    let Authority { host, port } = Authority::parse_with_default(authority.as_bytes(), TLS_PORT).ok()?;
    let address = address.or(host.ip());
    Some(Server::Tls { name: host, port, address })
}

fn forwarders(node: &Node, reading: &mut Reading<'_>) -> Option<Vec<Forwarder>> {
    let items = reading.list(node)?;
    let mut forwarders: Vec<Forwarder> = Vec::new();
    for item in items {
        let Some(forwarder) = forwarder(item, reading) else { continue };
        if forwarders.iter().any(|other| other.domain == forwarder.domain) {
            reading.twice(item, &format!("`{}`", forwarder.domain));
        }
        forwarders.push(forwarder);
    }
    (forwarders.len() == items.len()).then_some(forwarders)
}

fn forwarder(node: &Node, reading: &mut Reading<'_>) -> Option<Forwarder> {
    let [domain, servers] = reading.fields(node, ["domain", "servers"])?;
    let domain = reading.required(node, domain, "domain").and_then(|node| {
        reading.parsed(node, "a domain such as `corp.example`", |text| match Host::parse(text.as_bytes()) {
            Ok(Host::Name(name)) => Some(name),
            Ok(Host::Ip(_)) | Err(_) => None,
        })
    });
    let servers = reading.required(node, servers, "servers").and_then(|node| self::servers(node, reading));
    Some(Forwarder { domain: domain?, servers: servers? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_naming_a_server_is_read() {
        let name = |text: &str| Host::parse(text.as_bytes()).unwrap();
        let tls = |host: &str, port, address: Option<&str>| {
            Some(Server::Tls { name: name(host), port, address: address.map(|ip| ip.parse().unwrap()) })
        };
        assert_eq!(parse_server("192.0.2.1"), Some(Server::Plain("192.0.2.1:53".parse().unwrap())));
        assert_eq!(parse_server("127.0.0.1:5353"), Some(Server::Plain("127.0.0.1:5353".parse().unwrap())));
        assert_eq!(parse_server("2001:db8::1"), Some(Server::Plain("[2001:db8::1]:53".parse().unwrap())));
        assert_eq!(parse_server("[2001:db8::1]:54"), Some(Server::Plain("[2001:db8::1]:54".parse().unwrap())));
        assert_eq!(parse_server("tls://Dns.example"), tls("dns.example", 853, None));
        assert_eq!(parse_server("tls://dns.example:8853@192.0.2.1"), tls("dns.example", 8853, Some("192.0.2.1")));
        assert_eq!(parse_server("tls://dns.example@2001:db8::1"), tls("dns.example", 853, Some("2001:db8::1")));
        assert_eq!(parse_server("tls://192.0.2.1"), tls("192.0.2.1", 853, Some("192.0.2.1")));
        let https = |text| match parse_server(text) {
            Some(Server::Https(url)) => url.to_string(),
            other => format!("{other:?}"),
        };
        assert_eq!(https("https://dns.example"), "https://dns.example:443/dns-query");
        assert_eq!(https("https://192.0.2.1:8443/q"), "https://192.0.2.1:8443/q");
    }

    #[test]
    fn anything_else_is_not_a_server() {
        for text in [
            "",
            "dns.example",
            "192.0.2.1:0",
            "0.0.0.0",
            "[2001:db8::1]",
            "192.0.2.1:70000",
            "udp://192.0.2.1",
            "tls://",
            "tls://dns.example@",
            "tls://dns.example@dns.example",
            "tls://a@1.1.1.1@2.2.2.2",
            "http://dns.example/q",
            "https://u@dns.example",
            "tls://dns.example/q",
            "System",
            "010.0.0.1",
        ] {
            assert_eq!(parse_server(text), None, "{text}");
        }
    }
}
