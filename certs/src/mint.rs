//! Short-lived authorities, leaves and revocation lists: for development, tests and, later, inspection.

use std::net::IpAddr;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationList, CertificateRevocationListParams,
    CrlDistributionPoint, CrlIssuingDistributionPoint, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

mod dev;
pub use dev::{Dev, Existing, Written, dev};

/// How long before now a fresh certificate begins: clocks of clients differ.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// Why nothing was minted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request cannot be put into a certificate.
    #[error("the certificate cannot be made: {0}")]
    Unmintable(#[from] rcgen::Error),
    /// A time before 1970, or one that no timestamp can hold.
    #[error("the time `{0}` cannot stand in a certificate")]
    Time(String),
    /// The certificate just made cannot be read back.
    #[error("the certificate just made cannot be read")]
    Unreadable,
    /// A file of this name is there already.
    #[error("`{0}` exists: choose an empty directory, or ask to replace what is there")]
    Exists(std::path::PathBuf),
    /// A file could not be written.
    #[error("`{0}` cannot be written: {1}")]
    Unwritable(std::path::PathBuf, std::io::Error),
}

/// From when until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// notBefore
    pub not_before: Timestamp,
    /// notAfter
    pub not_after: Timestamp,
}

impl Validity {
    /// From shortly before `now` until `lasting` after it.
    pub fn from(now: Timestamp, lasting: SignedDuration) -> Result<Validity, Error> {
        let time = |sum: Result<Timestamp, jiff::Error>| sum.map_err(|_| Error::Time(format!("{now} + {lasting}")));
        Ok(Validity { not_before: time(now.checked_sub(SKEW))?, not_after: time(now.checked_add(lasting))? })
    }
}

/// A subject alternative name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// A DNS name.
    Dns(String),
    /// An IP address.
    Ip(IpAddr),
    /// A URI: a SPIFFE ID.
    Uri(String),
    /// A mail address.
    Email(String),
}

/// What a leaf may be used for (extended key usage).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// To prove a server.
    Server,
    /// To prove a client.
    Client,
}

/// A leaf to be issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The CN, if any; nothing reads it as an identity.
    pub common_name: Option<String>,
    /// The subject alternative names, in this order.
    pub names: Vec<Name>,
    /// The extended key usage; empty leaves the extension out.
    pub usages: Vec<Usage>,
    /// From when until when.
    pub validity: Validity,
    /// The serial number, big-endian; without one it is derived from the key.
    pub serial: Option<Vec<u8>>,
}

impl Leaf {
    /// A leaf for a server with these names.
    pub fn server(names: Vec<Name>, validity: Validity) -> Leaf {
        Leaf { common_name: None, names, usages: vec![Usage::Server], validity, serial: None }
    }

    /// A leaf for a client with these names.
    pub fn client(names: Vec<Name>, validity: Validity) -> Leaf {
        Leaf { common_name: None, names, usages: vec![Usage::Client], validity, serial: None }
    }

    /// The request as rcgen takes it, for what this type cannot say: see [`Ca::sign`].
    pub fn params(&self) -> Result<CertificateParams, Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        if let Some(name) = &self.common_name {
            params.distinguished_name.push(DnType::CommonName, name.as_str());
        }
        params.not_before = rcgen::date_time_ymd(1970, 1, 1) + since_epoch(self.validity.not_before)?;
        params.not_after = rcgen::date_time_ymd(1970, 1, 1) + since_epoch(self.validity.not_after)?;
        params.serial_number = self.serial.as_deref().map(SerialNumber::from_slice);
        for name in &self.names {
            params.subject_alt_names.push(match name {
                Name::Dns(name) => SanType::DnsName(name.as_str().try_into()?),
                Name::Ip(address) => SanType::IpAddress(*address),
                Name::Uri(uri) => SanType::URI(uri.as_str().try_into()?),
                Name::Email(address) => SanType::Rfc822Name(address.as_str().try_into()?),
            });
        }
        for usage in &self.usages {
            params.extended_key_usages.push(match usage {
                Usage::Server => ExtendedKeyUsagePurpose::ServerAuth,
                Usage::Client => ExtendedKeyUsagePurpose::ClientAuth,
            });
        }
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        Ok(params)
    }
}

/// A leaf with its key, and the chain below its root.
pub struct Issued {
    chain: Vec<Certificate>,
    key: KeyPair,
    serial: Vec<u8>,
}

impl Issued {
    /// The leaf, then each issuer up to the root, which is left out.
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.chain.iter().map(|certificate| certificate.der().clone()).collect()
    }

    /// The private key.
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()))
    }

    /// The serial number, big-endian, as [`Ca::crl`] takes it.
    pub fn serial(&self) -> &[u8] {
        &self.serial
    }

    /// The chain as PEM.
    pub fn chain_pem(&self) -> String {
        self.chain.iter().map(Certificate::pem).collect()
    }

    /// The private key as PEM (PKCS #8).
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }
}

