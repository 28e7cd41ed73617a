//! What operators see of a running gateway: readiness, the policy in force, and gauges that only time moves.

use std::sync::Arc;
use std::time::Duration;

use gatepass_config::admin::Admin;
use tokio::sync::watch;

use crate::admin::oidc::{self, Oidc};
use crate::admin::totp::{Spent, Totp};
use crate::admin::{Call, Kept, Names, Outcome, Overriding, PolicyView, Ready, State, Unkept, Wrong};
use crate::evidence::text::Text;
use crate::evidence::words::ActKind;
use crate::evidence::{Act, By, Details, RoomOf};
use crate::metrics::EXPIRING_WITHIN;
use crate::policy_store::State as PolicyState;
use crate::rehearsal;
use crate::shared::Shared;
use crate::shutdown::Phase;

/// How often upstream connections that waited too long are closed.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// What the admin listener answers from.
pub fn state(shared: &Arc<Shared>, phase: watch::Receiver<Phase>, admin: &Admin, kept: Arc<Kept>) -> State {
    let (of_ready, of_policy, of_age) = (Arc::clone(shared), Arc::clone(shared), Arc::clone(shared));
    let (of_now, of_live) = (Arc::clone(shared), Arc::clone(shared));
    let (of_codes, of_calls) = (Arc::clone(&shared.state), Arc::clone(shared));
    State {
        table: crate::admin::api::TABLE,
        ready: Box::new(move || ready(&of_ready, *phase.borrow())),
        policy: Box::new(move || policy(&of_policy)),
        tunnels: Box::new(move || of_live.live.told()),
        preview: {
            let (shared, limits) = (Arc::clone(shared), crate::startup::policy_limits(&shared.limits));
            Arc::new(move |candidate| shared.live.answer(candidate, &shared.policy, &limits, shared.clock.now()))
        },
        cut: {
            let shared = Arc::clone(shared);
            Box::new(move |id, by| shared.live.cut(id, by))
        },
        refresh: Box::new(move || ages(&of_age)),
        metrics: Arc::clone(&shared.metrics),
        evidence: shared.evidence.clone(),
        names: Names(admin.names.clone()),
        kept,
        oidc: admin.oidc.as_ref().map(|provider| Oidc::new(settings(provider))),
        wrong: Wrong::default(),
        totp: Totp::new(Box::new(move |person, step| spend(&of_codes, person, step))),
        record: Box::new(move |call| record(&of_calls, call)),
        overriding: Some(overriding(shared)),
        now: Box::new(move || of_now.clock.now()),
    }
}

/// Grants, exceptions, the mode and open tunnels.
fn overriding(shared: &Arc<Shared>) -> Overriding {
    let (of_rehearsal, turn) = (Arc::clone(shared), rehearsal::Turn::new());
    Overriding {
        state: Arc::clone(&shared.state),
        rehearse: Box::new(move |over| {
            Box::pin(rehearsal::of_overrides(Arc::clone(&of_rehearsal), turn.clone(), over))
        }),
    }
}

/// Let a code be used, once in the whole fleet. Rare, and short: the thread waits for it.
fn spend(state: &crate::state::State, person: &str, step: u64) -> Spent {
    let spent = || tokio::runtime::Handle::current().block_on(state.spend_code(person, step));
    tokio::task::block_in_place(spent)
}

/// Record a call of the admin listener.
fn record(shared: &Shared, call: &Call<'_>) -> Result<(), Unkept> {
    let who = call.operator.unwrap_or("nobody");
    let by = call.by.first().map_or("nothing", |by| by.as_str());
    let (action, status, detail) = match call.outcome {
        Outcome::Begun => ("begun", None, None),
        Outcome::Answered { status, detail } => ("called", Some(status), detail),
    };
    let told = status.map_or_else(|| "begun".to_owned(), |status| status.as_u16().to_string());
    let sentence = format!("{who} called {} {}: {told}", call.method, call.route);
    let details = Details::default()
        .text("method", call.method.as_str())
        .text("route", call.route)
        .text("path", call.path)
        .maybe("from", call.from.map(|from| from.ip().to_string()).as_deref())
        .maybe("refused", detail);
    let details = match status {
        Some(status) => details.int("status", status.as_u16().into()),
        None => details,
    };
    let act = Act {
        now: shared.clock.wall(),
        kind: ActKind::Admin,
        action,
        subject: None,
        sentence,
        by: call.operator.map(|name| By {
            name: Text::name(name),
            person: Text::name(call.person.unwrap_or(name)),
            by,
        }),
        drill: false,
        details,
        room: if call.operator.is_some() { RoomOf::Operators } else { RoomOf::Anybody },
    };
    shared.evidence.acted(act).map_err(|unavailable| Unkept(unavailable.to_string()))
}

