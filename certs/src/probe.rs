//! What a server proves to a client that carries nothing: that it has the key of a certificate, what stands in that, and
//! whether it proves a name.
//!
//! The one place where a handshake goes on with a chain that proves nothing: to tell what is wrong with it. Neither the
//! connection nor a configuration for one leaves this file, so that nothing can be carried on one.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error as TlsError, ProtocolVersion,
    RootCertStore, SignatureScheme,
};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

use crate::problem::Problem;
use crate::subject::hex;
use crate::{Alpn, alpn_names, chain, name};

/// Bytes of all that a server says in a handshake. rustls takes no message beyond 64 KiB, and a chain is one of them.
const ANSWER_MAX: u64 = 192 * 1024;
/// Certificates of a chain, the server's own included; real ones have two to four. It bounds the work of verifying them.
const CHAIN_MAX: usize = 16;
/// DNS names in a certificate: the largest in use have some hundreds. With more it counts as none, rather than some of
/// them being left out of what rules see.
const NAMES_MAX: usize = 1024;
/// Bytes of an issuer's name as text; real ones have less than a tenth of it.
const ISSUER_MAX: usize = 1024;

/// Probes servers, and knows whom to trust.
pub struct Prober {
    config: ClientConfig,
    /// `None` where nobody is trusted: then nothing is verified.
    verifier: Option<Arc<WebPkiServerVerifier>>,
}

/// What is asked of a server.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The name in the ClientHello; an address is left out of it (RFC 6066 section 3).
    pub server_name: &'a ServerName<'static>,
    /// What the certificate must name.
    pub host: &'a ServerName<'static>,
    /// The protocols that are offered.
    pub alpn: &'a [Alpn],
    /// The moment at which it must be valid.
    pub now: Timestamp,
}

/// The certificate of a server that has its key. Its text is escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Why the certificate does not prove the host; `None` where it does.
    pub unverified: Option<Unverified>,
    /// The DNS names among its subject alternative names, in lower case; wildcards as they stand.
    pub dns_sans: Vec<String>,
    /// Its issuer, as RFC 4514 writes a name.
    pub issuer: String,
    /// SHA-256 of its SubjectPublicKeyInfo in DER, lower-case hexadecimal.
    pub spki_sha256: String,
    /// notAfter
    pub not_after: Timestamp,
    /// The TLS version that was agreed on: `1.3` or `1.2`.
    pub tls_version: &'static str,
}

/// Why a certificate does not prove the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// Its end has passed, or that of a certificate above it.
    #[error("the certificate has expired")]
    Expired,
    /// It, or one above it, begins later.
    #[error("the certificate is not valid yet")]
    NotYetValid,
    /// The chain leads to nobody who is trusted.
    #[error("no authority that the gateway trusts vouches for the certificate")]
    UnknownIssuer,
    /// It names other hosts.
    #[error("the certificate is not for this host")]
    OtherName,
    /// Its extended key usage leaves servers out.
    #[error("the certificate is not for servers")]
    OtherPurpose,
    /// CA:TRUE: it signs others, and is none of a server. Self-signed certificates often are.
    #[error("the certificate is an authority's (CA:TRUE), not a server's")]
    Authority,
    /// More certificates than are looked at.
    #[error("the server showed more than {CHAIN_MAX} certificates")]
    TooMany,
    /// Nobody is trusted.
    #[error("the gateway has no authority to trust")]
    NoAuthority,
    /// Anything else that is wrong with the chain.
    #[error("the chain of certificates is not valid")]
    BadChain,
}

/// Why there is no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Nothing {
    /// Its answer is no TLS.
    #[error("the server does not speak TLS")]
    NotTls,
    /// It sent an alert.
    #[error("the server refused the handshake")]
    Refused,
    /// No version, cipher or protocol in common.
    #[error("the server speaks no TLS that the gateway does")]
    Incompatible,
    /// The signature in the handshake is not of the certificate's key.
    #[error("the server did not prove that it has the key of its certificate")]
    KeyNotProved,
    /// The connection ended first.
    #[error("the server ended the connection during the handshake")]
    Ended,
    /// It sent more than any handshake needs.
    #[error("the server's answer is too long")]
    TooLong,
    /// The certificate, or one of its names, cannot be read.
    #[error("the server's certificate cannot be read")]
    Unreadable,
    /// Anything else that is wrong with the handshake.
    #[error("the handshake failed")]
    Failed,
}

