//! Refusals before there is an intent to decide on: recorded where evidence can be kept, refused in any case.

use std::sync::Arc;

use gatepass_policy::decision::Reason;
use gatepass_policy::host::Authority;
use uuid::Uuid;

use crate::evidence::DecisionRecord;
use crate::identity::Invalid;
use crate::peer::Peer;
use crate::refusal::Refusal;
use crate::shared::Shared;

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

/// An attempt that was still looking up or dialling when the drain ended: its own reservation is given back unused.
pub fn drained(peer: &Peer, asked: &Authority, shared: &Shared) -> Refusal {
    let record = unread(peer, Reason::Draining, "", shared).with_asked(asked);
    recorded(record, None, shared)
}

/// A TLS handshake on a listener that did not end well. There is nobody left to answer.
pub fn handshake_failed(peer: &Peer, why: &str, shared: &Shared) {
    early(peer, Reason::IdentityInvalid, why, None, shared);
}

/// Recorded where evidence can be kept; refused in any case.
fn early(peer: &Peer, reason: Reason, detail: &str, status: Option<u16>, shared: &Shared) -> Refusal {
    recorded(unread(peer, reason, detail, shared), status, shared)
}

fn recorded(record: DecisionRecord, status: Option<u16>, shared: &Shared) -> Refusal {
    match shared.evidence.reserve() {
        Ok(reservation) => Refusal { record: reservation.refuse(record), status, retry_after: None },
        Err(_) => unrecorded(record),
    }
}

pub(super) fn unread(peer: &Peer, reason: Reason, detail: &str, shared: &Shared) -> DecisionRecord {
    DecisionRecord::unread(shared.clock.now(), peer.address, &peer.listener.name, reason, detail)
}

/// No evidence, no egress, not even a question to DNS; the client still gets an id to ask about.
pub(super) fn unrecorded(mut record: DecisionRecord) -> Refusal {
    record.id = Uuid::now_v7();
    Refusal { record: Arc::new(record), status: None, retry_after: None }
}
