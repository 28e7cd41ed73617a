//! From an attribute to its value in the facts, borrowed; or to why there is none.

use std::fmt::{self, Write};
use std::net::IpAddr;

use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};

use super::Reading;
use crate::address;
use crate::facts::{Facts, Hello, HttpRequest, Labels, Proof, Protocol, Resolved, ServerCertificate, Tls, Upstream};
use crate::host::Host;
use crate::schema::{Attribute, AttributeSet};

/// Why something has no value. The order is the precedence where two meet: what is not known yet may still change the
/// whole, and an error must not hide behind what the protocol cannot have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// The protocol can never have it: as an error inside an expression, false as a whole.
    Never,
    /// It cannot be evaluated on these facts.
    Error(&'static str),
    /// These are not known yet.
    Pending(AttributeSet),
}

impl Missing {
    /// What remains where neither of two operands has a value.
    pub(super) fn and(self, other: Missing) -> Missing {
        match (self, other) {
            (Missing::Pending(a), Missing::Pending(b)) => Missing::Pending(a.union(b)),
            (Missing::Pending(a), Missing::Error(_) | Missing::Never)
            | (Missing::Error(_) | Missing::Never, Missing::Pending(a)) => Missing::Pending(a),
            (Missing::Error(why), Missing::Error(_) | Missing::Never) | (Missing::Never, Missing::Error(why)) => {
                Missing::Error(why)
            }
            (Missing::Never, Missing::Never) => Missing::Never,
        }
    }
}

/// A value, or why there is none.
pub(super) type Known<T> = Result<T, Missing>;

/// A value, borrowed from the facts or the expression.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Text(&'a str),
    Ip(IpAddr),
    Network(IpNet),
    Time(Timestamp),
    Span(SignedDuration),
    Texts(Texts<'a>),
    Ints(&'a [i64]),
    Ips(&'a [IpAddr]),
    Map(TextMap<'a>),
}

/// A list of texts, as the facts keep it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Texts<'a> {
    Boxed(&'a [Box<str>]),
    Owned(&'a [String]),
}

impl<'a> Texts<'a> {
    pub(super) fn len(self) -> usize {
        match self {
            Texts::Boxed(list) => list.len(),
            Texts::Owned(list) => list.len(),
        }
    }

    pub(super) fn get(self, index: usize) -> Option<&'a str> {
        match self {
            Texts::Boxed(list) => list.get(index).map(|text| &**text),
            Texts::Owned(list) => list.get(index).map(|text| &**text),
        }
    }

    pub(super) fn iter(self) -> impl Iterator<Item = &'a str> {
        (0..self.len()).filter_map(move |index| self.get(index))
    }
}

/// Text to text, as the facts keep it.
#[derive(Clone, Copy, Debug)]
pub(super) enum TextMap<'a> {
    Labels(&'a Labels),
    Headers(&'a std::collections::BTreeMap<String, String>),
}

impl<'a> TextMap<'a> {
    pub(super) fn get(self, key: &str) -> Option<&'a str> {
        match self {
            TextMap::Labels(map) => map.get(key).map(|text| &**text),
            TextMap::Headers(map) => map.get(key).map(|text| &**text),
        }
    }

    pub(super) fn len(self) -> usize {
        match self {
            TextMap::Labels(map) => map.len(),
            TextMap::Headers(map) => map.len(),
        }
    }

    pub(super) fn keys(self) -> Vec<&'a str> {
        match self {
            TextMap::Labels(map) => map.keys().map(|key| &**key).collect(),
            TextMap::Headers(map) => map.keys().map(|key| &**key).collect(),
        }
    }
}

/// What one evaluation looks at.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) facts: &'a Facts,
    pub(super) reading: Reading,
    /// Texts that the facts do not keep as text.
    made: &'a Made,
    /// The variable of the macro being evaluated.
    pub(super) item: Value<'a>,
}

/// Room for the texts that the facts keep in another form, so that evaluation does not allocate.
#[derive(Default)]
pub(super) struct Made {
    host: Option<Short<45>>,
    content_type: Option<Short<CONTENT_TYPE_MAX>>,
}

/// A type and a subtype of 127 characters each (RFC 6838 section 4.2).
const CONTENT_TYPE_MAX: usize = 255;

impl Made {
    /// What an expression with these `uses` needs. Most need nothing: a host name is text already.
    #[inline]
    pub(super) fn of(facts: &Facts, uses: AttributeSet) -> Made {
        let media = uses.contains(Attribute::RequestContentType);
        match (&facts.destination.host, media) {
            (Host::Name(_), false) => Made::default(),
            (Host::Ip(_) | Host::Name(_), _) => Made::write(facts, media),
        }
    }

