//! The manifest of an archive: what is released, as which number, until when, and every file of it. It is what is signed.

use gatepass_config::limits::Limits;
use gatepass_policy::source::SourceFile;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::archive::Refused;
use super::name;

/// The version of the form.
const FORMAT: &str = "gatepass-bundle/1";

/// The highest serial number: records and their readers have signed numbers.
const SERIAL_MAX: u64 = i64::MAX as u64;

/// What a release says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    /// Its number: each release of a bundle has a higher one.
    pub serial: u64,
    /// When it was made.
    pub created: Timestamp,
    /// From this moment on it is not used.
    pub not_after: Timestamp,
}

/// What an archive holds. As text it is one line of JSON, written in one way only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    format: String,
    /// The bundle's name.
    pub bundle: String,
    /// The release's number, from 1.
    pub serial: u64,
    /// When it was made.
    pub created: Timestamp,
    /// From this moment on it is not used.
    pub not_after: Timestamp,
    /// `sha256:<hex>` over the files: what a directory of them has, and what records show.
    pub digest: String,
    files: Vec<Entry>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    length: u64,
    sha256: String,
}

impl Manifest {
    /// Of these files, in the order of their names.
    pub(super) fn of(
        bundle: &str,
        release: Release,
        files: &[SourceFile],
        limits: &Limits,
    ) -> Result<Manifest, Refused> {
        let Release { serial, created, not_after } = release;
        let manifest = Manifest {
            format: FORMAT.to_owned(),
            bundle: bundle.to_owned(),
            serial,
            created,
            not_after,
            digest: gatepass_policy::digest(files),
            files: files.iter().map(Entry::of).collect(),
        };
        manifest.check(limits)?;
        Ok(manifest)
    }

    /// Bytes that a manifest of so many files may have: a name, a length, a digest, and the keys of each.
    pub(super) fn most(files: usize) -> usize {
        files.saturating_mul(512).saturating_add(4096)
    }

    /// From its text, which must be what [`Manifest::to_text`] writes.
    pub(super) fn parse(text: &[u8], limits: &Limits) -> Result<Manifest, Refused> {
        let manifest: Manifest =
            serde_json::from_slice(text).map_err(|error| Refused::of(format!("`manifest.json`: {error}")))?;
        if manifest.to_text() != text {
            return Err(Refused::of("`manifest.json` is not written as a manifest is"));
        }
        manifest.check(limits)?;
        Ok(manifest)
    }

    pub(super) fn to_text(&self) -> Vec<u8> {
        // Nothing in it can fail to be written; an empty text is no manifest.
        let mut text = serde_json::to_vec(self).unwrap_or_default();
        text.push(b'\n');
        text
    }

    /// How many files it lists.
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// The names of the files, in their order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|file| file.name.as_str())
    }

    fn check(&self, limits: &Limits) -> Result<(), Refused> {
        if self.format != FORMAT {
            let message = format!("its format is `{}`, and this version reads `{FORMAT}`", self.format.escape_debug());
            return Err(Refused::of(message));
        }
        if self.serial == 0 || self.serial > SERIAL_MAX {
            return Err(Refused::of(format!("a serial number is 1 to {SERIAL_MAX}, and not {}", self.serial)));
        }
        if self.not_after <= self.created {
            let (end, created) = (self.not_after, self.created);
            return Err(Refused::of(format!("it ends at {end}, which is not after {created}, when it was made")));
        }
        if self.files.is_empty() {
            return Err(Refused::of("it lists no file"));
        }
        name::check(self.names(), limits).map_err(Refused::of)
    }

    /// Whether these are the files, each with its length and digest, and all of them together.
    pub(super) fn agrees(&self, files: &[SourceFile]) -> Result<(), Refused> {
        for (entry, file) in self.files.iter().zip(files) {
            if *entry != Entry::of(file) {
                let message = format!("`{}` is not the file that the manifest lists as `{}`", file.name, entry.name);
                return Err(Refused::of(message));
            }
        }
        if let Some(missing) = self.files.get(files.len()) {
            return Err(Refused::of(format!("`{}` is listed in the manifest and not there", missing.name)));
        }
        if let Some(extra) = files.get(self.files.len()) {
            return Err(Refused::of(format!("`{}` is not listed in the manifest", extra.name)));
        }
        if self.digest != gatepass_policy::digest(files) {
            return Err(Refused::of("the digest in the manifest is not that of the files"));
        }
        Ok(())
    }
}

impl Entry {
    fn of(file: &SourceFile) -> Entry {
        let sha256 = Sha256::digest(&file.text).iter().map(|byte| format!("{byte:02x}")).collect();
        Entry { name: file.name.clone(), length: file.text.len() as u64, sha256 }
    }
}
