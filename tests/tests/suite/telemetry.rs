//! The gateway's own metrics and traces at a real collector; without one, nothing is missed. No client makes a series.

use std::collections::BTreeSet;

use gatepass_tests::collector::{Collector, Otlp, Place};
use gatepass_tests::{Bundle, Client, Gateway, Origin, Setup, eventually};

fn gateway(place: &Place, traces: &str) -> (Gateway, Origin) {
    let endpoint = place.endpoint(Otlp::Grpc);
    let setup = Setup::new()
        .section(&format!("telemetry: {{otlp: {{endpoint: \"{endpoint}\"}}, metrics: 1s, traces: {traces}}}"));
    setup.resolver.answer("allowed.test", &["127.0.0.1"]);
    let origin = Origin::http();
    (setup.start(&Bundle::new().allow("web", "allowed.test", &[origin.port()])), origin)
}

#[test]
fn spans_and_metrics_arrive_and_the_record_names_its_span() {
    let place = Place::find();
    let collector = Collector::of_telemetry(&place);
    let (gateway, origin) = gateway(&place, "{sample: 100%}");
    let reply = gateway.client().connect(&format!("allowed.test:{}", origin.port()));
    let denied = gateway.client().connect("denied.test:443").id();
    let record = gateway.decision(&reply.id());
    let trace = record["trace"]["id"].as_str().unwrap().to_owned();
    assert_eq!((trace.len(), record["trace"]["span"].as_str().unwrap().len()), (32, 16));
    assert_ne!(gateway.decision(&denied)["trace"]["id"], trace.as_str(), "a trace of its own");
    let told = eventually("spans and metrics arrive", || {
        let told = collector.told();
        let all =
            [trace.as_str(), "CONNECT", "decide", "dns", "connect", "gatepass.decisions", "gatepass.evidence.records"];
        all.iter().all(|name| told.contains(name)).then_some(told)
    });
    assert!(told.contains("gatepass.decision.duration") && told.contains("no_rule"), "{told}");
}

#[test]
fn a_trace_of_the_client_s_is_continued_only_where_that_is_configured_and_never_goes_on() {
    let parent = "0af7651916cd43dd8448eb211c80319c";
    let field = format!("traceparent: 00-{parent}-b7ad6b7169203331-01\r\n");
    for (traces, continued) in [("{parent: follow}", true), ("{parent: ignore}", false)] {
        let (gateway, origin) = gateway(&Place::find(), traces);
        let url = format!("http://allowed.test:{}/", origin.port());
        let reply = gateway.client().fetch(&url, &field).unwrap();
        assert_eq!(reply.status, 200);
        let record = gateway.decided(1).remove(0);
        let followed = record["trace"]["id"] == parent;
        assert_eq!(followed, continued, "{record}");
        assert!(continued || record.get("trace").is_none(), "nothing is traced: {record}");
        assert!(!origin.requests().iter().any(|head| head.to_lowercase().contains("traceparent")), "it stays here");
        let without = gateway.client().fetch(&url, "").unwrap();
        assert_eq!(without.status, 200);
        assert!(gateway.decided(2)[1].get("trace").is_none());
    }
}

#[test]
fn a_collector_that_is_not_there_is_not_waited_for() {
    let (mut gateway, origin) = gateway(&Place::find(), "{sample: 100%}");
    for _ in 0..20 {
        assert_eq!(gateway.client().connect(&format!("allowed.test:{}", origin.port())).status, 200);
    }
    gateway.signal("TERM");
    assert_eq!(gateway.wait(), 0);
}

fn metrics(gateway: &Gateway) -> String {
    let address = gateway.address("admin");
    let mut client = Client::plain(address);
    client.say(format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n"));
    client.reply().unwrap().body
}

/// What a scrape shows, without the numbers.
fn series(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
}

#[test]
fn nothing_that_a_client_chooses_becomes_a_series() {
    let setup = Setup::new();
    setup.resolver.answer("allowed.test", &["127.0.0.1"]);
    let origin = Origin::http();
    let gateway = setup.start(&Bundle::new().allow("web", "allowed.test", &[origin.port()]));
    let before = series(&metrics(&gateway));
    for number in 0..60 {
        let host = format!("h{number}.random.test");
        assert_eq!(gateway.client().connect(&format!("{host}:443")).status, 403);
        let url = format!("http://allowed.test:{}/{host}?{host}", origin.port());
        let told = format!("User-Agent: {host}\r\ntraceparent: 00-{number:032x}-00000000000000aa-01\r\n");
        assert_eq!(gateway.client().fetch(&url, &told).unwrap().status, 200);
        let mut client = gateway.client();
        client.say(format!("M{number} http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(client.reply().unwrap().status, 403);
    }
    gateway.decided(180);
    let after = metrics(&gateway);
    let counted =
        after.lines().find(|line| line.contains("outcome=\"admitted\",reason=\"allowed\",mode=\"normal\"")).unwrap();
    assert!(counted.ends_with(" 60"), "it counts: {counted}");
    assert_eq!(series(&after), before);
    assert!(!after.contains("random.test"), "{after}");
}
