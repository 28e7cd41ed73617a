//! Where grants, exceptions and the mode are kept, from the configuration.

use std::sync::Arc;

use gatepass_certs::Alpn;
use gatepass_config::Config;
use gatepass_config::channel::Channel;
use jiff::SignedDuration;

use crate::clock::Clock;
use crate::evidence::Evidence;
use crate::evidence::ship::tls::{self, Tls};
use crate::metrics::Metrics;
use crate::policy_store::PolicyStore;
use crate::state::store::{Local, Store};
use crate::state::{Ceilings, Log, Parts, State, Webhook, Webhooks};

/// What the state needs of the parts that were made before it.
pub(super) struct Made<'a> {
    pub(super) policy: &'a Arc<PolicyStore>,
    pub(super) evidence: &'a Evidence,
    pub(super) clock: &'a Clock,
    pub(super) metrics: &'a Arc<Metrics>,
    pub(super) name: &'a Arc<str>,
    pub(super) log: Log,
}

/// Take the state directory, and the store in it or behind it. What it saw last is the least that the time is.
pub(super) fn store(config: &Config, clock: &Clock) -> Result<(Store, Local), String> {
    let opened = Store::open(&config.state, &config.limits, clock.clone());
    let (store, local) = opened.map_err(|error| format!("error: `state`: {error}"))?;
    if let Some(seen) = local.highest_seen() {
        clock.at_least(seen);
    }
    Ok((store, local))
}

/// What is kept in it.
pub(super) async fn state(
    config: &Config,
    (store, local): (Store, Local),
    made: Made<'_>,
) -> Result<Arc<State>, String> {
    let limits = &config.limits;
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
        webhooks: Webhooks::start(webhooks(config)?, made.metrics),
        log: made.log,
    };
    State::open(parts).await.map_err(|error| format!("error: `state`: {error}"))
}

/// Who is told at once. Files of their TLS are read now; the secret whenever something is told.
fn webhooks(config: &Config) -> Result<Vec<Webhook>, String> {
    let admin = config.admin.as_ref();
    let webhooks = admin.into_iter().flat_map(|admin| &admin.webhooks).map(|configured| {
        let secure = match &configured.channel {
            Channel::Clear => None,
            Channel::Tls(tls) => {
                let files = Tls::from(&**tls);
                let host = configured.url.host.to_text();
                Some(
                    tls::secure(&files, &host, &[Alpn::Http11])
                        .map_err(|error| format!("error: `admin.webhooks`: {error}"))?,
                )
            }
        };
        Ok(Webhook { configured: configured.clone(), secure })
    });
    webhooks.collect()
}
