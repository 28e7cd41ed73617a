//! The policy in force: load, compile, swap, and keep the last good one whatever a reload brings.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use gatepass_policy::PolicySet;
use gatepass_policy::decision::{Decision, Verdict};
use gatepass_policy::diagnostic::Diagnostic;
use gatepass_policy::facts::Facts;
use gatepass_policy::overrides::{Dormant, NORMAL, Override, Overrides};
use jiff::Timestamp;
use tokio::sync::{Mutex, watch};

use crate::candidate::{self, Candidate};
use crate::evidence::parts::PolicyRef;
use crate::observe;
use crate::supply::{Freshness, Loaded, Look, Source};

/// A policy as loaded, with what operators laid over it.
#[derive(Debug)]
pub struct Snapshot {
    /// The compiled rules.
    pub set: Arc<PolicySet>,
    /// Grants, exceptions and the mode, laid over `set`.
    pub overrides: Overrides,
    /// Of them, those that the policy does not take.
    pub dormant: Vec<Dormant>,
    /// Counts successful loads of this process, from 1.
    pub generation: u64,
    /// Counts the snapshots that were in force in this process, those of new overrides included.
    pub change: u64,
    /// When it was loaded.
    pub loaded: Timestamp,
    /// How records name it.
    pub reference: PolicyRef,
    /// Until when denials are only recorded.
    pub observe: Option<Timestamp>,
}

impl Snapshot {
    pub(crate) fn new(set: Arc<PolicySet>, over: &Over, serial: u64, loaded: Timestamp) -> Snapshot {
        let reference = PolicyRef::new(set.bundle(), set.digest(), serial);
        let (overrides, dormant) = set.lay(&over.mode, &over.overrides);
        Snapshot { set, overrides, dormant, generation: 0, change: 0, loaded, reference, observe: None }
    }

    /// Decide on these facts.
    pub fn decide(&self, facts: &Facts) -> Verdict {
        self.set.decide_under(facts, &self.overrides)
    }

    /// Whether this denial is only recorded, and carried.
    pub fn only_observes(&self, facts: &Facts, denial: &Decision) -> bool {
        observe::carries(self.observe, self.overrides.mode(), facts, denial)
    }

    /// The first moment after this one at which an answer can change although nobody changes anything.
    pub fn next_end(&self, after: Timestamp) -> Option<Timestamp> {
        let observing = self.observe.filter(|end| *end > after);
        [self.set.next_expiry(after), self.overrides.next_end(after), observing].into_iter().flatten().min()
    }

    /// What another policy would be under the same overrides.
    pub fn candidate(&self, set: Arc<PolicySet>, over: &Over) -> Snapshot {
        let serial = if Arc::ptr_eq(&set, &self.set) { self.reference.serial } else { 0 };
        let (generation, observe) = (self.generation, self.observe);
        Snapshot { generation, observe, ..Snapshot::new(set, over, serial, self.loaded) }
    }
}

/// What operators lay over the policy.
#[derive(Clone, Debug)]
pub struct Over {
    /// The containment mode.
    pub mode: Arc<str>,
    /// Grants and exceptions that have not ended.
    pub overrides: Vec<Override>,
}

impl Over {
    /// Nothing: what holds before anything else is known.
    pub fn nothing() -> Over {
        Over { mode: NORMAL.into(), overrides: Vec::new() }
    }
}

/// The outcome of the last attempt to load.
#[derive(Clone, Debug)]
pub enum State {
    /// What is on disk is in force.
    Current,
    /// What is on disk was refused, and an older policy is in force.
    Stale {
        /// Since when.
        since: Timestamp,
        /// Every problem, as printed.
        problems: Arc<str>,
    },
}

/// What a reload did.
#[derive(Debug)]
pub enum Reload {
    /// A new policy is in force.
    Activated(Arc<Snapshot>),
    /// The files say what they said before.
    Unchanged,
    /// The files were refused; nothing changed. Every problem, as printed.
    Refused(Arc<str>),
    /// The files are refused for what was told before.
    StillRefused,
}

