//! Overrides under attack: requests that nobody meant, connections kept open past an end, deaths in the middle.

use std::collections::BTreeSet;
use std::time::Duration;

use gatepass_tests::identities::{basic, token};
use gatepass_tests::{Client, Origin, Setup, eventually};
use serde_json::{Value, json};

use super::{World, locked};

const TOKEN: &str = "a-long-enough-secret";
const OF_ANOTHER: &str = "another-long-secret";

/// What a workload sends to the reserved host.
fn post(fields: &str, body: &str) -> String {
    format!(
        "POST http://gatepass.internal/v1/exceptions HTTP/1.1\r\nHost: gatepass.internal\r\nAccept: application/json\r\n{fields}\r\n{body}"
    )
}

fn with_length(fields: &str, body: &Value) -> String {
    let body = body.to_string();
    post(&format!("Content-Length: {}\r\n{fields}", body.len()), &body)
}

fn world() -> World {
    World::of(Setup::new().tokens(&[token("a", TOKEN, 1), token("b", OF_ANOTHER, 1)]), locked)
}

fn wanted(world: &World) -> Value {
    json!({
        "destinations": [format!("site.test:{}", world.origin.port())], "data_classes": ["unclassified"],
        "reason": "it is needed", "lifts": "guard/locked", "ttl": 60,
    })
}

#[test]
fn nobody_asks_for_an_exception_in_the_name_of_another() {
    let world = world();
    let (json, who) = ("Content-Type: application/json\r\n", basic("a", TOKEN));
    let good = wanted(&world);
    let mut of_another = good.clone();
    of_another["identities"] = json!(["token:b"]);
    let long = json!({"reason": "x".repeat(20_000)});
    for (request, status) in [
        (with_length(&format!("{json}{who}Origin: http://evil.test\r\n"), &good), 403),
        (with_length(&format!("{json}{who}Origin: null\r\n"), &good), 403),
        (with_length(&format!("{json}{who}Sec-Fetch-Site: cross-site\r\n"), &good), 403),
        (with_length(&format!("{json}{who}Sec-Fetch-Site: same-origin\r\n"), &good), 403),
        (with_length(&format!("Content-Type: text/plain\r\n{who}"), &good), 415),
        (with_length(&who, &good), 415),
        (with_length(json, &good), 403),
        (with_length(&format!("{json}{}", basic("a", "wrong-secret-of-this")), &good), 407),
        (with_length(&format!("{json}{who}"), &of_another), 400),
        (with_length(&format!("{json}{who}"), &long), 413),
        (with_length(&format!("{json}{who}"), &json!({"approved": true})), 400),
        (with_length(&format!("{json}{who}"), &json!([])), 400),
        (post(&format!("{json}{who}Transfer-Encoding: chunked\r\n"), "2\r\n{}\r\n0\r\n\r\n"), 411),
        (post(&format!("{json}{who}"), ""), 411),
    ] {
        let mut client = world.gateway.client();
        client.say(&request);
        let reply = client.reply().unwrap();
        assert_eq!(reply.status, status, "{request}\n{}", reply.body);
    }
    assert!(world.acts("exception").is_empty());
    let (_, listed) = world.who("vera").get(&world.gateway, "/v1/exceptions");
    assert_eq!(listed["exceptions"], json!([]), "{listed}");
}

#[test]
fn what_follows_a_request_for_an_exception_is_not_another_request() {
    let world = world();
    let fields = format!("Content-Type: application/json\r\n{}", basic("a", TOKEN));
    let mut client = world.gateway.client();
    client.say(with_length(&fields, &wanted(&world)) + &with_length(&fields, &json!({"reason": "smuggled"})));
    let reply = client.reply().unwrap();
    assert_eq!(reply.status, 200, "{}", reply.body);
    let asked: Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!((&asked["status"], &asked["identities"]), (&"pending".into(), &json!(["token:a"])), "{asked}");
    assert_eq!(client.rest(), b"", "the connection ends with the answer");
    // It opens nothing by itself, and nobody else learns what became of it.
    let site = format!("site.test:{}", world.origin.port());
    assert_eq!(world.gateway.client().connect_with(&site, &basic("a", TOKEN)).unwrap().status, 403);
    let path = format!("http://gatepass.internal/v1/exceptions/{}", asked["id"].as_str().unwrap());
    let look = |who: &str| world.gateway.client().fetch(&path, who).unwrap().status;
    assert_eq!((look(&basic("a", TOKEN)), look(&basic("b", OF_ANOTHER)), look("")), (200, 404, 404));
}

#[test]
fn each_request_of_a_connection_is_decided_by_itself_when_the_grant_is_over() {
    let origin = Origin::http();
    let setup = Setup::new().operators();
    setup.resolver.answer("site.test", &["127.0.0.1"]);
    let gateway = setup.start(&locked(origin.port()));
    let world = World { origin, gateway };
    world.granted(2);
    let url = format!("http://site.test:{}/", world.origin.port());
    let mut client: Client = world.gateway.client();
    assert_eq!(client.fetch(&url, "").unwrap().status, 200);
    eventually("the grant is over", || world.gateway.client().fetch(&url, "").filter(|reply| reply.status == 403));
    let after = client.fetch(&url, "");
    assert!(after.as_ref().is_none_or(|reply| reply.status == 403), "{:?}", after.map(|reply| reply.head));
}

#[test]
fn whoever_dies_between_a_request_and_its_grant_leaves_nothing_half_granted() {
    let mut world = World::of(Setup::new().section("limits: {override_requests_per_minute: 1000}"), locked);
    for round in 0..6u64 {
        let (alice, bob) = (world.who("alice"), world.who("bob"));
        std::thread::scope(|scope| {
            let gateway = &world.gateway;
            let mut asked = world.asked(600);
            asked["reason"] = format!("the incident of round {round}").into();
            scope.spawn(move || {
                // Whichever of these finds the gateway dead ends in nothing.
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    let (_, grant) = alice.post(gateway, "/v1/grants", &asked);
                    let path = format!("/v1/grants/{}/approve", grant["id"].as_str().unwrap());
                    bob.post(gateway, &path, &json!({}));
                }));
            });
            std::thread::sleep(Duration::from_millis(8 * round));
            gateway.signal("KILL");
        });
        world.gateway.wait();
        world.gateway = world.gateway.start_again();
        let approved: BTreeSet<String> = world
            .gateway
            .exported()
            .into_iter()
            .filter(|record| record["kind"] == "grant" && record["action"] == "approved")
            .filter_map(|record| record["grant"].as_str().map(str::to_owned))
            .collect();
        let (_, listed) = world.who("vera").get(&world.gateway, "/v1/grants");
        let mut holds = false;
        for grant in listed["grants"].as_array().unwrap() {
            let id = grant["id"].as_str().unwrap();
            if grant["status"] == "active" {
                holds = true;
                assert!(approved.contains(id), "{id} holds, and no record says so");
                assert_eq!(grant["approved"]["by"]["name"], "bob", "{grant}");
            } else {
                assert_eq!(grant["status"], "pending", "{grant}");
                assert!(grant.get("ends").is_none(), "{grant}");
            }
        }
        assert_eq!(world.attempt("site.test"), if holds { 200 } else { 403 });
    }
    world.gateway.evidence(&["verify"]);
}
