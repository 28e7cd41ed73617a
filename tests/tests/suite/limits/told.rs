//! Who is told of a limit: whoever asks why, whoever lists tunnels, whoever counts, and whoever reads the policy.

use std::process::Command;

use gatepass_tests::gateway::binary;
use gatepass_tests::operators::Operator;
use gatepass_tests::{Bundle, Origin, Setup};
use serde_json::json;

use super::{World, limited, one, rule};

#[test]
fn whoever_asks_why_is_told_which_limit_of_which_rule() {
    let world = World::new(limited("{connections: 1}"));
    let _open = world.open(&one());
    let (_, record) = world.refused(&one(), "team/site", "connections");
    let proxy = format!("http://one:0ne@{}", world.gateway.plain());
    let said = Command::new(binary()).args(["why", "--proxy", &proxy]).output().unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    for part in [record["id"].as_str().unwrap(), "limit", "team/site", "limits.connections: 2 is not at most 1"] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    assert!(!said.contains("exception request"), "an exception would not help: {said}");
}

#[test]
fn refusals_and_cuts_are_counted() {
    let world = World::new(limited("{connections: 1, upload_bytes_per_day: 1KiB}"));
    let (mut client, id) = world.open("");
    world.refused("", "team/site", "connections");
    client.bytes_of(&[7; 4096]);
    world.cut(&id, "team/site");
    let value = |wanted: &str| crate::live::said(&world.gateway, wanted);
    assert_eq!(value("gatepass_limits_refused_total{limit=\"connections\""), "1");
    assert_eq!(value("gatepass_limits_refused_total{limit=\"upload_bytes_per_day\""), "0");
    assert_eq!(value("gatepass_tunnels_cut_total{ending=\"limit\""), "1");
}

#[test]
fn a_tunnel_is_listed_with_the_limits_that_hold_for_it() {
    let origin = Origin::echo();
    let setup = Setup::new().operators_and("");
    let world = World::of(setup, origin, limited("{connections: 9, max_connection_duration: 1h}"));
    let _open = world.open("");
    let operator: Operator = world.gateway.operator("alice");
    let (status, listed) = operator.get(&world.gateway, "/v1/tunnels");
    assert_eq!(status, 200, "{listed}");
    let limits = &listed["tunnels"][0]["limits"];
    assert_eq!(limits, &json!([{"rule": "team/site", "connections": 9, "max_connection_duration": 3600}]), "{listed}");
}

#[test]
fn explain_shows_the_limits_of_the_rules_that_allow() {
    let rule = rule("site", "anyone: true", 443, "{connections: 9, upload_bytes_per_day: 5GiB}");
    let setup = Setup::new();
    setup.bundle(&Bundle::new().rule(&rule.replace(", cidr_sets: [loopback]", "")));
    let explain = |more: &[&str]| {
        let mut command = Command::new(binary());
        command.arg("explain").arg(setup.scratch.path().join("policy"));
        let output =
            command.args("--from token:one --to site.test:443 --answer 1.1.1.1".split(' ')).args(more).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    let said = explain(&[]);
    assert!(said.contains("limits     team/site: connections 9, upload_bytes_per_day 5GiB\n"), "{said}");
    let value: serde_json::Value = serde_json::from_str(&explain(&["--json"])).unwrap();
    let limits = json!([{"rule": "team/site", "connections": 9, "upload_bytes_per_day": 5_368_709_120_u64}]);
    assert_eq!(value["trace"]["limits"], limits, "{value}");
}
