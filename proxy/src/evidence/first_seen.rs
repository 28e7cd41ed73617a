//! Which identity reached which domain before: the record of the first time says that it was the first.
//!
//! Pairs are kept as hashes in a bounded set, oldest first out, and in `DIRECTORY/first-seen`, sixteen bytes each, so that
//! a restart forgets none. A pair counts only where its record stands.

use std::collections::{HashSet, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sha2::{Digest as _, Sha256};

use super::record::DecisionRecord;

/// An identity and a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pair([u8; 16]);

/// The pairs that were seen.
#[derive(Debug)]
pub(super) struct FirstSeen {
    capacity: usize,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    pairs: HashSet<Pair>,
    /// The oldest first.
    order: VecDeque<Pair>,
}

/// The file that new pairs are added to.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    /// Where the next pair goes: behind whole ones, whatever a write that failed has left.
    end: u64,
}

/// The name of the file.
const FILE: &str = "first-seen";

impl FirstSeen {
    /// As many as `capacity`, and those of an earlier run.
    pub fn open(directory: &Path, capacity: usize) -> io::Result<(FirstSeen, Journal)> {
        let path = directory.join(FILE);
        let mut bytes = Vec::new();
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        file.read_to_end(&mut bytes)?;
        let (chunks, torn) = bytes.as_chunks::<16>();
        let kept = chunks.get(chunks.len().saturating_sub(capacity)..).unwrap_or_default();
        let mut end = bytes.len() as u64;
        if !torn.is_empty() || chunks.len() > capacity.saturating_mul(2) {
            // The end of a write that was cut short, or more than is remembered: written anew.
            let new = path.with_extension("new");
            let mut fresh = File::create(&new)?;
            fresh.write_all(kept.as_flattened())?;
            fresh.sync_all()?;
            std::fs::rename(&new, &path)?;
            (file, end) = (fresh, kept.as_flattened().len() as u64);
        }
        let mut seen = Seen::default();
        for chunk in kept {
            seen.add(Pair(*chunk), capacity);
        }
        Ok((FirstSeen { capacity, seen: Mutex::new(seen) }, Journal { file, end }))
    }

    /// Mark a record that is about to be admitted, if it is the first of its pair. The pair is to be given back where the
    /// record does not stand.
    pub fn mark(&self, record: &mut DecisionRecord) -> Option<Pair> {
        if self.capacity == 0 {
            return None;
        }
        let (who, destination) = (record.identity.as_ref()?, record.destination.as_mut()?);
        let pair = Pair::of(who.id.as_str(), destination.domain.as_ref().or(destination.host.as_ref())?.as_str());
        let first = self.lock().add(pair, self.capacity);
        first.then(|| destination.first_seen = Some(true));
        first.then_some(pair)
    }

    /// A record that did not stand proves nothing: the next one is the first again.
    pub fn forget(&self, pair: Pair) {
        self.lock().pairs.remove(&pair);
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        // Whatever a panic leaves half done is a pair that counts as seen or as not seen.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// Whether it is new.
    fn add(&mut self, pair: Pair, capacity: usize) -> bool {
        if !self.pairs.insert(pair) {
            return false;
        }
        self.order.push_back(pair);
        if self.order.len() > capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.pairs.remove(&oldest);
        }
        true
    }
}

impl Pair {
    fn of(identity: &str, domain: &str) -> Pair {
        let mut hasher = Sha256::new();
        hasher.update(identity);
        hasher.update([0]);
        hasher.update(domain);
        let whole: [u8; 32] = hasher.finalize().into();
        Pair(whole.first_chunk().copied().unwrap_or_default())
    }
}

impl Journal {
    /// Add pairs whose records stand. Losing some only means that they are told of once more.
    pub fn add(&mut self, pairs: &mut Vec<Pair>) -> io::Result<()> {
        if pairs.is_empty() {
            return Ok(());
        }
        let bytes: Vec<u8> = pairs.drain(..).flat_map(|pair| pair.0).collect();
        self.file.write_all_at(&bytes, self.end)?;
        self.end += bytes.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::evidence::tests::{allowed, spool};
    use crate::evidence::text::Text;

    fn to(domain: &str) -> DecisionRecord {
        let mut record = allowed();
        record.destination.as_mut().unwrap().domain = Some(Text::name(domain));
        record
    }

    fn is_first(seen: &FirstSeen, domain: &str) -> (bool, Option<Pair>) {
        let mut record = Arc::new(to(domain));
        let pair = seen.mark(Arc::make_mut(&mut record));
        (record.destination.as_ref().unwrap().first_seen == Some(true), pair)
    }

    #[test]
    fn only_the_first_of_a_pair_is_marked_also_after_a_restart_unless_its_record_did_not_stand() {
        let directory = spool().directory;
        std::fs::create_dir_all(&directory).unwrap();
        let (seen, mut journal) = FirstSeen::open(&directory, 10).unwrap();
        let (first, pair) = is_first(&seen, "a.test");
        assert!(first && !is_first(&seen, "a.test").0 && is_first(&seen, "b.test").0);
        journal.add(&mut vec![pair.unwrap()]).unwrap();
        let (failed, pair) = is_first(&seen, "c.test");
        seen.forget(pair.unwrap());
        assert!(failed && is_first(&seen, "c.test").0);
        // A write that was cut short leaves half a pair.
        std::fs::OpenOptions::new().append(true).open(directory.join(FILE)).unwrap().write_all(&[1; 7]).unwrap();
        let (again, _) = FirstSeen::open(&directory, 10).unwrap();
        assert!(!is_first(&again, "a.test").0 && is_first(&again, "b.test").0);
        assert_eq!(std::fs::metadata(directory.join(FILE)).unwrap().len(), 16);
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn pairs_that_come_after_a_write_that_was_cut_short_are_remembered() {
        let directory = spool().directory;
        std::fs::create_dir_all(&directory).unwrap();
        let (seen, mut journal) = FirstSeen::open(&directory, 10).unwrap();
        // What a full disk leaves of a write.
        std::fs::OpenOptions::new().append(true).open(directory.join(FILE)).unwrap().write_all(&[1; 7]).unwrap();
        for domain in ["a.test", "b.test"] {
            journal.add(&mut vec![is_first(&seen, domain).1.unwrap()]).unwrap();
        }
        let (again, _) = FirstSeen::open(&directory, 10).unwrap();
        assert!(!is_first(&again, "a.test").0 && !is_first(&again, "b.test").0);
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn the_oldest_pairs_make_room_and_with_none_nothing_is_marked() {
        let directory = spool().directory;
        std::fs::create_dir_all(&directory).unwrap();
        let (seen, _) = FirstSeen::open(&directory, 2).unwrap();
        assert!(["a", "b", "c"].iter().all(|domain| is_first(&seen, domain).0));
        assert!(!is_first(&seen, "c").0 && is_first(&seen, "a").0);
        let (none, _) = FirstSeen::open(&directory, 0).unwrap();
        assert_eq!(is_first(&none, "a"), (false, None));
        std::fs::remove_dir_all(directory).unwrap();
    }
}
