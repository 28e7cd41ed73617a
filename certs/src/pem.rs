//! PEM files to certificates, keys and revocation lists; every error names the file and how to mend it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustls::pki_types::pem::{SectionKind, from_buf};
use rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer,
    PrivateSec1KeyDer,
};
use x509_parser::prelude::FromDer;

use crate::Limits;
use crate::problem::{Block, Problem, Unusable};

/// All certificates of a file, in their order; at least one.
pub fn certificates(path: &Path, limits: &Limits) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    read(path, limits).and_then(|text| parse_certificates(&text)).map_err(|problem| problem.at(path))
}

/// The one private key of a file.
pub fn key(path: &Path, limits: &Limits) -> Result<PrivateKeyDer<'static>, Unusable> {
    read(path, limits).and_then(|text| parse_key(&text)).map_err(|problem| problem.at(path))
}

/// All revocation lists of a file; at least one.
pub fn crls(path: &Path, limits: &Limits) -> Result<Vec<CertificateRevocationListDer<'static>>, Unusable> {
    read(path, limits).and_then(|text| parse_crls(&text)).map_err(|problem| problem.at(path))
}

fn read(path: &Path, limits: &Limits) -> Result<Vec<u8>, Problem> {
    // Asked before opening: opening a pipe would wait for its writer.
    if !std::fs::metadata(path).map_err(Problem::Unreadable)?.is_file() {
        return Err(Problem::NotAFile);
    }
    let file = File::open(path).map_err(Problem::Unreadable)?;
    let mut bytes = Vec::new();
    file.take(limits.file_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(Problem::Unreadable)?;
    if bytes.len() as u64 > limits.file_bytes {
        return Err(Problem::TooLarge(limits.file_bytes));
    }
    Ok(bytes)
}

fn parse_certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let mut found = Vec::new();
    for (kind, der) in sections(text)? {
        if kind == SectionKind::Certificate {
            match x509_parser::parse_x509_certificate(&der) {
                Ok(([], _)) => found.push(CertificateDer::from(der)),
                Ok(_) | Err(_) => return Err(Problem::Unparsable(Block::Certificate, found.len() + 1)),
            }
        }
    }
    if found.is_empty() { Err(Problem::Missing(Block::Certificate)) } else { Ok(found) }
}

fn parse_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, Problem> {
    // PKCS #8 says it in the label, the older forms in a header of RFC 1421.
    if contains(text, b"BEGIN ENCRYPTED PRIVATE KEY") || contains(text, b"Proc-Type: 4,ENCRYPTED") {
        return Err(Problem::EncryptedKey);
    }
    let mut keys = sections(text)?.into_iter().filter_map(|(kind, der)| match kind {
        SectionKind::PrivateKey => Some(PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der))),
        SectionKind::RsaPrivateKey => Some(PrivateKeyDer::Pkcs1(PrivatePkcs1KeyDer::from(der))),
        SectionKind::EcPrivateKey => Some(PrivateKeyDer::Sec1(PrivateSec1KeyDer::from(der))),
        _ => None,
    });
    match (keys.next(), keys.next()) {
        (None, _) => Err(Problem::Missing(Block::PrivateKey)),
        (Some(key), None) => Ok(key),
        (Some(_), Some(_)) => Err(Problem::SeveralKeys),
    }
}

fn parse_crls(text: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, Problem> {
    let mut found = Vec::new();
    for (kind, der) in sections(text)? {
        if kind == SectionKind::Crl {
            match x509_parser::prelude::CertificateRevocationList::from_der(&der) {
                Ok(([], _)) => found.push(CertificateRevocationListDer::from(der)),
                Ok(_) | Err(_) => return Err(Problem::Unparsable(Block::Crl, found.len() + 1)),
            }
        }
    }
    if found.is_empty() { Err(Problem::Missing(Block::Crl)) } else { Ok(found) }
}

fn sections(text: &[u8]) -> Result<Vec<(SectionKind, Vec<u8>)>, Problem> {
    if text.trim_ascii().is_empty() {
        return Err(Problem::Empty);
    }
    // DER and PKCS #12 begin with a SEQUENCE.
    if text.first() == Some(&0x30) && !contains(text, b"-----BEGIN ") {
        return Err(Problem::Binary);
    }
    let mut rest = text;
    let mut found = Vec::new();
    while let Some(section) = from_buf(&mut rest).map_err(damaged)? {
        found.push(section);
    }
    Ok(found)
}

/// Never the bytes themselves: they may be a key's.
fn damaged(error: rustls::pki_types::pem::Error) -> Problem {
    use rustls::pki_types::pem::Error;
    Problem::Damaged(match error {
        Error::MissingSectionEnd { end_marker } => {
            format!("the line `-----END {}-----` is missing", String::from_utf8_lossy(&end_marker))
        }
        Error::IllegalSectionStart { .. } => "a `-----BEGIN` line does not end in five hyphens".to_owned(),
        Error::Base64Decode(_) => "a block is not base64".to_owned(),
        Error::SectionTooLarge => "a block is too large".to_owned(),
        _ => "it cannot be decoded".to_owned(),
    })
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
