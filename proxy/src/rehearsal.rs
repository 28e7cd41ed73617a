//! What another policy, grant or mode would do: which open tunnels it would cut, and what of the last day's traffic it
//! would have refused. Nothing is changed.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gatepass_policy::decision::Verdict;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::admin::Problem;
use crate::evidence::questions::row::Kind;
use crate::evidence::questions::source::Sources;
use crate::live::told;
use crate::policy_store::{Over, Snapshot};
use crate::recorded::facts::{Ground, Maker, Workloads};
use crate::shared::Shared;

/// How far back records are looked at.
const BACK: SignedDuration = SignedDuration::from_hours(24);

/// Kinds of traffic that are told one by one; the rest is counted.
const TOLD_MAX: usize = 200;

/// What would lie over the policy, in place of what does.
pub async fn of_overrides(shared: Arc<Shared>, turn: Turn, over: Over) -> Result<Value, Problem> {
    blocking(turn, move || {
        let candidate = {
            let current = shared.policy.current();
            current.candidate(Arc::clone(&current.set), &over)
        };
        let now = shared.clock.now();
        let cut: Vec<Value> = shared.live.preview(&candidate, now).iter().map(|one| told(one, now)).collect();
        let refused = refused(&shared.spool, &candidate, &shared, now);
        Ok(json!({"mode": *over.mode, "would_cut": cut, "would_refuse": refused}))
    })
    .await
}

/// One rehearsal at a time: each reads the records of a day.
#[derive(Clone, Debug)]
pub struct Turn(Arc<Semaphore>);

impl Turn {
    /// Nobody's yet.
    pub fn new() -> Turn {
        Turn(Arc::new(Semaphore::new(1)))
    }
}

/// Away from the event loop. Whoever does not wait for the answer has not ended the work.
async fn blocking(
    turn: Turn,
    work: impl FnOnce() -> Result<Value, Problem> + Send + 'static,
) -> Result<Value, Problem> {
    let Ok(mine) = turn.0.try_acquire_owned() else {
        let detail = "another rehearsal is under way: ask again when it has ended";
        return Err(Problem::new(http::StatusCode::SERVICE_UNAVAILABLE, detail));
    };
    let fault = || Problem::new(http::StatusCode::INTERNAL_SERVER_ERROR, "this ended in a fault of the gateway");
    let worked = tokio::task::spawn_blocking(move || {
        let done = work();
        drop(mine);
        done
    });
    worked.await.unwrap_or_else(|_| Err(fault()))
}

/// Who went where, and was allowed to.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    identity: String,
    destination: String,
    rule: String,
}

/// What of the last day's admitted traffic the candidate would deny, by who, where and the rule that denies.
fn refused(spool: &Path, candidate: &Snapshot, shared: &Shared, now: Timestamp) -> Value {
    let since = now.checked_sub(BACK).unwrap_or(Timestamp::MIN).as_microsecond();
    let mut found: BTreeMap<Seen, u64> = BTreeMap::new();
    let (mut looked_at, mut unread, mut unknown, mut others) = (0u64, 0u64, 0u64, 0u64);
    let mut maker = Maker::new(&candidate.set, Ground::Gateway(shared.floor.load_full()), Workloads::OfPolicy);
    let sources = match Sources::find(&[PathBuf::from(spool)]) {
        Ok(sources) => sources,
        Err(why) => return json!({"error": why}),
    };
    let read = sources.each_recorded(&mut |_| {}, &mut |record| {
        if record.kind != Kind::Decision || record.time < since || record.outcome != "admitted" {
            return ControlFlow::Continue(());
        }
        looked_at += 1;
        let Ok(facts) = maker.facts(record, now, candidate.overrides.mode()) else {
            unread += 1;
            return ControlFlow::Continue(());
        };
        let rule = match candidate.decide(&facts) {
            Verdict::Allow(_) => return ControlFlow::Continue(()),
            Verdict::Deny(denial) => {
                denial.rule.map_or_else(|| denial.reason.code().to_owned(), |rule| rule.path.to_string())
            }
            Verdict::Pending(_) => {
                unknown += 1;
                return ControlFlow::Continue(());
            }
        };
        let seen = Seen { identity: facts.identity.id().to_owned(), destination: facts.destination.to_string(), rule };
        if found.len() < TOLD_MAX || found.contains_key(&seen) {
            *found.entry(seen).or_default() += 1;
        } else {
            others += 1;
        }
        ControlFlow::Continue(())
    });
    let mut told: Vec<(Seen, u64)> = found.into_iter().collect();
    told.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
    let told: Vec<Value> = told
        .into_iter()
        .map(|(seen, times)| {
            json!({"identity": seen.identity, "destination": seen.destination, "by": seen.rule, "times": times})
        })
        .collect();
    json!({
        "since": now.checked_sub(BACK).unwrap_or(Timestamp::MIN).to_string(),
        "decisions": looked_at,
        "refused": told,
        "others": others,
        "unreadable": unread,
        "unknown": unknown,
        "complete": read.is_ok_and(|gaps| gaps.is_empty()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_rehearsal_that_is_not_waited_for_keeps_others_from_beginning_until_it_ends() {
        let turn = Turn::new();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let first = tokio::spawn(blocking(turn.clone(), move || {
            let _ = ended.recv();
            Ok(Value::Null)
        }));
        while turn.0.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        first.abort();
        let refused = blocking(turn.clone(), || Ok(Value::Null)).await.unwrap_err();
        assert_eq!(refused.status, http::StatusCode::SERVICE_UNAVAILABLE);
        end.send(()).unwrap();
        while turn.0.available_permits() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(blocking(turn, || Ok(Value::Null)).await.unwrap(), Value::Null);
    }
}
