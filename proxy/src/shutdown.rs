//! Graceful drain: no new connections, live tunnels until the deadline, then the end, each step seen by everyone.

use std::time::Duration;

use tokio::sync::{mpsc, watch};

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Business as usual.
    Serving,
    /// No new connection and no new request; what is under way goes on.
    Draining,
    /// What is still under way is cut.
    Ended,
}

/// The composition root's end: it starts the drain and waits for it.
#[derive(Debug)]
pub struct Shutdown {
    phase: watch::Sender<Phase>,
    /// Dropped when the last connection is gone.
    alive: mpsc::Sender<()>,
    gone: mpsc::Receiver<()>,
}

/// A connection's end: it looks at the phase, and is counted for as long as it is held.
#[derive(Clone, Debug)]
pub struct Drain {
    phase: watch::Receiver<Phase>,
    _alive: mpsc::Sender<()>,
}

impl Shutdown {
    /// Serving.
    pub fn new() -> Shutdown {
        let (phase, _) = watch::channel(Phase::Serving);
        let (alive, gone) = mpsc::channel(1);
        Shutdown { phase, alive, gone }
    }

    /// A handle for one more part that must be waited for.
    pub fn drain(&self) -> Drain {
        Drain { phase: self.phase.subscribe(), _alive: self.alive.clone() }
    }

    /// A view of the phase alone, for parts that are not waited for.
    pub fn phase(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// Stop taking work, give what is under way `patience`, then cut it, and return when all is gone or `patience`
    /// has passed once more.
    pub async fn finish(self, patience: Duration) {
        let Shutdown { phase, alive, mut gone } = self;
        drop(alive);
        phase.send_replace(Phase::Draining);
        if tokio::time::timeout(patience, gone.recv()).await.is_ok() {
            return;
        }
        phase.send_replace(Phase::Ended);
        let _ = tokio::time::timeout(patience.max(Duration::from_secs(1)), gone.recv()).await;
    }
}

impl Default for Shutdown {
    fn default() -> Shutdown {
        Shutdown::new()
    }
}

impl Drain {
    /// The phase now.
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Resolves once the phase is at least `phase`. A vanished root counts as the end.
    pub async fn reached(&mut self, phase: Phase) {
        let _ = self.phase.wait_for(|now| *now >= phase).await;
    }
}
