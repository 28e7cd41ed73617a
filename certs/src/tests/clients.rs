//! Which client certificates pass the handshake.

use std::sync::Arc;

use jiff::SignedDuration;
use rcgen::{CustomExtension, GeneralSubtree, KeyPair, NameConstraints};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::version::TLS13;

use super::{HOST, ID, VERSIONS, World, dns, shake, trust_in, uri, valid, valid_from};
use crate::mint::{Ca, Issued, Leaf, Usage, ca_params};
use crate::server::ClientCertificates;
use crate::subject::NoSubject;

const SECOND: SignedDuration = SignedDuration::from_secs(1);
const HOUR: SignedDuration = SignedDuration::from_hours(1);

fn client() -> Leaf {
    Leaf::client(vec![uri(ID)], valid())
}

#[tokio::test]
async fn a_good_certificate_is_let_in_with_its_spiffe_id() {
    let world = World::new();
    let issued = world.ca.issue(&client()).unwrap();
    let subject = world.identifies(world.trust(), &issued).await.unwrap().unwrap();
    assert_eq!(subject.spiffe_id.unwrap().as_str(), ID);
    assert!(subject.dns.is_empty());
    assert_eq!(subject.sha256_hex.len(), 64);
    assert_eq!(subject.not_after.as_second(), client().validity.not_after.as_second());
}

#[tokio::test]
async fn a_chain_through_an_intermediate_is_let_in() {
    let world = World::new();
    let below = world.ca.intermediate("below", valid()).unwrap();
    let issued = below.issue(&client()).unwrap();
    assert_eq!(issued.chain().len(), 2);
    assert!(world.identifies(world.trust(), &issued).await.unwrap().is_some());
}

#[tokio::test]
pub async fn without_a_certificate_there_is_no_handshake_where_one_is_required() {
    let world = World::new();
    let server = world.server(&ClientCertificates::Required(world.trust()));
    for version in VERSIONS {
        shake(&server, Arc::new(world.client(None, version)), HOST).await.refused_for("NoCertificatesPresented");
    }
}

#[tokio::test]
pub async fn without_a_certificate_there_is_no_subject_where_one_is_optional() {
    let world = World::new();
    let server = world.server(&ClientCertificates::Optional(world.trust()));
    for version in VERSIONS {
        let seen = shake(&server, Arc::new(world.client(None, version)), HOST).await.accepted();
        assert_eq!(seen.subject, Ok(None));
    }
}

#[tokio::test]
async fn a_bad_certificate_is_refused_even_where_none_is_needed() {
    let world = World::new();
    let server = world.server(&ClientCertificates::Optional(world.trust()));
    let stranger = Ca::root("test root", valid()).unwrap().issue(&client()).unwrap();
    for version in VERSIONS {
        let config = Arc::new(world.client(Some(&stranger), version));
        shake(&server, config, HOST).await.refused_for("BadSignature");
    }
}

#[tokio::test]
async fn a_listener_that_asks_for_no_certificate_reads_none() {
    let world = World::new();
    let issued = world.ca.issue(&client()).unwrap();
    let server = world.server(&ClientCertificates::None);
    let seen = shake(&server, Arc::new(world.client(Some(&issued), &TLS13)), HOST).await.accepted();
    assert_eq!(seen.subject, Ok(None));
}

#[tokio::test]
pub async fn an_expired_certificate_is_refused() {
    let world = World::new();
    let expired = Leaf { validity: valid_from(-HOUR, -SECOND), ..client() };
    world.refuses(world.trust(), &world.ca.issue(&expired).unwrap(), "Expired").await;
}

#[tokio::test]
pub async fn a_certificate_of_the_future_is_refused() {
    let world = World::new();
    let early = Leaf { validity: valid_from(HOUR, HOUR * 2), ..client() };
    world.refuses(world.trust(), &world.ca.issue(&early).unwrap(), "NotValidYet").await;
}

#[tokio::test]
async fn an_expired_intermediate_is_refused() {
    let world = World::new();
    let below = world.ca.intermediate("below", valid_from(-HOUR, -SECOND)).unwrap();
    world.refuses(world.trust(), &below.issue(&client()).unwrap(), "Expired").await;
}

