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
    /// Who is asked for names that no forwarder claims, in the order of preference; never empty.
    pub servers: Vec<Server>,
    /// For one lookup, all servers and families together.
    pub timeout: Duration,
    /// Whether answers are validated.
    pub dnssec: Dnssec,
    /// Other servers for some domains; the longest domain wins, and no domain stands twice.
    pub forwarders: Vec<Forwarder>,
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server {
    /// Those that the machine is configured with.
    System,
    /// UDP, and TCP for long answers.
    Plain(SocketAddr),
    /// DNS over TLS (RFC 7858).
    Tls {
        /// What the certificate must name.
        name: Host,
        /// 853 unless given.
        port: u16,
        /// Where it is. Without one the machine's own resolver is asked once, at the start: whatever that says, the
        /// server must still prove its name.
        address: Option<IpAddr>,
    },
    /// DNS over HTTPS (RFC 8484).
    Https {
        /// What the certificate must name, the port, and the path: `/dns-query` unless given.
        url: Url,
        /// As for `Tls`.
        address: Option<IpAddr>,
    },
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
    /// Who is asked, in the order of preference; never empty.
    pub servers: Vec<Server>,
}

impl Dns {
    /// What holds where the file says nothing.
    pub(crate) fn system() -> Dns {
        Dns { servers: vec![Server::System], timeout: TIMEOUT, dnssec: Dnssec::None, forwarders: Vec::new() }
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

fn servers(node: &Node, reading: &mut Reading<'_>) -> Option<Vec<Server>> {
    each_once(node, reading, server)
}

/// The text is not a server.
#[derive(Debug, PartialEq, Eq)]
struct Malformed;

fn server(node: &Node, reading: &mut Reading<'_>) -> Option<Server> {
    let text = reading.text(node)?;
    match parse_server(text) {
        Ok(server) => Some(server),
        Err(Malformed) => {
            let help = "write `system`, IP, IP:port, tls://NAME[:PORT][@IP] or https://NAME[:PORT][/PATH][@IP]";
            reading.found.error_with_help(&node.place, format!("`{text}` is not a DNS server"), help);
            None
        }
    }
}

fn parse_server(text: &str) -> Result<Server, Malformed> {
    if text == "system" {
        return Ok(Server::System);
    }
    if let Some(rest) = text.strip_prefix("tls://") {
        let (authority, ip) = split_address(rest)?;
        let authority = Authority::parse_with_default(authority.as_bytes(), TLS_PORT);
        let Authority { host, port } = authority.map_err(|_| Malformed)?;
        let address = ip.or(host.ip());
        return Ok(Server::Tls { name: host, port, address });
    }
    if text.starts_with("https://") {
        let (url, ip) = split_address(text)?;
        let mut url = url::parse(url, &[("https", 443)]).ok_or(Malformed)?;
        if matches!(url.path.as_str(), "" | "/") {
            url.path = "/dns-query".to_owned();
        }
        let address = ip.or(url.host.ip());
        return Ok(Server::Https { url, address });
    }
    let plain = match text.parse::<IpAddr>() {
        Ok(ip) => SocketAddr::new(ip, PORT),
        Err(_) => text.parse().map_err(|_| Malformed)?,
    };
    let usable = plain.port() != 0 && !plain.ip().is_unspecified();
    if usable { Ok(Server::Plain(plain)) } else { Err(Malformed) }
}

/// Split off the `@IP` at the end.
fn split_address(text: &str) -> Result<(&str, Option<IpAddr>), Malformed> {
    match text.rsplit_once('@') {
        None => Ok((text, None)),
        Some((before, ip)) => match ip.parse::<IpAddr>() {
            Ok(ip) if !before.contains('@') && !ip.is_unspecified() => Ok((before, Some(ip))),
            Ok(_) | Err(_) => Err(Malformed),
        },
    }
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
        let plain = |text: &str| Ok(Server::Plain(text.parse().unwrap()));
        let tls = |name: &str, port, address: &str| {
            let name = Host::parse(name.as_bytes()).unwrap();
            Ok(Server::Tls { name, port, address: address.parse().ok() })
        };
        assert_eq!(parse_server("system"), Ok(Server::System));
        assert_eq!(parse_server("192.0.2.1"), plain("192.0.2.1:53"));
        assert_eq!(parse_server("127.0.0.1:5353"), plain("127.0.0.1:5353"));
        assert_eq!(parse_server("2001:db8::1"), plain("[2001:db8::1]:53"));
        assert_eq!(parse_server("[2001:db8::1]:54"), plain("[2001:db8::1]:54"));
        assert_eq!(parse_server("tls://Dns.example@192.0.2.1"), tls("dns.example", 853, "192.0.2.1"));
        assert_eq!(parse_server("tls://dns.example:8853@192.0.2.1"), tls("dns.example", 8853, "192.0.2.1"));
        assert_eq!(parse_server("tls://dns.example@2001:db8::1"), tls("dns.example", 853, "2001:db8::1"));
        assert_eq!(parse_server("tls://192.0.2.1"), tls("192.0.2.1", 853, "192.0.2.1"));
        let https = |text| match parse_server(text) {
            Ok(Server::Https { url, address }) => format!("{url} at {address:?}"),
            other => format!("{other:?}"),
        };
        assert_eq!(https("https://dns.example@192.0.2.1"), "https://dns.example:443/dns-query at Some(192.0.2.1)");
        assert_eq!(https("https://192.0.2.1:8443/q"), "https://192.0.2.1:8443/q at Some(192.0.2.1)");
    }

    #[test]
    fn a_server_may_be_given_by_name_alone() {
        let name = Host::parse(b"dns.example").unwrap();
        assert_eq!(parse_server("tls://dns.example:8853"), Ok(Server::Tls { name, port: 8853, address: None }));
        assert!(matches!(parse_server("https://dns.example/dns-query"), Ok(Server::Https { address: None, .. })));
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
            "tls://dns.example/q@192.0.2.1",
            "System",
            "010.0.0.1",
            "tls://a.example@0.0.0.0",
        ] {
            assert_eq!(parse_server(text), Err(Malformed), "{text}");
        }
    }
}
