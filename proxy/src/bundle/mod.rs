//! A bundle as delivered: a directory, or one archive with a manifest and the signatures of those who released it.
//!
//! An archive is a plain tar file and holds, in this order and nothing else: `manifest.json`, the files below `policy/`
//! by name, and signatures of the manifest below `signatures/`. It has one form only: what is read must be, byte for
//! byte, what is written of the same content, so that no second reader can see other files in it. It is not compressed:
//! the same files are the same bytes with every version of every library, and nothing grows while it is read.

mod name;

mod manifest;
pub use manifest::{Manifest, Release};

mod archive;
pub use archive::{Archive, Refused, most};

mod key;
pub use key::{KeyId, PrivateKey, PublicKey};

mod signature;
pub use signature::{Keyring, Signature, Signatures};

mod file;
pub use file::{Delivered, bytes, read, replace};

#[cfg(test)]
mod tests;
