//! What changes while the gateway runs: policy and certificates on disk, and the machine's own addresses.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gatepass_policy::address::Floor;
use notify::{RecursiveMode, Watcher};
use tokio::sync::mpsc;

use crate::evidence::words::PolicyResult;
use crate::listener::Gate;
use crate::policy_store::{Reload, Snapshot};
use crate::shared::Shared;
use crate::startup;

/// How often the machine is asked for its addresses: a new one is on the floor within this time.
const FLOOR_EVERY: Duration = Duration::from_secs(10);

/// How often the bundle is looked at even without a notification: some file systems (NFS, some container mounts) send
/// none.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Keep the floor's list of interface addresses current. Never returns.
pub async fn keep_floor(shared: Arc<Shared>) {
    let mut tick = tokio::time::interval(FLOOR_EVERY);
    loop {
        tick.tick().await;
        let interfaces = startup::interfaces();
        if shared.floor.load().interfaces != interfaces {
            shared.floor.rcu(|floor| Floor { interfaces: interfaces.clone(), ..Floor::clone(floor) });
        }
    }
}

/// Read policy and certificates once; each keeps what it has where the new is not valid, and says so.
pub async fn once(shared: &Arc<Shared>, gates: &[Gate]) {
    let now = shared.clock.now();
    match shared.policy.reload(now).await {
        Reload::Unchanged => {}
        Reload::Activated(snapshot) => {
            eprintln!(
                "policy: {} rules of `{}` are in force ({})",
                snapshot.set.rules(),
                snapshot.set.bundle(),
                snapshot.set.digest()
            );
            tell(shared, PolicyResult::Activated, None, &snapshot);
        }
        Reload::Refused(problems) => {
            eprintln!("policy: the change was refused, and the last good policy stays in force\n{problems}");
            tell(shared, PolicyResult::Rejected, Some(&problems), &shared.policy.current());
        }
    }
    for gate in gates {
        let Some(tls) = gate.tls.clone() else { continue };
        let outcome = tokio::task::spawn_blocking(move || tls.reload(now)).await;
        match outcome {
            Ok(Ok(gatepass_certs::rotate::Reload::Unchanged)) => {}
            Ok(Ok(gatepass_certs::rotate::Reload::Changed)) => {
                eprintln!("certificates: `{}` serves the new ones", gate.origin.name);
            }
            Ok(Err(unusable)) => {
                eprintln!("certificates: `{}` keeps the old ones: {unusable}", gate.origin.name);
            }
            Err(_) => {
                eprintln!("certificates: reading those of `{}` ended in a fault of the gateway", gate.origin.name)
            }
        }
    }
}

/// Record what is in force, and that a reload was refused.
pub fn tell(shared: &Shared, result: PolicyResult, error: Option<&str>, snapshot: &Snapshot) {
    shared.metrics.policy(result);
    let first = error.and_then(|text| text.lines().next());
    let recorded = shared.evidence.policy(shared.clock.now(), result, first, snapshot.reference.clone());
    if recorded.is_err() {
        eprintln!("evidence: the change of policy could not be recorded");
    }
}

/// Notifications of a bundle directory, and of those of the certificates: something may have changed.
pub struct Watch {
    changes: mpsc::Receiver<()>,
    /// Watching ends when it is dropped.
    _watcher: Option<notify::RecommendedWatcher>,
}

impl Watch {
    /// Watch these directories. Where the machine cannot notify, the regular look remains.
    pub fn on(directories: &[PathBuf]) -> Watch {
        let (send, changes) = mpsc::channel(1);
        let watcher = notify::recommended_watcher(move |_event| {
            // One waiting notification stands for all: the reload reads everything anyway.
            let _ = send.try_send(());
        });
        let watcher = watcher.ok().map(|mut watcher| {
            for directory in directories {
                if let Err(error) = watcher.watch(directory, RecursiveMode::Recursive) {
                    eprintln!("watching `{}` failed, it is looked at every 30 s instead: {error}", directory.display());
                }
            }
            watcher
        });
        Watch { changes, _watcher: watcher }
    }

    /// Resolves when something may have changed and has been quiet for `debounce`.
    pub async fn changed(&mut self, debounce: Duration) {
        let noticed = tokio::time::timeout(LOOK_EVERY, self.changes.recv()).await;
        if let Ok(None) = noticed {
            // The watcher is gone; only the regular look remains.
            tokio::time::sleep(LOOK_EVERY).await;
        }
        while let Ok(Some(())) = tokio::time::timeout(debounce, self.changes.recv()).await {}
    }
}

/// The directory of a file, to be watched: editors and orchestrators replace files rather than write into them.
pub fn directory_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        Some(_) | None => PathBuf::from("."),
    }
}
