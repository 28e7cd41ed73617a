//! The admin listener inside TLS: client certificates name operators, and what is renewed or revoked counts at once.

use std::process::Command;
use std::sync::Arc;

use gatepass_certs::mint::{Crl, Issued, Leaf, Name};
use gatepass_tests::gateway::{binary, hour};
use gatepass_tests::identities::{showing, token, trusting, workload};
use gatepass_tests::{Bundle, Client, Gateway, Reply, Setup, eventually};
use rustls::ClientConfig;
use sha2::{Digest as _, Sha256};

use super::bearer;

const ALICE: &str = "spiffe://corp.example/ops/alice";

fn hash(leaf: &Issued) -> String {
    Sha256::digest(&leaf.chain()[0]).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A gateway whose admin listener speaks TLS; `presence` says what is asked of clients, `entries` are operators.
fn gateway(setup: Setup, presence: &str, entries: &[String]) -> Gateway {
    let leaf = setup.ca.issue(&Leaf::server(vec![Name::Dns("localhost".into())], hour())).unwrap();
    setup.scratch.write("admin.pem", leaf.chain_pem());
    setup.scratch.write("admin.key", leaf.key_pem());
    setup.scratch.write("clients-ca.pem", setup.ca.pem());
    setup
        .section(&format!(
            "admin:\n  bind: \"127.0.0.1:0\"\n  tls: {{certificate: admin.pem, key: admin.key, client_ca: clients-ca.pem{presence}}}\n  operators: [{}]",
            entries.join(", ")
        ))
        .start(&Bundle::new())
}

fn entry(name: &str, certificate: &str) -> String {
    let end = gatepass_tests::bundle::in_hours(1);
    format!("{{name: {name}, roles: [breaker], expires: \"{end}\", certificates: [{{{certificate}}}]}}")
}

/// One request by this client; nothing where the handshake or the connection ends before an answer.
fn asked(gateway: &Gateway, config: &Arc<ClientConfig>, path: &str, fields: &str) -> Option<Reply> {
    let address = gateway.address("admin");
    let mut client = Client::tls(address, config).ok()?;
    client.say(format!("GET {path} HTTP/1.1\r\nHost: localhost:{}\r\n{fields}\r\n", address.port()));
    client.reply()
}

fn status(gateway: &Gateway, config: &Arc<ClientConfig>, fields: &str) -> u16 {
    asked(gateway, config, "/v1/whoami", fields).map_or(0, |reply| reply.status)
}

#[test]
fn a_certificate_names_its_operator_by_hash_or_by_name() {
    let setup = Setup::new();
    let (pinned, alice) = (workload(&setup.ca, "spiffe://corp.example/x"), workload(&setup.ca, ALICE));
    let named = setup.ca.issue(&Leaf::client(vec![Name::Dns("Dora.Ops.Example".into())], hour())).unwrap();
    let nameless = setup.ca.issue(&Leaf::client(vec![Name::Email("eve@example.com".into())], hour())).unwrap();
    let two = setup
        .ca
        .issue(&Leaf::client(vec![Name::Dns("dora.ops.example".into()), Name::Dns("b.example".into())], hour()))
        .unwrap();
    let stranger = workload(&setup.ca, "spiffe://corp.example/ops/alice2");
    let entries = [
        entry("pinned", &format!("sha256: \"{}\"", hash(&pinned))),
        entry("alice", &format!("spiffe_id: \"{ALICE}\"")),
        entry("dora", "dns: dora.ops.example"),
        entry("eve", &format!("sha256: \"{}\"", hash(&nameless))),
    ];
    let gateway = gateway(setup, "", &entries);
    let ca = &gateway.setup.ca;
    for (leaf, name) in [(&pinned, "pinned"), (&alice, "alice"), (&named, "dora"), (&nameless, "eve")] {
        let reply = asked(&gateway, &showing(ca, leaf), "/v1/whoami", "").unwrap();
        let told: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
        assert_eq!((&told["operator"], &told["by"][0]), (&name.into(), &"certificate".into()), "{}", reply.body);
    }
    for leaf in [&stranger, &two] {
        assert_eq!(status(&gateway, &showing(ca, leaf), ""), 401, "a certificate of nobody");
    }
    let elsewhere = gatepass_certs::mint::Ca::root("elsewhere", hour()).unwrap();
    assert_eq!(
        status(&gateway, &showing(ca, &workload(&elsewhere, ALICE)), ""),
        0,
        "a certificate of another authority"
    );
    assert_eq!(status(&gateway, &trusting(ca), ""), 401, "no certificate");
    assert_eq!(asked(&gateway, &trusting(ca), "/health", "").unwrap().status, 200, "what is open is open");
}

#[test]
fn two_credentials_name_one_operator_or_nobody() {
    let setup = Setup::new();
    let alice = workload(&setup.ca, ALICE);
    let hash = |secret: &str| token("t", secret, 1).split('"').nth(1).unwrap().to_owned();
    let end = gatepass_tests::bundle::in_hours(1);
    let entries = [
        format!(
            "{{name: alice, expires: \"{end}\", certificates: [{{spiffe_id: \"{ALICE}\"}}], sha256: \"{}\"}}",
            hash("hers")
        ),
        token("bob", "his", 1),
    ];
    let gateway = gateway(setup, "", &entries);
    let config = showing(&gateway.setup.ca, &alice);
    let reply = asked(&gateway, &config, "/v1/whoami", &bearer("hers")).unwrap();
    let told: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(told["by"], serde_json::json!(["certificate", "token"]));
    assert_eq!(status(&gateway, &config, &bearer("his")), 401, "two operators at once are nobody");
    assert_eq!(status(&gateway, &config, &bearer("wrong")), 401, "a wrong token beside a right certificate");
    assert_eq!(status(&gateway, &trusting(&gateway.setup.ca), &bearer("his")), 200);
}

#[test]
fn where_a_certificate_is_required_there_is_no_handshake_without() {
    let setup = Setup::new();
    let alice = workload(&setup.ca, ALICE);
    let gateway =
        gateway(setup, ", client_certificate: required", &[entry("alice", &format!("spiffe_id: \"{ALICE}\""))]);
    assert_eq!(status(&gateway, &showing(&gateway.setup.ca, &alice), ""), 200);
    assert!(asked(&gateway, &trusting(&gateway.setup.ca), "/health", "").is_none());
    let mut clear = Client::plain(gateway.address("admin"));
    clear.say("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(clear.reply().is_none(), "in clear nothing is answered");
}

#[test]
fn a_certificate_that_is_revoked_ends_a_connection_that_is_open_too() {
    let setup = Setup::new();
    let (alice, bob) = (workload(&setup.ca, ALICE), workload(&setup.ca, "spiffe://corp.example/ops/bob"));
    let list = |revoked: &[&[u8]]| {
        let crl = Crl { revoked, validity: hour(), distribution_point: None };
        setup.ca.crl(&crl).unwrap().pem().unwrap()
    };
    let (nobody, hers) = (list(&[]), list(&[alice.serial()]));
    setup.scratch.write("clients.crl", nobody);
    let entries = [
        entry("alice", &format!("spiffe_id: \"{ALICE}\"")),
        entry("bob", "spiffe_id: \"spiffe://corp.example/ops/bob\""),
    ];
    let gateway = gateway(setup, ", crl: clients.crl", &entries);
    let address = gateway.address("admin");
    let config = showing(&gateway.setup.ca, &alice);
    let request = format!("GET /v1/whoami HTTP/1.1\r\nHost: localhost:{}\r\n\r\n", address.port());
    let mut open = Client::tls(address, &config).unwrap();
    open.say(&request);
    assert_eq!(open.reply().unwrap().status, 200);
    gateway.setup.scratch.write("clients.crl", hers);
    gateway.signal("HUP");
    eventually("the revocation counts", || (status(&gateway, &config, "") == 0).then_some(()));
    open.say(&request);
    assert_eq!(open.reply().unwrap().status, 401, "the connection was opened before");
    assert_eq!(status(&gateway, &showing(&gateway.setup.ca, &bob), ""), 200, "whoever is not revoked goes on");
}

#[test]
fn the_command_line_shows_a_certificate() {
    let setup = Setup::new();
    let alice = workload(&setup.ca, ALICE);
    setup.scratch.write("alice.pem", alice.chain_pem());
    setup.scratch.write("alice.key", alice.key_pem());
    let gateway = gateway(setup, "", &[entry("alice", &format!("spiffe_id: \"{ALICE}\""))]);
    let url = format!("https://localhost:{}", gateway.address("admin").port());
    let mut command = Command::new(binary());
    command.args(["operators", "whoami", "--admin", &url, "--ca", "clients-ca.pem", "--json"]);
    command
        .args(["--cert", "alice.pem", "--key", "alice.key"])
        .env_remove("GATEPASS_TOKEN")
        .current_dir(gateway.path());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&told["operator"], &told["roles"][0]), (&"alice".into(), &"breaker".into()));
}
