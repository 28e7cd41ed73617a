//! What operators do with grants: ask, approve, take back, review.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::draft::{Code, GrantRequest, check_text};
use super::entry::{Done, Who};
use super::grant::{Grant, Scope, Status};
use super::held::{CLAIMS, Entry, GRANTS};
use super::store::{Committed, Condition, Transaction, Write};
use super::usage::Uses;
use super::{Refused, State};

/// How long a claim is remembered beyond what it is a claim on: a repetition of a request comes within a day.
const CLAIM_KEPT: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// How long an approval may be on its way: the wait for its record, and twice the store's patience.
pub(super) const APPROVING: SignedDuration = SignedDuration::from_secs(20);

impl State {
    /// Ask for a grant. It holds at once where a code was shown and the policy asks for no more; else it waits for a second
    /// person. The same request again, while the first one waits or holds, is told of that one.
    pub async fn request_grant(&self, who: &Who, code: Code, request: GrantRequest) -> Result<Value, Refused> {
        let factors = self.check_request(who, code, &request)?;
        let mut grant = self.drafted(who, code, factors, request)?;
        let key = format!("{GRANTS}{}", grant.id);
        let claim = format!("{CLAIMS}{}", grant.claim);
        let put = |grant: &Grant| write(&key, grant);
        let ttl = Some(CLAIM_KEPT);
        let claimed = Write::Put { key: claim.clone(), value: grant.id.clone().into_bytes(), ttl };
        let first = Transaction {
            conditions: vec![Condition::Absent(claim.clone()), Condition::Absent(key.clone())],
            writes: vec![claimed.clone(), put(&grant)?],
        };
        let revision = match self.commit(first).await {
            Ok(Committed::Yes { revision }) => revision,
            Ok(Committed::No) => match self.claimed(&claim, &grant).await? {
                Claimed::By(view) => return Ok(view),
                Claimed::Over(revision) => {
                    let again = Transaction {
                        conditions: vec![
                            Condition::At { key: claim.clone(), revision },
                            Condition::Absent(key.clone()),
                        ],
                        writes: vec![claimed, put(&grant)?],
                    };
                    match self.commit(again).await {
                        Ok(Committed::Yes { revision }) => revision,
                        Ok(Committed::No) => return Err(Refused::Conflict("the same request came twice".to_owned())),
                        Err(error) => return Err(Refused::Unavailable(error.to_string())),
                    }
                }
            },
            Err(error) if self.is_shared() => return self.request_local(grant, factors, &error).await,
            Err(error) => return Err(Refused::Unavailable(error.to_string())),
        };
        if self.record_grant(&grant, "requested", Some(who)).await.is_err() {
            let undo = vec![Write::Delete { key: key.clone() }, Write::Delete { key: claim }];
            let conditions = vec![Condition::At { key, revision }];
            let _ = self.commit(Transaction { conditions, writes: undo }).await;
            return Err(Refused::unrecorded("nothing was granted"));
        }
        self.announce_grant(&grant, "requested", Some(who));
        if grant.needs_approval {
            return Ok(grant.view(self.now()));
        }
        self.begin(&mut grant, revision, who).await
    }

    /// The record first; then, and only then, it holds.
    async fn begin(&self, grant: &mut Grant, revision: u64, by: &Who) -> Result<Value, Refused> {
        grant.begin(self.now());
        if self.record_grant(grant, "approved", Some(by)).await.is_err() {
            let undone = Grant { begins: None, ends: None, approved: None, ..grant.clone() };
            let _ = self.put_grant(&undone, revision).await;
            return Err(Refused::unrecorded("nothing was granted; ask again, or have it approved later"));
        }
        // Waiting for the disk took its time, and the end that was recorded stands.
        match self.put_grant(grant, revision).await? {
            Committed::Yes { .. } => {}
            Committed::No => {
                let _ = self.record_grant(grant, "failed", Some(by)).await;
                return Err(Refused::Conflict("it was changed meanwhile: look at it again".to_owned()));
            }
        }
        self.announce_grant(grant, "approved", Some(by));
        Ok(grant.view(self.now()))
    }

    async fn put_grant(&self, grant: &Grant, revision: u64) -> Result<Committed, Refused> {
        let key = format!("{GRANTS}{}", grant.id);
        if grant.scope == Scope::Local {
            return self.put_local(grant, revision).await;
        }
        let transaction = Transaction {
            conditions: vec![Condition::At { key: key.clone(), revision }],
            writes: vec![write(&key, grant)?],
        };
        self.commit(transaction).await.map_err(|error| Refused::Unavailable(error.to_string()))
    }

    /// What the claim on this request says.
    async fn claimed(&self, claim: &str, grant: &Grant) -> Result<Claimed, Refused> {
        if grant.has_nonce() {
            return Err(Refused::Conflict("a request with this nonce was made before".to_owned()));
        }
        let view = self.store.view().await.map_err(|error| Refused::Unavailable(error.to_string()))?;
        let found = view.kept.iter().find(|kept| kept.key == claim);
        let Some(kept) = found else {
            return Err(Refused::Conflict("the same request came twice: ask again".to_owned()));
        };
        let id = String::from_utf8_lossy(&kept.value).into_owned();
        let key = format!("{GRANTS}{id}");
        let read = view.kept.iter().find(|kept| kept.key == key);
        let read = read.and_then(|kept| serde_json::from_slice::<Grant>(&kept.value).ok());
        let now = self.now();
        match read {
            Some(first) if matches!(first.status(now), Status::Pending | Status::Active) => {
                Ok(Claimed::By(first.view(now)))
            }
            Some(_) | None => Ok(Claimed::Over(kept.revision)),
        }
    }

