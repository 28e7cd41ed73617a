//! The longest life of a connection, and limits that change while it is open.

use std::time::{Duration, Instant};

use gatepass_tests::{Bundle, Origin, Setup, eventually};

use super::{World, limited, rule};
use crate::live::edit;

#[test]
fn a_tunnel_ends_when_it_has_lasted_as_long_as_its_rule_lets_it() {
    let world = World::new(limited("{max_connection_duration: 1s}"));
    let begun = Instant::now();
    let (_client, id) = world.open("");
    world.cut(&id, "team/site");
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    let (mut again, _) = world.open("");
    assert!(again.try_echo(b"ping"), "the next one has a life of its own");
}

#[test]
fn the_shortest_of_all_rules_that_match_ends_it() {
    let world = World::new(|port| {
        Bundle::new().rule(&rule("long", "anyone: true", port, "{max_connection_duration: 1d}")).rule(&rule(
            "short",
            "anyone: true",
            port,
            "{max_connection_duration: 1s}",
        ))
    });
    let (_client, id) = world.open("");
    world.cut(&id, "team/short");
}

#[test]
fn an_exchange_ends_as_a_tunnel_does() {
    let world = World::of(Setup::new(), Origin::http(), limited("{max_connection_duration: 1s}"));
    let target = world.target();
    let mut client = world.gateway.client();
    client.say(format!("POST http://{target}/ HTTP/1.1\r\nHost: {target}\r\nContent-Length: 4\r\n\r\nab"));
    let id = world.gateway.decided(1)[0]["id"].as_str().unwrap().to_owned();
    world.cut(&id, "team/site");
    assert_eq!(client.rest(), b"");
}

#[test]
fn what_is_open_follows_the_limits_of_a_new_policy() {
    let setup = Setup::new().operators_and("");
    let world = World::of(setup, Origin::echo(), |port| Bundle::new().allow("site", "site.test", &[port]));
    let operator = world.gateway.operator("alice");
    // The pass over what is open follows the swap of the policy.
    let followed = |key: &str, amount: u64| {
        eventually("what is open has the new limit", || {
            let (_, listed) = operator.get(&world.gateway, "/v1/tunnels");
            (listed["tunnels"][0]["limits"][0][key] == amount).then_some(())
        });
    };
    let (mut client, id) = world.open("");
    assert!(client.try_echo(&[7; 100 * 1024]));
    let port = world.origin.port();
    // What was sent while nothing counted is not counted afterwards.
    edit(&world.gateway, &limited("{upload_bytes_per_day: 64KiB}")(port));
    followed("upload_bytes_per_day", 64 * 1024);
    assert!(client.try_echo(&[7; 60 * 1024]));
    assert!(!client.try_echo(&[7; 60 * 1024]));
    assert_eq!(world.cut(&id, "team/site")["bytes_sent"], 164 * 1024);
    edit(&world.gateway, &limited("{upload_bytes_per_day: 128KiB}")(port));
    let (mut client, id) = world.open("");
    assert!(client.try_echo(&[7; 30 * 1024]), "a wider budget of the same rule has the rest");
    edit(&world.gateway, &limited("{max_connection_duration: 1s}")(port));
    world.cut(&id, "team/site");
}
