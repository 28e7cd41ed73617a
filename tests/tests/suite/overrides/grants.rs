//! Break-glass: who may ask, what is refused, and what holds only when a second factor says so.

use std::collections::BTreeSet;

use gatepass_tests::operators::code;
use gatepass_tests::trouble::Trouble;
use gatepass_tests::{Setup, eventually};
use serde_json::{Value, json};

use super::{World, locked};

/// With a code of the authenticator.
fn with_code(code: &str) -> String {
    format!("Gatepass-Totp: {code}\r\n")
}

#[test]
fn a_second_person_lets_it_begin_and_its_story_is_told() {
    let world = World::new(locked);
    assert_eq!(world.attempt("site.test"), 403);
    let (status, grant) = world.who("alice").post(&world.gateway, "/v1/grants", &world.asked(60));
    assert_eq!((status, &grant["status"], &grant["needs_approval"]), (201, &"pending".into(), &true.into()), "{grant}");
    assert_eq!(world.attempt("site.test"), 403, "what waits opens nothing");
    let id = grant["id"].as_str().unwrap();
    let (status, grant) = world.who("bob").post(&world.gateway, &format!("/v1/grants/{id}/approve"), &json!({}));
    assert_eq!((status, &grant["status"]), (200, &"active".into()), "{grant}");
    let (mut client, decision) = world.tunnel("site.test");
    let record = world.gateway.decision(&decision);
    assert_eq!((&record["reason"]["code"], &record["grant"]), (&"grant".into(), &id.into()), "{record}");
    assert_eq!(world.attempt("other.test"), 403, "it covers one host");

    let told: Vec<String> = world.acts("grant").into_iter().map(|(action, _)| action).collect();
    assert_eq!(told, ["requested", "approved", "used"]);
    let approved = &world.acts("grant")[1].1;
    assert_eq!((&approved["grant"], &approved["operator"]["person"]), (&id.into(), &"bob@example.com".into()));
    assert_eq!(approved["details"]["requested_by"], "alice@example.com");

    let (status, ended) = world.who("bob").delete(&world.gateway, &format!("/v1/grants/{id}"));
    assert_eq!((status, &ended["status"]), (200, &"revoked".into()), "{ended}");
    let close = world.gateway.close(&decision);
    assert_eq!((&close["ending"], &close["cut_by"]), (&"grant_ended".into(), &format!("grant/{id}").into()), "{close}");
    assert!(!client.try_echo(b"more"), "the tunnel is cut");
    assert_eq!(world.attempt("site.test"), 403);
    eventually("the end is recorded", || world.acts("grant").iter().any(|(action, _)| action == "ended").then_some(()));

    // What was done under it is there to be looked at, and somebody else has to.
    let review = format!("/v1/grants/{id}/review");
    assert_eq!(world.who("alice").post(&world.gateway, &review, &json!({})).0, 403);
    let (status, reviewed) = world.who("carol").post(&world.gateway, &review, &json!({"note": "as agreed"}));
    assert_eq!(status, 200, "{reviewed}");
    let used = &reviewed["uses"][0]["uses"][0];
    assert_eq!((&used["host"], &used["connections"]), (&"site.test".into(), &1.into()), "{reviewed}");
    assert_eq!((&used["bytes_sent"], &used["bytes_received"]), (&4.into(), &4.into()), "{reviewed}");
    assert_eq!(world.who("bob").post(&world.gateway, &review, &json!({})).0, 409, "once");
}

#[test]
fn a_code_of_the_authenticator_is_a_second_factor_and_counts_once() {
    let world = World::new(locked);
    let alice = world.who("alice");
    let now = code(0);
    let (status, grant) = alice.ask(&world.gateway, "POST /v1/grants", &with_code(&now), Some(&world.asked(60)));
    assert_eq!((status, &grant["status"], &grant["totp"]), (201, &"active".into(), &true.into()), "{grant}");
    assert_eq!(world.attempt("site.test"), 200);
    let mut other = world.asked(61);
    other["reason"] = "once more".into();
    let (status, refused) = alice.ask(&world.gateway, "POST /v1/grants", &with_code(&now), Some(&other));
    assert_eq!(status, 403, "the same code again: {refused}");
    // The same person by another certificate has used it, too.
    let twin = world.who("alice-old");
    assert_eq!(twin.ask(&world.gateway, "POST /v1/grants", &with_code(&now), Some(&other)).0, 403);
    assert_eq!(alice.ask(&world.gateway, "POST /v1/grants", &with_code("000000"), Some(&other)).0, 403);
}

