//! After the 200: the ClientHello decides, and until then not one byte of the client reaches the origin.

use std::time::{Duration, Instant};

use gatepass_tests::bundle::in_hours;
use gatepass_tests::{Bundle, Client, Gateway, Origin, Setup, eventually};
use serde_json::Value;

use crate::hellos::{ACCESS_DENIED, Sni, UNRECOGNIZED_NAME, alert, hello};

struct World {
    origin: Origin,
    gateway: Gateway,
}

/// `allowed.test` behind the agreement guardrail, with a short wait for the ClientHello.
fn world() -> World {
    let setup = Setup::new().section("limits: {client_hello_timeout: 300ms}");
    let origin = Origin::echo();
    setup.resolver.answer("allowed.test", &["127.0.0.1"]);
    let gateway = setup.start(&Bundle::new().agreement().allow("web", "allowed.test", &[origin.port()]));
    World { origin, gateway }
}

impl World {
    fn open(&self) -> (Client, String) {
        let mut client = self.gateway.client();
        let reply = client.connect(&format!("allowed.test:{}", self.origin.port()));
        assert_eq!(reply.status, 200, "{}", reply.head);
        let id = reply.id();
        (client, id)
    }

    /// Everything the client hears after these bytes, and the record. The origin must have got nothing.
    fn refused_after(&self, bytes: &[u8]) -> (Option<u8>, Value) {
        let (mut client, id) = self.open();
        client.say(bytes);
        let heard = alert(&client.rest());
        let record = self.gateway.decision(&id);
        assert_eq!((&record["effect"], &record["outcome"]), (&"deny".into(), &"refused".into()), "{record}");
        assert_eq!(record["stage"], if record["tls"].is_null() { "resolved" } else { "tls" }, "{record}");
        assert_eq!(self.origin.bytes(), b"", "no byte of the client's reached the origin");
        (heard, record)
    }
}

#[test]
fn a_server_name_that_is_not_the_host_gets_an_alert_and_the_origin_nothing() {
    let world = world();
    let (heard, record) = world.refused_after(&hello(&world.gateway.setup, "evil.test", Sni::Sent));
    assert_eq!(heard, Some(UNRECOGNIZED_NAME));
    assert_eq!(record["reason"]["code"], "guardrail");
    assert_eq!(record["rule"]["path"], "guard/names-agree");
    assert_eq!(record["tls"]["sni"], "evil.test");
}

#[test]
fn a_missing_server_name_gets_an_alert_and_the_origin_nothing() {
    let world = world();
    let (heard, record) = world.refused_after(&hello(&world.gateway.setup, "allowed.test", Sni::Absent));
    assert_eq!(heard, Some(ACCESS_DENIED));
    assert_eq!(record["reason"]["code"], "guardrail");
    assert_eq!(record["rule"]["path"], "guard/names-agree");
    assert_eq!(record["tls"]["present"], true);
    assert!(record["tls"]["sni"].is_null(), "{record}");
}

#[test]
fn what_is_not_tls_is_closed_without_a_word_and_the_origin_gets_nothing() {
    let world = world();
    for first in [&b"SSH-2.0-OpenSSH_9.6\r\n"[..], b"GET / HTTP/1.1\r\nHost: allowed.test\r\n\r\n", b"\x05\x01\x00"] {
        let (heard, record) = world.refused_after(first);
        assert_eq!(heard, None, "plain close");
        assert_eq!(record["reason"]["code"], "guardrail");
        assert_eq!(record["rule"]["path"], "guard/only-tls-in-tunnels");
        assert_eq!(record["tls"]["present"], false);
    }
}

#[test]
fn silence_ends_in_time_and_the_origin_gets_nothing() {
    let world = world();
    let started = Instant::now();
    let (heard, record) = world.refused_after(b"");
    assert!(started.elapsed() >= Duration::from_millis(300));
    assert_eq!((heard, &record["reason"]["code"]), (None, &"hello_timeout".into()));
}

#[test]
fn half_a_hello_ends_in_time_and_the_origin_gets_nothing() {
    let world = world();
    let whole = hello(&world.gateway.setup, "allowed.test", Sni::Sent);
    let (heard, record) = world.refused_after(&whole[..whole.len() - 1]);
    assert_eq!((heard, &record["reason"]["code"]), (Some(ACCESS_DENIED), &"hello_timeout".into()));
}

#[test]
fn a_client_that_leaves_inside_its_hello_leaves_a_record_and_the_origin_gets_nothing() {
    let world = world();
    let (mut client, id) = world.open();
    client.say(&hello(&world.gateway.setup, "allowed.test", Sni::Sent)[..40]);
    drop(client);
    assert_eq!(world.gateway.decision(&id)["reason"]["code"], "hello_invalid");
    assert_eq!(world.origin.bytes(), b"");
}

