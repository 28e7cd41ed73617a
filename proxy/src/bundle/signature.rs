//! Signatures of a manifest, and how many of whom are enough.

use std::path::Path;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

use super::archive::{Archive, Refused};
use super::key::{KeyId, PrivateKey, PublicKey, is_weak};

/// What stands before a manifest when it is signed, so that no signature made for anything else fits.
const DOMAIN: &[u8] = b"gatepass bundle manifest 1\0";

/// Bytes of a signature (RFC 8032 section 5.1.6).
const LENGTH: usize = 64;

/// A signature of a manifest, and by which key it says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    pub(super) key: KeyId,
    pub(super) bytes: [u8; LENGTH],
}

impl Signature {
    /// Sign the manifest of an archive. Ed25519 is deterministic: signing again gives the same.
    pub fn sign(archive: &Archive, key: &PrivateKey) -> Result<Signature, String> {
        let bytes = key.sign(&message(archive)).try_into().map_err(|_| "a signature has 64 bytes".to_owned())?;
        Ok(Signature { key: key.public()?.id(), bytes })
    }

    pub(super) fn parse(key: &str, bytes: &[u8]) -> Result<Signature, Refused> {
        let named = KeyId::from_hex(key).zip(bytes.try_into().ok());
        let (key, bytes) = named.ok_or_else(|| Refused::of(format!("`{}` is no signature", key.escape_debug())))?;
        Ok(Signature { key, bytes })
    }

    fn is_of(&self, key: &PublicKey, message: &[u8]) -> bool {
        // The library refuses a second half beyond the group's order; a first half of small order fits other messages as
        // well, and no signer makes one.
        let [first @ .., _, _, _, _, _, _, _, _] = &self.bytes;
        let half = first.first_chunk::<32>();
        half.is_some_and(|half| !is_weak(half))
            && UnparsedPublicKey::new(&ED25519, key.bytes()).verify(message, &self.bytes).is_ok()
    }
}

fn message(archive: &Archive) -> Vec<u8> {
    [DOMAIN, &archive.manifest_text()].concat()
}

/// Each key once, in their order.
pub(super) fn check_order(signatures: &[Signature]) -> Result<(), Refused> {
    let sorted = signatures.is_sorted_by(|a, b| a.key < b.key);
    if sorted { Ok(()) } else { Err(Refused::of("a key has signed twice, or signatures are out of their order")) }
}

/// The keys that are known, each once, and how many of them must have signed.
#[derive(Clone, Debug)]
pub struct Keyring {
    keys: Vec<PublicKey>,
    threshold: usize,
}

/// Who has signed an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signatures {
    /// Known keys whose signature is right.
    pub good: Vec<KeyId>,
    /// Known keys whose signature is wrong.
    pub wrong: Vec<KeyId>,
    /// Keys that are not known: what they have signed cannot be told.
    pub unknown: Vec<KeyId>,
    /// How many are needed.
    pub threshold: usize,
}

impl Keyring {
    /// Of the keys in these files; a key that stands in two counts once. Without a threshold all of them must have signed.
    pub fn load<'p>(paths: impl Iterator<Item = &'p Path>, threshold: Option<usize>) -> Result<Keyring, Vec<String>> {
        let (mut keys, mut problems): (Vec<PublicKey>, _) = (Vec::new(), Vec::new());
        for path in paths {
            match PublicKey::load(path) {
                Ok(key) if keys.contains(&key) => {}
                Ok(key) => keys.push(key),
                Err(why) => problems.push(why),
            }
        }
        if problems.is_empty() { Keyring::new(keys, threshold).map_err(|why| vec![why]) } else { Err(problems) }
    }

    pub(super) fn new(keys: Vec<PublicKey>, threshold: Option<usize>) -> Result<Keyring, String> {
        let threshold = threshold.unwrap_or(keys.len());
        if threshold == 0 {
            return Err("a threshold of 0 would take what nobody has signed".to_owned());
        }
        if threshold > keys.len() {
            let known = keys.len();
            return Err(format!("a threshold of {threshold} cannot be reached with {known} different keys"));
        }
        Ok(Keyring { keys, threshold })
    }

    /// Who has signed.
    pub fn look(&self, archive: &Archive) -> Signatures {
        let message = message(archive);
        let threshold = self.threshold;
        let mut found = Signatures { good: Vec::new(), wrong: Vec::new(), unknown: Vec::new(), threshold };
        for signature in archive.signatures() {
            let list = match self.keys.iter().find(|key| key.id() == signature.key) {
                None => &mut found.unknown,
                Some(key) if signature.is_of(key, &message) => &mut found.good,
                Some(_) => &mut found.wrong,
            };
            list.push(signature.key);
        }
        found
    }
}

impl Signatures {
    /// Whether that is enough, or why not. A wrong signature by a known key is never enough: somebody changed something.
    pub fn suffice(&self) -> Result<(), Refused> {
        let Signatures { good, wrong, unknown, threshold } = self;
        if let Some(key) = wrong.first() {
            return Err(Refused::of(format!("its signature by `{key}` is wrong")));
        }
        if good.len() >= *threshold {
            return Ok(());
        }
        let strangers = match unknown.len() {
            0 => String::new(),
            count => format!("; {count} by keys that are not known here"),
        };
        let wanted = if *threshold == 1 { "1 is".to_owned() } else { format!("{threshold} are") };
        Err(Refused::of(format!("{wanted} needed, and it has {} valid signatures{strangers}", good.len())))
    }
}
