//! What is told of overrides: records for auditors, webhooks for those who are on duty, standard error for who looks.

use std::sync::PoisonError;

use gatepass_policy::overrides::NORMAL;
use serde_json::{Value, json};

use super::entry::Who;
use super::exception::Exception;
use super::grant::{Grant, Status};
use super::mode::ModeEntry;
use super::usage::Way;
use super::{Log, State};
use crate::evidence::words::ActKind;
use crate::evidence::{Act, Details, RoomOf, Unavailable};

/// Noted on this gateway when the end of something was recorded.
pub(super) const TOLD: &str = "told/";

impl State {
    fn act(&self, kind: ActKind, action: &'static str, subject: &str, sentence: String) -> Act {
        Act {
            now: self.clock.wall(),
            kind,
            action,
            subject: Some(subject.to_owned()),
            sentence,
            by: None,
            drill: false,
            details: Details::default(),
            room: RoomOf::Operators,
        }
    }

    pub(super) async fn record_grant(
        &self,
        grant: &Grant,
        action: &'static str,
        by: Option<&Who>,
    ) -> Result<(), Unavailable> {
        let act = self.grant_act(grant, action, by);
        self.evidence.act(act).await
    }

    fn grant_act(&self, grant: &Grant, action: &'static str, by: Option<&Who>) -> Act {
        let drill = if grant.drill { "exercise: " } else { "" };
        let who = by.map_or("time", |who| who.name.as_str());
        let sentence = format!(
            "{drill}break-glass {action} by {who}: {} to {} ({})",
            grant.terms.identities.join(", "),
            grant.terms.destination(),
            grant.reason
        );
        Act {
            by: by.map(Who::by),
            drill: grant.drill,
            details: grant.details(),
            ..self.act(ActKind::Grant, action, &grant.id, sentence)
        }
    }

    pub(super) async fn record_exception(
        &self,
        one: &Exception,
        action: &'static str,
        by: Option<&Who>,
    ) -> Result<(), Unavailable> {
        self.evidence.act(self.exception_act(one, action, by)).await
    }

    fn exception_act(&self, one: &Exception, action: &'static str, by: Option<&Who>) -> Act {
        let who = by.map_or("time", |who| who.name.as_str());
        let sentence = format!(
            "exception {action} by {who}: {} to {} ({})",
            one.terms.identities.join(", "),
            one.terms.destination(),
            one.reason
        );
        let waited = self.now().duration_since(one.requested.at).as_secs();
        let details = one.details();
        let details = match action {
            "approved" | "denied" => details.int("waited_s", u64::try_from(waited).unwrap_or(0)),
            _ => details,
        };
        Act {
            by: by.map(Who::by),
            details,
            room: room_of(by),
            ..self.act(ActKind::Exception, action, &one.id, sentence)
        }
    }

    pub(super) async fn record_mode(
        &self,
        entry: &ModeEntry,
        before: &str,
        by: Option<&Who>,
    ) -> Result<(), Unavailable> {
        self.evidence.act(self.mode_act(entry, before, by)).await
    }

    fn mode_act(&self, entry: &ModeEntry, before: &str, by: Option<&Who>) -> Act {
        let reason = entry.set.reason.as_deref().unwrap_or_default();
        let sentence = match by {
            Some(who) => format!("the mode is {} by {}, it was {before}: {reason}", entry.mode, who.name),
            None => format!("the mode is {NORMAL} again, since the time of {before} is over"),
        };
        let details = Details::default().text("before", before).text("reason", reason);
        let details = details.maybe("until", entry.ends().map(|at| at.to_string()).as_deref());
        let mode = if by.is_some() { entry.mode.as_str() } else { NORMAL };
        Act { by: by.map(Who::by), details, ..self.act(ActKind::Mode, "changed", mode, sentence) }
    }

    /// A grant is used for the first time on this gateway.
    pub(super) fn tell_used(&self, grant: &str, way: &Way) {
        let Some(grant) = self.held().grants.get(grant).map(|entry| entry.value.clone()) else { return };
        let sentence = format!("break-glass is used: {} to {}:{}", way.identity, way.host, way.port);
        let act = Act { sentence, by: None, ..self.grant_act(&grant, "used", None) };
        if self.evidence.acted(act).is_err() {
            eprintln!("state: the first use of the grant {} could not be recorded", grant.id);
        }
    }

