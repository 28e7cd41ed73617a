//! The policy in force: load, compile, swap, and keep the last good one whatever a reload brings.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use gatepass_policy::PolicySet;
use gatepass_policy::diagnostic::Diagnostic;
use gatepass_policy::source::SourceFile;
use jiff::Timestamp;
use tokio::sync::{Mutex, watch};

use crate::evidence::parts::PolicyRef;

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

/// A policy as loaded.
#[derive(Debug)]
pub struct Snapshot {
    /// The compiled rules.
    pub set: PolicySet,
    /// Counts successful loads of this process, from 1.
    pub generation: u64,
    /// When it was loaded.
    pub loaded: Timestamp,
    /// How records name it.
    pub reference: PolicyRef,
}

impl Snapshot {
    fn new(set: PolicySet, generation: u64, loaded: Timestamp) -> Snapshot {
        let reference = PolicyRef::new(set.bundle(), set.digest(), 0);
        Snapshot { set, generation, loaded, reference }
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
    /// One reload at a time; the last to read is the last to swap.
    reloading: Mutex<()>,
}

impl PolicyStore {
    /// Load for the first time. Without a valid policy there is no store, and so no gateway.
    pub fn load(source: Source, now: Timestamp) -> Result<(PolicyStore, Vec<Diagnostic>), String> {
        let (set, warnings) = compile(&source, now)?;
        let snapshot = Snapshot::new(set, 1, now);
        let store = PolicyStore {
            source,
            current: ArcSwap::from_pointee(snapshot),
            state: watch::Sender::new(State::Current),
            generations: AtomicU64::new(1),
            reloading: Mutex::new(()),
        };
        Ok((store, warnings))
    }

    /// The snapshot in force. Hold it for one decision line, so that all its stages are explained by one policy.
    pub fn current(&self) -> Arc<Snapshot> {
        self.current.load_full()
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
                let generation = self.generations.fetch_add(1, Ordering::Relaxed) + 1;
                let snapshot = Arc::new(Snapshot::new(set, generation, now));
                self.current.store(Arc::clone(&snapshot));
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