impl Prober {
    /// Trust `anchors` and nothing else; none of them means that nothing is ever verified.
    pub fn trusting(anchors: &[CertificateDer<'static>]) -> Result<Prober, Problem> {
        let provider = crate::provider();
        let mut roots = RootCertStore::empty();
        for anchor in anchors {
            roots.add(anchor.clone()).map_err(Problem::Tls)?;
        }
        let verifier = match roots.is_empty() {
            true => None,
            false => {
                let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
                Some(builder.build().map_err(|error| Problem::Tls(TlsError::General(error.to_string())))?)
            }
        };
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(crate::server::VERSIONS)
            .map_err(Problem::Tls)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Possession(provider)))
            .with_no_client_auth();
        // A resumed handshake shows no certificate.
        config.resumption = Resumption::disabled();
        Ok(Prober { config, verifier })
    }

    /// Shake hands over `stream`, and tell what was shown. Nothing is sent but the handshake and its end. The time is the
    /// caller's to bound.
    pub async fn ask<S>(&self, stream: S, question: &Question<'_>) -> Result<Shown, Nothing>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut config = self.config.clone();
        config.alpn_protocols = alpn_names(question.alpn);
        let (read, write) = tokio::io::split(stream);
        let mut bounded = tokio::io::join(read.take(ANSWER_MAX), write);
        let connector = TlsConnector::from(Arc::new(config));
        let shown = match connector.connect(question.server_name.clone(), &mut bounded).await {
            Ok(mut secured) => {
                let shown = self.shown(secured.get_ref().1, question);
                // As a courtesy, and as far as that is possible at once.
                let _ = tokio::time::timeout(Duration::ZERO, secured.shutdown()).await;
                shown
            }
            Err(error) => Err(Nothing::of(&error)),
        };
        match shown {
            Err(_) if bounded.reader().limit() == 0 => Err(Nothing::TooLong),
            other => other,
        }
    }

    fn shown(&self, connection: &ClientConnection, question: &Question<'_>) -> Result<Shown, Nothing> {
        let (leaf, others) = connection.peer_certificates().and_then(<[_]>::split_first).ok_or(Nothing::Failed)?;
        let Ok(([], parsed)) = x509_parser::parse_x509_certificate(leaf) else { return Err(Nothing::Unreadable) };
        let issuer = name::text(parsed.issuer()).filter(|issuer| issuer.len() <= ISSUER_MAX);
        let unverified = match self.verify(leaf, others, question) {
            Ok(()) => None,
            Err(Unverified::BadChain) if parsed.is_ca() => Some(Unverified::Authority),
            Err(why) => Some(why),
        };
        Ok(Shown {
            unverified,
            dns_sans: dns_names(&parsed)?,
            issuer: issuer.ok_or(Nothing::Unreadable)?,
            spki_sha256: hex(&Sha256::digest(parsed.public_key().raw)),
            not_after: chain::timestamp(parsed.validity().not_after).ok_or(Nothing::Unreadable)?,
            tls_version: match connection.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => "1.3",
                Some(ProtocolVersion::TLSv1_2) => "1.2",
                Some(_) | None => return Err(Nothing::Failed),
            },
        })
    }

    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        question: &Question<'_>,
    ) -> Result<(), Unverified> {
        let verifier = self.verifier.as_ref().ok_or(Unverified::NoAuthority)?;
        if others.len() >= CHAIN_MAX {
            return Err(Unverified::TooMany);
        }
        let seconds = u64::try_from(question.now.as_second()).unwrap_or(0);
        let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let verified = verifier.verify_server_cert(leaf, others, question.host, &[], now);
        verified.map(|_| ()).map_err(|error| Unverified::of(&error))
    }
}

/// In lower case. A name that is none is escaped, so that it is equal to no host.
fn dns_names(leaf: &X509Certificate<'_>) -> Result<Vec<String>, Nothing> {
    let Some(names) = leaf.subject_alternative_name().map_err(|_| Nothing::Unreadable)? else { return Ok(Vec::new()) };
    let mut dns = Vec::new();
    for name in &names.value.general_names {
        match name {
            GeneralName::DNSName(_) if dns.len() == NAMES_MAX => return Err(Nothing::Unreadable),
            GeneralName::DNSName(name) => {
                let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.*".contains(&byte));
                let name = name.to_ascii_lowercase();
                dns.push(if plain { name } else { format!("\\{}", name.escape_default()) });
            }
            GeneralName::Invalid(..) => return Err(Nothing::Unreadable),
            _ => {}
        }
    }
    Ok(dns)
}

impl Unverified {
    fn of(error: &TlsError) -> Unverified {
        let TlsError::InvalidCertificate(error) = error else { return Unverified::BadChain };
        match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Unverified::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Unverified::NotYetValid,
            CertificateError::UnknownIssuer => Unverified::UnknownIssuer,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Unverified::OtherName
            }
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                Unverified::OtherPurpose
            }
            _ => Unverified::BadChain,
        }
    }
}

impl Nothing {
    fn of(error: &io::Error) -> Nothing {
        let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>()) else {
            return Nothing::Ended;
        };
        match error {
            TlsError::InvalidMessage(_) => Nothing::NotTls,
            TlsError::AlertReceived(_) => Nothing::Refused,
            TlsError::PeerIncompatible(_) => Nothing::Incompatible,
            TlsError::InvalidCertificate(CertificateError::BadEncoding) => Nothing::Unreadable,
            TlsError::InvalidCertificate(_) => Nothing::KeyNotProved,
            _ => Nothing::Failed,
        }
    }
}

/// Takes any chain, and demands the proof that its first certificate's key is there: what the chain proves is asked
/// after the handshake.
#[derive(Debug)]
struct Possession(Arc<CryptoProvider>);

impl ServerCertVerifier for Possession {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
