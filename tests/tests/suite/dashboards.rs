//! The dashboard and the alert rules ask only for what a gateway says: each metric and label in them is one of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use gatepass::metrics::METRICS;
use gatepass_tests::{Bundle, Client, Setup};
use serde_json::Value;

/// Labels that Prometheus itself adds, and that of a histogram's buckets.
const EVERYWHERE: [&str; 3] = ["job", "instance", "le"];

fn read(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("deploy").join(name)).unwrap()
}

/// What a scrape of a real gateway shows: each name, with the labels that the table gives it.
fn scraped() -> BTreeMap<String, &'static [&'static str]> {
    let gateway = Setup::new().start(&Bundle::new());
    gateway.client().connect("denied.test:443");
    gateway.decided(1);
    let address = gateway.address("admin");
    let mut client = Client::plain(address);
    client.say(format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n"));
    let body = client.reply().unwrap().body;
    let types = body.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let mut names = BTreeMap::new();
    for (name, kind) in types {
        let metric = METRICS.iter().find(|metric| name.starts_with(&metric.name.replace('.', "_")));
        let labels = metric.unwrap_or_else(|| panic!("`{name}` is in no table")).labels;
        let suffixes: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        names.extend(suffixes.iter().map(|suffix| (format!("{name}{suffix}"), labels)));
    }
    names
}

fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

/// What else may stand in an expression: PromQL, and the one metric that Prometheus makes itself.
const PROMQL: [&str; 17] = [
    "sum",
    "max",
    "min",
    "by",
    "on",
    "and",
    "or",
    "unless",
    "offset",
    "rate",
    "increase",
    "changes",
    "last_over_time",
    "min_over_time",
    "histogram_quantile",
    "up",
    "bool",
];

/// The names that an expression asks for: no labels, no ranges, nothing quoted, no numbers.
fn bare(expression: &str) -> Vec<String> {
    let mut text = expression.split('"').step_by(2).collect::<Vec<_>>().join(" ");
    for (open, close) in [("{", '}'), ("[", ']'), ("by (", ')'), ("on (", ')')] {
        while let Some((before, rest)) = text.split_once(open) {
            text = format!("{before} {}", rest.split_once(close).unwrap().1);
        }
    }
    let words = text.split(|character| !is_word(character));
    words.filter(|word| word.starts_with(|c: char| !c.is_ascii_digit())).map(str::to_owned).collect()
}

/// The words of an expression, without what is quoted.
fn words(expression: &str) -> BTreeSet<&str> {
    let bare = expression.split('"').step_by(2);
    bare.flat_map(|part| part.split(|character| !is_word(character))).filter(|word| !word.is_empty()).collect()
}

/// What stands between these brackets, each time.
fn between<'a>(text: &'a str, open: &'a str, close: char) -> impl Iterator<Item = &'a str> {
    text.split(open).skip(1).filter_map(move |rest| Some(rest.split_once(close)?.0))
}

/// Whether the expression names metrics that are scraped, and labels that these have.
fn check(place: &str, expression: &str, names: &BTreeMap<String, &[&str]>) -> Result<BTreeSet<String>, String> {
    let ours = |word: &&str| word.starts_with("gatepass_") || word.starts_with("http_");
    let metrics: BTreeSet<String> = words(expression).into_iter().filter(ours).map(str::to_owned).collect();
    if metrics.is_empty() {
        return Err(format!("{place}: no metric in `{expression}`"));
    }
    if let Some(unknown) =
        bare(expression).iter().find(|name| !names.contains_key(*name) && !PROMQL.contains(&name.as_str()))
    {
        return Err(format!("{place}: `{unknown}` is neither a metric of a gateway nor PromQL"));
    }
    let mut labels: BTreeSet<&str> = EVERYWHERE.into();
    for metric in &metrics {
        labels.extend(*names.get(metric).ok_or_else(|| format!("{place}: no gateway has `{metric}`"))?);
    }
    let selected = between(expression, "{", '}').flat_map(|inside| inside.split(','));
    let selected = selected.filter_map(|pair| pair.split(['=', '!']).next());
    let grouped = ["by (", "on (", "by(", "on("].into_iter().flat_map(|open| between(expression, open, ')'));
    for label in selected.chain(grouped.flat_map(|inside| inside.split(','))).map(str::trim) {
        if !labels.contains(label) {
            return Err(format!("{place}: `{label}` is no label of {metrics:?}"));
        }
    }
    Ok(metrics)
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no {pointer} in {value}"))
}

#[test]
fn every_panel_of_the_dashboard_shows_what_a_gateway_says() {
    let names = scraped();
    let dashboard: Value = serde_json::from_str(&read("grafana-dashboard.json")).unwrap();
    let mut shown = BTreeSet::new();
    let panels = dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row");
    for panel in panels {
        let title = text(panel, "/title");
        assert!(!text(panel, "/description").is_empty() && !text(panel, "/fieldConfig/defaults/unit").is_empty());
        for target in panel["targets"].as_array().unwrap() {
            shown.extend(check(title, text(target, "/expr"), &names).unwrap());
        }
    }
    check("annotation", text(&dashboard, "/annotations/list/0/expr"), &names).unwrap();
    let family = |name: &str| name.trim_end_matches("_bucket").to_owned();
    let shown: BTreeSet<String> = shown.iter().map(|name| family(name)).collect();
    let all = names.keys().filter(|name| !name.ends_with("_sum") && !name.ends_with("_count"));
    let missing: Vec<String> = all.map(|name| family(name)).filter(|name| !shown.contains(name)).collect();
    assert!(missing.is_empty(), "no panel shows {missing:?}");
}

/// What a link says to get to a heading.
fn anchor(line: &str) -> Option<String> {
    let heading = line.strip_prefix("##")?.trim_start_matches('#').trim().to_lowercase();
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || [' ', '-'].contains(c));
    Some(kept.map(|c| if c == ' ' { '-' } else { c }).collect())
}

