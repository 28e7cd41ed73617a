//! What was done under each grant on this gateway: who went where, and how many bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// Destinations of one grant that are told apart; further ones are counted together.
const USES_MAX: usize = 500;

/// Who went where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Way {
    /// Who.
    pub identity: String,
    /// Where to.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// How often, and how much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// Connections and requests that were admitted.
    pub connections: u64,
    /// Bytes to the destination, of those that have ended.
    pub bytes_sent: u64,
    /// Bytes from the destination, of those that have ended.
    pub bytes_received: u64,
}

/// One line of a review.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// Who went where.
    #[serde(flatten)]
    pub way: Way,
    /// How much.
    #[serde(flatten)]
    pub amount: Amount,
}

/// What one gateway tells of one grant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uses {
    /// The gateway.
    pub gateway: String,
    /// What tells it from others of the same name.
    pub replica: String,
    /// By identity and destination.
    pub uses: Vec<Use>,
    /// All beyond what is told apart.
    #[serde(default)]
    pub others: Amount,
}

/// One gateway among others, which may have its name.
#[derive(Clone, Debug)]
pub struct Replica {
    /// The gateway's name.
    pub gateway: String,
    /// Made once, and kept in its state directory.
    pub id: String,
}

/// Counts by grant.
#[derive(Debug, Default)]
pub struct Usage {
    grants: Mutex<BTreeMap<String, OfGrant>>,
}

#[derive(Debug, Default)]
struct OfGrant {
    ways: BTreeMap<Way, Amount>,
    others: Amount,
    changed: bool,
}

impl OfGrant {
    fn amount(&mut self, way: &Way) -> &mut Amount {
        self.changed = true;
        if !self.ways.contains_key(way) && self.ways.len() >= USES_MAX {
            return &mut self.others;
        }
        self.ways.entry(way.clone()).or_default()
    }
}

impl Usage {
    /// A connection was admitted under this grant. True where it is the first.
    pub fn opened(&self, grant: &str, way: &Way) -> bool {
        let mut grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        let first = !grants.contains_key(grant);
        grants.entry(grant.to_owned()).or_default().amount(way).connections += 1;
        first
    }

    /// One of them ended.
    pub fn carried(&self, grant: &str, way: &Way, sent: u64, received: u64) {
        let mut grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        let amount = grants.entry(grant.to_owned()).or_default().amount(way);
        amount.bytes_sent = amount.bytes_sent.saturating_add(sent);
        amount.bytes_received = amount.bytes_received.saturating_add(received);
    }

    /// Take over what an earlier run of this gateway counted.
    pub fn resume(&self, grant: &str, uses: &Uses) {
        let mut grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        grants.entry(grant.to_owned()).or_insert_with(|| OfGrant {
            ways: uses.uses.iter().map(|one| (one.way.clone(), one.amount)).collect(),
            others: uses.others,
            changed: false,
        });
    }

    /// What changed since this was asked last, by grant.
    pub fn changed(&self, gateway: &Replica) -> Vec<(String, Uses)> {
        let mut grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        let told = |(grant, of): (&String, &mut OfGrant)| {
            std::mem::take(&mut of.changed).then(|| (grant.clone(), of.told(gateway)))
        };
        grants.iter_mut().filter_map(told).collect()
    }

    /// What this gateway knows of one grant.
    pub fn of(&self, grant: &str, gateway: &Replica) -> Option<Uses> {
        let grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        grants.get(grant).map(|of| of.told(gateway))
    }

    /// What could not be told is told with the next change.
    pub fn untold(&self, grant: &str) {
        let mut grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        grants.entry(grant.to_owned()).or_default().changed = true;
    }

    /// Forget all but these.
    pub fn keep(&self, known: &BTreeSet<&str>) {
        let mut grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        grants.retain(|grant, of| of.changed || known.contains(grant.as_str()));
    }
}

impl OfGrant {
    fn told(&self, gateway: &Replica) -> Uses {
        let uses = self.ways.iter().map(|(way, amount)| Use { way: way.clone(), amount: *amount });
        Uses {
            gateway: gateway.gateway.clone(),
            replica: gateway.id.clone(),
            uses: uses.collect(),
            others: self.others,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_the_bound_is_counted_together() {
        let usage = Usage::default();
        let gateway = Replica { gateway: "gw".into(), id: "1".into() };
        let way = |at: usize| Way { identity: "a".into(), host: format!("{at}.test"), port: 443 };
        assert!(usage.opened("g", &way(0)));
        for at in 1..USES_MAX + 10 {
            assert!(!usage.opened("g", &way(at)));
            usage.carried("g", &way(at), 2, 3);
        }
        let told = usage.changed(&gateway);
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].1.uses.len(), USES_MAX);
        assert_eq!(told[0].1.others, Amount { connections: 10, bytes_sent: 20, bytes_received: 30 });
        assert!(usage.changed(&gateway).is_empty());
    }
}
