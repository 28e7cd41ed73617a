//! What a verified certificate says: the one SPIFFE ID, and nothing else unless the configuration says so.

use gatepass_certs::mint::{Issued, Leaf, Name, Validity};
use gatepass_tests::gateway::hour;
use gatepass_tests::identities::{basic, being, showing, token, trusting, workload};
use gatepass_tests::{Reply, Setup, eventually};

use super::World;

const SHOP: &str = "spiffe://corp.example/ns/payments/sa/shop";
const SHOP_ONLY: &str = "identities: [{spiffe_id: \"spiffe://corp.example/ns/payments/sa/shop\"}]";
const ANYBODY: &str = "anyone: true";

fn ask(world: &World, shown: &Issued) -> Reply {
    let config = showing(&world.gateway.setup.ca, shown);
    world.gateway.mesh(&config).unwrap().connect_with(&world.target(), "").expect("an answer inside TLS")
}

fn leaf(world: &World, names: Vec<Name>, common_name: Option<&str>) -> Issued {
    let leaf = Leaf { common_name: common_name.map(str::to_owned), ..Leaf::client(names, hour()) };
    world.gateway.setup.ca.issue(&leaf).unwrap()
}

fn uri(text: &str) -> Name {
    Name::Uri(text.to_owned())
}

fn dns(text: &str) -> Name {
    Name::Dns(text.to_owned())
}

#[test]
pub(super) fn the_spiffe_id_decides_who_may_pass() {
    let world = World::new(Setup::new().mesh("required"), SHOP_ONLY);
    let other = ask(&world, &workload(&world.gateway.setup.ca, "spiffe://corp.example/ns/payments/sa/shop2"));
    world.refused(&other, 403, "no_rule");
    assert!(other.body.contains("team/app"), "the nearest rule is told: {}", other.body);
    let shop = workload(&world.gateway.setup.ca, SHOP);
    let reply = ask(&world, &shop);
    world.admitted(&reply, SHOP, "mtls");
    let decision = world.gateway.decision(&reply.id());
    assert_eq!(decision["listener"], "mesh");
}

#[test]
pub(super) fn a_pattern_admits_one_namespace_and_not_its_neighbours() {
    let pattern = "identities: [{spiffe_id: \"spiffe://corp.example/ns/payments/sa/*\"}]";
    let world = World::new(Setup::new().mesh("required"), pattern);
    for id in ["spiffe://corp.example/ns/payments2/sa/shop", "spiffe://corp.example/ns/payments/sa/shop/x"] {
        world.refused(&ask(&world, &workload(&world.gateway.setup.ca, id)), 403, "no_rule");
    }
    world.admitted(&ask(&world, &workload(&world.gateway.setup.ca, SHOP)), SHOP, "mtls");
}

#[test]
pub(super) fn the_id_is_found_wherever_it_stands_among_the_names() {
    let world = World::new(Setup::new().mesh("required"), SHOP_ONLY);
    let mixed = leaf(&world, vec![dns("a.test"), uri(SHOP), dns("b.test")], Some("admin"));
    world.admitted(&ask(&world, &mixed), SHOP, "mtls");
}

#[test]
pub(super) fn a_certificate_that_names_nobody_or_several_is_no_identity() {
    let world = World::new(Setup::new().mesh("required"), ANYBODY);
    let nobodies: [(&str, Vec<Name>, Option<&str>); 8] = [
        ("no names at all", vec![], None),
        ("a common name only", vec![], Some(SHOP)),
        ("two URIs", vec![uri(SHOP), uri("spiffe://corp.example/ns/payments/sa/other")], None),
        ("a DNS name only", vec![dns("shop.test")], None),
        ("the id in a DNS name", vec![dns("corp.example")], Some(SHOP)),
        ("another scheme", vec![uri("https://corp.example/ns/payments/sa/shop")], None),
        ("a trust domain alone", vec![uri("spiffe://corp.example")], None),
        ("a path that wants normalising", vec![uri("spiffe://corp.example/ns/../admin")], None),
    ];
    for (what, names, common_name) in nobodies {
        let shown = leaf(&world, names, common_name);
        let reply = ask(&world, &shown);
        assert_eq!(reply.status, 403, "{what}: {}", reply.head);
        world.refused(&reply, 403, "identity_invalid");
    }
}

#[test]
pub(super) fn a_dns_name_is_an_identity_only_where_the_configuration_says_so() {
    let setup = Setup::new().mesh("required").section("identity: {mtls: {names: [spiffe, dns]}}");
    let world = World::new(setup, "identities: [{id: \"dns:shop.test\"}]");
    let both = leaf(&world, vec![dns("shop.test"), uri("spiffe://corp.example/x")], None);
    world.refused(&ask(&world, &both), 403, "no_rule");
    let two = leaf(&world, vec![dns("shop.test"), dns("other.test")], None);
    world.refused(&ask(&world, &two), 403, "identity_invalid");
    world.refused(&ask(&world, &leaf(&world, vec![], Some("shop.test"))), 403, "identity_invalid");
    let one = leaf(&world, vec![dns("shop.test")], Some("someone else"));
    world.admitted(&ask(&world, &one), "dns:shop.test", "mtls");
}

