//! Connections at once, and new ones in a second.

use gatepass_tests::{Bundle, Origin, Setup, eventually};

use super::{World, ending, limited, one, rule, two};
use crate::hellos::{ACCESS_DENIED, Sni, alert, hello};

#[test]
fn one_connection_too_many_is_refused_before_anything_is_dialled_and_goes_when_another_ends() {
    let world = World::new(limited("{connections: 2}"));
    let (first, id) = world.open("");
    let _second = world.open("");
    let dialled = world.origin.connections();
    let (reply, record) = world.refused("", "team/site", "connections");
    assert_eq!(world.origin.connections(), dialled, "nothing was dialled");
    assert_eq!(reply.field("retry-after").unwrap(), "5");
    let failed = &record["nearest"][0]["failed"][0];
    assert_eq!((&failed["seen"], &failed["wanted"]), (&3.into(), &"at most 2".into()), "{record}");
    drop(first);
    world.gateway.close(&id);
    let (mut client, _) = world.open("");
    assert!(client.try_echo(b"ping"));
}

#[test]
fn each_identity_has_places_of_its_own() {
    let world = World::new(limited("{connections: 1}"));
    let _anonymous = world.open("");
    let _one = world.open(&one());
    let _two = world.open(&two());
    world.refused(&one(), "team/site", "connections");
    world.refused(&two(), "team/site", "connections");
}

#[test]
fn of_two_rules_that_match_both_hold_and_of_others_none() {
    let world = World::new(|port| {
        let past = gatepass_tests::bundle::in_hours(-1);
        Bundle::new()
            .rule(&rule("wide", "anyone: true", port, "{connections: 2}"))
            .rule(&rule("narrow", "identities: [{id: \"token:one\"}]", port, "{connections: 1}"))
            .rule(&ending("ended", "anyone: true", port, "{connections: 1}", &past))
            .rule(&rule("elsewhere", "anyone: true", 1, "{connections: 1}"))
            .allow("free", "site.test", &[port])
    });
    let _one = world.open(&one());
    world.refused(&one(), "team/narrow", "connections");
    let _two = (world.open(&two()), world.open(&two()));
    world.refused(&two(), "team/wide", "connections");
}

#[test]
fn more_new_connections_in_a_second_are_refused_for_a_second() {
    let world = World::new(limited("{new_connections_per_second: 3}"));
    let begun = std::time::Instant::now();
    let statuses: Vec<u16> = (0..40).map(|_| world.ask("").1.status).collect();
    let let_in = statuses.iter().filter(|status| **status == 200).count();
    let seconds = begun.elapsed().as_secs() as usize + 1;
    assert!(let_in >= 3 && let_in <= 3 * seconds, "{let_in} in {seconds} s");
    // As soon as a second without any has passed, there is room; and then for three at once.
    eventually("there is room again", || (world.ask("").1.status == 200).then_some(()));
    let reply = eventually("it is refused again", || {
        let reply = world.ask("").1;
        (reply.status == 429).then_some(reply)
    });
    let record = world.told(&reply, "team/site", "new_connections_per_second");
    assert_eq!(reply.field("retry-after").unwrap(), "1");
    assert_eq!(record["nearest"][0]["failed"][0]["seen"], 4, "{record}");
}

#[test]
fn plain_http_counts_while_an_exchange_runs() {
    let world = World::of(Setup::new(), Origin::http(), limited("{connections: 1}"));
    let url = format!("http://{}/", world.target());
    let mut slow = world.gateway.client();
    // Its body is on its way: the exchange is open.
    slow.say(format!("POST {url} HTTP/1.1\r\nHost: {}\r\nContent-Length: 4\r\n\r\nab", world.target()));
    world.gateway.decided(1);
    let mut kept = world.gateway.client();
    let reply = kept.fetch(&url, "").unwrap();
    world.told(&reply, "team/site", "connections");
    slow.say("cd");
    assert_eq!(slow.reply().unwrap().status, 200);
    // The connection that was refused is still good, and there is room again.
    eventually("there is room", || (kept.fetch(&url, "").unwrap().status == 200).then_some(()));
}

#[test]
fn a_limit_that_is_found_only_after_the_hello_is_told_by_an_alert() {
    let world =
        World::new(|port| Bundle::new().agreement().rule(&rule("site", "anyone: true", port, "{connections: 1}")));
    let hello = hello(&world.gateway.setup, "site.test", Sni::Sent);
    let (mut first, _) = world.open("");
    first.say(&hello);
    world.gateway.decided(1);
    let (mut second, id) = world.open("");
    second.say(&hello);
    assert_eq!(alert(&second.rest()), Some(ACCESS_DENIED));
    let record = world.gateway.decision(&id);
    assert_eq!((&record["reason"]["code"], &record["stage"]), (&"limit".into(), &"tls".into()), "{record}");
}
