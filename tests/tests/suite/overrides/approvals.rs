//! Two people: who approves, and who does not.

use gatepass_tests::eventually;
use serde_json::json;

use super::{World, locked};

#[test]
fn nobody_approves_their_own_by_whatever_certificate() {
    let world = World::new(locked);
    let (_, grant) = world.who("alice").post(&world.gateway, "/v1/grants", &world.asked(60));
    let path = format!("/v1/grants/{}/approve", grant["id"].as_str().unwrap());
    for name in ["alice", "alice-old"] {
        let (status, refused) = world.who(name).post(&world.gateway, &path, &json!({}));
        assert_eq!(status, 403, "{name}: {refused}");
    }
    assert_eq!(world.who("vera").post(&world.gateway, &path, &json!({})).0, 403, "a viewer");
    assert_eq!(world.attempt("site.test"), 403);
    assert_eq!(world.who("carol").post(&world.gateway, &path, &json!({})).0, 200);
    assert_eq!(world.attempt("site.test"), 200);
    assert_eq!(world.who("bob").post(&world.gateway, &path, &json!({})).0, 409, "it holds already");
}

#[test]
fn of_many_who_approve_at_once_one_lets_it_begin() {
    let world = World::new(locked);
    let (_, grant) = world.who("alice").post(&world.gateway, "/v1/grants", &world.asked(60));
    let path = format!("/v1/grants/{}/approve", grant["id"].as_str().unwrap());
    let people = [world.who("bob"), world.who("carol")];
    std::thread::scope(|scope| {
        for at in 0..8 {
            let (who, path, gateway) = (&people[at % 2], &path, &world.gateway);
            scope.spawn(move || who.post(gateway, path, &json!({})));
        }
    });
    let approved = || world.acts("grant").into_iter().filter(|(action, _)| action == "approved").count();
    // Standard output tells of a record a moment after it stands.
    eventually("its beginning is told", || (approved() > 0).then_some(()));
    assert_eq!(world.attempt("site.test"), 200);
    assert_eq!(approved(), 1);
}

#[test]
fn the_policy_says_which_factor_and_who_approves() {
    let bundle = |terms: &'static str| move |port: u16| locked(port).platform(terms);
    let world = World::new(bundle("grants: {second_factor: approval, approvers: [carol]}\n"));
    let fields = format!("Gatepass-Totp: {}\r\n", gatepass_tests::operators::code(0));
    let (status, grant) = world.who("alice").ask(&world.gateway, "POST /v1/grants", &fields, Some(&world.asked(60)));
    assert_eq!((status, &grant["status"]), (201, &"pending".into()), "a code alone does not do: {grant}");
    let path = format!("/v1/grants/{}/approve", grant["id"].as_str().unwrap());
    assert_eq!(world.who("bob").post(&world.gateway, &path, &json!({})).0, 403);
    assert_eq!(world.who("carol").post(&world.gateway, &path, &json!({})).0, 200);

    let world = World::new(bundle("grants: {data_classes: {unclassified: totp}}\n"));
    let (status, refused) = world.who("alice").post(&world.gateway, "/v1/grants", &world.asked(60));
    assert_eq!(status, 403, "an approval alone does not do: {refused}");
}

#[test]
fn what_was_denied_or_waited_too_long_cannot_be_approved() {
    let world = World::new(locked);
    let (_, grant) = world.who("alice").post(&world.gateway, "/v1/grants", &world.asked(60));
    let id = grant["id"].as_str().unwrap();
    let (status, denied) = world.who("carol").delete(&world.gateway, &format!("/v1/grants/{id}?reason=not%20now"));
    assert_eq!((status, &denied["revoked"]["reason"]), (200, &"not now".into()), "{denied}");
    assert_eq!(world.who("bob").post(&world.gateway, &format!("/v1/grants/{id}/approve"), &json!({})).0, 409);
    assert_eq!(world.who("bob").post(&world.gateway, "/v1/grants/nothing/approve", &json!({})).0, 404);
    assert_eq!(world.attempt("site.test"), 403);
}

#[test]
fn what_the_policy_asks_for_by_the_time_of_the_approval_is_asked_for() {
    let world = World::new(locked);
    let (_, asked) = world.who("alice").post(&world.gateway, "/v1/grants", &world.asked(60));
    let stricter = locked(world.origin.port()).platform("grants: {second_factor: both}\n");
    for (name, text) in stricter.files() {
        world.gateway.setup.scratch.write(&format!("policy/{name}"), text);
    }
    gatepass_tests::eventually("the stricter policy is in force", || {
        let told = world.gateway.records();
        (told.iter().filter(|record| record["kind"] == "policy").count() > 1).then_some(())
    });
    let approve = format!("/v1/grants/{}/approve", asked["id"].as_str().unwrap());
    let (status, refused) = world.who("bob").post(&world.gateway, &approve, &json!({}));
    assert_eq!(status, 409, "{refused}");
    assert_eq!(world.attempt("site.test"), 403);
}
