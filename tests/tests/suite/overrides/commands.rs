//! The commands as people type them: what they show, and where they ask.

use std::process::{Command, Output, Stdio};

use gatepass_tests::Setup;
use gatepass_tests::gateway::binary;

use super::{World, locked};

struct Desk {
    world: World,
    place: String,
}

impl Desk {
    fn new() -> Desk {
        let world = World::of(
            Setup::new().section("identity: {networks: [{cidr: \"127.0.0.0/8\", id: \"network:laptop\"}]}\n"),
            locked,
        );
        let place = format!("https://localhost:{}", world.gateway.address("admin").port());
        let scratch = &world.gateway.setup.scratch;
        scratch.write("authority.pem", world.gateway.setup.ca.pem());
        for name in ["alice", "bob"] {
            let operator = world.who(name);
            scratch.write(&format!("{name}.pem"), operator.certificate().chain_pem());
            scratch.write(&format!("{name}.key"), operator.certificate().key_pem());
        }
        Desk { world, place }
    }

    /// As this operator's terminal is set up: all that a command needs to know stands in the environment.
    fn command(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.current_dir(self.world.gateway.path()).args(arguments).env_remove("HTTPS_PROXY");
        command.env("GATEPASS_ADMIN", &self.place).env("GATEPASS_CA", "authority.pem");
        command.env("GATEPASS_CERT", format!("{name}.pem")).env("GATEPASS_KEY", format!("{name}.key"));
        command
    }

    fn run(&self, name: &str, arguments: &[&str]) -> (i32, String, String) {
        let Output { status, stdout, stderr } = self.command(name, arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (status.code().unwrap(), text(stdout), text(stderr))
    }

    fn proxy(&self) -> String {
        format!("http://{}", self.world.gateway.plain())
    }

    fn to(&self) -> String {
        format!("site.test:{}", self.world.origin.port())
    }
}

#[test]
fn whoever_approves_sees_for_how_long_and_with_which_data() {
    let desk = Desk::new();
    let to = desk.to();
    let request = ["grant", "request", "--identity", "network:laptop", "--to", &to, "--reason", "it is night", "--for"];
    let (code, _, told) = desk.run("alice", &[&request[..], &["9h"]].concat());
    assert!(code == 1 && told.contains("--for: at most 1h"), "{told}");
    let (code, told, errors) = desk.run("alice", &[&request[..], &["30m", "--drill"]].concat());
    assert_eq!(code, 0, "{errors}");
    for line in ["until     for 30m", "data      unclassified", "drill     yes"] {
        assert!(told.contains(line), "{told}");
    }
    let approve = told.lines().last().unwrap().trim().strip_prefix("gatepass ").unwrap().to_owned();
    let approve: Vec<&str> = approve.split(' ').collect();
    assert_eq!(desk.run("alice", &approve).0, 1, "her own");
    let (code, told, errors) = desk.run("bob", &approve);
    assert!(code == 0 && told.contains("status    active"), "{told}{errors}");
    assert_eq!(desk.world.attempt("site.test"), 200);
    let (_, told, _) = desk.run("bob", &["mode", "show"]);
    assert!(told.contains("there are normal"), "{told}");
}

#[test]
fn a_reader_that_stops_reading_is_no_failure() {
    let desk = Desk::new();
    let mut command = desk.command("alice", &["mode", "show"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_caller_asks_through_the_proxy_that_is_named_whoever_the_environment_calls_operator() {
    let desk = Desk::new();
    let (to, proxy) = (desk.to(), desk.proxy());
    let request =
        ["exception", "request", "--to", &to, "--for", "1h", "--reason", "for the release", "--proxy", &proxy];
    let (code, told, errors) = desk.run("alice", &[&request[..], &["--lifts", "guard/locked"]].concat());
    assert!(code == 0 && told.contains("asked by  network:laptop"), "{told}{errors}");
    assert_eq!(desk.world.attempt("site.test"), 403);
    let nobody = ["exception", "request", "--to", &to, "--for", "1h", "--reason", "for the release"];
    let (code, _, errors) = desk.run("alice", &nobody);
    assert!(code == 2 && errors.contains("for whom?"), "{errors}");
    let mut why = desk.command("alice", &["why", "site.test", "--proxy", &proxy]);
    let output = why.env("GATEPASS_ADMIN", "https://localhost:1").output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.starts_with("DENY  network:laptop"), "{told}{}", String::from_utf8_lossy(&output.stderr));
}
