//! A bounded memory of proofs, and of the probes under way that others may wait for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use gatepass_policy::facts::Upstream;
use tokio::sync::OnceCell;

use super::Key;

/// Where the answer of one probe comes to be, with the moment of it.
pub(super) type Answer = OnceCell<(Arc<Upstream>, Instant)>;

/// What there is on a question.
pub(super) enum Slot {
    /// An answer that still counts.
    Known(Arc<Upstream>),
    /// The place of one, which may be under way.
    Open(Arc<Answer>),
}

struct Entry {
    answer: Arc<Answer>,
    /// `None` while it is under way.
    until: Option<Instant>,
}

impl Entry {
    /// Whether anything would be lost with it: a probe that nobody waits for any more never ends.
    fn is_of_use(&self, now: Instant) -> bool {
        match self.until {
            Some(until) => now < until,
            None => Arc::strong_count(&self.answer) > 1,
        }
    }
}

/// Questions and what is known of them.
pub(super) struct Kept {
    most: usize,
    entries: Mutex<HashMap<Key, Entry>>,
}

impl Kept {
    /// Room for so many questions. Beyond them nothing is remembered and nothing shared.
    pub fn new(most: usize) -> Kept {
        Kept { most, entries: Mutex::default() }
    }

    /// What there is at `now`.
    pub fn get(&self, key: &Key, now: Instant) -> Slot {
        let mut entries = self.lock();
        if let Some(entry) = entries.get(key).filter(|entry| entry.is_of_use(now)) {
            return match (entry.until, entry.answer.get()) {
                (Some(_), Some((upstream, _))) => Slot::Known(Arc::clone(upstream)),
                (Some(_) | None, _) => Slot::Open(Arc::clone(&entry.answer)),
            };
        }
        entries.remove(key);
        let answer = Arc::new(Answer::new());
        if entries.len() >= self.most {
            entries.retain(|_, entry| entry.is_of_use(now));
        }
        if entries.len() >= self.most {
            // All of them are good. Forgetting costs a probe each; searching for the oldest would cost everybody.
            entries.retain(|_, entry| entry.until.is_none());
        }
        if entries.len() < self.most {
            entries.insert(key.clone(), Entry { answer: Arc::clone(&answer), until: None });
        }
        Slot::Open(answer)
    }

    /// The answer is there, and counts until then.
    pub fn put(&self, key: &Key, answer: &Arc<Answer>, until: Instant) {
        let mut entries = self.lock();
        if let Some(entry) = entries.get_mut(key).filter(|entry| Arc::ptr_eq(&entry.answer, answer)) {
            entry.until = Some(until);
            if until <= Instant::now() {
                entries.remove(key);
            }
        }
    }

    /// A panic elsewhere leaves a map that is whole: every change here is one insertion or removal.
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.lock().len()
    }
}
