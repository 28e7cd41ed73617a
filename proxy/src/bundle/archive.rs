//! The archive: one file, read within bounds and in one form only.

use std::io::{self, Read as _, Write};

use gatepass_config::limits::Limits;
use gatepass_policy::source::SourceFile;
use tar::EntryType;

use super::manifest::{Manifest, Release};
use super::signature::{self, Signature};

/// Where the manifest stands.
const MANIFEST: &str = "manifest.json";

/// What the files stand below.
const FILES: &str = "policy/";

/// What the signatures stand below.
const SIGNATURES: &str = "signatures/";

/// Signatures of one archive: more than any release has approvers.
const SIGNATURES_MAX: usize = 64;

/// Bytes of a header, and what each content is filled up to.
const BLOCK: usize = 512;

/// Why an archive is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(String);

impl Refused {
    pub(super) fn of(why: impl Into<String>) -> Refused {
        Refused(why.into())
    }
}

/// An archive whose manifest, files and form agree. Whose it is, its signatures say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// What is released.
    pub manifest: Manifest,
    /// The files, by name.
    pub files: Vec<SourceFile>,
    /// By key, each key once.
    signatures: Vec<Signature>,
}

/// The most bytes that an archive within these bounds can have.
pub fn most(limits: &Limits) -> usize {
    let entries = limits.bundle_files.saturating_add(SIGNATURES_MAX + 2);
    let padding = entries.saturating_mul(2 * BLOCK);
    limits.bundle_bytes.saturating_add(padding).saturating_add(Manifest::most(limits.bundle_files))
}

impl Archive {
    /// An archive of these files, signed by nobody.
    pub fn build(
        bundle: &str,
        release: Release,
        mut files: Vec<SourceFile>,
        limits: &Limits,
    ) -> Result<Archive, Refused> {
        files.sort_by(|a, b| a.name.cmp(&b.name));
        let manifest = Manifest::of(bundle, release, &files, limits)?;
        Ok(Archive { manifest, files, signatures: Vec::new() })
    }

    /// Read one. Nothing is reserved by the sizes that it names, and nothing in it is unpacked.
    pub fn read(bytes: &[u8], limits: &Limits) -> Result<Archive, Refused> {
        if bytes.len() > most(limits) {
            return Err(Refused::of(format!("it is longer than {} bytes", most(limits))));
        }
        let mut reader = tar::Archive::new(bytes);
        let mut entries = reader.entries().map_err(|error| broken(&error))?.raw(true);
        let mut next = || entries.next().transpose().map_err(|error| broken(&error));
        let Some(first) = next()? else { return Err(Refused::of("it is empty, or no tar archive")) };
        let (name, text) = content(first, Manifest::most(limits.bundle_files))?;
        if name != MANIFEST {
            return Err(Refused::of(format!("it begins with `{}`, and not with `{MANIFEST}`", name.escape_debug())));
        }
        let manifest = Manifest::parse(&text, limits)?;
        let (mut files, mut signatures, mut left) = (Vec::new(), Vec::new(), limits.bundle_bytes);
        while let Some(entry) = next()? {
            let (name, text) = content(entry, limits.bundle_file_bytes.min(left))?;
            if let Some(key) = name.strip_prefix(SIGNATURES) {
                signatures.push(Signature::parse(key, &text)?);
            } else if let (Some(name), true) = (name.strip_prefix(FILES), signatures.is_empty()) {
                left = left.saturating_sub(text.len());
                files.push(SourceFile { name: name.to_owned(), text });
            } else {
                return Err(Refused::of(format!("`{}` has no place in it", name.escape_debug())));
            }
            if files.len() > limits.bundle_files || signatures.len() > SIGNATURES_MAX {
                return Err(Refused::of("it holds more files or signatures than it may"));
            }
        }
        manifest.agrees(&files)?;
        signature::check_order(&signatures)?;
        let archive = Archive { manifest, files, signatures };
        archive.is_written_as(bytes)?;
        Ok(archive)
    }

    /// Its bytes, the same on every machine.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Refused> {
        let mut bytes = Vec::new();
        self.write(&mut bytes).map_err(|error| broken(&error))?;
        Ok(bytes)
    }

    /// What its signatures are over.
    pub fn manifest_text(&self) -> Vec<u8> {
        self.manifest.to_text()
    }

    /// By key, each key once.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// With a signature, in place of another one by the same key.
    #[must_use]
    pub fn with_signature(mut self, signature: Signature) -> Archive {
        self.signatures.retain(|other| other.key != signature.key);
        self.signatures.push(signature);
        self.signatures.sort_by_key(|signature| signature.key);
        self
    }

    /// The one form: other padding, owners, times, extensions or bytes behind the end are refused, whatever they mean.
    fn is_written_as(&self, bytes: &[u8]) -> Result<(), Refused> {
        let mut same = Same(bytes);
        match self.write(&mut same) {
            Ok(()) if same.0.is_empty() => Ok(()),
            Ok(()) | Err(_) => Err(Refused::of("it is not written as `gatepass bundle build` writes it")),
        }
    }

    fn write(&self, to: impl Write) -> io::Result<()> {
        let mut builder = tar::Builder::new(to);
        append(&mut builder, MANIFEST, &self.manifest.to_text())?;
        for file in &self.files {
            append(&mut builder, &format!("{FILES}{}", file.name), &file.text)?;
        }
        for signature in &self.signatures {
            append(&mut builder, &format!("{SIGNATURES}{}", signature.key.to_hex()), &signature.bytes)?;
        }
        builder.finish()
    }
}

fn append(builder: &mut tar::Builder<impl Write>, name: &str, content: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_path(name)?;
    header.set_entry_type(EntryType::Regular);
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    builder.append(&header, content)
}

/// Name and content of an entry of at most so many bytes.
fn content(mut entry: tar::Entry<'_, &[u8]>, most: usize) -> Result<(String, Vec<u8>), Refused> {
    let path = entry.path_bytes().into_owned();
    let name = String::from_utf8(path).map_err(|_| Refused::of("a name in it is not UTF-8"))?;
    let shown = name.escape_debug();
    if entry.header().entry_type() != EntryType::Regular {
        return Err(Refused::of(format!("`{shown}` is not a regular file")));
    }
    let size = entry.header().size().map_err(|error| broken(&error))?;
    if usize::try_from(size).map_or(true, |size| size > most) {
        return Err(Refused::of(format!("`{shown}` is longer than the limits on bundles allow, {most} bytes here")));
    }
    let mut text = Vec::new();
    entry.by_ref().take(size).read_to_end(&mut text).map_err(|error| broken(&error))?;
    if text.len() as u64 != size {
        return Err(Refused::of(format!("`{shown}` is cut off")));
    }
    Ok((name, text))
}

fn broken(error: &io::Error) -> Refused {
    Refused::of(format!("it is no bundle archive, or is damaged: {error}"))
}

/// Takes what is the next of its bytes, and nothing else.
struct Same<'b>(&'b [u8]);

impl Write for Same<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.strip_prefix(bytes).ok_or_else(|| io::Error::other("another byte"))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
