//! How something can be asked for: port, protocol, where from, and the head of a plain HTTP request.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::answers;
use super::side::Candidates;
use super::values;
use crate::expr::{Landmarks, Spot};
use crate::facts::{HttpRequest, Protocol};
use crate::schema::{Attribute, AttributeSet};

/// One way of asking.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) port: u16,
    pub(super) protocol: Protocol,
    pub(super) request: Option<HttpRequest>,
    pub(super) source: Option<SocketAddr>,
    pub(super) listener: Option<Arc<str>>,
}

/// From how many ways of asking on they are not all tried.
const ASKS_MAX: usize = 20_000;

const OF_A_REQUEST: [Attribute; 6] = [
    Attribute::RequestMethod,
    Attribute::RequestPath,
    Attribute::RequestQuery,
    Attribute::RequestHeaders,
    Attribute::RequestContentType,
    Attribute::RequestContentLength,
];

/// Every way that rules tell apart. `port`: only this one.
pub(super) fn asks(
    candidates: &[Candidates<'_>],
    landmarks: &Landmarks,
    port: Option<u16>,
) -> (Vec<Ask>, AttributeSet) {
    let (mut found, mut vague) = (Vec::new(), AttributeSet::EMPTY);
    let ports = match port {
        Some(port) => vec![port],
        None => ports(candidates, landmarks),
    };
    let (sources, listeners) = (sources(landmarks), listeners(landmarks, &mut vague));
    for protocol in protocols(landmarks) {
        let requests = match protocol {
            Protocol::Http => requests(landmarks, &mut vague),
            Protocol::Connect | Protocol::Transparent => vec![None],
        };
        for (port, request) in ports.iter().flat_map(|port| requests.iter().map(move |request| (*port, request))) {
            for (source, listener) in sources.iter().flat_map(|s| listeners.iter().map(move |l| (*s, l))) {
                found.push(Ask { port, protocol, request: request.clone(), source, listener: listener.clone() });
                if found.len() >= ASKS_MAX {
                    return (found, vague.union(AttributeSet::one(Attribute::RequestProtocol)));
                }
            }
        }
    }
    (found, vague)
}

/// Every port that a rule names, and one that none names.
fn ports(candidates: &[Candidates<'_>], landmarks: &Landmarks) -> Vec<u16> {
    let mut marks = landmarks.of(Attribute::DestinationPort);
    let mut ports: BTreeSet<u16> =
        candidates.iter().flat_map(Candidates::all).flat_map(|rule| rule.ports.iter().copied()).collect();
    let free = (1..=u16::MAX).rev().find(|port| !ports.contains(port) && !marks.numbers.contains(&(*port).into()));
    ports.extend(free);
    if !marks.numbers.is_empty() {
        marks.numbers.extend(ports.iter().map(|port| i64::from(*port)));
        ports.extend(values::numbers(&marks, 1, 65_535).into_iter().filter_map(|n| u16::try_from(n).ok()));
    }
    ports.into_iter().collect()
}

fn protocols(landmarks: &Landmarks) -> Vec<Protocol> {
    let uses = |attribute: &Attribute| landmarks.uses.contains(*attribute);
    let mut found = vec![Protocol::Connect];
    if uses(&Attribute::RequestProtocol) || OF_A_REQUEST.iter().any(uses) {
        found.push(Protocol::Http);
    }
    if uses(&Attribute::RequestProtocol) {
        found.push(Protocol::Transparent);
    }
    found
}

fn sources(landmarks: &Landmarks) -> Vec<Option<SocketAddr>> {
    let uses = |attribute| landmarks.uses.contains(attribute);
    if !uses(Attribute::SourceIp) && !uses(Attribute::SourcePort) {
        return vec![None];
    }
    let networks = landmarks.of(Attribute::SourceIp).networks;
    let ports = values::numbers(&landmarks.of(Attribute::SourcePort), 1, 65_535);
    let ports: Vec<u16> = ports.into_iter().filter_map(|n| u16::try_from(n).ok()).collect();
    let ports = if uses(Attribute::SourcePort) { ports } else { vec![40_000] };
    let addresses: Vec<IpAddr> = answers::points(&networks);
    addresses.iter().flat_map(|ip| ports.iter().map(|port| Some(SocketAddr::new(*ip, *port)))).collect()
}

fn listeners(landmarks: &Landmarks, vague: &mut AttributeSet) -> Vec<Option<Arc<str>>> {
    if !landmarks.uses.contains(Attribute::ListenerName) {
        return vec![None];
    }
    let (names, cover) = values::texts(&landmarks.of(Attribute::ListenerName), "another-listener");
    blur(vague, cover, Attribute::ListenerName);
    names.into_iter().map(|name| Some(Arc::from(name))).collect()
}

fn requests(landmarks: &Landmarks, vague: &mut AttributeSet) -> Vec<Option<HttpRequest>> {
    if !OF_A_REQUEST.iter().any(|attribute| landmarks.uses.contains(*attribute)) {
        return vec![None];
    }
    let mut texts = |attribute: Attribute, fresh: &str| -> Vec<String> {
        if !landmarks.uses.contains(attribute) {
            return vec![fresh.to_owned()];
        }
        let (found, cover) = values::texts(&landmarks.of(attribute), fresh);
        blur(vague, cover, attribute);
        found.into_iter().collect()
    };
    let methods = texts(Attribute::RequestMethod, "PATCH");
    let paths = texts(Attribute::RequestPath, "/other");
    let mut queries = texts(Attribute::RequestQuery, "other=1");
    if landmarks.uses.contains(Attribute::RequestQuery) {
        queries.push(String::new());
    }
    let headers = headers(landmarks, vague);
    let lengths = lengths(landmarks);
    let mut found = Vec::new();
    for (method, path) in methods.iter().flat_map(|method| paths.iter().map(move |path| (method, path))) {
        for (query, fields) in queries.iter().flat_map(|query| headers.iter().map(move |fields| (query, fields))) {
            for length in &lengths {
                found.push(Some(HttpRequest {
                    method: method.clone(),
                    path: path.clone(),
                    query: query.clone(),
                    headers: fields.clone(),
                    content_length: *length,
                }));
            }
        }
    }
    found
}

/// Each field that is asked for: absent, with each value that is looked for, and with another.
fn headers(landmarks: &Landmarks, vague: &mut AttributeSet) -> Vec<BTreeMap<String, String>> {
    let mut found = vec![BTreeMap::new()];
    let mut add = |name: &str, values: BTreeSet<String>| {
        let without = found.clone();
        for value in values {
            found.extend(without.iter().cloned().map(|mut fields| {
                fields.insert(name.to_owned(), value.clone());
                fields
            }));
        }
    };
    for key in landmarks.keys(Attribute::RequestHeaders) {
        let marks = landmarks.at(&Spot::Key(Attribute::RequestHeaders, key.into())).cloned().unwrap_or_default();
        let (values, cover) = values::texts(&marks, "other");
        blur(vague, cover, Attribute::RequestHeaders);
        add(key, values);
    }
    if landmarks.uses.contains(Attribute::RequestContentType) {
        let marks = landmarks.of(Attribute::RequestContentType);
        let (values, cover) = values::texts(&marks, "application/other");
        blur(vague, cover, Attribute::RequestContentType);
        add("content-type", values);
    }
    found
}

fn blur(vague: &mut AttributeSet, cover: values::Cover, attribute: Attribute) {
    if cover == values::Cover::Some {
        *vague = vague.union(AttributeSet::one(attribute));
    }
}

fn lengths(landmarks: &Landmarks) -> Vec<Option<u64>> {
    if !landmarks.uses.contains(Attribute::RequestContentLength) {
        return vec![Some(0)];
    }
    let numbers = values::numbers(&landmarks.of(Attribute::RequestContentLength), 0, i64::MAX);
    numbers.into_iter().map(|n| u64::try_from(n).ok()).chain([None]).collect()
}
