//! What the store holds, as this gateway knows it, and what of it is in force.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gatepass_policy::overrides::{NORMAL, Override};
use jiff::{SignedDuration, Timestamp};

use super::exception::{self, Exception};
use super::grant::{Grant, Scope, Status};
use super::mode::{Heard, ModeEntry};
use super::store::{Kept, View};
use super::usage::Uses;
use crate::policy_store::Over;

/// How long what has ended is still laid over the policy, without effect.
const REMEMBERED: SignedDuration = SignedDuration::from_secs(30);

/// Where things are kept.
pub const GRANTS: &str = "grants/";
pub const EXCEPTIONS: &str = "exceptions/";
pub const MODE: &str = "mode";
pub const USES: &str = "uses/";
pub const CLAIMS: &str = "claims/";

/// An entry with the revision by which it is changed.
#[derive(Clone, Debug)]
pub struct Entry<T> {
    pub value: T,
    pub revision: u64,
}

/// Why a moment is what it is for grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The clock stood no lower than the highest that was ever seen.
    Good,
    /// It stood lower when the gateway started: what was granted before is over.
    Behind,
}

/// The image.
#[derive(Debug)]
pub struct Held {
    pub grants: BTreeMap<String, Entry<Grant>>,
    pub exceptions: BTreeMap<String, Entry<Exception>>,
    pub mode: Option<Entry<Heard>>,
    pub local_mode: Option<Heard>,
    pub uses: BTreeMap<String, BTreeMap<String, Uses>>,
    /// Ends as this gateway reckons them, by path.
    ends: BTreeMap<String, Timestamp>,
    /// What could not be read, by key: never in force, and told.
    pub unreadable: BTreeMap<String, String>,
    trust: Trust,
    /// Until the first image is complete, beginnings that were heard of come from before this start.
    pub settled: bool,
}

impl Held {
    pub fn new(trust: Trust) -> Held {
        Held {
            grants: BTreeMap::new(),
            exceptions: BTreeMap::new(),
            mode: None,
            local_mode: None,
            uses: BTreeMap::new(),
            ends: BTreeMap::new(),
            unreadable: BTreeMap::new(),
            trust,
            settled: false,
        }
    }

    /// This is all there is. What is local stays.
    pub fn replace(&mut self, view: &View, now: Timestamp) {
        self.grants.retain(|_, entry| entry.value.scope == Scope::Local);
        self.exceptions.clear();
        self.uses.clear();
        self.unreadable.clear();
        let before = self.mode.take();
        view.kept.iter().for_each(|kept| self.put(kept, now));
        // The same mode heard again keeps its time.
        if let (Some(before), Some(mode)) = (before, &mut self.mode)
            && before.value.entry == mode.value.entry
        {
            mode.value = before.value;
        }
        self.settled = true;
    }

    /// Nothing is known, and so it is not known that nothing is contained.
    pub fn assume_nothing(&mut self, now: Timestamp) {
        self.mode = Some(Entry { value: Heard::unknown(now), revision: 0 });
    }

    /// One key has this value.
    pub fn put(&mut self, kept: &Kept, now: Timestamp) {
        self.unreadable.remove(&kept.key);
        let read = if let Some(id) = kept.key.strip_prefix(GRANTS) {
            read(&kept.value).map(|grant: Grant| self.put_grant(id, grant, kept.revision, now))
        } else if let Some(id) = kept.key.strip_prefix(EXCEPTIONS) {
            read(&kept.value).map(|exception: Exception| {
                self.hear(&exception.path(), exception.ends, exception.seconds, now);
                self.exceptions.insert(id.to_owned(), Entry { value: exception, revision: kept.revision });
            })
        } else if kept.key == MODE {
            read(&kept.value).map(|mode: ModeEntry| {
                self.mode = Some(Entry { value: Heard::new(mode, now), revision: kept.revision });
            })
        } else if let Some((grant, gateway)) = kept.key.strip_prefix(USES).and_then(|rest| rest.split_once('/')) {
            read(&kept.value).map(|uses: Uses| {
                self.uses.entry(grant.to_owned()).or_default().insert(gateway.to_owned(), uses);
            })
        } else {
            Ok(())
        };
        if let Err(why) = read {
            if kept.key == MODE {
                // It was set to contain something, and no policy has a mode of this name: nothing goes but grants.
                self.mode = Some(Entry { value: Heard::unknown(now), revision: kept.revision });
            }
            self.unreadable.insert(kept.key.clone(), why);
        }
    }