#[test]
pub(super) fn where_only_dns_names_count_a_spiffe_id_is_nobody() {
    let setup = Setup::new().mesh("required").section("identity: {mtls: {names: [dns]}}");
    let world = World::new(setup, ANYBODY);
    world.refused(&ask(&world, &workload(&world.gateway.setup.ca, SHOP)), 403, "identity_invalid");
    let both = leaf(&world, vec![dns("shop.test"), uri(SHOP)], None);
    world.admitted(&ask(&world, &both), "dns:shop.test", "mtls");
}

#[test]
pub(super) fn the_order_of_the_kinds_of_names_is_their_precedence() {
    let setup = Setup::new().mesh("required").section("identity: {mtls: {names: [dns, spiffe]}}");
    let world = World::new(setup, ANYBODY);
    let both = leaf(&world, vec![dns("shop.test"), uri(SHOP)], None);
    world.admitted(&ask(&world, &both), "dns:shop.test", "mtls");
    world.admitted(&ask(&world, &workload(&world.gateway.setup.ca, SHOP)), SHOP, "mtls");
}

#[test]
pub(super) fn another_trust_domain_is_refused_whatever_the_rules_say() {
    let setup = Setup::new().mesh("required").section("identity: {mtls: {trust_domains: [corp.example]}}");
    let world = World::new(setup, "anyone: true");
    for id in ["spiffe://evil.example/ns/payments/sa/shop", "spiffe://corp.example.evil.test/x"] {
        world.refused(&ask(&world, &workload(&world.gateway.setup.ca, id)), 403, "identity_invalid");
    }
    world.admitted(&ask(&world, &workload(&world.gateway.setup.ca, SHOP)), SHOP, "mtls");
}

#[test]
pub(super) fn a_token_beside_a_certificate_is_refused_even_if_both_are_good() {
    let setup = Setup::new().mesh("optional").tokens(&[token("ci", "s3cret", 1)]);
    let world = World::new(setup, "anyone: true");
    let config = being(&world.gateway.setup.ca, SHOP);
    for fields in [basic("ci", "s3cret"), basic("ci", "wrong"), basic("shop", "s3cret")] {
        let reply = world.gateway.mesh(&config).unwrap().connect_with(&world.target(), &fields).unwrap();
        assert!(matches!(reply.status, 403 | 407), "{}", reply.head);
        let decision = world.gateway.decision(&reply.id());
        assert_eq!(decision["reason"]["code"], "identity_invalid", "{decision}");
        assert_eq!(decision["identity"]["id"], "anonymous", "no half identity is recorded: {decision}");
        assert_eq!(world.origin.connections(), 0);
    }
    let reply = world.gateway.mesh(&config).unwrap().connect_with(&world.target(), "").unwrap();
    world.admitted(&reply, SHOP, "mtls");
}

#[test]
pub(super) fn where_a_certificate_is_optional_a_client_without_one_is_anonymous_or_its_token() {
    let setup = Setup::new().mesh("optional").tokens(&[token("ci", "s3cret", 1)]);
    let world = World::new(setup, "identities: [{id: \"token:ci\"}]");
    let config = trusting(&world.gateway.setup.ca);
    let reply = world.gateway.mesh(&config).unwrap().connect_with(&world.target(), "").unwrap();
    world.refused(&reply, 407, "identity_required");
    let reply = world.gateway.mesh(&config).unwrap().connect_with(&world.target(), &basic("ci", "s3cret")).unwrap();
    world.admitted(&reply, "token:ci", "token");
}

#[test]
pub(super) fn what_a_client_says_of_its_certificate_in_a_header_counts_for_nothing() {
    let world = World::new(Setup::new(), SHOP_ONLY);
    let claim = format!("X-Forwarded-Client-Cert: By=spiffe://corp.example/gw;URI={SHOP}\r\n");
    let reply = world.gateway.client().connect_with(&world.target(), &claim).unwrap();
    world.refused(&reply, 403, "no_rule");
}

#[test]
pub(super) fn a_certificate_that_ends_on_an_open_connection_admits_no_further_request() {
    let setup = Setup::new().mesh("required");
    let origin = gatepass_tests::Origin::http();
    setup.resolver.answer("app.test", &["127.0.0.1"]);
    let bundle = gatepass_tests::Bundle::new().allow_from("app", SHOP_ONLY, "app.test", &[origin.port()]);
    let gateway = setup.start(&bundle);
    let end = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(3);
    let validity = Validity::from(jiff::Timestamp::now(), jiff::SignedDuration::from_secs(3)).unwrap();
    let brief = gateway.setup.ca.issue(&Leaf::client(vec![uri(SHOP)], validity)).unwrap();
    let mut client = gateway.mesh(&showing(&gateway.setup.ca, &brief)).unwrap();
    let url = format!("http://app.test:{}/", origin.port());
    assert_eq!(client.fetch(&url, "").unwrap().status, 200);
    // Nothing is under way when it ends: an exchange would be cut, and the connection with it.
    eventually("the certificate ends", || (jiff::Timestamp::now() > end).then_some(()));
    let refused = client.fetch(&url, "").expect("the connection stays open");
    assert_eq!(refused.status, 403, "{}", refused.head);
    assert_eq!(gateway.decision(&refused.id())["reason"]["code"], "identity_invalid");
}
