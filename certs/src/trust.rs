//! Whom to trust as a client: anchors and revocation lists to a verifier.
//!
//! What is refused, and what is not:
//! - With revocation lists, every certificate of a client's path below the anchor must be covered by one. A status that
//!   no list tells is refused, and so is everything once the list is past its nextUpdate: a stale list is how a revoked
//!   certificate comes back. Without lists nothing is asked about revocation.
//! - A list whose signature is bad is refused when it is loaded, so the last good one stays in force. The list of an
//!   intermediate cannot be checked before its certificate is seen; it is checked in the handshake.
//! - The dates of anchors are checked when they are loaded. RFC 5280 section 6.1.1 leaves them out of path validation,
//!   and so does the handshake.
//! - A leaf without extended key usage passes (X.509-SVID section 4.4 says SHOULD); one that has it must list
//!   clientAuth. A leaf with CA:TRUE is refused.
//! - Name constraints on DNS names and addresses are enforced. An authority that constrains URIs vouches for no
//!   client with a URI, one that constrains directory names for nobody: what cannot be evaluated is refused.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use crate::problem::{Block, Problem, Unusable};
use crate::{Limits, chain, pem};

/// Anchors and revocation lists for client certificates, checked.
#[derive(Clone, Debug)]
pub struct Trust {
    anchors: Vec<CertificateDer<'static>>,
    crls: Vec<CertificateRevocationListDer<'static>>,
    next_update: Option<Timestamp>,
    chain_max: usize,
}

/// Whether a client may come without a certificate. One that comes with a bad certificate is refused either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// No certificate, no handshake.
    Required,
    /// Without a certificate it has no certificate identity.
    Optional,
}

impl Trust {
    /// Read anchors and, if there is one, a file of revocation lists.
    pub fn load(client_ca: &Path, crl: Option<&Path>, limits: &Limits, now: Timestamp) -> Result<Trust, Unusable> {
        let anchors = pem::certificates(client_ca, limits)?;
        let trust = Trust::new(anchors, limits, now).map_err(|problem| problem.at(client_ca))?;
        match crl {
            None => Ok(trust),
            Some(path) => trust.revoking(pem::crls(path, limits)?, now).map_err(|problem| problem.at(path)),
        }
    }

    /// Anchors alone: nothing is revoked.
    pub fn new(anchors: Vec<CertificateDer<'static>>, limits: &Limits, now: Timestamp) -> Result<Trust, Problem> {
        for (index, anchor) in chain::parse(&anchors)?.iter().enumerate() {
            if !anchor.is_ca() {
                return Err(Problem::NotAnAuthority(index + 1));
            }
            chain::valid_at(anchor, index + 1, now)?;
            chain::strong_key(anchor, index + 1)?;
        }
        let trust = Trust { anchors, crls: Vec::new(), next_update: None, chain_max: limits.client_chain };
        // What the TLS library cannot use has to fail now, not in the first handshake.
        trust.verifier(Presence::Required)?;
        Ok(trust)
    }

    /// With these revocation lists, one at least for each authority that signs clients.
    pub fn revoking(
        mut self,
        crls: Vec<CertificateRevocationListDer<'static>>,
        now: Timestamp,
    ) -> Result<Trust, Problem> {
        let anchors = chain::parse(&self.anchors)?;
        for (index, crl) in crls.iter().enumerate() {
            let next_update = check_crl(crl, index + 1, &anchors, now)?;
            self.next_update = Some(self.next_update.map_or(next_update, |earlier| earlier.min(next_update)));
        }
        if crls.is_empty() {
            return Err(Problem::Missing(Block::Crl));
        }
        self.crls = crls;
        self.verifier(Presence::Required)?;
        Ok(self)
    }

    /// When the first of the revocation lists goes out of date, and with it every client it covers.
    pub fn next_update(&self) -> Option<Timestamp> {
        self.next_update
    }

    /// What makes this trust differ from another one.
    pub(crate) fn digest_into(&self, digest: &mut Sha256) {
        digest.update(self.anchors.len().to_be_bytes());
        self.anchors.iter().for_each(|anchor| digest.update(anchor));
        self.crls.iter().for_each(|crl| digest.update(crl));
    }

    /// The verifier for a TLS server.
    pub fn verifier(&self, presence: Presence) -> Result<Arc<dyn ClientCertVerifier>, Problem> {
        let mut anchors = RootCertStore::empty();
        for anchor in &self.anchors {
            anchors.add(anchor.clone()).map_err(Problem::Tls)?;
        }
        let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(anchors), crate::provider())
            .with_crls(self.crls.iter().cloned())
            .enforce_revocation_expiration();
        match presence {
            Presence::Required => {}
            Presence::Optional => builder = builder.allow_unauthenticated(),
        }
        let path = builder.build().map_err(|error| match error {
            VerifierBuilderError::NoRootAnchors => Problem::Missing(Block::Certificate),
            other => Problem::CrlsNotUsable(other.to_string()),
        })?;
        Ok(Arc::new(BoundedChain { path, chain_max: self.chain_max }))
    }
}

fn check_crl(
    der: &CertificateRevocationListDer<'static>,
    number: usize,
    anchors: &[X509Certificate<'_>],
    now: Timestamp,
) -> Result<Timestamp, Problem> {
    let (_, crl) = CertificateRevocationList::from_der(der).map_err(|_| Problem::Unparsable(Block::Crl, number))?;
    let mut issuers = anchors.iter().filter(|anchor| anchor.subject().as_raw() == crl.issuer().as_raw()).peekable();
    if issuers.peek().is_some() && !issuers.any(|issuer| crl.verify_signature(issuer.public_key()).is_ok()) {
        return Err(Problem::CrlSignature(number));
    }
    let next_update =
        (crl.next_update().and_then(chain::timestamp)).ok_or_else(|| Problem::CrlWithoutNextUpdate(number))?;
    if now >= next_update {
        return Err(Problem::CrlStale(number, next_update));
    }
    Ok(next_update)
}

/// Bounds what a client may have verified and refuses weak keys by name, then leaves the rest to webpki.
///
/// webpki stops after 100 signatures and 200,000 steps of path building, each of which reads every certificate
/// presented: with the few hundred that fit into a handshake message, those are tens of millions of certificates to
/// parse.
#[derive(Debug)]
struct BoundedChain {
    path: Arc<dyn ClientCertVerifier>,
    chain_max: usize,
}

impl ClientCertVerifier for BoundedChain {
    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        if intermediates.len() >= self.chain_max {
            return Err(refused(TooMany(self.chain_max)));
        }
        for (index, certificate) in std::iter::once(end_entity).chain(intermediates).enumerate() {
            let Ok(([], parsed)) = x509_parser::parse_x509_certificate(certificate) else {
                return Err(CertificateError::BadEncoding.into());
            };
            chain::strong_key(&parsed, index + 1).map_err(refused)?;
        }
        self.path.verify_client_cert(end_entity, intermediates, now)
    }

    fn offer_client_auth(&self) -> bool {
        self.path.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.path.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.path.root_hint_subjects()
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.path.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.path.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.path.supported_verify_schemes()
    }
}

fn refused(why: impl std::error::Error + Send + Sync + 'static) -> rustls::Error {
    CertificateError::Other(OtherError(Arc::new(why))).into()
}

/// The client presented too long a chain.
#[derive(Debug, thiserror::Error)]
#[error("the client presented more than {0} certificates")]
struct TooMany(usize);
