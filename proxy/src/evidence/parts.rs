//! The nested objects of a record.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use gatepass_policy::decision::{Effect, FailedClause, Reason, RuleInfo};
use gatepass_policy::facts::Labels;
use jiff::Timestamp;
use serde::Serialize;

use super::spelling;
use super::text::Text;

/// Why: the code, and a sentence about this very case.
#[derive(Clone, Debug, Serialize)]
pub struct ReasonText {
    /// One of a closed list.
    #[serde(serialize_with = "spelling::reason")]
    pub code: Reason,
    /// A sentence.
    pub text: Text,
}

/// What is said of a rule.
#[derive(Clone, Debug)]
pub struct Rule(pub Arc<RuleInfo>);

/// An allow that almost matched.
#[derive(Clone, Debug)]
pub struct Near {
    /// The rule.
    pub rule: Arc<RuleInfo>,
    /// What stood in the way, cleaned.
    pub failed: Vec<FailedClause>,
}

/// A rule in shadow, and what it would have said.
#[derive(Clone, Debug, Serialize)]
pub struct ShadowRule {
    /// `<document id>/<rule id>`.
    pub rule: Text,
    /// Its effect.
    #[serde(serialize_with = "spelling::effect")]
    pub effect: Effect,
}

/// Who asked.
#[derive(Clone, Debug, Serialize)]
pub struct Who {
    /// The identity.
    pub id: Text,
    /// How it was established.
    pub method: &'static str,
    /// The registry's labels.
    #[serde(skip_serializing_if = "spelling::no_labels", serialize_with = "spelling::labels")]
    pub labels: Arc<Labels>,
    /// SHA-256 of the client certificate, lower-case hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_sha256: Option<Text>,
}

/// An address and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Socket {
    /// The address.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
}

impl From<SocketAddr> for Socket {
    fn from(socket: SocketAddr) -> Socket {
        Socket { address: gatepass_policy::address::unmap(socket.ip()), port: socket.port() }
    }
}

/// What was asked for, and what was dialled.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Destination {
    /// The canonical host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<Text>,
    /// The port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The registered domain of the host, by the public suffix list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<Text>,
    /// Whether this identity reaches this domain for the first time, as far as the gateway remembers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<bool>,
    /// What the client wrote, where that is not an authority; user information and query left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<Text>,
    /// Every address of the name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpAddr>,
    /// The address that was dialled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
}

/// What DNS said beside the addresses.
#[derive(Clone, Debug, Serialize)]
pub struct Dns {
    /// The chain of canonical names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cname: Vec<Text>,
    /// The smallest time to live, in seconds.
    pub min_ttl: u32,
    /// Whether DNSSEC proved the answers.
    pub secure: bool,
}

/// What the client's first bytes were.
#[derive(Clone, Debug, Serialize)]
pub struct TlsFacts {
    /// Whether they were a TLS ClientHello.
    pub present: bool,
    /// The server name asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sni: Option<Text>,
    /// The protocols offered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alpn: Vec<Text>,
    /// The versions offered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<Text>,
    /// Whether an encrypted ClientHello extension was there; absent without a hello.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ech: Option<bool>,
    /// The JA4 fingerprint; absent where no rule asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ja4: Option<Text>,
}

/// What the server proved to the gateway's own probe; only where a rule asked.
#[derive(Clone, Debug, Default, Serialize)]
pub struct UpstreamFacts {
    /// Whether it proved the host that was asked for.
    pub verified: bool,
    /// Why it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<Text>,
    /// The DNS names in its certificate.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns_sans: Vec<Text>,
    /// The issuer of its certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<Text>,
    /// SHA-256 of its public key, lower-case hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spki_sha256: Option<Text>,
    /// The end of its certificate.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "spelling::some_time")]
    pub not_after: Option<Timestamp>,
    /// The TLS version of the probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_version: Option<Text>,
}

/// How it was asked for.
#[derive(Clone, Debug, Serialize)]
pub struct Request {
    /// `connect`, `http` or `transparent`.
    pub protocol: &'static str,
    /// The method, on plain HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<Text>,
    /// The path without the query, on plain HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<Text>,
}

/// Which policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyRef {
    /// The bundle's name.
    pub bundle: Text,
    /// `sha256:<hex>` over its files.
    pub digest: Text,
    /// The serial number of a signed bundle, otherwise 0.
    pub serial: u64,
}

impl PolicyRef {
    /// Made once when a policy is activated; clones are cheap.
    pub fn new(bundle: &str, digest: &str, serial: u64) -> PolicyRef {
        PolicyRef { bundle: Text::name(bundle), digest: Text::name(digest), serial }
    }
}

/// The span of a request, as in W3C Trace Context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Trace {
    /// The trace, 32 lower-case hexadecimal digits.
    #[serde(serialize_with = "spelling::hex")]
    pub id: [u8; 16],
    /// The SERVER span, 16 lower-case hexadecimal digits.
    #[serde(serialize_with = "spelling::hex")]
    pub span: [u8; 8],
}

/// How long the parts took, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Timings {
    /// All stages of the decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decide_us: Option<u64>,
    /// The DNS answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns_us: Option<u64>,
    /// The dial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dial_us: Option<u64>,
    /// The probe of the server's certificate, or the wait for one that was under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe_us: Option<u64>,
}

impl Timings {
    /// Whether nothing was measured.
    pub fn is_empty(&self) -> bool {
        *self == Timings::default()
    }
}
