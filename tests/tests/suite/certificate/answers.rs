//! Servers that prove what a rule asks for, and the facts in the records.

use gatepass_tests::collector::{Collector, Otlp, Place};
use gatepass_tests::eventually;

use super::*;

#[test]
fn a_server_that_proves_the_host_is_reached_and_the_record_says_what_it_showed() {
    let world = good(PROVED);
    let record = world.fetched();
    assert_eq!(record["stage"], "certificate");
    assert_eq!(record["rule"]["path"], "team/api");
    let upstream = &record["upstream"];
    assert_eq!(upstream["verified"], true, "{record}");
    assert_eq!(upstream["dns_sans"], serde_json::json!([HOST]));
    assert_eq!(upstream["issuer"], "CN=test authority");
    assert_eq!(upstream["tls_version"], "1.3");
    assert_eq!(upstream["spki_sha256"].as_str().map(str::len), Some(64));
    assert!(upstream["not_after"].as_str().is_some_and(|end| end.ends_with('Z')) && upstream["fault"].is_null());
    assert!(record["timings"]["probe_us"].as_u64().is_some_and(|took| took > 0), "{record}");
    // One connection for the client, one of the gateway's own.
    assert_eq!(world.origin.connections(), 2);
    // The spool has the same, and so has what is sent from it.
    let exported = world.gateway.exported();
    let same = exported.iter().find(|other| other["id"] == record["id"]).unwrap();
    assert_eq!(same["upstream"], *upstream);
}

#[test]
fn a_pin_an_issuer_and_the_names_can_be_asked_for() {
    let setup = Setup::new();
    let own = leaf(&setup.ca, HOST, hour());
    let pin = pin_of(&own);
    let origin = Origin::presenting(http_server(&own));
    let mut bundle = None;
    let world = world_of(setup, "probe_cache_age: 0s", origin, |origin| {
        let asked = format!(
            "upstream.spki_sha256 == \"{pin}\" && upstream.issuer == \"CN=test authority\" && \"{HOST}\" in upstream.dns_sans && upstream.tls_version == \"1.3\" && upstream.not_after > now"
        );
        bundle = Some(allowing(origin, "upstream.spki_sha256 == \"00\""));
        allowing(origin, &asked)
    });
    assert_eq!(world.fetched()["upstream"]["spki_sha256"], *pin);
    crate::live::edit(&world.gateway, &bundle.unwrap());
    assert_eq!(world.refused()["upstream"]["spki_sha256"], *pin, "verified, and another key");
}

/// SHA-256 of the public key, found without the code under test: rcgen knows it.
fn pin_of(own: &Issued) -> String {
    use sha2::{Digest, Sha256};
    let key = public_key(own);
    Sha256::digest(&key).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_server_that_was_reached_stays_so_while_its_certificate_is_what_rules_ask_for() {
    let world = good(PROVED);
    let (client, id) = world.open();
    let mut client = client.secure(HOST, &trusting(&world.gateway.setup.ca)).unwrap();
    let other = "upstream.issuer == \"CN=test authority\" && upstream.verified";
    crate::live::edit(&world.gateway, &allowing(&world.origin, other));
    assert_eq!(client.get(HOST).status, 200, "decided again on what was proved then");
    crate::live::edit(&world.gateway, &allowing(&world.origin, "upstream.issuer == \"CN=another\""));
    let close = world.gateway.close(&id);
    assert_eq!((&close["ending"], &close["cut_by"]), (&"policy_changed".into(), &"team/api".into()), "{close}");
}

#[test]
fn the_fingerprint_of_the_client_decides_and_is_in_the_record_only_where_a_rule_asks() {
    let world = good("tls.present");
    let record = world.fetched();
    assert!(record["tls"]["ja4"].is_null() && record["upstream"].is_null(), "{record}");
    crate::live::edit(&world.gateway, &allowing(&world.origin, "tls.ja4.startsWith(\"t13d\")"));
    let record = world.fetched();
    let ja4 = record["tls"]["ja4"].as_str().unwrap();
    assert!(ja4.len() == 36 && record["stage"] == "tls", "{record}");
    crate::live::edit(&world.gateway, &allowing(&world.origin, &format!("tls.ja4 == \"{ja4}\"")));
    assert_eq!(world.fetched()["tls"]["ja4"], *ja4, "the same client has the same one");
    crate::live::edit(&world.gateway, &allowing(&world.origin, "tls.ja4 == \"t13d1516h2_8daaf6152771_e5627efa2ab1\""));
    let (mut client, id) = world.open();
    client.say(hello(&world.gateway.setup, HOST, Sni::Sent));
    assert_eq!(alert(&client.rest()), Some(ACCESS_DENIED));
    assert_eq!(world.gateway.decision(&id)["tls"]["ja4"], *ja4);
}

#[test]
fn the_probe_is_a_part_of_the_span_of_its_request() {
    let place = Place::find();
    let collector = Collector::of_telemetry(&place);
    let endpoint = place.endpoint(Otlp::Grpc);
    let section = format!("telemetry: {{otlp: {{endpoint: \"{endpoint}\"}}, metrics: 1s, traces: {{sample: 100%}}}}");
    let setup = Setup::new().section(&section);
    let origin = Origin::presenting(http_server(&leaf(&setup.ca, HOST, hour())));
    let world = world_of(setup, "", origin, |origin| allowing(origin, PROVED));
    let record = world.fetched();
    let named = |span: &&str| span.lines().any(|line| line.contains("Name") && line.trim_end().ends_with(": probe"));
    let span = eventually("a span of the probe is exported", || {
        collector.told().split("Span #").find(named).map(str::to_owned)
    });
    assert!(span.contains(record["trace"]["id"].as_str().unwrap()), "{span}");
    assert!(span.contains(record["trace"]["span"].as_str().unwrap()), "the SERVER span is above it: {span}");
}
