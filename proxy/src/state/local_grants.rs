//! Grants of one gateway alone, while the store cannot be reached: kept on its own disk, and changed one at a time.

use gatepass_policy::decision::Factors;
use serde_json::Value;
use uuid::Uuid;

use super::grant::{Grant, Scope, Status};
use super::held::GRANTS;
use super::store::{Committed, Unavailable};
use super::{Refused, State};

impl State {
    /// The store is away: a grant for this gateway alone, which only a second person can let begin.
    pub(super) async fn request_local(
        &self,
        grant: Grant,
        factors: Factors,
        why: &Unavailable,
    ) -> Result<Value, Refused> {
        if factors == Factors::TOTP {
            let detail =
                format!("the store cannot be reached ({why}), and the policy takes no approval in place of a code");
            return Err(Refused::Unavailable(detail));
        }
        let _turn = self.local_turn.lock().await;
        if let Some(known) = self.claimed_here(&grant)? {
            return Ok(known);
        }
        // The store may have kept the request all the same: what is kept here is another grant, with a name of its own.
        let grant = Grant { id: Uuid::now_v7().to_string(), scope: Scope::Local, needs_approval: true, ..grant };
        if self.record_grant(&grant, "requested", Some(&grant.requested.by)).await.is_err() {
            return Err(Refused::unrecorded("nothing was granted"));
        }
        self.keep_local(&grant, 0).await?;
        self.announce_grant(&grant, "requested", Some(&grant.requested.by));
        Ok(grant.view(self.now()))
    }

    /// The same request, made here before; a nonce that was used here before is refused.
    fn claimed_here(&self, grant: &Grant) -> Result<Option<Value>, Refused> {
        let now = self.now();
        let held = self.held();
        let mut same = held.grants.values().map(|entry| &entry.value);
        let same = same.find(|one| {
            let waits_or_holds = matches!(held.grant_status(one, now), Status::Pending | Status::Active);
            one.scope == Scope::Local && one.claim == grant.claim && (waits_or_holds || grant.has_nonce())
        });
        match same {
            Some(_) if grant.has_nonce() => {
                Err(Refused::Conflict("a request with this nonce was made before".to_owned()))
            }
            Some(first) => Ok(Some(first.view(now))),
            None => Ok(None),
        }
    }

    /// Change it, unless it was changed since it was looked at: a grant that was taken back stays so.
    pub(super) async fn put_local(&self, grant: &Grant, seen: u64) -> Result<Committed, Refused> {
        let _turn = self.local_turn.lock().await;
        let known = self.held().grants.get(&grant.id).map(|entry| (entry.value.scope, entry.revision));
        if known != Some((Scope::Local, seen)) {
            return Ok(Committed::No);
        }
        let revision = seen.saturating_add(1);
        self.keep_local(grant, revision).await?;
        Ok(Committed::Yes { revision })
    }

    async fn keep_local(&self, grant: &Grant, revision: u64) -> Result<(), Refused> {
        let value = serde_json::to_vec(grant).map_err(|error| Refused::Unavailable(error.to_string()))?;
        let key = format!("{GRANTS}{}", grant.id);
        self.local.note(&key, &value).await.map_err(|error| Refused::Unavailable(error.to_string()))?;
        let now = self.now();
        self.held().put_grant(&grant.id, grant.clone(), revision, now);
        self.lay(now);
        self.wake.notify_one();
        Ok(())
    }
}
