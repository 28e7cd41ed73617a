//! Fifty thousand tunnels: what going through them costs.

use std::time::{Duration, Instant};

use super::{END, World, allow, bundle};

/// In an optimised build this is about 10 ms; the bound is for one without, on a machine that has other work.
const BOUND: Duration = if cfg!(debug_assertions) { Duration::from_secs(5) } else { Duration::from_millis(100) };

#[test]
fn fifty_thousand_tunnels_are_decided_again_under_a_thousand_rules_within_the_bound() {
    let rules = |gone: usize| -> String {
        (0..1_000).filter(|n| *n != gone).map(|n| allow(&format!("r{n}"), &format!("h{n}.test"), END)).collect()
    };
    let world = World::new(bundle(&rules(usize::MAX), ""));
    let open: Vec<_> = (0..50_000).map(|n| world.open(&format!("h{}.test", n % 1_000))).collect();
    for (change, cut) in [(Some(7), 50), (None, 0)] {
        match change {
            Some(gone) => world.swap(&bundle(&rules(gone), "")),
            None => drop(world.lay("normal", Vec::new())),
        }
        let started = Instant::now();
        let pass = world.pass();
        let took = started.elapsed();
        println!(
            "{} tunnels, {}: {took:?}",
            pass.seen,
            if change.is_some() { "another policy" } else { "other overrides" }
        );
        assert_eq!((pass.seen, pass.cut), (50_000, cut));
        assert!(took < BOUND, "{took:?}");
    }
    let started = Instant::now();
    assert_eq!(world.live.preview(&world.policy.current(), world.clock.now()).len(), 50);
    println!("preview: {:?}", started.elapsed());
    drop(open);
    assert_eq!(world.live.count(), 0);
}
