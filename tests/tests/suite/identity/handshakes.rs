//! Certificates that are not let in: the handshake fails, and that is recorded.

use std::sync::Arc;

use gatepass_certs::mint::{Ca, Crl, Issued, Leaf, Name, Validity};
use gatepass_tests::gateway::hour;
use gatepass_tests::identities::{showing, trusting, workload};
use gatepass_tests::{Setup, eventually};
use jiff::{SignedDuration, Timestamp};
use rustls::ClientConfig;

use super::World;

const SHOP: &str = "spiffe://corp.example/ns/payments/sa/shop";

/// No answer comes, a record does, and nothing goes further; the record's text is returned.
fn shut_out(world: &World, config: &Arc<ClientConfig>) -> String {
    let before = world.gateway.decisions().len();
    // In TLS 1.3 the client may believe in its handshake for as long as it does not read.
    let answer = world.gateway.mesh(config).ok().and_then(|mut client| client.connect_with(&world.target(), ""));
    assert!(answer.is_none(), "{}", answer.unwrap().head);
    let record = eventually("the failed handshake is recorded", || world.gateway.decisions().get(before).cloned());
    assert_eq!(record["effect"], "deny", "{record}");
    assert_eq!(record["outcome"], "refused", "{record}");
    assert_eq!(record["reason"]["code"], "identity_invalid", "{record}");
    assert_eq!(record["listener"], "mesh", "{record}");
    assert_eq!(record["client"]["address"], "127.0.0.1", "{record}");
    assert!(world.gateway.setup.resolver.queries().is_empty());
    assert_eq!(world.origin.connections(), 0);
    record["reason"]["text"].as_str().unwrap().to_lowercase()
}

fn world(setup: Setup) -> World {
    World::new(setup, "anyone: true")
}

fn lasting(world: &World, from: i64, until: i64) -> Issued {
    let now = Timestamp::now();
    let validity = Validity {
        not_before: now + SignedDuration::from_secs(from),
        not_after: now + SignedDuration::from_secs(until),
    };
    world.gateway.setup.ca.issue(&Leaf::client(vec![Name::Uri(SHOP.to_owned())], validity)).unwrap()
}

#[test]
pub(super) fn without_a_certificate_nobody_enters_where_one_is_required() {
    let world = world(Setup::new().mesh("required"));
    let text = shut_out(&world, &trusting(&world.gateway.setup.ca));
    assert!(text.contains("certificate"), "{text}");
}

#[test]
pub(super) fn an_expired_certificate_is_refused_at_the_handshake_required_or_not() {
    for presence in ["required", "optional"] {
        let world = world(Setup::new().mesh(presence));
        let text = shut_out(&world, &showing(&world.gateway.setup.ca, &lasting(&world, -3600, -1)));
        assert!(text.contains("expired"), "{text}");
    }
}

#[test]
pub(super) fn a_certificate_of_the_future_is_refused_at_the_handshake() {
    let world = world(Setup::new().mesh("required"));
    let text = shut_out(&world, &showing(&world.gateway.setup.ca, &lasting(&world, 3600, 7200)));
    assert!(text.contains("not valid yet") || text.contains("notvalidyet"), "{text}");
}

#[test]
pub(super) fn another_authority_s_certificate_is_refused_at_the_handshake_required_or_not() {
    for presence in ["required", "optional"] {
        let world = world(Setup::new().mesh(presence));
        // The same name, another key: only the signature tells them apart.
        let stranger = Ca::root("test authority", hour()).unwrap();
        shut_out(&world, &showing(&world.gateway.setup.ca, &workload(&stranger, SHOP)));
    }
}

