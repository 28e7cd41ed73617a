//! The Merkle log of one gateway's records: leaves, tiles, signed checkpoints, and proofs.
//!
//! Hashes as in RFC 6962 section 2.1, files as in C2SP tlog-tiles, checkpoints as in C2SP tlog-checkpoint and
//! signed-note: whoever knows those can check a log with programs of their own.

mod hash;

mod tree;

mod tile;

mod note;

mod store;

mod files;

pub mod proof;

pub use files::Files;
pub use hash::{Hash, leaf_hash};
pub use note::{Checkpoint, NoteError, VerifyingKey};
pub use store::{Error, Store};
pub use tree::Tree;

#[cfg(test)]
mod tests;
