//! One open tunnel: what it was admitted on, what allows it now, and the way to cut it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use gatepass_policy::budget::Budget;
use gatepass_policy::decision::{Reason, RuleInfo};
use gatepass_policy::facts::Facts;
use jiff::Timestamp;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::budget::{Budgets, Meter, Seat};
use crate::evidence::Counters;
use crate::evidence::words::Ending;
use crate::peer::Checked;

/// What a connection was admitted on.
#[derive(Debug)]
pub struct Grounds {
    /// Everything the decision looked at.
    pub facts: Facts,
    /// The data classes that the client declared, as it wrote them.
    pub declared: Option<Vec<u8>>,
    /// How the client certificate was checked, where one was shown.
    pub checked: Option<Arc<Checked>>,
    /// The rule, grant or exception that allowed it.
    pub rule: Option<Arc<RuleInfo>>,
    /// Why it was allowed.
    pub reason: Reason,
    /// Its seat under the limits of the rules that allowed it, if they have any.
    pub seat: Option<Arc<Seat>>,
    /// The number of the snapshot that decided.
    pub change: u64,
    /// The number of the policy that decided.
    pub generation: u64,
}

/// The end of a tunnel that is no longer allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// How it ends.
    pub ending: Ending,
    /// The path of what cuts it; or `identity`, `floor`, or the operator.
    pub by: Box<str>,
    /// Why it is not allowed; `None` where an operator cuts it.
    pub reason: Option<Reason>,
    /// When.
    pub at: Instant,
}

/// One open tunnel.
#[derive(Debug)]
pub(super) struct Tunnel {
    pub(super) id: Uuid,
    pub(super) declared: Option<Vec<u8>>,
    pub(super) checked: Option<Arc<Checked>>,
    /// When the credential ends by itself.
    pub(super) credential_end: Option<Timestamp>,
    pub(super) counters: Arc<Counters>,
    /// What its bytes go through.
    pub(super) meter: Meter,
    began: Instant,
    /// When it was decided, for those who list it.
    pub(super) decided: Timestamp,
    held: Mutex<Held>,
    /// Tells the one task that carries it that `held.cut` has changed.
    told: Notify,
}

/// What changes while it is open.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) facts: Facts,
    pub(super) rule: Option<Arc<RuleInfo>>,
    pub(super) reason: Reason,
    /// The number of the snapshot that allowed it last.
    pub(super) change: u64,
    /// The number of the policy that its subject and tags are of.
    pub(super) generation: u64,
    pub(super) cut: Option<Cut>,
}

impl Tunnel {
    pub(super) fn new(
        id: Uuid,
        grounds: Grounds,
        credential_end: Option<Timestamp>,
        counters: Arc<Counters>,
    ) -> Tunnel {
        let Grounds { facts, declared, checked, rule, reason, seat, change, generation } = grounds;
        let tunnel = Tunnel {
            id,
            declared,
            checked,
            credential_end,
            counters,
            meter: Meter::new(seat),
            began: Instant::now(),
            decided: facts.now,
            held: Mutex::new(Held { facts, rule, reason, change, generation, cut: None }),
            told: Notify::new(),
        };
        tunnel.limit_life(&mut tunnel.held());
        tunnel
    }

    /// Let it go by these limits from now on.
    pub(super) fn follow(&self, held: &mut Held, budgets: &[Arc<Budget>], table: &Budgets) {
        if !self.meter.goes_by(budgets) {
            match table.reseat(budgets, held.facts.identity.id()) {
                Ok(seat) => self.meter.change(seat),
                Err(_) => {
                    // What cannot be counted is not carried.
                    let by = budgets.first().map_or_else(|| "?".into(), |budget| budget.rule.path.clone());
                    self.cut(held, Cut { ending: Ending::Limit, by, reason: Some(Reason::Limit), at: Instant::now() });
                }
            }
            // Whoever waits for bytes of its old seat looks again.
            self.told.notify_one();
        }
        self.limit_life(held);
    }

    /// It ends when it has lasted as long as its limits let it.
    fn limit_life(&self, held: &mut Held) {
        let seat = self.meter.seat();
        if let Some((at, budget)) = seat.as_ref().and_then(|seat| seat.end(self.began)) {
            let (by, reason) = (budget.rule.path.clone(), Some(Reason::Limit));
            self.cut(held, Cut { ending: Ending::Limit, by, reason, at });
        }
    }

    pub(super) fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Let it end at `cut.at`, unless it ends earlier already. Whether this is what ends it now.
    pub(super) fn cut(&self, held: &mut Held, cut: Cut) -> bool {
        if held.cut.as_ref().is_some_and(|earlier| earlier.at <= cut.at) {
            return false;
        }
        held.cut = Some(cut);
        self.told.notify_one();
        true
    }

    /// It is allowed again. What lingers goes on; what was to end by now ends, and what an operator ends, no policy saves.
    pub(super) fn spare(&self, held: &mut Held) {
        if held.cut.as_ref().is_some_and(|cut| cut.reason.is_some() && cut.at > Instant::now()) {
            held.cut = None;
            self.told.notify_one();
        }
    }

    /// Resolves when it is to end now. For one task only.
    pub(super) async fn ended(&self) -> Ending {
        loop {
            let cut = self.held().cut.as_ref().map(|cut| (cut.at, cut.ending));
            match cut {
                None => self.told.notified().await,
                Some((at, ending)) if at <= Instant::now() => return ending,
                Some((at, _)) => {
                    // Another cut may come first, or the tunnel be spared: then there is another look.
                    let _ = tokio::time::timeout_at(at.into(), self.told.notified()).await;
                }
            }
        }
    }
}
