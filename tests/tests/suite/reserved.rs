//! Why was I denied? By the reserved host, and by `gatepass why`: one's own denials, and nobody else's.

use std::path::Path;
use std::process::{Command, Output};

use gatepass_tests::gateway::binary;
use gatepass_tests::identities::{basic, being, token, trusting, workload};
use gatepass_tests::{Bundle, Client, Gateway, Reply, Setup};

const WHY: &str = "http://gatepass.internal";

fn gateway() -> Gateway {
    let tokens = [token("ci", "s3cret", 1), token("other", "0ther", 1)];
    Setup::new().mesh("optional").tokens(&tokens).start(&Bundle::new().allow("web", "allowed.test", &[443]))
}

fn ci() -> String {
    basic("ci", "s3cret")
}

fn other() -> String {
    basic("other", "0ther")
}

/// A denial of this host for whoever these fields name; its id.
fn denied(gateway: &Gateway, host: &str, fields: &str) -> String {
    let reply = gateway.client().connect_with(&format!("{host}:443"), fields).unwrap();
    assert_eq!(reply.status, 403, "{}", reply.head);
    reply.id()
}

fn ask(gateway: &Gateway, path: &str, fields: &str) -> Reply {
    gateway.client().fetch(&format!("{WHY}{path}"), fields).unwrap()
}

