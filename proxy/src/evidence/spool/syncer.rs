//! `fdatasync` beside the writer, so that a slow disk does not hold up records that need not wait for it.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use super::disk::Extent;

/// One segment to bring to the disk, as far as it was written.
#[derive(Debug)]
pub(super) struct Task {
    pub file: Arc<File>,
    pub to: Extent,
}

/// A thread that synchronises one file at a time. It ends when this is dropped.
pub(super) struct Syncer {
    to: SyncSender<Task>,
    from: Receiver<(Task, io::Result<()>)>,
    busy: bool,
}

impl Syncer {
    pub fn start() -> io::Result<Syncer> {
        let (to, tasks) = sync_channel::<Task>(1);
        let (done, from) = sync_channel(1);
        let run = move || {
            while let Ok(task) = tasks.recv() {
                let outcome = task.file.sync_data();
                if done.send((task, outcome)).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("evidence-sync".into()).spawn(run)?;
        Ok(Syncer { to, from, busy: false })
    }

    /// Synchronise this one, unless another is under way.
    pub fn begin(&mut self, task: Task) {
        if !self.busy {
            self.busy = match self.to.try_send(task) {
                Ok(()) => true,
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
            };
        }
    }

    /// What became of it, if it has ended.
    pub fn ended(&mut self) -> Option<(Task, io::Result<()>)> {
        let ended = if self.busy { self.from.try_recv().ok() } else { None };
        self.busy &= ended.is_none();
        ended
    }

    /// What became of it, however long that takes; `None` where nothing is under way.
    pub fn wait(&mut self) -> Option<(Task, io::Result<()>)> {
        let ended = if self.busy { self.from.recv().ok() } else { None };
        self.busy = false;
        ended
    }
}
