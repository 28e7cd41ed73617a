//! Keys and signatures that are too weak to be believed.

use std::sync::Arc;

use jiff::Timestamp;
use rcgen::{Certificate, KeyPair, PKCS_ED25519, PKCS_RSA_SHA256, RsaKeySize, SubjectPublicKeyInfo};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::version::TLS13;
use rustls::{SignatureAlgorithm, SignatureScheme};

use super::{HOST, ID, LIMITS, VERSIONS, World, shake, trust_in, uri, valid};
use crate::Problem;
use crate::mint::{Ca, Leaf, ca_params};
use crate::server::ClientCertificates;
use crate::trust::Trust;

/// The public half of an RSA key of 1024 bits; the private half is gone.
const RSA_1024: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDYwjwjaMvneY0v/Iv3LWBmt0Vi
Ozn7DDe1gDLsYmoSqO0lHg/hKWrwX7MZ+mNGvPq6jlKpUvMT70NLV++ib1CpoV0p
VbYNvBx7VH9v+cjYiI2TviMG10JGORsiM0z0DN6V55Q1twHlW84I2bmtbg7Q9HTt
uzARkqyV30i1bhv5OQIDAQAB
-----END PUBLIC KEY-----
";

fn client() -> Leaf {
    Leaf::client(vec![uri(ID)], valid())
}

fn rsa_1024() -> SubjectPublicKeyInfo {
    SubjectPublicKeyInfo::from_pem(RSA_1024).unwrap()
}

/// `der` with each `from` replaced by `to`, of the same length; its signature is left as it was.
fn patched(der: &[u8], from: &[u8], to: &[u8]) -> CertificateDer<'static> {
    assert_eq!(from.len(), to.len());
    let mut der = der.to_vec();
    let places: Vec<usize> = (0..=der.len() - from.len()).filter(|&at| der[at..].starts_with(from)).collect();
    // Once in what is signed, once beside the signature.
    assert_eq!(places.len(), 2);
    for at in places {
        der[at..at + to.len()].copy_from_slice(to);
    }
    der.into()
}

/// Refused for the algorithm's name alone: the signature is not even looked at.
async fn refuses_signature(algorithm: &'static rcgen::SignatureAlgorithm, from: &[u8], to: &[u8]) {
    let world = World::new();
    let key = if algorithm == &PKCS_RSA_SHA256 {
        KeyPair::generate_rsa_for(algorithm, RsaKeySize::_2048).unwrap()
    } else {
        KeyPair::generate_for(algorithm).unwrap()
    };
    let ca = Ca::self_signed(ca_params("signer", valid()).unwrap(), key).unwrap();
    let issued = ca.issue(&client()).unwrap();
    assert!(world.identifies(trust_in(&ca), &issued).await.unwrap().is_some());

    let leaf = patched(&issued.chain()[0], from, to);
    let server = world.server(&ClientCertificates::Required(trust_in(&ca)));
    for version in VERSIONS {
        let config = world.raw_client(Some((vec![leaf.clone()], issued.key())), version);
        shake(&server, Arc::new(config), HOST).await.refused_for("UnsupportedSignatureAlgorithm");
    }
}

#[tokio::test]
pub async fn a_sha1_signature_is_refused() {
    // sha256WithRSAEncryption and sha1WithRSAEncryption (RFC 8017 appendix C).
    let oid = |last| [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, last];
    refuses_signature(&PKCS_RSA_SHA256, &oid(0x0b), &oid(0x05)).await;
}

#[tokio::test]
pub async fn an_ed448_signature_is_refused() {
    // id-Ed25519 and id-Ed448 in their SEQUENCE (RFC 8410 section 3).
    let algorithm = |last| [0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, last];
    refuses_signature(&PKCS_ED25519, &algorithm(0x70), &algorithm(0x71)).await;
}

#[test]
pub fn an_authority_with_an_rsa_key_of_1024_bits_is_not_loaded() {
    let world = World::new();
    let weak: Certificate = ca_params("weak", valid()).unwrap().signed_by(&rsa_1024(), &world.ca.issuer()).unwrap();
    let trust = Trust::new(vec![weak.der().clone()], &LIMITS, Timestamp::now());
    assert!(matches!(trust, Err(Problem::WeakKey(1, 1024))));
}

/// A key that has no private half: whoever checks the length first never looks at what it signs.
#[derive(Debug)]
struct Unsigned;

impl SigningKey for Unsigned {
    fn choose_scheme(&self, _: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        Some(Box::new(Unsigned))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::RSA
    }
}

impl Signer for Unsigned {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        Ok(vec![1; 128])
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::RSA_PSS_SHA256
    }
}

#[tokio::test]
pub async fn a_client_with_an_rsa_key_of_1024_bits_is_refused() {
    let world = World::new();
    let weak = client().params().unwrap().signed_by(&rsa_1024(), &world.ca.issuer()).unwrap();
    let server = world.server(&ClientCertificates::Required(world.trust()));
    for version in VERSIONS {
        let own = CertifiedKey::new(vec![weak.der().clone()], Arc::new(Unsigned));
        let config = world.client_showing(Some(own), version);
        shake(&server, Arc::new(config), HOST).await.refused_for("WeakKey");
    }
}

#[tokio::test]
async fn an_rsa_key_of_2048_bits_is_strong_enough() {
    let world = World::new();
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let leaf = client().params().unwrap().signed_by(&key, &world.ca.issuer()).unwrap();
    let server = world.server(&ClientCertificates::Required(world.trust()));
    let own = (vec![leaf.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into());
    let config = world.raw_client(Some(own), &TLS13);
    assert!(shake(&server, Arc::new(config), HOST).await.accepted().subject.unwrap().is_some());
}
