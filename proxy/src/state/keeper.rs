//! The one task that hears the store, and lets what is in force be in force.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::exception;
use super::grant::{Grant, Scope, Status};
use super::held::{GRANTS, HERE, Held, MODE, USES};
use super::mode::{Heard, ModeEntry};
use super::store::{Change, Committed, Condition, Local, Transaction, Unavailable, Write};
use super::telling::TOLD;
use super::{Stale, State, exception::Exception, sound};

/// How often the clock is looked at even if nothing ends: a wall clock that is moved forward ends things at once.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How often what was done under grants is brought to the store.
const FLUSH_EVERY: Duration = Duration::from_millis(500);

/// How often the highest time seen is brought to the disk, and usage and reminders are looked after.
const TEND_EVERY: Duration = Duration::from_secs(5);

/// How long what is over stays in the store, to be reviewed and asked about.
const KEPT_FOR: jiff::SignedDuration = jiff::SignedDuration::from_hours(24 * 90);

/// What is written to the local copy.
#[derive(Clone, Copy)]
enum Copied {
    Whole,
    Change,
}

/// Entries that one look removes.
const SWEPT: usize = 32;

/// Ends that this gateway reckoned to be earlier than what is written, so that a restart makes none of them later.
const ENDS: &str = "ends/";

/// What was reckoned before this start.
pub(super) async fn take_ends(local: &Local, held: &mut Held) -> Result<(), Unavailable> {
    for (key, bytes) in local.notes(ENDS).await? {
        let end = std::str::from_utf8(&bytes).ok().and_then(|text| text.parse().ok());
        let end = end.and_then(|end| Timestamp::from_microsecond(end).ok());
        // One that cannot be read has passed.
        held.remember_end(key.strip_prefix(ENDS).unwrap_or(&key), end.unwrap_or(Timestamp::MIN));
    }
    Ok(())
}

/// Grants and the mode of this gateway alone.
pub(super) async fn take_local(local: &Local, held: &mut Held, now: Timestamp) -> Result<(), Unavailable> {
    for (key, bytes) in local.notes(GRANTS).await? {
        let read: Result<Grant, _> = serde_json::from_slice(&bytes);
        match (key.strip_prefix(GRANTS), read) {
            (Some(id), Ok(grant)) => match sound::grant(&grant, id, Scope::Local) {
                Ok(()) => held.put_grant(id, grant, 0, now),
                Err(why) => drop(held.unreadable.insert(format!("{key}{HERE}"), why)),
            },
            (_, read) => {
                let why = read.err().map_or_else(|| "it has no id".to_owned(), |error| error.to_string());
                held.unreadable.insert(format!("{key}{HERE}"), why);
            }
        }
    }
    // What was done under them.
    for (key, bytes) in local.notes(USES).await? {
        if let Err(why) = held.take_uses(&key, &bytes) {
            held.unreadable.insert(format!("{key}{HERE}"), why);
        }
    }
    if let Some(bytes) = local.noted(MODE).await? {
        let entry: Result<ModeEntry, _> = serde_json::from_slice(&bytes);
        // One that cannot be read was set to contain something.
        let entry = entry.map_err(|error| Unavailable(format!("the mode of this gateway cannot be read: {error}")))?;
        held.local_mode = Some(Heard::new(entry, now));
    }
    Ok(())
}

impl State {
    /// Hear the store, and look after what only time brings about, until the process ends.
    pub async fn keep(self: Arc<Self>) {
        self.tell_what_ended_before().await;
        self.forget_gone().await;
        // Apart: a store that does not answer must not keep anything from ending.
        tokio::join!(self.listen(), self.look_after());
    }

