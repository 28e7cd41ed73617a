//! An exception on its way from a developer's request to an approved change of the policy.

use gatepass_policy::decision::RuleInfo;
use gatepass_policy::overrides::{Fault, Kind, Override};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::entry::{Done, Terms, Who, show_length};
use crate::evidence::Details;

/// Requests that wait at once, of one requester: a list that nobody can read is no list.
const PENDING_EACH: usize = 20;

/// Requests that wait at once, of all workloads: they keep no operator from asking.
const PENDING_MAX: usize = 1_000;

/// The same where each of them has one: a few workloads with many keep no other from its first.
const PENDING_FIRST: usize = 5_000;

/// Whether one more request may wait, beside these.
pub fn may_wait(pending: &[&Exception], by: &Who) -> bool {
    let own = pending.iter().filter(|one| one.requested.by == *by).count();
    let of_workloads = pending.iter().filter(|one| one.requested.by.is_workload()).count();
    let most = if own == 0 { PENDING_FIRST } else { PENDING_MAX };
    own < PENDING_EACH && (!by.is_workload() || of_workloads < most)
}

/// What an exception does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Allows inside the scope of this fragment.
    Permits(String),
    /// Lifts this guardrail.
    Lifts(String),
}

/// An exception as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// UUIDv7.
    pub id: String,
    /// What it does.
    pub effect: Effect,
    /// What it covers.
    pub terms: Terms,
    /// Why.
    pub reason: String,
    /// The ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// For how long from its approval, in seconds.
    pub seconds: i64,
    /// Who asked.
    pub requested: Done,
    /// The denial that led to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
    /// Who approved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<Done>,
    /// Set last of all, when the record of the approval stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begins: Option<Timestamp>,
    /// With `begins`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<Timestamp>,
    /// Who denied it, or withdrew it later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<Done>,
    /// When its owner was reminded of the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reminded: Option<Timestamp>,
}

/// Where an exception stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It waits for an approver.
    Pending,
    /// It holds.
    Active,
    /// It held.
    Ended,
    /// It was denied.
    Denied,
    /// It was taken back.
    Withdrawn,
}

impl Status {
    /// The spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Pending => "pending",
            Status::Active => "active",
            Status::Ended => "ended",
            Status::Denied => "denied",
            Status::Withdrawn => "withdrawn",
        }
    }
}

impl Exception {
    /// Where it stands at this moment.
    pub fn status(&self, now: Timestamp) -> Status {
        match (&self.closed, self.ends) {
            (Some(_), None) => Status::Denied,
            (Some(_), Some(_)) => Status::Withdrawn,
            (None, Some(ends)) if now < ends => Status::Active,
            (None, Some(_)) => Status::Ended,
            (None, None) => Status::Pending,
        }
    }

    /// Let it begin.
    pub fn begin(&mut self, now: Timestamp) {
        self.begins = Some(now);
        self.ends = Some(now.checked_add(SignedDuration::from_secs(self.seconds)).unwrap_or(now));
    }

    /// When its owner is to be reminded: a quarter of its life before the end, a day at most.
    pub fn remind_at(&self) -> Option<Timestamp> {
        let before = (SignedDuration::from_secs(self.seconds) / 4).min(SignedDuration::from_hours(24));
        self.ends?.checked_sub(before).ok()
    }

    /// Its name in decisions.
    pub fn path(&self) -> String {
        format!("exception/{}", self.id)
    }

    /// The fragment whose scope it stays in.
    pub fn fragment(&self) -> Option<&str> {
        match &self.effect {
            Effect::Permits(fragment) => Some(fragment),
            Effect::Lifts(_) => None,
        }
    }

    /// As the policy takes it, with its end as this gateway reckons it.
    pub fn to_override(&self, ends: Option<Timestamp>) -> Result<Override, Vec<Fault>> {
        let approver = self.approved.as_ref().map_or("nobody", |done| done.by.person.as_str());
        let info = RuleInfo {
            path: self.path().into(),
            owner: approver.into(),
            purpose: self.reason.as_str().into(),
            ticket: self.ticket.as_deref().map(Into::into),
            expires: ends,
        };
        let kind = match &self.effect {
            Effect::Permits(fragment) => Kind::Permits(fragment.as_str().into()),
            Effect::Lifts(guardrail) => Kind::Lifts(guardrail.as_str().into()),
        };
        Override::new(kind, info, &self.terms.spec())
    }

    /// As the admin listener tells it.
    pub fn view(&self, now: Timestamp) -> Value {
        let (permits, lifts) = match &self.effect {
            Effect::Permits(fragment) => (Some(fragment), None),
            Effect::Lifts(guardrail) => (None, Some(guardrail)),
        };
        let mut view = json!({
            "id": self.id,
            "status": self.status(now).as_str(),
            "permits": permits,
            "lifts": lifts,
            "identities": self.terms.identities,
            "destinations": self.terms.destinations,
            "data_classes": self.terms.data_classes,
            "reason": self.reason,
            "ticket": self.ticket,
            "for": show_length(SignedDuration::from_secs(self.seconds)),
            "decision": self.decision,
            "requested": self.requested,
            "approved": self.approved,
            "begins": self.begins.map(|at| at.to_string()),
            "ends": self.ends.map(|at| at.to_string()),
            "closed": self.closed,
        });
        if let Value::Object(fields) = &mut view {
            fields.retain(|_, value| !value.is_null());
        }
        view
    }

    /// As records tell it.
    pub fn details(&self) -> Details {
        let details = self.terms.details().text("reason", &self.reason).maybe("ticket", self.ticket.as_deref());
        let details = match &self.effect {
            Effect::Permits(fragment) => details.text("permits", fragment),
            Effect::Lifts(guardrail) => details.text("lifts", guardrail),
        };
        details
            .text("for", &show_length(SignedDuration::from_secs(self.seconds)))
            .maybe("requested_by", Some(&self.requested.by.person))
            .maybe("ends", self.ends.map(|at| at.to_string()).as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::WORKLOAD;
    use super::*;

    fn who(name: &str, method: &str) -> Who {
        Who { name: name.to_owned(), person: name.to_owned(), method: method.to_owned() }
    }

    fn asked(by: &Who) -> Exception {
        Exception {
            id: String::new(),
            effect: Effect::Permits("web".to_owned()),
            terms: Terms::default(),
            reason: String::new(),
            ticket: None,
            seconds: 1,
            requested: Done { at: Timestamp::UNIX_EPOCH, by: by.clone(), reason: None },
            decision: None,
            approved: None,
            begins: None,
            ends: None,
            closed: None,
            reminded: None,
        }
    }

    #[test]
    fn workloads_that_ask_for_much_keep_neither_operators_nor_others_from_asking() {
        let (loud, quiet, operator) = (who("loud", WORKLOAD), who("quiet", WORKLOAD), who("olga", "token"));
        let many = asked(&who("many", WORKLOAD));
        let (loud_one, quiet_one) = (asked(&loud), asked(&quiet));
        let mut pending = vec![&many; PENDING_MAX];
        assert!(may_wait(&pending, &loud) && may_wait(&pending, &operator));
        pending.push(&quiet_one);
        assert!(!may_wait(&pending, &quiet), "its second has to wait for room");
        assert!(may_wait(&[&loud_one; PENDING_EACH - 1], &loud) && !may_wait(&[&loud_one; PENDING_EACH], &loud));
        pending.resize(PENDING_FIRST, &many);
        assert!(!may_wait(&pending, &loud) && may_wait(&pending, &operator));
    }
}
