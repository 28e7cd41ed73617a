//! The attributes an expression may use: one table for checking, documentation, explanation and completion.
//!
//! An attribute has one name, one type and one stage. A rule has no stages of its own: they follow from the attributes
//! it uses.

use std::fmt;

/// The moment a fact becomes known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// Who asks, and for what: before any DNS question.
    Request,
    /// The addresses behind the name: before any dial.
    Resolved,
    /// The ClientHello, or its absence: before any byte flows.
    Tls,
    /// What the server proves to the gateway's own probe: before any byte flows.
    Certificate,
}

impl Stage {
    /// The spelling in records and traces.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Request => "request",
            Stage::Resolved => "resolved",
            Stage::Tls => "tls",
            Stage::Certificate => "certificate",
        }
    }
}

impl Stage {
    /// Every stage at which something becomes known, in their order.
    pub fn all() -> Vec<Stage> {
        let mut stages: Vec<Stage> = ATTRIBUTES.iter().map(|row| row.stage).collect();
        stages.sort_unstable();
        stages.dedup();
        stages
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The type of an attribute or an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// `true` or `false`.
    Bool,
    /// A signed 64-bit integer.
    Int,
    /// Text that is always there.
    String,
    /// Text or null. `null == x` is false and `null != x` true for every text `x`; nothing else may be asked of null.
    NullableString,
    /// An IP address, IPv4-mapped forms unwrapped.
    Ip,
    /// A moment.
    Timestamp,
    /// A length of time.
    Duration,
    /// A list of texts.
    StringList,
    /// A list of IP addresses, never empty.
    IpList,
    /// A list of whole numbers; only a literal.
    IntList,
    /// Text to text; a missing key is an error unless `has()` asked first.
    StringMap,
    /// A network in CIDR form (the result of `cidr()`).
    Cidr,
    /// The literal `null`.
    Null,
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Type::Bool => "bool",
            Type::Int => "int",
            Type::String => "string",
            Type::NullableString => "string or null",
            Type::Ip => "IP address",
            Type::Timestamp => "timestamp",
            Type::Duration => "duration",
            Type::StringList => "list of string",
            Type::IpList => "list of IP address",
            Type::IntList => "list of int",
            Type::StringMap => "map of string to string",
            Type::Cidr => "network",
            Type::Null => "null",
        })
    }
}

/// Whether an attribute can be used, or is only reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// It can be used.
    Built,
    /// Part of the language, not of this version: using it is a load error that says so.
    NotYet,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Which attribute.
    pub attribute: Attribute,
    /// The dotted name, as written.
    pub name: &'static str,
    /// Its type.
    pub ty: Type,
    /// When it is known.
    pub stage: Stage,
    /// Whether it can be used in this version.
    pub support: Support,
    /// One sentence for documentation and completion.
    pub doc: &'static str,
}

macro_rules! attributes {
    ($($variant:ident $name:literal $ty:ident $stage:ident $support:ident $doc:literal;)*) => {
        /// One attribute of the language.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Attribute {
            $(#[doc = $doc] $variant,)*
        }

        /// Every attribute, in the order of the documentation.
        pub const ATTRIBUTES: &[Row] = &[
            $(Row {
                attribute: Attribute::$variant, name: $name, ty: Type::$ty, stage: Stage::$stage,
                support: Support::$support, doc: $doc,
            },)*
        ];
    };
}

