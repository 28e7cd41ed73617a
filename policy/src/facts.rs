//! What a decision may look at, `now` included.
//!
//! Facts arrive in stages. `None` in a stage's field means *not yet*: a rule that needs it is pending. What will never
//! be known is a value of its own (`Tls::Absent`), so that a rule can test it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use jiff::Timestamp;

use crate::address::Floor;
use crate::host::Authority;
use crate::identity::Identity;

/// Labels of an identity.
pub type Labels = BTreeMap<Box<str>, Box<str>>;

/// A set of data classes, sorted, without repetition, never empty (`unclassified` stands for no label).
pub type Classes = Arc<[Box<str>]>;

/// How the client asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP CONNECT: a tunnel.
    Connect,
    /// A plain HTTP request in absolute form.
    Http,
    /// A redirected connection.
    Transparent,
}

impl Protocol {
    /// The spelling of `request.protocol`.
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Connect => "connect",
            Protocol::Http => "http",
            Protocol::Transparent => "transparent",
        }
    }
}

/// What the workload registry knows of an identity, and what the client declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Labels of the most specific matching entry.
    pub labels: Arc<Labels>,
    /// The classes that the registry gives this identity.
    pub registered: Classes,
    /// The narrower set that the client declared, already checked.
    pub declared: Option<Classes>,
}

/// What DNS said, or the literal itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Every address, unmapped, never empty.
    pub answers: Vec<IpAddr>,
    /// Canonical names on the way, lower case, no final dot.
    pub cname: Vec<String>,
    /// Smallest time to live in seconds; 0 for a literal.
    pub min_ttl: u32,
    /// Whether DNSSEC proved the answers.
    pub secure: bool,
}

/// What the client's first bytes in the tunnel were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Not a TLS ClientHello, or plain HTTP.
    Absent,
    /// A ClientHello.
    Hello(Hello),
}

/// The parts of a ClientHello that rules may ask about.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Hello {
    /// The server name, canonical where it is a host name, as sent otherwise; `None` where there is none.
    pub sni: Option<String>,
    /// Protocols offered; bytes that are not UTF-8 are escaped.
    pub alpn: Vec<String>,
    /// Versions offered: `1.3`, `1.2`, `1.1`, `1.0`.
    pub versions: Vec<String>,
    /// Whether an encrypted ClientHello extension is there.
    pub ech: bool,
    /// The JA4 fingerprint; `None` where it was not worked out, since no rule asked for it.
    pub ja4: Option<Box<str>>,
}

/// What the server at the dialled address proved to the gateway's own probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// It showed this certificate, and that it has the key.
    Shown(ServerCertificate),
    /// It proved nothing: it could not be reached, was too slow, or did not speak TLS. The text says which.
    Nothing(Box<str>),
}

/// The certificate of a server that has proved to have its key. A part that is `None` was not given: only an offline
/// question leaves one out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerCertificate {
    /// Whether it proves the host that was asked for.
    pub proof: Proof,
    /// Its DNS names, lower case, wildcards as they stand; what is no name is escaped.
    pub dns_sans: Option<Vec<String>>,
    /// Its issuer as RFC 4514 writes a name.
    pub issuer: Option<String>,
    /// SHA-256 of its SubjectPublicKeyInfo, lower-case hexadecimal.
    pub spki_sha256: Option<String>,
    /// Its notAfter.
    pub not_after: Option<Timestamp>,
    /// The version that the probe agreed on: `1.3` or `1.2`.
    pub tls_version: Option<String>,
}

/// What a chain of certificates proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It leads to an authority that the gateway trusts, is valid now, and names the host that was asked for.
    Verified,
    /// It does not; the text says why.
    Unverified(Box<str>),
}

/// The head of a plain HTTP request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    /// The method, as sent.
    pub method: String,
    /// The path without the query, at least `/`.
    pub path: String,
    /// The query without `?`; empty where there is none.
    pub query: String,
    /// Fields by lower-case name, values of several lines joined by `, `; credentials left out.
    pub headers: BTreeMap<String, String>,
    /// `Content-Length`, 0 without a body; `None` for a chunked body.
    pub content_length: Option<u64>,
}

/// Everything one decision looks at.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The one clock reading of this decision.
    pub now: Timestamp,
    /// The containment mode.
    pub mode: Arc<str>,
    /// The client's address; `None` only in an offline question.
    pub source: Option<SocketAddr>,
    /// The listener's name; `None` only in an offline question.
    pub listener: Option<Arc<str>>,
    /// Who asks.
    pub identity: Identity,
    /// What is known of who asks.
    pub subject: Subject,
    /// What was asked for.
    pub destination: Authority,
    /// Tags of the destination in the catalogue, sorted.
    pub tags: Arc<[Box<str>]>,
    /// How it was asked for.
    pub protocol: Protocol,
    /// The head, on plain HTTP. On a tunnel it never becomes known.
    pub request: Option<HttpRequest>,
    /// What the gateway knows of itself, for the address floor.
    pub floor: Arc<Floor>,
    /// Known from the resolved stage on.
    pub resolved: Option<Resolved>,
    /// Known from the tls stage on; on plain HTTP from the start.
    pub tls: Option<Tls>,
    /// Known from the certificate stage on, which is only where a rule asks. Without TLS there never is one, and rules
    /// see that from `tls`.
    pub upstream: Option<Arc<Upstream>>,
}
