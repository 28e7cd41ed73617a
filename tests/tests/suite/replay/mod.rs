//! `gatepass replay` and `gatepass suggest` on what a real gateway recorded.

mod suggest;

use std::process::{Command, Stdio};

use gatepass_tests::gateway::binary;
use gatepass_tests::{Bundle, Client, Gateway, Origin, Setup, eventually};
use serde_json::{Value, json};

use crate::cli::{Told, run};
use crate::hellos::{Sni, hello};

/// A gateway that admitted three tunnels and denied one; of `gone.test` one is open still.
struct World {
    gateway: Gateway,
    port: u16,
    _origin: Origin,
    _open: Client,
}

fn bundle(names: &[&str], port: u16) -> Bundle {
    names.iter().fold(Bundle::new(), |bundle, name| bundle.allow(name, &format!("{name}.test"), &[port]))
}

fn world() -> World {
    let setup = Setup::new();
    let origin = Origin::echo();
    for name in ["kept.test", "gone.test", "denied.test"] {
        setup.resolver.answer(name, &["127.0.0.1"]);
    }
    let port = origin.port();
    let gateway = setup.start(&bundle(&["kept", "gone"], port));
    for host in ["kept.test", "gone.test"] {
        let mut client = gateway.client();
        let reply = client.connect(&format!("{host}:{port}"));
        assert_eq!(reply.status, 200);
        assert!(client.try_echo(b"hello"));
        let id = reply.id();
        drop(client);
        gateway.close(&id);
    }
    let mut open = gateway.client();
    assert_eq!(open.connect(&format!("gone.test:{port}")).status, 200);
    assert_eq!(gateway.client().connect(&format!("denied.test:{port}")).status, 403);
    gateway.decided(4);
    // Standard output and the spool are told one after the other.
    eventually("the spool has the decisions", || {
        (gateway.exported().iter().filter(|record| record["kind"] == "decision").count() == 4).then_some(())
    });
    World { gateway, port, _origin: origin, _open: open }
}

impl World {
    /// Write a candidate beside the policy in force.
    fn candidate(&self, name: &str, bundle: &Bundle) {
        for (file, text) in bundle.files() {
            self.gateway.setup.scratch.write(&format!("{name}/{file}"), text);
        }
    }

    fn replay(&self, arguments: &[&str]) -> Told {
        run(&self.gateway.setup.scratch, &[&["replay"], arguments].concat())
    }
}

const SPOOL: &str = "gatepass-data/evidence";

/// The answer without what a gateway that runs adds to its spool every second.
fn still(told: &Told) -> Value {
    let mut json = told.json();
    json.as_object_mut().unwrap().remove("records");
    json
}

#[test]
fn a_stricter_bundle_falls_and_every_form_of_the_records_says_what_it_would_deny_and_cut() {
    let world = world();
    world.candidate("stricter", &bundle(&["kept"], world.port));
    let told = world.replay(&["stricter", "--evidence", SPOOL, "--json"]);
    assert_eq!(told.code, 1, "{}{}", told.out, told.err);
    let json = still(&told);
    assert_eq!((&json["stands"], &json["complete"], &json["decisions"]), (&json!(false), &json!(true), &json!(4)));
    assert_eq!(json["unchanged"], json!({"allowed": 1, "denied": 1, "by_another_rule": 0}));
    let row = &json["newly_denied"]["rows"][0];
    assert_eq!((&json["newly_denied"]["times"], &row["times"], &row["open"]), (&json!(2), &json!(2), &json!(1)));
    assert_eq!((&row["identity"], &row["allowed_then_by"]), (&json!("anonymous"), &json!("team/gone")));
    assert_eq!((&row["denied_by"], &row["reason"]), (&json!("address_floor"), &json!("address_floor")), "{row}");
    assert_eq!((&row["bytes_sent"], &row["bytes_received"]), (&json!(5), &json!(5)));
    assert_eq!((&json["would_cut"]["times"], &json["newly_allowed"]["times"]), (&json!(1), &json!(0)));
    let ids: Vec<Value> = world.gateway.decisions().iter().map(|record| record["id"].clone()).collect();
    assert!(ids.contains(&row["example"]), "{row}");

    let scratch = &world.gateway.setup.scratch;
    scratch.write("export.jsonl", world.gateway.evidence(&["export"]));
    world.gateway.evidence(&["export", "--parquet", "export.parquet"]);
    for file in ["export.jsonl", "export.parquet"] {
        let told = world.replay(&["stricter", "--evidence", file, "--json"]);
        assert_eq!((told.code, still(&told)), (1, json.clone()), "{file} {}", told.err);
    }
    let input = std::fs::File::open(scratch.path().join("export.jsonl")).unwrap();
    let output = Command::new(binary())
        .args(["replay", "stricter", "--evidence", "-", "--json"])
        .current_dir(scratch.path())
        .stdin(Stdio::from(input))
        .output()
        .unwrap();
    let mut piped: Value = serde_json::from_slice(&output.stdout).unwrap();
    piped.as_object_mut().unwrap().remove("records");
    assert_eq!(piped, json, "standard input");

    let text = world.replay(&["stricter", "--evidence", SPOOL]);
    for part in ["2  newly denied", "1  of these without an end", "newly denied\n", "would cut\n", "falls: something"] {
        assert!(text.out.contains(part), "{part}\n{}", text.out);
    }
    assert!(!text.out.contains('\x1b'), "no colours for a program");
}

