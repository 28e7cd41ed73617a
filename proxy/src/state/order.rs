//! Which word of the store is the later one: what this gateway wrote itself, or what the watch says.
//!
//! A commit is answered on one task and the watch heard on another, so either may come first, and both may be overtaken by
//! what another gateway wrote. An older word must never stand in the place of a later one: it may be a grant that was
//! revoked since, or a mode that was left.

use std::collections::BTreeMap;

use super::store::Kept;

/// What was heard, by revision.
#[derive(Debug, Default)]
pub struct Order {
    /// The watch has told everything up to this revision.
    heard: u64,
    /// What this gateway wrote that the watch has not told yet; `None` for a key that it removed.
    own: BTreeMap<String, (u64, Option<Kept>)>,
}

impl Order {
    /// Whether what this gateway wrote is news; then it is remembered until the watch tells it.
    pub fn own(&mut self, key: &str, kept: Option<&Kept>, revision: u64) -> bool {
        let later = self.own.get(key).is_some_and(|(known, _)| *known >= revision);
        let news = revision > self.heard && !later;
        if news {
            self.own.insert(key.to_owned(), (revision, kept.cloned()));
        }
        news
    }

    /// Whether this gateway wrote the key later than that.
    pub fn is_overtaken(&self, key: &str, revision: u64) -> bool {
        self.own.get(key).is_some_and(|(own, _)| *own > revision)
    }

    /// The watch has told everything up to here.
    pub fn told(&mut self, revision: u64) {
        self.heard = self.heard.max(revision);
        self.own.retain(|_, (own, _)| *own > revision);
    }

    /// Everything was told as of here; what of it this gateway has overwritten since.
    pub fn whole(&mut self, revision: u64) -> Vec<(String, Option<Kept>)> {
        // Revisions that went back are those of a store that was restored: what was written to the other one is gone.
        if revision < self.heard {
            self.own.clear();
        }
        self.heard = revision;
        self.own.retain(|_, (own, _)| *own > revision);
        self.own.iter().map(|(key, (_, kept))| (key.clone(), kept.clone())).collect()
    }
}
