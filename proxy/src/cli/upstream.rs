//! What the server would prove, as `gatepass explain` is told; a part that is not given is not known.

use std::sync::Arc;

use clap::{Args, ValueEnum};
use gatepass_policy::facts::{Proof, ServerCertificate, Upstream};
use jiff::Timestamp;

#[derive(Debug, Args)]
pub struct Server {
    /// What the server proves to the gateway's probe: the host (`verified`), only that it has the certificate
    /// (`unverified`), or not even that (`nothing`).
    #[arg(long, value_enum, value_name = "WHAT", requires = "hello")]
    upstream: Option<What>,
    /// A DNS name in the server's certificate; may be repeated.
    #[arg(long = "upstream-san", value_name = "NAME", requires = "upstream")]
    names: Vec<String>,
    /// The issuer of the server's certificate, as RFC 4514 writes it.
    #[arg(long = "upstream-issuer", value_name = "NAME", requires = "upstream")]
    issuer: Option<String>,
    /// SHA-256 of the server's public key, lower-case hexadecimal.
    #[arg(long = "upstream-spki", value_name = "SHA256", requires = "upstream")]
    spki: Option<String>,
    /// The end of the server's certificate (RFC 3339, `Z`).
    #[arg(long = "upstream-not-after", value_name = "TIME", requires = "upstream")]
    not_after: Option<Timestamp>,
    /// The TLS version of the probe.
    #[arg(long = "upstream-tls", value_name = "VERSION", requires = "upstream", value_parser = ["1.3", "1.2"])]
    version: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    Verified,
    Unverified,
    Nothing,
}

impl Server {
    /// The fact, where one was given.
    pub fn fact(&self) -> Option<Arc<Upstream>> {
        let proof = match self.upstream? {
            What::Verified => Proof::Verified,
            What::Unverified => Proof::Unverified("as was asked".into()),
            What::Nothing => return Some(Arc::new(Upstream::Nothing("as was asked".into()))),
        };
        Some(Arc::new(Upstream::Shown(ServerCertificate {
            proof,
            dns_sans: (!self.names.is_empty()).then(|| self.names.iter().map(|name| name.to_lowercase()).collect()),
            issuer: self.issuer.clone(),
            spki_sha256: self.spki.clone(),
            not_after: self.not_after,
            tls_version: self.version.clone(),
        })))
    }
}
