//! What one rule has let one identity have. Arithmetic only: no clock, no disk.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use gatepass_policy::budget::{Budget, Measure};

use super::Way;

/// Whose account it is: it lasts as long as the rule keeps its path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) rule: Box<str>,
    pub(super) identity: Box<str>,
}

#[derive(Debug)]
pub(super) struct Account {
    pub(super) key: Key,
    ledger: Mutex<Ledger>,
}

impl Account {
    pub(super) fn new(key: Key, day: i64) -> Account {
        Account { key, ledger: Mutex::new(Ledger { day, ..Ledger::default() }) }
    }

    /// What the disk noted for this day.
    pub(super) fn of_disk(key: Key, day: i64, upload: u64, download: u64) -> Account {
        let of = |bytes| Spent { used: bytes, kept: bytes, ..Spent::default() };
        let (upload, download) = (of(upload), of(download));
        Account { key, ledger: Mutex::new(Ledger { day, upload, download, noted: Noted::Yes, ..Ledger::default() }) }
    }

    /// The ledger as of this day.
    pub(super) fn ledger(&self, day: i64) -> MutexGuard<'_, Ledger> {
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.turn_to(day);
        ledger
    }
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    open: u64,
    /// When connections were opened, those of the last second.
    recent: VecDeque<Instant>,
    pub(super) day: i64,
    upload: Spent,
    download: Spent,
    /// Those who wait for the disk, or for what others have taken and may give back.
    waiting: HashMap<usize, Waker>,
    /// Whether it waits in the keeper's queue.
    pub(super) asked: Asked,
    /// Whether the disk has a note of it.
    pub(super) noted: Noted,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Asked {
    Yes,
    #[default]
    No,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Noted {
    Yes,
    #[default]
    No,
}

/// Bytes of the day that went one way. `used + leased` never exceeds `kept`.
#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    used: u64,
    /// Taken by connections that move bytes at this moment.
    leased: u64,
    /// What the disk says was used: as many may be, and a gateway that dies has used no more.
    kept: u64,
    /// The most of the day under the limits that were seen last; 0 where this way has none.
    most: u64,
}

/// A step in which bytes are noted on the disk before they move: what a gateway that is killed counts too many, at most.
const STEP: std::ops::RangeInclusive<u64> = 64 << 10..=64 << 20;

impl Spent {
    fn step(&self) -> u64 {
        (self.most / 16).clamp(*STEP.start(), *STEP.end())
    }

    /// What the disk should say, where that is more than it does.
    fn wants(&self) -> Option<u64> {
        let taken = self.used.saturating_add(self.leased);
        let ahead = self.kept.saturating_sub(taken);
        let mark = taken.saturating_add(self.step()).min(self.most);
        (ahead < self.step() / 2 && mark > self.kept).then_some(mark)
    }
}

/// What there is for a connection that wants to move bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// So many, taken for it.
    Bytes(u64),
    /// None at this moment.
    Wait,
    /// None today.
    Spent,
}

impl Ledger {
    fn turn_to(&mut self, day: i64) {
        if day > self.day {
            self.day = day;
            for spent in [&mut self.upload, &mut self.download] {
                *spent = Spent { most: spent.most, ..Spent::default() };
            }
            self.wake();
        }
    }

    /// Whether there is room for one more connection; else which limit is in the way, and what it sees.
    pub(super) fn admits(&mut self, budget: &Budget, now: Instant) -> Result<(), (Measure, u64)> {
        self.forget_before(now);
        let opened = [(Measure::Connections, self.open), (Measure::NewConnections, self.recent.len() as u64)];
        for (measure, there) in opened {
            if budget.most(measure).is_some_and(|most| there >= most) {
                return Err((measure, there + 1));
            }
        }
        // One byte that is left is enough to begin.
        for (measure, used) in [(Measure::Upload, self.upload.used), (Measure::Download, self.download.used)] {
            if budget.most(measure).is_some_and(|most| used >= most) {
                return Err((measure, used));
            }
        }
        Ok(())
    }

    /// One more is open, and new.
    pub(super) fn opened(&mut self, now: Instant) {
        self.open += 1;
        self.recent.push_back(now);
    }

