//! What another policy, grant or mode would cut, without cutting anything.

use gatepass_policy::decision::Reason;
use jiff::Timestamp;
use uuid::Uuid;

use super::Live;
use super::judge::{self, Answer, Ground, Since, Stood};
use super::tunnel::Tunnel;
use crate::evidence::words::Ending;
use crate::policy_store::Snapshot;

/// A tunnel that would be cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WouldCut {
    /// The id of its decision.
    pub id: Uuid,
    /// Who.
    pub identity: String,
    /// Where to, as `host:port`.
    pub destination: String,
    /// How it was asked for.
    pub protocol: &'static str,
    /// The path of what allows it now.
    pub admitted_by: Option<String>,
    /// How it would end.
    pub ending: Ending,
    /// The path of what would cut it; or `floor`.
    pub cut_by: String,
    /// Why it would not be allowed.
    pub reason: Reason,
    /// When it was decided.
    pub since: Timestamp,
    /// Bytes from the client to the destination so far.
    pub sent: u64,
    /// Bytes from the destination to the client so far.
    pub received: u64,
}

impl Live {
    /// What would be cut if `candidate` were in force at `now`, the oldest first. Nothing changes. Costs a copy of the
    /// facts and a decision for each open tunnel: not for an event loop.
    pub fn preview(&self, candidate: &Snapshot, now: Timestamp) -> Vec<WouldCut> {
        let mut found = Vec::new();
        self.each_part(|tunnels| {
            found.extend(tunnels.iter().filter_map(|tunnel| would_cut(tunnel, candidate, now)));
        });
        found.sort_by_key(|one| one.id);
        found
    }
}

fn would_cut(tunnel: &Tunnel, candidate: &Snapshot, now: Timestamp) -> Option<WouldCut> {
    let (mut facts, rule, reason) = {
        let held = tunnel.held();
        (held.facts.clone(), held.rule.clone(), held.reason)
    };
    let floor = facts.floor.clone();
    let ground = Ground { snapshot: candidate, floor: &floor };
    let stood = Stood { rule: rule.as_ref(), reason, snapshot: Since::Another };
    let declared = tunnel.declared.as_deref();
    match judge::judge(&mut facts, declared, stood, Since::Another, ground, now) {
        Answer::Stays { .. } => None,
        Answer::Cut { ending, by, reason } => Some(WouldCut {
            id: tunnel.id,
            identity: facts.identity.id().to_owned(),
            destination: facts.destination.to_string(),
            protocol: facts.protocol.as_str(),
            admitted_by: rule.map(|rule| rule.path.to_string()),
            ending,
            cut_by: by.into(),
            reason,
            since: tunnel.decided,
            sent: tunnel.counters.sent(),
            received: tunnel.counters.received(),
        }),
    }
}
