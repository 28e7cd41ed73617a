//! An exception on its way from a developer's request to an approved change of the policy.

use gatepass_policy::decision::RuleInfo;
use gatepass_policy::overrides::{Fault, Kind, Override};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::entry::{Done, Terms, show_length};
use crate::evidence::Details;

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
