//! Operators of a gateway under test: an admin listener inside TLS, people with certificates, and what they ask.

use std::sync::Arc;

use gatepass_certs::mint::{Issued, Leaf, Name};
use rustls::ClientConfig;
use serde_json::Value;

use crate::bundle::in_hours;
use crate::gateway::hour;
use crate::identities::{showing, workload};
use crate::{Client, Gateway, Setup};

/// The secret of everybody's authenticator, in base 32.
pub const SECRET: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";

/// Everybody there is: name, person, roles.
const PEOPLE: &[(&str, &str, &str)] = &[
    ("alice", "alice@example.com", "viewer, approver, breaker"),
    // Alice once more, by another certificate.
    ("alice-old", "Alice@example.com", "viewer, approver, breaker"),
    ("bob", "bob@example.com", "viewer, approver, breaker"),
    ("carol", "carol@example.com", "approver"),
    ("vera", "vera@example.com", "viewer"),
];

fn spiffe(name: &str) -> String {
    format!("spiffe://corp.example/ops/{name}")
}

/// What `admin:` says, for whichever gateway: the files stand beside the configuration.
fn section(bind: &str) -> String {
    let end = in_hours(1);
    let people = PEOPLE.iter().map(|(name, person, roles)| {
        format!(
            "    - {{name: {name}, person: \"{person}\", roles: [{roles}], expires: \"{end}\", certificates: [{{spiffe_id: \"{}\"}}], totp: {{secret: {SECRET}}}}}\n",
            spiffe(name)
        )
    });
    let people: String = people.collect();
    format!(
        "admin:\n  bind: \"{bind}\"\n  tls: {{certificate: admin.pem, key: admin.key, client_ca: clients-ca.pem}}\n  operators:\n{people}"
    )
}

impl Setup {
    /// An admin listener inside TLS, and the usual people.
    #[must_use]
    pub fn operators(self) -> Setup {
        self.operators_and("")
    }

    /// The same, with further lines of the section `admin`.
    #[must_use]
    pub fn operators_and(self, more: &str) -> Setup {
        let leaf = self.ca.issue(&Leaf::server(vec![Name::Dns("localhost".into())], hour())).unwrap();
        self.scratch.write("admin.pem", leaf.chain_pem());
        self.scratch.write("admin.key", leaf.key_pem());
        self.scratch.write("clients-ca.pem", self.ca.pem());
        self.section(&(section("127.0.0.1:0") + more))
    }
}

/// Somebody who asks a gateway.
#[derive(Clone)]
pub struct Operator {
    config: Arc<ClientConfig>,
    certificate: Arc<Issued>,
}

impl Gateway {
    /// One of the people, with their certificate.
    pub fn operator(&self, name: &str) -> Operator {
        let certificate = workload(&self.setup.ca, &spiffe(name));
        Operator { config: showing(&self.setup.ca, &certificate), certificate: Arc::new(certificate) }
    }
}

impl Operator {
    /// The certificate that is shown.
    pub fn certificate(&self) -> &Issued {
        &self.certificate
    }

    /// Ask, with further field lines: the status and the JSON of the answer.
    pub fn ask(&self, gateway: &Gateway, line: &str, fields: &str, body: Option<&Value>) -> (u16, Value) {
        let address = gateway.address("admin");
        let mut client = Client::tls(address, &self.config).unwrap();
        let (body, kind) = match body {
            Some(body) => (body.to_string(), "Content-Type: application/json\r\n"),
            None => (String::new(), ""),
        };
        client.say(format!(
            "{line} HTTP/1.1\r\nHost: localhost:{}\r\n{kind}Content-Length: {}\r\n{fields}\r\n{body}",
            address.port(),
            body.len()
        ));
        let reply = client.reply().unwrap();
        (reply.status, serde_json::from_str(&reply.body).unwrap_or(Value::Null))
    }

    /// `GET`.
    pub fn get(&self, gateway: &Gateway, path: &str) -> (u16, Value) {
        self.ask(gateway, &format!("GET {path}"), "", None)
    }

    /// `POST`.
    pub fn post(&self, gateway: &Gateway, path: &str, body: &Value) -> (u16, Value) {
        self.ask(gateway, &format!("POST {path}"), "", Some(body))
    }

    /// `PUT`.
    pub fn put(&self, gateway: &Gateway, path: &str, body: &Value) -> (u16, Value) {
        self.ask(gateway, &format!("PUT {path}"), "", Some(body))
    }

    /// `DELETE`.
    pub fn delete(&self, gateway: &Gateway, path: &str) -> (u16, Value) {
        self.ask(gateway, &format!("DELETE {path}"), "", None)
    }
}

/// The code of everybody's authenticator now, or so many steps from now.
pub fn code(steps: i64) -> String {
    let secret = gatepass_config::operators::TotpSecret::new(b"Hello!\xde\xad\xbe\xefHello!\xde\xad\xbe\xef").unwrap();
    let now = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(30 * steps);
    gatepass::admin::totp::code_at(&secret, now).unwrap()
}
