//! `gatepass explain` with what a server would prove.

use super::*;

fn explained(more: &[&str]) -> (Option<i32>, String) {
    let setup = Setup::new();
    let rule = rule(443, &format!("{PROVED} && upstream.issuer == \"CN=R3\""));
    setup.bundle(&Bundle::new().rule(&rule.replace("cidr_sets: [loopback], ", "")));
    let output = std::process::Command::new(gatepass_tests::gateway::binary())
        .args(["explain", "policy", "--from", "anonymous", "--to", "api.test:443", "--answer", "93.184.216.34"])
        .args(more)
        .current_dir(setup.scratch.path())
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[test]
fn what_is_not_said_of_the_server_is_named_as_missing() {
    let (code, said) = explained(&["--sni", HOST]);
    assert!(code == Some(1) && said.contains("PENDING") && said.contains("upstream.verified"), "{said}");
    let (code, said) = explained(&["--sni", HOST, "--upstream", "verified"]);
    assert!(code == Some(1) && said.contains("PENDING") && said.contains("upstream.issuer"), "{said}");
    assert!(!said.contains("waits for  upstream.verified"), "{said}");
}

#[test]
fn the_certificate_s_facts_can_be_given() {
    let (code, said) = explained(&["--sni", HOST, "--upstream", "unverified", "--upstream-issuer", "CN=R3"]);
    assert!(code == Some(1) && said.contains("DENY") && said.contains("at certificate"), "{said}");
    let (code, said) = explained(&["--sni", HOST, "--upstream", "nothing"]);
    assert!(code == Some(1) && said.contains("DENY") && said.contains("got no certificate"), "{said}");
    let (code, said) = explained(&["--upstream", "verified"]);
    assert!(code == Some(2) && said.contains("--sni"), "a server is asked only after a hello: {said}");
}
