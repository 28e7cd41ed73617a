//! Bundles on the disk: a directory or an archive, told apart by what is there.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use gatepass_config::limits::Limits;
use gatepass_config::problem::{Problem, Problems};
use gatepass_policy::source::SourceFile;

use super::archive::{Archive, most};

/// The files of a bundle, from wherever they were read.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// The files.
    pub files: Vec<SourceFile>,
    /// The archive that they came in; `None` for a directory.
    pub archive: Option<Archive>,
}

impl Delivered {
    /// The number of the release; 0 for a directory, which has none.
    pub fn serial(&self) -> u64 {
        self.archive.as_ref().map_or(0, |archive| archive.manifest.serial)
    }
}

/// Read the directory or the archive at `path`. Signatures are not looked at.
pub fn read(path: &Path, limits: &Limits) -> Result<Delivered, Problems> {
    // What is neither, and what is not there, is told as of a directory.
    if !path.is_file() {
        return Ok(Delivered { files: gatepass_config::bundle::read(path, limits)?, archive: None });
    }
    let bytes = bytes(path, limits).map_err(|error| Problem::of_file(path, format!("cannot read it: {error}")))?;
    let archive = Archive::read(&bytes, limits).map_err(|refused| Problem::of_file(path, refused.to_string()))?;
    Ok(Delivered { files: archive.files.clone(), archive: Some(archive) })
}

/// The bytes of an archive, no more than one may have and one.
pub fn bytes(path: &Path, limits: &Limits) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most(limits) as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Put a file in its place, whole or not at all, and on the disk when this returns.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or_else(|| io::Error::other("it is not the name of a file"))?;
    let mut partial = std::ffi::OsString::from(".");
    partial.push(name);
    partial.push(format!(".{}.new", std::process::id()));
    let partial = folder.join(partial);
    let written = File::create(&partial).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&partial, path)?;
        File::open(folder)?.sync_all()
    });
    if written.is_err() {
        let _ = std::fs::remove_file(&partial);
    }
    written
}