#[test]
fn every_alert_asks_for_what_a_gateway_says_and_tells_what_to_do() {
    let names = scraped();
    let rules: Value = serde_saphyr::from_str(&read("prometheus-rules.yaml")).unwrap();
    let rules = rules.pointer("/groups/0/rules").and_then(Value::as_array).unwrap();
    assert!(rules.len() >= 8);
    let documentation = read("../docs/operations.md");
    let sections: BTreeSet<String> = documentation.lines().filter_map(anchor).collect();
    for rule in rules {
        let name = text(rule, "/alert");
        check(name, text(rule, "/expr"), &names).unwrap();
        assert!(["page", "ticket"].contains(&text(rule, "/labels/severity")), "{name}");
        assert!(!text(rule, "/annotations/summary").is_empty() && !text(rule, "/annotations/description").is_empty());
        let section = text(rule, "/annotations/runbook").strip_prefix("docs/operations.md#").unwrap();
        assert!(sections.contains(section), "{name}: docs/operations.md has no section `{section}`");
    }
}

#[test]
fn a_metric_or_a_label_that_no_gateway_has_is_found() {
    let names = scraped();
    for wrong in [
        "rate(gatepass_decision_total[5m])",
        "rate(gatepass_decisions_total{host=\"x\"}[5m])",
        "sum by (sink) (rate(gatepass_decisions_total[5m]))",
        "gatepass_evidence_behind and on (reason) gatepass_evidence_behind",
        "up == 0",
        "gatpass_evidence_spool_usage_bytes / gatepass_evidence_spool_limit_bytes",
        "upp == 0 and on (job) gatepass_tunnels_active",
        "sum without (job) (gatepass_tunnels_active)",
    ] {
        assert!(check("here", wrong, &names).is_err(), "{wrong}");
    }
}
