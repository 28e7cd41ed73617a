//! How often something may go wrong: an allowance for each key that grows again with time, and a bound on keys.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// An allowance of `burst`, one of which comes back in each `every`.
#[derive(Debug)]
pub struct Limiter<K> {
    burst: u32,
    every: Duration,
    /// Most keys that are remembered. Where they are all in use, whoever is new is refused: forgetting one would give its
    /// allowance back.
    keys: usize,
    /// When each key's allowance is whole again; a key that is not there has all of it.
    whole: Mutex<HashMap<K, Instant>>,
}

impl<K: Hash + Eq> Limiter<K> {
    /// An allowance of `burst` for each of at most so many keys.
    pub fn new(burst: u32, every: Duration, keys: usize) -> Limiter<K> {
        Limiter { burst, every, keys, whole: Mutex::default() }
    }

    /// Take one, or learn how long to wait for it.
    pub fn take(&self, key: K, now: Instant) -> Result<(), Duration> {
        let mut whole = self.whole.lock().unwrap_or_else(PoisonError::into_inner);
        if whole.len() >= self.keys && !whole.contains_key(&key) {
            whole.retain(|_, at| *at > now);
            if whole.len() >= self.keys {
                return Err(self.every);
            }
        }
        let at = whole.entry(key).or_insert(now);
        let missing = at.saturating_duration_since(now);
        let most = self.every.saturating_mul(self.burst.saturating_sub(1));
        if let Some(wait) = missing.checked_sub(most).filter(|wait| !wait.is_zero()) {
            return Err(wait);
        }
        *at = (*at).max(now) + self.every;
        Ok(())
    }

    /// Give back what was taken: nothing went wrong after all.
    pub fn give_back(&self, key: &K, now: Instant) {
        let mut whole = self.whole.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = whole.get_mut(key) {
            *at = at.checked_sub(self.every).unwrap_or(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(12);

    #[test]
    fn the_allowance_ends_and_comes_back_one_by_one() {
        let (limiter, start) = (Limiter::new(5, EVERY, 10), Instant::now());
        for _ in 0..5 {
            assert_eq!(limiter.take("a", start), Ok(()));
        }
        assert_eq!(limiter.take("a", start), Err(EVERY));
        assert_eq!(limiter.take("b", start), Ok(()), "another key has its own");
        assert_eq!(limiter.take("a", start + EVERY), Ok(()));
        assert_eq!(limiter.take("a", start + EVERY), Err(EVERY));
        let much_later = start + EVERY * 100;
        let taken = (0..9).filter(|_| limiter.take("a", much_later).is_ok()).count();
        assert_eq!(taken, 5, "no more than the allowance is saved up");
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let (limiter, start) = (Limiter::new(1, EVERY, 10), Instant::now());
        for _ in 0..50 {
            assert_eq!(limiter.take("a", start), Ok(()));
            limiter.give_back(&"a", start);
        }
    }

    #[test]
    fn too_many_keys_are_refused_until_one_is_whole_again() {
        let (limiter, start) = (Limiter::new(2, EVERY, 2), Instant::now());
        assert_eq!(limiter.take(1, start), Ok(()));
        assert_eq!(limiter.take(2, start), Ok(()));
        assert_eq!(limiter.take(3, start), Err(EVERY));
        assert_eq!(limiter.take(2, start), Ok(()), "who is known goes on");
        assert_eq!(limiter.take(3, start + EVERY * 2), Ok(()));
    }
}
