//! How far a sink has the records: one number in a small file that survives a crash at any moment.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

/// The directory below the spool.
const DIRECTORY: &str = "cursor";

/// The cursor of one sink, `cursor/<sink>`.
#[derive(Debug)]
pub struct Cursor {
    directory: PathBuf,
    name: &'static str,
    /// What the file says; held while it is written, since two writers would share the temporary file.
    stored: Mutex<u64>,
}

/// Where a sink stands when the gateway starts.
#[derive(Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has had no record yet.
    New,
    /// It has all records up to this one.
    At(u64),
    /// The file does not say. Sending again is safe and losing is not, so the sink starts anew.
    Damaged(String),
}

/// What the file holds.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    sequence: u64,
}

impl Cursor {
    /// The cursor of this sink in this spool; makes the directory of cursors where it is missing.
    pub fn of(spool: &Path, sink: &'static str) -> io::Result<Cursor> {
        let directory = spool.join(DIRECTORY);
        fs::create_dir_all(&directory)?;
        Ok(Cursor { directory, name: sink, stored: Mutex::default() })
    }

    /// What the file says, when the gateway starts.
    pub fn load(&self) -> io::Result<Standing> {
        match fs::read(self.path()) {
            Ok(bytes) => Ok(match serde_json::from_slice(&bytes) {
                Ok(Content { sequence }) => {
                    *self.lock() = sequence;
                    Standing::At(sequence)
                }
                Err(error) => Standing::Damaged(error.to_string()),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Standing::New),
            Err(error) => Err(error),
        }
    }

    /// Move it forward. It is on the disk when this returns; a crash before leaves the old number.
    pub fn advance(&self, sequence: u64) -> io::Result<()> {
        let mut stored = self.lock();
        if sequence > *stored {
            self.write(sequence)?;
            *stored = sequence;
        }
        Ok(())
    }

    /// Set it, forward or back.
    pub fn reset(&self, sequence: u64) -> io::Result<()> {
        let mut stored = self.lock();
        self.write(sequence)?;
        *stored = sequence;
        Ok(())
    }

    /// Where the file is.
    pub fn path(&self) -> PathBuf {
        self.directory.join(self.name)
    }

    fn write(&self, sequence: u64) -> io::Result<()> {
        // A name that no sink has, so that a file left over by a crash is never taken for a cursor.
        let temporary = self.directory.join(format!(".{}.new", self.name));
        let mut file = File::create(&temporary)?;
        let mut line = serde_json::to_vec(&Content { sequence })?;
        line.push(b'\n');
        file.write_all(&line)?;
        file.sync_data()?;
        fs::rename(&temporary, self.path())?;
        File::open(&self.directory)?.sync_all()
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
