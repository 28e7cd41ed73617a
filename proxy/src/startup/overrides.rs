//! Where grants, exceptions and the mode are kept, from the configuration.

use std::sync::Arc;

use gatepass_config::Config;
use gatepass_config::state as config;
use jiff::SignedDuration;

use crate::clock::Clock;
use crate::evidence::Evidence;
use crate::metrics::Metrics;
use crate::policy_store::PolicyStore;
use crate::state::store::{Bounds, Local, Store, embedded, etcd};
use crate::state::{Ceilings, Parts, State, Webhooks};

/// What the state needs of the parts that were made before it.
pub(super) struct Made<'a> {
    pub(super) policy: &'a Arc<PolicyStore>,
    pub(super) evidence: &'a Evidence,
    pub(super) clock: &'a Clock,
    pub(super) metrics: &'a Arc<Metrics>,
    pub(super) name: &'a Arc<str>,
}

/// Take the state directory. What it saw last is the least that the time is.
pub(super) fn local(config: &Config, clock: &Clock) -> Result<Local, String> {
    let local = Local::open(&config.state.directory.value).map_err(|error| format!("error: `state`: {error}"))?;
    // Whoever looks at the wall clock afterwards sees that it is behind.
    if let Some(seen) = local.highest_seen() {
        clock.at_least(seen);
    }
    Ok(local)
}

/// Open what is kept in it, or behind it.
pub(super) async fn state(config: &Config, local: Local, made: Made<'_>) -> Result<Arc<State>, String> {
    let limits = &config.limits;
    let bounds = Bounds::of(limits);
    let store = match &config.state.store {
        config::Store::Embedded => Store::Embedded(embedded::Embedded::new(local.clone(), made.clock.clone(), bounds)),
        config::Store::Etcd(configured) => {
            Store::Etcd(etcd::Etcd::new(configured, bounds).map_err(|error| format!("error: `state`: {error}"))?)
        }
    };
    let length = |time| SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
    let ceilings = Ceilings {
        grant: length(limits.grant_longest),
        exception: length(limits.exception_longest),
        requests_per_minute: u32::try_from(limits.override_requests_per_minute).unwrap_or(u32::MAX),
    };
    let parts = Parts {
        store,
        local,
        policy: Arc::clone(made.policy),
        evidence: made.evidence.clone(),
        clock: made.clock.clone(),
        metrics: Arc::clone(made.metrics),
        gateway: made.name.to_string(),
        ceilings,
        webhooks: Webhooks::default(),
    };
    State::open(parts).await.map_err(|error| format!("error: `state`: {error}"))
}
