//! The limits of rules, held: for each rule and identity how many connections are open, how many were opened within a
//! second, and how many bytes of the UTC day went which way.
//!
//! A [`Seat`] is taken when a decision allows, before its destination is dialled, and given back when it is dropped,
//! however its connection ends. Bytes are taken from the day's budget before they move ([`Meter::begin`]), so that none
//! moves past it. [`disk`] keeps the day's bytes: always at least as many as have moved. Each gateway counts for itself.

mod account;

mod seat;

mod refused;

mod disk;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use account::{Account, Key};
use gatepass_policy::budget::{Budget, Measure};
use jiff::Timestamp;
pub use refused::{LABELS, Refused};
pub use seat::{Going, Meter, Seat, Turn};
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::state::store::Local;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the client to the destination.
    Upload,
    /// From the destination to the client.
    Download,
}

impl Way {
    fn most(self, budget: &Budget) -> Option<u64> {
        match self {
            Way::Upload => budget.upload_bytes_per_day,
            Way::Download => budget.download_bytes_per_day,
        }
    }
}

/// How long an admission waits until the disk has noted that bytes are about to be spent.
const PATIENCE: Duration = Duration::from_secs(5);

const DAY_SECONDS: i64 = 86_400;

/// What every rule with limits has let every identity have. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Budgets(Arc<Books>);

#[derive(Debug)]
struct Books {
    accounts: Mutex<HashMap<Key, Arc<Account>>>,
    /// Most of `accounts`.
    room: usize,
    /// Those that need more of their day's bytes noted on the disk.
    asking: Mutex<Vec<Arc<Account>>>,
    asked: Notify,
    /// What is noted is noted in the order in which it was counted.
    writing: tokio::sync::Mutex<()>,
    clock: Clock,
    /// The latest day that the disk knows of: it is at least that day, whatever the clock says.
    at_least: i64,
    local: Local,
}

impl Budgets {
    /// Where nothing was counted yet.
    #[cfg(test)]
    pub(crate) fn new(local: Local, clock: Clock, room: usize) -> Budgets {
        Budgets(Arc::new(Books::empty(local, clock, room)))
    }

    /// Take a seat under all of `budgets`, or under none of them: then it is told which limit is in the way.
    ///
    /// It comes back only when the disk has noted more bytes than are spent. Nothing of this costs anything where there
    /// are no limits.
    pub async fn open(&self, budgets: &[Arc<Budget>], identity: &str) -> Result<Option<Arc<Seat>>, Refused> {
        if budgets.is_empty() {
            return Ok(None);
        }
        let seat = self.take(budgets, identity, Instant::now())?;
        match tokio::time::timeout(PATIENCE, seat.ready()).await {
            Ok(()) => Ok(Some(seat)),
            Err(_) => Err(Refused::Unkept),
        }
    }

    /// Whoever takes has the lock on all accounts, so that the last place is given once.
    fn take(&self, budgets: &[Arc<Budget>], identity: &str, now: Instant) -> Result<Arc<Seat>, Refused> {
        let books = &self.0;
        let (mut accounts, day) = (books.accounts(), books.day());
        let found = budgets.iter().map(|budget| Ok((books.account(&mut accounts, budget, identity)?, budget)));
        let found: Vec<(Arc<Account>, &Arc<Budget>)> = found.collect::<Result<_, _>>()?;
        for (account, budget) in &found {
            if let Err((measure, seen)) = account.ledger(day).admits(budget, now) {
                let retry_after = books.retry_after(measure);
                return Err(Refused::Reached { budget: Arc::clone(budget), measure, seen, retry_after });
            }
        }
        for (account, _) in &found {
            account.ledger(day).opened(now);
        }
        Ok(Arc::new(Seat::new(Arc::clone(books), found)))
    }

    /// A seat for what is open already, under other limits than before: bytes and durations follow them at once. None is
    /// refused for want of connections; those that are too many are not replaced as they end.
    ///
    /// # Errors
    /// There is no room for another account.
    pub fn reseat(&self, budgets: &[Arc<Budget>], identity: &str) -> Result<Option<Arc<Seat>>, Refused> {
        if budgets.is_empty() {
            return Ok(None);
        }
        let books = &self.0;
        let mut accounts = books.accounts();
        let found = budgets.iter().map(|budget| Ok((books.account(&mut accounts, budget, identity)?, budget)));
        let found: Vec<(Arc<Account>, &Arc<Budget>)> = found.collect::<Result<_, _>>()?;
        for (account, _) in &found {
            account.ledger(books.day()).moved_in();
        }
        Ok(Some(Arc::new(Seat::new(Arc::clone(books), found))))
    }
}

impl Books {
    fn empty(local: Local, clock: Clock, room: usize) -> Books {
        Books {
            accounts: Mutex::default(),
            room,
            asking: Mutex::default(),
            asked: Notify::new(),
            writing: tokio::sync::Mutex::default(),
            clock,
            at_least: i64::MIN,
            local,
        }
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<Key, Arc<Account>>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn account(
        &self,
        accounts: &mut HashMap<Key, Arc<Account>>,
        budget: &Budget,
        identity: &str,
    ) -> Result<Arc<Account>, Refused> {
        let key = Key { rule: budget.rule.path.clone(), identity: identity.into() };
        if let Some(known) = accounts.get(&key) {
            return Ok(Arc::clone(known));
        }
        if accounts.len() >= self.room {
            // The keeper's next round removes what is idle.
            return Err(Refused::Full);
        }
        let account = Arc::new(Account::new(key.clone(), self.day()));
        accounts.insert(key, Arc::clone(&account));
        Ok(account)
    }

    /// The day of UTC, counted from the epoch. By the clock that never goes back.
    fn day(&self) -> i64 {
        day_of(self.clock.now()).max(self.at_least)
    }

    fn retry_after(&self, measure: Measure) -> u64 {
        match measure {
            Measure::NewConnections => 1,
            // Nobody knows when one of the others ends; a client that asks again soon costs little.
            Measure::Connections | Measure::Duration => 5,
            Measure::Upload | Measure::Download => {
                let midnight = (self.day() + 1).saturating_mul(DAY_SECONDS);
                u64::try_from(midnight.saturating_sub(self.clock.now().as_second())).unwrap_or(0).max(1)
            }
        }
    }

    /// Have more of this account's bytes noted on the disk.
    fn ask(&self, account: &Arc<Account>) {
        self.asking.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(account));
        self.asked.notify_one();
    }
}

fn day_of(now: Timestamp) -> i64 {
    now.as_second().div_euclid(DAY_SECONDS)
}

#[cfg(test)]
mod tests;
