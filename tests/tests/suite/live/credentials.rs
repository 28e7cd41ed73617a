//! Credentials that end or are revoked while tunnels are open.

use gatepass_certs::mint::{Crl, Leaf, Name, Validity};
use gatepass_tests::gateway::hour;
use gatepass_tests::identities::{basic, being, showing, workload};
use gatepass_tests::{Bundle, Setup, eventually};
use jiff::{SignedDuration, Timestamp};

use super::{PROMPT, World, took};

const SHOP: &str = "spiffe://corp.example/ns/payments/sa/shop";
const DESK: &str = "spiffe://corp.example/ns/payments/sa/desk";

fn anyone(port: u16) -> Bundle {
    Bundle::new().allow("any", "*.test", &[port])
}

/// A TLS listener that asks for certificates and knows a list of revoked ones, which is empty.
fn revoking() -> Setup {
    let setup = Setup::new().mesh("required");
    setup.scratch.write(
        "clients.crl",
        setup.ca.crl(&Crl { revoked: &[], validity: hour(), distribution_point: None }).unwrap().pem().unwrap(),
    );
    setup.listener("{name: strict, bind: \"127.0.0.1:0\", protocol: https, tls: {certificate: gateway.pem, key: gateway.key, client_ca: clients-ca.pem, client_certificate: required, crl: clients.crl}}")
}

#[test]
fn a_certificate_that_is_revoked_cuts_its_tunnels_and_no_other() {
    let world = World::new(revoking(), anyone);
    let (bad, good) = (workload(&world.gateway.setup.ca, SHOP), workload(&world.gateway.setup.ca, DESK));
    let open = |shown| {
        let config = showing(&world.gateway.setup.ca, shown);
        let client = gatepass_tests::Client::tls(world.gateway.address("strict"), &config).unwrap();
        world.open_on(client, "kept.test", "")
    };
    let (revoked, other) = (open(&bad), open(&good));
    let list = Crl { revoked: &[bad.serial()], validity: hour(), distribution_point: None };
    world.gateway.setup.scratch.write("clients.crl", world.gateway.setup.ca.crl(&list).unwrap().pem().unwrap());
    eventually("the list is read", || world.gateway.log().contains("serves the new ones").then_some(()));
    assert!(took(&world, &revoked) < PROMPT);
    world.cut(&revoked, "policy_changed", "identity");
    world.is_open(other);
}

#[test]
fn a_gateway_that_renews_its_own_certificate_cuts_nobody() {
    let world = World::new(revoking(), anyone);
    let config = being(&world.gateway.setup.ca, SHOP);
    let client = gatepass_tests::Client::tls(world.gateway.address("strict"), &config).unwrap();
    let open = world.open_on(client, "kept.test", "");
    let renewed = world.gateway.setup.ca.issue(&Leaf::server(vec![Name::Dns("localhost".into())], hour())).unwrap();
    world.gateway.setup.scratch.write("gateway.pem", renewed.chain_pem());
    world.gateway.setup.scratch.write("gateway.key", renewed.key_pem());
    eventually("the new one is served", || world.gateway.log().contains("serves the new ones").then_some(()));
    // A pass that is known to have come after the renewal.
    let gone = world.open("gone.test");
    world.edit(&Bundle::new().allow("any", "kept.test", &[world.origin.port()]));
    world.cut(&gone, "policy_changed", "team/any");
    world.is_open(open);
}

#[test]
fn an_authority_that_is_no_longer_trusted_takes_its_workloads_tunnels_along() {
    let world = World::new(revoking(), anyone);
    let config = being(&world.gateway.setup.ca, SHOP);
    let client = gatepass_tests::Client::tls(world.gateway.address("mesh"), &config).unwrap();
    let open = world.open_on(client, "kept.test", "");
    let other = gatepass_certs::mint::Ca::root("another authority", hour()).unwrap();
    world.gateway.setup.scratch.write("clients-ca.pem", other.pem());
    world.cut(&open, "policy_changed", "identity");
}

#[test]
fn a_certificate_that_ends_cuts_its_tunnels() {
    let world = World::new(revoking(), anyone);
    let validity = Validity::from(Timestamp::now(), SignedDuration::from_secs(4)).unwrap();
    let brief = Leaf::client(vec![Name::Uri(SHOP.to_owned())], validity);
    let brief = world.gateway.setup.ca.issue(&brief).unwrap();
    let open = world.open_on(world.gateway.mesh(&showing(&world.gateway.setup.ca, &brief)).unwrap(), "kept.test", "");
    let other = world.open("kept.test");
    world.cut(&open, "expired", "identity");
    world.is_open(other);
}

#[test]
fn a_token_that_ends_cuts_its_tunnels() {
    let end = Timestamp::now() + SignedDuration::from_secs(5);
    let token = gatepass_tests::identities::token("ci", "s3cret", 0);
    let (head, _) = token.split_once("expires:").unwrap();
    let setup = Setup::new().tokens(&[format!("{head}expires: \"{end:.0}\"}}")]);
    let world = World::new(setup, anyone);
    let open = world.open_on(world.gateway.client(), "kept.test", &basic("ci", "s3cret"));
    let other = world.open("kept.test");
    world.cut(&open, "expired", "identity");
    world.is_open(other);
}
