//! Every metric in one list: name, unit, kind, labels, help. No host and no identity is ever a label.
//!
//! A gateway has a recorder of its own and hands out handles made beforehand: a hot path neither looks labels up nor
//! allocates, and several gateways live in one process.

mod table;

mod maker;

use std::time::Duration;

use gatepass_policy::decision::Reason;
use maker::Maker;
use metrics::{Counter, Gauge, Histogram};
use metrics_exporter_prometheus::{BuildError, PrometheusHandle};
use opentelemetry::metrics::Meter;
use table::*;
pub use table::{EXPIRING_WITHIN, Kind, METRICS, Metric};

use crate::budget::LABELS as LIMIT_LABELS;
use crate::evidence::DecisionRecord;
use crate::evidence::words::{Ending, Outcome, PolicyResult, SinkName};

/// How often [`Metrics::keep`] folds new observations in: at 100,000 a second, 4 MB wait at most.
const UPKEEP: Duration = Duration::from_secs(5);

/// The handles.
pub struct Metrics {
    prometheus: PrometheusHandle,
    /// By mode, outcome and reason, in the orders of their lists.
    decisions: Vec<Counter>,
    /// Time spent deciding.
    pub decision_duration: Histogram,
    /// Bytes from clients to destinations.
    pub transmitted: Counter,
    /// Bytes from destinations to clients.
    pub received: Counter,
    /// Open tunnels.
    pub tunnels: Gauge,
    tunnels_cut: Vec<(Ending, Counter)>,
    limited: Vec<(&'static str, Counter)>,
    /// Time spent deciding again on everything that is open.
    pub redecide_duration: Histogram,
    /// Client connections.
    pub connections: Gauge,
    /// Time until a name was resolved.
    pub dns_duration: Histogram,
    /// Time until a destination was connected.
    pub dial_duration: Histogram,
    /// By result, in the order of [`ProbeResult::ALL`].
    probes: Vec<Counter>,
    probe_duration: Histogram,
    /// Forwarded HTTP requests.
    pub request_duration: Histogram,
    /// HTTP requests being forwarded.
    pub requests: Gauge,
    pub(crate) evidence_records: Counter,
    pub(crate) evidence_commit: Histogram,
    pub(crate) spool_usage: Gauge,
    pub(crate) spool_limit: Gauge,
    pub(crate) spool_oldest: Gauge,
    pub(crate) evidence_queue: Gauge,
    pub(crate) evidence_queue_limit: Gauge,
    otlp: SinkMetrics,
    syslog: SinkMetrics,
    ocsf: SinkMetrics,
    /// Records that were removed before every sink had them.
    pub(crate) evidence_dropped: Counter,
    pub(crate) evidence_unavailable: Counter,
    pub(crate) evidence_abandoned: Counter,
    pub(crate) evidence_lost: Counter,
    /// Time since the policy was activated.
    pub policy_age: Gauge,
    policy_activated: Counter,
    policy_rejected: Counter,
    /// Break-glass grants in force.
    pub grants_active: Gauge,
    /// Break-glass grants that nobody has reviewed.
    pub grants_unreviewed: Gauge,
    /// Exceptions in force.
    pub exceptions_active: Gauge,
    /// Exceptions that wait.
    pub exceptions_pending: Gauge,
    /// From the request of an exception to its decision.
    pub exception_decision: Histogram,
    /// Gateways of another mind.
    pub policy_disagreeing: Gauge,
    /// Time since the store was heard of.
    pub state_staleness: Gauge,
    /// Announcements that were not taken.
    pub webhook_failures: Counter,
    /// In the order of [`EXPIRING_WITHIN`].
    pub rules_expiring: Vec<Gauge>,
    /// Denies whose review is overdue.
    pub reviews_overdue: Gauge,
}

/// The endings of what was cut because it was no longer allowed.
const CUTS: [Ending; 5] =
    [Ending::Expired, Ending::PolicyChanged, Ending::GrantEnded, Ending::ModeChanged, Ending::Limit];

/// What came of a probe of a server's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeResult {
    /// It proves the host.
    Verified,
    /// It is there, and does not.
    Unverified,
    /// There is none.
    Nothing,
    /// There was none in time.
    Timeout,
}

impl ProbeResult {
    const ALL: [ProbeResult; 4] =
        [ProbeResult::Verified, ProbeResult::Unverified, ProbeResult::Nothing, ProbeResult::Timeout];

