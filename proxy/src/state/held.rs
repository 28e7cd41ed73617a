//! What the store holds, as this gateway knows it, and what of it is in force.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gatepass_policy::overrides::{NORMAL, Override};
use jiff::{SignedDuration, Timestamp};

use super::exception::{self, Exception};
use super::fleet::{POLICIES, Pointer};
use super::grant::{Grant, Scope, Status};
use super::mode::{Heard, ModeEntry};
use super::order::Order;
use super::sound;
use super::store::{Kept, View, Write};
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

/// What of this gateway alone could not be read is told with this behind its key.
pub const HERE: &str = " of this gateway alone";

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
    /// What each gateway decides by, by replica.
    pub policies: BTreeMap<String, Pointer>,
    /// Ends as this gateway reckons them, by path.
    ends: BTreeMap<String, Timestamp>,
    /// Of them, those earlier than what was written, until they are on this gateway's disk.
    earlier: Vec<(String, Timestamp)>,
    /// What could not be read, by key: never in force, and told.
    pub unreadable: BTreeMap<String, String>,
    trust: Trust,
    longest: Longest,
    order: Order,
    /// Until the first image of the store is complete, beginnings that were heard of come from before this start.
    pub settled: bool,
}

/// How something of the store was heard of.
#[derive(Clone, Copy)]
enum Told {
    /// When it was written, or soon after.
    AsItHappened,
    /// Among everything that is kept, whenever it was written.
    InWhole,
}

/// The longest lives that this gateway lets anything have, whatever the store says.
#[derive(Clone, Copy, Debug)]
pub struct Longest {
    pub grant: SignedDuration,
    pub exception: SignedDuration,
}

impl Held {
    pub fn new(trust: Trust, longest: Longest) -> Held {
        Held {
            grants: BTreeMap::new(),
            exceptions: BTreeMap::new(),
            mode: None,
            local_mode: None,
            uses: BTreeMap::new(),
            policies: BTreeMap::new(),
            ends: BTreeMap::new(),
            earlier: Vec::new(),
            unreadable: BTreeMap::new(),
            trust,
            longest,
            order: Order::default(),
            settled: false,
        }
    }

