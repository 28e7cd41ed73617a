//! The names in a *verified* client certificate: its SPIFFE ID and DNS names, never its CN.

use jiff::Timestamp;
use rustls::ServerConnection;
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

use crate::chain;

mod spiffe;
pub use spiffe::{Malformed, SpiffeId};

/// Longest DNS name in octets, and longest label (RFC 1035 section 2.3.4).
const DNS_MAX: usize = 253;
const LABEL_MAX: usize = 63;

/// Who a verified certificate says its holder is. At least one of `spiffe_id` and `dns` names somebody, unless it was
/// asked for by [`Subject::of_pinned_client`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The one URI among its subject alternative names.
    pub spiffe_id: Option<SpiffeId>,
    /// The DNS names among them: lower case, in their order, each once.
    pub dns: Vec<String>,
    /// SHA-256 of the certificate in DER, lower-case hexadecimal.
    pub sha256_hex: String,
    /// notAfter
    pub not_after: Timestamp,
}

/// Why a verified certificate names nobody. The certificate's own text is shortened and escaped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSubject {
    /// The certificate, one of its extensions or one of its names cannot be read.
    #[error("the client certificate cannot be parsed")]
    Unparsable,
    /// CA:TRUE: it can sign for others (X509-SVID section 5.2).
    #[error("the client certificate is an authority's (CA:TRUE), not a workload's")]
    Authority,
    /// Its key usage lets it sign certificates or revocation lists (X509-SVID section 4.3).
    #[error("the client certificate may sign certificates or revocation lists: its key usage must not say so")]
    Signer,
    /// X509-SVID section 2: exactly one URI.
    #[error("the client certificate has {0} URIs: exactly one may stand in its subjectAltName")]
    SeveralUris(usize),
    /// Its URI is not a SPIFFE ID.
    #[error("the client certificate's URI `{0}` is not a SPIFFE ID: {1}")]
    NotSpiffe(String, Malformed),
    /// A DNS name is a wildcard or not a host name. Beside a SPIFFE ID too: what stands in a certificate names its one
    /// holder, or the certificate is not taken.
    #[error("the client certificate's DNS name `{0}` names no single host")]
    NotAHost(String),
    /// No URI and no DNS name. A CN is not read.
    #[error("the client certificate names nobody: it needs a SPIFFE ID as URI in its subjectAltName")]
    Nameless,
}

impl Subject {
    /// The subject of the client at the other end; `None` if it showed no certificate.
    ///
    /// rustls hands out the certificates of a connection only once its verifier has passed them, so that nothing
    /// unverified can become a subject.
    pub fn of_client(connection: &ServerConnection) -> Result<Option<Subject>, NoSubject> {
        match Subject::of_pinned_client(connection)? {
            Some(subject) if subject.spiffe_id.is_none() && subject.dns.is_empty() => Err(NoSubject::Nameless),
            subject => Ok(subject),
        }
    }

    /// The same for whoever may know a certificate by its hash, and so takes one that names nobody.
    pub fn of_pinned_client(connection: &ServerConnection) -> Result<Option<Subject>, NoSubject> {
        match connection.peer_certificates().and_then(<[_]>::first) {
            None => Ok(None),
            Some(leaf) => Subject::of_leaf(leaf).map(Some),
        }
    }

    fn of_leaf(der: &CertificateDer<'_>) -> Result<Subject, NoSubject> {
        let leaf = match x509_parser::parse_x509_certificate(der) {
            Ok(([], leaf)) => leaf,
            Ok(_) | Err(_) => return Err(NoSubject::Unparsable),
        };
        is_a_leaf(&leaf)?;
        let (spiffe_id, dns) = names(&leaf)?;
        let not_after = chain::timestamp(leaf.validity().not_after).ok_or(NoSubject::Unparsable)?;
        Ok(Subject { spiffe_id, dns, sha256_hex: hex(&Sha256::digest(der)), not_after })
    }
}

fn is_a_leaf(certificate: &X509Certificate<'_>) -> Result<(), NoSubject> {
    // An extension that cannot be read is no extension to the parser: it must not count as absent here.
    if certificate.iter_extensions().any(|extension| extension.parsed_extension().error().is_some()) {
        return Err(NoSubject::Unparsable);
    }
    let constraints = certificate.basic_constraints().map_err(|_| NoSubject::Unparsable)?;
    if constraints.is_some_and(|constraints| constraints.value.ca) {
        return Err(NoSubject::Authority);
    }
    let usage = certificate.key_usage().map_err(|_| NoSubject::Unparsable)?;
    if usage.is_some_and(|usage| usage.value.key_cert_sign() || usage.value.crl_sign()) {
        return Err(NoSubject::Signer);
    }
    Ok(())
}

fn names(leaf: &X509Certificate<'_>) -> Result<(Option<SpiffeId>, Vec<String>), NoSubject> {
    let Some(names) = leaf.subject_alternative_name().map_err(|_| NoSubject::Unparsable)? else {
        return Ok((None, Vec::new()));
    };
    let mut uris = Vec::new();
    let mut dns = Vec::new();
    for name in &names.value.general_names {
        match name {
            GeneralName::URI(uri) => uris.push(*uri),
            GeneralName::DNSName(name) => {
                let name = host(name).ok_or_else(|| NoSubject::NotAHost(shown(name)))?;
                if !dns.contains(&name) {
                    dns.push(name);
                }
            }
            GeneralName::Invalid(..) => return Err(NoSubject::Unparsable),
            // An address, a mail box or a directory name is nobody's identity here.
            _ => {}
        }
    }
    match uris.as_slice() {
        [] => Ok((None, dns)),
        [uri] => match SpiffeId::parse(uri) {
            Ok(id) => Ok((Some(id), dns)),
            Err(malformed) => Err(NoSubject::NotSpiffe(shown(uri), malformed)),
        },
        several => Err(NoSubject::SeveralUris(several.len())),
    }
}

/// A host name in lower case: letters, digits, `-` and `_`, no wildcard, no final dot, not an address.
fn host(name: &str) -> Option<String> {
    let label = |label: &str| {
        (1..=LABEL_MAX).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let address = name.rsplit('.').next().is_some_and(|last| last.starts_with(|c: char| c.is_ascii_digit()));
    (name.len() <= DNS_MAX && !address && name.split('.').all(label)).then(|| name.to_ascii_lowercase())
}

/// What stands in a certificate, fit for a log line and a reason phrase.
fn shown(text: &str) -> String {
    const MOST: usize = 80;
    let mut shown: String = text.chars().take(MOST).flat_map(char::escape_default).collect();
    if text.chars().nth(MOST).is_some() {
        shown.push_str("...");
    }
    shown
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}
