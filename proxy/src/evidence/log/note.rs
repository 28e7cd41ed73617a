//! Signed checkpoints: the size and root of a log under an Ed25519 signature (C2SP tlog-checkpoint, signed-note).

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::hash::Hash;

/// The algorithm in a key and its hash: Ed25519.
const ALGORITHM: u8 = 1;

/// Bytes of a note: a checkpoint with a few signatures has less than one kilobyte.
const NOTE_MAX: usize = 64 << 10;

/// Why a note does not prove anything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// It has another form.
    #[error("it is no signed checkpoint: {0}")]
    Malformed(&'static str),
    /// The key signed none of it.
    #[error("it bears no signature of `{0}`")]
    Unsigned(String),
    /// The signature is wrong.
    #[error("its signature by `{0}` is wrong")]
    Forged(String),
    /// It is another log's.
    #[error("it is a checkpoint of `{found}`, not of `{wanted}`")]
    OtherLog {
        /// Whose it is.
        found: String,
        /// Whose it should be.
        wanted: String,
    },
}

/// What a log was at one moment, and the proof that its gateway said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    size: u64,
    root: Hash,
    note: String,
}

/// A key that checks signatures. As text it is a C2SP verifier key: `NAME+HASH+KEY`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyingKey {
    name: String,
    public: [u8; 32],
}

impl Checkpoint {
    /// Sign.
    pub(super) fn sign(origin: &str, size: u64, root: Hash, key: &Ed25519KeyPair) -> Checkpoint {
        let text = format!("{origin}\n{size}\n{}\n", root.to_base64());
        let public = key.public_key().as_ref().try_into().unwrap_or([0; 32]);
        let hash = VerifyingKey { name: origin.to_owned(), public }.hash();
        let signature = key.sign(text.as_bytes());
        let line = STANDARD.encode([hash.as_slice(), signature.as_ref()].concat());
        let note = format!("{text}\n\u{2014} {origin} {line}\n");
        Checkpoint { origin: origin.to_owned(), size, root, note }
    }

    /// Read a note, and check that this key signed it for the log of its name.
    pub fn verify(note: &str, key: &VerifyingKey) -> Result<Checkpoint, NoteError> {
        let malformed = NoteError::Malformed;
        if note.len() > NOTE_MAX {
            return Err(malformed("it is too long"));
        }
        let (text, signatures) = note.rsplit_once("\n\n").ok_or(malformed("it has no signature"))?;
        let text = format!("{text}\n");
        let mut lines = text.lines();
        let (origin, size, root) = (lines.next(), lines.next(), lines.next());
        let origin = origin.filter(|origin| !origin.is_empty()).ok_or(malformed("it names no log"))?.to_owned();
        let size = size.and_then(decimal).ok_or(malformed("its size is no number"))?;
        let root = root.and_then(Hash::from_base64).ok_or(malformed("its root is no hash"))?;
        if origin != key.name {
            return Err(NoteError::OtherLog { found: origin, wanted: key.name.clone() });
        }
        key.check(&text, signatures)?;
        Ok(Checkpoint { origin, size, root, note: note.to_owned() })
    }

    /// The log's name.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// How many records it signs, from the first.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Their Merkle root.
    pub fn root(&self) -> Hash {
        self.root
    }

    /// The whole note.
    pub fn note(&self) -> &str {
        &self.note
    }
}

impl VerifyingKey {
    pub(super) fn new(name: &str, public: [u8; 32]) -> VerifyingKey {
        VerifyingKey { name: name.to_owned(), public }
    }

    /// From `NAME+HASH+KEY`.
    pub fn parse(text: &str) -> Option<VerifyingKey> {
        let (name, rest) = text.trim().split_once('+')?;
        let (hash, key) = rest.split_once('+')?;
        let key = STANDARD.decode(key).ok()?;
        let (algorithm, public) = key.split_first()?;
        let named = !name.is_empty() && !name.contains(char::is_whitespace);
        let key = VerifyingKey { name: name.to_owned(), public: public.try_into().ok()? };
        let same = u32::from_str_radix(hash, 16).ok()?.to_be_bytes() == key.hash();
        (named && *algorithm == ALGORITHM && same).then_some(key)
    }

    /// The log's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `NAME+HASH+KEY`.
    pub fn to_text(&self) -> String {
        let key = STANDARD.encode([&[ALGORITHM], self.public.as_slice()].concat());
        format!("{}+{:08x}+{key}", self.name, u32::from_be_bytes(self.hash()))
    }

    /// The four bytes by which a signature names its key.
    fn hash(&self) -> [u8; 4] {
        let mut hasher = Sha256::new();
        hasher.update(self.name.as_bytes());
        hasher.update([b'\n', ALGORITHM]);
        hasher.update(self.public);
        let [a, b, c, d, ..]: [u8; 32] = hasher.finalize().into();
        [a, b, c, d]
    }

    /// Signatures of others are passed over, as the form of notes demands.
    fn check(&self, text: &str, signatures: &str) -> Result<(), NoteError> {
        let hash = self.hash();
        for line in signatures.lines() {
            let signed = line.strip_prefix("\u{2014} ").and_then(|line| line.split_once(' '));
            let (name, bytes) = signed.ok_or(NoteError::Malformed("a line of its signatures is none"))?;
            let bytes = STANDARD.decode(bytes).map_err(|_| NoteError::Malformed("a signature is not base64"))?;
            let Some((by, signature)) = bytes.split_first_chunk::<4>() else { continue };
            if name == self.name && *by == hash {
                let key = UnparsedPublicKey::new(&ED25519, self.public);
                return key.verify(text.as_bytes(), signature).map_err(|_| NoteError::Forged(self.name.clone()));
            }
        }
        Err(NoteError::Unsigned(self.name.clone()))
    }
}

/// A number in its one spelling.
fn decimal(text: &str) -> Option<u64> {
    let canonical = text == "0" || (!text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit()));
    canonical.then(|| text.parse().ok()).flatten()
}
