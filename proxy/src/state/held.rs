//! What the store holds, as this gateway knows it, and what of it is in force.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gatepass_policy::overrides::{NORMAL, Override};
use jiff::{SignedDuration, Timestamp};

use super::exception::{self, Exception};
use super::grant::{Grant, Scope, Status};
use super::mode::{Heard, ModeEntry};
use super::store::{Kept, View};
use super::usage::Uses;
use crate::policy_store::Over;

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

/// When a grant or an exception is over, whatever the wall clock says.
#[derive(Clone, Copy, Debug)]
struct Deadline {
    at: Option<Instant>,
}

/// The image.
#[derive(Debug)]
pub struct Held {
    pub grants: BTreeMap<String, Entry<Grant>>,
    pub exceptions: BTreeMap<String, Entry<Exception>>,
    pub mode: Option<Entry<Heard>>,
    pub local_mode: Option<Heard>,
    pub uses: BTreeMap<String, BTreeMap<String, Uses>>,
    /// By path, from the moment an end was heard of.
    deadlines: BTreeMap<String, Deadline>,
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
            deadlines: BTreeMap::new(),
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

    /// One key has this value.
    pub fn put(&mut self, kept: &Kept, now: Timestamp) {
        self.unreadable.remove(&kept.key);
        let read = if let Some(id) = kept.key.strip_prefix(GRANTS) {
            read(&kept.value).map(|grant: Grant| self.put_grant(id, grant, kept.revision, now))
        } else if let Some(id) = kept.key.strip_prefix(EXCEPTIONS) {
            read(&kept.value).map(|exception: Exception| {
                let path = format!("exception/{id}");
                self.hear(&path, exception.ends, exception.seconds, now);
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

    /// The first time an end is heard of, a deadline on the clock that nobody can set is fixed: what is left of it by the
    /// wall clock, and never more than its whole length.
    fn hear(&mut self, path: &str, ends: Option<Timestamp>, seconds: i64, now: Timestamp) {
        let Some(ends) = ends else { return };
        if self.deadlines.contains_key(path) {
            return;
        }
        let whole = SignedDuration::from_secs(seconds);
        let left = ends.duration_since(now).min(whole).max(SignedDuration::ZERO);
        let over = !self.settled && self.trust == Trust::Behind;
        let left = Duration::try_from(left).unwrap_or(Duration::ZERO);
        let at = if over { None } else { Instant::now().checked_add(left) };
        self.deadlines.insert(path.to_owned(), Deadline { at });
    }

    /// Whether the deadline of what is called so has passed.
    fn is_over(&self, path: &str) -> bool {
        self.deadlines.get(path).is_none_or(|deadline| deadline.at.is_none_or(|at| Instant::now() >= at))
    }

    /// Where a grant stands, by both clocks.
    pub fn grant_status(&self, grant: &Grant, now: Timestamp) -> Status {
        match grant.status(now) {
            Status::Active if self.is_over(&grant.path()) => Status::Ended,
            other => other,
        }
    }

    /// Where an exception stands, by both clocks.
    pub fn exception_status(&self, exception: &Exception, now: Timestamp) -> exception::Status {
        match exception.status(now) {
            exception::Status::Active if self.is_over(&format!("exception/{}", exception.id)) => {
                exception::Status::Ended
            }
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

    /// What is to be laid over the policy.
    pub fn over(&self, now: Timestamp) -> Over {
        let grants = self.grants.values().map(|entry| &entry.value);
        let grants = grants.filter(|grant| self.grant_status(grant, now) == Status::Active);
        let exceptions = self.exceptions.values().map(|entry| &entry.value);
        let exceptions =
            exceptions.filter(|exception| self.exception_status(exception, now) == exception::Status::Active);
        // What the policy cannot read is not in force; it was checked when it was asked for.
        let overrides: Vec<Override> =
            grants.flat_map(Grant::to_override).chain(exceptions.flat_map(Exception::to_override)).collect();
        Over { mode: Arc::from(self.mode(now)), overrides }
    }

    /// How long nothing ends by itself, at most `most`.
    pub fn quiet(&self, now: Timestamp, most: Duration) -> Duration {
        let instant = Instant::now();
        let deadlines = self.deadlines.values().filter_map(|deadline| deadline.at);
        let by_deadline = deadlines.filter(|at| *at > instant).map(|at| at - instant);
        let grants = self.grants.values().filter_map(|entry| entry.value.ends);
        let exceptions = self.exceptions.values().filter_map(|entry| entry.value.ends);
        let mode = self.mode.as_ref().and_then(|entry| entry.value.entry.ends());
        let local = self.local_mode.as_ref().and_then(|heard| heard.entry.ends());
        let ends = grants.chain(exceptions).chain(mode).chain(local).filter(|end| *end > now);
        let by_wall = ends.filter_map(|end| Duration::try_from(end.duration_since(now)).ok());
        by_deadline.chain(by_wall).min().unwrap_or(most).min(most)
    }

    /// Forget deadlines of what is gone.
    pub fn tidy(&mut self) {
        let (grants, exceptions) = (&self.grants, &self.exceptions);
        self.deadlines.retain(|path, _| match path.split_once('/') {
            Some(("grant", id)) => grants.contains_key(id),
            Some((_, id)) => exceptions.contains_key(id),
            None => false,
        });
    }
}

fn read<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}
