//! A directory for generated files, gone when it is dropped.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Failure;

/// A fresh directory.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// A directory under `parent` that nobody had before.
    pub fn new(parent: &Path, name: &str) -> Result<Scratch, Failure> {
        let path = parent.join(name);
        fs::create_dir(&path).map_err(Failure::at(format!("`{}` cannot be created", path.display())))?;
        Ok(Scratch(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Write a file below it, with the directories on the way.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf, Failure> {
        let path = self.0.join(name);
        let parent = path.parent().unwrap_or(&self.0);
        let written = fs::create_dir_all(parent).and_then(|()| fs::write(&path, text));
        written.map_err(Failure::at(format!("`{}` cannot be written", path.display())))?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