#[test]
pub(super) fn a_self_signed_certificate_is_refused_at_the_handshake() {
    let world = world(Setup::new().mesh("required"));
    let params = Leaf::client(vec![Name::Uri(SHOP.to_owned())], hour()).params().unwrap();
    // A leaf that is its own authority: signed with the very key it bears.
    let own = Ca::self_signed(params, rcgen::KeyPair::generate().unwrap()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(pem_to_der(&own.key_pem())).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(world.gateway.setup.ca.certificate().clone()).unwrap();
    let config = ClientConfig::builder_with_provider(gatepass_certs::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![own.certificate().clone()], key)
        .unwrap();
    shut_out(&world, &Arc::new(config));
}

fn pem_to_der(pem: &str) -> Vec<u8> {
    use base64::Engine;
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    base64::engine::general_purpose::STANDARD.decode(body).unwrap()
}

#[test]
pub(super) fn a_server_s_certificate_is_no_client_s() {
    let world = world(Setup::new().mesh("required"));
    let leaf = Leaf::server(vec![Name::Uri(SHOP.to_owned())], hour());
    let issued = world.gateway.setup.ca.issue(&leaf).unwrap();
    shut_out(&world, &showing(&world.gateway.setup.ca, &issued));
}

/// A mesh listener with a revocation list that names these.
fn revoking(revoked: impl Fn(&Ca) -> Vec<Issued>) -> (Setup, Vec<Issued>) {
    let setup = Setup::new();
    let revoked = revoked(&setup.ca);
    write_list(&setup, &revoked);
    let gateway = setup.ca.issue(&Leaf::server(vec![Name::Dns("localhost".into())], hour())).unwrap();
    setup.scratch.write("gateway.pem", gateway.chain_pem());
    setup.scratch.write("gateway.key", gateway.key_pem());
    setup.scratch.write("clients-ca.pem", setup.ca.pem());
    let setup = setup.listener("{name: mesh, bind: \"127.0.0.1:0\", protocol: https, tls: {certificate: gateway.pem, key: gateway.key, client_ca: clients-ca.pem, client_certificate: required, crl: clients.crl}}");
    (setup, revoked)
}

fn write_list(setup: &Setup, revoked: &[Issued]) {
    let serials: Vec<&[u8]> = revoked.iter().map(Issued::serial).collect();
    let list = setup.ca.crl(&Crl { revoked: &serials, validity: hour(), distribution_point: None }).unwrap();
    setup.scratch.write("clients.crl", list.pem().unwrap());
}

#[test]
pub(super) fn a_revoked_certificate_is_refused_at_the_handshake_and_its_neighbour_is_not() {
    let (setup, revoked) = revoking(|ca| vec![workload(ca, SHOP)]);
    let world = world(setup);
    let text = shut_out(&world, &showing(&world.gateway.setup.ca, &revoked[0]));
    assert!(text.contains("revoked"), "{text}");
    let good = workload(&world.gateway.setup.ca, SHOP);
    let config = showing(&world.gateway.setup.ca, &good);
    let reply = world.gateway.mesh(&config).unwrap().connect_with(&world.target(), "").unwrap();
    world.admitted(&reply, SHOP, "mtls");
}

#[test]
pub(super) fn a_certificate_revoked_while_the_gateway_runs_is_refused_after_a_reload() {
    let (setup, _) = revoking(|_| Vec::new());
    let world = world(setup);
    let shown = workload(&world.gateway.setup.ca, SHOP);
    let config = showing(&world.gateway.setup.ca, &shown);
    let enter = || world.gateway.mesh(&config).ok().and_then(|mut client| client.connect_with(&world.target(), ""));
    assert_eq!(enter().unwrap().status, 200);
    write_list(&world.gateway.setup, &[shown]);
    world.gateway.signal("HUP");
    eventually("the new revocation list is in force", || enter().is_none().then_some(()));
    let refused = |record: &serde_json::Value| record["reason"]["code"] == "identity_invalid";
    eventually("the refusal is recorded", || world.gateway.decisions().iter().any(refused).then_some(()));
}

#[test]
pub(super) fn a_certificate_revoked_meanwhile_asks_nothing_more_on_its_open_connection() {
    let (setup, _) = revoking(|_| Vec::new());
    let world = world(setup);
    let shown = workload(&world.gateway.setup.ca, SHOP);
    let config = showing(&world.gateway.setup.ca, &shown);
    let mut kept = world.gateway.mesh(&config).unwrap();
    assert_eq!(kept.fetch("http://elsewhere.test/", "").unwrap().status, 403);
    write_list(&world.gateway.setup, &[shown]);
    world.gateway.signal("HUP");
    eventually("the new revocation list is in force", || {
        let entered = world.gateway.mesh(&config).ok().and_then(|mut client| client.connect_with(&world.target(), ""));
        entered.is_none().then_some(())
    });
    let reply = kept.fetch("http://elsewhere.test/", "").expect("the open connection is answered");
    assert_eq!((reply.status, reply.field("connection").as_deref()), (403, Some("close")), "{}", reply.head);
    let record = world.gateway.decision(&reply.id());
    assert_eq!(record["reason"]["code"], "identity_invalid");
    assert!(kept.rest().is_empty());
}

#[test]
pub(super) fn plain_http_on_a_tls_listener_is_refused_and_recorded() {
    let world = world(Setup::new().mesh("required"));
    let mut client = gatepass_tests::Client::plain(world.gateway.address("mesh"));
    client.say(format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\n", world.target()));
    let rest = client.rest();
    assert!(!rest.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&rest));
    let decision = eventually("it is recorded", || world.gateway.decisions().first().cloned());
    assert_eq!(decision["effect"], "deny", "{decision}");
    assert_eq!(world.origin.connections(), 0);
}
