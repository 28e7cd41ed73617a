//! Facts of a record, for another policy to decide on.
//!
//! What a record does not keep is not known here either, and never made up: of a certificate its end; of a plain HTTP
//! request query, headers, media type and length; the ClientHello and the addresses where the decision came before them;
//! which classes a client declared where no rule read them.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use foldhash::fast::FixedState;
use gatepass_policy::PolicySet;
use gatepass_policy::address::{Floor, unmap};
use gatepass_policy::facts::{
    Classes, Facts, Hello, HttpRequest, Labels, Proof, Protocol, Resolved, ServerCertificate, Subject, Tls, Upstream,
};
use gatepass_policy::host::{Authority, Host};
use gatepass_policy::identity::{Identity, Method};
use gatepass_policy::schema::Attribute;
use jiff::Timestamp;

use super::{List, Pairs, Recorded};
use crate::evidence::otlp::message::Garbled;
use crate::evidence::text::LIST_MAX;

/// Hosts and identities that are remembered: some ten megabytes.
const KNOWN_MAX: usize = 65_536;

/// What no record keeps of the head of a request.
const HEAD: [Attribute; 4] = [
    Attribute::RequestQuery,
    Attribute::RequestHeaders,
    Attribute::RequestContentType,
    Attribute::RequestContentLength,
];

/// Whose word it is what an identity's labels and data classes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workloads {
    /// The policy's that decides now.
    OfPolicy,
    /// The record's.
    Recorded,
}

/// What is known of the gateway that the facts are for.
#[derive(Clone, Debug)]
pub enum Ground {
    /// A gateway that runs.
    Gateway(Arc<Floor>),
    /// Nothing but the registries, and whether the record says that development opened loopback.
    Registries,
}

/// Why a record has no facts to decide on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lack {
    /// Nobody asked, or for nothing: the request was never read so far.
    Unread,
    /// A name was cut or escaped when it was recorded, or is not one.
    Cut,
    /// The policy does not let the identity declare what it declared. Why, for people.
    ClassRefused(String),
}

impl From<Garbled> for Lack {
    fn from(_: Garbled) -> Lack {
        Lack::Cut
    }
}

/// A host with its tags in the policy's catalogue.
type Tagged = (Host, Arc<[Box<str>]>);

/// Makes facts for one policy.
pub struct Maker<'s> {
    set: &'s PolicySet,
    ground: Ground,
    workloads: Workloads,
    registries: Arc<Floor>,
    development: Arc<Floor>,
    /// Whether a rule looks at what no record keeps of a request.
    asks_head: bool,
    hosts: HashMap<Box<str>, Tagged, FixedState>,
    subjects: HashMap<Box<str>, Subject, FixedState>,
}

