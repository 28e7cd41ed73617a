//! The two kinds of hashes in a Merkle tree, told apart by their first byte (RFC 6962 section 2.1).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// SHA-256 of a leaf or of two subtrees.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// The root of a tree without leaves: the hash of nothing.
    pub fn of_nothing() -> Hash {
        Hash(Sha256::digest([]).into())
    }

    /// In base64, as in a checkpoint.
    pub fn to_base64(self) -> String {
        STANDARD.encode(self.0)
    }

    /// From base64.
    pub fn from_base64(text: &str) -> Option<Hash> {
        STANDARD.decode(text).ok()?.try_into().ok().map(Hash)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_base64())
    }
}

/// The leaf hash of a record, which may come in pieces.
pub fn leaf_hash(record: &[&[u8]]) -> Hash {
    let mut hasher = Sha256::new_with_prefix([0]);
    record.iter().for_each(|piece| hasher.update(piece));
    Hash(hasher.finalize().into())
}

/// The hash of a node above two others.
pub(super) fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut hasher = Sha256::new_with_prefix([1]);
    hasher.update(left.0);
    hasher.update(right.0);
    Hash(hasher.finalize().into())
}

/// The root of a perfect tree; `hashes` are as many as a power of two, and at least one.
pub(super) fn perfect_root(hashes: &[Hash]) -> Hash {
    let mut level = hashes.to_vec();
    while level.len() > 1 {
        level = level
            .chunks_exact(2)
            .filter_map(<[Hash]>::first_chunk)
            .map(|[left, right]| node_hash(left, right))
            .collect();
    }
    level.first().copied().unwrap_or_else(Hash::of_nothing)
}

/// The roots of the perfect trees that so many hashes make, the largest first: one for each bit of their number.
pub(super) fn perfect_roots(mut hashes: &[Hash], into: &mut Vec<Hash>) {
    while !hashes.is_empty() {
        let (first, rest) = hashes.split_at(1 << hashes.len().ilog2());
        into.push(perfect_root(first));
        hashes = rest;
    }
}
