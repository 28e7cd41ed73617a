//! The tunnels that are open now, for operators to see. A tunnel is listed for exactly as long as it is carried, however
//! that ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use uuid::Uuid;

use crate::evidence::{Counters, DecisionRecord};
use crate::explanation::whither;

/// What is told of an open tunnel.
#[derive(Debug)]
struct Tunnel {
    identity: Box<str>,
    destination: Box<str>,
    rule: Option<Box<str>>,
    since: Timestamp,
    counters: Arc<Counters>,
}

/// The open tunnels. Its size is bounded by that of client connections.
#[derive(Debug, Default)]
pub struct Live {
    tunnels: Mutex<HashMap<Uuid, Tunnel>>,
}

/// Takes its tunnel off the list when it is dropped.
#[derive(Debug)]
pub struct Listed<'a> {
    live: &'a Live,
    id: Uuid,
}

impl Live {
    /// List the tunnel that `record` admitted.
    pub fn list(&self, record: &DecisionRecord, counters: Arc<Counters>) -> Listed<'_> {
        let tunnel = Tunnel {
            identity: record.identity.as_ref().map_or("?", |who| who.id.as_str()).into(),
            destination: whither(record).into(),
            rule: record.rule.as_ref().map(|rule| rule.0.path.clone()),
            since: record.time,
            counters,
        };
        self.tunnels.lock().unwrap_or_else(PoisonError::into_inner).insert(record.id, tunnel);
        Listed { live: self, id: record.id }
    }

    /// Every open tunnel as a JSON object, the oldest first.
    pub fn told(&self) -> Vec<serde_json::Value> {
        let tunnels = self.tunnels.lock().unwrap_or_else(PoisonError::into_inner);
        let mut listed: Vec<_> = tunnels.iter().collect();
        // Ids are UUIDv7: in the order of time.
        listed.sort_by_key(|(id, _)| **id);
        listed
            .into_iter()
            .map(|(id, tunnel)| {
                serde_json::json!({
                    "id": id.to_string(),
                    "identity": tunnel.identity,
                    "destination": tunnel.destination,
                    "rule": tunnel.rule,
                    "since": tunnel.since.to_string(),
                    "bytes_sent": tunnel.counters.sent(),
                    "bytes_received": tunnel.counters.received(),
                })
            })
            .collect()
    }
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.live.tunnels.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}