fn why(gateway: &Gateway, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.env_remove("HTTPS_PROXY").env_remove("GATEPASS_ADMIN").env_remove("GATEPASS_TOKEN");
    command.current_dir(gateway.path()).arg("why").args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_caller_is_told_of_its_own_last_denial_by_host_and_by_id() {
    let gateway = gateway();
    let first = denied(&gateway, "one.test", &ci());
    let second = denied(&gateway, "two.test", &ci());
    for (path, id) in [
        ("/".to_owned(), &second),
        ("/?host=one.test".to_owned(), &first),
        ("/?host=ONE.test.".to_owned(), &first),
        (format!("/{first}"), &first),
        (format!("/{second}"), &second),
    ] {
        let reply = ask(&gateway, &path, &ci());
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
        assert!(reply.body.starts_with("DENY") && reply.body.contains(id.as_str()), "{path}: {}", reply.body);
        assert!(reply.body.contains("no_rule"), "{path}: {}", reply.body);
    }
    assert!(!gateway.setup.resolver.was_asked("gatepass.internal"));
}

#[test]
fn json_is_told_to_who_asks_for_it() {
    let gateway = gateway();
    let id = denied(&gateway, "one.test", &ci());
    let reply = ask(&gateway, "/", &(ci() + "Accept: application/json\r\n"));
    let json: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(json["id"], id.as_str());
    assert_eq!(json["reason"]["code"], "no_rule");
    assert_eq!(reply.field("content-type").as_deref(), Some("application/json"));
    assert_eq!(reply.field("cache-control").as_deref(), Some("no-store"));
}

#[test]
fn nobody_is_told_of_somebody_else_s_denial() {
    let gateway = gateway();
    let id = denied(&gateway, "secret-project.test", &ci());
    for fields in [other(), String::new()] {
        for path in ["/".to_owned(), "/?host=secret-project.test".to_owned(), format!("/{id}")] {
            let reply = ask(&gateway, &path, &fields);
            assert_eq!(reply.status, 404, "{path} with `{fields}`: {}", reply.body);
            assert!(!reply.body.contains("secret-project"), "{}", reply.body);
        }
    }
    // An unknown id and somebody else's look the same.
    let unknown = ask(&gateway, "/019a0000-0000-7000-8000-000000000000", &other());
    assert_eq!(unknown.body, ask(&gateway, &format!("/{id}"), &other()).body);
}

#[test]
fn anonymous_is_told_by_the_whole_id_only() {
    let setup = Setup::new();
    let gateway = setup.start(&Bundle::new());
    let id = denied(&gateway, "one.test", "");
    for path in ["/", "/?host=one.test", &format!("/{}", &id[..18])] {
        assert_eq!(ask(&gateway, path, "").status, 404, "{path}");
    }
    let reply = ask(&gateway, &format!("/{id}"), "");
    assert_eq!(reply.status, 200);
    assert!(reply.body.contains("one.test:443"), "{}", reply.body);
}

#[test]
fn bad_credentials_are_told_nothing_and_malformed_questions_neither() {
    let gateway = gateway();
    let id = denied(&gateway, "one.test", &ci());
    let reply = ask(&gateway, &format!("/{id}"), &basic("ci", "wrong"));
    assert_eq!(reply.status, 407, "{}", reply.head);
    assert!(!reply.body.contains("one.test"));
    for (path, status) in [("/nonsense", 404), ("/?host=a%20b", 404), ("/../etc/passwd", 400)] {
        assert_eq!(ask(&gateway, path, &ci()).status, status, "{path}");
    }
}

#[test]
fn the_reserved_host_is_no_destination() {
    let gateway = Setup::new().start(&Bundle::new().allow("web", "gatepass.internal", &[80, 443, 8080]));
    gateway.setup.resolver.answer("gatepass.internal", &["127.0.0.1"]);
    for target in ["gatepass.internal:443", "gatepass.internal:80", "GATEPASS.internal.:443"] {
        let reply = gateway.client().connect(target);
        assert_eq!(reply.status, 400, "{target}");
        assert_eq!(gateway.decision(&reply.id())["reason"]["code"], "invalid_request");
    }
    assert_eq!(gateway.client().fetch("http://gatepass.internal:8080/", "").unwrap().status, 400);
    assert!(!gateway.setup.resolver.was_asked("gatepass.internal"), "the reserved name was looked up");
}

#[test]
fn why_asks_through_the_proxy_with_credentials_from_the_url() {
    let gateway = gateway();
    let id = denied(&gateway, "one.test", &ci());
    let url = format!("http://ci:s3cret@{}", gateway.plain());
    for arguments in [vec![], vec!["one.test"], vec![id.as_str()]] {
        let output = why(&gateway, &[&["--proxy", &url][..], &arguments].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert!(text(&output.stdout).contains(&id), "{}", text(&output.stdout));
    }
    let output = why(&gateway, &["--proxy", &url, "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["id"], id.as_str());
    let encoded = format!("http://ci:s%33cret@{}", gateway.plain());
    assert_eq!(why(&gateway, &["--proxy", &encoded]).status.code(), Some(0));
}

#[test]
fn why_exits_by_the_answer() {
    let gateway = gateway();
    denied(&gateway, "one.test", &ci());
    let url = gateway.url();
    let with = |user: &str| format!("http://{user}@{}", gateway.plain());
    let code = |arguments: &[&str]| why(&gateway, arguments).status.code().unwrap();
    assert_eq!(code(&["--proxy", &with("other:0ther")]), 1);
    assert_eq!(code(&["--proxy", &with("ci:s3cret"), "never.test"]), 1);
    assert_eq!(code(&["--proxy", &with("ci:wrong")]), 1);
    assert_eq!(code(&["--proxy", &url]), 1);
    assert_eq!(code(&[]), 2);
    assert_eq!(code(&["--proxy", "ftp://x"]), 3);
    assert_eq!(code(&["--proxy", &url, "--cert", "client.pem"]), 2);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(code(&["--proxy", &format!("http://{free}")]), 3);
}

#[test]
fn why_reads_https_proxy_from_the_environment() {
    let gateway = gateway();
    let id = denied(&gateway, "one.test", &ci());
    let url = format!("http://ci:s3cret@{}", gateway.plain());
    let output = Command::new(binary()).args(["why"]).env("HTTPS_PROXY", url).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains(&id));
}

fn write_identity(gateway: &Gateway, id: &str) {
    let issued = workload(&gateway.setup.ca, id);
    gateway.setup.scratch.write("client.pem", issued.chain_pem());
    gateway.setup.scratch.write("client.key", issued.key_pem());
    use std::os::unix::fs::PermissionsExt;
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(gateway.path().join(Path::new("client.key")), private).unwrap();
}

#[test]
fn why_asks_over_mtls_as_the_workload_that_the_certificate_names() {
    let gateway = gateway();
    let shop = "spiffe://corp.example/ns/payments/sa/shop";
    let config = being(&gateway.setup.ca, shop);
    let mut client: Client = gateway.mesh(&config).unwrap();
    let id = client.connect("one.test:443").id();
    let url = format!("https://localhost:{}", gateway.address("mesh").port());
    let mtls = ["--proxy", &url, "--cert", "client.pem", "--key", "client.key", "--ca", "clients-ca.pem"];
    write_identity(&gateway, shop);
    let output = why(&gateway, &mtls);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains(&id) && text(&output.stdout).contains(shop));
    write_identity(&gateway, "spiffe://corp.example/ns/payments/sa/neighbour");
    assert_eq!(why(&gateway, &[&mtls[..], &[&id]].concat()).status.code(), Some(1));
    // Without a certificate the caller is anonymous; without an authority there is no handshake.
    assert_eq!(why(&gateway, &["--proxy", &url, "--ca", "clients-ca.pem"]).status.code(), Some(1));
    assert_eq!(why(&gateway, &["--proxy", &url]).status.code(), Some(3));
    let anonymous = gateway.mesh(&trusting(&gateway.setup.ca)).unwrap().fetch(&format!("{WHY}/{id}"), "").unwrap();
    assert_eq!(anonymous.status, 404);
}
