//! What operators lay over a policy, and where it is kept: grants, exceptions and the containment mode.
//!
//! One task ([`State::keep`]) hears what the store says, works out what is in force by two clocks, and lays it over the
//! policy. Operations change the store and nothing else: what an operator asked for holds because the task heard of it,
//! on this gateway like on every other.

pub mod store;

pub mod entry;

pub mod grant;

pub mod exception;

pub mod mode;

pub mod usage;

mod order;

mod sound;

mod held;

mod keeper;

mod draft;
pub use draft::{Code, GrantRequest};

mod grants;

mod local_grants;

mod exceptions;
pub use exceptions::{ExceptionRequest, Requester, ceiling_text, export};

mod modes;
pub use modes::ModeRequest;

mod claims;

mod fleet;

mod telling;

mod webhooks;
pub use webhooks::{Webhook, Webhooks, signature};

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use claims::Rate;
use entry::Who;
use fleet::Pointed;
use gatepass_policy::identity::Identity;
use gatepass_policy::pattern::IdentityPattern;
use held::{Held, Longest, Trust};
use jiff::{SignedDuration, Timestamp};
use store::{Committed, Local, Store, Transaction, Unavailable, View};
use tokio::sync::Notify;
use usage::{Replica, Usage, Way};

use crate::clock::Clock;
use crate::evidence::Evidence;
use crate::metrics::Metrics;
use crate::policy_store::PolicyStore;

/// A store that is not heard of.
#[derive(Debug)]
struct Stale {
    since: Instant,
    why: String,
    told: bool,
}

impl Stale {
    /// It was not heard of since the start.
    fn yet() -> Stale {
        Stale { since: Instant::now(), why: "the store was not heard of since the start".to_owned(), told: false }
    }
}

/// The time that was seen last is on the disk within this time.
const SEEN_WITHIN: SignedDuration = SignedDuration::from_mins(1);

/// How long a start waits for the store before it goes on with what was known of it.
const FIRST_WORD: Duration = Duration::from_secs(3);

/// What tells this gateway from others of its name: made once.
async fn replica(local: &Local) -> Result<String, Unavailable> {
    const KEY: &str = "replica";
    if let Some(id) = local.noted(KEY).await?.and_then(|bytes| String::from_utf8(bytes).ok()) {
        return Ok(id);
    }
    let id: String = uuid::Uuid::now_v7().simple().to_string().chars().skip(20).collect();
    local.note(KEY, id.as_bytes()).await?;
    Ok(id)
}

/// Whether other gateways use it too.
fn is_shared(store: &Store) -> bool {
    !matches!(store, Store::Embedded(_))
}

/// What a gateway begins with.
enum Known {
    /// What the store says now.
    All(View),
    /// What it said when this gateway heard of it last.
    Copy(View),
    /// It was never heard of, and there may be a mode that contains something; why it does not answer.
    Nothing(String),
}

/// What was taken back, or contained, while this gateway did not run is asked for before anything passes. A store that does
/// not answer keeps nobody waiting for long.
async fn begins_with(store: &Store, local: &Local) -> Result<Known, Unavailable> {
    if !is_shared(store) {
        return store.view().await.map(Known::All);
    }
    let asked = tokio::time::timeout(FIRST_WORD, store.view()).await;
    let why = match asked {
        Ok(Ok(view)) => return Ok(Known::All(view)),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer in {} s", FIRST_WORD.as_secs()),
    };
    let copy = local.copy().await?;
    Ok(if copy.revision == 0 { Known::Nothing(why) } else { Known::Copy(copy) })
}

/// Why something was not done. Each text is for the operator who asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The request says something that cannot be: the field, and what is wrong with it.
    Invalid(Vec<(String, String)>),
    /// It is not this operator's to do.
    Forbidden(String),
    /// There is no such thing.
    NotFound(String),
    /// It stands otherwise than the request takes it to.
    Conflict(String),
    /// Too often; again after this time.
    TooMany(Duration),
    /// The store or the evidence cannot be written to.
    Unavailable(String),
}

