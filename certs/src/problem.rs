//! What can be wrong with a certificate, key or revocation list that an operator gave, and how to mend it.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

/// A file that cannot be used, and why.
#[derive(Debug, thiserror::Error)]
#[error("`{}`: {problem}", path.display())]
pub struct Unusable {
    /// The file, as it was named.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a file. The text says how to mend it.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It cannot be opened or read.
    #[error("cannot be read: {0}")]
    Unreadable(std::io::Error),
    /// It is a directory, a pipe or a device.
    #[error("is not a file")]
    NotAFile,
    /// It is larger than [`crate::Limits::file_bytes`].
    #[error("is larger than {0} bytes, the most that is read")]
    TooLarge(u64),
    /// It has no bytes, or white space only.
    #[error("is empty")]
    Empty,
    /// It is DER or PKCS #12, not PEM.
    #[error(
        "is binary, but PEM is wanted: convert it with \
             `openssl x509`, `openssl pkey`, `openssl crl` or `openssl pkcs12`"
    )]
    Binary,
    /// It is text without the wanted PEM block.
    #[error("has no PEM block `{0}`")]
    Missing(Block),
    /// A PEM block has no end or is not base64.
    #[error("is damaged PEM: {0}")]
    Damaged(String),
    /// A block is PEM, but what is in it is not DER of its kind. Counted from 1.
    #[error("`{0}` number {1} cannot be parsed: it is damaged")]
    Unparsable(Block, usize),
    /// The key is protected by a passphrase.
    #[error(
        "the key is encrypted: write it without a passphrase with \
             `openssl pkey -in OLD -out NEW`, readable by the gateway alone"
    )]
    EncryptedKey,
    /// There is more than one key.
    #[error("has more than one private key: keep the one that belongs to the certificate")]
    SeveralKeys,
    /// The key is of a kind or size that is not taken.
    #[error("the key is not taken ({0}): use ECDSA P-256, P-384 or P-521, Ed25519, or RSA of 2048 to 8192 bits")]
    KeyNotTaken(String),
    /// The key belongs to none of the certificates.
    #[error("the key does not belong to the certificate: name the files of one pair")]
    KeyMismatch,
    /// The key belongs to a certificate that is not the first one.
    #[error("the certificate of the key is number {0} in its file: put it first, then its issuer, and so on up")]
    LeafNotFirst(usize),
    /// A certificate is not issued by the one after it. Counted from 1.
    #[error("certificate {0} is not issued by the one after it: put the leaf first, then each issuer in turn")]
    Order(usize),
    /// notAfter is past. Counted from 1.
    #[error("certificate {0} expired at {1}: renew it")]
    Expired(usize, Timestamp),
    /// notBefore is to come. Counted from 1.
    #[error("certificate {0} is not valid before {1}: wait, or check the clock")]
    NotYetValid(usize, Timestamp),
    /// The extended key usage leaves out servers.
    #[error("the certificate is not for servers: its extended key usage lacks serverAuth")]
    NotForServers,
    /// No DNS name and no address among the subject alternative names.
    #[error(
        "the certificate names no host: clients read only its subjectAltName, \
             and there is no DNS name or address in it"
    )]
    NamesNoHost,
    /// Not an authority. Counted from 1.
    #[error(
        "certificate {0} is not an authority (CA:TRUE is missing): only those that sign client certificates belong here"
    )]
    NotAnAuthority(usize),
    /// An RSA key below 2048 bits. Counted from 1.
    #[error("certificate {0} has an RSA key of {1} bits, fewer than 2048: issue it anew")]
    WeakKey(usize, usize),
    /// The signature of a revocation list is not its issuer's. Counted from 1.
    #[error("revocation list {0} has a bad signature: fetch it again from its issuer")]
    CrlSignature(usize),
    /// nextUpdate is past: who was revoked since is unknown. Counted from 1.
    #[error("revocation list {0} is out of date since {1}: fetch the next one; until then nobody could be let in")]
    CrlStale(usize, Timestamp),
    /// A revocation list that never goes out of date says nothing about today. Counted from 1.
    #[error("revocation list {0} has no nextUpdate: RFC 5280 section 5.1.2.5 demands it")]
    CrlWithoutNextUpdate(usize),
    /// Revocation lists of a kind that is not supported: delta or indirect lists, or partitioned by reasons.
    #[error("the revocation lists are not usable: {0}")]
    CrlsNotUsable(String),
    /// The TLS library refuses it for a reason of its own.
    #[error("is not usable: {0}")]
    Tls(rustls::Error),
}

/// Kinds of PEM blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// `CERTIFICATE`
    Certificate,
    /// `PRIVATE KEY`, `RSA PRIVATE KEY` or `EC PRIVATE KEY`
    PrivateKey,
    /// `X509 CRL`
    Crl,
}

impl std::fmt::Display for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Block::Certificate => "CERTIFICATE",
            Block::PrivateKey => "PRIVATE KEY",
            Block::Crl => "X509 CRL",
        })
    }
}

impl Problem {
    /// Say which file it is about.
    pub fn at(self, path: &Path) -> Unusable {
        Unusable { path: path.to_owned(), problem: self }
    }
}
