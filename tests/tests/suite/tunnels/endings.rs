//! How a tunnel ends: each side's way, the bounds, and what the closing record says of it.

use std::time::{Duration, Instant};

use gatepass_tests::{Bundle, Client, Gateway, Origin, Setup, eventually};
use serde_json::Value;

struct World {
    origin: Origin,
    gateway: Gateway,
}

fn world(origin: Origin, limits: &str) -> World {
    let setup = Setup::new().section(&format!("limits: {{{limits}}}"));
    setup.resolver.answer("allowed.test", &["127.0.0.1"]);
    let gateway = setup.start(&Bundle::new().allow("web", "allowed.test", &[origin.port()]));
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

    fn close(&self, id: &str, ending: &str, sent: usize, received: usize) -> Value {
        let close = self.gateway.close(id);
        assert_eq!(close["ending"], ending, "{close}");
        assert_eq!((&close["bytes_sent"], &close["bytes_received"]), (&sent.into(), &received.into()), "{close}");
        close
    }
}

#[test]
fn a_client_that_has_said_all_still_hears_the_rest() {
    let world = world(Origin::echo(), "");
    let (mut client, id) = world.open();
    let question = vec![b'q'; 300_000];
    let socket = client.bytes_of(&question);
    assert_eq!(socket.len(), question.len());
    world.close(&id, "client_closed", question.len(), question.len());
}

#[test]
fn an_origin_that_has_said_all_still_hears_the_rest() {
    let world = world(Origin::canned(b"bye"), "");
    let (mut client, id) = world.open();
    client.say("hello\r\n\r\n");
    assert_eq!(client.rest(), b"bye", "the end of the origin's side arrives");
    client.say("late bytes");
    client.finish();
    eventually("the origin hears what came after its own end", || {
        world.origin.bytes().ends_with(b"late bytes").then_some(())
    });
    world.close(&id, "upstream_closed", 9 + 10, 3);
}

#[test]
fn a_tunnel_without_a_byte_ends_as_idle() {
    let world = world(Origin::echo(), "tunnel_idle_timeout: 1s");
    let (mut client, id) = world.open();
    client.say("x");
    assert_eq!(client.take(1), b"x");
    let last = Instant::now();
    assert_eq!(client.rest(), b"");
    assert!(last.elapsed() >= Duration::from_millis(900), "{:?}", last.elapsed());
    world.close(&id, "idle", 1, 1);
}

#[test]
fn a_busy_tunnel_ends_at_its_longest_duration() {
    let world = world(Origin::echo(), "tunnel_max_duration: 1s");
    let (mut client, id) = world.open();
    let mut count = 0usize;
    let started = Instant::now();
    while client.try_echo(b"x") {
        count += 1;
        assert!(started.elapsed() < Duration::from_secs(15), "the tunnel goes on for ever");
        std::thread::park_timeout(Duration::from_millis(10));
    }
    assert!(started.elapsed() >= Duration::from_millis(900));
    let close = world.gateway.close(&id);
    assert_eq!(close["ending"], "max_duration", "{close}");
    assert!(close["bytes_received"].as_u64().unwrap() >= count as u64 && count > 0);
}

#[test]
fn a_reset_of_the_client_is_an_ending_with_a_record() {
    let world = world(Origin::echo(), "");
    let (mut client, id) = world.open();
    client.say("x");
    assert_eq!(client.take(1), b"x");
    client.reset();
    let close = world.gateway.close(&id);
    assert_eq!(close["ending"], "client_closed", "{close}");
}
