//! Gateways that decide by another policy than the others know of each other, and say so.

use std::collections::BTreeSet;

use gatepass_tests::{Gateway, eventually};
use serde_json::Value;

use super::Fleet;
use crate::overrides::locked;

/// The digests by which the fleet decides, as this one tells, and how many gateways there are.
fn minds(gateway: &Gateway) -> (BTreeSet<String>, usize) {
    let (status, policy) = gateway.operator("vera").get(gateway, "/v1/policy");
    assert_eq!(status, 200, "{policy}");
    let fleet = policy["fleet"].as_array().cloned().unwrap_or_default();
    assert!(fleet.iter().any(|one| one["digest"] == policy["digest"]), "it is one of them: {policy}");
    (fleet.iter().map(|one| one["digest"].as_str().unwrap().to_owned()).collect(), fleet.len())
}

fn degraded(gateway: &Gateway) -> String {
    let (_, ready): (_, Value) = gateway.operator("vera").get(gateway, "/ready");
    ready["degraded"].to_string()
}

#[test]
fn a_fleet_that_is_not_of_one_mind_says_so_everywhere() {
    let fleet = Fleet::new();
    for gateway in &fleet.gateways {
        eventually("all know of all", || (minds(gateway).1 == 3).then_some(()));
        assert_eq!(minds(gateway).0.len(), 1);
        assert!(!degraded(gateway).contains("fleet:"), "{}", degraded(gateway));
    }
    // One gets another bundle.
    let port = fleet.origin.port();
    let next = locked(port).allow("more", "more.test", &[port]);
    fleet.gateways[2].setup.bundle(&next);
    for (at, wanted) in [(0, "1 of 2 other gateways"), (1, "1 of 2 other gateways"), (2, "2 of 2 other gateways")] {
        eventually("it is told", || degraded(&fleet.gateways[at]).contains(wanted).then_some(()));
        assert_eq!(minds(&fleet.gateways[at]).0.len(), 2);
    }
    // And then all of them.
    for gateway in &fleet.gateways[..2] {
        gateway.setup.bundle(&next);
    }
    for gateway in &fleet.gateways {
        eventually("they agree again", || (!degraded(gateway).contains("fleet:")).then_some(()));
        assert_eq!(minds(gateway).0.len(), 1);
    }
}
