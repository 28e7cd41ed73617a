//! A bounded memory of what DNS said, for as long as DNS said.
//!
//! Two generations: when the young one holds half of the bound it becomes the old one, and what was old is forgotten.
//! What is asked for again moves to the young one. So the bound holds and nothing is ever searched or sorted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gatepass_policy::facts::Resolved;
use tokio::time::Instant;

/// What is remembered of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// These answers.
    Found(Arc<Resolved>),
    /// That there are none.
    Absent,
}

struct Entry {
    known: Known,
    until: Instant,
}

#[derive(Default)]
struct Generations {
    young: HashMap<Arc<str>, Entry>,
    old: HashMap<Arc<str>, Entry>,
}

/// Names and what is known of them.
pub(super) struct Cache {
    /// Names in one generation.
    half: usize,
    generations: Mutex<Generations>,
}

impl Cache {
    /// Room for `entries` names, rounded down to an even number.
    pub fn new(entries: usize) -> Cache {
        Cache { half: entries / 2, generations: Mutex::default() }
    }

    /// What is known at `now`.
    pub fn get(&self, name: &Arc<str>, now: Instant) -> Option<Known> {
        let mut generations = self.lock();
        if let Some(entry) = generations.young.get(name) {
            return (now < entry.until).then(|| entry.known.clone());
        }
        let entry = generations.old.remove(name).filter(|entry| now < entry.until)?;
        let known = entry.known.clone();
        let forgotten = insert(&mut generations, self.half, name.clone(), entry);
        drop(generations);
        drop(forgotten);
        Some(known)
    }

    /// Remember for `ttl` from `now`. A TTL of 0 is for the transaction in progress alone (RFC 1035 section 3.2.1).
    pub fn put(&self, name: Arc<str>, known: Known, ttl: Duration, now: Instant) {
        if ttl.is_zero() || self.half == 0 {
            return;
        }
        let mut generations = self.lock();
        let forgotten = insert(&mut generations, self.half, name, Entry { known, until: now + ttl });
        // Freeing thousands of names takes longer than anyone should wait for the lock.
        drop(generations);
        drop(forgotten);
    }

    /// A panic elsewhere leaves maps that are whole: every change here is one insertion or one exchange.
    fn lock(&self) -> MutexGuard<'_, Generations> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        let generations = self.lock();
        generations.young.len() + generations.old.len()
    }
}

/// Returns the generation that had to go.
fn insert(generations: &mut Generations, half: usize, name: Arc<str>, entry: Entry) -> HashMap<Arc<str>, Entry> {
    let mut forgotten = HashMap::new();
    if generations.young.len() >= half && !generations.young.contains_key(&name) {
        let young = std::mem::take(&mut generations.young);
        forgotten = std::mem::replace(&mut generations.old, young);
    }
    generations.old.remove(&name);
    generations.young.insert(name, entry);
    forgotten
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Arc<str> {
        text.into()
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn an_entry_lives_exactly_as_long_as_its_ttl() {
        let (cache, now) = (Cache::new(10), Instant::now());
        cache.put(name("a.test"), Known::Absent, Duration::from_secs(1), now);
        assert_eq!(cache.get(&name("a.test"), now + Duration::from_millis(999)), Some(Known::Absent));
        assert_eq!(cache.get(&name("a.test"), now + Duration::from_secs(1)), None);
        assert_eq!(cache.get(&name("b.test"), now), None);
    }

    #[test]
    fn a_ttl_of_zero_is_not_kept() {
        let (cache, now) = (Cache::new(10), Instant::now());
        cache.put(name("a.test"), Known::Absent, Duration::ZERO, now);
        assert_eq!((cache.get(&name("a.test"), now), cache.len()), (None, 0));
    }

    #[test]
    fn no_more_names_are_kept_than_the_bound() {
        let (cache, now) = (Cache::new(10), Instant::now());
        for number in 0..1000 {
            cache.put(name(&format!("{number}.test")), Known::Absent, MINUTE, now);
            assert!(cache.len() <= 10, "{} names after {number}", cache.len());
        }
        assert_eq!(cache.get(&name("999.test"), now), Some(Known::Absent));
        assert_eq!(cache.get(&name("0.test"), now), None);
    }

    #[test]
    fn a_name_in_use_outlives_a_flood_of_others() {
        let (cache, now) = (Cache::new(10), Instant::now());
        cache.put(name("used.test"), Known::Absent, MINUTE, now);
        for number in 0..1000 {
            cache.put(name(&format!("{number}.test")), Known::Absent, MINUTE, now);
            assert_eq!(cache.get(&name("used.test"), now), Some(Known::Absent), "after {number}");
            assert!(cache.len() <= 10);
        }
    }

    #[test]
    fn without_entries_nothing_is_kept() {
        let (cache, now) = (Cache::new(0), Instant::now());
        cache.put(name("a.test"), Known::Absent, MINUTE, now);
        assert_eq!((cache.get(&name("a.test"), now), cache.len()), (None, 0));
    }

    #[test]
    fn what_is_put_last_is_what_is_known() {
        let (cache, now) = (Cache::new(2), Instant::now());
        let found = Known::Found(Arc::new(Resolved { answers: vec![], cname: vec![], min_ttl: 1, secure: false }));
        cache.put(name("a.test"), Known::Absent, MINUTE, now);
        cache.put(name("b.test"), Known::Absent, MINUTE, now);
        cache.put(name("a.test"), found.clone(), MINUTE, now);
        assert_eq!(cache.get(&name("a.test"), now), Some(found));
    }
}
