//! The table, the handles, and what a scrape shows of them.

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

#[test]
fn each_sink_has_series_of_its_own() {
    let metrics = Metrics::new().unwrap();
    for (name, records) in [(SinkName::Otlp, 1), (SinkName::Syslog, 2), (SinkName::Ocsf, 3)] {
        let sink = metrics.sink(name);
        sink.exported.increment(records);
        sink.behind.set(10.0 * records as f64);
    }
    let text = metrics.render();
    for (name, records) in [("otlp", 1), ("syslog", 2), ("ocsf", 3)] {
        assert!(text.contains(&format!("gatepass_evidence_exported_total{{sink=\"{name}\"}} {records}\n")), "{text}");
        assert!(text.contains(&format!("gatepass_evidence_behind{{sink=\"{name}\"}} {records}0\n")), "{text}");
    }
}
