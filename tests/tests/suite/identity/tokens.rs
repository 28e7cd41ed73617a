//! Static tokens: what is shown is either good or refused, and never passed over.

use gatepass_tests::identities::{basic, bearer, token};
use gatepass_tests::{Gateway, Reply, Setup};

use super::World;

const CI_ONLY: &str = "identities: [{id: \"token:ci\"}]";

fn tokens() -> Vec<String> {
    vec![token("ci", "s3cret", 1), token("other", "0ther", 1), token("old", "g0ne", -1)]
}

fn ask(gateway: &Gateway, target: &str, fields: &str) -> Reply {
    gateway.client().connect_with(target, fields).expect("an answer")
}

#[test]
pub(super) fn a_good_token_admits_by_basic_and_by_bearer() {
    let world = World::new(Setup::new().tokens(&tokens()), CI_ONLY);
    let spelled = basic("ci", "s3cret").replace("Basic", "bAsIc");
    for fields in [basic("ci", "s3cret"), bearer("s3cret"), spelled] {
        world.admitted(&ask(&world.gateway, &world.target(), &fields), "token:ci", "token");
    }
    let records = format!("{:?}\n{}", world.gateway.records(), world.gateway.log());
    assert!(!records.contains("s3cret") && !records.contains("czNjcmV0"), "credentials stand in a record");
}

#[test]
pub(super) fn a_good_token_of_somebody_else_is_refused_by_policy_and_not_asked_again() {
    let world = World::new(Setup::new().tokens(&tokens()), CI_ONLY);
    let reply = ask(&world.gateway, &world.target(), &basic("other", "0ther"));
    world.refused(&reply, 403, "no_rule");
    assert_eq!(world.gateway.decision(&reply.id())["identity"]["id"], "token:other");
}

/// Every way of showing credentials that are none.
fn bad() -> Vec<(&'static str, String)> {
    vec![
        ("a wrong token", basic("ci", "wrong")),
        ("a shorter one", basic("ci", "s3cre")),
        ("a longer one", basic("ci", &"s3cret".repeat(100))),
        ("an empty one", basic("ci", "")),
        ("an expired one", basic("old", "g0ne")),
        ("an expired one, by Bearer", bearer("g0ne")),
        ("the right one under another name", basic("other", "s3cret")),
        ("the right one under an unknown name", basic("nobody", "s3cret")),
        ("the right one under no name", basic("", "s3cret")),
        ("a name with a prefix", basic("token:ci", "s3cret")),
        ("the hash instead of the token", bearer("4e738ca5563c06cfd0018299933d58db1dd8bf97f6973dc99bf6cdc64b5550bd")),
        ("no colon", "Proxy-Authorization: Basic Y2k=\r\n".to_owned()),
        ("no base64", "Proxy-Authorization: Basic %%%\r\n".to_owned()),
        ("a scheme alone", "Proxy-Authorization: Basic\r\n".to_owned()),
        ("an empty value", "Proxy-Authorization:\r\n".to_owned()),
        ("another scheme", "Proxy-Authorization: Digest username=\"ci\"\r\n".to_owned()),
        ("a NUL behind the name", basic("ci\0", "s3cret")),
        ("a NUL behind the token", basic("ci", "s3cret\0")),
    ]
}

#[test]
pub(super) fn bad_credentials_are_407_and_never_fall_back_to_the_network() {
    let setup = Setup::new();
    let lines: String = tokens().iter().map(|entry| format!("- {entry}\n")).collect();
    setup.scratch.write("tokens.yaml", lines);
    let setup =
        setup.section("identity: {tokens: tokens.yaml, networks: [{cidr: \"127.0.0.0/8\", id: \"network:lab\"}]}");
    // Anyone at all may go there, once it is clear who it is.
    let world = World::new(setup, "anyone: true");
    for (what, fields) in bad() {
        let reply = ask(&world.gateway, &world.target(), &fields);
        assert_eq!(reply.status, 407, "{what}: {}", reply.head);
        world.refused(&reply, 407, "identity_invalid");
        let challenges = reply.head.to_lowercase();
        assert!(challenges.contains("proxy-authenticate: basic") && challenges.contains("proxy-authenticate: bearer"));
        let decision = world.gateway.decision(&reply.id());
        assert_eq!(decision["identity"]["id"], "anonymous", "{what}: {decision}");
    }
    world.admitted(&ask(&world.gateway, &world.target(), ""), "network:lab", "network");
}

#[test]
pub(super) fn bad_credentials_are_407_where_no_tokens_are_configured_at_all() {
    let world = World::new(Setup::new(), "anyone: true");
    world.refused(&ask(&world.gateway, &world.target(), &basic("ci", "s3cret")), 407, "identity_invalid");
}

#[test]
pub(super) fn credentials_twice_or_with_control_bytes_or_too_long_are_malformed() {
    let world = World::new(Setup::new().tokens(&tokens()), CI_ONLY);
    let twice = basic("ci", "s3cret") + &basic("ci", "s3cret");
    let differing = basic("other", "wrong") + &basic("ci", "s3cret");
    let nul = "Proxy-Authorization: Basic Y2k6czNj\0cmV0\r\n".to_owned();
    for fields in [twice, differing, nul] {
        world.refused(&ask(&world.gateway, &world.target(), &fields), 400, "invalid_request");
    }
    let long = format!("Proxy-Authorization: Basic {}\r\n", "A".repeat(64 << 10));
    world.refused(&ask(&world.gateway, &world.target(), &long), 431, "invalid_request");
}

#[test]
pub(super) fn without_credentials_a_client_is_asked_for_them_only_where_they_would_be_taken() {
    let takes = World::new(Setup::new().tokens(&tokens()), CI_ONLY);
    let reply = ask(&takes.gateway, &takes.target(), "");
    takes.refused(&reply, 407, "identity_required");
    let takes_none = World::new(Setup::new(), CI_ONLY);
    takes_none.refused(&ask(&takes_none.gateway, &takes_none.target(), ""), 403, "no_rule");
}

#[test]
pub(super) fn without_credentials_anonymous_passes_where_a_rule_says_anyone() {
    let world = World::new(Setup::new().tokens(&tokens()), "anyone: true");
    world.admitted(&ask(&world.gateway, &world.target(), ""), "anonymous", "none");
}

#[test]
pub(super) fn the_answer_to_a_wrong_token_does_not_tell_how_wrong_it_is() {
    let world = World::new(Setup::new().tokens(&tokens()), CI_ONLY);
    let told = |fields: &str| {
        let reply = ask(&world.gateway, &world.target(), fields);
        let id = reply.id();
        (reply.status, reply.head.replace(&id, ""), reply.body.replace(&id, ""))
    };
    let wrong = told(&basic("ci", "x"));
    for fields in [basic("ci", "s3cre"), basic("ci", "s3cretx"), basic("nobody", "s3cret"), bearer("wrong")] {
        assert_eq!(told(&fields), wrong);
    }
}
