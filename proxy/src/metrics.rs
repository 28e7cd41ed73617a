//! Every metric in one list: name, unit, kind, labels, help. No host and no identity is ever a label.
//!
//! A gateway has a recorder of its own and hands out handles made beforehand: a hot path neither looks labels up nor
//! allocates, and several gateways live in one process.

use std::time::Duration;

use gatepass_policy::decision::Reason;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata, Recorder as _, Unit};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::evidence::DecisionRecord;
use crate::evidence::words::{Mode, Outcome, PolicyResult};

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number that only grows.
    Counter,
    /// A number that goes up and down.
    Gauge,
    /// A distribution of seconds.
    Histogram,
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// The name; Prometheus shows `_` for `.`, the unit and `_total`.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// What it counts in.
    pub unit: Unit,
    /// The keys of its labels, each with a bounded set of values.
    pub labels: &'static [&'static str],
    /// One sentence.
    pub help: &'static str,
}

macro_rules! catalogue {
    ($($konst:ident $name:literal $kind:ident $unit:ident [$($label:literal),*] $help:literal;)*) => {
        $(const $konst: Metric = Metric {
            name: $name, kind: Kind::$kind, unit: Unit::$unit, labels: &[$($label),*], help: $help,
        };)*

        /// Every metric, in the order of the documentation.
        pub const METRICS: &[Metric] = &[$($konst,)*];
    };
}

catalogue! {
    DECISIONS "gatepass.decisions" Counter Count ["outcome", "reason", "mode"] "Final decisions.";
    DECISION_DURATION "gatepass.decision.duration" Histogram Seconds [] "Time spent deciding, all stages of a decision together.";
    IO "gatepass.io" Counter Bytes ["direction"] "Bytes carried, client to destination (transmit) and back (receive).";
    TUNNELS "gatepass.tunnels.active" Gauge Count [] "Open tunnels.";
    CONNECTIONS "gatepass.connections.active" Gauge Count [] "Client connections.";
    DNS_DURATION "gatepass.dns.lookup.duration" Histogram Seconds [] "Time until a name was resolved.";
    DIAL_DURATION "gatepass.dial.duration" Histogram Seconds [] "Time until a destination was connected.";
    REQUEST_DURATION "http.server.request.duration" Histogram Seconds [] "Forwarded HTTP requests, from head to last byte.";
    REQUESTS "http.server.active_requests" Gauge Count [] "HTTP requests being forwarded.";
    EVIDENCE_RECORDS "gatepass.evidence.records" Counter Count [] "Records written.";
    EVIDENCE_COMMIT "gatepass.evidence.commit.duration" Histogram Seconds [] "Time until a group of records stood in the spool.";
    SPOOL_USAGE "gatepass.evidence.spool.usage" Gauge Bytes [] "Bytes of the spool's segments.";
    SPOOL_LIMIT "gatepass.evidence.spool.limit" Gauge Bytes [] "Bytes that the spool may have.";
    SPOOL_OLDEST "gatepass.evidence.spool.oldest_age" Gauge Seconds [] "Age of the oldest segment that some sink does not have.";
    EVIDENCE_QUEUE "gatepass.evidence.queue.usage" Gauge Count [] "Records that wait, or that live connections will still write.";
    EVIDENCE_LIMIT "gatepass.evidence.queue.limit" Gauge Count [] "Room for records.";
    EVIDENCE_EXPORTED "gatepass.evidence.exported" Counter Count [] "Records that the collector took.";
    EVIDENCE_REJECTED "gatepass.evidence.rejected" Counter Count [] "Records that the collector rejected for good.";
    EVIDENCE_FAILURES "gatepass.evidence.export.failures" Counter Count [] "Exports that failed and are retried.";
    EVIDENCE_UNAVAILABLE "gatepass.evidence.unavailable" Counter Count [] "Reservations refused because no evidence could be kept.";
    EVIDENCE_ABANDONED "gatepass.evidence.abandoned" Counter Count [] "Reservations given up without a decision.";
    EVIDENCE_LOST "gatepass.evidence.lost" Counter Count [] "Records that came after the writer had ended.";
    POLICY_AGE "gatepass.policy.age" Gauge Seconds [] "Time since the policy was activated.";
    POLICY_RELOAD "gatepass.policy.reload" Counter Count ["result"] "Policies activated, and reloads rejected.";
    RULES_EXPIRING "gatepass.rules.expiring" Gauge Count ["within"] "Rules that expire soon.";
}