    async fn listen(&self) {
        let mut changes = self.store.watch();
        let mut begun = Instant::now();
        loop {
            // A copy that missed something is mended by a whole; to go on from it would let what was taken back return.
            if self.copy_lacks.load(Ordering::Relaxed) && begun.elapsed() >= TEND_EVERY {
                (changes, begun) = (self.store.watch(), Instant::now());
            }
            let pause = self.held().quiet(self.now(), LOOK_EVERY);
            tokio::select! {
                change = changes.recv() => match change {
                    Some(change) => self.hear(change).await,
                    None => {
                        // The watch ended: it is begun anew, at a pace.
                        tokio::time::sleep(LOOK_EVERY).await;
                        changes = self.store.watch();
                    }
                },
                () = tokio::time::sleep(pause) => {}
                () = self.wake.notified() => {}
            }
            self.settle().await;
        }
    }

    async fn look_after(&self) {
        let mut tended = Instant::now();
        loop {
            tokio::time::sleep(FLUSH_EVERY).await;
            self.flush_usage().await;
            self.remind(self.now()).await;
            self.point().await;
            self.metrics.policy_disagreeing.set(to_f64(self.disagreeing().len()));
            if tended.elapsed() >= TEND_EVERY {
                tended = Instant::now();
                self.tend().await;
            }
        }
    }

    async fn hear(&self, change: Change) {
        let now = self.now();
        let remembered = match change {
            Change::Whole(view) => {
                self.held().replace(&view, now);
                self.lay(now);
                self.heard_of();
                self.copy(self.local.remember(&view.kept, view.revision), Copied::Whole).await
            }
            Change::Some { revision, puts, deleted } => {
                self.held().hear_some(revision, &puts, &deleted, now);
                // What it says holds before it is remembered: a slow disk delays no end.
                self.lay(now);
                self.heard_of();
                self.copy(self.local.learn(&puts, &deleted, revision), Copied::Change).await
            }
            Change::Lost { why } => {
                let mut stale = self.stale.lock().unwrap_or_else(PoisonError::into_inner);
                let stale = stale.get_or_insert_with(Stale::yet);
                if !std::mem::replace(&mut stale.told, true) {
                    eprintln!("state: the store cannot be reached, what was known of it holds on: {why}");
                    stale.why = why;
                }
                Ok(())
            }
        };
        if let Err(error) = remembered {
            eprintln!("state: the local copy could not be written: {error}");
        }
    }

    /// Bring the local copy up to date. After a change that could not be written it takes only a whole.
    async fn copy(
        &self,
        writing: impl Future<Output = Result<(), Unavailable>>,
        what: Copied,
    ) -> Result<(), Unavailable> {
        let lacks = self.copy_lacks.load(Ordering::Relaxed);
        match (self.is_shared(), what, lacks) {
            (false, _, _) | (true, Copied::Change, true) => return Ok(()),
            (true, Copied::Whole, _) | (true, Copied::Change, false) => {}
        }
        let written = writing.await;
        self.copy_lacks.store(written.is_err(), Ordering::Relaxed);
        written
    }

    fn heard_of(&self) {
        let mut stale = self.stale.lock().unwrap_or_else(PoisonError::into_inner);
        if stale.take().is_some_and(|stale| stale.told) {
            eprintln!("state: the store is reached again");
        }
    }

    /// What this gateway wrote holds here at once; the watch will say the same, or has said it, or what came after it.
    pub(super) fn hear_own(&self, written: &[Write], revision: u64) {
        let now = self.now();
        self.held().hear_own(written, revision, now);
        self.lay(now);
        self.wake.notify_one();
    }

    /// Lay what is in force over the policy, where that is something else than before.
    pub(super) fn lay(&self, now: Timestamp) {
        let _turn = self.laying.lock().unwrap_or_else(PoisonError::into_inner);
        let over = {
            let held = self.held();
            held.over(now)
        };
        let before = self.policy.over();
        let paths = |over: &crate::policy_store::Over| {
            over.overrides.iter().map(|one| (one.info().path.clone(), one.info().expires)).collect::<Vec<_>>()
        };
        if before.mode != over.mode || paths(&before) != paths(&over) {
            self.policy.lay(over);
        }
    }