#[tokio::test]
pub async fn a_self_signed_certificate_is_refused() {
    let world = World::new();
    let key = KeyPair::generate().unwrap();
    let der = client().params().unwrap().self_signed(&key).unwrap().der().clone();
    let server = world.server(&ClientCertificates::Required(world.trust()));
    for version in VERSIONS {
        let config =
            world.raw_client(Some((vec![der.clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())), version);
        shake(&server, Arc::new(config), HOST).await.refused_for("UnknownIssuer");
    }
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused() {
    let world = World::new();
    let stranger = Ca::root("another root", valid()).unwrap();
    world.refuses(world.trust(), &stranger.issue(&client()).unwrap(), "UnknownIssuer").await;
}

#[tokio::test]
async fn an_authority_of_the_same_name_but_another_key_is_refused() {
    let world = World::new();
    let stranger = Ca::root("test root", valid()).unwrap();
    world.refuses(world.trust(), &stranger.issue(&client()).unwrap(), "BadSignature").await;
}

#[tokio::test]
async fn a_missing_intermediate_is_refused() {
    let world = World::new();
    let below = world.ca.intermediate("below", valid()).unwrap().issue(&client()).unwrap();
    let server = world.server(&ClientCertificates::Required(world.trust()));
    let config = world.raw_client(Some((below.chain()[..1].to_vec(), below.key())), &TLS13);
    shake(&server, Arc::new(config), HOST).await.refused_for("UnknownIssuer");
}

/// X509-SVID section 4.4 says SHOULD: a certificate without the extension is good for everything.
#[tokio::test]
pub async fn a_certificate_without_extended_key_usage_is_let_in() {
    let world = World::new();
    let issued = world.ca.issue(&Leaf { usages: Vec::new(), ..client() }).unwrap();
    assert!(world.identifies(world.trust(), &issued).await.unwrap().is_some());
}

#[tokio::test]
async fn a_certificate_for_servers_only_is_refused() {
    let world = World::new();
    let issued = world.ca.issue(&Leaf { usages: vec![Usage::Server], ..client() }).unwrap();
    world.refuses(world.trust(), &issued, "InvalidPurpose").await;
}

#[tokio::test]
pub async fn an_authority_is_no_client() {
    let world = World::new();
    let mut params = client().params().unwrap();
    params.is_ca = ca_params("x", valid()).unwrap().is_ca;
    world.refuses(world.trust(), &world.ca.sign(&params).unwrap(), "CaUsedAsEndEntity").await;
}

#[tokio::test]
pub async fn a_leaf_signs_nobody() {
    let world = World::new();
    let leaf = world.ca.intermediate_from(client().params().unwrap()).unwrap();
    world.refuses(world.trust(), &leaf.issue(&client()).unwrap(), "EndEntityUsedAsCa").await;
}

#[tokio::test]
async fn a_leaf_that_may_sign_certificates_names_nobody() {
    let world = World::new();
    for usage in [rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign] {
        let mut params = client().params().unwrap();
        params.key_usages.push(usage);
        assert_eq!(world.identifies_params(&params).await, Err(NoSubject::Signer));
    }
}

#[tokio::test]
pub async fn constraints_on_dns_names_are_enforced_and_leave_other_names_alone() {
    let world = World::new();
    let mut params = ca_params("constrained", valid()).unwrap();
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName("in.test".to_owned())],
        excluded_subtrees: Vec::new(),
    });
    let ca = Ca::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let named = |name: &str| ca.issue(&Leaf::client(vec![dns(name)], valid())).unwrap();
    let subject = world.identifies(trust_in(&ca), &named("a.in.test")).await.unwrap().unwrap();
    assert_eq!(subject.dns, ["a.in.test"]);
    world.refuses(trust_in(&ca), &named("a.out.test"), "NameConstraintViolation").await;
    assert!(world.identifies(trust_in(&ca), &ca.issue(&client()).unwrap()).await.unwrap().is_some());
}

