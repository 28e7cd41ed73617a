//! X.509 and TLS material: files to keys and certificates, whom to trust, TLS configurations, and the names in a
//! verified client certificate.
//!
//! This crate is the only place that chooses a TLS version, a cipher provider or a way to verify a certificate. It
//! never installs a process-wide provider: every configuration carries its own.

pub mod chain;
pub mod client;
pub mod mint;
mod name;
pub mod pem;
pub mod probe;
pub mod problem;
pub mod rotate;
pub mod server;
pub mod subject;
pub mod trust;

pub use problem::{Problem, Unusable};

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

/// The bounds of this crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one PEM file. A revocation list of 100,000 entries takes about 5 MB as PEM.
    pub file_bytes: u64,
    /// Certificates a client may present, its own included. Path building tries their permutations, so the number
    /// bounds the work of one handshake; real chains have two to four, and webpki goes no further than six issuers.
    pub client_chain: usize,
}

impl Limits {
    /// What configuration starts from.
    pub const RECOMMENDED: Limits = Limits { file_bytes: 16 * 1024 * 1024, client_chain: 6 };
}

/// The protocols a TLS endpoint may agree on (RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Alpn {
    /// `http/1.1`
    Http11,
    /// `h2`
    H2,
}

impl Alpn {
    /// The name on the wire.
    pub fn as_bytes(self) -> &'static [u8] {
        match self {
            Alpn::Http11 => b"http/1.1",
            Alpn::H2 => b"h2",
        }
    }
}

/// The cryptography every configuration is built with: aws-lc-rs, which takes no RSA key below 2048 bits and no SHA-1.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn alpn_names(alpn: &[Alpn]) -> Vec<Vec<u8>> {
    alpn.iter().map(|name| name.as_bytes().to_vec()).collect()
}

#[cfg(test)]
mod tests;
