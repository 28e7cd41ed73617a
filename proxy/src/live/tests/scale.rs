//! Fifty thousand tunnels: what going through them costs, and what it costs those who come meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{END, World, allow, bundle};

/// An optimised build takes a fraction of this; the bound is wide where nothing is optimised and others work too.
const BOUND: Duration = if cfg!(debug_assertions) { Duration::from_secs(5) } else { Duration::from_millis(100) };

fn rules(gone: usize) -> String {
    (0..1_000).filter(|n| *n != gone).map(|n| allow(&format!("r{n}"), &format!("h{n}.test"), END)).collect()
}

#[test]
fn fifty_thousand_tunnels_are_decided_again_under_a_thousand_rules_within_the_bound() {
    let world = World::new(bundle(&rules(usize::MAX), ""));
    let open: Vec<_> = (0..50_000).map(|n| world.open(&format!("h{}.test", n % 1_000))).collect();
    let timed = |what: &str, cut: usize| {
        let started = Instant::now();
        let pass = world.pass();
        let took = started.elapsed();
        println!("{} tunnels, {what}: {took:?}", pass.seen);
        assert_eq!((pass.seen, pass.cut), (50_000, cut));
        assert!(took < BOUND, "{took:?}");
    };
    timed("nothing new", 0);
    world.lay("normal", Vec::new());
    timed("other overrides", 0);
    world.swap(&bundle(&rules(7), ""));
    timed("another policy", 50);
    let started = Instant::now();
    assert_eq!(world.live.preview(&world.policy.current(), world.clock.now()).len(), 50);
    println!("preview: {:?}", started.elapsed());

    let before = admissions(&world, &AtomicBool::new(false), 20_000);
    let over = AtomicBool::new(false);
    let (meanwhile, passes) = std::thread::scope(|scope| {
        let admitting = scope.spawn(|| admissions(&world, &over, 200_000));
        let passes = 10;
        for _ in 0..passes {
            world.pass();
        }
        over.store(true, Ordering::Release);
        (admitting.join().unwrap(), passes)
    });
    println!("an admission alone: {before}; during {passes} passes, one after the other: {meanwhile}");
    drop(open);
    assert_eq!(world.live.count(), 0);
}

/// Decide, list and leave, again and again: median, 99th percentile and longest of what each took.
fn admissions(world: &World, over: &AtomicBool, most: usize) -> String {
    let mut took = Vec::new();
    while took.len() < most && !over.load(Ordering::Acquire) {
        let snapshot = world.policy.current();
        let facts = world.facts(&snapshot, "h500.test");
        let started = Instant::now();
        drop(world.list(world.grounds(&snapshot, facts).unwrap()));
        took.push(started.elapsed());
    }
    took.sort_unstable();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    format!("p50 {:?}, p99 {:?}, longest {:?} of {}", at(0.5), at(0.99), at(1.0), took.len())
}
