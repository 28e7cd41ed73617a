//! The story, part two, and the only way out: intent, reserve, facts, decide, resolve, decide, dial, ClientHello,
//! decide, record, carry, close. Each step consumes the one before it, so none can be skipped or done twice.
//!
//! Every way of not getting through leaves exactly one record and one [`Refusal`].

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gatepass_policy::decision::{Decision, Reason, Verdict};
use gatepass_policy::facts::{Facts, HttpRequest, Protocol, Tls};
use gatepass_policy::host::Authority;
use gatepass_policy::identity::{Identity, Method};
use gatepass_policy::schema::{Attribute, Stage};
use jiff::Timestamp;
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::dial::{self, DialError, Endpoint};
use crate::evidence::parts::Timings;
use crate::evidence::{Admission, DecisionRecord, Reservation};
use crate::identity::Invalid;
use crate::peer::Peer;
use crate::policy_store::Snapshot;
use crate::refusal::Refusal;
use crate::resolver::ResolveError;
use crate::server::Shared;

/// How many near misses a refusal tells of.
const NEAREST: usize = 3;

/// What a client wants: the end of every protocol's own path, and the beginning of the one path they share.
#[derive(Debug)]
pub struct Intent {
    /// Where to.
    pub destination: Authority,
    /// How it was asked for.
    pub protocol: Protocol,
    /// The value of `Proxy-Authorization`, if there was one.
    pub credentials: Option<Vec<u8>>,
    /// The value of `Gatepass-Data-Class`, if there was one.
    pub declared: Option<Vec<u8>>,
    /// The head, on plain HTTP.
    pub request: Option<HttpRequest>,
}

/// What is known of one attempt while it walks the line.
struct Attempt<'a> {
    shared: &'a Shared,
    snapshot: Arc<Snapshot>,
    reservation: Reservation,
    facts: Facts,
    shown: Credentials,
    timings: Timings,
}

/// What is wrong with who asks: the reason, the particulars, and the status where it is not the reason's own.
type Fault = (Reason, String, Option<u16>);

/// Whether the client showed a credential of its own accord.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Credentials {
    Shown,
    None,
}

/// A connection to a checked endpoint, and the gateway's own end of it.
#[derive(Clone, Copy, Debug)]
pub struct Connected {
    /// Where it leads.
    pub endpoint: Endpoint,
    /// The gateway's own socket.
    pub local: SocketAddr,
}

/// An attempt that may dial: what was checked is what can be dialled.
pub struct Clearance<'a> {
    attempt: Attempt<'a>,
    endpoints: Vec<Endpoint>,
    settled: Option<Decision>,
}

/// An attempt whose upstream is connected. Nothing of the client's has reached it.
pub struct Passage<'a> {
    attempt: Attempt<'a>,
    settled: Option<Decision>,
    upstream: TcpStream,
    at: Connected,
}

/// An attempt that is decided and recorded: bytes may flow until the admission is closed.
pub struct Admitted {
    /// To be closed with the ending.
    pub admission: Admission,
    /// The connection to the checked endpoint.
    pub upstream: TcpStream,
    /// Where it leads.
    pub at: Connected,
}

/// Walk the line up to the point where an address may be dialled.
pub async fn clear<'a>(peer: &Peer, intent: Intent, shared: &'a Shared) -> Result<Clearance<'a>, Refusal> {
    let Ok(reservation) = shared.evidence.reserve() else {
        let record = unread(peer, Reason::EvidenceUnavailable, "", shared).with_asked(&intent.destination);
        return Err(unrecorded(record));
    };
    let (mut attempt, fault) = Attempt::begin(peer, intent, shared, reservation, shared.clock.now());
    if let Some((reason, detail, status)) = fault {
        return Err(Refusal { status, ..attempt.refuse(reason, &detail) });
    }
    if let Verdict::Deny(denial) = attempt.decide() {
        return Err(attempt.deny(&denial));
    }
    if let Err(error) = attempt.resolve().await {
        return Err(attempt.fail(None, reason_of_resolve(&error), &error.to_string()));
    }
    let settled = match attempt.decide() {
        Verdict::Deny(denial) => return Err(attempt.deny(&denial)),
        Verdict::Pending(_) => None,
        Verdict::Allow(decision) => Some(decision),
    };
    let endpoints = dial::endpoints(&attempt.facts, dial::Cleared::by_decision());
    Ok(Clearance { attempt, endpoints, settled })
}

impl<'a> Clearance<'a> {
    /// The checked addresses, for a connection that may already stand in the pool.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// Connect to one of the checked addresses.
    pub async fn dial(mut self) -> Result<Passage<'a>, Refusal> {
        match self.connect().await {
            Ok((upstream, at)) => Ok(Passage { attempt: self.attempt, settled: self.settled, upstream, at }),
            Err(error) => Err(self.attempt.fail(self.settled.as_ref(), reason_of_dial(error), &error.to_string())),
        }
    }

    async fn connect(&mut self) -> Result<(TcpStream, Connected), DialError> {
        let shared = self.attempt.shared;
        let dialled = dial::dial(&self.endpoints, &shared.dial, None).await?;
        self.attempt.timings.dial_us = Some(micros(dialled.took));
        Ok((dialled.stream, Connected { endpoint: dialled.endpoint, local: dialled.local }))
    }

    /// Use a pooled connection to one of the checked addresses instead of dialling: record, and admit.
    pub async fn reuse(self, at: Connected) -> Result<Admission, Refusal> {
        match self.settled {
            Some(decision) => self.attempt.admit(&decision, at).await,
            None => Err(self.attempt.unsettled()),
        }
    }
}

