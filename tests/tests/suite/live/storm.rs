//! Reloads without end under load: every decision has one policy, and every tunnel one end.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

use gatepass_tests::{Bundle, Setup};

use super::World;

#[test]
fn reloads_every_ten_milliseconds_leave_every_decision_explained_by_one_policy() {
    let setup = Setup::new().section("limits: {reload_debounce: 1ms}");
    // Each policy has one rule for the host, named after the policy.
    let bundle = |port: u16, name: &str| Bundle::new().allow(name, "kept.test", &[port]);
    let world = World::new(setup, |port| bundle(port, "first"));
    let (port, over) = (world.origin.port(), AtomicBool::new(false));
    // Written once: the end of a rule is part of the policy.
    let policies = ["odd", "even"].map(|name| bundle(port, name).files().pop().unwrap());
    let long = world.open("kept.test");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let reply = world.gateway.client().connect(&format!("kept.test:{port}"));
                    assert_eq!(reply.status, 200, "{}", reply.body);
                }
            });
        }
        for round in 0..200 {
            let (name, text) = &policies[round % 2];
            let new = world.gateway.setup.scratch.write("next.tmp", text);
            std::fs::rename(new, world.gateway.path().join("policy").join(name)).unwrap();
            std::thread::park_timeout(std::time::Duration::from_millis(10));
        }
        over.store(true, Ordering::Relaxed);
    });
    let long = world.is_open(long);
    let mut digests: HashMap<String, HashSet<String>> = HashMap::new();
    for decision in world.gateway.decisions() {
        let text = |pointer: &str| decision.pointer(pointer).unwrap().as_str().unwrap().to_owned();
        digests.entry(text("/rule/path")).or_default().insert(text("/policy/digest"));
    }
    assert_eq!(digests.len(), 3, "all policies decided: {digests:?}");
    assert!(
        digests.values().all(|of_rule| of_rule.len() == 1),
        "a rule of one policy beside another's digest: {digests:?}"
    );
    let activated = world.gateway.records().iter().filter(|record| record["result"] == "activated").count();
    assert!(activated > 20, "{activated}");
    world.is_open(long);
}
