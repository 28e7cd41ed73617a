//! The limits of rules, through the real binary: each says no, goes again when there is room, and is told by name.

mod connections;

mod bytes;

mod durations;

mod told;

use gatepass_tests::identities::{basic, token};
use gatepass_tests::{Bundle, Client, Gateway, Origin, Reply, Setup};
use serde_json::Value;

/// An origin that says back what it hears, two workloads with tokens, and rules with limits.
struct World {
    origin: Origin,
    gateway: Gateway,
}

/// A rule `team/ID` for `identities` to reach `site.test`, with these limits.
fn rule(id: &str, identities: &str, port: u16, limits: &str) -> String {
    ending(id, identities, port, limits, &gatepass_tests::bundle::in_hours(48))
}

fn ending(id: &str, identities: &str, port: u16, limits: &str, end: &str) -> String {
    let issued = gatepass_tests::bundle::in_hours(-48);
    format!(
        "  - id: {id}\n    action: allow\n    purpose: a test\n    {identities}\n    destinations: {{hosts: [\"site.test\"], cidr_sets: [loopback], ports: [{port}]}}\n    data_classes: {{at_most: [unclassified]}}\n    issued: \"{issued}\"\n    expires: \"{end}\"\n    limits: {limits}\n"
    )
}

/// Anyone may reach the site, within these limits.
fn limited(limits: &'static str) -> impl Fn(u16) -> Bundle {
    move |port| Bundle::new().rule(&rule("site", "anyone: true", port, limits))
}

impl World {
    fn new(bundle: impl Fn(u16) -> Bundle) -> World {
        World::of(Setup::new(), Origin::echo(), bundle)
    }

    fn of(setup: Setup, origin: Origin, bundle: impl Fn(u16) -> Bundle) -> World {
        setup.resolver.answer("site.test", &["127.0.0.1"]);
        let setup = setup.tokens(&[token("one", "0ne", 1), token("two", "tw0", 1)]);
        let gateway = setup.start(&bundle(origin.port()));
        World { origin, gateway }
    }

    fn target(&self) -> String {
        format!("site.test:{}", self.origin.port())
    }

    /// Ask for a tunnel.
    fn ask(&self, fields: &str) -> (Client, Reply) {
        let mut client = self.gateway.client();
        let reply = client.connect_with(&self.target(), fields).expect("an answer");
        (client, reply)
    }

    /// An open tunnel, and the id of its decision.
    fn open(&self, fields: &str) -> (Client, String) {
        let (client, reply) = self.ask(fields);
        assert_eq!(reply.status, 200, "{} {}", reply.head, reply.body);
        let id = reply.id();
        (client, id)
    }

    /// A refusal for this limit of this rule; its record.
    fn refused(&self, fields: &str, rule: &str, limit: &str) -> (Reply, Value) {
        let (_, reply) = self.ask(fields);
        let record = self.told(&reply, rule, limit);
        (reply, record)
    }

    /// The answer and the record tell this limit of this rule.
    fn told(&self, reply: &Reply, rule: &str, limit: &str) -> Value {
        assert_eq!(reply.status, 429, "{} {}", reply.head, reply.body);
        assert!(reply.phrase.contains(&format!("a limit is reached: {rule} lets each identity")), "{}", reply.phrase);
        assert!(reply.body.contains(&format!("limits.{limit}: ")), "{}", reply.body);
        assert!(
            reply.field("retry-after").is_some_and(|seconds| seconds.parse::<u64>().unwrap() > 0),
            "{}",
            reply.head
        );
        let record = self.gateway.decision(&reply.id());
        assert_eq!((&record["effect"], &record["outcome"]), (&"deny".into(), &"refused".into()), "{record}");
        assert_eq!((&record["reason"]["code"], &record["rule"]["path"]), (&"limit".into(), &rule.into()), "{record}");
        assert_eq!(record["nearest"][0]["rule"], rule, "{record}");
        assert_eq!(record["nearest"][0]["failed"][0]["clause"], format!("limits.{limit}"), "{record}");
        record
    }

    /// The closing record of what a limit of this rule cut.
    fn cut(&self, id: &str, rule: &str) -> Value {
        let close = self.gateway.close(id);
        assert_eq!((&close["ending"], &close["cut_by"]), (&"limit".into(), &rule.into()), "{close}");
        close
    }
}

fn one() -> String {
    basic("one", "0ne")
}

fn two() -> String {
    basic("two", "tw0")
}
