//! Room for records: places in the queue and bytes on disk, taken before anything leaves the gateway, so that what was
//! promised always fits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::OwnedSemaphorePermit;

/// What a decision takes on disk, as a rule: a denial with three nearest rules.
pub(super) const DECISION_BYTES: u64 = 2048;
/// What a close takes on disk.
pub(super) const CLOSE_BYTES: u64 = 512;

/// The bytes that the spool has, and those that were promised.
#[derive(Debug)]
pub(super) struct Space {
    /// What reservations may fill; the rest is the own reserve of policy, checkpoint and gap records.
    limit: u64,
    used: AtomicU64,
    promised: AtomicU64,
    full: Full,
}

/// What a full spool does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// New connections are refused.
    Refuse,
    /// The oldest records go, and a gap record says so.
    DropOldest,
}

impl Space {
    /// Of `size` bytes in all.
    pub fn new(size: u64, full: Full) -> Space {
        let own = (size / 64).max(256 << 10);
        Space { limit: size.saturating_sub(own), used: AtomicU64::new(0), promised: AtomicU64::new(0), full }
    }

    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes of segments on disk.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    pub fn set_used(&self, bytes: u64) {
        self.used.store(bytes, Ordering::Relaxed);
    }

    /// Bytes on disk, and those that were promised.
    pub fn wanted(&self) -> u64 {
        self.used().saturating_add(self.promised.load(Ordering::Relaxed))
    }

    pub fn full(&self) -> Full {
        self.full
    }

    /// Whether so many bytes more could be promised.
    pub fn has_room_for(&self, bytes: u64) -> bool {
        match self.full {
            Full::DropOldest => true,
            Full::Refuse => self.wanted().saturating_add(bytes) <= self.limit,
        }
    }

    /// Promise bytes; false where there are none.
    fn promise(&self, bytes: u64) -> bool {
        let promised = self.promised.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        let fits = self.full == Full::DropOldest || self.used().saturating_add(promised) <= self.limit;
        if !fits {
            self.promised.fetch_sub(bytes, Ordering::Relaxed);
        }
        fits
    }
}

/// Room that is held: given back when it is dropped, which is when its record stands or will never come.
#[derive(Debug)]
pub(super) struct Room {
    places: OwnedSemaphorePermit,
    /// The space with what of it was promised; `None` for records with a reserve of their own.
    bytes: Option<(Arc<Space>, u64)>,
}

impl Room {
    /// Places, and bytes on disk with them; `None` where the disk has no room.
    pub fn promised(places: OwnedSemaphorePermit, space: &Arc<Space>, bytes: u64) -> Option<Room> {
        space.promise(bytes).then(|| Room { places, bytes: Some((Arc::clone(space), bytes)) })
    }

    /// Places of a record that has a reserve of its own.
    pub fn own(places: OwnedSemaphorePermit) -> Room {
        Room { places, bytes: None }
    }

    /// Take one place and so many bytes out of this room.
    pub fn split(&mut self, bytes: u64) -> Option<Room> {
        let places = self.places.split(1)?;
        let part = self.bytes.as_mut().map(|(space, held)| {
            let part = bytes.min(*held);
            *held -= part;
            (Arc::clone(space), part)
        });
        Some(Room { places, bytes: part })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if let Some((space, bytes)) = &self.bytes {
            space.promised.fetch_sub(*bytes, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::*;

    fn room(space: &Arc<Space>, bytes: u64) -> Option<Room> {
        let places = Arc::new(Semaphore::new(2)).try_acquire_many_owned(2).unwrap();
        Room::promised(places, space, bytes)
    }

    #[test]
    fn what_is_promised_counts_until_its_holder_is_gone_however_it_is_split() {
        let space = Arc::new(Space::new(1 << 20, Full::Refuse));
        space.set_used(space.limit() - 100);
        let mut first = room(&space, 100).unwrap();
        assert!(room(&space, 1).is_none() && !space.has_room_for(1));
        let close = first.split(40).unwrap();
        drop(first);
        assert!(space.has_room_for(60) && !space.has_room_for(61));
        drop(close);
        assert!(space.has_room_for(100) && !space.has_room_for(101));
    }

    #[test]
    fn where_the_oldest_go_there_is_always_room() {
        let space = Arc::new(Space::new(1 << 20, Full::DropOldest));
        space.set_used(2 << 20);
        assert!(room(&space, 100).is_some());
    }
}
