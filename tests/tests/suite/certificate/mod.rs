//! What servers prove to the gateway's own probe decides, and until then not one byte of the client reaches them.

mod answers;

mod offline;

mod refusals;

mod sparing;

use std::sync::Arc;

use gatepass_certs::mint::{Ca, Issued, Leaf, Name, Validity};
use gatepass_tests::gateway::hour;
use gatepass_tests::identities::trusting;
use gatepass_tests::origin::{http_server, server_showing};
use gatepass_tests::{Bundle, Client, Gateway, Origin, Setup};
use rcgen::{KeyPair, PublicKeyData as _};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::Value;

use crate::hellos::{ACCESS_DENIED, Sni, alert, hello};

/// The condition of the worked example.
const PROVED: &str = "tls.sni == destination.host && upstream.verified";

const HOST: &str = "api.test";

struct World {
    gateway: Gateway,
    origin: Origin,
}

/// A leaf for a server of this name.
fn leaf(ca: &Ca, name: &str, validity: Validity) -> Issued {
    ca.issue(&Leaf::server(vec![Name::Dns(name.to_owned())], validity)).unwrap()
}

/// Anyone may reach the host under this condition.
fn allowing(origin: &Origin, when: &str) -> Bundle {
    Bundle::new().rule(&rule(origin.port(), when))
}

fn rule(port: u16, when: &str) -> String {
    format!(
        "  - id: api\n    action: allow\n    purpose: a test\n    anyone: true\n    destinations: {{hosts: [\"{HOST}\"], cidr_sets: [loopback], ports: [{port}]}}\n    data_classes: {{at_most: [unclassified]}}\n    expires: \"{}\"\n    when: '{when}'\n",
        gatepass_tests::bundle::in_hours(24)
    )
}

/// A gateway that trusts the test's authority, with these further sections, before this origin.
fn world_of(setup: Setup, limits: &str, origin: Origin, bundle: impl FnOnce(&Origin) -> Bundle) -> World {
    setup.scratch.write("roots.pem", setup.ca.pem());
    setup.resolver.answer(HOST, &["127.0.0.1"]);
    let setup = setup.section("probe: {ca: roots.pem}").section(&format!("limits: {{{limits}}}"));
    let gateway = setup.start(&bundle(&origin));
    World { gateway, origin }
}

/// Before an origin that shows what this makes of the test's authority.
fn world(own: impl FnOnce(&Ca) -> Issued, when: &str) -> World {
    let setup = Setup::new();
    let origin = Origin::presenting(http_server(&own(&setup.ca)));
    world_of(setup, "client_hello_timeout: 5s", origin, |origin| allowing(origin, when))
}

/// Before an origin that is what it says.
fn good(when: &str) -> World {
    world(|ca| leaf(ca, HOST, hour()), when)
}

impl World {
    fn open(&self) -> (Client, String) {
        let mut client = self.gateway.client();
        let reply = client.connect(&format!("{HOST}:{}", self.origin.port()));
        assert_eq!(reply.status, 200, "{}", reply.head);
        let id = reply.id();
        (client, id)
    }

    /// The answer of the origin through a tunnel, and the decision.
    fn fetched(&self) -> Value {
        let (client, id) = self.open();
        let config = trusting(&self.gateway.setup.ca);
        let mut client = client.secure(HOST, &config).expect("the client's own handshake ends well");
        assert_eq!(client.get(HOST).status, 200);
        let record = self.gateway.decision(&id);
        assert_eq!((&record["effect"], &record["outcome"]), (&"allow".into(), &"admitted".into()), "{record}");
        record
    }

    /// The decision on a tunnel that is refused at the certificate stage; nothing of the client's has reached the origin.
    fn refused(&self) -> Value {
        let (mut client, id) = self.open();
        let hello = hello(&self.gateway.setup, HOST, Sni::Sent);
        client.say(&hello);
        assert_eq!(alert(&client.rest()), Some(ACCESS_DENIED));
        let record = self.gateway.decision(&id);
        assert_eq!((&record["effect"], &record["outcome"]), (&"deny".into(), &"refused".into()), "{record}");
        assert_eq!(record["stage"], "certificate", "{record}");
        assert!(!self.has_heard(&hello), "something of the client's has reached the origin");
        record
    }

    /// Whether the random bytes of this hello are among what the origin got.
    fn has_heard(&self, hello: &[u8]) -> bool {
        let random = &hello[11..43];
        self.origin.bytes().windows(random.len()).any(|bytes| bytes == random)
    }
}

fn fault(record: &Value) -> (&Value, &str) {
    (&record["upstream"]["verified"], record["upstream"]["fault"].as_str().unwrap_or_default())
}

/// TLS of a server whose certificate nobody but itself has signed.
fn self_signed(name: &str) -> Arc<ServerConfig> {
    let key = KeyPair::generate().unwrap();
    let leaf = Leaf::server(vec![Name::Dns(name.to_owned())], hour()).params().unwrap().self_signed(&key).unwrap();
    server_showing(vec![leaf.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
}

/// The SubjectPublicKeyInfo of this certificate's key, from its private one.
fn public_key(issued: &Issued) -> Vec<u8> {
    let PrivateKeyDer::Pkcs8(key) = issued.key() else { panic!("minted keys are PKCS #8") };
    KeyPair::try_from(key.secret_pkcs8_der()).unwrap().subject_public_key_info()
}
