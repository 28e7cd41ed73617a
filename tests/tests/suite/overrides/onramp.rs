//! From a denial to a reviewed change, by the command line: the line that the denial prints, an approval, an export.

use std::process::{Command, Output};

use gatepass_tests::gateway::binary;
use gatepass_tests::{Bundle, Client, Gateway, Origin, Setup, eventually};
use serde_json::Value;

use super::locked;
use gatepass_tests::identities::{basic, token};

struct Ramp {
    gateway: Gateway,
    origin: Origin,
}

impl Ramp {
    fn new(bundle: impl Fn(u16) -> Bundle) -> Ramp {
        let origin = Origin::echo();
        let setup = Setup::new().tokens(&[token("dev", "secret", 1), token("other", "another", 1)]).operators();
        setup.resolver.answer("site.test", &["127.0.0.1"]);
        Ramp { gateway: setup.start(&bundle(origin.port())), origin }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(binary());
        command.args(arguments).current_dir(self.gateway.path());
        command.env("HTTPS_PROXY", format!("http://dev:secret@{}", self.gateway.plain()));
        command.env_remove("GATEPASS_ADMIN").env_remove("GATEPASS_TOKEN").output().unwrap()
    }

    /// A command of an operator.
    fn operator(&self, name: &str, arguments: &[&str]) -> Output {
        let who = self.gateway.operator(name);
        let scratch = &self.gateway.setup.scratch;
        scratch.write(&format!("{name}.pem"), who.certificate().chain_pem());
        scratch.write(&format!("{name}.key"), who.certificate().key_pem());
        let url = format!("https://localhost:{}", self.gateway.address("admin").port());
        let (cert, key) = (format!("{name}.pem"), format!("{name}.key"));
        let shown = ["--admin", &url, "--cert", &cert, "--key", &key, "--ca", "clients-ca.pem"];
        self.run(&[arguments, &shown].concat())
    }

    fn attempt(&self) -> u16 {
        self.reply().status
    }

    fn reply(&self) -> gatepass_tests::Reply {
        let to = format!("site.test:{}", self.origin.port());
        self.gateway.client().connect_with(&to, &basic("dev", "secret")).unwrap()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(output)))
}

#[test]
fn a_developer_runs_the_line_that_the_denial_printed() {
    let ramp = Ramp::new(|_| Bundle::new());
    let denied = ramp.reply();
    assert_eq!(denied.status, 403);
    let line = denied
        .body
        .lines()
        .find(|line| line.trim_start().starts_with("ask "))
        .unwrap_or_else(|| panic!("{}", denied.body));
    let to = format!("site.test:{}", ramp.origin.port());
    assert_eq!(line.trim(), format!("ask      gatepass exception request --to {to} --for 24h --reason \"…\""));
    let asked = ramp.run(&["exception", "request", "--to", &to, "--for", "24h", "--reason", "we need it", "--json"]);
    let asked = json(&asked);
    assert_eq!((&asked["status"], &asked["identities"][0]), (&"pending".into(), &"token:dev".into()), "{asked}");
    assert_eq!(asked["data_classes"][0], "unclassified", "those of the registry");
    let id = asked["id"].as_str().unwrap();
    let status = ramp.run(&["exception", "status", id, "--json"]);
    assert_eq!(json(&status)["status"], "pending");
    let listed = ramp.operator("vera", &["exception", "list", "--pending"]);
    assert!(said(&listed).contains(id) && said(&listed).contains("permits team"), "{}", said(&listed));
    let approved = ramp.operator("bob", &["exception", "approve", id]);
    assert!(approved.status.success() && said(&approved).contains("active"), "{}", said(&approved));
    assert_eq!(json(&ramp.run(&["exception", "status", id, "--json"]))["status"], "active");
    // It permits; loopback itself is opened by rules alone, as the floor says.
    let reply = ramp.reply();
    assert_eq!(ramp.gateway.decision(&reply.id())["reason"]["code"], "address_floor", "{}", reply.body);
}

#[test]
fn what_was_approved_is_exported_as_a_file_that_the_bundle_takes() {
    let ramp = Ramp::new(locked);
    let to = format!("site.test:{}", ramp.origin.port());
    let denied = ramp.reply().body;
    let line = format!("ask      gatepass exception request --to {to} --lifts guard/locked --for 24h --reason \"…\"");
    assert!(denied.contains(&line), "{denied}");
    let asked = ramp.run(&[
        "exception",
        "request",
        "--to",
        &to,
        "--for",
        "2h",
        "--reason",
        "a \"trial\": of it",
        "--lifts",
        "guard/locked",
        "--json",
    ]);
    let id = json(&asked)["id"].as_str().unwrap().to_owned();
    assert_eq!(ramp.attempt(), 403);
    assert!(ramp.operator("bob", &["exception", "approve", &id]).status.success());
    let reply = ramp.reply();
    let record = ramp.gateway.decision(&reply.id());
    assert_eq!((reply.status, &record["exception"]), (200, &id.as_str().into()), "what lifted it is told: {record}");
    let file = ramp.operator("vera", &["exception", "export"]);
    let text = String::from_utf8(file.stdout).unwrap().replace("\"…\"", "security@example.com");
    ramp.gateway.setup.scratch.write("policy/exceptions.yaml", &text);
    let checked = ramp.run(&["check", "policy"]);
    assert!(checked.status.success(), "{text}\n{}", said(&checked));
    // With it in the bundle, the one in the store is needed no more.
    eventually("the bundle is in force", || {
        let activated = |record: &Value| record["kind"] == "policy" && record["result"] == "activated";
        (ramp.gateway.records().iter().filter(|record| activated(record)).count() == 2).then_some(())
    });
    assert!(ramp.operator("bob", &["exception", "close", &id]).status.success());
    assert_eq!(ramp.attempt(), 200);
}

