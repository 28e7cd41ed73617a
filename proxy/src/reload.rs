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

/// A directory that never becomes quiet is read after this many times the quiet that is waited for.
const RESTLESS: u32 = 10;

/// Keep the floor's list of interface addresses current. Never returns.
pub async fn keep_floor(shared: Arc<Shared>) {
    let mut tick = tokio::time::interval(FLOOR_EVERY);
    loop {
        tick.tick().await;
        // What was known stays on the floor until something else is known.
        let Ok(interfaces) = startup::interfaces() else { continue };
        if shared.floor.load().interfaces != interfaces {
            shared.floor.rcu(|floor| Floor { interfaces: interfaces.clone(), ..Floor::clone(floor) });
        }
    }
}

/// Why everything is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Somebody asked for it: SIGHUP.
    Asked,
    /// Something may have changed.
    Looked,
}

/// Read policy, certificates and what the collector is shown once; each keeps what it has where the new is not valid, and says so.
pub async fn once(shared: &Arc<Shared>, gates: &[Gate], cause: Cause) {
    let now = shared.clock.now();
    collector(shared).await;
    admin(shared, now).await;
    // The machine's own anchors take long to read, and change with its packages, not with a bundle.
    if cause == Cause::Asked || shared.probed_by.ca.is_some() {
        anchors(shared).await;
    }
    match shared.policy.reload(now).await {
        Reload::Unchanged | Reload::StillRefused => {}
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

/// Read again what the collector is shown and trusts.
async fn collector(shared: &Shared) {
    let Some(renewal) = shared.collector.clone() else { return };
    match tokio::task::spawn_blocking(move || renewal.once()).await {
        Ok(Ok(false)) => {}
        Ok(Ok(true)) => eprintln!("evidence: the collector is shown the new headers and certificates"),
        Ok(Err(unusable)) => eprintln!("evidence: the collector is shown the old headers and certificates: {unusable}"),
        Err(_) => eprintln!("evidence: reading what the collector is shown ended in a fault of the gateway"),
    }
}

/// Read again who the operators are, and the certificates of the admin listener.
async fn admin(shared: &Shared, now: jiff::Timestamp) {
    let Some(kept) = shared.admin.clone() else { return };
    match tokio::task::spawn_blocking(move || kept.reload(now)).await {
        Ok(said) => said.iter().for_each(|line| eprintln!("{line}")),
        Err(_) => eprintln!("operators: reading them ended in a fault of the gateway"),
    }
}

/// Read again whom the gateway trusts to vouch for servers.
async fn anchors(shared: &Arc<Shared>) {
    let ours = Arc::clone(shared);
    let read = tokio::task::spawn_blocking(move || startup::probe::read_again(&ours));
    match read.await {
        Ok(Ok(false)) => {}
        Ok(Ok(true)) => eprintln!("probe: other authorities are trusted from now on"),
        Ok(Err(problem)) => eprintln!("probe: the same authorities are trusted as before\n{problem}"),
        Err(_) => eprintln!("probe: reading whom to trust ended in a fault of the gateway"),
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

/// A directory whose changes ask for a reload.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Watched {
    /// The directory.
    pub path: PathBuf,
    /// How much of it.
    pub depth: Depth,
}

/// How much of a directory is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// All that is below it: a bundle.
    All,
    /// What stands right in it: a certificate's, or that of the operators' file. Records may be written further below.
    Entries,
}

/// Notifications of a bundle directory, and of those of the certificates and operators: something may have changed.
pub struct Watch {
    directories: Arc<[Watched]>,
    /// For the watchers to come.
    send: mpsc::Sender<()>,
    changes: mpsc::Receiver<()>,
    /// Watching ends when it is dropped.
    watcher: Option<notify::RecommendedWatcher>,
}

impl Watch {
    /// Watch these directories. Where the machine cannot notify, the regular look remains.
    pub fn on(directories: &[Watched]) -> Watch {
        let (send, changes) = mpsc::channel(1);
        // Absolute, so that the paths in events can be compared with them.
        let absolute = |watched: &Watched| {
            let path = std::path::absolute(&watched.path).unwrap_or_else(|_| watched.path.clone());
            Watched { path, ..*watched }
        };
        let directories: Arc<[Watched]> = directories.iter().map(absolute).collect();
        let watcher = arm(&directories, &send, |directory, error| {
            eprintln!("watching `{}` failed, it is looked at every 30 s instead: {error}", directory.display());
        });
        Watch { directories, send, changes, watcher }
    }

    /// Resolves when something may have changed and has been quiet for `debounce`.
    pub async fn changed(&mut self, debounce: Duration) {
        let _ = tokio::time::timeout(LOOK_EVERY, self.changes.recv()).await;
        let end = tokio::time::Instant::now() + debounce * RESTLESS;
        while tokio::time::Instant::now() < end {
            if tokio::time::timeout(debounce, self.changes.recv()).await.is_err() {
                break;
            }
        }
        // A watch follows the directory that it was set on, not its name: another one may have taken its place. This
        // comes before anything is read, so that no change falls in between.
        self.watcher = arm(&self.directories, &self.send, |_, _| {});
    }
}

/// A watcher of these directories, and of their own coming and going, which only the directory above them tells.
fn arm(
    directories: &Arc<[Watched]>,
    send: &mpsc::Sender<()>,
    mut failed: impl FnMut(&Path, notify::Error),
) -> Option<notify::RecommendedWatcher> {
    let (ours, send) = (Arc::clone(directories), send.clone());
    let tell = move |event: notify::Result<notify::Event>| {
        // Reading changes nothing, and a reload reads. An error may hide anything.
        let concerns = event.map_or(true, |event| {
            let inside = |path: &PathBuf| ours.iter().any(|directory| path.starts_with(&directory.path));
            !event.kind.is_access() && (event.paths.is_empty() || event.paths.iter().any(inside))
        });
        if concerns {
            // One waiting notification stands for all: the reload reads everything anyway.
            let _ = send.try_send(());
        }
    };
    let mut watcher = notify::recommended_watcher(tell).ok()?;
    for directory in directories.iter() {
        let mode = match directory.depth {
            Depth::All => RecursiveMode::Recursive,
            Depth::Entries => RecursiveMode::NonRecursive,
        };
        let above = directory_of(&directory.path);
        if !directories.iter().any(|other| other.path == above) {
            let _ = watcher.watch(&above, RecursiveMode::NonRecursive);
        }
        if let Err(error) = watcher.watch(&directory.path, mode) {
            failed(&directory.path, error);
        }
    }
    Some(watcher)
}

/// The directory of a file, to be watched: editors and orchestrators replace files rather than write into them.
pub fn directory_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        Some(_) | None => PathBuf::from("."),
    }
}
