//! The store's leader dies, a member is cut off, and all of it is gone: what was granted ends all the same.

use std::time::{Duration, Instant};

use gatepass_tests::eventually;
use gatepass_tests::trouble::Trouble;
use serde_json::json;

use super::{Fleet, locked};

#[test]
fn the_drill_with_the_leader_killed_in_the_middle() {
    let mut fleet = Fleet::new();
    let id = fleet.requested(8);
    let leader = fleet.cluster.leader();
    fleet.cluster.kill(leader);
    let killed = Instant::now();
    let (bob, second) = (fleet.gateways[1].operator("bob"), &fleet.gateways[1]);
    let path = format!("/v1/grants/{id}/approve");
    eventually("it is approved", || (bob.post(second, &path, &json!({})).0 == 200).then_some(()));
    let approved = Instant::now();
    assert!(approved - killed < Duration::from_secs(6), "{:?}", approved - killed);
    let took = fleet.until(200);
    assert!(took < Duration::from_secs(6), "effective after {took:?}");
    let tunnels = fleet.tunnels();
    fleet.cut(&tunnels, &id);
    let lived = approved.elapsed();
    assert!(lived < Duration::from_secs(9), "all are cut after {lived:?}");
    assert!(fleet.until(403) < Duration::from_secs(1));
}

#[test]
fn a_grant_ends_at_its_time_with_the_whole_store_gone() {
    let mut fleet = Fleet::new();
    let id = fleet.granted(5);
    let granted = Instant::now();
    fleet.until(200);
    let tunnels = fleet.tunnels();
    (0..3).for_each(|member| fleet.cluster.kill(member));
    eventually("it is told that the store is gone", || {
        fleet.gateways[0].log().contains("the store cannot be reached").then_some(())
    });
    fleet.cut(&tunnels, &id);
    let lived = granted.elapsed();
    assert!(lived > Duration::from_secs(4) && lived < Duration::from_secs(6), "{lived:?}");
    // One that starts now knows what it knew, and says so.
    fleet.gateways[0].signal("KILL");
    fleet.gateways[0].wait();
    let again = fleet.gateways[0].start_again();
    assert_eq!(again.client().connect(&format!("site.test:{}", fleet.origin.port())).status, 403);
    let ready = again.operator("vera").get(&again, "/ready").1;
    assert!(ready["degraded"].to_string().contains("the store"), "{ready}");
}

const MODES: &str = "modes:\n  quiet: {allow_when: 'destination.port == 1'}\n  lockdown: {allow_when: \"false\"}\n";

#[test]
fn a_gateway_that_cannot_record_still_ends_and_contains_and_opens_nothing() {
    let fleet = Fleet::of(|port| locked(port).platform(MODES));
    let id = fleet.granted(60);
    fleet.until(200);
    let (first, alice) = (&fleet.gateways[0], fleet.gateways[0].operator("alice"));
    let trouble = Trouble::with(first.process(), &["pwrite64:error=ENOSPC"]);
    eventually("nothing more is granted there", || {
        (alice.post(first, "/v1/grants", &fleet.asked(61)).0 == 503).then_some(())
    });
    let set = |mode: &str| alice.put(first, "/v1/mode", &json!({"mode": mode, "reason": "the disk is full, and more"}));
    assert_eq!(set("quiet").0, 200, "what narrows goes on");
    assert_eq!(set("lockdown").0, 200, "and what narrows more");
    for wider in ["normal", "quiet"] {
        let (status, problem) = set(wider);
        assert_eq!((status, &problem["status"]), (503, &503.into()), "{wider}: {problem}");
    }
    let soon = json!({"mode": "lockdown", "reason": "the disk is full, and more", "ttl": 1});
    assert_eq!(alice.put(first, "/v1/mode", &soon).0, 503, "an early end opens, too");
    let (status, ended) = alice.delete(first, &format!("/v1/grants/{id}"));
    assert_eq!((status, &ended["status"]), (200, &"revoked".into()), "{ended}");
    for gateway in &fleet.gateways[1..] {
        let of = gateway.operator("vera");
        eventually("the others are contained", || (of.get(gateway, "/v1/mode").1["mode"] == "lockdown").then_some(()));
        eventually("the others know its end", || {
            (of.get(gateway, &format!("/v1/grants/{id}")).1["status"] == "revoked").then_some(())
        });
    }
    assert!(first.log().contains("could not be recorded"), "{}", first.log());
    drop(trouble);
    eventually("it records again, and may open again", || (set("normal").0 == 200).then_some(()));
}

#[test]
fn without_the_store_a_grant_is_local_and_needs_a_second_person() {
    let mut fleet = Fleet::new();
    (0..3).for_each(|member| fleet.cluster.kill(member));
    let (first, alice) = (&fleet.gateways[0], fleet.gateways[0].operator("alice"));
    let code = format!("Gatepass-Totp: {}\r\n", gatepass_tests::operators::code(0));
    let (status, grant) = alice.ask(first, "POST /v1/grants", &code, Some(&fleet.asked(60)));
    assert_eq!(status, 201, "{grant}");
    assert_eq!(
        (&grant["scope"], &grant["status"]),
        (&"local".into(), &"pending".into()),
        "a code alone does not do: {grant}"
    );
    assert_eq!(fleet.attempt(0), 403);
    let path = format!("/v1/grants/{}/approve", grant["id"].as_str().unwrap());
    assert_eq!(alice.post(first, &path, &json!({})).0, 403);
    let (status, grant) = first.operator("bob").post(first, &path, &json!({}));
    assert_eq!((status, &grant["status"]), (200, &"active".into()), "{grant}");
    assert_eq!((fleet.attempt(0), fleet.attempt(1), fleet.attempt(2)), (200, 403, 403));
    // It is there after a restart, and so is its end.
    fleet.gateways[0].signal("KILL");
    fleet.gateways[0].wait();
    let again = fleet.gateways[0].start_again();
    assert_eq!(again.client().connect(&format!("site.test:{}", fleet.origin.port())).status, 200);
}
