//! `gatepass operators`: who is enrolled is an operator of the gateway, and who is removed is none any more.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use gatepass_tests::gateway::binary;
use gatepass_tests::{Bundle, Gateway, Scratch, Setup, eventually};
use serde_json::Value;

use super::{ask, bearer, host};

fn operators(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.arg("operators").args(arguments).current_dir(directory);
    command.env_remove("GATEPASS_TOKEN").env_remove("GATEPASS_ADMIN").output().unwrap()
}

fn done(directory: &Path, arguments: &[&str]) -> Value {
    let output = operators(directory, &[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refused(directory: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = operators(directory, arguments);
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn whoami(gateway: &Gateway, token: &str) -> (u16, Value) {
    let reply = ask(gateway, "GET /v1/whoami", &(host(gateway) + &bearer(token)));
    (reply.status, serde_json::from_str(&reply.body).unwrap())
}

#[test]
fn who_is_enrolled_is_known_after_a_reload_and_who_is_removed_is_not() {
    let setup = Setup::new().section("admin: {bind: \"127.0.0.1:0\", operators: operators.yaml}");
    let first = done(setup.scratch.path(), &["add", "alice", "--roles", "approver,breaker", "--token", "--totp"]);
    let alice = first["token"].as_str().unwrap().to_owned();
    let gateway = setup.start(&Bundle::new());
    let (status, told) = whoami(&gateway, &alice);
    assert_eq!((status, &told["person"], &told["one_time_codes"]), (200, &"alice".into(), &true.into()));
    assert_eq!(
        (&told["roles"], &told["by"]),
        (&serde_json::json!(["approver", "breaker"]), &serde_json::json!(["token"]))
    );

    let second = done(gateway.path(), &["add", "bob", "--roles", "viewer", "--person", "Bob@Example.com", "--token"]);
    let bob = second["token"].as_str().unwrap().to_owned();
    eventually("bob is known without a signal", || (whoami(&gateway, &bob).0 == 200).then_some(()));
    assert_eq!(whoami(&gateway, &bob).1["person"], "bob@example.com");

    done(gateway.path(), &["remove", "alice"]);
    gateway.signal("HUP");
    eventually("alice is known no more", || (whoami(&gateway, &alice).0 != 200).then_some(()));

    let file = gateway.path().join("operators.yaml");
    std::fs::write(&file, "- {name: bob}\n").unwrap();
    gateway.signal("HUP");
    eventually("the refusal is told", || gateway.log().contains("those known so far stay in force").then_some(()));
    std::fs::remove_file(&file).unwrap();
    assert_eq!(whoami(&gateway, &bob).0, 200, "a file that cannot be read changes nothing");
    assert_ne!(whoami(&gateway, &alice).0, 200, "and brings nobody back");
    let ready = ask(&gateway, "GET /ready", &host(&gateway)).body;
    assert!(ready.contains("the operators on disk are refused"), "{ready}");
}

#[test]
fn the_command_asks_a_gateway_who_the_caller_is() {
    let setup = Setup::new().section("admin: {bind: \"127.0.0.1:0\", operators: operators.yaml}");
    let told = done(setup.scratch.path(), &["add", "alice", "--roles", "viewer", "--token"]);
    let gateway = setup.start(&Bundle::new());
    let url = format!("http://{}", gateway.address("admin"));
    let asked = |token: &str| operators(gateway.path(), &["whoami", "--admin", &url, "--token", token]);
    let output = asked(told["token"].as_str().unwrap());
    assert_eq!(output.status.code(), Some(0));
    assert!(
        String::from_utf8_lossy(&output.stdout).starts_with("operator  alice (alice), by token\nroles     viewer\n")
    );
    let output = asked("wrong");
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(errors.trim(), "error: this token belongs to no operator (401)");
}

const KEPT: &str = "# Operators of the test.\n# Alice is on call.\n- {name: alice, sha256: \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\", expires: \"2099-01-01T00:00:00Z\"}\n\n# Carol looks.\n- name: carol\n  sha256: \"bbaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"\n  expires: \"2099-01-01T00:00:00Z\"\n";

#[test]
fn other_entries_and_comments_stay_as_they_are() {
    let scratch = Scratch::new();
    let file = scratch.write("operators.yaml", KEPT);
    done(scratch.path(), &["add", "bob", "--roles", "viewer", "--token"]);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.starts_with(KEPT) && text.contains("- name: \"bob\"\n"), "{text}");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let names: Vec<Value> = done(scratch.path(), &["list"])["operators"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["name"].clone())
        .collect();
    assert_eq!(names, ["alice", "carol", "bob"]);
    done(scratch.path(), &["remove", "alice"]);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(
        text.starts_with("# Operators of the test.\n# Alice is on call.\n\n# Carol looks.\n- name: carol\n"),
        "{text}"
    );
    done(scratch.path(), &["remove", "carol"]);
    done(scratch.path(), &["remove", "bob"]);
    assert_eq!(done(scratch.path(), &["list"])["operators"], serde_json::json!([]));
    done(scratch.path(), &["add", "dora", "--roles", "viewer", "--token"]);
    assert_eq!(done(scratch.path(), &["list"])["operators"][0]["name"], "dora");
}

#[test]
fn what_cannot_be_enrolled_changes_nothing() {
    let scratch = Scratch::new();
    let file = scratch.write("operators.yaml", KEPT);
    let leaf = scratch.write("no.pem", "not a certificate");
    for (arguments, code, wanted) in [
        (&["add", "bob", "--roles", "viewer"][..], 2, "something has to prove it"),
        (&["add", "bob", "--roles", "root", "--token"], 2, "`root` is no role"),
        (&["add", "bob", "--roles", "viewer,viewer", "--token"], 2, "given twice"),
        (&["add", "b b", "--roles", "viewer", "--token"], 2, "is not a name"),
        (&["add", "bob", "--roles", "viewer", "--token", "--person", "b b"], 2, "--person"),
        (&["add", "bob", "--roles", "viewer", "--token", "--expires", "2020-01-01T00:00:00Z"], 2, "is over"),
        (&["add", "bob", "--roles", "viewer", "--certificate", leaf.to_str().unwrap()], 2, "no.pem"),
        (&["add", "alice", "--roles", "viewer", "--token"], 1, "`alice` is enrolled"),
        (&["remove", "bob"], 1, "nobody is called `bob`"),
    ] {
        let (status, errors) = refused(scratch.path(), arguments);
        assert!(status == Some(code) && errors.contains(wanted), "{arguments:?}: {status:?} {errors}");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), KEPT);
    scratch.write(
        "operators.yaml",
        format!("[{{name: a, sha256: \"{}\", expires: \"2099-01-01T00:00:00Z\"}}]\n", "a".repeat(64)),
    );
    let (status, errors) = refused(scratch.path(), &["add", "bob", "--roles", "viewer", "--token"]);
    assert!(status == Some(3), "a list in one line: {errors}");
    assert!(!scratch.path().join(".operators.yaml.new").exists());
    scratch.write("operators.yaml", "- {name: a, token: hunter2}\n");
    let (status, errors) = refused(scratch.path(), &["add", "bob", "--roles", "viewer", "--token"]);
    assert!(status == Some(3) && errors.contains("not valid") && !errors.contains("hunter2"), "{errors}");
}

#[test]
fn a_secret_is_shown_once_in_the_form_that_authenticators_read() {
    let scratch = Scratch::new();
    let told = done(
        scratch.path(),
        &["add", "alice", "--roles", "viewer", "--person", "alice+ops@example.com", "--totp", "--token"],
    );
    let secret = told["totp"]["secret"].as_str().unwrap();
    assert_eq!(secret.len(), 32, "160 bits");
    let uri = format!(
        "otpauth://totp/Gatepass:alice%2Bops%40example.com?secret={secret}&issuer=Gatepass&algorithm=SHA1&digits=6&period=30"
    );
    assert_eq!(told["totp"]["uri"], uri.as_str());
    let token = told["token"].as_str().unwrap();
    assert!(token.starts_with("gpo_") && token.len() == 47, "{token}");
    let text = std::fs::read_to_string(scratch.path().join("operators.yaml")).unwrap();
    assert!(!text.contains(token) && text.contains(secret));
    let listed = operators(scratch.path(), &["list"]);
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains("alice+ops@example.com") && !listed.contains(secret), "{listed}");
}

#[test]
fn a_one_time_code_travels_in_its_field() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asking = std::thread::spawn(move || {
        let scratch = Scratch::new();
        operators(scratch.path(), &["whoami", "--admin", &url, "--token", "0perator", "--totp", "123456"])
    });
    let (mut stream, _) = listener.accept().unwrap();
    let head = gatepass_tests::origin::read_head(&mut stream).unwrap().unwrap().to_lowercase();
    assert!(
        head.contains("gatepass-totp: 123456\r\n") && head.contains("authorization: bearer 0perator\r\n"),
        "{head}"
    );
    std::io::Write::write_all(&mut stream, b"HTTP/1.1 403 Forbidden\r\nContent-Length: 56\r\n\r\n{\"detail\": \"no\", \"errors\": [{\"field\":\"a\",\"detail\":\"b\"}]}").unwrap();
    let output = asking.join().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "error: no (403)\n  a: b\n");
}

