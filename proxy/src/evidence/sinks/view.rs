//! What every sink reads of a record: its fields by the dotted path of the records' table, how bad it is, and a sentence.

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::Value;

use crate::evidence::spelling;
use crate::evidence::words::{Ending, Outcome, PolicyResult};

/// A record that is only looked at. Nothing about its shape is taken for granted: it comes from a file.
#[derive(Clone, Copy)]
pub(super) struct View<'a>(pub &'a Value);

/// How bad it is what a record tells: what a collector is told as INFO, WARN and ERROR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    /// As it should be.
    Info,
    /// Something was kept from happening.
    Warn,
    /// Something is broken.
    Error,
}

impl<'a> View<'a> {
    /// The field at this path.
    pub fn field(self, path: &str) -> Option<&'a Value> {
        path.split('.').try_fold(self.0, |value, key| value.get(key))
    }

    /// The text at this path; empty where there is none.
    pub fn text(self, path: &str) -> &'a str {
        self.field(path).and_then(Value::as_str).unwrap_or_default()
    }

    pub fn kind(self) -> &'a str {
        self.text("kind")
    }

    /// By which a store drops duplicates; a close must not pass for a duplicate of its decision.
    pub fn uid(self) -> Cow<'a, str> {
        match self.kind() {
            "close" => format!("{}/close", self.text("id")).into(),
            _ => self.text("id").into(),
        }
    }

    /// In whole microseconds.
    pub fn time(self) -> Option<Timestamp> {
        self.text("time").parse().ok().map(spelling::microseconds)
    }

    pub fn severity(self) -> Severity {
        let is = |path: &str, word: &str| self.text(path) == word;
        match self.kind() {
            "decision" if is("outcome", Outcome::Admitted.as_str()) => Severity::Info,
            "policy" if is("result", PolicyResult::Activated.as_str()) => Severity::Info,
            "policy" => Severity::Error,
            "close" => Ending::ALL.iter().find(|ending| is("ending", ending.as_str())).map_or(Severity::Warn, of),
            "checkpoint" | "exception" | "admin" => Severity::Info,
            // Denials, gaps, and whatever else is written down because somebody should look at it.
            _ => Severity::Warn,
        }
    }

    /// The name that a collector knows the event by.
    pub fn event_name(self) -> Cow<'a, str> {
        match self.kind() {
            "close" => "gatepass.connection.closed".into(),
            "policy" => format!("gatepass.policy.{}", self.text("result")).into(),
            kind @ ("checkpoint" | "gap") => format!("gatepass.evidence.{kind}").into(),
            "decision" => "gatepass.decision".into(),
            kind => format!("gatepass.{kind}.{}", self.text("action")).into(),
        }
    }

    /// What happened, for a person.
    pub fn sentence(self) -> Cow<'a, str> {
        match self.kind() {
            "decision" | "grant" | "exception" | "mode" | "admin" => self.text("reason.text").into(),
            "close" => format!("the connection ended: {}", self.text("ending")).into(),
            "policy" => {
                let (bundle, digest) = (self.text("policy.bundle"), self.text("policy.digest"));
                format!("the policy {bundle} {digest} was {}", self.text("result")).into()
            }
            "checkpoint" => "the records so far are signed".into(),
            "gap" => "records are missing here".into(),
            kind => kind.into(),
        }
    }
}

fn of(ending: &Ending) -> Severity {
    match ending {
        Ending::ClientClosed | Ending::UpstreamClosed | Ending::Idle | Ending::MaxDuration | Ending::Drained => {
            Severity::Info
        }
        Ending::Expired | Ending::PolicyChanged | Ending::GrantEnded | Ending::ModeChanged | Ending::Limit => {
            Severity::Warn
        }
        Ending::Error => Severity::Error,
    }
}
