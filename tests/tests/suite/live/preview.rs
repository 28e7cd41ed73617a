//! What operators see and do: the list, what a candidate would cut, and cutting one.

use std::process::{Command, Output};

use gatepass_tests::gateway::binary;
use gatepass_tests::identities::token;
use gatepass_tests::{Bundle, Setup};
use serde_json::Value;

use super::{Open, World, took};

fn both(port: u16) -> Bundle {
    Bundle::new().allow("kept", "kept.test", &[port]).allow("gone", "gone.test", &[port])
}

/// An operator who may do anything, and one who may only look.
fn world() -> World {
    let operators = ["ops", "eyes"].map(|name| {
        let entry = token(name, &format!("{name}-0perator"), 1);
        let roles = if name == "ops" { "[viewer, approver, breaker]" } else { "[viewer]" };
        entry.replacen('{', &format!("{{roles: {roles}, "), 1)
    });
    let admin = format!("admin: {{bind: \"127.0.0.1:0\", operators: [{}]}}", operators.join(", "));
    World::new(Setup::new().section(&admin), both)
}

fn tunnels(world: &World, operator: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.arg("tunnels").args(arguments).current_dir(world.gateway.path());
    command.env("GATEPASS_ADMIN", format!("http://{}", world.gateway.address("admin")));
    command.env("GATEPASS_TOKEN", format!("{operator}-0perator")).output().unwrap()
}

fn said(output: &Output) -> (i32, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
}

/// Write a candidate bundle beside the one in force.
fn candidate(world: &World, bundle: &Bundle) {
    for (name, text) in bundle.files() {
        world.gateway.setup.scratch.write(&format!("next/{name}"), text);
    }
}

fn ids(json: &Value, key: &str) -> Vec<String> {
    json[key].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_preview_names_the_tunnels_that_the_reload_then_cuts_and_cuts_none() {
    let world = world();
    let kept = world.open("kept.test");
    let gone: Vec<Open> = (0..3).map(|_| world.open("gone.test")).collect();
    let without = Bundle::new().allow("kept", "kept.test", &[world.origin.port()]);
    candidate(&world, &without);
    let (code, text) = said(&tunnels(&world, "eyes", &["preview", "next"]));
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("3 of 4 would be cut") && text.contains("team/gone") && text.contains("anonymous"), "{text}");
    let json: Value = serde_json::from_slice(&tunnels(&world, "eyes", &["preview", "next", "--json"]).stdout).unwrap();
    let expected: Vec<String> = gone.iter().map(|open| open.id.clone()).collect();
    assert_eq!(ids(&json, "would_cut"), expected, "{json}");
    assert_eq!((&json["open"], &json["allows_gone"][0]), (&4.into(), &"team/gone".into()), "{json}");
    let first = &json["would_cut"][0];
    assert_eq!((&first["ending"], &first["cut_by"]), (&"policy_changed".into(), &"team/gone".into()), "{first}");
    let gone: Vec<Open> = gone.into_iter().map(|open| world.is_open(open)).collect();
    world.edit(&without);
    for open in &gone {
        world.cut(open, "policy_changed", "team/gone");
    }
    world.is_open(kept);
}

#[test]
fn a_candidate_that_would_be_refused_is_told_with_its_places() {
    let world = world();
    let bad = Bundle::new().rule("  - id: bad\n    action: allow\n");
    candidate(&world, &bad);
    let (code, text) = said(&tunnels(&world, "eyes", &["preview", "next"]));
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("would be refused") && text.contains("teams/team.yaml:"), "{text}");
}

#[test]
fn a_mode_that_the_policy_does_not_have_would_cut_everything() {
    let world = world();
    let open = world.open("kept.test");
    let output = tunnels(&world, "eyes", &["preview", "--mode", "lockdown", "--json"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["would_cut"][0]["ending"], "mode_changed", "{json}");
    assert_eq!(json["dormant"][0]["path"], "mode/lockdown", "{json}");
    world.is_open(open);
}

#[test]
fn an_operator_lists_what_is_open_and_cuts_one() {
    let world = world();
    let (kept, gone) = (world.open("kept.test"), world.open("gone.test"));
    let (code, text) = said(&tunnels(&world, "ops", &["list"]));
    assert_eq!((code, text.lines().count()), (0, 3), "{text}");
    assert!(text.contains("team/kept") && text.contains(&gone.id), "{text}");
    let (code, text) = said(&tunnels(&world, "eyes", &["cut", &gone.id]));
    assert!(code == 1 && text.contains("role"), "{code} {text}");
    let gone = world.is_open(gone);
    assert_eq!(said(&tunnels(&world, "ops", &["cut", &gone.id])).0, 0);
    assert!(took(&world, &gone) < super::PROMPT);
    world.cut(&gone, "policy_changed", "operator/ops");
    let (code, text) = said(&tunnels(&world, "ops", &["cut", &gone.id]));
    assert!(code == 1 && text.contains("nothing of this id is open"), "{code} {text}");
    world.is_open(kept);
}