    /// What is called so is not in force any more: recorded once on each gateway, with what it saw.
    pub(super) async fn tell_end(&self, path: &str) {
        let key = format!("{TOLD}{path}");
        match self.local.note_once(&key, b"ended").await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => eprintln!("state: that {path} ended could not be noted, it may be told twice: {error}"),
        }
        match path.split_once('/') {
            Some(("grant", id)) => self.tell_grant_end(id),
            Some(("exception", id)) => self.tell_exception_end(id),
            Some(_) | None => {}
        }
    }

    fn tell_grant_end(&self, id: &str) {
        let Some(grant) = self.held().grants.get(id).map(|entry| entry.value.clone()) else { return };
        let uses = self.usage.of(id, &self.replica).unwrap_or_default();
        let total = |of: fn(&super::usage::Amount) -> u64| {
            uses.uses.iter().map(|one| &one.amount).chain([&uses.others]).map(of).fold(0u64, u64::saturating_add)
        };
        let act = self.grant_act(&grant, "ended", None);
        let details = act
            .details
            .clone()
            .int("connections", total(|amount| amount.connections))
            .int("destinations", uses.uses.len() as u64);
        let drill = if grant.drill { "exercise: " } else { "" };
        let how = if grant.revoked.is_some() { "was revoked" } else { "ended" };
        let sentence = format!("{drill}break-glass {how}: {}", grant.reason);
        if self.evidence.acted(Act { details, sentence, ..act }).is_err() {
            eprintln!("state: the end of the grant {id} could not be recorded");
        }
        self.announce_grant(&grant, "ended", None);
    }

    fn tell_exception_end(&self, id: &str) {
        let Some(one) = self.held().exceptions.get(id).map(|entry| entry.value.clone()) else { return };
        // Withdrawing it was recorded by who did it.
        if one.closed.is_some() {
            return;
        }
        if self.evidence.acted(self.exception_act(&one, "ended", None)).is_err() {
            eprintln!("state: the end of the exception {id} could not be recorded");
        }
        self.announce_exception(&one, "ended", None);
    }

    /// What ended while this gateway did not run. What had ended before it ran last, or ever, was not in force here.
    pub(super) async fn tell_what_ended_before(&self) {
        let now = self.now();
        let ended: Vec<String> = {
            let held = self.held();
            let grants = held.grants.values().map(|entry| &entry.value).filter(|one| {
                let end = one.revoked.as_ref().map(|done| done.at).or(one.ends);
                one.begins.is_some() && held.grant_status(one, now) != Status::Active && self.ran_before(end)
            });
            let exceptions = held.exceptions.values().map(|entry| &entry.value).filter(|one| {
                let end = one.closed.as_ref().map(|done| done.at).or(one.ends);
                let over = held.exception_status(one, now) != super::exception::Status::Active;
                one.begins.is_some() && over && self.ran_before(end)
            });
            grants.map(Grant::path).chain(exceptions.map(|one| one.path())).collect()
        };
        for path in ended {
            self.tell_end(&path).await;
        }
    }

    /// Whether this gateway ran before this end, so that it may have been in force here.
    fn ran_before(&self, end: Option<jiff::Timestamp>) -> bool {
        end.is_some_and(|end| self.ran_until <= end)
    }

    /// A mode that returned by itself.
    pub(super) async fn tell_mode(&self) {
        let Some(entry) = self.mode_that_is_over() else { return };
        let key = format!("{TOLD}mode/{}", entry.set.at);
        match self.local.note_once(&key, b"ended").await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => eprintln!("state: that the mode returned could not be noted, it may be told twice: {error}"),
        }
        if self.evidence.acted(self.mode_act(&entry, &entry.mode, None)).is_err() {
            eprintln!("state: the return from the mode {} could not be recorded", entry.mode);
        }
        self.announce_mode(&entry, &entry.mode, None);
    }

    /// The mode whose time is over, if this process did not look at it yet.
    fn mode_that_is_over(&self) -> Option<ModeEntry> {
        let now = self.now();
        let over = {
            let held = self.held();
            let heard = held.heard_mode();
            heard
                .filter(|heard| heard.entry.mode != NORMAL && heard.mode(now) == NORMAL)
                .map(|heard| heard.entry.clone())
        };
        let mut told = self.mode_told.lock().unwrap_or_else(PoisonError::into_inner);
        let last = std::mem::replace(&mut *told, over.as_ref().map(|entry| entry.set.at));
        // One that was over before this gateway ever ran was not its mode.
        over.filter(|entry| last != Some(entry.set.at) && self.ran_before(entry.ends()))
    }

    pub(super) async fn tell_reminder(&self, one: &Exception) {
        if self.record_exception(one, "reminded", None).await.is_err() {
            eprintln!("state: that the exception {} ends soon could not be recorded", one.id);
        }
        self.announce_exception(one, "reminded", None);
    }

    fn announce(&self, event: String, by: Option<&Who>, subject: Value) {
        let room = room_of(by);
        let by = by.map(|who| json!({"name": who.name, "person": who.person}));
        let time = self.clock.wall().to_string();
        let told = json!({
            "event": event, "time": time, "gateway": self.replica.gateway, "by": by, "subject": subject,
        });
        self.webhooks.tell(&told, room);
    }

    pub(super) fn announce_grant(&self, grant: &Grant, action: &str, by: Option<&Who>) {
        if self.log == Log::Operators {
            eprintln!(
                "break-glass {action}: {} to {} {}: {}",
                grant.terms.identities.join(", "),
                grant.terms.destination(),
                grant.ends.map_or_else(|| format!("for {}", grant.length()), |end| format!("until {end}")),
                grant.reason
            );
        }
        self.announce(format!("gatepass.grant.{action}"), by, grant.view(self.now()));
    }

    pub(super) fn announce_exception(&self, one: &Exception, action: &str, by: Option<&Who>) {
        self.announce(format!("gatepass.exception.{action}"), by, one.view(self.now()));
    }

    pub(super) fn announce_mode(&self, entry: &ModeEntry, before: &str, by: Option<&Who>) {
        let mode = if by.is_some() { entry.mode.as_str() } else { NORMAL };
        if self.log == Log::Operators {
            eprintln!("mode: {mode}, it was {before}");
        }
        let subject = json!({
            "mode": mode, "before": before, "reason": entry.set.reason, "until": entry.ends().map(|at| at.to_string()),
        });
        self.announce("gatepass.mode.changed".to_owned(), by, subject);
    }
}

/// A workload asks as often as it likes, under as many identities as it has.
fn room_of(by: Option<&Who>) -> RoomOf {
    if by.is_some_and(Who::is_workload) { RoomOf::Anybody } else { RoomOf::Operators }
}
