//! What an operator shows: a token, a client certificate, an ID token; and the secret of one-time codes beside it.

use std::fmt;

use gatepass_policy::host::Host;

use super::{TEXT_MAX, base32, is_person, withheld_text};
use crate::node::Node;
use crate::reading::{self, Reading, optional};
use crate::tokens;

/// Bytes of a secret: RFC 4226 section 4, R6 asks for 128 bits at least; a longer one than this is something else.
const SECRET_MIN: usize = 16;
const SECRET_MAX: usize = 128;

/// A file that holds a secret is one short line.
const SECRET_FILE_MAX: usize = 1024;

/// SHA-256 of a token. It is not the token, but even so nobody's business.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash(pub [u8; 32]);

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(withheld)")
    }
}

/// Which client certificate, among those that `admin.tls.client_ca` vouches for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Certificate {
    /// This one: SHA-256 of its DER form.
    Sha256([u8; 32]),
    /// Any with this SPIFFE ID.
    SpiffeId(String),
    /// Any with this DNS name, in lower case.
    Dns(String),
}

/// Whose ID token. Where both are given, both must be in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The `sub` of the issuer.
    pub subject: Option<String>,
    /// The `email`, in lower case; the issuer must have verified it.
    pub email: Option<String>,
}

/// The secret that one-time codes are made from (RFC 6238).
#[derive(Clone, PartialEq, Eq)]
pub struct TotpSecret(Box<[u8]>);

impl TotpSecret {
    /// From at least 16 bytes.
    pub fn new(bytes: &[u8]) -> Option<TotpSecret> {
        (SECRET_MIN..=SECRET_MAX).contains(&bytes.len()).then(|| TotpSecret(bytes.into()))
    }

    /// The bytes, for the one place that computes codes.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(withheld)")
    }
}

/// How to make the hash of a certificate.
const OF_CERTIFICATE: &str = "`openssl x509 -in FILE -outform DER | sha256sum` prints it";

pub(super) fn token(node: &Node, reading: &mut Reading<'_>) -> Option<Hash> {
    tokens::hash_of(node, "`gatepass operators add NAME --token` makes one", reading).map(Hash)
}

pub(super) fn certificate(node: &Node, reading: &mut Reading<'_>) -> Option<Certificate> {
    let [sha256, spiffe_id, dns] = reading.fields(node, ["sha256", "spiffe_id", "dns"])?;
    match (sha256, spiffe_id, dns) {
        (Some(entry), None, None) => tokens::hash_of(&entry.node, OF_CERTIFICATE, reading).map(Certificate::Sha256),
        (None, Some(entry), None) => {
            reading.parsed(&entry.node, "a SPIFFE ID such as `spiffe://corp.example/ops/alice`", |text| {
                let (domain, path) = text.strip_prefix("spiffe://")?.split_once('/')?;
                let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
                let whole = !domain.is_empty() && !path.is_empty() && text.len() <= 2048;
                (whole && path.chars().all(plain)).then(|| Certificate::SpiffeId(text.to_owned()))
            })
        }
        (None, None, Some(entry)) => {
            reading.parsed(&entry.node, "a host name", |text| match Host::parse(text.as_bytes()) {
                Ok(Host::Name(name)) => Some(Certificate::Dns(name.to_string())),
                Ok(Host::Ip(_)) | Err(_) => None,
            })
        }
        (None, None, None) | (Some(_), Some(_), _) | (_, Some(_), Some(_)) | (Some(_), _, Some(_)) => {
            let message = format!("{} names no certificate, or several", reading::owner_of(node));
            reading.found.error_with_help(&node.place, message, "give one of `sha256`, `spiffe_id` and `dns`");
            None
        }
    }
}

pub(super) fn subject(node: &Node, reading: &mut Reading<'_>) -> Option<Subject> {
    let [subject, email] = reading.fields(node, ["subject", "email"])?;
    if subject.is_none() && email.is_none() {
        let message = format!("{} has neither `subject` nor `email`", reading::owner_of(node));
        reading.found.error_with_help(&node.place, message, "give one: nobody could show that it is they");
        return None;
    }
    let subject = optional(subject, reading, |node, reading| {
        reading.parsed(node, "a subject of 1 to 128 visible characters", |text| {
            let visible = (1..=TEXT_MAX).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic());
            visible.then(|| text.to_owned())
        })
    });
    let email = optional(email, reading, |node, reading| {
        reading.parsed(node, "a mail address", |text| {
            (is_person(text) && text.contains('@')).then(|| text.to_ascii_lowercase())
        })
    });
    Some(Subject { subject: subject?, email: email? })
}

pub(super) fn totp(node: &Node, reading: &mut Reading<'_>) -> Option<TotpSecret> {
    let [file, secret] = reading.fields(node, ["file", "secret"])?;
    let (node, text) = match (file, secret) {
        (Some(entry), None) => {
            let path = reading.file(&entry.node)?;
            match reading::read_text(&path.value, SECRET_FILE_MAX) {
                Ok(text) => (&entry.node, text),
                Err(problems) => {
                    problems.into_vec().into_iter().for_each(|problem| reading.found.push(problem));
                    return None;
                }
            }
        }
        (None, Some(entry)) => (&entry.node, withheld_text(&entry.node, reading)?.to_owned()),
        (None, None) | (Some(_), Some(_)) => {
            let message = format!("{} needs either `file` or `secret`", reading::owner_of(node));
            reading.found.error(&node.place, message);
            return None;
        }
    };
    let read = base32::decode(text.trim()).as_deref().and_then(TotpSecret::new);
    if read.is_none() {
        let message = format!("{} is no secret in base32 of 16 to 128 bytes", reading::owner_of(node));
        let help = "`gatepass operators add NAME --totp` makes one";
        reading.found.error_with_help(&node.place, message, help);
    }
    read
}
