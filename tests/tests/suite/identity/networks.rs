//! Source networks: the last resort, and the longest prefix.

use gatepass_tests::Setup;

use super::World;

fn world(networks: &str, identities: &str) -> World {
    World::new(Setup::new().section(&format!("identity: {{networks: [{networks}]}}")), identities)
}

const LOOPBACK: &str = "{cidr: \"127.0.0.0/8\", id: \"network:lab\"}";

#[test]
fn the_source_network_names_a_client_that_shows_nothing() {
    let world = world(LOOPBACK, "identities: [{id: \"network:lab\"}]");
    let reply = world.gateway.client().connect_with(&world.target(), "").unwrap();
    world.admitted(&reply, "network:lab", "network");
}

#[test]
fn the_longest_prefix_counts_in_whatever_order_they_stand() {
    for networks in [
        format!("{LOOPBACK}, {{cidr: \"127.0.0.1/32\", id: \"network:seat\"}}"),
        format!("{{cidr: \"127.0.0.1/32\", id: \"network:seat\"}}, {LOOPBACK}"),
    ] {
        let world = world(&networks, "identities: [{id: \"network:seat\"}]");
        let reply = world.gateway.client().connect_with(&world.target(), "").unwrap();
        world.admitted(&reply, "network:seat", "network");
    }
}

#[test]
fn a_network_that_does_not_hold_the_client_says_nothing_of_it() {
    let elsewhere = "{cidr: \"127.0.0.2/32\", id: \"network:lab\"}, {cidr: \"10.0.0.0/8\", id: \"network:batch\"}";
    let world = world(elsewhere, "identities: [{id: \"network:*\"}]");
    let reply = world.gateway.client().connect_with(&world.target(), "").unwrap();
    world.refused(&reply, 403, "no_rule");
    assert_eq!(world.gateway.decision(&reply.id())["identity"]["id"], "anonymous");
}

#[test]
fn nothing_a_client_says_moves_it_into_a_network() {
    let world = world("{cidr: \"10.8.0.0/16\", id: \"network:batch\"}", "identities: [{id: \"network:batch\"}]");
    for claim in ["X-Forwarded-For: 10.8.0.1\r\n", "Forwarded: for=10.8.0.1\r\n", "X-Real-IP: 10.8.0.1\r\n"] {
        let reply = world.gateway.client().connect_with(&world.target(), claim).unwrap();
        world.refused(&reply, 403, "no_rule");
    }
}