    fn find_grant(&self, id: &str) -> Result<Entry<Grant>, Refused> {
        let none = || Refused::NotFound("no grant has this id".to_owned());
        self.held().grants.get(id).cloned().ok_or_else(none)
    }

    /// A second person lets it begin.
    pub async fn approve_grant(&self, who: &Who, id: &str) -> Result<Value, Refused> {
        self.limit(who)?;
        if who.method != "certificate" {
            return Err(Refused::Forbidden("a grant is approved with a client certificate".to_owned()));
        }
        let Entry { value: mut grant, revision } = self.find_grant(id)?;
        if who.is(&grant.requested.by) {
            return Err(Refused::Forbidden("nobody approves what they asked for, under whatever name".to_owned()));
        }
        if let Some(approvers) = self.policy.current().set.grant_approvers()
            && !approvers.iter().any(|one| **one == *who.name || **one == *who.person)
        {
            return Err(Refused::Forbidden("the policy names others to approve grants".to_owned()));
        }
        let now = self.now();
        match grant.status(now) {
            Status::Pending => {}
            Status::Active if grant.approved.as_ref().is_some_and(|done| done.by == *who) => return Ok(grant.view(now)),
            other => return Err(Refused::Conflict(format!("the grant is {}", other.as_str()))),
        }
        if grant.approved.as_ref().is_some_and(|done| now.duration_since(done.at) < APPROVING) {
            return Err(Refused::Conflict("somebody else approves it just now: look at it again".to_owned()));
        }
        grant.approved = Some(Done { at: now, by: who.clone(), reason: None });
        // Of two who approve at once one goes on from here, so that there is one record of a beginning.
        let revision = match self.put_grant(&grant, revision).await? {
            Committed::Yes { revision } => revision,
            Committed::No => return Err(Refused::Conflict("somebody else was faster: look at it again".to_owned())),
        };
        self.begin(&mut grant, revision, who).await
    }

    /// End it, or deny it. That needs no second person, and no record can keep it from happening.
    pub async fn revoke_grant(&self, who: &Who, id: &str, reason: Option<String>) -> Result<Value, Refused> {
        let Entry { value: mut grant, revision } = self.find_grant(id)?;
        let now = self.now();
        match grant.status(now) {
            Status::Pending | Status::Active => {}
            other => return Err(Refused::Conflict(format!("the grant is {}", other.as_str()))),
        }
        reason.iter().try_for_each(|reason| check_text("reason", reason, 1))?;
        grant.revoked = Some(Done { at: now, by: who.clone(), reason });
        match self.put_grant(&grant, revision).await? {
            Committed::Yes { .. } => {}
            Committed::No => return Err(Refused::Conflict("it was changed meanwhile: look at it again".to_owned())),
        }
        if self.record_grant(&grant, "revoked", Some(who)).await.is_err() {
            eprintln!("state: the grant {id} was revoked by {}, and the record of it could not be kept", who.name);
        }
        self.announce_grant(&grant, "revoked", Some(who));
        Ok(grant.view(now))
    }

    /// What was done under it, on every gateway that has told.
    pub fn grant_uses(&self, id: &str) -> Result<Value, Refused> {
        let grant = self.find_grant(id)?.value;
        let now = self.now();
        let mut view = grant.view(now);
        let mut uses: std::collections::BTreeMap<String, Uses> = self.held().uses.get(id).cloned().unwrap_or_default();
        if let Some(own) = self.usage.of(id, &self.replica) {
            uses.insert(self.replica.id.clone(), own);
        }
        if let Value::Object(fields) = &mut view {
            fields.insert("uses".to_owned(), json!(uses.into_values().collect::<Vec<_>>()));
        }
        Ok(view)
    }

    /// Say that what was done under it was looked at.
    pub async fn review_grant(&self, who: &Who, id: &str, note: Option<String>) -> Result<Value, Refused> {
        note.iter().try_for_each(|note| check_text("note", note, 1))?;
        let Entry { value: mut grant, revision } = self.find_grant(id)?;
        if who.is(&grant.requested.by) {
            return Err(Refused::Forbidden("nobody reviews what they asked for, under whatever name".to_owned()));
        }
        let now = self.now();
        if grant.begins.is_none() || grant.status(now) == Status::Active {
            return Err(Refused::Conflict(format!("the grant is {}", grant.status(now).as_str())));
        }
        if grant.reviewed.is_some() {
            return Err(Refused::Conflict("the grant was reviewed before".to_owned()));
        }
        grant.reviewed = Some(Done { at: now, by: who.clone(), reason: note });
        if self.record_grant(&grant, "reviewed", Some(who)).await.is_err() {
            return Err(Refused::unrecorded("it still waits for its review"));
        }
        match self.put_grant(&grant, revision).await? {
            Committed::Yes { .. } => self.grant_uses(id),
            Committed::No => Err(Refused::Conflict("it was changed meanwhile: look at it again".to_owned())),
        }
    }

    /// Every grant that is remembered, the newest first.
    pub fn list_grants(&self) -> Vec<Value> {
        let now = self.now();
        let held = self.held();
        let grants = held.grants.values().rev().map(|entry| {
            let mut view = entry.value.view(now);
            if let Value::Object(fields) = &mut view {
                fields.insert("status".to_owned(), held.grant_status(&entry.value, now).as_str().into());
            }
            view
        });
        grants.collect()
    }
}

enum Claimed {
    /// By this grant, which waits or holds.
    By(Value),
    /// By one that is over.
    Over(u64),
}

fn write(key: &str, grant: &Grant) -> Result<Write, Refused> {
    let value = serde_json::to_vec(grant).map_err(|error| Refused::Unavailable(error.to_string()))?;
    Ok(Write::Put { key: key.to_owned(), value, ttl: None })
}