    /// Lay, and tell of what ended since this was done last.
    pub(super) async fn settle(&self) {
        let now = self.now();
        self.lay(now);
        self.keep_ends().await;
        let ended = {
            let held = self.held();
            let grants = held.grants.values().map(|entry| &entry.value);
            let active: Vec<String> =
                grants.filter(|grant| held.grant_status(grant, now) == Status::Active).map(Grant::path).collect();
            let exceptions = held.exceptions.values().map(|entry| &entry.value);
            let excepted: Vec<String> = exceptions
                .filter(|one| held.exception_status(one, now) == exception::Status::Active)
                .map(|one| one.path())
                .collect();
            self.metrics.grants_active.set(to_f64(active.len()));
            self.metrics.exceptions_active.set(to_f64(excepted.len()));
            let active: BTreeSet<String> = active.into_iter().chain(excepted).collect();
            let mut before = self.in_force.lock().unwrap_or_else(PoisonError::into_inner);
            let ended: Vec<String> = before.difference(&active).cloned().collect();
            before.clone_from(&active);
            ended
        };
        for path in ended {
            self.tell_end(&path).await;
        }
        self.tell_mode().await;
    }

    /// Forget what was noted of what is kept no longer: notes would only pile up.
    pub(super) async fn forget_gone(&self) {
        for prefix in [ENDS, TOLD] {
            for (key, _) in self.local.notes(prefix).await.unwrap_or_default() {
                let gone = self.held().is_forgotten(key.strip_prefix(prefix).unwrap_or(&key));
                if gone && self.local.forget(&key).await.is_err() {
                    return;
                }
            }
        }
    }

    async fn keep_ends(&self) {
        let earlier = self.held().take_earlier();
        for (path, end) in earlier {
            let noted = self.local.note(&format!("{ENDS}{path}"), end.as_microsecond().to_string().as_bytes()).await;
            if let Err(error) = noted {
                eprintln!("state: the end of {path} could not be noted: {error}");
            }
        }
    }

    /// What only time brings about.
    async fn tend(&self) {
        let now = self.now();
        if let Err(error) = self.local.see(now).await {
            eprintln!("state: the time could not be noted: {error}");
        }
        let (unreviewed, pending) = {
            let mut held = self.held();
            held.tidy();
            self.usage.keep(&held.grants.keys().map(String::as_str).collect());
            let unreviewed = held.grants.values().filter(|entry| entry.value.wants_review(now)).count();
            let pending = held.exceptions.values();
            let pending = pending.filter(|entry| entry.value.status(now) == exception::Status::Pending).count();
            (unreviewed, pending)
        };
        self.metrics.grants_unreviewed.set(to_f64(unreviewed));
        self.metrics.exceptions_pending.set(to_f64(pending));
        self.metrics.state_staleness.set(self.stale().map_or(0.0, |(since, _)| since.as_secs_f64()));
        self.sweep(now).await;
        self.sweep_local(now).await;
    }

    /// Remove from the store what has been over for long, and was reviewed where that is asked for.
    pub(super) async fn sweep(&self, now: Timestamp) {
        let old = |at: Timestamp| now.duration_since(at) > KEPT_FOR;
        let gone: Vec<(String, Option<u64>)> = {
            let held = self.held();
            let grants = held.grants.values().filter(|entry| {
                let grant = &entry.value;
                let over = !matches!(grant.status(now), Status::Active | Status::Pending);
                grant.scope == Scope::Fleet && over && !grant.wants_review(now) && old(grant.requested.at)
            });
            let exceptions = held.exceptions.values().filter(|entry| {
                let over = !matches!(entry.value.status(now), exception::Status::Active | exception::Status::Pending);
                over && old(entry.value.requested.at)
            });
            let grants = grants.map(|entry| (format!("{GRANTS}{}", entry.value.id), Some(entry.revision)));
            let exceptions = exceptions.map(|entry| (super::exceptions::key(&entry.value.id), Some(entry.revision)));
            let uses = held.uses.iter().filter(|(grant, _)| held.is_gone(grant));
            let uses = uses.flat_map(|(grant, of)| of.keys().map(move |from| (format!("{USES}{grant}/{from}"), None)));
            grants.chain(exceptions).chain(uses).take(SWEPT).collect()
        };
        for (key, revision) in gone {
            let as_seen = revision.map(|revision| Condition::At { key: key.clone(), revision });
            let transaction =
                Transaction { conditions: as_seen.into_iter().collect(), writes: vec![Write::Delete { key }] };
            // Another gateway may have done it; and if not, the next look does.
            if self.commit(transaction).await.is_err() {
                return;
            }
        }
    }

