//! Who is revoked, and what becomes of those of whom nobody can tell.

use jiff::{SignedDuration, Timestamp};
use rcgen::{CertificateRevocationList, CrlDistributionPoint};

use super::{ID, LIMITS, World, trust_in, uri, valid, valid_from};
use crate::Problem;
use crate::mint::{Ca, Crl, Issued, Leaf, Validity};
use crate::trust::Trust;

const SECOND: SignedDuration = SignedDuration::from_secs(1);
const HOUR: SignedDuration = SignedDuration::from_hours(1);

fn client(ca: &Ca) -> Issued {
    ca.issue(&Leaf::client(vec![uri(ID)], valid())).unwrap()
}

fn list(ca: &Ca, revoked: &[&Issued], validity: Validity) -> CertificateRevocationList {
    let revoked: Vec<&[u8]> = revoked.iter().map(|issued| issued.serial()).collect();
    ca.crl(&Crl { revoked: &revoked, validity, distribution_point: None }).unwrap()
}

fn revoking(trust: Trust, lists: &[&CertificateRevocationList]) -> Result<Trust, Problem> {
    trust.revoking(lists.iter().map(|list| list.der().clone()).collect(), Timestamp::now())
}

#[tokio::test]
async fn a_revoked_certificate_is_refused_and_its_sister_is_not() {
    let world = World::new();
    let (revoked, good) = (client(&world.ca), client(&world.ca));
    let trust = revoking(world.trust(), &[&list(&world.ca, &[&revoked], valid())]).unwrap();
    assert_eq!(trust.next_update().unwrap().as_second(), valid().not_after.as_second());
    world.refuses(trust.clone(), &revoked, "Revoked").await;
    assert!(world.identifies(trust, &good).await.unwrap().is_some());
}

#[tokio::test]
async fn a_revoked_intermediate_takes_its_clients_along() {
    let world = World::new();
    let below = world.ca.intermediate("below", valid()).unwrap();
    let of_below = client(&below);
    // The serial of the intermediate, as the client presents it.
    let chain = of_below.chain();
    let (_, parsed) = x509_parser::parse_x509_certificate(&chain[1]).unwrap();
    let crl =
        world.ca.crl(&Crl { revoked: &[parsed.raw_serial()], validity: valid(), distribution_point: None }).unwrap();
    let trust = revoking(world.trust(), &[&crl, &list(&below, &[], valid())]).unwrap();
    world.refuses(trust, &of_below, "Revoked").await;
}

#[tokio::test]
async fn a_client_that_no_list_covers_is_refused() {
    let world = World::new();
    let below = world.ca.intermediate("below", valid()).unwrap();
    let trust = revoking(world.trust(), &[&list(&world.ca, &[], valid())]).unwrap();
    world.refuses(trust, &client(&below), "UnknownRevocationStatus").await;
    let both = revoking(world.trust(), &[&list(&world.ca, &[], valid()), &list(&below, &[], valid())]).unwrap();
    assert!(world.identifies(both, &client(&below)).await.unwrap().is_some());
}

#[tokio::test]
async fn without_lists_nothing_is_asked_about_revocation() {
    let world = World::new();
    assert_eq!(world.trust().next_update(), None);
    assert!(world.identifies(world.trust(), &client(&world.ca)).await.unwrap().is_some());
}

#[test]
fn no_list_at_all_is_not_an_empty_list() {
    assert!(matches!(revoking(World::new().trust(), &[]), Err(Problem::Missing(_))));
}

#[test]
fn a_list_past_its_next_update_is_not_loaded() {
    let world = World::new();
    let stale = list(&world.ca, &[], valid_from(-HOUR, -SECOND));
    assert!(matches!(revoking(world.trust(), &[&stale]), Err(Problem::CrlStale(1, _))));
    let fresh = list(&world.ca, &[], valid());
    assert!(matches!(revoking(world.trust(), &[&fresh, &stale]), Err(Problem::CrlStale(2, _))));
}

#[tokio::test]
async fn a_list_that_goes_out_of_date_while_in_force_admits_nobody() {
    let world = World::new();
    let stale = list(&world.ca, &[], valid_from(-HOUR, -SECOND));
    // It was fresh when it was loaded.
    let then = Timestamp::now() - HOUR / 2;
    let trust = Trust::new(vec![world.ca.certificate().clone()], &LIMITS, Timestamp::now()).unwrap();
    let trust = trust.revoking(vec![stale.der().clone()], then).unwrap();
    world.refuses(trust, &client(&world.ca), "ExpiredRevocationList").await;
}

#[test]
pub fn a_list_that_somebody_else_signed_is_not_loaded() {
    let world = World::new();
    let forger = Ca::root("test root", valid()).unwrap();
    let forged = list(&forger, &[], valid());
    assert!(matches!(revoking(world.trust(), &[&forged]), Err(Problem::CrlSignature(1))));
}

#[tokio::test]
pub async fn a_forged_list_of_an_intermediate_admits_nobody() {
    let world = World::new();
    let below = world.ca.intermediate("below", valid()).unwrap();
    let forger = Ca::root("below", valid()).unwrap();
    let lists = [&list(&world.ca, &[], valid()), &list(&forger, &[], valid())];
    let trust = revoking(world.trust(), &lists).unwrap();
    world.refuses(trust, &client(&below), "InvalidCertRevocationList").await;
}

#[test]
fn a_damaged_list_is_not_loaded() {
    let world = World::new();
    let mut der = list(&world.ca, &[], valid()).der().to_vec();
    der.truncate(der.len() / 2);
    let cut = world.trust().revoking(vec![der.into()], Timestamp::now());
    assert!(matches!(cut, Err(Problem::Unparsable(_, 1))));
}

/// A certificate that names two distribution points, revoked in the list of the second.
#[tokio::test]
pub async fn every_distribution_point_of_a_certificate_counts() {
    let world = World::new();
    let urls = ["http://crl.test/1", "http://crl.test/2"];
    let mut params = Leaf::client(vec![uri(ID)], valid()).params().unwrap();
    params.crl_distribution_points = urls.map(|url| CrlDistributionPoint { uris: vec![url.to_owned()] }).to_vec();
    let (revoked, good) = (world.ca.sign(&params).unwrap(), world.ca.sign(&params).unwrap());
    let list_at = |url, revoked: &[&[u8]]| {
        world.ca.crl(&Crl { revoked, validity: valid(), distribution_point: Some(url) }).unwrap()
    };
    let second = list_at(urls[1], &[revoked.serial()]);
    let trust = revoking(trust_in(&world.ca), &[&second]).unwrap();
    world.refuses(trust.clone(), &revoked, "Revoked").await;
    assert!(world.identifies(trust, &good).await.unwrap().is_some());
    // A list of a point that the certificate does not name says nothing about it.
    let elsewhere = revoking(trust_in(&world.ca), &[&list_at("http://crl.test/3", &[])]).unwrap();
    world.refuses(elsewhere, &good, "UnknownRevocationStatus").await;
}