impl Refused {
    fn field(field: &str, detail: impl Into<String>) -> Refused {
        Refused::Invalid(vec![(field.to_owned(), detail.into())])
    }

    fn unrecorded(what: &str) -> Refused {
        Refused::Unavailable(format!("the record of it could not be brought to the disk, so {what}"))
    }
}

/// The longest lives, by the gateway's configuration; the policy may say less.
#[derive(Clone, Copy, Debug)]
pub struct Ceilings {
    /// Of a grant.
    pub grant: SignedDuration,
    /// Of an exception.
    pub exception: SignedDuration,
    /// Requests of one person in a minute.
    pub requests_per_minute: u32,
}

/// Who reads standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Log {
    /// Operators.
    Operators,
    /// Nobody: the tour shows everything itself.
    Nobody,
}

/// What the state is made of.
pub struct Parts {
    /// Where everything is kept.
    pub store: Store,
    /// This gateway's own directory.
    pub local: Local,
    /// What overrides are laid over.
    pub policy: Arc<PolicyStore>,
    /// Records.
    pub evidence: Evidence,
    /// The time.
    pub clock: Clock,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// This gateway's name.
    pub gateway: String,
    /// The longest lives.
    pub ceilings: Ceilings,
    /// Who is told at once.
    pub webhooks: Webhooks,
    /// Whether what happens is told to whoever reads standard error.
    pub log: Log,
}

/// The overrides of this gateway.
pub struct State {
    store: Store,
    local: Local,
    policy: Arc<PolicyStore>,
    evidence: Evidence,
    clock: Clock,
    metrics: Arc<Metrics>,
    replica: Replica,
    ceilings: Ceilings,
    webhooks: Webhooks,
    log: Log,
    held: Mutex<Held>,
    usage: Usage,
    rate: Mutex<Rate>,
    /// Since when the store has not been heard of, why, and whether that was told.
    stale: Mutex<Option<Stale>>,
    /// What was in force last, by path.
    in_force: Mutex<BTreeSet<String>>,
    /// When the mode was set whose own return was told last.
    mode_told: Mutex<Option<Timestamp>>,
    /// When this gateway ran last before this start, or when it started for the first time.
    ran_until: Timestamp,
    /// Whether a change could not be written to the local copy.
    copy_lacks: AtomicBool,
    /// Grants of this gateway alone are changed one at a time.
    local_turn: tokio::sync::Mutex<()>,
    /// What was told last of the policy here.
    pointed: Mutex<Pointed>,
    /// What is in force is laid over the policy by one at a time, so that an older image never lies over a later one.
    laying: Mutex<()>,
    wake: Notify,
}

impl State {
    /// Begin with what the store says, or, where it does not answer, with what this gateway knew of it when it stopped.
    ///
    /// # Errors
    ///
    /// Where the local copy cannot be read: a gateway that forgot an end, or a containment, must not start.
    pub async fn open(parts: Parts) -> Result<Arc<State>, Unavailable> {
        let Parts { store, local, policy, evidence, clock, metrics, gateway, ceilings, webhooks, log } = parts;
        let now = clock.now();
        let highest = local.highest_seen();
        let behind = highest.is_some_and(|highest| clock.wall() < highest);
        let ran_until = highest.map_or(now, |highest| highest.checked_sub(SEEN_WITHIN).unwrap_or(highest));
        let trust = if behind { Trust::Behind } else { Trust::Good };
        if behind {
            eprintln!(
                "state: the clock stands behind the highest time that was seen: grants and exceptions of before are over"
            );
        }
        let longest = Longest { grant: ceilings.grant, exception: ceilings.exception };
        let mut held = Held::new(trust, longest);
        // Before anything settles what began before this start.
        keeper::take_ends(&local, &mut held).await?;
        keeper::take_local(&local, &mut held, now).await?;
        match begins_with(&store, &local).await? {
            Known::All(view) => held.replace(&view, now),
            Known::Copy(view) => {
                held.replace(&view, now);
                held.settled = false;
            }
            Known::Nothing(why) => {
                eprintln!("state: the store was never heard of ({why}): until it is, everything but grants is denied");
                held.assume_nothing(now);
            }
        }
        local.see(now).await?;
        let id = replica(&local).await?;
        let is_shared_store = is_shared(&store);
        let state = State {
            store,
            local,
            policy,
            evidence,
            clock,
            metrics,
            replica: Replica { gateway, id },
            ceilings,
            webhooks,
            log,
            held: Mutex::new(held),
            usage: Usage::default(),
            rate: Mutex::new(Rate::default()),
            stale: Mutex::new(is_shared_store.then(Stale::yet)),
            in_force: Mutex::new(BTreeSet::new()),
            mode_told: Mutex::new(None),
            ran_until,
            copy_lacks: AtomicBool::new(false),
            local_turn: tokio::sync::Mutex::new(()),
            pointed: Mutex::new(None),
            laying: Mutex::new(()),
            wake: Notify::new(),
        };
        state.resume_usage();
        state.lay(now);
        Ok(Arc::new(state))
    }

