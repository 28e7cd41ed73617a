//! Buffers and pipes that tunnels borrow while bytes are on the move, and give back before they wait.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use super::pipe::Pipe;

/// Bounds of what all tunnels share.
#[derive(Clone, Copy, Debug)]
pub struct PoolLimits {
    /// Bytes of one copy buffer (16 to 64 KiB are sensible). A direction whose reader is slow holds one.
    pub buffer_size: usize,
    /// Copy buffers kept for the next tunnel; more may be in use.
    pub spare_buffers: usize,
    /// Pipes open at once, two file descriptors each; directions beyond that copy. 0 means never to splice.
    pub pipes: usize,
    /// Bytes that a pipe may hold. The kernel's own 64 KiB cost more than twice the processor time per byte that
    /// 1 MiB cost; a user without privileges has 64 MiB for all pipes (`/proc/sys/fs/pipe-user-pages-soft`).
    pub pipe_size: usize,
    /// Pipes kept for the next tunnel, within `pipes`.
    pub spare_pipes: usize,
}

/// What all tunnels share. One per process.
#[derive(Debug)]
pub struct Pools {
    limits: PoolLimits,
    buffers: Mutex<Vec<Box<[u8]>>>,
    pipes: Mutex<Vec<Pipe>>,
    open_pipes: Arc<Semaphore>,
}

impl Pools {
    /// Empty pools; they fill as tunnels give back what they needed.
    pub fn new(limits: PoolLimits) -> Pools {
        Pools {
            limits,
            buffers: Mutex::new(Vec::new()),
            pipes: Mutex::new(Vec::new()),
            open_pipes: Arc::new(Semaphore::new(limits.pipes.min(Semaphore::MAX_PERMITS))),
        }
    }

    pub(super) fn buffer(&self) -> Box<[u8]> {
        let spare = self.buffers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        // At least one byte, or every read would look like the end of its stream.
        spare.unwrap_or_else(|| vec![0; self.limits.buffer_size.max(1)].into_boxed_slice())
    }

    pub(super) fn return_buffer(&self, buffer: Box<[u8]>) {
        let mut spare = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < self.limits.spare_buffers {
            spare.push(buffer);
        }
    }

    /// An empty pipe, unless too many are open or the system gives none.
    pub(super) fn pipe(&self) -> Option<Pipe> {
        let spare = self.pipes.lock().unwrap_or_else(PoisonError::into_inner).pop();
        spare.or_else(|| {
            let counted = Arc::clone(&self.open_pipes).try_acquire_owned().ok()?;
            Pipe::open(self.limits.pipe_size, counted)
        })
    }

    /// Only an empty pipe is kept: what is left in one belongs to one tunnel and dies with it.
    pub(super) fn return_pipe(&self, pipe: Pipe) {
        let mut spare = self.pipes.lock().unwrap_or_else(PoisonError::into_inner);
        if pipe.is_empty() && spare.len() < self.limits.spare_pipes {
            spare.push(pipe);
        }
    }

    #[cfg(test)]
    pub(super) fn spare(&self) -> (usize, usize) {
        (self.buffers.lock().unwrap().len(), self.pipes.lock().unwrap().len())
    }

    #[cfg(test)]
    pub(super) fn pipes_in_use(&self) -> usize {
        self.limits.pipes - self.open_pipes.available_permits() - self.spare().1
    }
}
