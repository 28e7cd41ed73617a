//! The policy in force: load, compile, swap, and keep the last good one whatever a reload brings.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

use arc_swap::ArcSwap;
use gatepass_policy::PolicySet;
use gatepass_policy::decision::{Decision, Verdict};
use gatepass_policy::diagnostic::Diagnostic;
use gatepass_policy::facts::Facts;
use gatepass_policy::overrides::{Dormant, NORMAL, Override, Overrides};
use gatepass_policy::source::SourceFile;
use jiff::Timestamp;
use tokio::sync::{Mutex, watch};

use crate::evidence::parts::PolicyRef;
use crate::observe;

/// Where the policy comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A directory of YAML files.
    Directory {
        /// The directory.
        path: PathBuf,
        /// Bounds on what is read.
        limits: Box<gatepass_config::limits::Limits>,
    },
    /// Files that the binary carries.
    Embedded(Vec<SourceFile>),
}

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
    fn new(
        set: Arc<PolicySet>,
        over: &Over,
        generation: u64,
        loaded: Timestamp,
        observe: Option<Timestamp>,
    ) -> Snapshot {
        let reference = PolicyRef::new(set.bundle(), set.digest(), 0);
        let (overrides, dormant) = set.lay(&over.mode, &over.overrides);
        Snapshot { set, overrides, dormant, generation, change: 0, loaded, reference, observe }
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
        Snapshot::new(set, over, self.generation, self.loaded, self.observe)
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
}

impl PolicyStore {
    /// Load for the first time. Without a valid policy there is no store, and so no gateway.
    pub fn load(source: Source, now: Timestamp) -> Result<(PolicyStore, Vec<Diagnostic>), String> {
        let (set, warnings) = compile(&source, now)?;
        let over = Over::nothing();
        let snapshot = Snapshot::new(Arc::new(set), &over, 1, now, None);
        let store = PolicyStore {
            source,
            current: ArcSwap::from_pointee(snapshot),
            state: watch::Sender::new(State::Current),
            generations: AtomicU64::new(1),
            over: std::sync::Mutex::new(Arc::new(over)),
            changes: watch::Sender::new(0),
            reloading: Mutex::new(()),
            observe: None,
        };
        Ok((store, warnings))
    }

    /// The same, only recording denials until then.
    #[must_use]
    pub fn observing(mut self, until: Option<Timestamp>) -> PolicyStore {
        self.observe = until;
        let now = self.current.load_full();
        let set = Arc::clone(&now.set);
        self.current.store(Arc::new(Snapshot::new(set, &self.over(), now.generation, now.loaded, until)));
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
        self.put(Snapshot::new(Arc::clone(&now.set), &held, now.generation, now.loaded, self.observe))
    }

    /// Another policy, under the same overrides.
    pub(crate) fn activate(&self, set: PolicySet, now: Timestamp) -> Arc<Snapshot> {
        let generation = self.generations.fetch_add(1, Ordering::Relaxed) + 1;
        let held = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        self.put(Snapshot::new(Arc::new(set), &held, generation, now, self.observe))
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

    /// The directory to watch, where there is one.
    pub fn directory(&self) -> Option<&std::path::Path> {
        match &self.source {
            Source::Directory { path, .. } => Some(path),
            Source::Embedded(_) => None,
        }
    }

    /// Read and compile again; swap only on success.
    pub async fn reload(&self, now: Timestamp) -> Reload {
        let _one = self.reloading.lock().await;
        let source = self.source.clone();
        let compiled = tokio::task::spawn_blocking(move || compile(&source, now)).await;
        match compiled.unwrap_or_else(|_| Err("error: reading the bundle ended in a fault of the gateway".to_owned())) {
            Ok((set, _)) if set.digest() == self.current.load().set.digest() => {
                self.state.send_replace(State::Current);
                Reload::Unchanged
            }
            Ok((set, _)) => {
                let snapshot = self.activate(set, now);
                self.state.send_replace(State::Current);
                Reload::Activated(snapshot)
            }
            Err(problems) => {
                let problems: Arc<str> = problems.into();
                let before = self.state();
                let since = match before {
                    State::Stale { problems: told, .. } if told == problems => return Reload::StillRefused,
                    State::Stale { since, .. } => since,
                    State::Current => now,
                };
                self.state.send_replace(State::Stale { since, problems: Arc::clone(&problems) });
                Reload::Refused(problems)
            }
        }
    }
}

fn compile(source: &Source, now: Timestamp) -> Result<(PolicySet, Vec<Diagnostic>), String> {
    let (files, limits) = match source {
        Source::Directory { path, limits } => {
            let files = gatepass_config::bundle::read(path, limits).map_err(|problems| problems.to_string())?;
            (files, crate::startup::policy_limits(limits))
        }
        Source::Embedded(files) => (files.clone(), gatepass_policy::limits::Limits::STANDARD),
    };
    match gatepass_policy::compile_within(&files, now, &limits) {
        Ok(compiled) => Ok((compiled.set, compiled.warnings)),
        Err(diagnostics) => Err(diagnostics.iter().map(|d| format!("{d}\n")).collect()),
    }
}
