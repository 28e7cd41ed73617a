//! Evidence at a real collector: what arrives, and what happens while nothing does.

use gatepass_tests::collector::{Collector, Otlp, Place};
use gatepass_tests::{Bundle, Client, Gateway, Origin, Setup};

/// A gateway that sends its records to `place`; an origin that it lets clients reach.
fn gateway(place: &Place, otlp: Otlp, limits: &str) -> (Gateway, Origin) {
    let setup = Setup::new()
        .section(&place.evidence(otlp))
        .section(&format!("limits: {{evidence_retry_first: 20ms, evidence_retry_longest: 200ms{limits}}}"));
    setup.resolver.answer("allowed.test", &["127.0.0.1"]);
    let origin = Origin::echo();
    let gateway = setup.start(&Bundle::new().allow("web", "allowed.test", &[origin.port()]));
    (gateway, origin)
}

fn target(origin: &Origin) -> String {
    format!("allowed.test:{}", origin.port())
}

/// A tunnel with four bytes in each direction; its decision's id.
fn tunnel(gateway: &Gateway, origin: &Origin) -> String {
    let mut client = gateway.client();
    let reply = client.connect(&target(origin));
    assert_eq!(reply.status, 200, "{}", reply.head);
    client.say("ping");
    assert_eq!(client.take(4), b"ping");
    reply.id()
}

fn decisions_and_closes_arrive(otlp: Otlp) {
    let place = Place::find();
    let collector = Collector::start(&place);
    let (gateway, origin) = gateway(&place, otlp, "");
    let denied = gateway.client().connect(&format!("allowed.test:{}", origin.port() ^ 1)).id();
    let allowed = tunnel(&gateway, &origin);
    let has = |record: &str, attribute: &str| assert!(record.contains(attribute), "no `{attribute}` in\n{record}");
    let record = collector.record("gatepass.decision", &denied);
    has(&record, &format!("-> log.record.uid: Str({denied})"));
    has(&record, "-> gatepass.decision.effect: Str(deny)");
    has(&record, "-> gatepass.decision.reason: Str(no_rule)");
    has(&record, "SeverityText: WARN");
    has(&record, "Body: Str(no rule lets anonymous reach allowed.test:");
    has(&record, "-> gatepass.nearest: ");
    has(&record, "team/web");
    has(&record, "destinations.ports");
    let record = collector.record("gatepass.decision", &allowed);
    has(&record, "-> gatepass.decision.effect: Str(allow)");
    has(&record, "-> security_rule.name: Str(team/web)");
    has(&record, "SeverityText: INFO");
    let record = collector.record("gatepass.connection.closed", &allowed);
    has(&record, "Str(client_closed)");
    let uid = record.lines().find(|line| line.contains("log.record.uid")).unwrap();
    assert!(uid.contains(&allowed) && !uid.contains(&format!("Str({allowed})")), "a uid of its own: {uid}");
    // Nothing twice.
    let uids: Vec<String> = collector
        .records()
        .iter()
        .map(|record| record.lines().find(|line| line.contains("log.record.uid")).unwrap().to_owned())
        .collect();
    let distinct: std::collections::BTreeSet<&String> = uids.iter().collect();
    assert_eq!(distinct.len(), uids.len(), "{uids:?}");
}

#[test]
fn decisions_and_closes_arrive_by_grpc() {
    decisions_and_closes_arrive(Otlp::Grpc);
}

#[test]
fn decisions_and_closes_arrive_by_http() {
    decisions_and_closes_arrive(Otlp::Http);
}

#[test]
fn what_was_decided_before_the_collector_came_up_is_delivered() {
    for otlp in [Otlp::Grpc, Otlp::Http] {
        let place = Place::find();
        let (gateway, origin) = gateway(&place, otlp, "");
        let denied = gateway.client().connect("denied.test:443").id();
        let allowed = tunnel(&gateway, &origin);
        gateway.close(&allowed);
        let collector = Collector::start(&place);
        collector.record("gatepass.decision", &denied);
        collector.record("gatepass.decision", &allowed);
        collector.record("gatepass.connection.closed", &allowed);
    }
}

fn ready(gateway: &Gateway) -> u16 {
    let address = gateway.address("admin");
    let mut client = Client::plain(address);
    client.say(format!("GET /ready HTTP/1.1\r\nHost: {address}\r\n\r\n"));
    client.reply().unwrap().status
}

#[test]
fn a_collector_that_stays_away_changes_nothing_for_clients_and_gets_everything_when_it_is_back() {
    let place = Place::find();
    let (mut gateway, origin) = gateway(&place, Otlp::Grpc, "");
    let first = tunnel(&gateway, &origin);
    let ids: Vec<String> = (0..300).map(|_| gateway.client().connect("denied.test:443").id()).collect();
    assert_eq!(ready(&gateway), 200);
    // What a drain cannot deliver is delivered by the next start.
    gateway.signal("TERM");
    assert_eq!(gateway.wait(), 0);
    assert!(gateway.log().contains("are sent on after the next start"), "{}", gateway.log());
    let again = gateway.start_again();
    let collector = Collector::start(&place);
    collector.record("gatepass.connection.closed", &first);
    for id in ids.first().into_iter().chain(ids.last()) {
        collector.record("gatepass.decision", id);
    }
    let told = collector.records();
    assert!(ids.iter().all(|id| told.iter().any(|record| record.contains(id))));
    drop(again);
}
