//! Two operators at two gateways say the opposite at once: every gateway ends up with the same word, and it is the later one.

use gatepass_tests::eventually;
use serde_json::{Value, json};

use super::Fleet;

#[test]
fn a_grant_that_is_taken_back_while_it_is_approved_comes_back_nowhere() {
    let fleet = Fleet::new();
    let carol = fleet.gateways[2].operator("carol");
    for round in 0..8 {
        let (alice, first) = (fleet.gateways[0].operator("alice"), &fleet.gateways[0]);
        let mut asked = fleet.asked(600);
        asked["reason"] = format!("round {round}").into();
        let (status, grant) = alice.post(first, "/v1/grants", &asked);
        assert_eq!(status, 201, "{grant}");
        let id = grant["id"].as_str().unwrap().to_owned();
        let path = format!("/v1/grants/{id}");
        std::thread::scope(|scope| {
            // In vain, where the other was faster.
            scope.spawn(|| {
                eventually("it is decided on", || {
                    let (status, told) = fleet.gateways[1].operator("bob").post(
                        &fleet.gateways[1],
                        &format!("{path}/approve"),
                        &json!({}),
                    );
                    assert!([200, 404, 409].contains(&status), "{status} {told}");
                    (status != 404).then_some(())
                });
            });
            // It is taken back as soon as it can be, in the middle of what the other gateway writes.
            scope.spawn(|| {
                eventually("it is taken back", || {
                    let (status, told) = carol.delete(&fleet.gateways[2], &path);
                    assert!([200, 404, 409].contains(&status), "{status} {told}");
                    (status == 200 || told["detail"].to_string().contains("revoked")).then_some(())
                });
            });
        });
        let status = |at: usize| -> Value {
            fleet.gateways[at].operator("vera").get(&fleet.gateways[at], &path).1["status"].clone()
        };
        eventually("all have heard of it", || (0..3).all(|at| status(at) == "revoked").then_some(()));
        fleet.until(403);
        let (_, told) =
            fleet.gateways[1].operator("bob").post(&fleet.gateways[1], &format!("{path}/approve"), &json!({}));
        assert!(told["detail"].to_string().contains("revoked"), "{told}");
    }
}

#[test]
fn a_gateway_that_was_away_lets_nothing_pass_that_was_taken_back_or_contained_meanwhile() {
    let mut fleet = Fleet::new();
    let id = fleet.granted(600);
    fleet.until(200);
    fleet.gateways[0].signal("KILL");
    fleet.gateways[0].wait();
    let (carol, third) = (fleet.gateways[2].operator("carol"), &fleet.gateways[2]);
    assert_eq!(carol.delete(third, &format!("/v1/grants/{id}")).0, 200);
    let again = fleet.gateways[0].start_again();
    let attempt = || again.client().connect(&format!("site.test:{}", fleet.origin.port())).status;
    for _ in 0..20 {
        assert_eq!(attempt(), 403);
    }
}
