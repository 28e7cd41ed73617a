//! The admin listener: health, readiness, metrics, and for operators what the gateway knows and what may be changed.
//!
//! HTTP/1.1 only, and never reachable through the proxy. A browser on the same machine is the nearest attacker: the
//! `Host` is checked against rebinding, requests of pages are refused, and what changes something has to be JSON.
//! Every call that needs an operator is recorded, and what cannot be recorded changes nothing.

use std::sync::Arc;
use std::time::Duration;

use crate::evidence::Evidence;
use crate::evidence::parts::PolicyRef;
use crate::metrics::Metrics;

pub use call::{Call, Outcome, Record, Unkept};
pub use caller::{By, Caller, Wrong};
pub use conversation::serve;
pub use door::Names;
pub use kept::Kept;
pub use problem::{Fault, Problem};
pub use reply::json;
pub use socket::Socket;

mod socket;

mod conversation;

mod door;

mod caller;

mod kept;

mod limiter;

pub mod totp;

pub mod oidc;

mod call;

pub mod api;

mod routes;

mod overrides;
pub use overrides::exception_of;

pub mod live;

mod reply;

mod problem;

/// What the answers are made of.
pub struct State {
    /// What is served: [`api::TABLE`].
    pub table: &'static [api::Row],
    /// Whether the gateway is ready, asked on every `/ready`.
    pub ready: Box<dyn Fn() -> Ready + Send + Sync>,
    /// The policy that decides now.
    pub policy: Box<dyn Fn() -> PolicyView + Send + Sync>,
    /// The live tunnels, as JSON objects.
    pub tunnels: Box<dyn Fn() -> Vec<serde_json::Value> + Send + Sync>,
    /// What a candidate bundle or mode would do to them.
    pub preview: live::Preview,
    /// Cut one of them, by this operator's word; whether it was open.
    pub cut: live::CutOne,
    /// Sets the gauges that only grow old, such as the age of the policy; called before every `/metrics`.
    pub refresh: Box<dyn Fn() + Send + Sync>,
    /// For `/metrics`.
    pub metrics: Arc<Metrics>,
    /// For the recent decisions.
    pub evidence: Evidence,
    /// Which `Host` fields are ours.
    pub names: Names,
    /// The operators and certificates in force. Without an operator, what needs one is refused.
    pub kept: Arc<Kept>,
    /// The check of ID tokens, where they are taken.
    pub oidc: Option<oidc::Oidc>,
    /// Wrong credentials so far.
    pub wrong: Wrong,
    /// One-time codes.
    pub totp: totp::Totp,
    /// Records a call. One that changes something is recorded twice: before, and once it is answered.
    pub record: Record,
    /// Grants, exceptions, the mode and open tunnels, where there are any to ask about.
    pub overriding: Option<Overriding>,
    /// The wall clock, which ends operators' credentials.
    pub now: Box<dyn Fn() -> jiff::Timestamp + Send + Sync>,
}

/// An answer that takes its time.
pub type Waited = std::pin::Pin<Box<dyn Future<Output = Result<serde_json::Value, Problem>> + Send>>;

/// What changes something on an operator's word.
pub struct Overriding {
    /// Grants, exceptions and the mode.
    pub state: Arc<crate::state::State>,
    /// What other overrides would cut and refuse.
    pub rehearse: Box<dyn Fn(crate::policy_store::Over) -> Waited + Send + Sync>,
}

/// Whether the gateway is ready, and what is noteworthy either way.
#[derive(Clone, Debug, Default)]
pub struct Ready {
    /// Why it is not ready: no traffic should be sent here.
    pub not_ready: Vec<String>,
    /// It works, but somebody should look: a rejected reload, rules about to expire, the development floor.
    pub degraded: Vec<String>,
}

/// What `/v1/policy` tells.
#[derive(Clone, Debug)]
pub struct PolicyView {
    /// The policy that decides now.
    pub policy: PolicyRef,
    /// How many rules it has.
    pub rules: usize,
    /// When it was activated.
    pub activated: jiff::Timestamp,
    /// The first problem of the last reload, where that was rejected.
    pub last_error: Option<String>,
    /// The end of the release, where it has one.
    pub not_after: Option<jiff::Timestamp>,
    /// When its source was heard of last, where it comes in releases.
    pub confirmed: Option<jiff::Timestamp>,
    /// Why it is too old, if it is.
    pub stale: Option<String>,
    /// The candidate beside it, where there is one.
    pub candidate: Option<serde_json::Value>,
    /// What every gateway of the fleet decides by; empty where this one has its store for itself.
    pub fleet: Vec<serde_json::Value>,
}

/// Bounds of the admin listener.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time; those that proved nothing make room for more.
    pub connections: usize,
    /// The time for a TLS handshake.
    pub handshake_timeout: Duration,
    /// The time for a request's head, and between two requests.
    pub head_timeout: Duration,
    /// The longest life of a connection.
    pub connection_timeout: Duration,
    /// Items of a list in one answer.
    pub decisions: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 64,
            handshake_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(10),
            connection_timeout: Duration::from_secs(300),
            decisions: 1_000,
        }
    }
}

#[cfg(test)]
mod tests;
