//! One attempt on its way: its facts, its decisions, and the one record that each of its ends leaves.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gatepass_policy::decision::{Decision, Effect, Keeping, Nearest, Reason, Verdict};
use gatepass_policy::facts::{Facts, Protocol, Tls};
use gatepass_policy::identity::{Identity, Method};
use gatepass_policy::schema::Stage;
use jiff::Timestamp;

use super::early::unrecorded;
use super::{Connected, Intent, NameFault, Refused, reason_of_resolve};
use crate::budget::{self, Seat};
use crate::dial::Endpoint;
use crate::evidence::parts::Timings;
use crate::evidence::{Admission, DecisionRecord, Durability, Reservation};
use crate::live::{Grounds, Listed, Sources};
use crate::peer::{Checked, Peer};
use crate::policy_store::Snapshot;
use crate::refusal::Refusal;
use crate::reserved;
use crate::resolver::ResolveError;
use crate::shared::Shared;
use crate::telemetry::{Conclusion, Fault as SpanFault, Part, RequestSpan};

/// How many near misses a refusal tells of.
pub const NEAREST: usize = 3;

/// What is known of one attempt while it walks the line.
pub(super) struct Attempt<'a> {
    pub(super) shared: &'a Shared,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) reservation: Reservation,
    pub(super) facts: Facts,
    shown: Credentials,
    declared: Option<Vec<u8>>,
    checked: Option<Arc<Checked>>,
    pub(super) timings: Timings,
    /// Where the request is traced.
    span: Option<RequestSpan>,
}

/// The reserved host is answered before there is an attempt; in any other way it is asked for, it is no destination.
const OF_OURS: &str = "`gatepass.internal` is the gateway itself, and answers at http://gatepass.internal/ alone";

/// What is wrong with who asks: the reason, the particulars, and the status where it is not the reason's own.
pub(super) type Fault = (Reason, String, Option<u16>);

/// A permitting decision, and the seat that it has under the limits of its rules.
pub(super) struct Settled {
    pub(super) decision: Decision,
    seat: Option<Arc<Seat>>,
}

/// Whether the client showed a credential of its own accord.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Credentials {
    Shown,
    None,
}

impl<'a> Attempt<'a> {
    /// Establish who asks; a fault in that is returned beside the attempt, so that it is recorded like any other.
    pub(super) fn begin(
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
        if intent.destination.host.name() == Some(reserved::HOST) {
            fault.get_or_insert((Reason::InvalidRequest, OF_OURS.to_owned(), None));
        }
        let facts = Facts {
            now,
            mode: Arc::clone(snapshot.overrides.mode()),
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
            upstream: None,
        };
        let span = shared.tracing.as_ref().and_then(|tracing| tracing.begin(&facts, intent.traceparent.as_deref()));
        let checked = peer.checked.clone().filter(|_| peer.certificate.as_ref().is_ok_and(Option::is_some));
        let shown = if intent.credentials.is_some() { Credentials::Shown } else { Credentials::None };
        let (timings, declared) = (Timings::default(), intent.declared);
        (Attempt { shared, snapshot, reservation, facts, shown, declared, checked, timings, span }, fault)
    }

    pub(super) fn decide(&mut self) -> Verdict {
        let started = Instant::now();
        let verdict = self.snapshot.decide(&self.facts);
        let took = started.elapsed();
        self.timings.decide_us = Some(self.timings.decide_us.unwrap_or(0) + micros(took));
        self.traced(Part::Decide, took, None);
        verdict
    }

    pub(super) async fn resolve(&mut self) -> Result<(), ResolveError> {
        let started = Instant::now();
        let resolved = self.shared.resolver.resolve(&self.facts.destination.host).await;
        if self.facts.destination.host.name().is_some() {
            let took = started.elapsed();
            self.timings.dns_us = Some(micros(took));
            self.traced(Part::Dns, took, resolved.as_ref().err().map(reason_of_resolve));
        }
        self.facts.resolved = Some(resolved?);
        Ok(())
    }

    /// Ask the server at the endpoint that was dialled what it proves.
    pub(super) async fn probe(&mut self, endpoint: Endpoint) {
        let (shared, started) = (self.shared, Instant::now());
        let proved = shared.probe.prove(endpoint, &self.facts, &shared.dial, &shared.clock, &shared.metrics).await;
        let took = started.elapsed();
        self.timings.probe_us = Some(micros(took));
        self.traced(Part::Probe, took, None);
        self.facts.upstream = Some(proved);
    }

    /// Note a part of the way, where it is traced.
    pub(super) fn traced(&self, part: Part, took: Duration, failed: Option<Reason>) {
        if let Some(span) = &self.span {
            span.part(part, &self.facts, took, failed);
        }
    }

    /// Take the seat under the limits of the rules that allow it: a decision is final once there is one.
    pub(super) async fn settle(&self, decision: Decision) -> Result<Settled, budget::Refused> {
        let seat = self.shared.budgets.open(&decision.budgets, self.facts.identity.id()).await;
        let seat = seat.inspect_err(|refused| self.shared.metrics.limited(refused.label()))?;
        Ok(Settled { decision, seat })
    }