/// Holds the snapshot in force.
#[derive(Debug)]
pub struct PolicyStore {
    source: Source,
    current: ArcSwap<Snapshot>,
    state: watch::Sender<State>,
    generations: AtomicU64,
    /// What lies over the policy. Held while a snapshot is made and stored, so that none is made of what has passed.
    over: std::sync::Mutex<Arc<Over>>,
    /// Counts every snapshot, those of new overrides included.
    changes: watch::Sender<u64>,
    /// One reload at a time; the last to read is the last to swap.
    reloading: Mutex<()>,
    /// Until when denials are only recorded.
    observe: Option<Timestamp>,
    freshness: Freshness,
    /// What decides beside it, and is only told of.
    candidate: Option<Candidate>,
}

/// What was said while the first policy was loaded.
#[derive(Debug)]
pub struct Said {
    /// What its author should know.
    pub warnings: Vec<Diagnostic>,
    /// Why it is an older one than what its source gives, if it is.
    pub instead: Option<String>,
}

impl PolicyStore {
    /// Load for the first time. Without a valid policy there is no store, and so no gateway.
    pub async fn load(
        source: Source,
        freshness: Freshness,
        candidate: Option<Candidate>,
        now: Timestamp,
    ) -> Result<(PolicyStore, Said), String> {
        let loaded = source.first(now).await?;
        Ok(PolicyStore::holding(source, loaded, freshness, candidate, now))
    }

    /// A policy that is nowhere but here.
    #[cfg(test)]
    pub(crate) fn of(files: Vec<gatepass_policy::SourceFile>, now: Timestamp) -> PolicyStore {
        let gatepass_policy::Compiled { set, warnings, .. } = gatepass_policy::compile(&files, now).unwrap();
        let loaded = Loaded { set, warnings, serial: 0, not_after: None, confirmed: now, instead: None };
        let freshness = Freshness::new(None, gatepass_config::policy::WhenStale::Refuse);
        PolicyStore::holding(Source::Embedded(files), loaded, freshness, None, now).0
    }

    fn holding(
        source: Source,
        loaded: Loaded,
        freshness: Freshness,
        candidate: Option<Candidate>,
        now: Timestamp,
    ) -> (PolicyStore, Said) {
        let over = Over::nothing();
        let snapshot = Snapshot { generation: 1, ..Snapshot::new(Arc::new(loaded.set), &over, loaded.serial, now) };
        freshness.of_release(loaded.not_after, loaded.confirmed);
        let said = Said { warnings: loaded.warnings, instead: loaded.instead };
        let state = match &said.instead {
            None => State::Current,
            Some(why) => State::Stale { since: now, problems: why.as_str().into() },
        };
        let store = PolicyStore {
            source,
            current: ArcSwap::from_pointee(snapshot),
            state: watch::Sender::new(state),
            generations: AtomicU64::new(1),
            over: std::sync::Mutex::new(Arc::new(over)),
            changes: watch::Sender::new(0),
            reloading: Mutex::new(()),
            observe: None,
            freshness,
            candidate,
        };
        (store, said)
    }

    /// The state directory is this gateway's, and `now` the latest time that it has seen: remember what is in force.
    pub async fn settle(&self, now: Timestamp) -> Result<(), String> {
        self.source.settle(now).await
    }

    /// The same, only recording denials until then.
    #[must_use]
    pub fn observing(mut self, until: Option<Timestamp>) -> PolicyStore {
        self.observe = until;
        let now = self.current.load_full();
        let set = Arc::clone(&now.set);
        let laid = Snapshot::new(set, &self.over(), now.reference.serial, now.loaded);
        self.current.store(Arc::new(Snapshot { generation: now.generation, observe: until, ..laid }));
        self
    }

