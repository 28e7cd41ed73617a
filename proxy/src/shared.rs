//! What every connection shares: the parts that the composition root makes once.

use std::sync::Arc;

use arc_swap::ArcSwap;
use gatepass_config::limits::Limits;
use gatepass_policy::address::Floor;
use tokio::sync::Semaphore;

use crate::admin::Kept;
use crate::budget::Budgets;
use crate::clock::Clock;
use crate::evidence::Evidence;
use crate::forward::Pool;
use crate::identity::Registry;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::policy_store::PolicyStore;
use crate::probe::Probe;
use crate::resolver::Resolver;
use crate::startup::Renewal;
use crate::state::State;
use crate::telemetry::{Telemetry, Tracing};
use crate::{client_hello, dial, forward, http1, tunnel};

/// What every connection shares.
pub struct Shared {
    /// Wall-clock time.
    pub clock: Clock,
    /// The policy in force.
    pub policy: Arc<PolicyStore>,
    /// What operators lay over the policy.
    pub state: Arc<State>,
    /// Where the records of this gateway are.
    pub spool: std::path::PathBuf,
    /// Records.
    pub evidence: Evidence,
    /// The way to the collector, where it is looked at again.
    pub collector: Option<Arc<Renewal>>,
    /// The operators and certificates of the admin listener, if there is one.
    pub admin: Option<Arc<Kept>>,
    /// Names to addresses.
    pub resolver: Resolver,
    /// What the gateway knows of itself; renewed, since interfaces come and go.
    pub floor: ArcSwap<Floor>,
    /// Who is who.
    pub identity: Registry,
    /// What servers prove to the gateway itself.
    pub probe: Probe,
    /// Whom it trusts to vouch for them, to be read again.
    pub probed_by: gatepass_config::probe::Probe,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// Traces of requests, if there are any.
    pub tracing: Option<Tracing>,
    /// What exports metrics and traces, if anything does.
    pub telemetry: Option<Telemetry>,
    /// Idle upstream connections of plain HTTP.
    pub pool: Pool,
    /// Buffers and pipes of tunnels.
    pub pools: tunnel::Pools,
    /// What the limits of rules have let who have.
    pub budgets: Budgets,
    /// The open tunnels.
    pub live: Live,
    /// Room for client connections.
    pub connections: Arc<Semaphore>,
    /// Room for connections beyond that, which are told so before they are closed.
    pub refusals: Arc<Semaphore>,
    /// Every bound, as configured.
    pub limits: Limits,
    /// Bounds of request heads.
    pub head: http1::Limits,
    /// Bounds of the wait for a ClientHello.
    pub hello: client_hello::Limits,
    /// Bounds of a dial.
    pub dial: dial::Limits,
    /// Bounds of a tunnel.
    pub tunnel: tunnel::Limits,
    /// Bounds of a forwarded exchange.
    pub forward: forward::Limits,
}