    /// A grant, of the store or of this gateway alone.
    pub fn put_grant(&mut self, id: &str, grant: Grant, revision: u64, now: Timestamp) {
        self.hear(&grant.path(), grant.ends, grant.seconds, now);
        self.grants.insert(id.to_owned(), Entry { value: grant, revision });
    }

    /// A key is gone.
    pub fn delete(&mut self, key: &str) {
        self.unreadable.remove(key);
        if let Some(id) = key.strip_prefix(GRANTS) {
            self.grants.remove(id);
        } else if let Some(id) = key.strip_prefix(EXCEPTIONS) {
            self.exceptions.remove(id);
        } else if key == MODE {
            self.mode = None;
        } else if let Some((grant, gateway)) = key.strip_prefix(USES).and_then(|rest| rest.split_once('/')) {
            self.uses.get_mut(grant).map(|uses| uses.remove(gateway));
        }
    }

    /// The first time an end is heard of it is fixed by the clock of this gateway, which never goes back: no later than the
    /// end that was written, and no later than the whole length from now. A gateway whose clock is behind prolongs nothing.
    fn hear(&mut self, path: &str, ends: Option<Timestamp>, seconds: i64, now: Timestamp) {
        let Some(ends) = ends else { return };
        let over = !self.settled && self.trust == Trust::Behind;
        let whole = now.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(ends);
        self.ends.entry(path.to_owned()).or_insert(if over { Timestamp::MIN } else { ends.min(whole) });
    }

    /// When what is called so ends. What was never heard of has ended.
    fn end(&self, path: &str) -> Timestamp {
        self.ends.get(path).copied().unwrap_or(Timestamp::MIN)
    }

    /// Where a grant stands, as this gateway reckons.
    pub fn grant_status(&self, grant: &Grant, now: Timestamp) -> Status {
        match grant.status(now) {
            Status::Active if now >= self.end(&grant.path()) => Status::Ended,
            other => other,
        }
    }

    /// Where an exception stands, as this gateway reckons.
    pub fn exception_status(&self, exception: &Exception, now: Timestamp) -> exception::Status {
        match exception.status(now) {
            exception::Status::Active if now >= self.end(&exception.path()) => exception::Status::Ended,
            other => other,
        }
    }

    /// The containment mode that holds: what was set on this gateway alone, until the store has a later word.
    pub fn mode(&self, now: Timestamp) -> &str {
        let kept = self.mode.as_ref().map(|entry| &entry.value);
        let heard = match (&self.local_mode, kept) {
            (Some(local), Some(kept)) if kept.entry.set.at > local.entry.set.at => Some(kept),
            (Some(local), _) => Some(local),
            (None, kept) => kept,
        };
        heard.map_or(NORMAL, |heard| heard.mode(now))
    }

    /// What is to be laid over the policy. What has ended by time stays a little, with its end: whoever looks again at what
    /// is open finds there why it is no longer allowed.
    pub fn over(&self, now: Timestamp) -> Over {
        let recent = now.saturating_sub(REMEMBERED).unwrap_or(now);
        let grants = self.grants.values().map(|entry| &entry.value).filter_map(|grant| {
            let end = self.end(&grant.path());
            let held = grant.revoked.is_none() && grant.begins.is_some() && end > recent;
            held.then(|| grant.to_override(Some(end)))
        });
        let exceptions = self.exceptions.values().map(|entry| &entry.value).filter_map(|one| {
            let end = self.end(&one.path());
            let held = one.closed.is_none() && one.begins.is_some() && end > recent;
            held.then(|| one.to_override(Some(end)))
        });
        // What the policy cannot read is not in force; it was checked when it was asked for.
        let overrides: Vec<Override> = grants.chain(exceptions).flatten().collect();
        Over { mode: Arc::from(self.mode(now)), overrides }
    }

    /// How long nothing ends by itself, at most `most`.
    pub fn quiet(&self, now: Timestamp, most: Duration) -> Duration {
        let mode = self.mode.as_ref().and_then(|entry| entry.value.entry.ends());
        let local = self.local_mode.as_ref().and_then(|heard| heard.entry.ends());
        let ends = self.ends.values().copied().chain(mode).chain(local).filter(|end| *end > now);
        ends.filter_map(|end| Duration::try_from(end.duration_since(now)).ok()).min().unwrap_or(most).min(most)
    }

    /// Forget ends of what is gone.
    pub fn tidy(&mut self) {
        let (grants, exceptions) = (&self.grants, &self.exceptions);
        self.ends.retain(|path, _| match path.split_once('/') {
            Some(("grant", id)) => grants.contains_key(id),
            Some((_, id)) => exceptions.contains_key(id),
            None => false,
        });
    }
}

fn read<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}