    /// This is all there is. What is local stays.
    pub fn replace(&mut self, view: &View, now: Timestamp) {
        self.grants.retain(|_, entry| entry.value.scope == Scope::Local);
        self.exceptions.clear();
        self.policies.clear();
        let grants = &self.grants;
        self.uses.retain(|grant, _| grants.contains_key(grant));
        self.unreadable.retain(|key, _| key.ends_with(HERE));
        let before = self.mode.take();
        view.kept.iter().for_each(|kept| self.put(kept, Told::InWhole, now));
        for (key, kept) in self.order.whole(view.revision) {
            match kept {
                Some(kept) => self.put(&kept, Told::InWhole, now),
                None => self.delete(&key),
            }
        }
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

    /// What one commit, or several, did, as the watch tells it.
    pub fn hear_some(&mut self, revision: u64, puts: &[Kept], deleted: &[String], now: Timestamp) {
        for kept in puts {
            if !self.order.is_overtaken(&kept.key, kept.revision) {
                self.put(kept, Told::AsItHappened, now);
            }
        }
        for key in deleted {
            if !self.order.is_overtaken(key, revision) {
                self.delete(key);
            }
        }
        self.order.told(revision);
    }

    /// What this gateway committed, unless the watch has told that or what came after it.
    pub fn hear_own(&mut self, written: &[Write], revision: u64, now: Timestamp) {
        for write in written {
            match write {
                Write::Put { key, value, .. } => {
                    let kept = Kept { key: key.clone(), value: value.clone(), revision };
                    if self.order.own(key, Some(&kept), revision) {
                        self.put(&kept, Told::AsItHappened, now);
                    }
                }
                Write::Delete { key } => {
                    if self.order.own(key, None, revision) {
                        self.delete(key);
                    }
                }
            }
        }
    }

    /// One key has this value.
    fn put(&mut self, kept: &Kept, told: Told, now: Timestamp) {
        // What was there before is over, also where what is there now cannot be read.
        if kept.key != MODE {
            self.delete(&kept.key);
        }
        self.unreadable.remove(&kept.key);
        let read = if let Some(id) = kept.key.strip_prefix(GRANTS) {
            let grant = read(&kept.value).and_then(|grant| sound::grant(&grant, id, Scope::Fleet).map(|()| grant));
            match self.grants.contains_key(id) {
                true => Err("this gateway keeps another grant under its id".to_owned()),
                false => grant.map(|grant| self.put_grant(id, grant, kept.revision, now)),
            }
        } else if let Some(id) = kept.key.strip_prefix(EXCEPTIONS) {
            let one = read(&kept.value).and_then(|one| sound::exception(&one, id).map(|()| one));
            one.map(|one: Exception| {
                self.hear(&one.path(), (one.begins, one.ends), one.seconds, self.longest.exception, now);
                self.exceptions.insert(id.to_owned(), Entry { value: one, revision: kept.revision });
            })
        } else if kept.key == MODE {
            read(&kept.value).map(|mode: ModeEntry| {
                let heard = match told {
                    Told::AsItHappened => Heard::just_set(mode),
                    Told::InWhole => Heard::new(mode, now),
                };
                self.mode = Some(Entry { value: heard, revision: kept.revision });
            })
        } else if let Some(replica) = kept.key.strip_prefix(POLICIES) {
            let pointer = read(&kept.value).and_then(|one| sound::pointer(&one).map(|()| one));
            pointer.map(|one: Pointer| drop(self.policies.insert(replica.to_owned(), one)))
        } else {
            self.take_uses(&kept.key, &kept.value)
        };
        if let Err(why) = read {
            if kept.key == MODE {
                // It was set to contain something, and no policy has a mode of this name: nothing goes but grants.
                self.mode = Some(Entry { value: Heard::unknown(now), revision: kept.revision });
            }
            self.unreadable.insert(kept.key.clone(), why);
        }
    }

    /// What was done under a grant, on one gateway. Other keys are not looked at.
    pub fn take_uses(&mut self, key: &str, value: &[u8]) -> Result<(), String> {
        let Some((grant, gateway)) = key.strip_prefix(USES).and_then(|rest| rest.split_once('/')) else {
            return Ok(());
        };
        let uses: Uses = read(value)?;
        self.uses.entry(grant.to_owned()).or_default().insert(gateway.to_owned(), uses);
        Ok(())
    }

    /// A grant, of the store or of this gateway alone.
    pub fn put_grant(&mut self, id: &str, grant: Grant, revision: u64, now: Timestamp) {
        self.hear(&grant.path(), (grant.begins, grant.ends), grant.seconds, self.longest.grant, now);
        self.grants.insert(id.to_owned(), Entry { value: grant, revision });
    }

    /// A key is gone.
    fn delete(&mut self, key: &str) {
        self.unreadable.remove(key);
        if let Some(id) = key.strip_prefix(GRANTS) {
            // The store says nothing of what this gateway keeps for itself.
            self.grants.retain(|known, entry| known != id || entry.value.scope == Scope::Local);
        } else if let Some(id) = key.strip_prefix(EXCEPTIONS) {
            self.exceptions.remove(id);
        } else if key == MODE {
            self.mode = None;
        } else if let Some(replica) = key.strip_prefix(POLICIES) {
            self.policies.remove(replica);
        } else if let Some((grant, gateway)) = key.strip_prefix(USES).and_then(|rest| rest.split_once('/')) {
            let Some(uses) = self.uses.get_mut(grant) else { return };
            uses.remove(gateway);
            if uses.is_empty() {
                self.uses.remove(grant);
            }
        }
    }

    /// The first time an end is heard of it is fixed by the clock of this gateway, which never goes back: no later than the
    /// end that was written, and no later than the whole length from its beginning and from now. A gateway whose clock is
    /// behind prolongs nothing, and no length is beyond what this gateway takes.
    fn hear(
        &mut self,
        path: &str,
        life: (Option<Timestamp>, Option<Timestamp>),
        seconds: i64,
        longest: SignedDuration,
        now: Timestamp,
    ) {
        let (Some(begins), Some(ends)) = life else { return };
        let over = !self.settled && self.trust == Trust::Behind;
        let length = SignedDuration::from_secs(seconds).min(longest);
        let whole = |from: Timestamp| from.saturating_add(length).unwrap_or(from);
        let end = if over { Timestamp::MIN } else { ends.min(whole(begins)).min(whole(now)) };
        if !self.ends.contains_key(path) {
            self.ends.insert(path.to_owned(), end);
            if end < ends {
                self.earlier.push((path.to_owned(), end));
            }
        }
    }

    /// An end that this gateway reckoned before it was started.
    pub fn remember_end(&mut self, path: &str, end: Timestamp) {
        self.ends.insert(path.to_owned(), end);
    }

    /// Ends that are to be remembered over a restart: reckoned anew, they would be later ones.
    pub fn take_earlier(&mut self) -> Vec<(String, Timestamp)> {
        std::mem::take(&mut self.earlier)
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

    /// The mode that was set last: on this gateway alone, until the store has a later word.
    ///
    /// Clocks of gateways differ, so the store's word counts as a later one only where it is another than the one that was
    /// known when the mode was set here. And where a mode contains something here, that word must be later by its time
    /// too: in doubt it goes on.
    pub fn heard_mode(&self) -> Option<&Heard> {
        let kept = self.mode.as_ref();
        let Some(local) = &self.local_mode else { return kept.map(|entry| &entry.value) };
        let later = kept.filter(|kept| {
            let another = local.entry.seen != Some(kept.revision);
            another && (local.entry.mode == NORMAL || kept.value.entry.set.at > local.entry.set.at)
        });
        Some(later.map_or(local, |kept| &kept.value))
    }

    /// The containment mode that holds.
    pub fn mode(&self, now: Timestamp) -> &str {
        self.heard_mode().map_or(NORMAL, |heard| heard.mode(now))
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

    /// Whether nothing is kept of this grant, readable or not.
    pub fn is_gone(&self, grant: &str) -> bool {
        !self.grants.contains_key(grant) && !self.unreadable.contains_key(&format!("{GRANTS}{grant}"))
    }

    /// Whether nothing of this path is kept any more. While it is not known what is kept, nothing is forgotten.
    pub fn is_forgotten(&self, path: &str) -> bool {
        let kept = match path.split_once('/') {
            Some(("grant", id)) => !self.is_gone(id),
            Some(("exception", id)) => {
                self.exceptions.contains_key(id) || self.unreadable.contains_key(&format!("{EXCEPTIONS}{id}"))
            }
            Some(("mode", at)) => self.heard_mode().is_some_and(|heard| heard.entry.set.at.to_string() == at),
            Some(_) | None => false,
        };
        self.settled && !kept
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

#[cfg(test)]
mod tests;