#[test]
fn a_hello_in_single_bytes_arrives_byte_for_byte() {
    let world = world_with_patience();
    let (mut client, id) = world.open();
    let whole = hello(&world.gateway.setup, "allowed.test", Sni::Sent);
    for byte in &whole {
        client.say([*byte]);
    }
    client.say(b"and what follows");
    let sent = [&whole[..], b"and what follows"].concat();
    assert_eq!(client.take(sent.len()), sent, "the origin gives back what it got");
    assert_eq!(world.origin.bytes(), sent);
    assert_eq!(world.gateway.decision(&id)["outcome"], "admitted");
}

#[test]
fn bytes_sent_together_with_the_connect_are_held_and_arrive_in_order() {
    let world = world_with_patience();
    let authority = format!("allowed.test:{}", world.origin.port());
    let mut client = world.gateway.client();
    let whole = hello(&world.gateway.setup, "allowed.test", Sni::Sent);
    let head = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    client.say([head.as_bytes(), &whole, b"more"].concat());
    let reply = client.reply().unwrap();
    assert_eq!(reply.status, 200);
    let sent = [&whole[..], b"more"].concat();
    assert_eq!(client.take(sent.len()), sent);
    client.finish();
    let close = world.gateway.close(&reply.id());
    assert_eq!(close["bytes_sent"], sent.len());
}

#[test]
fn early_bytes_with_the_wrong_name_reach_nobody() {
    let world = world_with_patience();
    let authority = format!("allowed.test:{}", world.origin.port());
    let mut client = world.gateway.client();
    let head = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    client.say([head.as_bytes(), &hello(&world.gateway.setup, "evil.test", Sni::Sent)].concat());
    let reply = client.reply().unwrap();
    assert_eq!((reply.status, alert(&client.rest())), (200, Some(UNRECOGNIZED_NAME)));
    assert_eq!(world.gateway.decision(&reply.id())["rule"]["path"], "guard/names-agree");
    assert_eq!(world.origin.bytes(), b"");
}

/// The same, with the default wait: nothing in these tests waits for it.
fn world_with_patience() -> World {
    let setup = Setup::new();
    let origin = Origin::echo();
    setup.resolver.answer("allowed.test", &["127.0.0.1"]);
    let gateway = setup.start(&Bundle::new().agreement().allow("web", "allowed.test", &[origin.port()]));
    World { origin, gateway }
}

#[test]
fn a_server_that_speaks_first_is_heard_only_after_the_decision() {
    let setup = Setup::new().section("limits: {client_hello_timeout: 300ms}");
    let origin = Origin::speaks_first(b"220 mail.test ready\r\n");
    setup.resolver.answer("mail.test", &["127.0.0.1"]);
    let bundle = Bundle::new().rule(&format!(
        "  - id: mail\n    action: allow\n    purpose: a test\n    anyone: true\n    destinations: {{hosts: [\"mail.test\"], cidr_sets: [loopback], ports: [{}]}}\n    data_classes: {{at_most: [unclassified]}}\n    expires: \"{}\"\n    when: \"!tls.present\"\n",
        origin.port(),
        in_hours(24)
    ));
    let gateway = setup.start(&bundle);
    let authority = format!("mail.test:{}", origin.port());
    let started = Instant::now();
    let mut client = gateway.client();
    let reply = client.connect(&authority);
    assert_eq!(reply.status, 200);
    assert_eq!(client.take(21), b"220 mail.test ready\r\n");
    assert!(started.elapsed() >= Duration::from_millis(300), "the greeting was held until silence was a fact");
    client.say("EHLO me\r\n");
    eventually("the origin hears the client", || (origin.bytes() == b"EHLO me\r\n").then_some(()));
    let record = gateway.decision(&reply.id());
    assert_eq!((&record["stage"], &record["tls"]["present"]), (&"tls".into(), &false.into()));
    assert_eq!(record["rule"]["path"], "team/mail");

    let mut client = gateway.client();
    let reply = client.connect(&authority);
    client.say(hello(&gateway.setup, "mail.test", Sni::Sent));
    assert_eq!(alert(&client.rest()), Some(ACCESS_DENIED), "and TLS is not what the rule allows");
    // A private address is open only for an allow that holds, or still may: this one no longer does.
    assert_eq!(gateway.decision(&reply.id())["reason"]["code"], "address_floor");
    assert_eq!(origin.bytes(), b"EHLO me\r\n");
}