    /// Permitted, were it not for a limit.
    pub(super) fn limited(self, refused: &budget::Refused) -> Refusal {
        let policy = self.snapshot.reference.clone();
        let record = DecisionRecord::limited(&self.facts, &refused.text(), refused.clause().as_ref(), policy);
        Refusal { status: refused.status(), retry_after: refused.retry_after(), ..self.conclude(record) }
    }

    /// Whether this denial is only recorded, and carried.
    pub(super) fn only_observes(&self, denial: &Decision) -> bool {
        self.snapshot.only_observes(&self.facts, denial)
    }

    /// What came nearest to allowing what is denied.
    fn nearest(&self, decision: &Decision) -> Vec<Nearest> {
        match decision.effect == Effect::Deny && decision.reason.tells_nearest() {
            true => self.snapshot.set.nearest(&self.facts, NEAREST),
            false => Vec::new(),
        }
    }

    /// Record the decision by which this is carried, and list what it permits. Its admission is the proof that bytes may flow.
    pub(super) async fn admit(self, settled: Settled, at: Connected) -> Result<(Admission, Listed<'a>), Refusal> {
        let Settled { decision, seat } = settled;
        let nearest = self.nearest(&decision);
        let record = DecisionRecord::decided(&self.facts, &decision, &nearest, self.snapshot.reference.clone())
            .carried()
            .with_time(self.shared.clock.wall())
            .with_dialled(at.endpoint.address(), at.local)
            .with_trace(self.span.as_ref().map(RequestSpan::trace))
            .with_timings(self.timings);
        let (shared, span, id) = (self.shared, self.span, self.reservation.id());
        let (effect, outcome, reason) = (record.effect, record.outcome, record.reason.code);
        let demanded = match decision.keeping {
            Keeping::AsConfigured => Durability::Interval,
            Keeping::Synced => Durability::Synced,
        };
        match self.reservation.admit(Arc::new(record), demanded).await {
            Ok(admission) => {
                if let Some(span) = span {
                    span.verdict(Conclusion { id, effect, outcome, reason, fault: SpanFault::None });
                }
                let grounds = Grounds {
                    facts: self.facts,
                    declared: self.declared,
                    checked: self.checked,
                    rule: decision.rule.clone(),
                    reason: decision.reason,
                    seat,
                    change: self.snapshot.change,
                    generation: self.snapshot.generation,
                };
                let listed = shared.live.list(id, grounds, admission.counters(), Sources::from(shared));
                if let Some((grant, way)) = listed.under() {
                    shared.state.opened(&grant, &way);
                }
                Ok((admission, listed))
            }
            Err(_) => {
                let policy = self.snapshot.reference.clone();
                let record = DecisionRecord::refused(&self.facts, Reason::EvidenceUnavailable, "", policy);
                Err(ended(span, unrecorded(record)))
            }
        }
    }

    /// A policy denial: what came nearest is worked out only now, off the path of those who may pass.
    pub(super) fn deny(self, denial: &Decision) -> Refusal {
        if self.wants_credentials(denial) {
            return self.refuse(Reason::IdentityRequired, "none were shown, and nobody without them may go there");
        }
        let nearest = self.nearest(denial);
        let record = DecisionRecord::decided(&self.facts, denial, &nearest, self.snapshot.reference.clone());
        self.conclude(record)
    }

    pub(super) fn deny_after(self, denial: &Decision) -> Refused {
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
    pub(super) fn refuse(self, reason: Reason, detail: &str) -> Refusal {
        let record = DecisionRecord::refused(&self.facts, reason, detail, self.snapshot.reference.clone());
        self.conclude(record)
    }

    /// Permitted so far, but the network did not play along.
    pub(super) fn fail(self, settled: Option<&Decision>, reason: Reason, detail: &str) -> Refusal {
        let record = DecisionRecord::failed(&self.facts, settled, reason, detail, self.snapshot.reference.clone());
        self.conclude(record)
    }

    /// A decision that is still open when it must be final is a fault, and a fault denies.
    pub(super) fn unsettled(self) -> Refusal {
        self.refuse(Reason::RuleError, "the decision hangs on facts that this protocol never has")
    }

    fn conclude(self, record: DecisionRecord) -> Refusal {
        let record = record
            .with_time(self.shared.clock.wall())
            .with_trace(self.span.as_ref().map(RequestSpan::trace))
            .with_timings(self.timings);
        let record = self.reservation.refuse(record);
        ended(self.span, Refusal { record, status: None, retry_after: None })
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

/// A refusal is the end of the span.
fn ended(span: Option<RequestSpan>, refusal: Refusal) -> Refusal {
    if let Some(span) = span {
        let record = &refusal.record;
        let (effect, outcome, reason) = (record.effect, record.outcome, record.reason.code);
        let fault = if refusal.status() >= 500 { SpanFault::Server } else { SpanFault::None };
        span.verdict(Conclusion { id: record.id, effect, outcome, reason, fault });
    }
    refusal
}

pub(super) fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}