    /// One more is open, which was so before.
    pub(super) fn moved_in(&mut self) {
        self.open += 1;
    }

    pub(super) fn closed(&mut self, who: usize) {
        self.open = self.open.saturating_sub(1);
        self.waiting.remove(&who);
    }

    /// Those of any second: a connection counts until a whole second has passed.
    fn forget_before(&mut self, now: Instant) {
        const SECOND: Duration = Duration::from_secs(1);
        while self.recent.front().is_some_and(|then| now.saturating_duration_since(*then) >= SECOND) {
            self.recent.pop_front();
        }
        if self.recent.is_empty() && self.recent.capacity() > 64 {
            self.recent = VecDeque::new();
        }
    }

    fn spent(&mut self, way: Way) -> &mut Spent {
        match way {
            Way::Upload => &mut self.upload,
            Way::Download => &mut self.download,
        }
    }

    /// Take up to `wanted` bytes of what is left below `most`.
    pub(super) fn lease(&mut self, way: Way, most: u64, wanted: u64) -> Room {
        let spent = self.spent(way);
        spent.most = most;
        if spent.used >= most {
            return Room::Spent;
        }
        let taken = spent.used.saturating_add(spent.leased);
        match most.min(spent.kept).saturating_sub(taken).min(wanted) {
            0 => Room::Wait,
            bytes => {
                spent.leased += bytes;
                Room::Bytes(bytes)
            }
        }
    }

    /// Of `leased` bytes `moved` were moved; the rest is for others. What was taken on another day is that day's.
    pub(super) fn give_back(&mut self, way: Way, day: i64, leased: u64, moved: u64) {
        if day != self.day {
            return;
        }
        let spent = self.spent(way);
        spent.leased = spent.leased.saturating_sub(leased);
        spent.used = spent.used.saturating_add(moved);
        self.wake();
    }

    /// How many wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Wake `waker` once there may be room.
    pub(super) fn wait(&mut self, who: usize, waker: &Waker) {
        self.waiting.insert(who, waker.clone());
    }

    fn wake(&mut self) {
        self.waiting.drain().for_each(|(_, waker)| waker.wake());
    }

    /// Whether the keeper must be asked for more; asked once, until it has answered.
    pub(super) fn asks(&mut self) -> bool {
        let asks = self.asked == Asked::No && (self.upload.wants().is_some() || self.download.wants().is_some());
        if asks {
            self.asked = Asked::Yes;
        }
        asks
    }

    /// What the disk is to say: of the bytes about to be used, too.
    pub(super) fn marks(&self) -> (u64, u64) {
        let mark = |spent: &Spent| spent.wants().unwrap_or(spent.kept);
        (mark(&self.upload), mark(&self.download))
    }

    /// The disk says so of this day.
    pub(super) fn kept(&mut self, day: i64, upload: u64, download: u64) {
        self.asked = Asked::No;
        self.noted = Noted::Yes;
        if day == self.day {
            self.upload.kept = self.upload.kept.max(upload);
            self.download.kept = self.download.kept.max(download);
        }
        self.wake();
    }

    /// Nothing of it is open, and the disk says more than was used: from now on no more may be used than was, and that is
    /// what the disk is to say.
    pub(super) fn settle(&mut self) -> Option<(u64, u64)> {
        let leased = self.upload.leased.saturating_add(self.download.leased);
        let ahead = self.upload.kept > self.upload.used || self.download.kept > self.download.used;
        if self.open > 0 || leased > 0 || self.asked == Asked::Yes || !ahead {
            return None;
        }
        self.upload.kept = self.upload.used;
        self.download.kept = self.download.used;
        Some((self.upload.used, self.download.used))
    }

    /// Whether forgetting it changes nothing: nothing is open or was just opened, and nothing was used today.
    pub(super) fn is_idle(&mut self, now: Instant) -> bool {
        self.forget_before(now);
        let unused = self.upload.used == 0 && self.download.used == 0;
        self.open == 0 && self.recent.is_empty() && unused && self.asked == Asked::No
    }
}
