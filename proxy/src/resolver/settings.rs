//! What a resolver is built from, and why it may not be: servers, forwarders, bounds.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;

/// A name server, and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server {
    /// Every `nameserver` of `/etc/resolv.conf`, read once. Its `search`, `domain` and `options` are not for a gateway
    /// and are ignored, and so is `/etc/hosts`: a name means the same on every gateway.
    System,
    /// UDP, and TCP where the answer does not fit.
    Plain(SocketAddr),
    /// DNS over TLS (RFC 7858).
    Tls {
        /// The name that the certificate must prove; an IP address in its text form is one too.
        name: Arc<str>,
        /// Where it is. Never looked up: a server that must be trusted is not found by asking one that is not. Empty
        /// only where `name` is an IP address.
        addresses: Vec<IpAddr>,
        /// 853 unless said otherwise.
        port: u16,
    },
    /// DNS over HTTPS, HTTP/2 (RFC 8484).
    Https {
        /// As for `Tls`.
        name: Arc<str>,
        /// As for `Tls`.
        addresses: Vec<IpAddr>,
        /// 443 unless said otherwise.
        port: u16,
        /// The path of the question, `/dns-query` unless said otherwise.
        path: Arc<str>,
    },
}

/// The servers of a domain of one's own (split horizon).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarder {
    /// Canonical name; it and all names below it are asked here and nowhere else. The longest suffix wins.
    pub domain: Box<str>,
    /// At least one.
    pub servers: Vec<Server>,
}

/// Whether answers are checked by the gateway itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dnssec {
    /// No answer is `secure`, whatever the server says of it.
    Ignore,
    /// Every answer is validated from the root's keys (RFC 4035): proven is `secure`, proven to be in an unsigned zone
    /// is used, anything else fails. Answers of forwarders are not validated, since a private zone has no chain from
    /// the root; they are never `secure`.
    Validate,
}

/// Bounds of the resolver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The whole of one lookup: both families, every server, every retry, aliases and validation.
    pub timeout: Duration,
    /// How long the other family is waited for after the first has answered; RFC 8305 section 3 recommends 50 ms. What
    /// comes later is not used.
    pub resolution_delay: Duration,
    /// Lookups under way at the same time, on the wire. One more fails at once.
    pub in_flight: usize,
    /// Addresses in one answer. One more fails the lookup: a part of an answer is not checked as if it were the whole.
    pub max_answers: usize,
    /// Names kept in the cache, found and absent ones together; 0 keeps none.
    pub cache_entries: usize,
    /// Longest time that an answer is kept, whatever its TTL.
    pub max_ttl: Duration,
    /// The same for the answer that there is none (RFC 2308).
    pub max_negative_ttl: Duration,
}

/// Everything that a resolver is made of.
#[derive(Clone, Debug)]
pub struct Settings {
    /// In order of preference, at least one.
    pub servers: Vec<Server>,
    /// Domains that have servers of their own.
    pub forwarders: Vec<Forwarder>,
    /// Applies to `servers`.
    pub dnssec: Dnssec,
    /// Who may vouch for a server that is spoken to in TLS; needed where there is one.
    pub roots: Option<Arc<RootCertStore>>,
    /// Bounds.
    pub limits: Limits,
}

/// Why settings make no resolver. The text is for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingsError {
    /// A list of servers is empty: the default one, or a forwarder's.
    NoServer(Option<Box<str>>),
    /// `/etc/resolv.conf` cannot be read, or names no server.
    System(String),
    /// A server by name without an address.
    NoAddress(Arc<str>),
    /// A server's name that no certificate could prove.
    ServerName(Arc<str>),
    /// A TLS server, and no roots.
    NoRoots(Arc<str>),
    /// A forwarder's domain that is not a name, or stands twice.
    Domain(Box<str>),
    /// The TLS library refused.
    Tls(String),
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SettingsError::NoServer(None) => f.write_str("no name server is given: name one, or say `system`"),
            SettingsError::NoServer(Some(domain)) => write!(f, "the forwarder for `{domain}` has no server: name one"),
            SettingsError::System(why) => {
                write!(f, "`system` has no name server in `/etc/resolv.conf` ({why}): name one by its address")
            }
            SettingsError::NoAddress(name) => {
                write!(f, "the name server `{name}` has no address, and is not looked up: write `{name}@ADDRESS`")
            }
            SettingsError::ServerName(name) => {
                write!(f, "`{name}` is not a name that a certificate could prove: write a host name or an address")
            }
            SettingsError::NoRoots(name) => {
                write!(f, "there are no trusted roots to check the name server `{name}` against: configure some")
            }
            SettingsError::Domain(domain) => {
                write!(f, "the forwarder's domain `{domain}` is not a name, or stands twice: write each name once")
            }
            SettingsError::Tls(why) => write!(f, "tls for name servers cannot be set up: {why}"),
        }
    }
}

impl std::error::Error for SettingsError {}
