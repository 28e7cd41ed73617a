//! The commands that need no running gateway: what they print, and how they end.

mod certificates;

mod check;

mod explain;

use std::process::{Command, Output};

use gatepass_tests::Scratch;
use gatepass_tests::gateway::binary;

/// The moment at which everything here is judged, so that nothing here ages.
const AT: [&str; 2] = ["--at", "2030-01-01T00:00:00Z"];

const BUNDLE: &str = r#"apiVersion: gatepass/v1
kind: Bundle
metadata: {id: corp, owner: platform@example.com}
data_classes:
  - {id: unclassified, description: "not labelled"}
  - {id: public, description: "may be published"}
  - {id: pci, description: "card data"}
lifetimes: {default: 365d, wildcard: 365d}
fragments:
  - id: web
    owner: web@example.com
    scope: {identities: any, destinations: any, data_classes: any, egress_points: [direct]}
"#;

const GUARDRAILS: &str = r#"apiVersion: gatepass/v1
kind: Guardrails
metadata: {id: guard, owner: platform@example.com}
rules:
  - id: names-agree
    action: deny
    purpose: "what was asked for is what is spoken to"
    lifted_by: []
    when: tls.present && tls.sni != destination.host
"#;

const WEB: &str = r#"apiVersion: gatepass/v1
kind: Fragment
metadata: {id: web, owner: web@example.com}
rules:
  - id: api
    action: allow
    purpose: call the API
    identities: [{id: "token:ci"}]
    destinations: {hosts: ["api.test"], ports: [443]}
    data_classes: {at_most: [unclassified, public]}
    expires: "2030-06-01T00:00:00Z"
  - id: docs
    action: allow
    purpose: read the documentation
    anyone: true
    destinations: {hosts: ["docs.test"], ports: [80]}
    data_classes: {at_most: [unclassified]}
    expires: "2030-06-01T00:00:00Z"
    when: request.protocol == "http" && request.method == "GET" && request.path.startsWith("/docs/")
"#;

/// The bundle in `policy`, with this fragment of the team.
fn bundle(web: &str) -> Scratch {
    let scratch = Scratch::new();
    scratch.write("policy/bundle.yaml", BUNDLE);
    scratch.write("policy/guardrails.yaml", GUARDRAILS);
    scratch.write("policy/teams/web.yaml", web);
    scratch
}

/// What a command said, and how it ended.
pub struct Told {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Told {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap()
    }
}

pub fn run(scratch: &Scratch, arguments: &[&str]) -> Told {
    let Output { status, stdout, stderr } =
        Command::new(binary()).args(arguments).current_dir(scratch.path()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Told { code: status.code().unwrap(), out: text(stdout), err: text(stderr) }
}

#[test]
fn what_is_not_built_is_absent_from_help_and_refused() {
    let scratch = Scratch::new();
    let help = run(&scratch, &["--help"]);
    assert_eq!(help.code, 0);
    for command in [
        "serve",
        "check",
        "explain",
        "why",
        "evidence",
        "certs",
        "grant",
        "exception",
        "mode",
        "tunnels",
        "operators",
        "login",
        "bundle",
    ] {
        assert!(help.out.contains(&format!("\n  {command} ")), "{}", help.out);
    }
    for command in ["test", "diff", "reach", "replay", "suggest", "agent", "doctor"] {
        assert!(!help.out.contains(&format!("\n  {command} ")), "{}", help.out);
        assert_eq!(run(&scratch, &[command]).code, 2, "{command}");
    }
    assert_eq!(run(&scratch, &["--nonsense"]).code, 2);
}
