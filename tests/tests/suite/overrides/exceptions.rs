//! Exceptions: asked for where somebody was denied, decided by somebody else, and over by themselves.

use gatepass_tests::{Bundle, Setup, eventually};
use serde_json::{Value, json};

use super::{World, locked};

fn lifting(world: &World, seconds: u64) -> Value {
    let mut asked = world.asked(seconds);
    asked["lifts"] = "guard/locked".into();
    asked
}

#[test]
fn an_exception_waits_holds_and_ends_by_itself() {
    let world = World::new(locked);
    let (status, asked) = world.who("vera").post(&world.gateway, "/v1/exceptions", &lifting(&world, 2));
    assert_eq!((status, &asked["status"]), (201, &"pending".into()), "{asked}");
    let id = asked["id"].as_str().unwrap();
    assert_eq!(world.attempt("site.test"), 403);
    let (status, again) = world.who("vera").post(&world.gateway, "/v1/exceptions", &lifting(&world, 2));
    assert_eq!((status, &again["id"]), (201, &id.into()), "the same request is the same");
    let approve = format!("/v1/exceptions/{id}/approve");
    assert_eq!(world.who("vera").post(&world.gateway, &approve, &json!({})).0, 403);
    let (status, approved) = world.who("bob").post(&world.gateway, &approve, &json!({}));
    assert_eq!((status, &approved["status"]), (200, &"active".into()), "{approved}");
    let (mut client, decision) = world.tunnel("site.test");
    let close = world.gateway.close(&decision);
    assert_eq!(close["ending"], "expired", "{close}");
    assert!(!client.try_echo(b"more"));
    assert_eq!(world.attempt("site.test"), 403);
    eventually("the end is recorded", || {
        world.acts("exception").iter().any(|(action, _)| action == "ended").then_some(())
    });
    let told: Vec<String> = world.acts("exception").into_iter().map(|(action, _)| action).collect();
    assert_eq!(told.first().map(String::as_str), Some("requested"));
    assert!(told.contains(&"approved".to_owned()) && told.contains(&"reminded".to_owned()), "{told:?}");
}

#[test]
fn nobody_decides_on_their_own_and_the_policy_names_who_does() {
    let world = World::new(|port| locked(port).platform("exceptions: {approvers: [carol]}\n"));
    let (_, asked) = world.who("bob").post(&world.gateway, "/v1/exceptions", &lifting(&world, 60));
    let approve = format!("/v1/exceptions/{}/approve", asked["id"].as_str().unwrap());
    assert_eq!(world.who("bob").post(&world.gateway, &approve, &json!({})).0, 403);
    assert_eq!(world.who("alice").post(&world.gateway, &approve, &json!({})).0, 403);
    assert_eq!(world.who("carol").post(&world.gateway, &approve, &json!({})).0, 200);
}

#[test]
fn what_the_policy_does_not_take_is_refused_when_it_is_asked_for() {
    let world = World::new(|port| {
        Bundle::new()
            .allow("site", "site.test", &[port])
            .guardrail("  - {id: hard, action: deny, purpose: never, lifted_by: [], when: 'destination.port == 1'}\n")
    });
    let asked = |more: &[(&str, Value)]| {
        let mut asked = world.asked(60);
        more.iter().for_each(|(key, value)| asked[*key] = value.clone());
        world.who("vera").post(&world.gateway, "/v1/exceptions", &asked)
    };
    for (more, field) in [
        (vec![("lifts", json!("guard/hard"))], "lifts"),
        (vec![("lifts", json!("guard/none"))], "lifts"),
        (vec![("permits", json!("nobody"))], "permits"),
        (vec![("permits", json!("team")), ("lifts", json!("guard/hard"))], "lifts"),
        (vec![("ttl", json!(604_801))], "ttl"),
        (vec![("data_classes", json!(["nuclear"]))], "data_classes"),
    ] {
        let (status, problem) = asked(&more);
        assert_eq!((status, &problem["errors"][0]["field"]), (400, &field.into()), "{more:?}: {problem}");
    }
    let (status, made) = asked(&[]);
    assert_eq!((status, &made["permits"]), (201, &"team".into()), "the fragment that takes it is found: {made}");
}

#[test]
fn one_is_denied_and_one_is_withdrawn() {
    let world = World::of(Setup::new(), locked);
    let (_, first) = world.who("vera").post(&world.gateway, "/v1/exceptions", &lifting(&world, 60));
    let path = format!("/v1/exceptions/{}", first["id"].as_str().unwrap());
    let (status, denied) = world.who("carol").delete(&world.gateway, &format!("{path}?reason=no"));
    assert_eq!((status, &denied["status"]), (200, &"denied".into()), "{denied}");
    assert_eq!(world.who("bob").post(&world.gateway, &format!("{path}/approve"), &json!({})).0, 409);
    let (_, second) = world.who("vera").post(&world.gateway, "/v1/exceptions", &lifting(&world, 61));
    let path = format!("/v1/exceptions/{}", second["id"].as_str().unwrap());
    assert_eq!(world.who("carol").post(&world.gateway, &format!("{path}/approve"), &json!({})).0, 200);
    let (_client, decision) = world.tunnel("site.test");
    let (status, withdrawn) = world.who("bob").delete(&world.gateway, &path);
    assert_eq!((status, &withdrawn["status"]), (200, &"withdrawn".into()), "{withdrawn}");
    let close = world.gateway.close(&decision);
    assert_eq!((&close["ending"], &close["cut_by"]), (&"policy_changed".into(), &"guard/locked".into()), "{close}");
}