    #[cold]
    #[inline(never)]
    fn write(facts: &Facts, media: bool) -> Made {
        let host = facts.destination.host.ip().and_then(|ip| Short::of(format_args!("{ip}")));
        let header = facts.request.as_ref().filter(|_| media).and_then(|head| head.headers.get("content-type"));
        let content_type = header.and_then(|value| {
            let media = value.split(';').next().unwrap_or_default().trim();
            let mut short = Short::of(format_args!("{media}"))?;
            short.bytes.make_ascii_lowercase();
            Some(short)
        });
        Made { host, content_type }
    }
}

/// A short text without the heap.
struct Short<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Short<N> {
    fn of(text: fmt::Arguments<'_>) -> Option<Self> {
        let mut short = Short { bytes: [0; N], length: 0 };
        short.write_fmt(text).ok()?;
        Some(short)
    }

    fn as_str(&self) -> &str {
        self.bytes.get(..self.length).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

impl<const N: usize> Write for Short<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

impl<'a> Scope<'a> {
    pub(super) fn new(facts: &'a Facts, reading: Reading, made: &'a Made) -> Scope<'a> {
        Scope { facts, reading, made, item: Value::Null }
    }

    /// The same inside a macro, of which `item` is the element.
    pub(super) fn with(self, item: Value<'a>) -> Scope<'a> {
        Scope { item, ..self }
    }

    /// The attribute's value. One arm for each row of the table.
    #[inline]
    pub(super) fn read(&self, attribute: Attribute) -> Known<Value<'a>> {
        use Attribute as A;
        let facts = self.facts;
        let identity = &facts.identity;
        Ok(match attribute {
            A::SourceIp => Value::Ip(address::unmap(known(facts.source.as_ref(), attribute)?.ip())),
            A::SourcePort => Value::Int(known(facts.source.as_ref(), attribute)?.port().into()),
            A::ListenerName => Value::Text(known(facts.listener.as_deref(), attribute)?),
            A::IdentityId => Value::Text(identity.id()),
            A::IdentityMethod => Value::Text(identity.method().as_str()),
            A::IdentitySpiffeId => nullable(identity.spiffe_id()),
            A::IdentityTrustDomain => nullable(identity.trust_domain()),
            A::IdentityLabels => Value::Map(TextMap::Labels(&facts.subject.labels)),
            A::IdentityCertSha256 => nullable(identity.certificate().map(|certificate| &*certificate.sha256)),
            A::IdentityCertExpires => Value::Time(self.certificate_end()?),
            A::DestinationHost => Value::Text(self.host()),
            A::DestinationPort => Value::Int(facts.destination.port.into()),
            A::DestinationKind => Value::Text(if facts.destination.host.ip().is_some() { "ip" } else { "name" }),
            A::DestinationRegisteredDomain => nullable(facts.destination.host.registered_domain()),
            A::DestinationTags => Value::Texts(Texts::Boxed(&facts.tags)),
            A::DataClasses => Value::Texts(Texts::Boxed(self.classes().0)),
            A::DataClassesFrom => Value::Text(self.classes().1),
            A::RequestProtocol => Value::Text(facts.protocol.as_str()),
            A::Now => Value::Time(facts.now),
            A::Mode => Value::Text(&facts.mode),
            A::RequestMethod => Value::Text(&self.request(attribute)?.method),
            A::RequestPath => Value::Text(&self.request(attribute)?.path),
            A::RequestQuery => Value::Text(&self.request(attribute)?.query),
            A::RequestHeaders => Value::Map(TextMap::Headers(&self.request(attribute)?.headers)),
            A::RequestContentType => self.content_type(self.request(attribute)?)?,
            A::RequestContentLength => Value::Int(content_length(self.request(attribute)?)?),
            A::DnsAnswers => Value::Ips(&self.resolved(attribute)?.answers),
            A::DnsCname => Value::Texts(Texts::Owned(&self.resolved(attribute)?.cname)),
            A::DnsMinTtl => Value::Int(self.resolved(attribute)?.min_ttl.into()),
            A::DnsSecure => Value::Bool(self.resolved(attribute)?.secure),
            A::TlsPresent => Value::Bool(self.hello(attribute)?.is_some()),
            A::TlsSni => nullable(self.hello(attribute)?.and_then(|hello| hello.sni.as_deref())),
            A::TlsAlpn => Value::Texts(Texts::Owned(self.hello(attribute)?.map_or(&[], |hello| &*hello.alpn))),
            A::TlsVersions => Value::Texts(Texts::Owned(self.hello(attribute)?.map_or(&[], |hello| &*hello.versions))),
            A::TlsEch => Value::Bool(self.hello(attribute)?.is_some_and(|hello| hello.ech)),
            A::TlsJa4 => match self.hello(attribute)? {
                Some(hello) => Value::Text(known(hello.ja4.as_deref(), attribute)?),
                None => Value::Null,
            },
            A::UpstreamVerified => Value::Bool(match self.upstream(attribute)? {
                Upstream::Shown(certificate) => certificate.proof == Proof::Verified,
                Upstream::Nothing(_) => false,
            }),
            A::UpstreamDnsSans => {
                let names = self.certificate(attribute)?.dns_sans.as_deref();
                Value::Texts(Texts::Owned(known(names, attribute)?))
            }
            A::UpstreamIssuer => Value::Text(known(self.certificate(attribute)?.issuer.as_deref(), attribute)?),
            A::UpstreamSpkiSha256 => {
                Value::Text(known(self.certificate(attribute)?.spki_sha256.as_deref(), attribute)?)
            }
            A::UpstreamNotAfter => Value::Time(known(self.certificate(attribute)?.not_after, attribute)?),
            A::UpstreamTlsVersion => {
                Value::Text(known(self.certificate(attribute)?.tls_version.as_deref(), attribute)?)
            }
        })
    }

    /// The destination's host as text.
    #[inline]
    pub(super) fn host(&self) -> &'a str {
        match &self.facts.destination.host {
            Host::Name(name) => name,
            Host::Ip(_) => self.made.host.as_ref().map(Short::as_str).unwrap_or_default(),
        }
    }

