//! A connection's seat under the limits that hold for it, and the meter through which its bytes go.

use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Instant;

use arc_swap::ArcSwapOption;
use gatepass_policy::budget::Budget;

use super::account::{Account, Room};
use super::{Books, Way};

/// Bytes taken at once, each way. What is not moved is given back at the end of the same turn.
const LEASE: u64 = 1 << 20;

/// A place in each account that its connection counts in. Dropping it gives all of them back.
#[derive(Debug)]
pub struct Seat {
    books: Arc<Books>,
    places: Box<[Place]>,
}

#[derive(Debug)]
struct Place {
    account: Arc<Account>,
    budget: Arc<Budget>,
}

impl Seat {
    pub(super) fn new(books: Arc<Books>, found: Vec<(Arc<Account>, &Arc<Budget>)>) -> Seat {
        let place = |(account, budget)| Place { account, budget: Arc::clone(budget) };
        Seat { books, places: found.into_iter().map(place).collect() }
    }

    /// The limits that hold.
    pub fn budgets(&self) -> impl Iterator<Item = &Arc<Budget>> {
        self.places.iter().map(|place| &place.budget)
    }

    /// When a connection that began then has lasted as long as it may, and by whose limit.
    pub fn end(&self, began: Instant) -> Option<(Instant, &Arc<Budget>)> {
        let ends = self.budgets().filter_map(|budget| Some((budget.max_connection_duration()?, budget)));
        let (longest, budget) = ends.min_by_key(|(longest, _)| *longest)?;
        Some((began.checked_add(longest)?, budget))
    }

    /// Resolves once bytes could move each way that has a limit, or the day's are spent.
    pub(super) async fn ready(&self) {
        std::future::poll_fn(|cx| {
            for way in [Way::Upload, Way::Download] {
                let day = self.books.day();
                match self.lease(way, day, cx) {
                    Some(Room::Bytes(bytes)) => self.give_back(way, day, bytes, 0),
                    Some(Room::Wait) => return Poll::Pending,
                    Some(Room::Spent) | None => {}
                }
            }
            Poll::Ready(())
        })
        .await;
    }

    /// Take bytes from every account that counts this way: from each as many as from the one with the least. `None` where
    /// nothing counts them.
    fn lease(&self, way: Way, day: i64, cx: &Context<'_>) -> Option<Room> {
        let mut room = LEASE;
        let mut counted = None;
        for (at, place) in self.places.iter().enumerate() {
            let Some(most) = way.most(&place.budget) else { continue };
            let mut ledger = place.account.ledger(day);
            let found = ledger.lease(way, most, room);
            let asks = ledger.asks();
            if found == Room::Wait {
                ledger.wait(self.number(), cx.waker());
            }
            drop(ledger);
            if asks {
                self.books.ask(&place.account);
            }
            let bytes = match found {
                Room::Bytes(bytes) => bytes,
                Room::Wait | Room::Spent => 0,
            };
            for earlier in self.places.iter().take(at).filter(|place| way.most(&place.budget).is_some()) {
                if room > bytes {
                    earlier.account.ledger(day).give_back(way, day, room - bytes, 0);
                }
            }
            room = bytes;
            counted = Some(found);
            if room == 0 {
                break;
            }
        }
        counted.map(|found| if room > 0 { Room::Bytes(room) } else { found })
    }

    fn give_back(&self, way: Way, day: i64, leased: u64, moved: u64) {
        for place in self.places.iter().filter(|place| way.most(&place.budget).is_some()) {
            let mut ledger = place.account.ledger(day);
            ledger.give_back(way, day, leased, moved);
            let asks = ledger.asks();
            drop(ledger);
            if asks {
                self.books.ask(&place.account);
            }
        }
    }

    /// What tells it from every other seat that there is.
    fn number(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Whose bytes of the day are spent.
    fn spent(&self, way: Way, day: i64) -> Option<&Arc<Budget>> {
        let spent = |place: &&Place| {
            way.most(&place.budget).is_some_and(|most| place.account.ledger(day).lease(way, most, 0) == Room::Spent)
        };
        self.places.iter().find(spent).map(|place| &place.budget)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let day = self.books.day();
        for place in &self.places {
            place.account.ledger(day).closed(self.number());
        }
    }
}

/// What the bytes of one connection go through. Its seat changes where the policy does.
#[derive(Debug, Default)]
pub struct Meter {
    seat: ArcSwapOption<Seat>,
    /// The path of the rule past whose budget it was.
    over: OnceLock<Box<str>>,
}

/// Whether a connection may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Going {
    /// It may.
    On,
    /// It has bytes to move past the day's budget.
    Over,
}

