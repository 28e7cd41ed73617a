//! Ed25519 keys in files: PEM (PKCS#8 and SPKI, RFC 8410), and OpenSSH's own.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use rustls::pki_types::pem::{SectionKind, from_buf};
use sha2::{Digest as _, Sha256};

/// Bytes of a key's file.
const FILE_MAX: u64 = 64 << 10;

/// What stands before the 32 bytes of a public key in its only DER form (RFC 8410 section 4).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

const OTHER: &str =
    "it is no Ed25519 key: make one with `ssh-keygen -t ed25519` or `openssl genpkey -algorithm ed25519`";
const PASSPHRASE: &str = "it is protected by a passphrase, which nobody can type here: write an unprotected copy with \
     `ssh-keygen -p -N '' -f COPY` or `openssl pkey -in KEY -out COPY`, and remove the copy after signing";

/// Names a key: `SHA256:` and the base64 of the digest of its OpenSSH form, as `ssh-keygen -l` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId([u8; 32]);

impl KeyId {
    fn of(key: &[u8; 32]) -> KeyId {
        let mut digest = Sha256::new();
        for part in [&b"ssh-ed25519"[..], key] {
            digest.update(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            digest.update(part);
        }
        KeyId(digest.finalize().into())
    }

    /// 64 lower-case hexadecimal digits.
    pub fn to_hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// From what [`KeyId::to_hex`] writes.
    pub fn from_hex(text: &str) -> Option<KeyId> {
        let digit = |byte: &u8| char::from(*byte).to_digit(16).filter(|_| !byte.is_ascii_uppercase());
        let mut id = [0; 32];
        let pairs = text.as_bytes().chunks(2);
        if text.len() != 64 {
            return None;
        }
        for (byte, pair) in id.iter_mut().zip(pairs) {
            let [high, low] = pair else { return None };
            *byte = u8::try_from(digit(high)? * 16 + digit(low)?).ok()?;
        }
        Some(KeyId(id))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SHA256:{}", STANDARD_NO_PAD.encode(self.0))
    }
}

/// A key that checks signatures. It is a point of large order, so that no signature fits all messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Read one from its file; the error names the file.
    pub fn load(path: &Path) -> Result<PublicKey, String> {
        read(path).and_then(|text| public(&text)).map_err(|why| format!("`{}`: {why}", path.display()))
    }

    /// From its 32 bytes.
    pub fn of(bytes: [u8; 32]) -> Result<PublicKey, String> {
        if is_weak(&bytes) {
            return Err(
                "it is a point of small order, or not in its one form: nobody has made it for signing".to_owned()
            );
        }
        Ok(PublicKey(bytes))
    }

    /// Its name.
    pub fn id(&self) -> KeyId {
        KeyId::of(&self.0)
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// A key that signs.
pub struct PrivateKey(Ed25519KeyPair);

impl PrivateKey {
    /// Read one from its file; the error names the file, and shows nothing of it.
    pub fn load(path: &Path) -> Result<PrivateKey, String> {
        read(path).and_then(|text| private(&text)).map_err(|why| format!("`{}`: {why}", path.display()))
    }

    /// A new one.
    #[cfg(test)]
    pub(super) fn generate() -> PrivateKey {
        PrivateKey(Ed25519KeyPair::generate().unwrap())
    }

    /// Its public half.
    pub fn public(&self) -> Result<PublicKey, String> {
        PublicKey::of(self.0.public_key().as_ref().try_into().map_err(|_| OTHER.to_owned())?)
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }
}

fn read(path: &Path) -> Result<String, String> {
    // Asked before opening: opening a pipe would wait for its writer.
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() || metadata.len() > FILE_MAX {
        return Err(format!("it is not a regular file of at most {FILE_MAX} bytes"));
    }
    let mut text = String::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(FILE_MAX).read_to_string(&mut text).map_err(|_| "it is not text".to_owned())?;
    Ok(text)
}

fn public(text: &str) -> Result<PublicKey, String> {
    if text.contains("PRIVATE KEY-----") {
        return Err("it is a private key: name its public half, and keep this one where releases are signed".to_owned());
    }
    if text.contains("-----BEGIN ") {
        let der = section(text, SectionKind::PublicKey)?;
        let bytes = der.strip_prefix(&SPKI).and_then(|bytes| bytes.try_into().ok());
        return PublicKey::of(bytes.ok_or(OTHER)?);
    }
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return Err("it holds no public key, or several: one file, one key".to_owned());
    };
    let key = ssh_key::PublicKey::from_openssh(line).map_err(|error| format!("{OTHER} ({error})"))?;
    PublicKey::of(key.key_data().ed25519().ok_or(OTHER)?.0)
}

fn private(text: &str) -> Result<PrivateKey, String> {
    if text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") || text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(PASSPHRASE.to_owned());
    }
    if text.contains("-----BEGIN OPENSSH PRIVATE KEY-----") {
        let key = ssh_key::PrivateKey::from_openssh(text).map_err(|error| format!("{OTHER} ({error})"))?;
        if key.is_encrypted() {
            return Err(PASSPHRASE.to_owned());
        }
        let pair = key.key_data().ed25519().ok_or(OTHER)?;
        let pair = Ed25519KeyPair::from_seed_and_public_key(&pair.private.to_bytes(), &pair.public.0);
        return pair.map(PrivateKey).map_err(|_| "its two halves do not belong together".to_owned());
    }
    if text.contains("-----BEGIN PUBLIC KEY-----") || text.starts_with("ssh-") {
        return Err("it is a public key: sign with its private half".to_owned());
    }
    let der = section(text, SectionKind::PrivateKey)?;
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map(PrivateKey).map_err(|_| OTHER.to_owned())
}

/// The one section of a PEM file, which must be of this kind.
fn section(text: &str, kind: SectionKind) -> Result<Vec<u8>, String> {
    let mut rest = text.as_bytes();
    let mut next = || from_buf(&mut rest).map_err(|_| "it is not PEM, or is damaged".to_owned());
    match (next()?, next()?) {
        (Some((found, der)), None) if found == kind => Ok(der),
        (Some((_, _)), None) => Err(OTHER.to_owned()),
        (None, _) => Err("it holds no key in PEM or OpenSSH form".to_owned()),
        (Some(_), Some(_)) => Err("it holds several PEM blocks: one file, one key".to_owned()),
    }
}

/// Whether these bytes are one of the eight points of small order, or no point's one form (RFC 8032 section 5.1.3). The
/// sign bit is not looked at.
pub(super) fn is_weak(bytes: &[u8; 32]) -> bool {
    let mut masked = *bytes;
    if let Some(last) = masked.last_mut() {
        *last &= 0x7f;
    }
    // y at or above p = 2^255 - 19, and p - 1 with them.
    let [first, middle @ .., last] = &masked;
    let near_p = *first >= 0xec && middle.iter().all(|byte| *byte == 0xff) && *last == 0x7f;
    near_p || SMALL_ORDER.contains(&masked)
}

/// y of the points of order 1, 4 and 8; that of order 2 is p - 1.
const SMALL_ORDER: [[u8; 32]; 4] = [
    [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [0; 32],
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
        0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
        0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
];
