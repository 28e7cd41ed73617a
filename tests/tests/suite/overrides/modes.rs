//! Containment: a mode narrows what is allowed at once, on open tunnels as well, and says who wanted it.

use gatepass_tests::{Bundle, Setup, eventually};
use serde_json::json;

use super::World;

const MODES: &str = "modes:\n  restricted: {allow_when: 'destination.tags.exists(t, t == \"critical-supplier\")'}\n  lockdown: {allow_when: \"false\"}\n";

pub fn open(port: u16) -> Bundle {
    Bundle::new()
        .allow("site", "site.test", &[port])
        .allow("other", "other.test", &[port])
        .destinations("  - {hosts: [\"other.test\"], tags: [critical-supplier]}\n")
        .platform(MODES)
}

#[test]
fn a_mode_cuts_what_it_does_not_allow_and_nothing_else() {
    let world = World::new(open);
    let (mut site, cut) = world.tunnel("site.test");
    let (mut other, _kept) = world.tunnel("other.test");
    let (status, told) = world.who("alice").put(
        &world.gateway,
        "/v1/mode",
        &json!({"mode": "restricted", "reason": "a supplier is compromised"}),
    );
    assert_eq!((status, &told["mode"]), (200, &"restricted".into()), "{told}");
    let close = world.gateway.close(&cut);
    assert_eq!((&close["ending"], &close["cut_by"]), (&"mode_changed".into(), &"mode/restricted".into()), "{close}");
    assert!(!site.try_echo(b"more") && other.try_echo(b"more"));
    let reply = world.gateway.client().connect(&format!("site.test:{}", world.origin.port()));
    assert_eq!(reply.status, 403);
    let record = world.gateway.decision(&reply.id());
    assert_eq!(
        (&record["mode"], &record["rule"]["path"]),
        (&"restricted".into(), &"mode/restricted".into()),
        "{record}"
    );
    assert_eq!(world.attempt("other.test"), 200);
    let acts = world.acts("mode");
    assert_eq!((&acts[0].1["mode"], &acts[0].1["operator"]["name"]), (&"restricted".into(), &"alice".into()));
    assert_eq!(acts[0].1["details"]["before"], "normal");
}

#[test]
fn lockdown_leaves_nothing_but_grants_and_survives_a_restart() {
    let mut world = World::new(open);
    let (_, told) =
        world.who("bob").put(&world.gateway, "/v1/mode", &json!({"mode": "lockdown", "reason": "drill of the year"}));
    assert_eq!(told["mode"], "lockdown", "{told}");
    assert_eq!((world.attempt("site.test"), world.attempt("other.test")), (403, 403));
    world.granted(60);
    assert_eq!((world.attempt("site.test"), world.attempt("other.test")), (200, 403));
    world.gateway.signal("KILL");
    world.gateway.wait();
    let gateway = world.gateway.start_again();
    let attempt = |host: &str| gateway.client().connect(&format!("{host}:{}", world.origin.port())).status;
    assert_eq!((attempt("site.test"), attempt("other.test")), (200, 403));
}

#[test]
fn a_mode_with_a_time_returns_by_itself() {
    let world = World::new(open);
    let asked = json!({"mode": "lockdown", "reason": "for a moment", "ttl": 1});
    assert_eq!(world.who("alice").put(&world.gateway, "/v1/mode", &asked).0, 200);
    assert_eq!(world.attempt("site.test"), 403);
    eventually("it is normal again", || (world.attempt("site.test") == 200).then_some(()));
    eventually("the return is recorded", || (world.acts("mode").len() == 2).then_some(()));
    assert_eq!(world.acts("mode")[1].1["mode"], "normal");
}

#[test]
fn a_rehearsal_tells_what_would_be_cut_and_refused_and_does_nothing() {
    let world = World::new(open);
    let (mut site, id) = world.tunnel("site.test");
    let (mut other, _) = world.tunnel("other.test");
    let asked = json!({"mode": "restricted", "reason": "what if", "rehearse": true});
    let (status, told) = world.who("alice").put(&world.gateway, "/v1/mode", &asked);
    assert_eq!(status, 200, "{told}");
    assert_eq!(
        (told["would_cut"].as_array().map(Vec::len), &told["would_cut"][0]["id"]),
        (Some(1), &id.into()),
        "{told}"
    );
    let refused = &told["would_refuse"]["refused"];
    assert_eq!((&refused[0]["by"], &refused[0]["times"]), (&"mode/restricted".into(), &1.into()), "{told}");
    assert!(site.try_echo(b"more") && other.try_echo(b"more"));
    assert_eq!(world.who("alice").get(&world.gateway, "/v1/mode").1["mode"], "normal");
    assert!(world.acts("mode").is_empty());
}

#[test]
fn a_mode_that_is_none_or_whose_reason_is_missing_is_not_set() {
    let world = World::new(open);
    for asked in [
        json!({"mode": "lockdwon", "reason": "a typing error"}),
        json!({"mode": "lockdown", "reason": ""}),
        json!({"mode": "lockdown"}),
        json!({"mode": "normal", "reason": "all is well", "ttl": 5}),
        json!({"reason": "which one"}),
    ] {
        let (status, problem) = world.who("alice").put(&world.gateway, "/v1/mode", &asked);
        assert_eq!(status, 400, "{asked}: {problem}");
    }
    assert_eq!(
        world.who("carol").put(&world.gateway, "/v1/mode", &json!({"mode": "lockdown", "reason": "I may not"})).0,
        403
    );
    assert_eq!(world.attempt("site.test"), 200);
}

#[test]
fn a_policy_that_loses_the_mode_in_force_opens_nothing() {
    let world = World::new(open);
    let asked = json!({"mode": "restricted", "reason": "a supplier is compromised"});
    assert_eq!(world.who("alice").put(&world.gateway, "/v1/mode", &asked).0, 200);
    let port = world.origin.port();
    let without = Bundle::new().allow("site", "site.test", &[port]).allow("other", "other.test", &[port]);
    world.gateway.setup.bundle(&without);
    eventually("nothing goes any more", || (world.attempt("other.test") == 403).then_some(()));
    let ready = world.who("vera").get(&world.gateway, "/ready").1;
    assert!(ready["degraded"].to_string().contains("no mode `restricted`"), "{ready}");
}

#[test]
fn a_mode_holds_while_the_gateway_only_observes() {
    let until = jiff::Timestamp::now().checked_add(jiff::SignedDuration::from_hours(1)).unwrap();
    let setup = Setup::new().section(&format!("observe: {{until: \"{until:.0}\"}}"));
    let denied = |port| {
        open(port).rule("  - {id: no-site, action: deny, purpose: on trial, destinations: {hosts: [\"site.test\"]}}\n")
    };
    let world = World::of(setup, denied);
    let (mut site, observed) = world.tunnel("site.test");
    assert_eq!(world.gateway.decision(&observed)["would_deny"], true);
    let (status, told) =
        world.who("alice").put(&world.gateway, "/v1/mode", &json!({"mode": "lockdown", "reason": "an incident"}));
    assert_eq!(status, 200, "{told}");
    let close = world.gateway.close(&observed);
    assert_eq!((&close["ending"], &close["cut_by"]), (&"mode_changed".into(), &"mode/lockdown".into()), "{close}");
    assert!(!site.try_echo(b"more"));
    assert_eq!((world.attempt("site.test"), world.attempt("other.test")), (403, 403));
}
