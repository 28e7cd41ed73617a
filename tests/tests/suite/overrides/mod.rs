//! What operators lay over a policy, through the real binary: break-glass, exceptions and containment.

mod announced;

mod approvals;

mod attacks;

mod clocks;

mod commands;

mod endings;

mod exceptions;

mod grants;

mod modes;

mod onramp;

use gatepass_tests::operators::Operator;
use gatepass_tests::{Bundle, Client, Gateway, Origin, Setup};
use serde_json::{Value, json};

/// Origins that say back what they hear.
pub struct World {
    pub origin: Origin,
    pub gateway: Gateway,
}

/// A rule opens the address, a guardrail keeps it shut, and a grant lifts that.
pub fn locked(port: u16) -> Bundle {
    Bundle::new().allow("site", "site.test", &[port]).guardrail(
        "  - id: locked\n    action: deny\n    purpose: shut until somebody opens it\n    lifted_by: [grant, exception]\n    when: destination.host == \"site.test\"\n",
    )
}

impl World {
    pub fn new(bundle: impl Fn(u16) -> Bundle) -> World {
        World::of(Setup::new(), bundle)
    }

    pub fn of(setup: Setup, bundle: impl Fn(u16) -> Bundle) -> World {
        World::with(setup, "", bundle)
    }

    /// With further lines of the section `admin`.
    pub fn with(setup: Setup, admin: &str, bundle: impl Fn(u16) -> Bundle) -> World {
        let origin = Origin::echo();
        for name in ["site.test", "other.test"] {
            setup.resolver.answer(name, &["127.0.0.1"]);
        }
        let gateway = setup.operators_and(admin).start(&bundle(origin.port()));
        World { origin, gateway }
    }

    pub fn who(&self, name: &str) -> Operator {
        self.gateway.operator(name)
    }

    /// The status of one attempt.
    pub fn attempt(&self, host: &str) -> u16 {
        self.gateway.client().connect(&format!("{host}:{}", self.origin.port())).status
    }

    /// An open tunnel that carries, and the id of its decision.
    pub fn tunnel(&self, host: &str) -> (Client, String) {
        let mut client = self.gateway.client();
        let reply = client.connect(&format!("{host}:{}", self.origin.port()));
        assert_eq!(reply.status, 200, "{} {}", reply.head, reply.body);
        assert!(client.try_echo(b"ping"), "it carries");
        (client, reply.id())
    }

    /// What a grant asks for.
    pub fn asked(&self, seconds: u64) -> Value {
        json!({
            "identities": ["anonymous"],
            "destinations": [format!("site.test:{}", self.origin.port())],
            "data_classes": ["unclassified"],
            "reason": "the site must be reached now",
            "ticket": "INC-7",
            "ttl": seconds,
        })
    }

    /// A grant that holds.
    pub fn granted(&self, seconds: u64) -> String {
        let (status, grant) = self.who("alice").post(&self.gateway, "/v1/grants", &self.asked(seconds));
        assert_eq!((status, &grant["status"]), (201, &"pending".into()), "{grant}");
        let id = grant["id"].as_str().unwrap().to_owned();
        let (status, grant) = self.who("bob").post(&self.gateway, &format!("/v1/grants/{id}/approve"), &json!({}));
        assert_eq!((status, &grant["status"]), (200, &"active".into()), "{grant}");
        id
    }

    /// Records of this kind in the spool, by what was done.
    pub fn acts(&self, kind: &str) -> Vec<(String, Value)> {
        let records = self.gateway.records().into_iter().filter(|record| record["kind"] == kind);
        records.map(|record| (record["action"].as_str().unwrap_or_default().to_owned(), record)).collect()
    }
}
