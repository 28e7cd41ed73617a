//! Probes are made where a rule asks, and no more of them than that takes.

use std::sync::Barrier;

use super::*;

#[test]
fn no_probe_is_made_where_no_rule_asks() {
    let world = good("tls.sni == destination.host");
    let record = world.fetched();
    assert_eq!((&record["stage"], record["upstream"].is_null()), (&"tls".into(), true), "{record}");
    assert_eq!(world.origin.connections(), 1);
}

#[test]
fn a_proof_is_remembered_until_it_is_too_old_and_only_a_good_one() {
    let world = good(PROVED);
    world.fetched();
    assert_eq!(world.fetched()["upstream"]["verified"], true);
    assert_eq!(world.origin.connections(), 3, "two tunnels, one probe");
    let forgetful = world_of(
        Setup::new(),
        "probe_cache_age: 0s",
        Origin::presenting(http_server(&leaf(&world.gateway.setup.ca, HOST, hour()))),
        |origin| allowing(origin, PROVED),
    );
    // Another authority's: never good here, and so never remembered.
    forgetful.refused();
    forgetful.refused();
    assert_eq!(forgetful.origin.connections(), 4);
}

#[test]
fn without_an_age_every_tunnel_is_probed_for() {
    let setup = Setup::new();
    let origin = Origin::presenting(http_server(&leaf(&setup.ca, HOST, hour())));
    let world = world_of(setup, "probe_cache_age: 0s", origin, |origin| allowing(origin, PROVED));
    world.fetched();
    world.fetched();
    assert_eq!(world.origin.connections(), 4);
}

#[test]
fn other_authorities_end_what_was_proved_under_those_before() {
    let world = good(PROVED);
    world.fetched();
    let other = Ca::root("another", hour()).unwrap();
    world.gateway.setup.scratch.write("roots.pem", other.pem());
    world.gateway.signal("HUP");
    gatepass_tests::eventually("the other authorities are trusted", || {
        world.gateway.log().contains("probe: other authorities are trusted").then_some(())
    });
    world.refused();
    // What cannot be used changes nothing.
    world.gateway.setup.scratch.write("roots.pem", "no certificate\n");
    world.gateway.signal("HUP");
    gatepass_tests::eventually("the same authorities are trusted", || {
        world.gateway.log().contains("the same authorities are trusted as before").then_some(())
    });
    world.refused();
}

#[test]
fn those_who_ask_at_the_same_time_share_one_probe_and_it_is_counted() {
    const MANY: usize = 8;
    let setup = Setup::new();
    // It hangs, so that all of them ask before there is an answer.
    let world = world_of(setup, "probe_timeout: 1s", Origin::speaks_first(b""), |origin| allowing(origin, PROVED));
    let barrier = Barrier::new(MANY);
    std::thread::scope(|scope| {
        for _ in 0..MANY {
            scope.spawn(|| {
                barrier.wait();
                let record = world.refused();
                assert_eq!(record["upstream"]["fault"], "the server's handshake took too long");
            });
        }
    });
    assert_eq!(world.origin.connections(), MANY + 1);
    let scraped = scrape(&world.gateway);
    assert!(scraped.contains("gatepass_probes_total{result=\"timeout\"} 1\n"), "{scraped}");
    assert!(scraped.contains("gatepass_probes_total{result=\"verified\"} 0\n"), "{scraped}");
}

fn scrape(gateway: &Gateway) -> String {
    let mut client = Client::plain(gateway.address("admin"));
    let host = gateway.address("admin");
    client.say(format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
    String::from_utf8(client.rest()).unwrap()
}

#[test]
fn a_client_s_own_words_are_not_said_to_the_server_before_the_verdict() {
    let world = world(|ca| leaf(ca, "other.test", hour()), PROVED);
    let mut config = rustls::ClientConfig::clone(&trusting(&world.gateway.setup.ca));
    config.alpn_protocols = vec![b"exfiltrated-secret".to_vec(), b"h2".to_vec(), b"http/1.1".to_vec()];
    let name = HOST.to_owned().try_into().unwrap();
    let mut connection = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut said = Vec::new();
    connection.write_tls(&mut said).unwrap();
    let (mut client, id) = world.open();
    client.say(&said);
    assert_eq!(alert(&client.rest()), Some(ACCESS_DENIED));
    assert_eq!(world.gateway.decision(&id)["tls"]["alpn"][0], "exfiltrated-secret");
    let heard = world.origin.bytes();
    let has = |part: &[u8]| heard.windows(part.len()).any(|bytes| bytes == part);
    assert!(has(HOST.as_bytes()) && has(b"http/1.1"), "the probe says the name and what everybody says");
    assert!(!has(b"exfiltrated"), "and nothing of the client's own");
}