#[test]
fn a_looser_bundle_stands_and_what_it_would_open_hangs_on_what_was_not_asked_then() {
    let world = world();
    world.candidate("looser", &bundle(&["kept", "gone", "denied"], world.port));
    let told = world.replay(&["looser", "--evidence", SPOOL, "--json"]);
    assert_eq!(told.code, 0, "{}{}", told.out, told.err);
    let json = told.json();
    assert_eq!((&json["stands"], &json["unchanged"]["allowed"]), (&json!(true), &json!(3)));
    assert_eq!((&json["newly_denied"]["times"], &json["would_cut"]["times"]), (&json!(0), &json!(0)));
    let row = &json["undecided"]["rows"][0];
    assert_eq!(
        (&row["then"], &row["decided_then_by"], &row["hangs_on"]),
        (&json!("refused"), &json!("no_rule"), &json!("team/denied"))
    );
    assert_eq!(row["not_recorded"], "dns.answers", "no DNS question was asked, and none is made up");
}

#[test]
fn a_tunnel_whose_hello_nobody_asked_for_is_not_known_to_stand_where_a_guardrail_asks_for_it() {
    let world = world();
    world.candidate("agreeing", &bundle(&["kept", "gone"], world.port).agreement());
    let told = world.replay(&["agreeing", "--evidence", SPOOL, "--json"]);
    assert_eq!(told.code, 1, "{}{}", told.out, told.err);
    let json = told.json();
    let rows = json["undecided"]["rows"].as_array().unwrap();
    assert!(rows.iter().all(|row| row["then"] == "admitted"), "{json}");
    assert!(rows.iter().all(|row| row["not_recorded"].as_str().unwrap().contains("tls.present")), "{json}");
    assert_eq!((&json["undecided"]["times"], &json["newly_denied"]["times"]), (&json!(3), &json!(0)));
}

#[test]
fn what_was_refused_with_all_facts_known_and_would_go_is_newly_allowed() {
    let setup = Setup::new();
    let origin = Origin::echo();
    setup.resolver.answer("kept.test", &["127.0.0.1"]);
    let port = origin.port();
    let gateway = setup.start(&bundle(&["kept"], port).agreement());
    let mut client = gateway.client();
    let reply = client.connect(&format!("kept.test:{port}"));
    client.say(hello(&gateway.setup, "evil.test", Sni::Sent));
    client.rest();
    let id = reply.id();
    assert_eq!(gateway.decision(&id)["rule"]["path"], "guard/names-agree");
    eventually("the spool has it", || gateway.exported().iter().any(|record| record["id"] == *id).then_some(()));
    for (file, text) in bundle(&["kept"], port).files() {
        gateway.setup.scratch.write(&format!("looser/{file}"), text);
    }
    let told = run(&gateway.setup.scratch, &["replay", "looser", "--evidence", SPOOL, "--json"]);
    assert_eq!(told.code, 0, "{}{}", told.out, told.err);
    let json = told.json();
    let row = &json["newly_allowed"]["rows"][0];
    assert_eq!(
        (&row["allowed_by"], &row["denied_then_by"]),
        (&json!("team/kept"), &json!("guard/names-agree")),
        "{json}"
    );
    assert_eq!((&row["times"], &row["example"]), (&json!(1), &json!(id)));
}

#[test]
fn at_another_moment_permissions_that_end_are_missed() {
    let world = world();
    world.candidate("same", &bundle(&["kept", "gone"], world.port));
    assert_eq!(world.replay(&["same", "--evidence", SPOOL]).code, 0);
    let later = gatepass_tests::bundle::in_hours(25);
    let told = world.replay(&["same", "--evidence", SPOOL, "--now", &later, "--json"]);
    assert_eq!(told.code, 1, "{}{}", told.out, told.err);
    assert_eq!(told.json()["newly_denied"]["times"], 3, "{}", told.out);
}

#[test]
fn what_cannot_be_read_or_makes_no_sense_is_told_and_never_passes_for_a_yes() {
    let world = world();
    world.candidate("same", &bundle(&["kept", "gone"], world.port));
    let scratch = &world.gateway.setup.scratch;
    let export = world.gateway.evidence(&["export"]);
    scratch.write("garbled.jsonl", format!("{export}not json\n\u{0}{{\"kind\":1}}\n"));
    let told = world.replay(&["same", "--evidence", "garbled.jsonl", "--json"]);
    assert_eq!((told.code, &told.json()["complete"]), (3, &json!(false)), "{}", told.err);
    assert!(told.err.contains("warning: line "), "{}", told.err);
    scratch.write("empty.jsonl", "");
    scratch.write("no.parquet", "PAR1 and nothing of the kind PAR1");
    for file in ["empty.jsonl", "no.parquet", "not-there"] {
        let told = world.replay(&["same", "--evidence", file]);
        assert_eq!(told.code, 3, "{file} {}", told.err);
        assert!(!told.err.is_empty(), "{file}");
    }
    let told = world.replay(&["same", "--evidence", SPOOL, "--mode", "nonsense"]);
    assert_eq!(told.code, 2, "{}", told.err);
    assert!(told.err.contains("the bundle has no such mode"), "{}", told.err);
    assert_eq!(world.replay(&["same"]).code, 2, "no evidence is named");
    scratch.write("broken/bundle.yaml", "apiVersion: gatepass/v1\nkind: Bundle\n");
    assert_eq!(world.replay(&["broken", "--evidence", SPOOL]).code, 1);
    assert_eq!(world.replay(&["nowhere", "--evidence", SPOOL]).code, 3);
}