impl Meter {
    /// A meter for a connection with this seat; without one, for one that nothing limits.
    pub fn new(seat: Option<Arc<Seat>>) -> Meter {
        Meter { seat: ArcSwapOption::new(seat), over: OnceLock::new() }
    }

    /// Go by another seat from the next turn on.
    pub fn change(&self, seat: Option<Arc<Seat>>) {
        self.seat.store(seat);
    }

    /// The seat.
    pub fn seat(&self) -> Option<Arc<Seat>> {
        self.seat.load_full()
    }

    /// Whether it goes by exactly these limits.
    pub fn goes_by(&self, budgets: &[Arc<Budget>]) -> bool {
        match &*self.seat.load() {
            None => budgets.is_empty(),
            Some(seat) => seat.budgets().eq(budgets.iter()),
        }
    }

    /// The path of the rule past whose budget of bytes it was.
    pub fn over(&self) -> Option<&str> {
        self.over.get().map(|path| &**path)
    }

    /// Begin a turn of moving bytes: as many are taken from the budgets as there is room for, at most a MiB each way. A task
    /// that gets none is woken when there may be some.
    pub fn begin(&self, cx: &Context<'_>) -> Turn<'_> {
        let Some(seat) = self.seat.load_full() else { return Turn { meter: self, taken: None } };
        let day = seat.books.day();
        let (upload, download) = (seat.lease(Way::Upload, day, cx), seat.lease(Way::Download, day, cx));
        Turn { meter: self, taken: Some(Taken { seat, day, upload, download }) }
    }
}

/// What was taken for one turn. Where it is dropped without its end, all of it counts as moved.
#[must_use = "a turn ends with what was moved"]
#[derive(Debug)]
pub struct Turn<'m> {
    meter: &'m Meter,
    taken: Option<Taken>,
}

#[derive(Debug)]
struct Taken {
    seat: Arc<Seat>,
    day: i64,
    upload: Option<Room>,
    download: Option<Room>,
}

impl Taken {
    fn room(&self, way: Way) -> Option<Room> {
        match way {
            Way::Upload => self.upload,
            Way::Download => self.download,
        }
    }

    fn bytes(&self, way: Way) -> u64 {
        match self.room(way) {
            None => u64::MAX,
            Some(Room::Bytes(bytes)) => bytes,
            Some(Room::Wait | Room::Spent) => 0,
        }
    }

    fn settle(&self, way: Way, moved: u64) {
        if let Some(Room::Bytes(leased)) = self.room(way) {
            self.seat.give_back(way, self.day, leased, moved);
        }
    }
}

impl Turn<'_> {
    /// How many bytes may move this way in this turn.
    pub fn room(&self, way: Way) -> u64 {
        self.taken.as_ref().map_or(u64::MAX, |taken| taken.bytes(way))
    }

    /// The turn is over: so many bytes were moved, and the ways in `starved` have more of them than there was room for.
    pub fn end(mut self, sent: u64, received: u64, starved: [Option<Way>; 2], cx: &Context<'_>) -> Going {
        let Some(taken) = self.taken.take() else { return Going::On };
        taken.settle(Way::Upload, sent);
        taken.settle(Way::Download, received);
        for way in starved.into_iter().flatten() {
            match taken.room(way) {
                Some(Room::Spent) => {
                    // The day may have turned in between: then the next turn has room.
                    if let Some(budget) = taken.seat.spent(way, taken.day) {
                        let _ = self.meter.over.set(budget.rule.path.clone());
                        return Going::Over;
                    }
                    cx.waker().wake_by_ref();
                }
                Some(Room::Bytes(_)) => cx.waker().wake_by_ref(),
                Some(Room::Wait) | None => {}
            }
        }
        Going::On
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(taken) = self.taken.take() {
            taken.settle(Way::Upload, taken.bytes(Way::Upload));
            taken.settle(Way::Download, taken.bytes(Way::Download));
        }
    }
}