impl<'s> Maker<'s> {
    /// For this policy.
    pub fn new(set: &'s PolicySet, ground: Ground, workloads: Workloads) -> Maker<'s> {
        Maker {
            set,
            ground,
            workloads,
            registries: Arc::default(),
            development: Arc::new(Floor { development_loopback: true, ..Floor::default() }),
            asks_head: HEAD.iter().any(|attribute| set.uses(*attribute)),
            hosts: HashMap::default(),
            subjects: HashMap::default(),
        }
    }

    /// The facts, for a decision at `now` in this mode.
    ///
    /// # Errors
    ///
    /// Why there are none.
    pub fn facts(&mut self, record: &Recorded<'_>, now: Timestamp, mode: &Arc<str>) -> Result<Facts, Lack> {
        let port = record.port.and_then(|port| u16::try_from(port).ok());
        let (Some(port), false, false) = (port, record.identity.is_empty(), record.host.is_empty()) else {
            return Err(Lack::Unread);
        };
        if !is_whole(record.identity) {
            return Err(Lack::Cut);
        }
        let (host, tags) = self.host(record.host)?;
        let identity = match Method::named(record.method) {
            Some(method) => Identity::recorded(record.identity, method, record.cert_sha256),
            None => Identity::named(record.identity),
        };
        let protocol = match record.protocol {
            "http" => Protocol::Http,
            "transparent" => Protocol::Transparent,
            "connect" => Protocol::Connect,
            _ => return Err(Lack::Cut),
        };
        Ok(Facts {
            now,
            mode: Arc::clone(mode),
            source: source(record),
            listener: (!record.listener.is_empty()).then(|| record.listener.into()),
            subject: self.subject(&identity, record)?,
            identity,
            resolved: resolved(record, &host),
            destination: Authority { host, port },
            tags,
            protocol,
            request: (protocol == Protocol::Http && !self.asks_head).then(|| head(record)).flatten(),
            floor: self.floor(record),
            tls: tls(record, protocol),
            upstream: upstream(record),
        })
    }

    fn floor(&self, record: &Recorded<'_>) -> Arc<Floor> {
        Arc::clone(match &self.ground {
            Ground::Gateway(floor) => floor,
            Ground::Registries if record.floor == "development" => &self.development,
            Ground::Registries => &self.registries,
        })
    }

    fn host(&mut self, text: &str) -> Result<Tagged, Lack> {
        if let Some(known) = self.hosts.get(text) {
            return Ok(known.clone());
        }
        let host = host(text).ok_or(Lack::Cut)?;
        let tags = self.set.tags(&host);
        if self.hosts.len() >= KNOWN_MAX {
            self.hosts.clear();
        }
        self.hosts.insert(text.into(), (host.clone(), Arc::clone(&tags)));
        Ok((host, tags))
    }

    fn subject(&mut self, identity: &Identity, record: &Recorded<'_>) -> Result<Subject, Lack> {
        if record.data_classes_from == "declared" {
            let declared = record.data_classes.texts()?.join(",");
            let subject = self.set.subject(identity, Some(declared.as_bytes()));
            let subject = subject.map_err(|refused| Lack::ClassRefused(refused.to_string()))?;
            return match self.workloads {
                Workloads::OfPolicy => Ok(subject),
                // Which classes were registered is not on the record where declared ones decided.
                Workloads::Recorded => Ok(Subject { labels: labels(record.labels)?, ..subject }),
            };
        }
        match self.workloads {
            Workloads::OfPolicy => Ok(self.registered(identity)),
            Workloads::Recorded => Ok(Subject {
                labels: labels(record.labels)?,
                registered: classes(record.data_classes)?,
                declared: None,
            }),
        }
    }

    fn registered(&mut self, identity: &Identity) -> Subject {
        if let Some(known) = self.subjects.get(identity.id()) {
            return known.clone();
        }
        let subject = self.set.registered(identity);
        if self.subjects.len() >= KNOWN_MAX {
            self.subjects.clear();
        }
        self.subjects.insert(identity.id().into(), subject.clone());
        subject
    }
}

/// The host of a record, which writes addresses without brackets.
pub fn host(text: &str) -> Option<Host> {
    match text.parse::<IpAddr>() {
        Ok(ip) => Some(Host::Ip(unmap(ip))),
        Err(_) => Host::parse(text.as_bytes()).ok(),
    }
}

/// Whether a text is as it was before it was cleaned for the record.
pub fn is_whole(text: &str) -> bool {
    // Hardly any text has a backslash, or the first byte of the sign for what was cut.
    let plain = text.bytes().all(|byte| byte != b'\\' && byte != 0xe2);
    plain || (!text.contains("\\u{") && !text.contains("…[+"))
}

fn source(record: &Recorded<'_>) -> Option<SocketAddr> {
    let port = u16::try_from(record.client_port?).ok()?;
    Some(SocketAddr::new(record.client_address.parse().ok()?, port))
}

/// A list that is as long as lists on records may be had perhaps more entries.
fn all(list: List<'_>) -> Option<Vec<String>> {
    let texts = list.texts().ok()?;
    let whole = texts.len() < LIST_MAX && texts.iter().all(|text| is_whole(text));
    whole.then(|| texts.into_iter().map(str::to_owned).collect())
}

fn resolved(record: &Recorded<'_>, host: &Host) -> Option<Resolved> {
    if let Some(ip) = host.ip() {
        return Some(Resolved { answers: vec![ip], cname: Vec::new(), min_ttl: 0, secure: false });
    }
    let texts = record.addresses.texts().ok().filter(|texts| !texts.is_empty() && texts.len() < LIST_MAX)?;
    let answers: Option<Vec<IpAddr>> = texts.iter().map(|text| Some(unmap(text.parse().ok()?))).collect();
    Some(Resolved {
        answers: answers?,
        cname: all(record.cname)?,
        min_ttl: u32::try_from(record.min_ttl?).ok()?,
        secure: record.secure?,
    })
}

fn tls(record: &Recorded<'_>, protocol: Protocol) -> Option<Tls> {
    match (protocol, record.tls_present) {
        (Protocol::Http, _) | (_, Some(false)) => Some(Tls::Absent),
        (Protocol::Connect | Protocol::Transparent, None) => None,
        (Protocol::Connect | Protocol::Transparent, Some(true)) => {
            let sni = record.sni.map(str::to_owned);
            if sni.as_deref().is_some_and(|sni| !is_whole(sni)) {
                return None;
            }
            let (alpn, versions) = (all(record.alpn)?, all(record.versions)?);
            let ja4 = record.ja4.filter(|print| is_whole(print)).map(Box::from);
            Some(Tls::Hello(Hello { sni, alpn, versions, ech: record.ech?, ja4 }))
        }
    }
}

/// What the server proved. Where nobody had asked it is not known, and neither is what was cut for the record.
pub(super) fn upstream(record: &Recorded<'_>) -> Option<Arc<Upstream>> {
    let fault = || Box::from(record.fault);
    let proof = if record.verified? { Proof::Verified } else { Proof::Unverified(fault()) };
    let Some(not_after) = record.not_after else { return Some(Arc::new(Upstream::Nothing(fault()))) };
    let whole = |text: Option<&str>| text.filter(|text| is_whole(text)).map(str::to_owned);
    Some(Arc::new(Upstream::Shown(ServerCertificate {
        proof,
        dns_sans: all(record.sans),
        issuer: whole(record.issuer),
        spki_sha256: whole(record.spki_sha256),
        not_after: not_after.parse().ok(),
        tls_version: whole(record.tls_version),
    })))
}

/// Method and path. What else a head has is not on the record, and [`Maker`] hands this out only where nobody asks for it.
fn head(record: &Recorded<'_>) -> Option<HttpRequest> {
    let (method, path) = (record.request_method?, record.request_path?);
    (is_whole(method) && is_whole(path)).then(|| HttpRequest {
        method: method.to_owned(),
        path: path.to_owned(),
        query: String::new(),
        headers: std::collections::BTreeMap::new(),
        content_length: None,
    })
}

fn labels(pairs: Pairs<'_>) -> Result<Arc<Labels>, Lack> {
    let mut labels = Labels::new();
    pairs.each(|key, value| {
        labels.insert(key.into(), value.into());
    })?;
    let whole = labels.len() < LIST_MAX && labels.iter().all(|(key, value)| is_whole(key) && is_whole(value));
    if whole { Ok(Arc::new(labels)) } else { Err(Lack::Cut) }
}

fn classes(list: List<'_>) -> Result<Classes, Lack> {
    let mut classes: Vec<Box<str>> = all(list).ok_or(Lack::Cut)?.into_iter().map(Into::into).collect();
    if classes.is_empty() {
        return Err(Lack::Cut);
    }
    classes.sort_unstable();
    classes.dedup();
    Ok(classes.into())
}
