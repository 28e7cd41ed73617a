//! `gatepass certs dev`: files that a first try of mTLS needs, and that really work.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use gatepass_tests::{Bundle, Origin, Scratch, Setup};

use super::run;

const ID: &str = "spiffe://dev.example/ns/dev/sa/client";

#[test]
fn keys_are_private_and_nothing_is_overwritten() {
    let scratch = Scratch::new();
    let told = run(&scratch, &["certs", "dev"]);
    assert_eq!(told.code, 0, "{}", told.err);
    assert!(told.out.contains(ID) && told.out.contains("expire in 14 days"), "{}", told.out);
    let directory = scratch.path().join("gatepass-certs");
    let mut names: Vec<String> =
        std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let wanted =
        ["ca.key", "ca.pem", "client.key", "client.pem", "clients-ca.pem", "clients.crl", "gateway.key", "gateway.pem"];
    assert_eq!(names, wanted);
    for name in names {
        let mode = std::fs::metadata(directory.join(&name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, if name.ends_with(".key") { 0o600 } else { 0o644 }, "{name}");
    }
    let before = std::fs::read(directory.join("ca.pem")).unwrap();
    let told = run(&scratch, &["certs", "dev"]);
    assert_eq!(told.code, 3);
    assert!(told.err.contains("ca.pem") && told.err.contains("exists"), "{}", told.err);
    assert_eq!(std::fs::read(directory.join("ca.pem")).unwrap(), before);
    assert_eq!(run(&scratch, &["certs", "dev", "--force"]).code, 0);
    assert_ne!(std::fs::read(directory.join("ca.pem")).unwrap(), before);
    assert_eq!(run(&scratch, &["certs", "dev", "--out", "other", "--spiffe-id", "https://x"]).code, 2);
    assert!(!scratch.path().join("other").exists());
}

#[test]
fn curl_gets_through_a_listener_with_them_and_not_without() {
    let setup = Setup::new().listener(
        "{name: mesh, bind: \"127.0.0.1:0\", protocol: https, tls: {certificate: certs/gateway.pem, key: certs/gateway.key, client_ca: certs/clients-ca.pem, client_certificate: required, crl: certs/clients.crl}}",
    );
    assert_eq!(run(&setup.scratch, &["certs", "dev", "--out", "certs"]).code, 0);
    let origin = Origin::https(&setup.ca, &["app.test"]);
    setup.resolver.answer("app.test", &["127.0.0.1"]);
    setup.scratch.write("origin-ca.pem", setup.ca.pem());
    let identities = format!("identities: [{{spiffe_id: \"{ID}\"}}]");
    let bundle = Bundle::new().agreement().allow_from("app", &identities, "app.test", &[origin.port()]);
    let gateway = setup.start(&bundle);
    let proxy = format!("https://localhost:{}", gateway.address("mesh").port());
    let url = format!("https://app.test:{}/", origin.port());
    let curl = |more: &[&str]| {
        let mut command = Command::new("curl");
        command.args(["-sS", "--max-time", "15", "--cacert", "origin-ca.pem", "--proxy", &proxy]);
        command.args(more).arg(&url).current_dir(gateway.path()).output().unwrap()
    };
    let ca = ["--proxy-cacert", "certs/ca.pem"];
    let own = ["--proxy-cert", "certs/client.pem", "--proxy-key", "certs/client.key"];
    let output = curl(&[&ca[..], &own].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("origin saw: GET /"));
    let decision = gateway.decided(1).remove(0);
    assert_eq!(decision["identity"]["id"], ID, "{decision}");
    assert!(!curl(&ca).status.success(), "no certificate was shown");
    assert!(!curl(&own).status.success(), "the gateway's authority is nobody's yet");
    assert_eq!(origin.connections(), 1);
}
