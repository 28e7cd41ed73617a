//! A candidate bundle or mode, and what it would do to what is open: the answer of `POST /v1/policy/preview`.

use std::collections::BTreeSet;
use std::sync::Arc;

use gatepass_policy::PolicySet;
use gatepass_policy::analysis::{Side, diff};
use gatepass_policy::diagnostic::Diagnostic;
use gatepass_policy::limits::Limits;
use gatepass_policy::source::SourceFile;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Live, WouldCut};
use crate::policy_store::{Over, PolicyStore, Snapshot};

/// What would be in force.
#[derive(Clone, Debug, Default)]
pub struct Candidate {
    /// The files of another bundle; `None` for the one in force.
    pub files: Option<Vec<SourceFile>>,
    /// Another containment mode; `None` for the one in force.
    pub mode: Option<String>,
}

impl Live {
    /// What the candidate would do now, as JSON. Compiles, and decides on everything that is open: not for an event loop.
    ///
    /// # Errors
    /// What is wrong with the candidate's files.
    pub fn answer(
        &self,
        candidate: &Candidate,
        policy: &PolicyStore,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<Value, Vec<Diagnostic>> {
        let (current, mut over) = (policy.current(), Over::clone(&policy.over()));
        if let Some(mode) = &candidate.mode {
            over.mode = mode.as_str().into();
        }
        let (set, warnings) = match &candidate.files {
            None => (Arc::clone(&current.set), Vec::new()),
            Some(files) => {
                let compiled = gatepass_policy::compile_within(files, now, limits)?;
                (Arc::new(compiled.set), compiled.warnings)
            }
        };
        let snapshot = current.candidate(set, &over);
        let would_cut: Vec<Value> = self.preview(&snapshot, now).iter().map(|one| told(one, now)).collect();
        let (before, after) = (allows(&current.set), allows(&snapshot.set));
        let turns = turns(&current, &snapshot, now);
        Ok(json!({
            "bundle": snapshot.set.bundle(),
            "digest": snapshot.set.digest(),
            "rules": snapshot.set.rules(),
            "mode": **snapshot.overrides.mode(),
            "allows_gone": before.difference(&after).collect::<Vec<_>>(),
            "allows_new": after.difference(&before).collect::<Vec<_>>(),
            "turns": turns,
            "dormant": dormant(&snapshot),
            "warnings": warnings,
            "open": self.count(),
            "would_cut": would_cut,
        }))
    }
}

/// How many classes of connections are told one by one.
const TURNS_TOLD: usize = 200;

/// What the candidate opens and closes, whether or not anything is open now. Grants and exceptions of operators lie over
/// both alike, and are left aside.
fn turns(current: &Snapshot, candidate: &Snapshot, now: Timestamp) -> Value {
    let (before, after) = (&current.set, &candidate.set);
    let found = diff(
        &Side::in_mode(before, current.overrides.mode(), now),
        &Side::in_mode(after, candidate.overrides.mode(), now),
    );
    let more = found.left_out + found.changes.len().saturating_sub(TURNS_TOLD);
    json!({
        "changes": found.changes.iter().take(TURNS_TOLD).collect::<Vec<_>>(),
        "more": more,
        "exact": found.exactness.exact(),
    })
}

fn allows(set: &PolicySet) -> BTreeSet<String> {
    set.allows().map(|(rule, _)| rule.path.to_string()).collect()
}

/// Grants, exceptions and a mode that would have no effect.
fn dormant(snapshot: &Snapshot) -> Vec<Value> {
    snapshot.dormant.iter().map(|one| json!({"path": one.path, "why": one.why})).collect()
}

/// As JSON.
pub fn told(one: &WouldCut, now: Timestamp) -> Value {
    json!({
        "id": one.id.to_string(),
        "identity": one.identity,
        "destination": one.destination,
        "protocol": one.protocol,
        "admitted_by": one.admitted_by,
        "ending": one.ending.as_str(),
        "cut_by": one.cut_by,
        "reason": one.reason.code(),
        "since": one.since.to_string(),
        "age_seconds": now.duration_since(one.since).as_secs().max(0),
        "bytes_sent": one.sent,
        "bytes_received": one.received,
    })
}
