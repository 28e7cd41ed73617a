//! What a collector is told of requests, and a collector that does not do its part.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use gatepass_tests::collector::{Collector, Otlp, Place};
use gatepass_tests::{Bundle, Gateway, Origin, Setup, eventually};

fn gateway(endpoint: &str) -> (Gateway, Origin) {
    let section = format!("telemetry: {{otlp: {{endpoint: \"{endpoint}\"}}, metrics: 1s, traces: {{sample: 100%}}}}");
    let setup = Setup::new().section(&section);
    setup.resolver.answer("allowed.test", &["127.0.0.1"]);
    let origin = Origin::http();
    // Whether TLS is spoken is asked about, so that the client's first bytes are waited for.
    let rule = "  - id: names-agree\n    action: deny\n    purpose: a test\n    lifted_by: []\n    when: tls.present && tls.sni != destination.host\n";
    (setup.start(&Bundle::new().guardrail(rule).allow("web", "allowed.test", &[origin.port()])), origin)
}

/// Lines of the log about the export of metrics and spans.
fn told(gateway: &Gateway) -> Vec<String> {
    gateway.log().lines().filter(|line| line.starts_with("gatepass: telemetry: ")).map(str::to_owned).collect()
}

#[test]
fn the_span_of_an_admitted_request_names_its_decision_and_the_wait_for_the_client_is_part_of_it() {
    let place = Place::find();
    let collector = Collector::of_telemetry(&place);
    let (gateway, origin) = gateway(&place.endpoint(Otlp::Grpc));
    let admitted = gateway.client().connect(&format!("allowed.test:{}", origin.port())).id();
    let record = gateway.decision(&admitted);
    assert_eq!(record["outcome"], "admitted", "{record}");
    let refused = gateway.client().connect("denied.test:443").id();
    for id in [&admitted, &refused] {
        let name = format!("gatepass.decision.id: Str({id})");
        eventually(&format!("a span has {name}"), || collector.told().contains(&name).then_some(()));
    }
    let told = collector.told();
    let named_tls = |span: &&str| span.lines().any(|line| line.contains("Name") && line.trim_end().ends_with(": tls"));
    let wait = told.split("Span #").find(named_tls).unwrap_or_else(|| panic!("no span of the wait in {told}"));
    assert!(wait.contains(record["trace"]["id"].as_str().unwrap()), "{wait}");
    assert!(wait.contains(record["trace"]["span"].as_str().unwrap()), "the SERVER span is above it: {wait}");
}

#[test]
fn the_log_says_once_that_the_collector_is_away_and_once_that_it_is_back() {
    let place = Place::find();
    let (gateway, _origin) = gateway(&place.endpoint(Otlp::Grpc));
    let of_metrics = |gateway: &Gateway| -> Vec<String> {
        told(gateway).into_iter().filter(|line| line.contains(" metrics")).collect()
    };
    eventually("the outage is told of", || (of_metrics(&gateway).len() == 1).then_some(()));
    assert!(of_metrics(&gateway)[0].contains("does not take metrics, they are lost: "), "{:?}", of_metrics(&gateway));
    let _collector = Collector::of_telemetry(&place);
    eventually("its end is told of", || (of_metrics(&gateway).len() == 2).then_some(()));
    assert!(of_metrics(&gateway)[1].ends_with("the collector takes metrics again"), "{:?}", of_metrics(&gateway));
}

#[test]
fn a_collector_that_takes_connections_and_never_answers_holds_up_neither_requests_nor_the_end() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let (mut gateway, origin) = gateway(&format!("http://{}", silent.local_addr().unwrap()));
    // Until an export hangs in it, which the end then finds under way.
    let _held = silent.accept().unwrap();
    for _ in 0..50 {
        assert_eq!(gateway.client().connect(&format!("allowed.test:{}", origin.port())).status, 200);
    }
    gateway.decided(50);
    let started = Instant::now();
    gateway.signal("TERM");
    assert_eq!(gateway.wait(), 0);
    // The SDK would wait for five seconds, and an export that hangs takes ten.
    assert!(started.elapsed() < Duration::from_millis(4_500), "{:?}", started.elapsed());
}
