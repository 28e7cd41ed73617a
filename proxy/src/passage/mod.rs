//! The story, part two, and the only way out: intent, reserve, facts, decide, resolve, decide, dial, ClientHello,
//! decide, and where a rule asks, probe and decide; then record, carry, close. Each step consumes the one before it, so none can be skipped or done twice.
//!
//! Every way of not getting through leaves exactly one record and one [`Refusal`].

mod attempt;

mod early;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub use attempt::NEAREST;
use attempt::{Attempt, Settled, micros};
pub use early::{drained, handshake_failed, malformed, no_identity, turned_away};
use early::{unread, unrecorded};
use gatepass_policy::decision::{Reason, Verdict};
use gatepass_policy::facts::{HttpRequest, Protocol, Tls};
use gatepass_policy::host::Authority;
use gatepass_policy::schema::{Attribute, Stage};
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::dial::{self, DialError, Endpoint};
use crate::evidence::Admission;
use crate::live::Listed;
use crate::peer::Peer;
use crate::refusal::Refusal;
use crate::resolver::ResolveError;
use crate::shared::Shared;
use crate::shutdown::{Drain, Phase};
use crate::telemetry::Part;

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
    /// The value of `traceparent`, if there was one.
    pub traceparent: Option<Vec<u8>>,
    /// The head, on plain HTTP.
    pub request: Option<HttpRequest>,
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
    settled: Option<Settled>,
}

/// An attempt whose upstream is connected. Nothing of the client's has reached it.
pub struct Passage<'a> {
    attempt: Attempt<'a>,
    settled: Option<Settled>,
    upstream: TcpStream,
    at: Connected,
}

/// An attempt that is decided and recorded: bytes may flow until the admission is closed.
pub struct Admitted<'a> {
    /// To be closed with the ending.
    pub admission: Admission,
    /// Its place among what is open, and the word when it is no longer allowed.
    pub listed: Listed<'a>,
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
    // Before the policy is taken up: a newer one must not vouch for the age of the one that decides.
    let stale = shared.policy.freshness().refuses(shared.clock.now());
    let (mut attempt, fault) = Attempt::begin(peer, intent, shared, reservation, shared.clock.now());
    if let Some((reason, detail, status)) = fault {
        return Err(Refusal { status, ..attempt.refuse(reason, &detail) });
    }
    if let Some(stale) = stale {
        return Err(attempt.refuse(Reason::PolicyStale, &stale.to_string()));
    }
    let observed = match attempt.decide() {
        Verdict::Deny(denial) if attempt.only_observes(&denial) => Some(denial),
        Verdict::Deny(denial) => return Err(attempt.deny(&denial)),
        Verdict::Pending(_) | Verdict::Allow(_) => None,
    };
    if let Err(error) = attempt.resolve().await {
        return Err(attempt.fail(observed.as_ref(), reason_of_resolve(&error), &error.to_string()));
    }
    let settled = match attempt.decide() {
        Verdict::Deny(denial) if !attempt.only_observes(&denial) => return Err(attempt.deny(&denial)),
        Verdict::Pending(_) => None,
        // Whoever is past a limit is told so before anything is dialled.
        Verdict::Allow(decision) | Verdict::Deny(decision) => match attempt.settle(decision).await {
            Ok(settled) => Some(settled),
            Err(refused) => return Err(attempt.limited(&refused)),
        },
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
            Err(error) => Err(self.attempt.fail(
                self.settled.as_ref().map(|settled| &settled.decision),
                reason_of_dial(error),
                &error.to_string(),
            )),
        }
    }

    async fn connect(&mut self) -> Result<(TcpStream, Connected), DialError> {
        let shared = self.attempt.shared;
        let started = Instant::now();
        let dialled = dial::dial(&self.endpoints, &shared.dial, None).await;
        let reached = dialled.as_ref().ok().map(|dialled| dialled.endpoint.address());
        let failed = dialled.as_ref().err().map(|error| reason_of_dial(*error));
        self.attempt.traced(Part::Connect(reached), started.elapsed(), failed);
        let dialled = dialled?;
        self.attempt.timings.dial_us = Some(micros(dialled.took));
        Ok((dialled.stream, Connected { endpoint: dialled.endpoint, local: dialled.local }))
    }

    /// Use a pooled connection to one of the checked addresses instead of dialling: record, and admit.
    pub async fn reuse(self, at: Connected) -> Result<(Admission, Listed<'a>), Refusal> {
        match self.settled {
            Some(settled) => self.attempt.admit(settled, at).await,
            None => Err(self.attempt.unsettled()),
        }
    }
}

impl<'a> Passage<'a> {
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

    /// The wait for the client's first bytes is over; what came of it is the verdict's to say.
    pub fn heard(&self, took: Duration) {
        self.attempt.traced(Part::Tls, took, None);
    }

    /// Whether some rule asks for the fingerprint of the client's hello.
    pub fn asks_for_fingerprint(&self) -> bool {
        self.attempt.snapshot.set.uses(Attribute::TlsJa4)
    }

    /// The last stages: the client's first bytes, and what the server proves where the verdict still hangs on that.
    pub async fn judge(mut self, tls: Tls, end: &mut Drain) -> Result<Passage<'a>, Refused> {
        self.attempt.facts.tls = Some(tls);
        let mut verdict = self.attempt.decide();
        if let Verdict::Pending(missing) = &verdict
            && missing.last_stage() == Some(Stage::Certificate)
        {
            let draining = tokio::select! {
                () = self.attempt.probe(self.at.endpoint) => None,
                () = end.reached(Phase::Ended) => Some("the server was still being probed at the end"),
            };
            if let Some(why) = draining {
                return Err(Refused::plain(self.attempt.refuse(Reason::Draining, why)));
            }
            verdict = self.attempt.decide();
        }
        self.settled = match verdict {
            Verdict::Deny(denial) if !self.attempt.only_observes(&denial) => {
                return Err(self.attempt.deny_after(&denial));
            }
            Verdict::Allow(decision) | Verdict::Deny(decision) => match self.attempt.settle(decision).await {
                Ok(settled) => Some(settled),
                Err(refused) => return Err(Refused::plain(self.attempt.limited(&refused))),
            },
            Verdict::Pending(_) => None,
        };
        Ok(self)
    }

    /// The record; and only then may bytes flow.
    pub async fn admit(self) -> Result<Admitted<'a>, Refused> {
        let Some(settled) = self.settled else {
            return Err(Refused::plain(self.attempt.unsettled()));
        };
        let (admission, listed) = self.attempt.admit(settled, self.at).await.map_err(Refused::plain)?;
        Ok(Admitted { admission, listed, upstream: self.upstream, at: self.at })
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