fn settings(provider: &gatepass_config::oidc::Oidc) -> oidc::Settings {
    oidc::Settings {
        issuer: provider.issuer.value.clone(),
        client_id: provider.client_id.clone(),
        audience: provider.audience.clone(),
        ca: provider.ca.as_ref().map(|ca| ca.value.clone()),
        email_domain: provider.email_domain.clone(),
    }
}

fn ready(shared: &Shared, phase: Phase) -> Ready {
    let mut ready = Ready::default();
    if phase != Phase::Serving {
        ready.not_ready.push("draining".to_owned());
    }
    if let PolicyState::Stale { since, problems } = shared.policy.state() {
        let first = problems.lines().next().unwrap_or_default();
        ready
            .degraded
            .push(format!("since {since} the policy on disk is refused, and the last good one is in force: {first}"));
    }
    let snapshot = shared.policy.current();
    let mut overdue = snapshot.set.overdue(shared.clock.now());
    if let Some((since, rule)) = overdue.next() {
        let others = match overdue.count() {
            0 => String::new(),
            others => format!(", and of {others} more"),
        };
        ready.degraded.push(format!("since {since} the review of {} ({}) is overdue{others}", rule.path, rule.owner));
    }
    ready.degraded.extend(shared.state.worries());
    if let Some(problems) = shared.admin.as_ref().and_then(|kept| kept.refused()) {
        let first = problems.lines().next().unwrap_or_default();
        ready
            .degraded
            .push(format!("the operators on disk are refused, and those known so far stay in force: {first}"));
    }
    if let Some(until) = shared.policy.current().observe.filter(|until| shared.clock.now() < *until) {
        ready.degraded.push(format!("observe: policy denials are recorded and carried until {until}"));
    }
    if shared.floor.load().development_loopback {
        ready.degraded.push("floor: development (rules may open loopback addresses)".to_owned());
    }
    ready
}

fn policy(shared: &Shared) -> PolicyView {
    let snapshot = shared.policy.current();
    PolicyView {
        policy: snapshot.reference.clone(),
        rules: snapshot.set.rules(),
        activated: snapshot.loaded,
        last_error: match shared.policy.state() {
            PolicyState::Current => None,
            PolicyState::Stale { problems, .. } => problems.lines().next().map(str::to_owned),
        },
        fleet: shared.state.fleet(),
    }
}

/// Gauges that only time moves.
fn ages(shared: &Shared) {
    let now = shared.clock.now();
    let snapshot = shared.policy.current();
    shared.metrics.policy_age.set(now.duration_since(snapshot.loaded).as_secs_f64());
    for ((_, within), gauge) in EXPIRING_WITHIN.iter().zip(&shared.metrics.rules_expiring) {
        let end = now.saturating_add(*within).unwrap_or(jiff::Timestamp::MAX);
        gauge.set(f64::from(u32::try_from(snapshot.set.expiring(now, end)).unwrap_or(u32::MAX)));
    }
    let overdue = snapshot.set.overdue(now).count();
    shared.metrics.reviews_overdue.set(f64::from(u32::try_from(overdue).unwrap_or(u32::MAX)));
}

/// Close upstream connections that waited too long, and bring the gauges up to date for those who get them without asking.
/// Never returns.
pub async fn sweep(shared: Arc<Shared>) {
    let mut tick = tokio::time::interval(SWEEP_EVERY);
    loop {
        tick.tick().await;
        shared.pool.sweep();
        shared.evidence.observe();
        ages(&shared);
    }
}