/// An authority that signs leaves, other authorities and revocation lists.
pub struct Ca {
    params: CertificateParams,
    key: KeyPair,
    certificate: Certificate,
    /// What a leaf of this authority sends along: this certificate and those above it, without the root.
    below_root: Vec<Certificate>,
}

/// A revocation list to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crl<'a> {
    /// Serial numbers of what is revoked.
    pub revoked: &'a [&'a [u8]],
    /// thisUpdate and nextUpdate.
    pub validity: Validity,
    /// The URL this list stands for, if it covers one distribution point only.
    pub distribution_point: Option<&'a str>,
}

impl Ca {
    /// A self-signed root, on a fresh P-256 key.
    pub fn root(name: &str, validity: Validity) -> Result<Ca, Error> {
        Ca::self_signed(ca_params(name, validity)?, KeyPair::generate()?)
    }

    /// A root from rcgen's own parameters and key, for what [`Ca::root`] cannot say.
    pub fn self_signed(params: CertificateParams, key: KeyPair) -> Result<Ca, Error> {
        let certificate = params.self_signed(&key)?;
        Ok(Ca { params, key, certificate, below_root: Vec::new() })
    }

    /// An authority below this one.
    pub fn intermediate(&self, name: &str, validity: Validity) -> Result<Ca, Error> {
        self.intermediate_from(ca_params(name, validity)?)
    }

    /// An authority below this one, from rcgen's own parameters; nothing checks that they make it one.
    pub fn intermediate_from(&self, params: CertificateParams) -> Result<Ca, Error> {
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer())?;
        let mut below_root = vec![certificate.clone()];
        below_root.extend_from_slice(&self.below_root);
        Ok(Ca { params, key, certificate, below_root })
    }

    /// Issue a leaf on a fresh P-256 key.
    pub fn issue(&self, leaf: &Leaf) -> Result<Issued, Error> {
        self.sign(&leaf.params()?)
    }

    /// Issue whatever `params` describe, on a fresh P-256 key.
    pub fn sign(&self, params: &CertificateParams) -> Result<Issued, Error> {
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer())?;
        let serial = match x509_parser::parse_x509_certificate(certificate.der()) {
            Ok((_, parsed)) => parsed.raw_serial().to_vec(),
            Err(_) => return Err(Error::Unreadable),
        };
        let mut chain = vec![certificate];
        chain.extend_from_slice(&self.below_root);
        Ok(Issued { chain, key, serial })
    }

    /// Sign a revocation list.
    pub fn crl(&self, crl: &Crl<'_>) -> Result<CertificateRevocationList, Error> {
        let this_update = rcgen::date_time_ymd(1970, 1, 1) + since_epoch(crl.validity.not_before)?;
        let list = CertificateRevocationListParams {
            this_update,
            next_update: rcgen::date_time_ymd(1970, 1, 1) + since_epoch(crl.validity.not_after)?,
            // Numbers must grow with each list of one issuer (RFC 5280 section 5.2.3); the time does.
            crl_number: SerialNumber::from(crl.validity.not_after.as_second().unsigned_abs()),
            issuing_distribution_point: crl.distribution_point.map(|url| CrlIssuingDistributionPoint {
                distribution_point: CrlDistributionPoint { uris: vec![url.to_owned()] },
                scope: None,
            }),
            revoked_certs: (crl.revoked.iter())
                .map(|serial| RevokedCertParams {
                    serial_number: SerialNumber::from_slice(serial),
                    revocation_time: this_update,
                    reason_code: None,
                    invalidity_date: None,
                })
                .collect(),
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        Ok(list.signed_by(&self.issuer())?)
    }

    /// The certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        self.certificate.der()
    }

    /// The certificate as PEM.
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// The private key as PEM (PKCS #8).
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    pub(crate) fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }
}

/// What makes a certificate an authority, for [`Ca::self_signed`] and [`Ca::intermediate_from`].
pub fn ca_params(name: &str, validity: Validity) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = rcgen::date_time_ymd(1970, 1, 1) + since_epoch(validity.not_before)?;
    params.not_after = rcgen::date_time_ymd(1970, 1, 1) + since_epoch(validity.not_after)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// rcgen takes dates of the `time` crate, which is not ours to name: its epoch plus these.
fn since_epoch(timestamp: Timestamp) -> Result<Duration, Error> {
    let seconds = u64::try_from(timestamp.as_second()).map_err(|_| Error::Time(timestamp.to_string()))?;
    Ok(Duration::from_secs(seconds))
}