    fn as_str(self) -> &'static str {
        match self {
            ProbeResult::Verified => "verified",
            ProbeResult::Unverified => "unverified",
            ProbeResult::Nothing => "nothing",
            ProbeResult::Timeout => "timeout",
        }
    }
}

/// The handles of one sink.
#[derive(Clone)]
pub(crate) struct SinkMetrics {
    /// Records that it took.
    pub exported: Counter,
    /// Records that it rejected for good.
    pub rejected: Counter,
    /// Exports that failed and are retried.
    pub failures: Counter,
    /// Records that it does not have yet.
    pub behind: Gauge,
}

impl Metrics {
    /// A recorder of its own, every series there from the start.
    pub fn new() -> Result<Metrics, BuildError> {
        Metrics::exported(None)
    }

    /// The same; what is counted is exported through `meter` as well.
    pub fn exported(meter: Option<Meter>) -> Result<Metrics, BuildError> {
        let mut make = Maker::new(meter)?;
        Ok(Metrics {
            decisions: decisions(&mut make),
            decision_duration: make.histogram(DECISION_DURATION),
            transmitted: make.counter(IO, &[("direction", "transmit")]),
            received: make.counter(IO, &[("direction", "receive")]),
            tunnels: make.gauge(TUNNELS, &[]),
            tunnels_cut: CUTS
                .iter()
                .map(|ending| (*ending, make.counter(TUNNELS_CUT, &[("ending", ending.as_str())])))
                .collect(),
            limited: LIMIT_LABELS.iter().map(|limit| (*limit, make.counter(LIMITED, &[("limit", limit)]))).collect(),
            redecide_duration: make.histogram(REDECIDE_DURATION),
            connections: make.gauge(CONNECTIONS, &[]),
            dns_duration: make.histogram(DNS_DURATION),
            dial_duration: make.histogram(DIAL_DURATION),
            probes: ProbeResult::ALL.map(|result| make.counter(PROBES, &[("result", result.as_str())])).into(),
            probe_duration: make.histogram(PROBE_DURATION),
            request_duration: make.histogram(REQUEST_DURATION),
            requests: make.gauge(REQUESTS, &[]),
            evidence_records: make.counter(EVIDENCE_RECORDS, &[]),
            evidence_commit: make.histogram(EVIDENCE_COMMIT),
            spool_usage: make.gauge(SPOOL_USAGE, &[]),
            spool_limit: make.gauge(SPOOL_LIMIT, &[]),
            spool_oldest: make.gauge(SPOOL_OLDEST, &[]),
            evidence_queue: make.gauge(EVIDENCE_QUEUE, &[]),
            evidence_queue_limit: make.gauge(EVIDENCE_LIMIT, &[]),
            otlp: sink(&mut make, SinkName::Otlp),
            syslog: sink(&mut make, SinkName::Syslog),
            ocsf: sink(&mut make, SinkName::Ocsf),
            evidence_dropped: make.counter(EVIDENCE_DROPPED, &[]),
            evidence_unavailable: make.counter(EVIDENCE_UNAVAILABLE, &[]),
            evidence_abandoned: make.counter(EVIDENCE_ABANDONED, &[]),
            evidence_lost: make.counter(EVIDENCE_LOST, &[]),
            policy_age: make.gauge(POLICY_AGE, &[]),
            policy_activated: reload(&mut make, PolicyResult::Activated),
            policy_rejected: reload(&mut make, PolicyResult::Rejected),
            grants_active: make.gauge(GRANTS_ACTIVE, &[]),
            grants_unreviewed: make.gauge(GRANTS_UNREVIEWED, &[]),
            exceptions_active: make.gauge(EXCEPTIONS_ACTIVE, &[]),
            exceptions_pending: make.gauge(EXCEPTIONS_PENDING, &[]),
            exception_decision: make.histogram(EXCEPTION_DECISION),
            policy_disagreeing: make.gauge(POLICY_DISAGREEING, &[]),
            state_staleness: make.gauge(STATE_STALENESS, &[]),
            webhook_failures: make.counter(WEBHOOK_FAILURES, &[]),
            reviews_overdue: make.gauge(REVIEWS_OVERDUE, &[]),
            rules_expiring: EXPIRING_WITHIN
                .iter()
                .map(|(within, _)| make.gauge(RULES_EXPIRING, &[("within", within)]))
                .collect(),
            prometheus: make.finish(),
        })
    }

