//! Servers that do not prove it, in every way there is.

use jiff::{SignedDuration, Timestamp};
use std::time::{Duration, Instant};

use super::*;

/// Why a denial denies here where no allow is left: loopback, where every origin of a test is, opens for an allow alone.
const NO_ALLOW: &str = "address_floor";

#[test]
fn a_server_that_nobody_trusted_vouches_for_is_refused() {
    let stranger = Ca::root("another", hour()).unwrap();
    let record = world(|_| leaf(&stranger, HOST, hour()), PROVED).refused();
    assert_eq!(fault(&record), (&false.into(), "no authority that the gateway trusts vouches for the certificate"));
    // What it showed is told all the same.
    assert_eq!(record["upstream"]["dns_sans"], serde_json::json!([HOST]));
    assert_eq!(record["upstream"]["issuer"], "CN=another");
    assert_eq!(record["reason"]["code"], NO_ALLOW, "{record}");
    // Who bears the name of somebody trusted is not trusted for that.
    let namesake = Ca::root("test authority", hour()).unwrap();
    let record = world(|_| leaf(&namesake, HOST, hour()), PROVED).refused();
    assert_eq!(fault(&record), (&false.into(), "the chain of certificates is not valid"));
    assert_eq!(record["upstream"]["issuer"], "CN=test authority");
}

#[test]
fn a_self_signed_server_is_refused() {
    let origin = Origin::presenting(self_signed(HOST));
    let world = world_of(Setup::new(), "", origin, |origin| allowing(origin, PROVED));
    let record = world.refused();
    assert_eq!(fault(&record), (&false.into(), "no authority that the gateway trusts vouches for the certificate"));
}

#[test]
fn a_server_of_another_name_is_refused() {
    let record = world(|ca| leaf(ca, "other.test", hour()), PROVED).refused();
    assert_eq!(fault(&record), (&false.into(), "the certificate is not for this host"));
    assert_eq!(record["upstream"]["dns_sans"], serde_json::json!(["other.test"]));
}

#[test]
fn a_server_whose_certificate_has_expired_is_refused() {
    let now = Timestamp::now();
    let hours = SignedDuration::from_hours;
    let past = Validity { not_before: now - hours(2), not_after: now - hours(1) };
    let record = world(|ca| leaf(ca, HOST, past), PROVED).refused();
    assert_eq!(fault(&record), (&false.into(), "the certificate has expired"));
}

#[test]
fn a_guardrail_against_servers_without_proof_holds_whatever_an_allow_says() {
    let guardrail = "  - id: proof\n    action: deny\n    purpose: servers prove their names\n    lifted_by: []\n    when: \"!upstream.verified\"\n";
    let setup = Setup::new();
    let stranger = Ca::root("another", hour()).unwrap();
    let origin = Origin::presenting(http_server(&leaf(&stranger, HOST, hour())));
    let world =
        world_of(setup, "", origin, |origin| Bundle::new().allow("web", HOST, &[origin.port()]).guardrail(guardrail));
    let record = world.refused();
    assert_eq!((&record["reason"]["code"], &record["rule"]["path"]), (&"guardrail".into(), &"guard/proof".into()));
}

#[test]
fn a_server_that_speaks_no_tls_proves_nothing_and_a_guardrail_about_its_certificate_errs() {
    let guardrail = "  - id: issuer\n    action: deny\n    purpose: not by them\n    lifted_by: []\n    when: \"upstream.issuer == 'CN=bad'\"\n";
    let world = world_of(Setup::new(), "", Origin::speaks_first(b"220 mail.test ESMTP\r\n"), |origin| {
        Bundle::new().allow("web", HOST, &[origin.port()]).guardrail(guardrail)
    });
    let record = world.refused();
    assert_eq!((&record["reason"]["code"], &record["rule"]["path"]), (&"rule_error".into(), &"guard/issuer".into()));
    assert_eq!(fault(&record), (&false.into(), "the server does not speak TLS"));
    assert!(record["upstream"]["issuer"].is_null() && record["upstream"]["dns_sans"].is_null(), "{record}");
}

