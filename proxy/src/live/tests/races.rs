//! Changes that come while something is being admitted, or while all are gone through.

use std::sync::atomic::{AtomicBool, Ordering};

use gatepass_policy::overrides::NORMAL;

use super::{END, World, allow, bundle, end};
use crate::evidence::words::Ending;

#[test]
fn what_was_decided_before_a_change_and_listed_after_its_pass_is_caught() {
    let world = World::new(bundle(&allow("a", "a.test", END), ""));
    let snapshot = world.policy.current();
    let grounds = || world.grounds(&snapshot, world.facts(&snapshot, "a.test")).unwrap();
    let decided = grounds();
    world.lay("lockdown", Vec::new());
    assert_eq!(world.pass().seen, 0);
    assert_eq!(end(&world.list(decided)).unwrap().0, Ending::ModeChanged);

    world.lay(NORMAL, Vec::new());
    let decided = grounds();
    world.set(END);
    world.pass();
    assert_eq!(end(&world.list(decided)), Some((Ending::Expired, "web/a".to_owned())), "the rule ended meanwhile");
}

#[test]
fn a_pass_under_an_old_snapshot_cuts_nothing_that_a_newer_one_admitted() {
    let world = World::new(bundle(&allow("a", "a.test", END), ""));
    world.lay("lockdown", Vec::new());
    let old = super::super::redecide::Circumstances::of(world.sources());
    world.lay(NORMAL, Vec::new());
    let a = world.open("a.test");
    world.live.each_part(|tunnels| {
        for tunnel in tunnels {
            super::super::redecide::one(tunnel, &old, std::time::Duration::ZERO);
        }
    });
    assert_eq!(end(&a), None);
}

#[test]
fn nothing_that_is_admitted_while_the_policy_changes_survives_the_change() {
    let world = World::new(bundle(&allow("a", "a.test", END), ""));
    for _ in 0..200 {
        world.lay(NORMAL, Vec::new());
        let over = AtomicBool::new(false);
        let survivors: usize = std::thread::scope(|scope| {
            let admitting: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        let mut open = Vec::new();
                        while !over.load(Ordering::Acquire) {
                            let snapshot = world.policy.current();
                            let facts = world.facts(&snapshot, "a.test");
                            // After the change nothing is admitted any more.
                            let Some(grounds) = world.grounds(&snapshot, facts) else { break };
                            open.push(world.list(grounds));
                        }
                        open
                    })
                })
                .collect();
            std::thread::yield_now();
            world.lay("lockdown", Vec::new());
            world.pass();
            over.store(true, Ordering::Release);
            let open = admitting.into_iter().flat_map(|thread| thread.join().unwrap());
            open.filter(|listed| end(listed).is_none()).count()
        });
        assert_eq!(survivors, 0);
    }
}
