//! Every override ends: at its time, whatever happens to the gateway and its clock, and never later.

use std::time::{Duration, Instant};

use gatepass_tests::eventually;

use super::{World, locked};

#[test]
fn a_grant_that_ends_cuts_its_tunnels_within_a_second() {
    let world = World::new(locked);
    let granted = Instant::now();
    let id = world.granted(2);
    let (mut client, decision) = world.tunnel("site.test");
    let close = world.gateway.close(&decision);
    let lived = granted.elapsed();
    assert!(lived >= Duration::from_millis(1900) && lived < Duration::from_millis(3000), "{lived:?}");
    assert_eq!((&close["ending"], &close["cut_by"]), (&"grant_ended".into(), &format!("grant/{id}").into()), "{close}");
    assert!(!client.try_echo(b"more"));
    assert_eq!(world.attempt("site.test"), 403);
    let (_, grant) = world.who("vera").get(&world.gateway, &format!("/v1/grants/{id}"));
    assert_eq!(grant["status"], "ended", "{grant}");
}

#[test]
fn a_gateway_that_dies_during_a_grant_ends_it_at_its_time() {
    let mut world = World::new(locked);
    let granted = Instant::now();
    let id = world.granted(4);
    world.gateway.signal("KILL");
    world.gateway.wait();
    let gateway = world.gateway.start_again();
    let port = world.origin.port();
    let attempt = || gateway.client().connect(&format!("site.test:{port}")).status;
    assert_eq!(attempt(), 200, "it holds on");
    eventually("it ends", || (attempt() == 403).then_some(()));
    let lived = granted.elapsed();
    assert!(lived >= Duration::from_millis(3900) && lived < Duration::from_millis(5000), "{lived:?}");
    eventually("its end is recorded", || {
        let ended = |record: &serde_json::Value| {
            record["kind"] == "grant" && record["action"] == "ended" && record["grant"] == id.as_str()
        };
        gateway.records().iter().any(ended).then_some(())
    });
}

#[test]
fn what_ended_while_nobody_ran_stays_over_and_is_told() {
    let mut world = World::new(locked);
    let id = world.granted(1);
    world.gateway.signal("KILL");
    world.gateway.wait();
    std::thread::sleep(Duration::from_millis(1100));
    let gateway = world.gateway.start_again();
    assert_eq!(gateway.client().connect(&format!("site.test:{}", world.origin.port())).status, 403);
    eventually("its end is recorded", || {
        let ended = |record: &serde_json::Value| record["action"] == "ended" && record["grant"] == id.as_str();
        gateway.records().iter().any(ended).then_some(())
    });
}