    /// Count a decision that was admitted, when its record stands: not on the task of the connection that waits for it.
    pub(crate) fn admitted(&self, record: &DecisionRecord) {
        match record.outcome {
            Outcome::Admitted => self.decided(record),
            Outcome::Refused | Outcome::Failed => {}
        }
    }

    /// Count a final decision, and what its parts took.
    pub(crate) fn decided(&self, record: &DecisionRecord) {
        let mode = MODES.iter().position(|mode| *mode == record.mode.as_str()).unwrap_or(MODES.len() - 1);
        let place = (mode * Outcome::ALL.len() + record.outcome as usize) * Reason::ALL.len();
        if let Some(counter) = self.decisions.get(place + record.reason.code as usize) {
            counter.increment(1);
        }
        let timings = [
            (record.timings.decide_us, &self.decision_duration),
            (record.timings.dns_us, &self.dns_duration),
            (record.timings.dial_us, &self.dial_duration),
        ];
        for (took, histogram) in timings {
            if let Some(microseconds) = took {
                histogram.record(Duration::from_micros(microseconds));
            }
        }
    }

    /// Count a probe, and what it took.
    pub(crate) fn probed(&self, result: ProbeResult, took: Duration) {
        if let Some(counter) = self.probes.get(result as usize) {
            counter.increment(1);
        }
        self.probe_duration.record(took);
    }

    /// The handles of a sink.
    pub(crate) fn sink(&self, name: SinkName) -> &SinkMetrics {
        match name {
            SinkName::Otlp => &self.otlp,
            SinkName::Syslog => &self.syslog,
            SinkName::Ocsf => &self.ocsf,
        }
    }

    /// The bytes that the spool has, those that it may have, and how old the oldest are that some sink does not have.
    pub(crate) fn spool(&self, used: u64, limit: u64, oldest: Duration) {
        self.spool_usage.set(used as f64);
        self.spool_limit.set(limit as f64);
        self.spool_oldest.set(oldest.as_secs_f64());
    }

    /// Count what was cut.
    pub fn cut(&self, ending: Ending) {
        if let Some((_, counter)) = self.tunnels_cut.iter().find(|(cut, _)| *cut == ending) {
            counter.increment(1);
        }
    }

    /// Count what a limit of a rule refused.
    pub fn limited(&self, label: &str) {
        if let Some((_, counter)) = self.limited.iter().find(|(limit, _)| *limit == label) {
            counter.increment(1);
        }
    }

    /// Count what became of a policy.
    pub fn policy(&self, result: PolicyResult) {
        match result {
            PolicyResult::Activated => self.policy_activated.increment(1),
            PolicyResult::Rejected => self.policy_rejected.increment(1),
        }
    }

    /// The Prometheus text format.
    pub fn render(&self) -> String {
        self.prometheus.render()
    }

    /// Fold observations into their histograms for as long as this is polled; without it they pile up between scrapes.
    pub async fn keep(&self) {
        let mut ticks = tokio::time::interval(UPKEEP);
        loop {
            ticks.tick().await;
            self.prometheus.run_upkeep();
        }
    }
}

/// In the order in which they are looked up: the enums stand in the order of their lists.
fn decisions(make: &mut Maker) -> Vec<Counter> {
    let mut counters = Vec::new();
    for mode in MODES {
        for outcome in Outcome::ALL {
            for reason in Reason::ALL {
                let labels = [("outcome", outcome.as_str()), ("reason", reason.code()), ("mode", *mode)];
                counters.push(make.counter(DECISIONS, &labels));
            }
        }
    }
    counters
}

fn sink(make: &mut Maker, name: SinkName) -> SinkMetrics {
    let label = [("sink", name.as_str())];
    SinkMetrics {
        exported: make.counter(EVIDENCE_EXPORTED, &label),
        rejected: make.counter(EVIDENCE_REJECTED, &label),
        failures: make.counter(EVIDENCE_FAILURES, &label),
        behind: make.gauge(EVIDENCE_BEHIND, &label),
    }
}

fn reload(make: &mut Maker, result: PolicyResult) -> Counter {
    make.counter(POLICY_RELOAD, &[("result", result.as_str())])
}

#[cfg(test)]
mod tests;
