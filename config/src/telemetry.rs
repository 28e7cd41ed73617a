//! `telemetry`: metrics and traces of the gateway's own. They may be lost; evidence may not.

use std::time::Duration;

use crate::collector::{self, Collector, Transport};
use crate::node::Node;
use crate::reading::{Reading, optional};

/// Where metrics and traces go.
#[derive(Clone, Debug)]
pub struct Telemetry {
    /// The collector, spoken to by gRPC.
    pub otlp: Collector,
    /// When metrics are exported.
    pub metrics: Metrics,
    /// Which requests are traced.
    pub traces: Traces,
}

/// When metrics are exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metrics {
    /// So often.
    Every(Duration),
    /// Never: whoever wants them asks the admin listener.
    None,
}

/// Which requests are traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traces {
    /// The share of requests that start a trace, of those whose client brings none.
    pub sample: Share,
    /// What becomes of the trace that a client brings.
    pub parent: Parent,
}

/// What becomes of the trace that a client brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parent {
    /// It is continued where it is sampled: every client can then make the gateway write spans.
    Follow,
    /// It is not looked at.
    Ignore,
}

/// A share from nothing to all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share {
    thousandths_of_a_percent: u32,
}

impl Share {
    /// Nothing.
    pub const NONE: Share = Share { thousandths_of_a_percent: 0 };

    /// From 0 to 1.
    pub fn ratio(self) -> f64 {
        f64::from(self.thousandths_of_a_percent) / f64::from(Share::WHOLE)
    }

    const WHOLE: u32 = 100_000;

    /// `0%` to `100%`, at most three digits after the point.
    fn parse(text: &str) -> Option<Share> {
        let number = text.strip_suffix('%')?;
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str| (1..=3).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(part) {
            return None;
        }
        let part: u32 = format!("{part:0<3}").parse().ok()?;
        let thousandths_of_a_percent = whole.parse::<u32>().ok()? * 1_000 + part;
        (thousandths_of_a_percent <= Share::WHOLE).then_some(Share { thousandths_of_a_percent })
    }
}

/// What scrapers are set to as a rule.
const METRICS: Metrics = Metrics::Every(Duration::from_secs(15));
const METRICS_RANGE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60 * 60));

pub(crate) fn convert(node: &Node, reading: &mut Reading<'_>) -> Option<Telemetry> {
    let [otlp, metrics, traces] = reading.fields(node, ["otlp", "metrics", "traces"])?;
    let otlp = reading.required(node, otlp, "otlp").and_then(|node| self::otlp(node, reading));
    let metrics = optional(metrics, reading, self::metrics);
    let traces = optional(traces, reading, self::traces);
    let untraced = Traces { sample: Share::NONE, parent: Parent::Ignore };
    let telemetry =
        Telemetry { otlp: otlp?, metrics: metrics?.unwrap_or(METRICS), traces: traces?.unwrap_or(untraced) };
    if telemetry.metrics == Metrics::None && telemetry.traces == untraced {
        let help = "give `metrics` an interval or `traces` a share, or leave `telemetry` out";
        reading.found.error_with_help(&node.place, "`telemetry` would export neither metrics nor traces", help);
    }
    Some(telemetry)
}

fn otlp(node: &Node, reading: &mut Reading<'_>) -> Option<Collector> {
    let keys = collector::keys(node, None, reading)?;
    let collector = collector::convert(node, &keys, reading)?;
    match collector.transport {
        Transport::Grpc => Some(collector),
        Transport::Http => {
            reading.unsupported_value(&node.place, "telemetry over OTLP/HTTP");
            None
        }
    }
}

fn metrics(node: &Node, reading: &mut Reading<'_>) -> Option<Metrics> {
    if node.is_word("none") {
        return Some(Metrics::None);
    }
    let interval = reading.duration(node)?;
    let (least, most) = METRICS_RANGE;
    if interval < least || interval > most {
        reading.found.error(&node.place, "`telemetry.metrics` goes from 1s to 1h, or is `none`");
        return None;
    }
    Some(Metrics::Every(interval))
}

fn traces(node: &Node, reading: &mut Reading<'_>) -> Option<Traces> {
    let [sample, parent] = reading.fields(node, ["sample", "parent"])?;
    let sample = optional(sample, reading, |node, reading| {
        reading.parsed(node, "a share from `0%` to `100%`, such as `1%` or `0.05%`", Share::parse)
    });
    let parent = optional(parent, reading, |node, reading| {
        reading.choice(node, &[("follow", Parent::Follow), ("ignore", Parent::Ignore)])
    });
    Some(Traces { sample: sample?.unwrap_or(Share::NONE), parent: parent?.unwrap_or(Parent::Ignore) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_has_a_percent_sign_and_lies_between_nothing_and_all() {
        for (text, ratio) in [("0%", 0.0), ("1%", 0.01), ("0.05%", 0.0005), ("12.5%", 0.125), ("100%", 1.0)] {
            assert_eq!(Share::parse(text).map(Share::ratio), Some(ratio), "{text}");
        }
        for text in ["", "%", "1", "101%", "100.001%", "-1%", "1.%", ".5%", "0.0001%", "1e1%", "1%%", "+1%"] {
            assert_eq!(Share::parse(text), None, "{text}");
        }
    }
}