attributes! {
    SourceIp "source.ip" Ip Request Built "The client's address.";
    SourcePort "source.port" Int Request Built "The client's port.";
    ListenerName "listener.name" String Request Built "The name of the listener that took the connection.";
    IdentityId "identity.id" String Request Built "Who asks: a SPIFFE URI, `dns:NAME`, `token:NAME`, `network:NAME` or `anonymous`.";
    IdentityMethod "identity.method" String Request Built "How that was established: `mtls`, `jwt`, `token`, `network` or `none`.";
    IdentitySpiffeId "identity.spiffe_id" NullableString Request Built "The SPIFFE URI, or null.";
    IdentityTrustDomain "identity.trust_domain" NullableString Request Built "The trust domain of the SPIFFE URI, or null.";
    IdentityLabels "identity.labels" StringMap Request Built "The labels that the workload registry gives this identity.";
    IdentityCertSha256 "identity.cert_sha256" NullableString Request Built "SHA-256 of the client certificate, lower-case hexadecimal, or null.";
    IdentityCertExpires "identity.cert_expires" Timestamp Request Built "The end of the client certificate; an error where there is none.";
    DestinationHost "destination.host" String Request Built "The host asked for: lower case, A-labels, no final dot.";
    DestinationPort "destination.port" Int Request Built "The port asked for.";
    DestinationKind "destination.kind" String Request Built "`name` or `ip`.";
    DestinationRegisteredDomain "destination.registered_domain" NullableString Request Built "The registered domain of the host by the public suffix list, or null.";
    DestinationTags "destination.tags" StringList Request Built "The tags that the catalogue gives the host.";
    DataClasses "data_classes" StringList Request Built "The classes of data this connection carries, as this rule may read them.";
    DataClassesFrom "data_classes_from" String Request Built "`registered`, or `declared` where the client narrowed them.";
    RequestProtocol "request.protocol" String Request Built "`connect`, `http` or `transparent`.";
    Now "now" Timestamp Request Built "The one moment of this decision.";
    Mode "mode" String Request Built "The containment mode.";
    RequestMethod "request.method" String Request Built "The method, on plain HTTP.";
    RequestPath "request.path" String Request Built "The path without the query, on plain HTTP.";
    RequestQuery "request.query" String Request Built "The query without its question mark, on plain HTTP; empty where there is none.";
    RequestHeaders "request.headers" StringMap Request Built "Fields by lower-case name, on plain HTTP; several lines are joined by `, `; credentials are left out.";
    RequestContentType "request.content_type" NullableString Request Built "The media type, on plain HTTP, or null.";
    RequestContentLength "request.content_length" Int Request Built "The declared length of the body in bytes, on plain HTTP; 0 without a body, an error for a chunked one.";
    DnsAnswers "dns.answers" IpList Resolved Built "Every address of the name; for an IP literal, that address.";
    DnsCname "dns.cname" StringList Resolved Built "The chain of canonical names that led to the addresses.";
    DnsMinTtl "dns.min_ttl" Int Resolved Built "The smallest time to live among the answers, in seconds.";
    DnsSecure "dns.secure" Bool Resolved Built "Whether DNSSEC proved the answers; false where validation is off.";
    TlsPresent "tls.present" Bool Tls Built "Whether the client began with a TLS ClientHello.";
    TlsSni "tls.sni" NullableString Tls Built "The server name that the client asked for, or null.";
    TlsAlpn "tls.alpn" StringList Tls Built "The protocols that the client offered.";
    TlsVersions "tls.versions" StringList Tls Built "The TLS versions that the client offered, such as `1.3`.";
    TlsEch "tls.ech" Bool Tls Built "Whether the hello carries an encrypted ClientHello extension (RFC 9849).";
    TlsJa4 "tls.ja4" NullableString Tls Built "The JA4 fingerprint of the hello, or null where there is no hello.";
    UpstreamVerified "upstream.verified" Bool Certificate Built "Whether the server proved the host to the gateway's own probe; false where the probe got no certificate.";
    UpstreamDnsSans "upstream.dns_sans" StringList Certificate Built "The DNS names in the server's certificate, lower case; an error where the probe got none.";
    UpstreamIssuer "upstream.issuer" String Certificate Built "The issuer of the server's certificate as RFC 4514 writes it (`CN=R3,O=Let's Encrypt,C=US`); an error where the probe got none.";
    UpstreamSpkiSha256 "upstream.spki_sha256" String Certificate Built "SHA-256 of the server's public key (SubjectPublicKeyInfo), lower-case hexadecimal; an error where the probe got none.";
    UpstreamNotAfter "upstream.not_after" Timestamp Certificate Built "The end of the server's certificate; an error where the probe got none.";
    UpstreamTlsVersion "upstream.tls_version" String Certificate Built "The TLS version of the probe, `1.3` or `1.2`; an error where it got no certificate.";
}

impl Attribute {
    /// Its row in the table.
    pub fn row(self) -> &'static Row {
        // The enum and the table come from one macro invocation, in one order.
        #[expect(clippy::indexing_slicing, reason = "the discriminant of an attribute is its index in the table")]
        &ATTRIBUTES[self as usize]
    }

    /// The attribute of this dotted name.
    pub fn named(name: &str) -> Option<Attribute> {
        ATTRIBUTES.iter().find(|row| row.name == name).map(|row| row.attribute)
    }
}

/// A set of attributes: what a rule uses, or what a decision waits for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct AttributeSet(u64);

const _: () = assert!(ATTRIBUTES.len() <= 64, "AttributeSet is one word");

impl AttributeSet {
    /// No attribute.
    pub const EMPTY: AttributeSet = AttributeSet(0);

    /// Just this one.
    pub const fn one(attribute: Attribute) -> AttributeSet {
        AttributeSet(1 << attribute as u8)
    }

    /// Both sets.
    #[must_use]
    pub const fn union(self, other: AttributeSet) -> AttributeSet {
        AttributeSet(self.0 | other.0)
    }

    /// Whether nothing is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether `attribute` is in it.
    pub const fn contains(self, attribute: Attribute) -> bool {
        self.0 & (1 << attribute as u8) != 0
    }

    /// The attributes, in the order of the table.
    pub fn iter(self) -> impl Iterator<Item = Attribute> {
        ATTRIBUTES.iter().map(|row| row.attribute).filter(move |a| self.contains(*a))
    }

    /// The latest stage among them: when all will be known.
    pub fn last_stage(self) -> Option<Stage> {
        self.iter().map(|a| a.row().stage).max()
    }
}

impl fmt::Debug for AttributeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|a| a.row().name)).finish()
    }
}
