//! A deny whose review is overdue stays in force, and is told to whoever looks after the gateway.

use gatepass_tests::{Bundle, Client, Gateway, Origin, Setup, eventually};
use serde_json::Value;

use crate::evidence::clock::stepping;

/// What `/ready` says is degraded about reviews.
fn worries(gateway: &Gateway) -> Vec<String> {
    let address = gateway.address("admin");
    let mut client = Client::plain(address);
    client.say(format!("GET /ready HTTP/1.1\r\nHost: {address}\r\n\r\n"));
    let reply = client.reply().unwrap();
    assert_eq!(reply.status, 200, "an overdue review takes nothing out of service: {}", reply.body);
    let ready: Value = serde_json::from_str(&reply.body).unwrap();
    let told = ready["degraded"].as_array().cloned().unwrap_or_default();
    let told = told.iter().map(|line| line.as_str().unwrap().to_owned());
    told.filter(|line| line.contains("review")).collect()
}

#[test]
fn a_deny_past_its_review_denies_on_and_is_told() {
    let (setup, set) = stepping(Setup::new());
    let origin = Origin::echo();
    setup.resolver.answer("shut.test", &["127.0.0.1"]);
    let review = gatepass_tests::bundle::in_hours(1);
    let stop = |id: &str| {
        format!(
            "  - id: {id}\n    action: deny\n    purpose: a test\n    review_by: \"{review}\"\n    destinations: {{hosts: [\"shut.test\"]}}\n"
        )
    };
    let bundle = Bundle::new().allow("shut", "shut.test", &[origin.port()]).rule(&stop("stop")).rule(&stop("also"));
    let gateway = setup.start(&bundle);
    let denied = || {
        let reply = gateway.client().connect(&format!("shut.test:{}", origin.port()));
        let record = gateway.decision(&reply.id());
        assert_eq!((reply.status, &record["rule"]["path"]), (403, &"team/also".into()), "{record}");
    };
    denied();
    assert_eq!(worries(&gateway), [""; 0]);
    set(3_700);
    let told = eventually("it is told", || Some(worries(&gateway)).filter(|told| !told.is_empty()));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("the review of team/also (owner@example.com) is overdue, and of 1 more"), "{told:?}");
    eventually("it is counted", || {
        (crate::live::said(&gateway, "gatepass_rules_reviews_overdue") == "2").then_some(())
    });
    denied();
}
