//! A break-glass grant: asked for by one person, confirmed by a second factor, in force until its end and no longer.

use gatepass_policy::decision::RuleInfo;
use gatepass_policy::overrides::{Fault, Kind, Override};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::entry::{Done, Terms, show_length};
use crate::evidence::Details;

/// A request that nobody confirms lapses after this: an emergency that can wait longer is an exception.
pub const PENDING_MAX: SignedDuration = SignedDuration::from_mins(15);

/// Where a grant holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// On every gateway that shares the store.
    Fleet,
    /// On this gateway alone: the store could not be reached.
    Local,
}

/// A grant as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// UUIDv7.
    pub id: String,
    /// What it covers.
    pub terms: Terms,
    /// Why.
    pub reason: String,
    /// The ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// An exercise. It works like any other.
    #[serde(default)]
    pub drill: bool,
    /// Where it holds.
    pub scope: Scope,
    /// For how long from its beginning, in seconds.
    pub seconds: i64,
    /// Who asked.
    pub requested: Done,
    /// Whether a code of the requester's authenticator came with the request.
    #[serde(default)]
    pub totp: bool,
    /// Whether somebody else has to approve it.
    pub needs_approval: bool,
    /// Who did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<Done>,
    /// Set last of all, when the record of it stands: nothing holds before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begins: Option<Timestamp>,
    /// With `begins`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<Timestamp>,
    /// Who took it back, or denied it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Done>,
    /// Who looked at what was done under it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reviewed: Option<Done>,
    /// The key under which a repetition of its request is known.
    pub claim: String,
}

/// Where a grant stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It waits for a second person.
    Pending,
    /// Nobody came.
    Lapsed,
    /// It holds.
    Active,
    /// It held.
    Ended,
    /// It was taken back, or denied.
    Revoked,
}

impl Status {
    /// The spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Pending => "pending",
            Status::Lapsed => "lapsed",
            Status::Active => "active",
            Status::Ended => "ended",
            Status::Revoked => "revoked",
        }
    }
}

impl Grant {
    /// Where it stands at this moment.
    pub fn status(&self, now: Timestamp) -> Status {
        match (&self.revoked, self.ends) {
            (Some(_), _) => Status::Revoked,
            (None, Some(ends)) if now < ends => Status::Active,
            (None, Some(_)) => Status::Ended,
            (None, None) if now.duration_since(self.requested.at) > PENDING_MAX => Status::Lapsed,
            (None, None) => Status::Pending,
        }
    }

    /// Whether something may have been done under it that nobody looked at.
    pub fn wants_review(&self, now: Timestamp) -> bool {
        self.begins.is_some() && self.reviewed.is_none() && self.status(now) != Status::Active
    }

    /// Let it begin.
    pub fn begin(&mut self, now: Timestamp) {
        self.begins = Some(now);
        // A length is bounded long before this; the end of time is still an end.
        self.ends = Some(now.checked_add(SignedDuration::from_secs(self.seconds)).unwrap_or(now));
    }

    /// For how long it is asked.
    pub fn length(&self) -> String {
        show_length(SignedDuration::from_secs(self.seconds))
    }

    /// Whether its request was marked so that it cannot be made twice.
    pub fn has_nonce(&self) -> bool {
        self.claim.starts_with("nonce/")
    }

    /// Its name in decisions.
    pub fn path(&self) -> String {
        format!("grant/{}", self.id)
    }

    /// As the policy takes it, with its end as this gateway reckons it.
    pub fn to_override(&self, ends: Option<Timestamp>) -> Result<Override, Vec<Fault>> {
        let info = RuleInfo {
            path: self.path().into(),
            owner: self.requested.by.person.as_str().into(),
            purpose: self.reason.as_str().into(),
            ticket: self.ticket.as_deref().map(Into::into),
            expires: ends,
        };
        Override::new(Kind::Grant, info, &self.terms.spec())
    }

    /// As the admin listener tells it.
    pub fn view(&self, now: Timestamp) -> Value {
        let mut view = json!({
            "id": self.id,
            "status": self.status(now).as_str(),
            "scope": self.scope,
            "drill": self.drill,
            "identities": self.terms.identities,
            "destinations": self.terms.destinations,
            "data_classes": self.terms.data_classes,
            "reason": self.reason,
            "ticket": self.ticket,
            "for": self.length(),
            "requested": self.requested,
            "totp": self.totp,
            "needs_approval": self.needs_approval,
            "approved": self.approved,
            "begins": self.begins.map(|at| at.to_string()),
            "ends": self.ends.map(|at| at.to_string()),
            "revoked": self.revoked,
            "reviewed": self.reviewed,
        });
        if let Value::Object(fields) = &mut view {
            fields.retain(|_, value| !value.is_null());
        }
        view
    }

    /// As records tell it.
    pub fn details(&self) -> Details {
        let details = self.terms.details().text("reason", &self.reason).maybe("ticket", self.ticket.as_deref());
        let factor = match (self.totp, self.needs_approval) {
            (true, true) => "totp and approval",
            (true, false) => "totp",
            (false, _) => "approval",
        };
        let scope = match self.scope {
            Scope::Fleet => "fleet",
            Scope::Local => "local",
        };
        details
            .text("for", &self.length())
            .text("second_factor", factor)
            .text("scope", scope)
            .maybe("requested_by", Some(&self.requested.by.person))
            .maybe("begins", self.begins.map(|at| at.to_string()).as_deref())
            .maybe("ends", self.ends.map(|at| at.to_string()).as_deref())
    }
}
