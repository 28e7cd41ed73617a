//! A candidate bundle beside the policy in force: it decides on the same facts after the verdict, and is told of where it
//! would have had another. It never decides anything.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use gatepass_config::limits::Limits;
use gatepass_policy::PolicySet;
use gatepass_policy::decision::{Effect, Reason, Verdict};
use gatepass_policy::facts::Facts;
use jiff::Timestamp;

use crate::bundle;
use crate::evidence::parts::{CandidateVerdict, PolicyRef};
use crate::evidence::text::Text;
use crate::evidence::words::CandidateEffect;
use crate::policy_store::{Over, Snapshot};

/// The candidate, from the directory or archive that it is read from. Its signatures are not looked at: it opens nothing.
#[derive(Debug)]
pub struct Candidate {
    path: PathBuf,
    limits: Box<Limits>,
    compiled: ArcSwapOption<Snapshot>,
    /// Why what is on disk is not it.
    trouble: Mutex<Option<Arc<str>>>,
}

/// What a look at it brings.
#[derive(Debug)]
pub enum Look {
    /// Another one decides beside the policy from now on.
    Changed(Arc<Snapshot>),
    /// It is what it was.
    Same,
    /// It cannot be used, for these reasons; the one before goes on.
    Refused(Arc<str>),
}

/// A candidate that can be used.
pub(crate) struct Read {
    set: PolicySet,
    serial: u64,
}

impl Candidate {
    /// At this path; nothing is read yet.
    pub fn new(path: PathBuf, limits: &Limits) -> Candidate {
        let limits = Box::new(limits.clone());
        Candidate { path, limits, compiled: ArcSwapOption::empty(), trouble: Mutex::new(None) }
    }

    /// Where it is read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What decides, if anything does.
    pub fn current(&self) -> Option<Arc<Snapshot>> {
        self.compiled.load_full()
    }

    /// Why what is on disk is not what decides.
    pub fn trouble(&self) -> Option<Arc<str>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Read and compile. Blocks on the disk.
    pub(crate) fn read(&self, now: Timestamp) -> Result<Read, String> {
        let read = bundle::read(&self.path, &self.limits).map_err(|problems| problems.to_string())?;
        let serial = read.serial();
        match gatepass_policy::compile_within(&read.files, now, &crate::startup::policy_limits(&self.limits)) {
            Ok(compiled) => Ok(Read { set: compiled.set, serial }),
            Err(diagnostics) => Err(diagnostics.iter().map(|d| format!("{d}\n")).collect()),
        }
    }

    /// Let what was read decide beside the policy, under `over`.
    pub(crate) fn take(&self, read: Result<Read, String>, over: &Over, now: Timestamp) -> Look {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(Read { set, serial }) => {
                *trouble = None;
                let same =
                    |before: &Arc<Snapshot>| before.set.digest() == set.digest() && before.reference.serial == serial;
                if self.current().as_ref().is_some_and(same) {
                    return Look::Same;
                }
                let snapshot = Arc::new(Snapshot::new(Arc::new(set), over, serial, now));
                self.compiled.store(Some(Arc::clone(&snapshot)));
                Look::Changed(snapshot)
            }
            Err(problems) => {
                let problems: Arc<str> = problems.into();
                let told = trouble.replace(Arc::clone(&problems)).is_some_and(|before| before == problems);
                if told { Look::Same } else { Look::Refused(problems) }
            }
        }
    }

    /// Something else lies over the policy, and so over the candidate.
    pub(crate) fn lay(&self, over: &Over) {
        if let Some(now) = self.current() {
            let serial = now.reference.serial;
            let laid = Snapshot::new(Arc::clone(&now.set), over, serial, now.loaded);
            self.compiled.store(Some(Arc::new(laid)));
        }
    }
}

/// What a candidate would have said of facts on which the policy has said `effect`, where that is another. Facts that the
/// policy never asked for stay unknown: where the candidate hangs on them, it is `pending`.
pub fn differs(
    candidate: &Snapshot,
    facts: &Facts,
    declared: Option<&[u8]>,
    effect: Effect,
) -> Option<Box<CandidateVerdict>> {
    let set = &candidate.set;
    let (said, reason, rule) = match set.subject(&facts.identity, declared) {
        Err(_) => (CandidateEffect::Deny, Some(Reason::DataClassRefused), None),
        Ok(subject) => {
            let mode = Arc::clone(candidate.overrides.mode());
            let facts = Facts { mode, subject, tags: set.tags(&facts.destination.host), ..facts.clone() };
            match candidate.decide(&facts) {
                Verdict::Pending(_) => (CandidateEffect::Pending, None, None),
                Verdict::Allow(decision) => (CandidateEffect::Allow, Some(decision.reason), decision.rule),
                Verdict::Deny(decision) => (CandidateEffect::Deny, Some(decision.reason), decision.rule),
            }
        }
    };
    let same = match effect {
        Effect::Allow => said == CandidateEffect::Allow,
        Effect::Deny => said == CandidateEffect::Deny,
    };
    if same {
        return None;
    }
    let PolicyRef { digest, serial, .. } = candidate.reference.clone();
    let reason = reason.map(Reason::code);
    let rule = rule.map(|rule| Text::name(&rule.path));
    Some(Box::new(CandidateVerdict { digest, serial, effect: said, reason, rule }))
}