    /// Remove from this gateway's own disk what has been over for as long.
    async fn sweep_local(&self, now: Timestamp) {
        let old = |at: Timestamp| now.duration_since(at) > KEPT_FOR;
        let gone: Vec<String> = {
            let held = self.held();
            let grants = held.grants.values().map(|entry| &entry.value).filter(|grant| {
                let over = !matches!(grant.status(now), Status::Active | Status::Pending);
                grant.scope == Scope::Local && over && !grant.wants_review(now) && old(grant.requested.at)
            });
            grants.map(|grant| grant.id.clone()).take(SWEPT).collect()
        };
        for id in gone {
            let uses = self.local.forget(&format!("{USES}{id}/{}", self.replica.id)).await;
            if uses.is_err() || self.local.forget(&format!("{GRANTS}{id}")).await.is_err() {
                return;
            }
            let mut held = self.held();
            held.grants.remove(&id);
            held.uses.remove(&id);
        }
    }

    /// Bring what was done under grants to where a review finds it.
    pub(super) async fn flush_usage(&self) {
        let mut changed = self.usage.changed(&self.replica).into_iter();
        while let Some((grant, uses)) = changed.next() {
            let Ok(value) = serde_json::to_vec(&uses) else { continue };
            let key = format!("{USES}{grant}/{}", self.replica.id);
            let local = self.held().grants.get(&grant).is_some_and(|entry| entry.value.scope == Scope::Local);
            let told = if local {
                self.held().uses.entry(grant.clone()).or_default().insert(self.replica.id.clone(), uses);
                self.local.note(&key, &value).await.is_ok()
            } else {
                let writes = vec![Write::Put { key, value, ttl: None }];
                let transaction = Transaction { conditions: Vec::new(), writes };
                matches!(self.commit(transaction).await, Ok(Committed::Yes { .. }))
            };
            if !told {
                self.usage.untold(&grant);
                changed.for_each(|(grant, _)| self.usage.untold(&grant));
                return;
            }
        }
    }

    /// Go on counting where an earlier run of this gateway stopped.
    pub(super) fn resume_usage(&self) {
        let held = self.held();
        for (grant, uses) in &held.uses {
            if let Some(uses) = uses.get(&self.replica.id) {
                self.usage.resume(grant, uses);
            }
        }
    }

    /// Exceptions that end soon, each once for the whole fleet: whoever writes that it was told tells it.
    async fn remind(&self, now: Timestamp) {
        let due: Vec<(Exception, u64)> = {
            let held = self.held();
            let due = held.exceptions.values().filter(|entry| {
                let one = &entry.value;
                one.reminded.is_none()
                    && held.exception_status(one, now) == exception::Status::Active
                    && one.remind_at().is_some_and(|at| now >= at)
            });
            due.map(|entry| (entry.value.clone(), entry.revision)).collect()
        };
        for (mut one, revision) in due {
            one.reminded = Some(now);
            if matches!(self.put_exception(&one, revision).await, Ok(Committed::Yes { .. })) {
                self.tell_reminder(&one).await;
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "nobody has 2^53 grants")]
fn to_f64(count: usize) -> f64 {
    count as f64
}