    fn certificate_end(&self) -> Known<Timestamp> {
        let certificate = self.facts.identity.certificate();
        certificate.map(|certificate| certificate.expires).ok_or(Missing::Error("no client certificate was shown"))
    }

    fn classes(&self) -> (&'a [Box<str>], &'static str) {
        match (self.reading, &self.facts.subject.declared) {
            (Reading::Declared, Some(declared)) => (declared, "declared"),
            (Reading::Declared, None) | (Reading::Registered, _) => (&self.facts.subject.registered, "registered"),
        }
    }

    fn request(&self, attribute: Attribute) -> Known<&'a HttpRequest> {
        match (&self.facts.request, self.facts.protocol) {
            (Some(head), _) => Ok(head),
            // Only an offline question asks about plain HTTP without a head.
            (None, Protocol::Http) => Err(Missing::Pending(AttributeSet::one(attribute))),
            (None, Protocol::Connect | Protocol::Transparent) => Err(Missing::Never),
        }
    }

    fn content_type(&self, head: &HttpRequest) -> Known<Value<'a>> {
        match &self.made.content_type {
            Some(media) => Ok(Value::Text(media.as_str())),
            None if head.headers.contains_key("content-type") => Err(Missing::Error("the media type is too long")),
            None => Ok(Value::Null),
        }
    }

    fn resolved(&self, attribute: Attribute) -> Known<&'a Resolved> {
        known(self.facts.resolved.as_ref(), attribute)
    }

    #[inline]
    pub(super) fn hello(&self, attribute: Attribute) -> Known<Option<&'a Hello>> {
        Ok(match known(self.facts.tls.as_ref(), attribute)? {
            Tls::Absent => None,
            Tls::Hello(hello) => Some(hello),
        })
    }

    /// Only a client that speaks TLS has a server that does: there is nothing to probe for any other.
    fn upstream(&self, attribute: Attribute) -> Known<&'a Upstream> {
        let pending = Err(Missing::Pending(AttributeSet::one(attribute)));
        match (self.facts.protocol, &self.facts.tls, self.facts.upstream.as_deref()) {
            (Protocol::Http, _, _) | (_, Some(Tls::Absent), _) => Err(Missing::Never),
            (Protocol::Connect | Protocol::Transparent, Some(Tls::Hello(_)), Some(upstream)) => Ok(upstream),
            (Protocol::Connect | Protocol::Transparent, Some(Tls::Hello(_)), None) => pending,
            (Protocol::Connect | Protocol::Transparent, None, _) => pending,
        }
    }

    /// An error where there is none, not null and not empty: what was not seen must neither match nor fail to match.
    fn certificate(&self, attribute: Attribute) -> Known<&'a ServerCertificate> {
        match self.upstream(attribute)? {
            Upstream::Shown(certificate) => Ok(certificate),
            Upstream::Nothing(_) => Err(Missing::Error("the probe of the server got no certificate")),
        }
    }
}

fn known<T>(fact: Option<T>, attribute: Attribute) -> Known<T> {
    fact.ok_or(Missing::Pending(AttributeSet::one(attribute)))
}

fn nullable(text: Option<&str>) -> Value<'_> {
    text.map_or(Value::Null, Value::Text)
}

fn content_length(head: &HttpRequest) -> Known<i64> {
    let length = head.content_length.ok_or(Missing::Error("the body is chunked: its length is not declared"))?;
    i64::try_from(length).map_err(|_| Missing::Error("the declared length is not a number that can be compared"))
}
