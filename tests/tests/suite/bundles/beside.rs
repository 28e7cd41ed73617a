//! A candidate bundle beside the policy: told of where it differs, and never heeded.

use gatepass_tests::{Bundle, Gateway, Origin, Setup, eventually};

use super::{Office, admin, metric, operator, ready};

struct World {
    origin: Origin,
    gateway: Gateway,
}

impl World {
    /// `kept.test` under both, `lost.test` under the policy alone, `gained.test` under the candidate alone.
    fn new(archive: bool) -> World {
        let setup = Setup::new().section(&operator());
        let origin = Origin::echo();
        let port = origin.port();
        for host in ["kept.test", "lost.test", "gained.test"] {
            setup.resolver.answer(host, &["127.0.0.1"]);
        }
        let next = Bundle::new().allow("kept", "kept.test", &[port]).allow("gained", "gained.test", &[port]);
        let path = match archive {
            false => {
                next.files().iter().for_each(|(name, text)| drop(setup.scratch.write(&format!("next/{name}"), text)));
                "./next"
            }
            true => {
                // Nobody has signed it yet: that is what it is rehearsed for.
                setup.scratch.write("next.gpb", Office::new().release(&next, 8, super::LATER, &[]));
                "next.gpb"
            }
        };
        let live = Bundle::new().allow("kept", "kept.test", &[port]).allow("lost", "lost.test", &[port]);
        let section = format!("policy: {{bundle: ./policy, candidate: {path}}}");
        World { origin, gateway: setup.section(&section).start(&live) }
    }

    fn decided(&self, host: &str) -> (u16, serde_json::Value) {
        let reply = self.gateway.client().connect(&format!("{host}:{}", self.origin.port()));
        (reply.status, self.gateway.decision(&reply.id()))
    }
}

fn policy(gateway: &Gateway) -> serde_json::Value {
    serde_json::from_str(&admin(gateway, "/v1/policy").body).unwrap()
}

#[test]
fn a_candidate_is_told_of_where_it_differs_and_decides_nothing() {
    let world = World::new(false);
    let (status, record) = world.decided("kept.test");
    assert_eq!((status, record.get("candidate")), (200, None));

    let (status, record) = world.decided("lost.test");
    let candidate = &record["candidate"];
    assert_eq!((status, record["effect"].as_str(), candidate["effect"].as_str()), (200, Some("allow"), Some("deny")));
    // Everything is on loopback here, which opens only for a rule that names it.
    assert_eq!((candidate["reason"].as_str(), candidate.get("rule")), (Some("address_floor"), None));
    assert_ne!(candidate["digest"], record["policy"]["digest"]);

    // Refused before the name was asked for: what the candidate would have made of the answer is not known.
    let (status, record) = world.decided("gained.test");
    assert_eq!((status, record["reason"]["code"].as_str()), (403, Some("no_rule")));
    assert_eq!((record["candidate"]["effect"].as_str(), record["candidate"].get("reason")), (Some("pending"), None));

    let count = |from, to| {
        let line = format!("gatepass_policy_candidate_differs_total{{from=\"{from}\",to=\"{to}\"}}");
        metric(&world.gateway, &line)
    };
    assert_eq!((count("allow", "deny"), count("deny", "pending")), (Some("1".into()), Some("1".into())));
    assert_eq!((count("deny", "allow"), count("allow", "pending")), (Some("0".into()), Some("0".into())));
    let told = policy(&world.gateway);
    assert_eq!(told["candidate"]["digest"], record["candidate"]["digest"]);
    // The spool has it as the stream has.
    let spooled = world.gateway.exported();
    assert!(spooled.iter().any(|spooled| spooled["id"] == record["id"] && spooled["candidate"] == record["candidate"]));
}

#[test]
fn an_unsigned_archive_can_be_the_candidate() {
    let world = World::new(true);
    let (status, record) = world.decided("lost.test");
    assert_eq!((status, record["candidate"]["serial"].as_u64()), (200, Some(8)));
}

#[test]
fn a_candidate_that_is_broken_is_told_of_and_stops_nothing() {
    let setup = Setup::new().section(&operator());
    setup.scratch.write("next/bundle.yaml", "kind: Bundle\n");
    setup.resolver.answer("kept.test", &["127.0.0.1"]);
    let origin = Origin::echo();
    let live = Bundle::new().allow("kept", "kept.test", &[origin.port()]);
    let gateway = setup.section("policy: {bundle: ./policy, candidate: ./next}").start(&live);
    assert!(gateway.log().contains("candidate: it cannot be used, and decides nothing"), "{}", gateway.log());
    let told = ready(&gateway);
    assert_eq!(told["ready"], true);
    assert!(told["degraded"].to_string().contains("the candidate bundle on disk is refused"), "{told}");
    let told = policy(&gateway);
    assert!(told["candidate"]["last_error"].is_string(), "{told}");
    let world = World { origin, gateway };
    let (status, record) = world.decided("kept.test");
    assert_eq!((status, record.get("candidate")), (200, None));

    // Mended, it decides beside the policy without a restart.
    let files = Bundle::new().files();
    files.iter().for_each(|(name, text)| drop(world.gateway.setup.scratch.write(&format!("next/{name}"), text)));
    eventually("the candidate differs", || {
        (world.decided("kept.test").1["candidate"]["effect"] == "deny").then_some(())
    });
    assert_eq!(admin(&world.gateway, "/ready").status, 200);
    assert!(!ready(&world.gateway)["degraded"].to_string().contains("candidate"));
}
