//! Which policy each gateway decides by. Each keeps a pointer to its own in the store, which goes by itself when its gateway
//! does, so that every gateway can tell where the fleet is not of one mind.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::State;
use super::store::{Committed, Transaction, Write};
use crate::evidence::text::Text;

/// Where the pointers are kept, each under its replica.
pub const POLICIES: &str = "policies/";

/// How long a pointer stays that is not renewed.
const STAYS: Duration = Duration::from_secs(90);

/// How often it is renewed where nothing changes.
const RENEWED: Duration = Duration::from_secs(30);

/// A gateway's pointer to the policy by which it decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    /// The gateway's name.
    pub gateway: String,
    /// The bundle's name.
    pub bundle: String,
    /// `sha256:<hex>` over its files.
    pub digest: String,
    /// The number of its release; 0 where it has none, or its gateway does not tell.
    #[serde(default)]
    pub serial: u64,
    /// When it was activated there.
    pub activated: Timestamp,
}

/// The pointer that was written last.
pub(super) type Pointed = Option<(Pointer, Instant)>;

impl State {
    /// This gateway's own pointer.
    fn pointer(&self) -> Pointer {
        let snapshot = self.policy.current();
        Pointer {
            gateway: self.replica.gateway.clone(),
            bundle: snapshot.reference.bundle.as_str().to_owned(),
            digest: snapshot.reference.digest.as_str().to_owned(),
            serial: snapshot.reference.serial,
            activated: snapshot.loaded,
        }
    }

    /// Write this gateway's pointer, where it is another than before or wants to be renewed. One gateway alone has nobody
    /// to tell.
    pub(super) async fn point(&self) {
        let pointer = self.pointer();
        let told = {
            let pointed = self.pointed.lock().unwrap_or_else(PoisonError::into_inner);
            pointed.as_ref().is_some_and(|(last, at)| *last == pointer && at.elapsed() < RENEWED)
        };
        if told || !self.is_shared() || self.stale().is_some() {
            return;
        }
        let Ok(value) = serde_json::to_vec(&pointer) else { return };
        let key = format!("{POLICIES}{}", self.replica.id);
        let writes = vec![Write::Put { key, value, ttl: Some(STAYS) }];
        if let Ok(Committed::Yes { .. }) = self.commit(Transaction { conditions: Vec::new(), writes }).await {
            let mut pointed = self.pointed.lock().unwrap_or_else(PoisonError::into_inner);
            *pointed = Some((pointer, Instant::now()));
        }
    }

    /// What every gateway of the fleet decides by, as far as it is heard of; empty where the store is this gateway's own.
    pub fn fleet(&self) -> Vec<Value> {
        if !self.is_shared() {
            return Vec::new();
        }
        let own = self.pointer();
        let mut all = self.held().policies.clone();
        all.insert(self.replica.id.clone(), own);
        let view = |(replica, one): (&String, &Pointer)| {
            json!({"gateway": one.gateway, "replica": replica, "bundle": one.bundle, "digest": one.digest,
                "serial": one.serial, "activated": one.activated.to_string()})
        };
        all.iter().map(view).collect()
    }

    /// Gateways that decide by another state of the same bundle. Known only while the store is heard of: what is out of date
    /// says nothing about others.
    pub(super) fn disagreeing(&self) -> Vec<Pointer> {
        if self.stale().is_some() {
            return Vec::new();
        }
        let own = self.pointer();
        let held = self.held();
        let others = held.policies.iter().filter(|(replica, _)| **replica != self.replica.id);
        let differ = others.filter(|(_, one)| one.bundle == own.bundle && one.digest != own.digest);
        differ.map(|(_, one)| one.clone()).collect()
    }

    /// The same in words.
    pub(super) fn disagreement(&self) -> Option<String> {
        let differ = self.disagreeing();
        let first = differ.first()?;
        let own = self.pointer();
        let others = self.held().policies.keys().filter(|replica| **replica != self.replica.id).count();
        Some(format!(
            "fleet: {} of {others} other gateways decide by another `{}` than this one, such as {} by {} (serial {}) since {}; \
             this one by {} (serial {}) since {}",
            differ.len(),
            own.bundle,
            Text::name(&first.gateway).as_str(),
            first.digest,
            first.serial,
            first.activated,
            own.digest,
            own.serial,
            own.activated,
        ))
    }
}
