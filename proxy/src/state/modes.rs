//! Setting the containment mode.

use gatepass_policy::overrides::NORMAL;
use serde::Deserialize;
use serde_json::{Value, json};

use super::draft::{check_length, check_text};
use super::entry::{Done, Who};
use super::held::MODE;
use super::mode::{Heard, ModeEntry};
use super::store::{Committed, Condition, Transaction, Write};
use super::{Refused, State};
use crate::policy_store::Over;

/// The longest time after which a mode returns by itself.
const LONGEST: jiff::SignedDuration = jiff::SignedDuration::from_hours(24 * 30);

/// What an operator sets.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModeRequest {
    /// One of the policy's modes, or `normal`.
    pub mode: String,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// Back to `normal` by itself after this time, such as `2h`.
    #[serde(default, rename = "for")]
    pub length: Option<String>,
    /// Only tell what it would do.
    #[serde(default)]
    pub rehearse: bool,
}

impl State {
    /// The mode, and who set it when and why.
    pub fn mode_view(&self) -> Value {
        let now = self.now();
        let modes: Vec<String> = self.policy.current().set.modes().into_iter().map(str::to_owned).collect();
        let held = self.held();
        let heard = held.heard_mode();
        let mut view = heard.map_or_else(|| json!({"mode": NORMAL}), |heard| heard.view(now));
        if let Value::Object(fields) = &mut view {
            fields.insert("mode".to_owned(), held.mode(now).into());
            fields.insert("modes".to_owned(), modes.into());
            fields.retain(|_, value| !value.is_null());
        }
        view
    }

    /// What would lie over the policy in this mode.
    ///
    /// # Errors
    ///
    /// Where the policy does not have the mode, or the request is not one.
    pub fn rehearsed(&self, request: &ModeRequest) -> Result<Over, Refused> {
        self.check_mode(request)?;
        let over = self.held().over(self.now());
        Ok(Over { mode: request.mode.as_str().into(), ..over })
    }

    fn check_mode(&self, request: &ModeRequest) -> Result<Option<i64>, Refused> {
        let snapshot = self.policy.current();
        let modes = snapshot.set.modes();
        if !modes.contains(&request.mode.as_str()) {
            let known: Vec<String> = modes.iter().map(|mode| format!("`{mode}`")).collect();
            let detail = format!("the policy has no such mode, but {}", known.join(", "));
            return Err(Refused::field("mode", detail));
        }
        if request.mode == NORMAL && request.length.is_some() {
            return Err(Refused::field("for", "`normal` holds until another mode is set"));
        }
        let length = request.length.as_deref().map(|text| check_length(text, LONGEST)).transpose()?;
        Ok(length.map(|length| length.as_secs()))
    }

    /// Set it on every gateway that shares the store; on this one alone where the store is away.
    pub async fn set_mode(&self, who: &Who, request: ModeRequest) -> Result<Value, Refused> {
        let seconds = self.check_mode(&request)?;
        check_text("reason", &request.reason, 3)?;
        let now = self.now();
        let before = self.held().mode(now).to_owned();
        let set = Done { at: now, by: who.clone(), reason: Some(request.reason.clone()) };
        let entry = ModeEntry { mode: request.mode, set, seconds, local: false, seen: None };
        // Containment is not kept waiting by a full disk; opening again is, and so is all that might open something: another
        // mode than one that forbids everything, or an end of what has none.
        let forbids_all = self.policy.current().set.forbids_all(&entry.mode) && entry.seconds.is_none();
        let narrows = entry.mode != NORMAL && (before == NORMAL || forbids_all);
        let recorded = self.record_mode(&entry, &before, Some(who)).await;
        match (recorded, narrows) {
            (Ok(()), _) => {}
            (Err(_), false) => return Err(Refused::unrecorded("the mode stays as it is")),
            (Err(_), true) => {
                eprintln!("state: the mode is set to {} by {}, and the record could not be kept", entry.mode, who.name);
            }
        }
        let value = serde_json::to_vec(&entry).map_err(|error| Refused::Unavailable(error.to_string()))?;
        let held = self.held().mode.as_ref().map(|entry| entry.revision);
        let condition = match held {
            Some(revision) => Condition::At { key: MODE.to_owned(), revision },
            None => Condition::Absent(MODE.to_owned()),
        };
        let writes = vec![Write::Put { key: MODE.to_owned(), value, ttl: None }];
        match self.commit(Transaction { conditions: vec![condition], writes }).await {
            Ok(Committed::Yes { .. }) => {
                if self.local.forget(MODE).await.is_ok() {
                    self.held().local_mode = None;
                }
                self.lay(self.now());
            }
            Ok(Committed::No) => {
                return Err(Refused::Conflict("somebody else set the mode just now: look at it again".to_owned()));
            }
            Err(error) if self.is_shared() => self.set_local_mode(entry.clone(), &error.to_string()).await?,
            Err(error) => return Err(Refused::Unavailable(error.to_string())),
        }
        self.announce_mode(&entry, &before, Some(who));
        Ok(self.mode_view())
    }

    /// On this gateway alone, until the store has a later word.
    async fn set_local_mode(&self, entry: ModeEntry, why: &str) -> Result<(), Refused> {
        let seen = self.held().mode.as_ref().map_or(0, |kept| kept.revision);
        let entry = ModeEntry { local: true, seen: Some(seen), ..entry };
        let value = serde_json::to_vec(&entry).map_err(|error| Refused::Unavailable(error.to_string()))?;
        let noted = self.local.note(MODE, &value).await;
        if let Err(error) = noted
            && entry.mode == NORMAL
        {
            return Err(Refused::Unavailable(format!("neither the store ({why}) nor the disk ({error}) takes it")));
        }
        let now = self.now();
        self.held().local_mode = Some(Heard::new(entry, now));
        self.lay(now);
        Ok(())
    }
}