impl Passage<'_> {
    /// The decision's id.
    pub fn id(&self) -> Uuid {
        self.attempt.reservation.id()
    }

    /// Whether the decision hangs on the client's first bytes.
    pub fn awaits_hello(&self) -> bool {
        self.settled.is_none()
    }

    /// Whether an allow asks about the absence of TLS, so that a client which stays silent can be decided on.
    pub fn silence_is_a_fact(&self) -> bool {
        self.attempt.snapshot.set.allows_use(Attribute::TlsPresent)
    }

    /// The last stage, where it is needed; then the record; and only then may bytes flow.
    pub async fn admit(mut self, tls: Option<Tls>) -> Result<Admitted, Refused> {
        if let Some(tls) = tls {
            self.attempt.facts.tls = Some(tls);
            self.settled = match self.attempt.decide() {
                Verdict::Allow(decision) => Some(decision),
                Verdict::Deny(denial) => return Err(self.attempt.deny_after(&denial)),
                Verdict::Pending(_) => None,
            };
        }
        let Some(decision) = self.settled else {
            return Err(Refused::plain(self.attempt.unsettled()));
        };
        let admission = self.attempt.admit(&decision, self.at).await.map_err(Refused::plain)?;
        Ok(Admitted { admission, upstream: self.upstream, at: self.at })
    }

    /// The client's first bytes could not be read as anything that a rule could judge.
    pub fn refuse(self, reason: Reason, detail: &str) -> Refusal {
        self.attempt.refuse(reason, detail)
    }
}

/// A refusal after the 200, with what the alert must say.
pub struct Refused {
    /// The refusal.
    pub refusal: Refusal,
    /// Whether the server name in the ClientHello is what was wrong.
    pub name: NameFault,
}

/// Whether the server name was at fault (RFC 6066 section 3 has an alert for that).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameFault {
    /// The SNI is there and is not the host that was asked for.
    Disagrees,
    /// Something else was.
    None,
}

impl Refused {
    fn plain(refusal: Refusal) -> Refused {
        Refused { refusal, name: NameFault::None }
    }
}

impl<'a> Attempt<'a> {
    /// Establish who asks; a fault in that is returned beside the attempt, so that it is recorded like any other.
    fn begin(
        peer: &Peer,
        intent: Intent,
        shared: &'a Shared,
        reservation: Reservation,
        now: Timestamp,
    ) -> (Attempt<'a>, Option<Fault>) {
        let snapshot = shared.policy.current();
        let mut fault = None;
        let identity = peer.identify(&shared.identity, intent.credentials.as_deref(), now).unwrap_or_else(|invalid| {
            fault = Some((Reason::IdentityInvalid, invalid.text().to_owned(), invalid.status()));
            Identity::anonymous()
        });
        let subject = snapshot.set.subject(&identity, intent.declared.as_deref()).unwrap_or_else(|refused| {
            fault.get_or_insert((Reason::DataClassRefused, refused.to_string(), None));
            snapshot.set.registered(&identity)
        });
        let facts = Facts {
            now,
            source: Some(peer.address),
            listener: Some(Arc::clone(&peer.listener.name)),
            identity,
            subject,
            tags: snapshot.set.tags(&intent.destination.host),
            destination: intent.destination,
            protocol: intent.protocol,
            request: intent.request,
            floor: shared.floor.load_full(),
            resolved: None,
            // Plain HTTP carries no TLS, and that is known from the start.
            tls: (intent.protocol == Protocol::Http).then_some(Tls::Absent),
        };
        let shown = if intent.credentials.is_some() { Credentials::Shown } else { Credentials::None };
        (Attempt { shared, snapshot, reservation, facts, shown, timings: Timings::default() }, fault)
    }

    fn decide(&mut self) -> Verdict {
        let started = Instant::now();
        let verdict = self.snapshot.set.decide(&self.facts);
        let took = started.elapsed();
        self.timings.decide_us = Some(self.timings.decide_us.unwrap_or(0) + micros(took));
        verdict
    }

    async fn resolve(&mut self) -> Result<(), ResolveError> {
        let started = Instant::now();
        let resolved = self.shared.resolver.resolve(&self.facts.destination.host).await;
        if self.facts.destination.host.name().is_some() {
            let took = started.elapsed();
            self.timings.dns_us = Some(micros(took));
        }
        self.facts.resolved = Some(resolved?);
        Ok(())
    }

