//! Rules that end while tunnels are open, by the wall clock and by the time that has passed.

use std::time::{Duration, Instant};

use gatepass_tests::{Bundle, Setup};
use jiff::{SignedDuration, Timestamp};

use super::{PROMPT, World, counted, ending};

fn in_seconds(seconds: i64) -> Timestamp {
    Timestamp::now() + SignedDuration::from_secs(seconds)
}

#[test]
fn a_rule_that_ends_cuts_its_tunnels_at_its_end_and_no_other() {
    let end = in_seconds(4);
    let rules =
        |port: u16| Bundle::new().allow("kept", "kept.test", &[port]).rule(&ending("brief", "gone.test", port, end));
    let world = World::new(Setup::new(), rules);
    let (kept, gone) = (world.open("kept.test"), world.open("gone.test"));
    let close = world.cut(&gone, "expired", "team/brief");
    let late = close["time"].as_str().unwrap().parse::<Timestamp>().unwrap().duration_since(end);
    assert!(!late.is_negative() && late < SignedDuration::try_from(PROMPT).unwrap(), "{late}");
    world.is_open(kept);
    assert_eq!(counted(&world.gateway, "expired"), "1");
}

#[test]
fn a_clock_that_is_set_back_prolongs_nothing() {
    let (end, setup) = (in_seconds(6), Setup::new());
    let (setup, set) = crate::evidence::clock::stepping(setup);
    let world = World::new(setup, |port| Bundle::new().rule(&ending("brief", "gone.test", port, end)));
    let open = world.open("gone.test");
    set(-3_600);
    let started = Instant::now();
    let remaining = Duration::try_from(end.duration_since(Timestamp::now())).unwrap();
    world.cut(&open, "expired", "team/brief");
    assert!(started.elapsed() < remaining + PROMPT, "{:?} instead of {remaining:?}", started.elapsed());
    assert!(started.elapsed() + PROMPT > remaining, "too early: {:?} instead of {remaining:?}", started.elapsed());
}

#[test]
fn a_clock_that_is_set_forward_past_the_end_cuts() {
    let (end, setup) = (in_seconds(1_800), Setup::new());
    let (setup, set) = crate::evidence::clock::stepping(setup);
    let world = World::new(setup, |port| Bundle::new().rule(&ending("brief", "gone.test", port, end)));
    let open = world.open("gone.test");
    set(3_600);
    assert!(super::took(&world, &open) < PROMPT);
    world.cut(&open, "expired", "team/brief");
}