#[test]
fn a_certificate_and_an_id_token_are_enrolled_by_what_they_say() {
    use gatepass_certs::mint::{Leaf, Name};
    use gatepass_tests::gateway::hour;
    use gatepass_tests::identities::showing;

    let setup = Setup::new();
    let provider = gatepass_tests::Provider::start();
    let leaf = setup.ca.issue(&Leaf::server(vec![Name::Dns("localhost".into())], hour())).unwrap();
    let eve = setup.ca.issue(&Leaf::client(vec![Name::Email("eve@example.com".into())], hour())).unwrap();
    for (name, text) in [
        ("admin.pem", leaf.chain_pem()),
        ("admin.key", leaf.key_pem()),
        ("ca.pem", setup.ca.pem()),
        ("eve.pem", eve.chain_pem()),
    ] {
        setup.scratch.write(name, text);
    }
    let directory = setup.scratch.path();
    done(directory, &["add", "eve", "--roles", "viewer", "--certificate", "eve.pem", "--days", "1"]);
    done(
        directory,
        &["add", "alice", "--roles", "breaker", "--oidc-email", "Alice@Example.com", "--oidc-subject", "alice-1"],
    );
    let listed = done(directory, &["list"]);
    assert_eq!(
        (&listed["operators"][0]["shows"][0], &listed["operators"][1]["shows"][0]),
        (&"certificate".into(), &"oidc".into())
    );
    let section = format!(
        "admin:\n  bind: \"127.0.0.1:0\"\n  tls: {{certificate: admin.pem, key: admin.key, client_ca: ca.pem}}\n  oidc: {{issuer: \"{}\", client_id: gatepass-cli}}\n  operators: operators.yaml",
        provider.issuer()
    );
    let gateway = setup.section(&section).start(&Bundle::new());
    let address = gateway.address("admin");
    let told = |config: &std::sync::Arc<rustls::ClientConfig>, fields: &str| -> Value {
        let mut client = gatepass_tests::Client::tls(address, config).unwrap();
        client.say(format!("GET /v1/whoami HTTP/1.1\r\nHost: localhost:{}\r\n{fields}\r\n", address.port()));
        serde_json::from_str(&client.reply().unwrap().body).unwrap()
    };
    assert_eq!(told(&showing(&gateway.setup.ca, &eve), "")["operator"], "eve");
    let trusting = gatepass_tests::identities::trusting(&gateway.setup.ca);
    let hers = bearer(&provider.token("ES256", &provider.claims()));
    assert_eq!(
        (&told(&trusting, &hers)["operator"], &told(&trusting, &hers)["by"][0]),
        (&"alice".into(), &"oidc".into())
    );
}
