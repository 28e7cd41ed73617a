//! Policies that grow old: beyond the end of a release, and beyond the silence of its source.

use gatepass_tests::depot::Shelf;
use gatepass_tests::{Bundle, Gateway, Setup, eventually};
use jiff::{SignedDuration, Timestamp};

use super::{LATER, World, admin, end, kept, metric, policies, ready, refused};
use crate::evidence::clock::stepping;

/// Seconds by which the clock is put forward, once or twice: beyond every end here, but for those of certificates.
const AHEAD: i64 = 1_500;

fn in_a_while() -> String {
    (Timestamp::now() + SignedDuration::from_mins(20)).to_string()
}

fn reason(world: &World, gateway: &Gateway, host: &str) -> (u16, String) {
    let (_open, reply) = world.attempt(gateway, host);
    (reply.status, gateway.decision(&reply.id())["reason"]["code"].as_str().unwrap().to_owned())
}

/// A gateway with a release that ends in twenty minutes, and a way to put its clock forward.
fn ending(more: &str) -> (World, Gateway, impl Fn(i64)) {
    let setup = Setup::new();
    let world = World::new(&setup);
    let (setup, set) = stepping(setup);
    world.depot.give(&world.office.release(&world.allowing("old.test"), 1, &in_a_while(), &["alice"]), "one");
    let section = world.section(&setup, more);
    (world, setup.section(&section).start(&Bundle::new()), set)
}

#[test]
fn beyond_its_end_a_policy_refuses_what_is_new_and_leaves_what_is_open() {
    let (world, gateway, set) = ending("");
    let (mut open, reply) = world.attempt(&gateway, "old.test");
    assert_eq!(reply.status, 200);
    set(AHEAD);
    assert_eq!(reason(&world, &gateway, "old.test"), (503, "policy_stale".to_owned()));
    assert!(open.try_echo(b"still here"));
    let answer = admin(&gateway, "/ready");
    assert!(answer.status == 503 && answer.body.contains("the policy ended at"), "{}", answer.body);
    assert_eq!(metric(&gateway, "gatepass_policy_stale").as_deref(), Some("1"));
    eventually("it is told once", || gateway.log().contains("stale, new connections are refused").then_some(()));

    // The server says that nothing has changed, which makes nothing younger; a newer release does.
    let asked = world.depot.heads().len();
    eventually("it was asked again", || (world.depot.heads().len() > asked + 1).then_some(()));
    assert_eq!(reason(&world, &gateway, "old.test").1, "policy_stale");
    world.depot.give(&world.office.release(&world.allowing("new.test"), 2, LATER, &["alice"]), "two");
    policies(&gateway, "activated", 2);
    assert_eq!(world.status(&gateway, "new.test"), 200);
    assert_eq!((admin(&gateway, "/ready").status, metric(&gateway, "gatepass_policy_stale")), (200, Some("0".into())));
}

#[test]
fn a_policy_that_is_kept_beyond_its_end_decides_and_alarms() {
    let (world, gateway, set) = ending(", when_stale: keep");
    assert_eq!(ready(&gateway)["degraded"].to_string().matches("ended at").count(), 0);
    set(AHEAD);
    assert_eq!((world.status(&gateway, "old.test"), world.status(&gateway, "new.test")), (200, 403));
    let told = ready(&gateway);
    assert_eq!(told["ready"], true);
    assert!(told["degraded"].to_string().contains("the policy ended at"), "{told}");
    assert_eq!(metric(&gateway, "gatepass_policy_stale").as_deref(), Some("1"));
    eventually("it is told", || gateway.log().contains("stale, and it goes on deciding").then_some(()));
    assert_eq!(gateway.log().matches("stale, and it goes on").count(), 1);
}

#[test]
fn a_source_that_is_silent_for_too_long_makes_a_policy_stale() {
    let setup = Setup::new();
    let world = World::new(&setup);
    let (setup, set) = stepping(setup);
    let release = world.office.signed(&world.allowing("old.test"), 1);
    world.depot.give(&release, "one");
    let section = world.section(&setup, ", max_age: 10m");
    let gateway = setup.section(&section).start(&Bundle::new());
    // As long as it says that nothing has changed, nothing is too old.
    set(AHEAD);
    eventually("it is confirmed", || (reason(&world, &gateway, "old.test").0 == 200).then_some(()));
    world.depot.put(Shelf::Down);
    policies(&gateway, "rejected", 1);
    set(2 * AHEAD);
    assert_eq!(reason(&world, &gateway, "old.test"), (503, "policy_stale".to_owned()));
    assert!(admin(&gateway, "/ready").body.contains("longer ago than `policy.max_age`"));
    let ended = end(gateway);

    // A restart makes nothing younger either.
    let gateway = ended.start_again();
    assert_eq!(reason(&world, &gateway, "old.test"), (503, "policy_stale".to_owned()));
    world.depot.give(&release, "one");
    eventually("it is heard of again", || (world.status(&gateway, "old.test") == 200).then_some(()));
}

#[test]
fn a_release_that_has_ended_is_not_taken_up_again_though_the_clock_goes_back() {
    let (world, gateway, set) = ending(", when_stale: keep");
    let ended = end(gateway);
    let first = std::fs::read(kept(&ended.setup, ".gpb")).unwrap();
    // A gateway that starts beyond the end has seen the time.
    set(AHEAD);
    world.depot.give(&world.office.signed(&world.allowing("old.test"), 2), "two");
    let ended = end(ended.start_again());
    set(0);
    let config = ended.setup.configure();

    // What is given now ends later than now, and not later than what was seen.
    std::fs::remove_file(kept(&ended.setup, ".gpb")).unwrap();
    world.depot.give(&world.office.release(&world.allowing("old.test"), 3, &in_a_while(), &["alice"]), "three");
    let said = refused(&config);
    assert!(said.contains("it ended at") && said.contains("nothing was started"), "{said}");

    // Nor is a last good archive taken up that is over.
    world.depot.put(Shelf::Down);
    std::fs::remove_file(kept(&ended.setup, "serials.json")).unwrap();
    let stamp = kept(&ended.setup, ".confirmed");
    std::fs::write(stamp.with_extension("gpb"), first).unwrap();
    assert!(refused(&config).contains("it ended at"));
    world.depot.give(&world.office.signed(&world.allowing("old.test"), 4), "four");
    assert_eq!(world.status(&ended.start_again(), "old.test"), 200);
}