#[test]
fn a_guardrail_that_takes_no_exception_sends_nobody_asking() {
    let hard =
        "  - {id: hard, action: deny, purpose: never, lifted_by: [grant], when: 'destination.host == \"site.test\"'}\n";
    let ramp = Ramp::new(|port| Bundle::new().allow("site", "site.test", &[port]).guardrail(hard));
    let denied = ramp.reply();
    assert_eq!(denied.status, 403);
    assert!(denied.body.contains("guard/hard") && !denied.body.contains("ask "), "{}", denied.body);
}

#[test]
fn nobody_asks_for_somebody_else_and_a_page_asks_for_nobody() {
    let ramp = Ramp::new(|_| Bundle::new());
    let ask = |fields: &str, body: &str| {
        let mut client = Client::plain(ramp.gateway.plain());
        client.say(format!(
            "POST http://gatepass.internal/v1/exceptions HTTP/1.1\r\nHost: gatepass.internal\r\nContent-Length: {}\r\n{fields}\r\n{body}",
            body.len()
        ));
        client.reply().unwrap().status
    };
    let (json, dev) = ("Content-Type: application/json\r\n", basic("dev", "secret"));
    let body =
        |more: &str| format!("{{\"destinations\": [\"a.test:443\"], \"reason\": \"we need it\", \"ttl\": 60{more}}}");
    assert_eq!(ask(&format!("{json}{dev}"), &body("")), 200);
    for (fields, body, status) in [
        (json.to_owned(), body(""), 403),
        (format!("{json}{}", basic("dev", "wrong")), body(""), 407),
        (format!("{json}{dev}"), body(", \"identities\": [\"token:other\"]"), 400),
        (format!("{json}{dev}"), body(", \"unknown\": 1"), 400),
        (format!("{json}{dev}Origin: http://evil.test\r\n"), body(""), 403),
        (format!("{json}{dev}Sec-Fetch-Site: cross-site\r\n"), body(""), 403),
        (format!("Content-Type: text/plain\r\n{dev}"), body(""), 415),
        (dev.clone(), body(""), 415),
        (format!("{json}{dev}"), "{".to_owned(), 400),
        (format!("{json}{dev}"), "x".repeat(20_000), 413),
    ] {
        assert_eq!(ask(&fields, &body), status, "{fields} {body:.80}");
    }
    let listed = self::json(&ramp.run(&[
        "exception",
        "request",
        "--to",
        "a.test:443",
        "--for",
        "1m",
        "--reason",
        "we need it",
        "--json",
    ]));
    let id = listed["id"].as_str().unwrap();
    let mut other = Client::plain(ramp.gateway.plain());
    let reply =
        other.fetch(&format!("http://gatepass.internal/v1/exceptions/{id}"), &basic("other", "another")).unwrap();
    assert_eq!(reply.status, 404, "one workload learns nothing of another's");
}

#[test]
fn a_grant_by_the_command_line_tells_what_to_do_next() {
    let ramp = Ramp::new(locked);
    let to = format!("site.test:{}", ramp.origin.port());
    let request =
        ["grant", "request", "--identity", "token:dev", "--to", &to, "--for", "30m", "--reason", "the site is down"];
    let asked = ramp.operator("alice", &request);
    assert!(asked.status.success(), "{}", said(&asked));
    let told = said(&asked);
    let line = told.lines().find(|line| line.trim_start().starts_with("gatepass grant approve ")).unwrap();
    let id = line.split_whitespace().last().unwrap();
    let own = ramp.operator("alice", &["grant", "approve", id]);
    assert_eq!(own.status.code(), Some(1), "{}", said(&own));
    assert!(ramp.operator("bob", &["grant", "approve", id]).status.success());
    assert_eq!(ramp.attempt(), 200);
    let listed = said(&ramp.operator("vera", &["grant", "list", "--live"]));
    assert!(listed.contains("active") && listed.contains(id), "{listed}");
    assert!(ramp.operator("carol", &["grant", "revoke", id, "--reason", "it is up again"]).status.success());
    assert_eq!(ramp.attempt(), 403);
    let reviewed = ramp.operator("carol", &["grant", "review", id, "--note", "nothing odd"]);
    assert!(reviewed.status.success() && said(&reviewed).contains("site.test"), "{}", said(&reviewed));
    let with_code = gatepass_tests::operators::code(0);
    let again = ramp.operator("alice", &[&request[..], &["--totp", &with_code]].concat());
    assert!(again.status.success() && said(&again).contains("active"), "{}", said(&again));
    for arguments in [&["grant", "request"][..], &["grant", "request", "--to", &to], &["mode", "set", "lockdown"]] {
        assert_eq!(ramp.operator("alice", arguments).status.code(), Some(2), "{arguments:?}");
    }
}
