//! The one table of metrics: what a scrape shows, what a collector gets, and what the documentation lists.

use std::time::Duration;

use metrics::Unit;

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
        $(pub(super) const $konst: Metric = Metric {
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
    TUNNELS_CUT "gatepass.tunnels.cut" Counter Count ["ending"] "Tunnels and exchanges that were cut because they were no longer allowed.";
    LIMITED "gatepass.limits.refused" Counter Count ["limit"] "Connections and requests refused by a limit of a rule: its key; or `accounts` and `disk`, where the gateway could not count.";
    REDECIDE_DURATION "gatepass.tunnels.redecide.duration" Histogram Seconds [] "Time spent deciding again on everything that is open.";
    CONNECTIONS "gatepass.connections.active" Gauge Count [] "Client connections.";
    DNS_DURATION "gatepass.dns.lookup.duration" Histogram Seconds [] "Time until a name was resolved.";
    DIAL_DURATION "gatepass.dial.duration" Histogram Seconds [] "Time until a destination was connected.";
    PROBES "gatepass.probes" Counter Count ["result"] "Probes of servers' certificates, by what came of them.";
    PROBE_DURATION "gatepass.probe.duration" Histogram Seconds [] "Time until a probe of a server's certificate was over.";
    REQUEST_DURATION "http.server.request.duration" Histogram Seconds [] "Forwarded HTTP requests, from head to last byte.";
    REQUESTS "http.server.active_requests" Gauge Count [] "HTTP requests being forwarded.";
    EVIDENCE_RECORDS "gatepass.evidence.records" Counter Count [] "Records written.";
    EVIDENCE_COMMIT "gatepass.evidence.commit.duration" Histogram Seconds [] "Time until a group of records stood in the spool.";
    SPOOL_USAGE "gatepass.evidence.spool.usage" Gauge Bytes [] "Bytes of the spool's segments.";
    SPOOL_LIMIT "gatepass.evidence.spool.limit" Gauge Bytes [] "Bytes that the spool may have.";
    SPOOL_OLDEST "gatepass.evidence.spool.oldest_age" Gauge Seconds [] "Age of the oldest segment that some sink does not have.";
    EVIDENCE_QUEUE "gatepass.evidence.queue.usage" Gauge Count [] "Records that wait, or that live connections will still write.";
    EVIDENCE_LIMIT "gatepass.evidence.queue.limit" Gauge Count [] "Room for records.";
    EVIDENCE_EXPORTED "gatepass.evidence.exported" Counter Count ["sink"] "Records that a sink took.";
    EVIDENCE_REJECTED "gatepass.evidence.rejected" Counter Count ["sink"] "Records that a sink rejected for good; they are in quarantine.";
    EVIDENCE_FAILURES "gatepass.evidence.export.failures" Counter Count ["sink"] "Exports that failed and are retried.";
    EVIDENCE_BEHIND "gatepass.evidence.behind" Gauge Count ["sink"] "Records in the spool that a sink does not have yet.";
    EVIDENCE_DROPPED "gatepass.evidence.dropped" Counter Count [] "Records that `when_full: drop_oldest` removed before every sink had them.";
    EVIDENCE_UNAVAILABLE "gatepass.evidence.unavailable" Counter Count [] "Reservations refused because no evidence could be kept.";
    EVIDENCE_ABANDONED "gatepass.evidence.abandoned" Counter Count [] "Reservations given up without a decision.";
    EVIDENCE_LOST "gatepass.evidence.lost" Counter Count [] "Records that came after the writer had ended.";
    POLICY_AGE "gatepass.policy.age" Gauge Seconds [] "Time since the policy was activated.";
    POLICY_RELOAD "gatepass.policy.reload" Counter Count ["result"] "Policies activated, and reloads rejected.";
    GRANTS_ACTIVE "gatepass.grants.active" Gauge Count [] "Break-glass grants in force, exercises included: anything but 0 is somebody's business.";
    GRANTS_UNREVIEWED "gatepass.grants.unreviewed" Gauge Count [] "Break-glass grants that have ended and that nobody has reviewed.";
    EXCEPTIONS_ACTIVE "gatepass.exceptions.active" Gauge Count [] "Exceptions of the store in force.";
    EXCEPTIONS_PENDING "gatepass.exceptions.pending" Gauge Count [] "Exceptions that wait for an approver.";
    EXCEPTION_DECISION "gatepass.exceptions.decision.duration" Histogram Seconds [] "Time from the request of an exception to its approval or denial.";
    POLICY_DISAGREEING "gatepass.policy.disagreeing" Gauge Count [] "Gateways that share the store of this one and decide by another state of its bundle.";
    STATE_STALENESS "gatepass.state.staleness" Gauge Seconds [] "Time since the store of grants, exceptions and the mode was heard of last; 0 while it is.";
    WEBHOOK_FAILURES "gatepass.webhook.failures" Counter Count [] "Announcements that a webhook did not take, each try.";
    RULES_EXPIRING "gatepass.rules.expiring" Gauge Count ["within"] "Rules that expire soon.";
    REVIEWS_OVERDUE "gatepass.rules.reviews.overdue" Gauge Count [] "Denies whose `review_by` has passed; they are in force all the same.";
}

/// Bounds of the histograms in seconds: from a decision of a microsecond to a time-out of a minute.
const BOUNDS: &[f64] =
    &[1e-6, 5e-6, 25e-6, 1e-4, 5e-4, 1e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Bounds of what people take their time for: from a minute to a week.
const PATIENT: &[f64] =
    &[60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14_400.0, 28_800.0, 86_400.0, 259_200.0, 604_800.0];

/// The bounds of a histogram.
pub(super) fn bounds(metric: &Metric) -> &'static [f64] {
    if metric.name == EXCEPTION_DECISION.name { PATIENT } else { BOUNDS }
}

/// What `mode` can be as a label: the usual names, and one for all others, which a bundle may have any number of.
pub(super) const MODES: &[&str] = &["normal", "restricted", "lockdown", "other"];

/// Spans in which `gatepass.rules.expiring` counts, label first.
pub const EXPIRING_WITHIN: &[(&str, Duration)] = &[
    ("1d", Duration::from_secs(86_400)),
    ("7d", Duration::from_secs(7 * 86_400)),
    ("30d", Duration::from_secs(30 * 86_400)),
];
