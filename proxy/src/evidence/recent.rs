//! The decisions of the last moments, in memory, to answer why something was denied.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock};

use gatepass_policy::decision::Effect;
use uuid::Uuid;

use super::record::DecisionRecord;
use super::words::Outcome;

/// A ring of the latest decisions.
pub struct Recent {
    capacity: usize,
    ring: RwLock<Ring>,
}

struct Ring {
    order: VecDeque<Arc<DecisionRecord>>,
    by_id: HashMap<Uuid, Arc<DecisionRecord>>,
}

impl Recent {
    /// Keep at most `capacity` decisions.
    pub fn new(capacity: usize) -> Recent {
        // All of it at once: remembering happens before a client is answered, and then nothing has to grow.
        let room = capacity.saturating_mul(2);
        let ring = Ring { order: VecDeque::with_capacity(room), by_id: HashMap::with_capacity(room) };
        Recent { capacity, ring: RwLock::new(ring) }
    }

    /// Remember a decision. The oldest are forgotten by [`Recent::trim`].
    pub fn remember(&self, record: Arc<DecisionRecord>) {
        if self.capacity == 0 {
            return;
        }
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        ring.by_id.insert(record.id, record.clone());
        ring.order.push_back(record);
    }

    /// Forget what is too much: taking a record apart costs more than remembering one, and no client waits for it here.
    pub fn trim(&self) {
        let mut forgotten = Vec::new();
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        while ring.order.len() > self.capacity {
            let Some(oldest) = ring.order.pop_front() else { break };
            forgotten.extend(ring.by_id.remove(&oldest.id));
        }
        drop(ring);
    }

    /// The decision with this id.
    pub fn by_id(&self, id: Uuid) -> Option<Arc<DecisionRecord>> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).by_id.get(&id).cloned()
    }

    /// The last time this identity did not get through, to `host` where one is named.
    pub fn last_denial(&self, identity: &str, host: Option<&str>) -> Option<Arc<DecisionRecord>> {
        let asked = |record: &DecisionRecord| {
            let destination = record.destination.as_ref().and_then(|destination| destination.host.as_ref());
            host.is_none_or(|host| destination.is_some_and(|text| text.as_str() == host))
        };
        self.newest(1, |record| {
            (record.effect == Effect::Deny || record.outcome == Outcome::Failed)
                && record.identity.as_ref().is_some_and(|who| who.id.as_str() == identity)
                && asked(record)
        })
        .pop()
    }

    /// The newest decisions that `wanted` picks, newest first, at most `limit`.
    pub fn newest(&self, limit: usize, wanted: impl Fn(&DecisionRecord) -> bool) -> Vec<Arc<DecisionRecord>> {
        let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
        ring.order.iter().rev().filter(|record| wanted(record)).take(limit).cloned().collect()
    }
}