    /// Data classes that were left out: those that the registry gives the one identity that is named.
    pub fn complete(&self, identities: &[String], data_classes: &mut Vec<String>) {
        let ([identity], true) = (identities, data_classes.is_empty()) else { return };
        let exact = IdentityPattern::parse(identity).is_ok_and(|pattern| pattern.exact().is_some());
        if exact {
            let subject = self.policy.current().set.registered(&Identity::named(identity));
            data_classes.extend(subject.registered.iter().map(ToString::to_string));
        }
    }

    /// A connection was admitted under this grant.
    pub fn opened(&self, grant: &str, way: &Way) {
        if self.usage.opened(grant, way) {
            self.tell_used(grant, way);
        }
    }

    /// One of them ended.
    pub fn carried(&self, grant: &str, way: &Way, sent: u64, received: u64) {
        self.usage.carried(grant, way, sent, received);
    }

    /// Why the store is not heard of, and since when; `None` while it is.
    pub fn stale(&self) -> Option<(Duration, String)> {
        let stale = self.stale.lock().unwrap_or_else(PoisonError::into_inner);
        stale.as_ref().map(|stale| (stale.since.elapsed(), stale.why.clone()))
    }

    /// What somebody should know: kept things that cannot be read, and overrides that the policy does not take.
    pub fn worries(&self) -> Vec<String> {
        let mut worries: Vec<String> = self
            .stale()
            .map(|(since, why)| format!("state: the store was not heard of for {} s: {why}", since.as_secs()))
            .into_iter()
            .collect();
        let held = self.held();
        worries.extend(held.unreadable.iter().map(|(key, why)| format!("state: `{key}` cannot be read: {why}")));
        drop(held);
        worries.extend(self.disagreement());
        worries
            .extend(self.policy.current().dormant.iter().map(|dormant| format!("{}: {}", dormant.path, dormant.why)));
        worries
    }

    /// Whether the store is shared with other gateways.
    fn is_shared(&self) -> bool {
        is_shared(&self.store)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Commit, and let what was committed hold on this gateway before this returns.
    async fn commit(&self, transaction: Transaction) -> Result<Committed, Unavailable> {
        let written: Vec<_> = transaction.writes.clone();
        let committed = self.store.commit(transaction).await?;
        if let Committed::Yes { revision } = committed {
            self.hear_own(&written, revision);
        }
        Ok(committed)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Too many requests of one person are refused, whatever becomes of them.
    fn limit(&self, who: &Who) -> Result<(), Refused> {
        let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        // A workload that is called as a person keeps that person from nothing.
        let whose = if who.is_workload() { format!("workload {}", who.person) } else { who.person.clone() };
        rate.take(&whose, self.ceilings.requests_per_minute).map_err(Refused::TooMany)
    }
}

#[cfg(test)]
mod tests;
