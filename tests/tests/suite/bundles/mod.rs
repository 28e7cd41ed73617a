//! Bundles as delivered: released by several people, served, grown old, taken back, and rehearsed.

mod aged;

mod beside;

mod commands;

mod restarts;

mod served;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use gatepass_tests::gateway::binary;
use gatepass_tests::identities::token;
use gatepass_tests::programs::installed;
use gatepass_tests::{Bundle, Client, Depot, Gateway, Origin, Reply, Scratch, Setup, eventually};
use serde_json::Value;

/// Whoever makes and signs releases: a key of OpenSSH, `alice`, and one of OpenSSL, `bob`.
struct Office {
    scratch: Scratch,
}

impl Office {
    fn new() -> Office {
        let office = Office { scratch: Scratch::new() };
        office.program("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", "alice"]);
        office.program("openssl", &["genpkey", "-algorithm", "ed25519", "-out", "bob"]);
        office.program("openssl", &["pkey", "-in", "bob", "-pubout", "-out", "bob.pub"]);
        office
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn program(&self, name: &str, arguments: &[&str]) {
        let output = Command::new(installed(name)).args(arguments).current_dir(self.scratch.path()).output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// `gatepass bundle …` in the office, whatever comes of it.
    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(binary());
        command.arg("bundle").args(arguments).env("NO_COLOR", "1").env_remove("SOURCE_DATE_EPOCH");
        command.current_dir(self.scratch.path()).output().unwrap()
    }

    fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "bundle {arguments:?}: {}\n{err}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    /// The files of this bundle, in `NAME`.
    fn write(&self, name: &str, bundle: &Bundle) {
        let _ = std::fs::remove_dir_all(self.path(name));
        for (file, text) in bundle.files() {
            self.scratch.write(&format!("{name}/{file}"), text);
        }
    }

    /// A release with this number, signed with these keys.
    fn release(&self, bundle: &Bundle, serial: u64, not_after: &str, keys: &[&str]) -> Vec<u8> {
        self.write("policy", bundle);
        let serial = serial.to_string();
        self.done(&["build", "policy", "-o", "corp.gpb", "--serial", &serial, "--not-after", not_after]);
        for key in keys {
            self.done(&["sign", "corp.gpb", "--key", key]);
        }
        std::fs::read(self.path("corp.gpb")).unwrap()
    }

    /// The same, by Alice, for as long as any test lasts.
    fn signed(&self, bundle: &Bundle, serial: u64) -> Vec<u8> {
        self.release(bundle, serial, LATER, &["alice"])
    }
}

/// An end that no test reaches.
const LATER: &str = "2099-01-01T00:00:00Z";

/// A gateway, the office that releases its policy, the server that gives it, and where it leads.
struct World {
    office: Office,
    depot: Depot,
    origin: Origin,
}

impl World {
    fn new(setup: &Setup) -> World {
        setup.resolver.answer("old.test", &["127.0.0.1"]);
        setup.resolver.answer("new.test", &["127.0.0.1"]);
        World { office: Office::new(), depot: Depot::start(&setup.ca), origin: Origin::echo() }
    }

    fn allowing(&self, host: &str) -> Bundle {
        Bundle::new().allow("web", host, &[self.origin.port()])
    }

    /// The section `policy` for this server and Alice's key, with further keys.
    fn section(&self, setup: &Setup, more: &str) -> String {
        setup.scratch.write("alice.pub", self.office.text("alice.pub"));
        setup.scratch.write("depot-ca.pem", setup.ca.pem());
        let url = self.depot.url();
        format!("policy: {{bundle: \"{url}\", verify_keys: [alice.pub], ca: depot-ca.pem, poll: 1s{more}}}")
    }

    fn attempt(&self, gateway: &Gateway, host: &str) -> (Client, Reply) {
        let mut client = gateway.client();
        let reply = client.connect(&format!("{host}:{}", self.origin.port()));
        (client, reply)
    }

    fn status(&self, gateway: &Gateway, host: &str) -> u16 {
        self.attempt(gateway, host).1.status
    }
}

/// An admin listener in clear text, and an operator with a token.
fn operator() -> String {
    format!("admin: {{bind: \"127.0.0.1:0\", operators: [{}]}}", token("vera", "0perator", 1))
}

fn admin(gateway: &Gateway, path: &str) -> Reply {
    let mut client = Client::plain(gateway.address("admin"));
    let host = gateway.address("admin");
    client.say(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer 0perator\r\n\r\n"));
    client.reply().unwrap()
}

fn ready(gateway: &Gateway) -> Value {
    serde_json::from_str(&admin(gateway, "/ready").body).unwrap()
}

fn metric(gateway: &Gateway, line: &str) -> Option<String> {
    let text = admin(gateway, "/metrics").body;
    text.lines().find_map(|found| found.strip_prefix(line)).map(|value| value.trim().to_owned())
}

/// Records of policies with this result, once there are so many.
fn policies(gateway: &Gateway, result: &str, count: usize) -> Vec<Value> {
    eventually(&format!("{count} policies are {result}"), || {
        let found = gateway.records().into_iter();
        let found: Vec<Value> =
            found.filter(|record| record["kind"] == "policy" && record["result"] == result).collect();
        (found.len() >= count).then_some(found)
    })
}

/// Start from this configuration; it must end by itself, having opened nothing.
fn refused(config: &Path) -> String {
    // One that starts would go on for ever.
    let mut command = Command::new(installed("timeout"));
    command.arg("60").arg(binary()).args(["serve", "--config"]).arg(config).env("NO_COLOR", "1");
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(!said.contains("listening on") && !said.contains("ready"), "{said}");
    said
}

/// What it remembers, by the ending of the file.
fn kept(setup: &Setup, ending: &str) -> PathBuf {
    let folder = setup.scratch.path().join("gatepass-data/state/policy");
    let mut files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.find(|path| path.to_string_lossy().ends_with(ending)).unwrap()
}

/// End it, in good order.
fn end(mut gateway: Gateway) -> Gateway {
    gateway.signal("TERM");
    assert_eq!(gateway.wait(), 0);
    gateway
}