#[test]
fn a_code_that_was_used_is_used_after_a_restart_and_so_is_a_nonce() {
    let mut world = World::new(locked);
    let now = code(0);
    let mut asked = world.asked(60);
    asked["nonce"] = "0123456789abcdef".into();
    let fields = with_code(&now);
    let (status, grant) = world.who("alice").ask(&world.gateway, "POST /v1/grants", &fields, Some(&asked));
    assert_eq!(status, 201, "{grant}");
    world.gateway.signal("KILL");
    world.gateway.wait();
    let gateway = world.gateway.start_again();
    assert_eq!(world.who("alice").ask(&gateway, "POST /v1/grants", &fields, Some(&asked)).0, 403, "the code");
    let (status, told) = world.who("alice").post(&gateway, "/v1/grants", &asked);
    assert_eq!(status, 409, "the nonce: {told}");
}

#[test]
fn a_hundred_identical_requests_at_once_are_one_grant_and_one_record() {
    let world =
        World::of(Setup::new().section("limits: {override_requests_per_minute: 1000, admin_connections: 200}"), locked);
    let (alice, asked) = (world.who("alice"), world.asked(60));
    let answers: Vec<(u16, Value)> = std::thread::scope(|scope| {
        let ask = |_| scope.spawn(|| alice.post(&world.gateway, "/v1/grants", &asked));
        let askers: Vec<_> = (0..100).map(ask).collect();
        askers.into_iter().map(|asker| asker.join().unwrap()).collect()
    });
    let ids: BTreeSet<&str> = answers.iter().filter_map(|(_, grant)| grant["id"].as_str()).collect();
    assert_eq!(ids.len(), 1, "{answers:?}");
    assert!(answers.iter().all(|(status, _)| [201, 409].contains(status)), "{answers:?}");
    let (_, listed) = world.who("vera").get(&world.gateway, "/v1/grants");
    assert_eq!(listed["grants"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(world.acts("grant").len(), 1);
}

#[test]
fn who_shows_no_certificate_or_has_not_the_role_asks_in_vain() {
    let world = World::new(locked);
    for name in ["carol", "vera"] {
        let (status, refused) = world.who(name).post(&world.gateway, "/v1/grants", &world.asked(60));
        assert_eq!(status, 403, "{name}: {refused}");
    }
    assert!(world.acts("grant").is_empty());
    let called = world.acts("admin");
    assert!(
        called.iter().any(|(action, record)| action == "called" && record["details"]["status"] == 403),
        "{called:?}"
    );
}

#[test]
fn a_length_that_is_none_or_beyond_the_ceiling_is_refused() {
    let world = World::new(locked);
    let alice = world.who("alice");
    for ttl in [
        json!(18_446_744_073_709_551_615u64),
        json!(-1),
        json!(0),
        json!(1e99),
        json!("1h"),
        json!("9223372036854775807s"),
        Value::Null,
        json!(3601),
    ] {
        let mut asked = world.asked(60);
        asked["ttl"] = ttl.clone();
        let (status, problem) = alice.post(&world.gateway, "/v1/grants", &asked);
        assert_eq!((status, &problem["errors"][0]["field"]), (400, &"ttl".into()), "{ttl}: {problem}");
    }
    let mut asked = world.asked(60);
    asked.as_object_mut().unwrap().remove("ttl");
    assert_eq!(alice.post(&world.gateway, "/v1/grants", &asked).0, 400);
    assert_eq!(alice.post(&world.gateway, "/v1/grants", &world.asked(3600)).0, 201);
}

#[test]
fn what_is_covered_is_named_and_is_never_everything() {
    let world = World::new(locked);
    let alice = world.who("alice");
    for (field, value) in [
        ("destinations", json!(["*:443"])),
        ("destinations", json!([":443"])),
        ("destinations", json!(["*.:443"])),
        ("destinations", json!(["site.test:0"])),
        ("destinations", json!(["site.test"])),
        ("destinations", json!(["si\u{0}te.test:443"])),
        ("destinations", json!(["0.0.0.0/0:443"])),
        ("destinations", json!(["169.254.169.254:80"])),
        ("destinations", json!(["a.test:443", "b.test:80"])),
        ("destinations", json!([])),
        ("identities", json!([])),
        ("identities", json!(["spiffe://corp.example/ns/{n}"])),
        ("data_classes", json!(["nuclear"])),
        ("reason", json!("")),
        ("reason", json!("x")),
        ("nonce", json!("short")),
    ] {
        let mut asked = world.asked(60);
        asked[field] = value.clone();
        let (status, problem) = alice.post(&world.gateway, "/v1/grants", &asked);
        let told = problem["errors"][0]["field"].as_str().unwrap_or_default();
        assert_eq!(status, 400, "{field} {value}: {problem}");
        assert!(told.starts_with(field), "{field} {value}: {problem}");
    }
    for field in ["identities", "destinations", "reason"] {
        let mut asked = world.asked(60);
        asked.as_object_mut().unwrap().remove(field);
        assert_eq!(alice.post(&world.gateway, "/v1/grants", &asked).0, 400, "{field}");
    }
    assert!(world.acts("grant").is_empty());
}

#[test]
fn metadata_stays_shut_under_a_grant_for_its_name() {
    let world = World::new(locked);
    world.gateway.setup.resolver.answer("meta.test", &["169.254.169.254"]);
    let mut asked = world.asked(60);
    asked["destinations"] = json!(["meta.test:80"]);
    let fields = with_code(&code(0));
    assert_eq!(world.who("alice").ask(&world.gateway, "POST /v1/grants", &fields, Some(&asked)).0, 201);
    let reply = world.gateway.client().connect("meta.test:80");
    assert_eq!(reply.status, 403);
    assert_eq!(world.gateway.decision(&reply.id())["reason"]["code"], "address_floor");
}

#[test]
fn without_evidence_there_is_no_grant() {
    let world = World::of(Setup::new().section("limits: {evidence_commit_timeout: 500ms}"), locked);
    let held = world.granted(60);
    let (_, waiting) = {
        let mut asked = world.asked(61);
        asked["reason"] = "another one".into();
        world.who("alice").post(&world.gateway, "/v1/grants", &asked)
    };
    let path = format!("/v1/grants/{}/approve", waiting["id"].as_str().unwrap());
    let trouble = Trouble::with(world.gateway.process(), &["pwrite64:error=ENOSPC"]);
    eventually("the spool fails", || {
        let (status, _) = world.who("bob").post(&world.gateway, &path, &json!({}));
        assert_ne!(status, 200, "it was approved without evidence");
        world.gateway.log().contains("the spool cannot be written to").then_some(())
    });
    let (status, _) = world.who("bob").post(&world.gateway, &path, &json!({}));
    assert_eq!(status, 503);
    let (_, listed) = world.who("vera").get(&world.gateway, "/v1/grants");
    let active = |listed: &Value| {
        listed["grants"].as_array().unwrap().iter().filter(|grant| grant["status"] == "active").count()
    };
    assert_eq!(active(&listed), 1, "{listed}");
    drop(trouble);
    eventually("the spool takes records again", || {
        world.gateway.log().contains("the spool takes records again").then_some(())
    });
    assert_eq!(world.who("bob").delete(&world.gateway, &format!("/v1/grants/{held}")).0, 200);
    assert_eq!(world.who("bob").post(&world.gateway, &path, &json!({})).0, 200, "what waited can be approved now");
}

#[test]
fn one_person_is_told_to_wait_and_another_is_not() {
    let world = World::of(Setup::new().section("limits: {override_requests_per_minute: 3}"), locked);
    let mut statuses = Vec::new();
    for n in 0..5 {
        let mut asked = world.asked(60 + n);
        asked["reason"] = format!("request {n}").into();
        let name = if n % 2 == 0 { "alice" } else { "alice-old" };
        statuses.push(world.who(name).post(&world.gateway, "/v1/grants", &asked).0);
    }
    assert_eq!(statuses, [201, 201, 201, 429, 429]);
    assert_eq!(world.who("bob").post(&world.gateway, "/v1/grants", &world.asked(60)).0, 201);
}

#[test]
fn a_drill_works_like_any_other_and_is_marked() {
    let world = World::new(locked);
    let mut asked = world.asked(60);
    asked["drill"] = true.into();
    let (status, grant) = world.who("alice").ask(&world.gateway, "POST /v1/grants", &with_code(&code(0)), Some(&asked));
    assert_eq!((status, &grant["drill"]), (201, &true.into()), "{grant}");
    assert_eq!(world.attempt("site.test"), 200);
    let acts = world.acts("grant");
    assert!(acts.iter().all(|(_, record)| record["drill"] == true), "{acts:?}");
    assert!(acts[0].1["reason"]["text"].as_str().unwrap().starts_with("exercise: "), "{acts:?}");
}
