//! Sums over many records, in bounded memory.

use std::collections::HashMap;
use std::hash::Hash;

/// Groups that are kept: at some 200 bytes each a question takes a few hundred megabytes at most.
pub const GROUPS_MAX: usize = 1_000_000;

/// A value for each key that was seen.
#[derive(Clone, Debug)]
pub struct Groups<K, V> {
    groups: HashMap<K, V>,
    /// Records of groups that there was no room for.
    pub left_out: u64,
}

impl<K: Hash + Eq, V> Groups<K, V> {
    /// None yet.
    pub fn new() -> Groups<K, V> {
        Groups { groups: HashMap::new(), left_out: 0 }
    }

    /// The value of a key, made where it is new; `None` where there is no room for another one.
    pub fn entry(&mut self, key: K, new: impl FnOnce() -> V) -> Option<&mut V> {
        if self.groups.len() >= GROUPS_MAX && !self.groups.contains_key(&key) {
            self.left_out += 1;
            return None;
        }
        Some(self.groups.entry(key).or_insert_with(new))
    }

    /// Take one out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.groups.remove(key)
    }

    /// The value of a key that was seen.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.groups.get(key)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// All of them, the greatest by `order` first; those that are equal by their keys, so that an answer is always the
    /// same.
    pub fn sorted<O: Ord>(self, order: impl Fn(&V) -> O) -> Vec<(K, V)>
    where
        K: Ord,
    {
        let mut all: Vec<(K, V)> = self.groups.into_iter().collect();
        all.sort_by(|(key, value), (other, than)| order(than).cmp(&order(value)).then_with(|| key.cmp(other)));
        all
    }

    /// What to say where something was left out.
    pub fn note(&self) -> Option<String> {
        (self.left_out > 0).then(|| {
            format!(
                "{} records belong to more groups than are kept ({GROUPS_MAX}): ask for less, with --since, --identity or --host",
                self.left_out
            )
        })
    }
}

impl<K: Hash + Eq> Groups<K, u64> {
    /// The sum of counts.
    pub fn total(&self) -> u64 {
        self.groups.values().sum()
    }
}
