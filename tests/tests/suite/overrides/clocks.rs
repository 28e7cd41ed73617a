//! A wall clock that is moved prolongs nothing, brings nothing back, and opens no containment.

use std::time::{Duration, Instant};

use gatepass_tests::{Setup, eventually};
use serde_json::json;

use super::{World, locked};
use crate::evidence::clock::stepping;

#[test]
fn a_clock_that_is_set_back_during_a_grant_does_not_prolong_it() {
    let (setup, set) = stepping(Setup::new());
    let world = World::of(setup, locked);
    let granted = Instant::now();
    world.granted(3);
    let (_client, decision) = world.tunnel("site.test");
    set(-3600);
    world.gateway.close(&decision);
    let lived = granted.elapsed();
    assert!(lived < Duration::from_secs(4), "{lived:?}");
    assert_eq!(world.attempt("site.test"), 403);
}

#[test]
fn a_clock_that_is_set_forward_ends_it_and_set_back_again_brings_it_not_back() {
    let (setup, set) = stepping(Setup::new());
    let world = World::of(setup, locked);
    world.granted(600);
    assert_eq!(world.attempt("site.test"), 200);
    set(3600);
    eventually("it is over", || (world.attempt("site.test") == 403).then_some(()));
    set(0);
    assert_eq!(world.attempt("site.test"), 403, "what has ended stays ended");
}

#[test]
fn a_gateway_that_starts_with_its_clock_behind_takes_what_was_granted_for_over() {
    let (setup, set) = stepping(Setup::new());
    let mut world = World::of(setup, locked);
    world.granted(600);
    assert_eq!(world.attempt("site.test"), 200);
    world.gateway.signal("KILL");
    world.gateway.wait();
    set(-60);
    let gateway = world.gateway.start_again();
    let status = gateway.client().connect(&format!("site.test:{}", world.origin.port())).status;
    assert_eq!(status, 403);
    assert!(gateway.log().contains("the clock stands behind"), "{}", gateway.log());
}

#[test]
fn a_clock_that_is_set_forward_does_not_open_what_a_mode_contains() {
    let (setup, set) = stepping(Setup::new());
    let world = World::of(setup, super::modes::open);
    let asked = json!({"mode": "lockdown", "reason": "for ten minutes", "ttl": 600});
    assert_eq!(world.who("alice").put(&world.gateway, "/v1/mode", &asked).0, 200);
    set(3600);
    // Long enough for every look at the clock; the mode must still hold afterwards.
    let end = Instant::now() + Duration::from_secs(1);
    while Instant::now() < end {
        assert_eq!(world.attempt("site.test"), 403);
    }
}
