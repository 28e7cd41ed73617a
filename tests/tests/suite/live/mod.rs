//! Open tunnels are decided again when something changes, and only those that are no longer allowed are cut.

mod credentials;

mod exchanges;

mod policy;

mod preview;

mod storm;

mod time;

use std::time::{Duration, Instant};

use gatepass_tests::{Bundle, Client, Gateway, Origin, Setup, eventually};
use serde_json::Value;

/// From a change that the gateway knows of to the end of a tunnel.
const PROMPT: Duration = Duration::from_secs(1);

/// Origins that say back what they hear, under two names.
struct World {
    origin: Origin,
    gateway: Gateway,
}

impl World {
    fn new(setup: Setup, bundle: impl Fn(u16) -> Bundle) -> World {
        let origin = Origin::echo();
        for name in ["kept.test", "gone.test"] {
            setup.resolver.answer(name, &["127.0.0.1"]);
        }
        let gateway = setup.start(&bundle(origin.port()));
        World { origin, gateway }
    }

    fn open(&self, host: &str) -> Open {
        self.open_on(self.gateway.client(), host, "")
    }

    fn open_on(&self, mut client: Client, host: &str, fields: &str) -> Open {
        let reply = client.connect_with(&format!("{host}:{}", self.origin.port()), fields).unwrap();
        assert_eq!(reply.status, 200, "{} {}", reply.head, reply.body);
        let open = Open { id: reply.id(), client };
        open.flows()
    }

    fn edit(&self, bundle: &Bundle) {
        edit(&self.gateway, bundle);
    }

    /// The closing record of a tunnel that was cut.
    fn cut(&self, open: &Open, ending: &str, cut_by: &str) -> Value {
        let close = self.gateway.close(&open.id);
        assert_eq!((close["ending"].as_str(), close["cut_by"].as_str()), (Some(ending), Some(cut_by)), "{close}");
        close
    }

    fn is_open(&self, open: Open) -> Open {
        let records = self.gateway.records();
        let close = records.iter().find(|record| record["kind"] == "close" && record["id"] == open.id);
        assert!(close.is_none(), "{close:?}");
        open.flows()
    }
}

/// A tunnel.
struct Open {
    id: String,
    client: Client,
}

impl Open {
    fn flows(mut self) -> Open {
        assert!(self.client.try_echo(b"ping"), "the tunnel {} does not carry", self.id);
        self
    }
}

/// Replace the bundle's files, and wait until the new policy is in force.
pub fn edit(gateway: &Gateway, bundle: &Bundle) {
    let activated = || {
        let is = |record: &&Value| record["kind"] == "policy" && record["result"] == "activated";
        gateway.records().iter().filter(is).count()
    };
    let before = activated();
    for (name, text) in bundle.files() {
        gateway.setup.scratch.write(&format!("policy/{name}"), text);
    }
    eventually("the new policy is in force", || (activated() > before).then_some(()));
}

/// How long it takes until the record of this end is there.
fn took(world: &World, open: &Open) -> Duration {
    let started = Instant::now();
    world.gateway.close(&open.id);
    started.elapsed()
}

/// A rule `team/ID` for anyone, which ends at this moment.
fn ending(id: &str, host: &str, port: u16, end: jiff::Timestamp) -> String {
    format!(
        "  - id: {id}\n    action: allow\n    purpose: a test\n    anyone: true\n    destinations: {{hosts: [\"{host}\"], cidr_sets: [loopback], ports: [{port}]}}\n    data_classes: {{at_most: [unclassified]}}\n    expires: \"{end}\"\n"
    )
}

/// What `/metrics` says of the tunnels cut with this ending.
fn counted(gateway: &Gateway, ending: &str) -> String {
    said(gateway, &format!("gatepass_tunnels_cut_total{{ending=\"{ending}\""))
}

/// The value of the line of `/metrics` that begins so.
pub fn said(gateway: &Gateway, wanted: &str) -> String {
    let mut client = Client::plain(gateway.address("admin"));
    client.say(format!("GET /metrics HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.address("admin")));
    let text = client.reply().unwrap().body;
    let line = text.lines().find(|line| line.starts_with(wanted)).unwrap_or_else(|| panic!("no {wanted} in {text}"));
    line.rsplit(' ').next().unwrap().to_owned()
}