/// webpki cannot evaluate constraints on URIs, so such an authority vouches for no SPIFFE ID: neither for one outside
/// nor, which operators must know, for one inside.
#[tokio::test]
pub async fn an_authority_with_constraints_on_uris_vouches_for_no_uri() {
    let world = World::new();
    // SEQUENCE { [0] { SEQUENCE { [6] "td.a" } } }
    let permitted = [&[0x30, 10, 0xa0, 8, 0x30, 6, 0x86, 4][..], b"td.a"].concat();
    let mut params = ca_params("constrained", valid()).unwrap();
    let mut extension = CustomExtension::from_oid_content(&[2, 5, 29, 30], permitted);
    extension.set_criticality(true);
    params.custom_extensions.push(extension);
    let anchor = Ca::self_signed(params.clone(), KeyPair::generate().unwrap()).unwrap();
    let below = world.ca.intermediate_from(params).unwrap();
    for id in ["spiffe://td.b/x", "spiffe://td.a/x"] {
        let leaf = Leaf::client(vec![uri(id)], valid());
        world.refuses(trust_in(&anchor), &anchor.issue(&leaf).unwrap(), "NameConstraintViolation").await;
        world.refuses(world.trust(), &below.issue(&leaf).unwrap(), "NameConstraintViolation").await;
    }
}

/// Constraints cannot be walked around by way of a CN, because a CN is nobody's identity.
#[tokio::test]
pub async fn a_cn_outside_the_constraints_names_nobody() {
    let world = World::new();
    let mut params = ca_params("constrained", valid()).unwrap();
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName("in.test".to_owned())],
        excluded_subtrees: Vec::new(),
    });
    let ca = Ca::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    for name in ["*.out.test", "\u{fc}ber.out.test", "a.out.test"] {
        let leaf = Leaf { common_name: Some(name.to_owned()), ..Leaf::client(Vec::new(), valid()) };
        assert_eq!(world.identifies(trust_in(&ca), &ca.issue(&leaf).unwrap()).await, Err(NoSubject::Nameless));
    }
    // A wildcard that stands where constraints look is seen by them.
    let wildcard = ca.issue(&Leaf::client(vec![dns("*.out.test")], valid())).unwrap();
    world.refuses(trust_in(&ca), &wildcard, "NameConstraintViolation").await;
}

/// Authorities of one name that sign each other: the paths to try are the permutations of what is presented.
fn same_named(world: &World, number: usize) -> Issued {
    let mut last = Ca::root("loop", valid()).unwrap();
    for _ in 0..number {
        last = last.intermediate("loop", valid()).unwrap();
    }
    assert_ne!(last.certificate(), world.ca.certificate());
    last.issue(&client()).unwrap()
}

#[tokio::test]
pub async fn authorities_of_one_name_are_tried_within_bounds() {
    let world = World::new();
    let most = same_named(&world, super::LIMITS.client_chain - 1);
    assert_eq!(most.chain().len(), super::LIMITS.client_chain);
    world.refuses(world.trust(), &most, "UnknownIssuer").await;
}

#[tokio::test]
pub async fn a_chain_longer_than_the_limit_is_refused_unread() {
    let world = World::new();
    let long = same_named(&world, super::LIMITS.client_chain);
    world.refuses(world.trust(), &long, "TooMany").await;
    let hundred = same_named(&world, 99);
    assert_eq!(hundred.chain().len(), 100);
    world.refuses(world.trust(), &hundred, "TooMany").await;
}

#[tokio::test]
async fn a_chain_of_the_longest_permitted_length_is_let_in() {
    let world = World::new();
    let mut below = world.ca.intermediate("1", valid()).unwrap();
    for number in 2..super::LIMITS.client_chain {
        below = below.intermediate(&number.to_string(), valid()).unwrap();
    }
    let issued = below.issue(&client()).unwrap();
    assert_eq!(issued.chain().len(), super::LIMITS.client_chain);
    assert!(world.identifies(world.trust(), &issued).await.unwrap().is_some());
}