/// Bounds of the histograms in seconds: from a decision of a microsecond to a time-out of a minute.
const BOUNDS: &[f64] =
    &[1e-6, 5e-6, 25e-6, 1e-4, 5e-4, 1e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Spans in which `gatepass.rules.expiring` counts, label first.
pub const EXPIRING_WITHIN: &[(&str, Duration)] = &[
    ("1d", Duration::from_secs(86_400)),
    ("7d", Duration::from_secs(7 * 86_400)),
    ("30d", Duration::from_secs(30 * 86_400)),
];

/// How often [`Metrics::keep`] folds new observations in: at 100,000 a second, 4 MB wait at most.
const UPKEEP: Duration = Duration::from_secs(5);

/// The handles.
pub struct Metrics {
    prometheus: PrometheusHandle,
    decisions: Vec<(Outcome, Vec<Counter>)>,
    /// Time spent deciding.
    pub decision_duration: Histogram,
    /// Bytes from clients to destinations.
    pub transmitted: Counter,
    /// Bytes from destinations to clients.
    pub received: Counter,
    /// Open tunnels.
    pub tunnels: Gauge,
    /// Client connections.
    pub connections: Gauge,
    /// Time until a name was resolved.
    pub dns_duration: Histogram,
    /// Time until a destination was connected.
    pub dial_duration: Histogram,
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
    pub(crate) evidence_exported: Counter,
    pub(crate) evidence_rejected: Counter,
    pub(crate) evidence_export_failures: Counter,
    pub(crate) evidence_unavailable: Counter,
    pub(crate) evidence_abandoned: Counter,
    pub(crate) evidence_lost: Counter,
    /// Time since the policy was activated.
    pub policy_age: Gauge,
    policy_activated: Counter,
    policy_rejected: Counter,
    /// In the order of [`EXPIRING_WITHIN`].
    pub rules_expiring: Vec<Gauge>,
}

impl Metrics {
    /// A recorder of its own, every series there from the start.
    pub fn new() -> Result<Metrics, BuildError> {
        let mut builder = PrometheusBuilder::new().with_recommended_naming(true);
        for metric in METRICS.iter().filter(|metric| metric.kind == Kind::Histogram) {
            builder = builder.set_buckets_for_metric(Matcher::Full(metric.name.into()), BOUNDS)?;
        }
        let make = Maker(builder.build_recorder());
        make.describe();
        let of_outcome = |outcome: &Outcome| {
            let of_reason = |reason: &Reason| {
                // The only mode there is.
                let mode = ("mode", Mode::Normal.as_str());
                make.counter(DECISIONS, &[("outcome", outcome.as_str()), ("reason", reason.code()), mode])
            };
            (*outcome, Reason::ALL.iter().map(of_reason).collect())
        };
        let reload = |result: PolicyResult| make.counter(POLICY_RELOAD, &[("result", result.as_str())]);
        Ok(Metrics {
            prometheus: make.0.handle(),
            decisions: Outcome::ALL.iter().map(of_outcome).collect(),
            decision_duration: make.histogram(DECISION_DURATION),
            transmitted: make.counter(IO, &[("direction", "transmit")]),
            received: make.counter(IO, &[("direction", "receive")]),
            tunnels: make.gauge(TUNNELS, &[]),
            connections: make.gauge(CONNECTIONS, &[]),
            dns_duration: make.histogram(DNS_DURATION),
            dial_duration: make.histogram(DIAL_DURATION),
            request_duration: make.histogram(REQUEST_DURATION),
            requests: make.gauge(REQUESTS, &[]),
            evidence_records: make.counter(EVIDENCE_RECORDS, &[]),
            evidence_commit: make.histogram(EVIDENCE_COMMIT),
            spool_usage: make.gauge(SPOOL_USAGE, &[]),
            spool_limit: make.gauge(SPOOL_LIMIT, &[]),
            spool_oldest: make.gauge(SPOOL_OLDEST, &[]),
            evidence_queue: make.gauge(EVIDENCE_QUEUE, &[]),
            evidence_queue_limit: make.gauge(EVIDENCE_LIMIT, &[]),
            evidence_exported: make.counter(EVIDENCE_EXPORTED, &[]),
            evidence_rejected: make.counter(EVIDENCE_REJECTED, &[]),
            evidence_export_failures: make.counter(EVIDENCE_FAILURES, &[]),
            evidence_unavailable: make.counter(EVIDENCE_UNAVAILABLE, &[]),
            evidence_abandoned: make.counter(EVIDENCE_ABANDONED, &[]),
            evidence_lost: make.counter(EVIDENCE_LOST, &[]),
            policy_age: make.gauge(POLICY_AGE, &[]),
            policy_activated: reload(PolicyResult::Activated),
            policy_rejected: reload(PolicyResult::Rejected),
            rules_expiring: EXPIRING_WITHIN
                .iter()
                .map(|(within, _)| make.gauge(RULES_EXPIRING, &[("within", within)]))
                .collect(),
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
        let of_outcome = self.decisions.iter().find(|(outcome, _)| *outcome == record.outcome);
        // The counters stand in the order of `Reason::ALL`, which is the order of the enum.
        if let Some(counter) = of_outcome.and_then(|(_, reasons)| reasons.get(record.reason.code as usize)) {
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

    /// The bytes that the spool has, those that it may have, and how old the oldest are that some sink does not have.
    pub(crate) fn spool(&self, used: u64, limit: u64, oldest: Duration) {
        self.spool_usage.set(used as f64);
        self.spool_limit.set(limit as f64);
        self.spool_oldest.set(oldest.as_secs_f64());
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

/// Makes handles of one recorder.
struct Maker(PrometheusRecorder);

const METADATA: Metadata<'static> = Metadata::new("gatepass", Level::INFO, None);

impl Maker {
    fn describe(&self) {
        for metric in METRICS {
            let (name, unit, help) = (KeyName::from_const_str(metric.name), Some(metric.unit), metric.help.into());
            match metric.kind {
                Kind::Counter => self.0.describe_counter(name, unit, help),
                Kind::Gauge => self.0.describe_gauge(name, unit, help),
                Kind::Histogram => self.0.describe_histogram(name, unit, help),
            }
        }
    }

    fn counter(&self, metric: Metric, labels: &[(&'static str, &'static str)]) -> Counter {
        self.0.register_counter(&key(metric, labels), &METADATA)
    }

    fn gauge(&self, metric: Metric, labels: &[(&'static str, &'static str)]) -> Gauge {
        self.0.register_gauge(&key(metric, labels), &METADATA)
    }

    fn histogram(&self, metric: Metric) -> Histogram {
        self.0.register_histogram(&key(metric, &[]), &METADATA)
    }
}

fn key(metric: Metric, labels: &[(&'static str, &'static str)]) -> Key {
    debug_assert!(labels.iter().map(|(key, _)| key).eq(metric.labels), "{} has other labels", metric.name);
    Key::from_parts(metric.name, labels.iter().map(|(key, value)| Label::new(*key, *value)).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_of_the_list_is_rendered_with_its_help_and_two_gateways_do_not_share_numbers() {
        let (one, other) = (Metrics::new().unwrap(), Metrics::new().unwrap());
        one.tunnels.set(3);
        let text = one.render();
        for metric in METRICS {
            let name = metric.name.replace('.', "_");
            assert!(metric.kind == Kind::Histogram || text.contains(&format!("\n{name}")), "{name} in\n{text}");
            assert!(metric.kind == Kind::Histogram || text.contains(metric.help), "{name}");
        }
        assert!(text.contains("gatepass_tunnels_active 3"));
        assert!(other.render().contains("gatepass_tunnels_active 0"));
    }

    #[test]
    fn histograms_are_in_seconds_with_our_bounds() {
        let metrics = Metrics::new().unwrap();
        metrics.decision_duration.record(Duration::from_micros(3));
        let text = metrics.render();
        assert!(text.contains("gatepass_decision_duration_seconds_bucket{le=\"0.000005\"} 1"), "{text}");
        assert!(text.contains("gatepass_decision_duration_seconds_bucket{le=\"0.000001\"} 0"), "{text}");
        assert!(text.contains("gatepass_decision_duration_seconds_bucket{le=\"60\"} 1"), "{text}");
    }

    #[test]
    fn every_reason_has_its_counter() {
        for (index, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index);
        }
    }
}
