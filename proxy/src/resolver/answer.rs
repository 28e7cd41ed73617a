//! Reads one response against the question it answers: pure, and all that is believed of a response is decided here.
//!
//! Nothing but the answer section counts, and of that only the chain of aliases that starts at the question's name, and
//! the addresses at its end. Everything else in a message is somebody else's opinion.

use std::net::IpAddr;

use gatepass_policy::address::unmap;
use hickory_resolver::proto::dnssec::Proof;
use hickory_resolver::proto::op::{Message, MessageType, Query, ResponseCode};
use hickory_resolver::proto::rr::{DNSClass, Name, RData, Record, RecordType};

/// Most aliases before the address; well-known resolvers stop at 11 (Unbound) to 16 (BIND).
const ALIASES_MAX: usize = 16;

/// Whether the records carry the outcome of a validation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Validation {
    /// They do not; nothing is secure.
    None,
    /// They do, and only proven ones are used.
    Done,
}

/// The addresses of one family, and the way to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Unmapped, without repetition, never empty.
    pub addresses: Vec<IpAddr>,
    /// Canonical names on the way.
    pub cname: Vec<String>,
    /// Smallest TTL of all records used.
    pub ttl: u32,
    /// Whether each of them was proven.
    pub secure: bool,
}

impl Found {
    /// Both families as one answer.
    pub fn and(mut self, other: Found) -> Found {
        let new: Vec<IpAddr> = other.addresses.into_iter().filter(|ip| !self.addresses.contains(ip)).collect();
        self.addresses.extend(new);
        let new: Vec<String> = other.cname.into_iter().filter(|name| !self.cname.contains(name)).collect();
        self.cname.extend(new);
        Found { ttl: self.ttl.min(other.ttl), secure: self.secure && other.secure, ..self }
    }
}

/// What a response turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The end of the walk.
    Found(Found),
    /// The chain ends in an alias whose target is not in the response: ask the walk's next question.
    Ask,
    /// There is no such name, or no address of this family; with the TTL of that, where the response has one.
    Absent(Option<u32>),
    /// More addresses than the limit.
    TooMany,
    /// Not to be believed.
    Unusable(&'static str),
}

/// A walk from the name that was asked for to its addresses, over one response or more.
pub(super) struct Walk {
    kind: RecordType,
    start: String,
    at: Name,
    cname: Vec<String>,
    ttl: u32,
    secure: bool,
    validation: Validation,
    max_answers: usize,
}

impl Walk {
    /// At the start: an absolute `name`, and A or AAAA.
    pub fn new(name: Name, kind: RecordType, max_answers: usize) -> Walk {
        Walk {
            kind,
            start: canonical(&name),
            at: name,
            cname: Vec::new(),
            ttl: u32::MAX,
            secure: true,
            validation: Validation::None,
            max_answers,
        }
    }

    /// The question that comes next.
    pub fn question(&self) -> Query {
        Query::query(self.at.clone(), self.kind)
    }

    /// Go as far as `response` leads.
    pub fn read(&mut self, response: &Message, validation: Validation) -> Step {
        if response.message_type != MessageType::Response || response.queries != [self.question()] {
            return Step::Unusable("the name server answered another question");
        }
        self.validation = validation;
        let asked = self.cname.len();
        loop {
            match self.addresses(&response.answers) {
                Err(end) => return end,
                Ok(addresses) if !addresses.is_empty() => {
                    return Step::Found(Found {
                        addresses,
                        cname: std::mem::take(&mut self.cname),
                        ttl: self.ttl,
                        secure: self.secure,
                    });
                }
                Ok(_) => {}
            }
            match self.follow(&response.answers) {
                Err(end) => return end,
                Ok(true) => {}
                Ok(false) => break,
            }
        }
        let soa = negative_ttl(response);
        if response.response_code == ResponseCode::NXDomain || soa.is_some() || response.answers.is_empty() {
            return Step::Absent(soa);
        }
        if self.cname.len() > asked {
            return Step::Ask;
        }
        Step::Unusable("the name server's answer is about another name")
    }

    /// The addresses at the name where the walk stands.
    fn addresses(&mut self, answers: &[Record]) -> Result<Vec<IpAddr>, Step> {
        let (at, mut addresses) = (self.at.clone(), Vec::new());
        for record in here(answers, &at) {
            let ip = match (&record.data, self.kind) {
                (RData::A(a), RecordType::A) => IpAddr::V4(a.0),
                (RData::AAAA(aaaa), RecordType::AAAA) => unmap(IpAddr::V6(aaaa.0)),
                _ => continue,
            };
            self.accept(record)?;
            if !addresses.contains(&ip) {
                if addresses.len() == self.max_answers {
                    return Err(Step::TooMany);
                }
                addresses.push(ip);
            }
        }
        Ok(addresses)
    }

    /// Take one alias, if there is one here.
    fn follow(&mut self, answers: &[Record]) -> Result<bool, Step> {
        let (at, mut target) = (self.at.clone(), None::<Name>);
        for record in here(answers, &at) {
            let RData::CNAME(cname) = &record.data else { continue };
            if target.as_ref().is_some_and(|other| *other != cname.0) {
                return Err(Step::Unusable("the name has several aliases"));
            }
            self.accept(record)?;
            target = Some(cname.0.clone());
        }
        let Some(mut target) = target else { return Ok(false) };
        target.set_fqdn(true);
        let text = canonical(&target);
        if text == self.start || self.cname.contains(&text) {
            return Err(Step::Unusable("the name's aliases form a loop"));
        }
        if self.cname.len() == ALIASES_MAX {
            return Err(Step::Unusable("the name has too many aliases"));
        }
        self.cname.push(text);
        self.at = target;
        Ok(true)
    }

    fn accept(&mut self, record: &Record) -> Result<(), Step> {
        self.ttl = self.ttl.min(ttl(record.ttl));
        match (self.validation, record.proof) {
            (Validation::Done, Proof::Secure) => {}
            (Validation::None, _) | (Validation::Done, Proof::Insecure) => self.secure = false,
            (Validation::Done, Proof::Bogus | Proof::Indeterminate) => {
                return Err(Step::Unusable("dnssec does not prove the answer"));
            }
        }
        Ok(())
    }
}

fn here<'a>(answers: &'a [Record], name: &'a Name) -> impl Iterator<Item = &'a Record> {
    answers.iter().filter(move |record| record.dns_class == DNSClass::IN && record.name == *name)
}

/// RFC 2181 section 8: a TTL with the most significant bit set is to be treated as 0.
fn ttl(wire: u32) -> u32 {
    if wire > i32::MAX as u32 { 0 } else { wire }
}

/// RFC 2308 section 5: the smaller of the SOA's own TTL and its MINIMUM.
fn negative_ttl(response: &Message) -> Option<u32> {
    response.authorities.iter().find_map(|record| match &record.data {
        RData::SOA(soa) => Some(ttl(record.ttl).min(ttl(soa.minimum))),
        _ => None,
    })
}

/// Lower case, no final dot.
pub(super) fn canonical(name: &Name) -> String {
    let mut text = name.to_ascii();
    text.make_ascii_lowercase();
    if text.len() > 1 && text.ends_with('.') {
        text.pop();
    }
    text
}
