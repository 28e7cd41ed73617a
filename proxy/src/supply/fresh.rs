//! Until when a policy may decide: its release's own end, and how long its source may be silent.

use std::fmt;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use gatepass_config::policy::WhenStale;
use jiff::{SignedDuration, Timestamp};

/// No end.
const NEVER: i64 = i64::MAX;

/// Until when the policy in force may decide.
#[derive(Debug)]
pub struct Freshness {
    when_stale: WhenStale,
    max_age: Option<SignedDuration>,
    /// Microseconds since the epoch, and so are the others.
    not_after: AtomicI64,
    confirmed: AtomicI64,
    /// The earlier end of the two.
    end: AtomicI64,
    /// What was told last of being stale.
    told: Mutex<Option<Stale>>,
}

/// Why a policy is stale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stale {
    /// Its release has ended.
    Ended(Timestamp),
    /// Its source has confirmed it last at this time, longer ago than `max_age`.
    Silent(Timestamp),
}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stale::Ended(end) => write!(f, "the policy ended at {end}, and no newer release was taken"),
            Stale::Silent(last) => {
                write!(f, "the policy was confirmed by its source at {last} last, longer ago than `policy.max_age`")
            }
        }
    }
}

impl Freshness {
    /// Of what nothing is known yet.
    pub fn new(max_age: Option<Duration>, when_stale: WhenStale) -> Freshness {
        Freshness {
            when_stale,
            max_age: max_age.map(|age| SignedDuration::try_from(age).unwrap_or(SignedDuration::MAX)),
            not_after: AtomicI64::new(NEVER),
            confirmed: AtomicI64::new(NEVER),
            end: AtomicI64::new(NEVER),
            told: Mutex::new(None),
        }
    }

    /// Another release is in force, or the same with another end.
    pub fn of_release(&self, not_after: Option<Timestamp>, confirmed: Timestamp) {
        self.not_after.store(not_after.map_or(NEVER, Timestamp::as_microsecond), Ordering::Release);
        self.confirmed(confirmed);
    }

    /// The source has said that what is in force is what it gives.
    pub fn confirmed(&self, at: Timestamp) {
        self.confirmed.store(at.as_microsecond(), Ordering::Release);
        let by_age = self.max_age.map_or(NEVER, |age| at.checked_add(age).map_or(NEVER, Timestamp::as_microsecond));
        self.end.store(by_age.min(self.not_after.load(Ordering::Acquire)), Ordering::Release);
    }

    /// When the source confirmed it last.
    pub fn last_confirmed(&self) -> Option<Timestamp> {
        known(self.confirmed.load(Ordering::Acquire))
    }

    /// The end of the release, where it has one.
    pub fn not_after(&self) -> Option<Timestamp> {
        known(self.not_after.load(Ordering::Acquire))
    }

    /// What is done where it is stale.
    pub fn when_stale(&self) -> WhenStale {
        self.when_stale
    }

    /// Why it is stale at this moment, if it is.
    pub fn stale(&self, now: Timestamp) -> Option<Stale> {
        if now.as_microsecond() < self.end.load(Ordering::Acquire) {
            return None;
        }
        match (self.not_after().filter(|end| *end <= now), self.last_confirmed()) {
            (Some(end), _) => Some(Stale::Ended(end)),
            (None, Some(last)) => Some(Stale::Silent(last)),
            (None, None) => None,
        }
    }

    /// Why new connections are refused at this moment, if they are. On the path of every connection: one comparison.
    pub fn refuses(&self, now: Timestamp) -> Option<Stale> {
        match self.when_stale {
            WhenStale::Keep => None,
            WhenStale::Refuse => self.stale(now),
        }
    }

    /// What is to be said of a change since this was asked last.
    pub fn turned(&self, now: Timestamp) -> Option<String> {
        let stale = self.stale(now);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_some() == stale.is_some() {
            return None;
        }
        told.clone_from(&stale);
        Some(match (stale, self.when_stale) {
            (None, _) => "policy: it is fresh again".to_owned(),
            (Some(stale), WhenStale::Keep) => format!("policy: stale, and it goes on deciding: {stale}"),
            (Some(stale), WhenStale::Refuse) => format!("policy: stale, new connections are refused: {stale}"),
        })
    }
}

fn known(microseconds: i64) -> Option<Timestamp> {
    Timestamp::from_microsecond(microseconds).ok().filter(|_| microseconds != NEVER)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn it_ends_with_its_release_and_with_the_silence_of_its_source() {
        let fresh = Freshness::new(Some(Duration::from_secs(100)), WhenStale::Refuse);
        fresh.of_release(Some(at(1_150)), at(1_000));
        assert_eq!((fresh.stale(at(1_099)), fresh.refuses(at(1_099))), (None, None));
        assert_eq!(fresh.refuses(at(1_100)), Some(Stale::Silent(at(1_000))));
        fresh.confirmed(at(1_100));
        assert_eq!(fresh.refuses(at(1_149)), None);
        assert_eq!(fresh.refuses(at(1_150)), Some(Stale::Ended(at(1_150))));
        // Confirming what has ended does not prolong it.
        fresh.confirmed(at(1_150));
        assert_eq!(fresh.refuses(at(1_151)), Some(Stale::Ended(at(1_150))));
        fresh.of_release(None, at(1_200));
        assert_eq!((fresh.stale(at(1_299)), fresh.not_after()), (None, None));
    }

    #[test]
    fn a_stale_policy_that_is_kept_refuses_nothing_and_is_told_once() {
        let fresh = Freshness::new(None, WhenStale::Keep);
        fresh.of_release(Some(at(1_000)), at(0));
        assert_eq!(fresh.turned(at(999)), None);
        assert_eq!((fresh.stale(at(1_000)), fresh.refuses(at(1_000))), (Some(Stale::Ended(at(1_000))), None));
        assert!(fresh.turned(at(1_000)).unwrap().contains("it goes on deciding"));
        assert_eq!(fresh.turned(at(1_001)), None);
        fresh.of_release(Some(at(2_000)), at(1_001));
        assert_eq!(fresh.turned(at(1_002)).unwrap(), "policy: it is fresh again");
    }

    #[test]
    fn a_directory_has_no_end() {
        let fresh = Freshness::new(None, WhenStale::Refuse);
        fresh.of_release(None, at(0));
        assert_eq!(fresh.refuses(Timestamp::MAX), None);
    }
}