#[test]
fn a_server_that_hangs_is_waited_for_no_longer_than_the_limit() {
    let world =
        world_of(Setup::new(), "probe_timeout: 300ms", Origin::speaks_first(b""), |origin| allowing(origin, PROVED));
    let began = Instant::now();
    let record = world.refused();
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
    assert_eq!(fault(&record), (&false.into(), "the server's handshake took too long"));
    assert_eq!(record["reason"]["code"], NO_ALLOW);
    let took = record["timings"]["probe_us"].as_u64().unwrap();
    assert!((300_000..3_000_000).contains(&took), "{took}");
}

#[test]
fn a_probe_that_is_under_way_when_the_drain_ends_is_given_up_and_recorded() {
    let limits = "probe_timeout: 30s, drain_timeout: 100ms";
    let mut world = world_of(Setup::new(), limits, Origin::speaks_first(b""), |origin| allowing(origin, PROVED));
    let (mut client, _) = world.open();
    client.say(hello(&world.gateway.setup, HOST, Sni::Sent));
    let origin = world.origin.clone();
    gatepass_tests::eventually("the server is being probed", || (origin.connections() == 2).then_some(()));
    world.gateway.signal("TERM");
    assert_eq!(world.gateway.wait(), 0);
    let record = &world.gateway.decided(1)[0];
    assert_eq!((&record["outcome"], &record["reason"]["code"]), (&"refused".into(), &"draining".into()), "{record}");
    assert_eq!(record["stage"], "tls", "{record}");
}

#[test]
fn a_hello_that_no_rule_allows_is_refused_before_any_probe() {
    let world = good(PROVED);
    let (mut client, id) = world.open();
    client.say(hello(&world.gateway.setup, "other.test", Sni::Sent));
    assert!(alert(&client.rest()).is_some());
    let record = world.gateway.decision(&id);
    assert_eq!((&record["stage"], record["upstream"].is_null()), (&"tls".into(), true), "{record}");
    assert_eq!(world.origin.connections(), 1, "dialled, and never probed");
}

#[test]
fn what_has_no_tls_has_no_certificate_and_is_allowed_by_no_rule_that_wants_one() {
    let world = world_of(Setup::new(), "", Origin::http(), |origin| allowing(origin, "upstream.verified"));
    let url = format!("http://{HOST}:{}/", world.origin.port());
    let reply = world.gateway.client().fetch(&url, "").unwrap();
    assert_eq!(reply.status, 403, "{}", reply.head);
    let record = world.gateway.decision(&reply.id());
    assert_eq!((&record["reason"]["code"], &record["stage"]), (&"no_rule".into(), &"request".into()), "{record}");
    assert_eq!(world.origin.connections(), 0);
    // A tunnel of something else ends the same way, without a probe.
    let (mut client, id) = world.open();
    client.say("SSH-2.0-test\r\n");
    assert_eq!(client.rest(), b"");
    let record = world.gateway.decision(&id);
    assert_eq!((&record["reason"]["code"], &record["stage"]), (&NO_ALLOW.into(), &"tls".into()), "{record}");
    assert_eq!((world.origin.connections(), world.origin.bytes()), (1, Vec::new()));
}

#[test]
fn a_guardrail_about_certificates_says_nothing_about_what_can_have_none() {
    let guardrail = "  - id: proof\n    action: deny\n    purpose: servers prove their names\n    lifted_by: []\n    when: \"!upstream.verified\"\n";
    let world = world_of(Setup::new(), "", Origin::http(), |origin| {
        Bundle::new().allow("web", HOST, &[origin.port()]).guardrail(guardrail)
    });
    let url = format!("http://{HOST}:{}/", world.origin.port());
    assert_eq!(world.gateway.client().fetch(&url, "").unwrap().status, 200);
}

#[test]
fn a_file_of_authorities_that_cannot_be_used_keeps_the_gateway_from_starting() {
    let setup = Setup::new().section("probe: {ca: roots.pem}");
    setup.scratch.write("roots.pem", "no certificate\n");
    setup.bundle(&Bundle::new().allow("web", HOST, &[443]));
    let config = setup.configure();
    let output = std::process::Command::new(gatepass_tests::gateway::binary())
        .args(["serve", "--check-only", "--config"])
        .arg(&config)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("`probe.ca` cannot be used") && said.contains("gatepass.yaml:"), "{said}");
}
