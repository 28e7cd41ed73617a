//! What the documentation gives people to start from: the binary takes all of it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use gatepass_tests::Scratch;
use gatepass_tests::gateway::binary;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn gatepass(arguments: &[&str]) -> Output {
    Command::new(binary()).args(arguments).output().unwrap()
}

fn accepts(config: &Path) {
    let output = gatepass(&["serve", "--check-only", "--config", config.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

fn copy(from: &Path, to: &Scratch, below: &str) {
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let name = format!("{below}{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() {
            copy(&entry.path(), to, &format!("{name}/"));
        } else {
            to.write(&name, std::fs::read(entry.path()).unwrap());
        }
    }
}

/// The files of a ConfigMap, by the indentation of its block scalars: four for the text, two for the names.
fn config_map(manifest: &str, name: &str) -> Vec<(String, String)> {
    let document = manifest.split("\n---\n").find(|text| text.contains(&format!("metadata: {{name: {name},"))).unwrap();
    let mut files: Vec<(String, String)> = Vec::new();
    for line in document.lines().skip_while(|line| *line != "data:").skip(1) {
        match (line.strip_prefix("    "), line.trim().strip_suffix(": |")) {
            (Some(text), _) => writeln!(files.last_mut().unwrap().1, "{text}").unwrap(),
            (None, Some(name)) => files.push((name.to_owned(), String::new())),
            (None, None) => {}
        }
    }
    files
}

#[test]
fn the_example_bundle_compiles() {
    let bundle = root().join("docs/example/policy");
    let output = gatepass(&["check", bundle.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_example_configurations_can_be_served() {
    let scratch = Scratch::new();
    copy(&root().join("docs/example"), &scratch, "");
    accepts(&scratch.path().join("gatepass.yaml"));
    let certificates = scratch.path().join("certs");
    let minted = gatepass(&["certs", "dev", "--force", "--out", certificates.to_str().unwrap()]);
    assert_eq!(minted.status.code(), Some(0));
    accepts(&scratch.path().join("mtls.yaml"));
}

#[test]
fn the_example_lets_checkout_reach_its_payment_provider_and_nobody_else() {
    let bundle = root().join("docs/example/policy");
    let ask = |from: &str| {
        let now = "2027-01-01T00:00:00Z";
        let to = ["--to", "api.stripe.com:443", "--answer", "8.8.8.8", "--sni", "api.stripe.com", "--at", now];
        gatepass(&[&["explain", bundle.to_str().unwrap(), "--from", from], &to[..]].concat())
    };
    let checkout = ask("spiffe://corp.example/ns/payments/sa/checkout");
    assert_eq!(checkout.status.code(), Some(0), "{}", String::from_utf8_lossy(&checkout.stdout));
    let other = ask("spiffe://corp.example/ns/payments/sa/report");
    assert_eq!(other.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&other.stdout).contains("no_rule"));
}

#[test]
fn the_deployment_files_hold_configurations_that_can_be_served() {
    let scratch = Scratch::new();
    let read = |name: &str| std::fs::read_to_string(root().join("deploy").join(name)).unwrap();
    let manifest = read("kubernetes.yaml");
    for (name, text) in config_map(&manifest, "gatepass-policy") {
        scratch.write(&format!("policy/{name}"), text);
    }
    let config = config_map(&manifest, "gatepass-config").remove(0).1;
    assert!(config.contains("bundle: /etc/gatepass-policy"), "{config}");
    accepts(&scratch.write("cluster.yaml", config.replace("/etc/gatepass-policy", "./policy")));
    accepts(&scratch.write("unit.yaml", read("gatepass.yaml")));
}
