//! The list of open tunnels: entered when one is admitted, left when it ends, however that is.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gatepass_policy::decision::Reason;
use jiff::Timestamp;
use tokio::sync::Notify;
use uuid::Uuid;

use super::Sources;
use super::redecide::{self, Circumstances};
use super::tunnel::{Cut, Grounds, Tunnel};
use crate::budget::Meter;
use crate::evidence::Counters;
use crate::evidence::words::Ending;
use crate::state::usage::Way;

/// Parts of the list, each with a lock of its own: whoever goes through all of them holds up only those who enter or
/// leave the same part, and only while it is copied.
const PARTS: usize = 64;

type Part = HashMap<Uuid, Arc<Tunnel>>;

/// The open tunnels. Their number is bounded by that of client connections.
#[derive(Debug)]
pub struct Live {
    parts: Vec<Mutex<Part>>,
    /// How long a tunnel goes on that a change of policy or the end of a rule no longer allows.
    pub(super) linger: Duration,
    /// The first end of a credential, in microseconds since the epoch.
    pub(super) first_end: AtomicI64,
    /// Tells the keeper of an earlier one.
    pub(super) nudge: Notify,
}

/// A tunnel in the list; it leaves the list when this is dropped.
#[derive(Debug)]
pub struct Listed<'a> {
    live: &'a Live,
    tunnel: Arc<Tunnel>,
}

impl Live {
    /// Nothing is open. What a change of policy or the end of a rule no longer allows goes on for `linger`.
    pub fn new(linger: Duration) -> Live {
        let parts = (0..PARTS).map(|_| Mutex::default()).collect();
        Live { parts, linger, first_end: AtomicI64::new(i64::MAX), nudge: Notify::new() }
    }

    /// List what was admitted on `grounds`, and look whether that still holds: what changes from here on is noticed by
    /// whoever goes through the list, and what changed before is noticed here.
    pub fn list(&self, id: Uuid, grounds: Grounds, counters: Arc<Counters>, sources: Sources<'_>) -> Listed<'_> {
        let (decided, change) = (grounds.facts.now, grounds.change);
        let credential_end = sources.identity.end(&grounds.facts.identity);
        let tunnel = Arc::new(Tunnel::new(id, grounds, credential_end, counters));
        self.part(id).insert(id, Arc::clone(&tunnel));
        self.await_end(tunnel.credential_end);
        let now = Circumstances::of(sources);
        let settled = now.snapshot.change == change
            && Arc::ptr_eq(&tunnel.held().facts.floor, &now.floor)
            && now.snapshot.next_end(decided).is_none_or(|end| end > now.now)
            && tunnel.credential_end.is_none_or(|end| end > now.now)
            && tunnel.checked.as_ref().is_none_or(|checked| !checked.is_outdated());
        if !settled {
            redecide::one(&tunnel, &now, self.linger);
        }
        Listed { live: self, tunnel }
    }

    /// Let the keeper wake up for the end of a credential.
    fn await_end(&self, end: Option<Timestamp>) {
        let Some(end) = end.map(Timestamp::as_microsecond) else { return };
        if self.first_end.fetch_min(end, Ordering::AcqRel) > end {
            self.nudge.notify_one();
        }
    }

    #[expect(clippy::expect_used, reason = "there are always PARTS parts")]
    fn part(&self, id: Uuid) -> MutexGuard<'_, Part> {
        // The last bytes of a UUIDv7 are random.
        let at = usize::from(id.as_bytes().last().copied().unwrap_or(0)) % PARTS;
        self.parts.get(at).expect("the list has its parts").lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that is open, part by part; each part's lock is held only while it is copied.
    pub(super) fn each_part(&self, mut visit: impl FnMut(&[Arc<Tunnel>])) {
        let mut copied = Vec::new();
        for part in &self.parts {
            copied.clear();
            copied.extend(part.lock().unwrap_or_else(PoisonError::into_inner).values().cloned());
            visit(&copied);
        }
    }

    /// How many are open.
    pub fn count(&self) -> usize {
        self.parts.iter().map(|part| part.lock().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }

    /// Cut one at once, by the word of `by`. Whether it was open.
    ///
    /// Its closing record says `policy_changed`, as nothing else in the closed list of endings means that it is no longer
    /// allowed, and bears `by` in `cut_by`.
    pub fn cut(&self, id: Uuid, by: &str) -> bool {
        let Some(tunnel) = self.part(id).get(&id).cloned() else { return false };
        let cut = Cut { ending: Ending::PolicyChanged, by: by.into(), reason: None, at: Instant::now() };
        tunnel.cut(&mut tunnel.held(), cut);
        true
    }

    /// Every open tunnel as a JSON object, the oldest first.
    pub fn told(&self) -> Vec<serde_json::Value> {
        let mut listed = Vec::new();
        self.each_part(|tunnels| listed.extend(tunnels.iter().cloned()));
        // Ids are UUIDv7: in the order of time.
        listed.sort_by_key(|tunnel| tunnel.id);
        listed.iter().map(|tunnel| told(tunnel)).collect()
    }
}

fn told(tunnel: &Tunnel) -> serde_json::Value {
    let held = tunnel.held();
    let path = held.rule.as_ref().map(|rule| &rule.path);
    let mut told = serde_json::json!({
        "id": tunnel.id.to_string(),
        "identity": held.facts.identity.id(),
        "destination": held.facts.destination.to_string(),
        "protocol": held.facts.protocol.as_str(),
        "rule": path,
        "mode": *held.facts.mode,
        "since": tunnel.decided.to_string(),
        "bytes_sent": tunnel.counters.sent(),
        "bytes_received": tunnel.counters.received(),
    });
    if let (Reason::Grant, Some(path), Some(fields)) = (held.reason, path, told.as_object_mut()) {
        fields.insert("grant".to_owned(), path.strip_prefix("grant/").unwrap_or(path).into());
    }
    if let (Some(seat), Some(fields)) = (tunnel.meter.seat(), told.as_object_mut()) {
        fields.insert("limits".to_owned(), seat.budgets().map(|budget| serde_json::json!(**budget)).collect());
    }
    told
}

impl Listed<'_> {
    /// Resolves when it is to end now, because it is no longer allowed. For one task only.
    pub async fn cut(&self) -> Ending {
        self.tunnel.ended().await
    }

    /// The grant that allows it, and who goes where under it.
    pub fn under(&self) -> Option<(String, Way)> {
        let held = self.tunnel.held();
        let grant =
            held.rule.as_ref().filter(|_| held.reason == Reason::Grant)?.path.strip_prefix("grant/")?.to_owned();
        let destination = &held.facts.destination;
        let (identity, host) = (held.facts.identity.id().to_owned(), destination.host.to_text().into_owned());
        Some((grant, Way { identity, host, port: destination.port }))
    }

    /// What its bytes go through.
    pub fn meter(&self) -> &Meter {
        &self.tunnel.meter
    }

    /// What cut it, where it ended as it was cut, or past whose budget it was.
    pub fn cut_by(&self, ending: Ending) -> Option<String> {
        if let (Ending::Limit, Some(path)) = (ending, self.tunnel.meter.over()) {
            return Some(path.to_owned());
        }
        let held = self.tunnel.held();
        held.cut.as_ref().filter(|cut| cut.ending == ending).map(|cut| cut.by.to_string())
    }
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.live.part(self.tunnel.id).remove(&self.tunnel.id);
    }
}