    /// Record the permitting decision. Its admission is the proof that bytes may flow.
    async fn admit(self, decision: &Decision, at: Connected) -> Result<Admission, Refusal> {
        let record = DecisionRecord::decided(&self.facts, decision, &[], self.snapshot.reference.clone())
            .with_dialled(at.endpoint.address(), at.local)
            .with_timings(self.timings);
        match self.reservation.admit(record).await {
            Ok(admission) => Ok(admission),
            Err(_) => {
                let policy = self.snapshot.reference.clone();
                let record = DecisionRecord::refused(&self.facts, Reason::EvidenceUnavailable, "", policy);
                Err(unrecorded(record))
            }
        }
    }

    /// A policy denial: what came nearest is worked out only now, off the path of those who may pass.
    fn deny(self, denial: &Decision) -> Refusal {
        if self.wants_credentials(denial) {
            return self.refuse(Reason::IdentityRequired, "none were shown, and nobody without them may go there");
        }
        let nearest = match denial.reason {
            Reason::NoRule | Reason::RuleExpired => self.snapshot.set.nearest(&self.facts, NEAREST),
            _ => Vec::new(),
        };
        let record = DecisionRecord::decided(&self.facts, denial, &nearest, self.snapshot.reference.clone());
        self.conclude(record)
    }

    fn deny_after(self, denial: &Decision) -> Refused {
        let name = match &self.facts.tls {
            Some(Tls::Hello(hello)) => match &hello.sni {
                Some(sni) if Some(sni.as_str()) != self.facts.destination.host.name() => NameFault::Disagrees,
                Some(_) | None => NameFault::None,
            },
            Some(Tls::Absent) | None => NameFault::None,
        };
        Refused { refusal: self.deny(denial), name }
    }

    /// A refusal that no rule made.
    fn refuse(self, reason: Reason, detail: &str) -> Refusal {
        let record = DecisionRecord::refused(&self.facts, reason, detail, self.snapshot.reference.clone());
        self.conclude(record)
    }

    /// Permitted so far, but the network did not play along.
    fn fail(self, settled: Option<&Decision>, reason: Reason, detail: &str) -> Refusal {
        let record = DecisionRecord::failed(&self.facts, settled, reason, detail, self.snapshot.reference.clone());
        self.conclude(record)
    }

    /// A decision that is still open when it must be final is a fault, and a fault denies.
    fn unsettled(self) -> Refusal {
        self.refuse(Reason::RuleError, "the decision hangs on facts that this protocol never has")
    }

    fn conclude(self, record: DecisionRecord) -> Refusal {
        let record = self.reservation.refuse(record.with_timings(self.timings));
        Refusal { record, status: None }
    }

    /// 407 makes a client that has credentials show them (git and curl only do so then), so it is the answer to one
    /// that showed none where showing them could change the denial.
    fn wants_credentials(&self, denial: &Decision) -> bool {
        denial.stage == Stage::Request
            && self.shown == Credentials::None
            && self.facts.identity.method() == Method::None
            && self.shared.identity.takes_credentials()
    }
}

/// A head that is not one: recorded and refused before policy and DNS.
pub fn malformed(peer: &Peer, status: Option<u16>, text: &str, shared: &Shared) -> Refusal {
    early(peer, Reason::InvalidRequest, text, status, shared)
}

/// A question to the reserved host with credentials that are not valid.
pub fn no_identity(peer: &Peer, invalid: &Invalid, shared: &Shared) -> Refusal {
    early(peer, Reason::IdentityInvalid, invalid.text(), invalid.status(), shared)
}

/// A connection beyond the bound.
pub fn turned_away(peer: &Peer, shared: &Shared) -> Refusal {
    early(peer, Reason::Limit, "too many connections are open", None, shared)
}

/// A TLS handshake on a listener that did not end well. There is nobody left to answer.
pub fn handshake_failed(peer: &Peer, why: &str, shared: &Shared) {
    early(peer, Reason::IdentityInvalid, why, None, shared);
}

/// Recorded where evidence can be kept; refused in any case.
fn early(peer: &Peer, reason: Reason, detail: &str, status: Option<u16>, shared: &Shared) -> Refusal {
    let record = unread(peer, reason, detail, shared);
    match shared.evidence.reserve() {
        Ok(reservation) => Refusal { record: reservation.refuse(record), status },
        Err(_) => unrecorded(record),
    }
}

fn unread(peer: &Peer, reason: Reason, detail: &str, shared: &Shared) -> DecisionRecord {
    DecisionRecord::unread(shared.clock.now(), peer.address, &peer.listener.name, reason, detail)
}

/// No evidence, no egress, not even a question to DNS; the client still gets an id to ask about.
fn unrecorded(mut record: DecisionRecord) -> Refusal {
    record.id = Uuid::now_v7();
    Refusal { record: Arc::new(record), status: None }
}

fn reason_of_resolve(error: &ResolveError) -> Reason {
    match error {
        ResolveError::Nxdomain => Reason::DnsNxdomain,
        ResolveError::Failed(_) => Reason::DnsFailed,
        ResolveError::Timeout => Reason::DnsTimeout,
        ResolveError::Limit => Reason::Limit,
    }
}

fn reason_of_dial(error: DialError) -> Reason {
    match error {
        DialError::Failed(_) => Reason::DialFailed,
        DialError::Timeout => Reason::DialTimeout,
    }
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}