    /// The snapshot in force. Hold it for one decision line, so that all its stages are explained by one policy.
    pub fn current(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Changes whenever another snapshot is in force.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// What lies over the policy.
    pub fn over(&self) -> Arc<Over> {
        Arc::clone(&self.over.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lay something else over the policy in force.
    pub fn lay(&self, over: Over) -> Arc<Snapshot> {
        let mut held = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        *held = Arc::new(over);
        let now = self.current.load_full();
        if let Some(candidate) = &self.candidate {
            candidate.lay(&held);
        }
        let laid = Snapshot::new(Arc::clone(&now.set), &held, now.reference.serial, now.loaded);
        self.put(Snapshot { generation: now.generation, observe: self.observe, ..laid })
    }

    /// Another policy, under the same overrides.
    pub(crate) fn activate(&self, set: PolicySet, serial: u64, now: Timestamp) -> Arc<Snapshot> {
        let generation = self.generations.fetch_add(1, Ordering::Relaxed) + 1;
        let held = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        let observe = self.observe;
        self.put(Snapshot { generation, observe, ..Snapshot::new(Arc::new(set), &held, serial, now) })
    }

    /// Called with `over` held, so that the numbers are those of the order in which snapshots are in force.
    fn put(&self, snapshot: Snapshot) -> Arc<Snapshot> {
        let snapshot = Arc::new(Snapshot { change: self.current.load().change + 1, ..snapshot });
        self.current.store(Arc::clone(&snapshot));
        self.changes.send_modify(|count| *count += 1);
        snapshot
    }

    /// Whether what is in force is what is on disk.
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// What is told of its source.
    pub fn source(&self) -> String {
        self.source.name()
    }

    /// How often somebody else is asked for it, where that is so.
    pub fn poll(&self) -> Option<Duration> {
        self.source.poll()
    }

    /// Until when it may decide.
    pub fn freshness(&self) -> &Freshness {
        &self.freshness
    }

    /// The candidate beside it, where there is to be one.
    pub fn candidate(&self) -> Option<&Candidate> {
        self.candidate.as_ref()
    }

    /// Read and compile again; swap only on success.
    pub async fn reload(&self, now: Timestamp) -> Reload {
        let _one = self.reloading.lock().await;
        match self.source.look(now).await {
            Ok(Look::Same) => {
                self.freshness.confirmed(now);
                self.state.send_replace(State::Current);
                Reload::Unchanged
            }
            Ok(Look::Loaded(loaded)) => {
                let Loaded { set, serial, not_after, confirmed, .. } = *loaded;
                let reference = self.current.load().reference.clone();
                let same = (set.digest(), serial) == (reference.digest.as_str(), reference.serial);
                let activated = (!same).then(|| self.activate(set, serial, now));
                // After it is in force: what is stale must not look fresh while it still decides.
                self.freshness.of_release(not_after, confirmed);
                self.state.send_replace(State::Current);
                activated.map_or(Reload::Unchanged, Reload::Activated)
            }
            Err(problems) => self.refuse(problems.into(), now),
        }
    }

    fn refuse(&self, problems: Arc<str>, now: Timestamp) -> Reload {
        let since = match self.state() {
            State::Stale { problems: told, .. } if told == problems => return Reload::StillRefused,
            State::Stale { since, .. } => since,
            State::Current => now,
        };
        self.state.send_replace(State::Stale { since, problems: Arc::clone(&problems) });
        Reload::Refused(problems)
    }

    /// Read the candidate again, where there is to be one.
    pub async fn reload_candidate(self: &Arc<Self>, now: Timestamp) -> Option<candidate::Look> {
        self.candidate.as_ref()?;
        let store = Arc::clone(self);
        let looked = tokio::task::spawn_blocking(move || {
            let candidate = store.candidate.as_ref()?;
            let read = candidate.read(now);
            let held = store.over.lock().unwrap_or_else(PoisonError::into_inner);
            Some(candidate.take(read, &held, now))
        });
        looked.await.ok().flatten()
    }
}
