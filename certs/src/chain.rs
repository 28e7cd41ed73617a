//! The certificate and key that an endpoint proves itself with, checked before anything listens.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error as TlsError, InconsistentKeys};
use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::time::ASN1Time;

use crate::problem::{Block, Problem, Unusable};
use crate::{Limits, pem};

/// A certificate chain with its key. The chain is in order, begins with the key's certificate and is valid now.
#[derive(Clone, Debug)]
pub struct Chain {
    certified: Arc<CertifiedKey>,
    not_after: Timestamp,
}

/// What a chain is to prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A server: it must name a host and be allowed to (extended key usage).
    Server,
    /// A client.
    Client,
}

impl Chain {
    /// Read and check a pair of PEM files; both may be one file.
    pub fn load(
        certificate: &Path,
        key: &Path,
        purpose: Purpose,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<Chain, Unusable> {
        let chain = pem::certificates(certificate, limits)?;
        let private_key = pem::key(key, limits)?;
        Chain::new(chain, private_key, purpose, now).map_err(|problem| match problem {
            Problem::KeyMismatch | Problem::KeyNotTaken(_) => problem.at(key),
            other => other.at(certificate),
        })
    }

    /// Check certificates and key that are in memory already.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        purpose: Purpose,
        now: Timestamp,
    ) -> Result<Chain, Problem> {
        let not_after = check(&chain, purpose, now, &key)?;
        let certified = CertifiedKey::from_der(chain, key, &crate::provider()).map_err(Problem::Tls)?;
        Ok(Chain { certified: Arc::new(certified), not_after })
    }

    /// When the leaf expires.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// What makes this chain differ from another one.
    pub(crate) fn digest_into(&self, digest: &mut Sha256) {
        // The key follows from the leaf: it has been compared.
        digest.update(self.certified.cert.len().to_be_bytes());
        self.certified.cert.iter().for_each(|certificate| digest.update(certificate));
    }

    pub(crate) fn certified(&self) -> Arc<CertifiedKey> {
        self.certified.clone()
    }
}

fn check(
    chain: &[CertificateDer<'static>],
    purpose: Purpose,
    now: Timestamp,
    key: &PrivateKeyDer<'static>,
) -> Result<Timestamp, Problem> {
    let parsed = parse(chain)?;
    let leaf = parsed.first().ok_or(Problem::Missing(Block::Certificate))?;
    key_is_the_leafs(chain, key)?;
    for (index, pair) in parsed.windows(2).enumerate() {
        if let [lower, upper] = pair
            && lower.issuer().as_raw() != upper.subject().as_raw()
        {
            return Err(Problem::Order(index + 1));
        }
    }
    for (index, certificate) in parsed.iter().enumerate() {
        valid_at(certificate, index + 1, now)?;
        strong_key(certificate, index + 1)?;
    }
    match purpose {
        Purpose::Server => proves_a_server(leaf)?,
        Purpose::Client => {}
    }
    timestamp(leaf.validity().not_after).ok_or(Problem::Unparsable(Block::Certificate, 1))
}

fn key_is_the_leafs(chain: &[CertificateDer<'static>], key: &PrivateKeyDer<'static>) -> Result<(), Problem> {
    let signer = rustls::crypto::aws_lc_rs::sign::any_supported_type(key)
        .map_err(|error| Problem::KeyNotTaken(error.to_string()))?;
    for (index, certificate) in chain.iter().enumerate() {
        match CertifiedKey::new(vec![certificate.clone()], signer.clone()).keys_match() {
            Ok(()) if index == 0 => return Ok(()),
            Ok(()) => return Err(Problem::LeafNotFirst(index + 1)),
            Err(TlsError::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {}
            Err(error) => return Err(Problem::Tls(error)),
        }
    }
    Err(Problem::KeyMismatch)
}

fn proves_a_server(leaf: &X509Certificate<'_>) -> Result<(), Problem> {
    let unparsable = |_| Problem::Unparsable(Block::Certificate, 1);
    if let Some(usage) = leaf.extended_key_usage().map_err(unparsable)?
        && !usage.value.server_auth
        && !usage.value.any
    {
        return Err(Problem::NotForServers);
    }
    let names = leaf.subject_alternative_name().map_err(unparsable)?;
    let names_a_host = names.is_some_and(|names| {
        (names.value.general_names.iter())
            .any(|name| matches!(name, GeneralName::DNSName(_) | GeneralName::IPAddress(_)))
    });
    if names_a_host { Ok(()) } else { Err(Problem::NamesNoHost) }
}

pub(crate) fn parse<'a>(chain: &'a [CertificateDer<'static>]) -> Result<Vec<X509Certificate<'a>>, Problem> {
    let parse = |(index, der): (usize, &'a CertificateDer<'static>)| match x509_parser::parse_x509_certificate(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) | Err(_) => Err(Problem::Unparsable(Block::Certificate, index + 1)),
    };
    chain.iter().enumerate().map(parse).collect()
}

/// RFC 5280 section 4.1.2.5: both ends belong to the period.
pub(crate) fn valid_at(certificate: &X509Certificate<'_>, number: usize, now: Timestamp) -> Result<(), Problem> {
    let validity = certificate.validity();
    let ends = timestamp(validity.not_before).zip(timestamp(validity.not_after));
    let (not_before, not_after) = ends.ok_or(Problem::Unparsable(Block::Certificate, number))?;
    if now.as_second() < not_before.as_second() {
        return Err(Problem::NotYetValid(number, not_before));
    }
    if now.as_second() > not_after.as_second() {
        return Err(Problem::Expired(number, not_after));
    }
    Ok(())
}

/// RSA below 2048 bits fails every handshake; here it is said before anything listens.
pub(crate) fn strong_key(certificate: &X509Certificate<'_>, number: usize) -> Result<(), Problem> {
    match certificate.public_key().parsed() {
        Ok(x509_parser::public_key::PublicKey::RSA(key)) if key.key_size() < 2048 => {
            Err(Problem::WeakKey(number, key.key_size()))
        }
        Ok(_) => Ok(()),
        Err(_) => Err(Problem::Unparsable(Block::Certificate, number)),
    }
}

pub(crate) fn timestamp(time: ASN1Time) -> Option<Timestamp> {
    Timestamp::from_second(time.timestamp()).ok()
}
