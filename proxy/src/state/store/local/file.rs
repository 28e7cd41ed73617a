//! The file of a state directory: made whole or not at all, for its owner's eyes, and for one process.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{Builder, Database, DatabaseError, ReadableDatabase as _, StorageError};

use super::tables;

/// The database.
const STATE: &str = "state.redb";

/// What a database is called while it is made.
const NEW: &str = "state.redb.new";

/// Locked by the process that uses the directory. It outlives a database that is opened again after trouble with the disk,
/// and remembers that one was made.
const LOCK: &str = "state.lock";

/// In the lock file once the database is there.
const MADE: &[u8] = b"state.redb was made here\n";

/// Bytes of pages in memory: the whole of a large store, a hundredth of what the library would take.
const CACHE: usize = 8 << 20;

/// Why a state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory, or a file in it.
    #[error("`{}`: {what}: {why}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the operating system says.
        why: io::Error,
    },
    /// Others may look into the directory.
    #[error("the state directory `{}` is open to other users (mode {mode:o}): `chmod 700` it, or name one of its own in `state.directory`", path.display())]
    Exposed {
        /// The directory.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A process has it.
    #[error("the state directory `{}` is in use by another process: stop that gateway, or name another one in `state.directory`", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// It was there, and is not.
    #[error("`{}` is gone, though it was made here, and with it what operators decided: put it back from a backup, or remove `{LOCK}` beside it to begin with nothing", path.display())]
    Gone {
        /// The database.
        path: PathBuf,
    },
    /// It cannot be what was written.
    #[error("`{}` is damaged ({why}): put it back from a backup, or move it and `{LOCK}` away to begin with nothing", path.display())]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What does not fit.
        why: String,
    },
    /// It was written by another version.
    #[error("`{}` has format {found}, and this version reads format {}: start the version that wrote it", path.display(), tables::FORMAT)]
    Format {
        /// The database.
        path: PathBuf,
        /// What it says.
        found: u64,
    },
}

/// Take the directory for this process, made where it is not there.
pub(super) fn claim(directory: &Path) -> Result<File, OpenError> {
    let failed = |what| move |why| OpenError::File { path: directory.to_owned(), what, why };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(failed("cannot make the state directory"))?;
    let found = std::fs::metadata(directory).map_err(failed("cannot look at the state directory"))?;
    let mode = found.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(OpenError::Exposed { path: directory.to_owned(), mode });
    }
    let lock = private(&directory.join(LOCK), OpenOptions::new().create(true).truncate(false));
    let lock = lock.map_err(failed("cannot open `state.lock` in it"))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: directory.to_owned() }),
        Err(TryLockError::Error(why)) => Err(failed("cannot lock `state.lock` in it")(why)),
    }
}

/// Open the database of a directory that was claimed; where there never was one, make it.
pub(super) fn open(directory: &Path, mut lock: &File) -> Result<Database, OpenError> {
    let path = directory.join(STATE);
    let failed = |what| {
        let path = path.clone();
        move |why| OpenError::File { path, what, why }
    };
    if !path.try_exists().map_err(failed("cannot look at it"))? {
        let mut said = Vec::new();
        lock.take(MADE.len() as u64).read_to_end(&mut said).map_err(failed("cannot read `state.lock` beside it"))?;
        if !said.is_empty() {
            return Err(OpenError::Gone { path });
        }
        make(directory, &path)?;
    }
    let database = guarded(&path, || {
        let file = private(&path, &mut OpenOptions::new())?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        // The library takes an empty file for one to begin with.
        if file.metadata()?.len() == 0 {
            return Err(StorageError::Corrupted("it is empty".to_owned()).into());
        }
        builder().create_with_backend(FileBackend::new(file)?)
    })?;
    checked(&path, &database)?;
    if lock.metadata().map_err(failed("cannot look at `state.lock` beside it"))?.len() == 0 {
        lock.write_all(MADE).and_then(|()| lock.sync_all()).map_err(failed("cannot write `state.lock` beside it"))?;
    }
    Ok(database)
}

/// A database under its name, whole and on the disk when this returns.
fn make(directory: &Path, path: &Path) -> Result<(), OpenError> {
    let new = directory.join(NEW);
    guarded(path, || {
        match std::fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(StorageError::Io(error).into()),
            Ok(()) | Err(_) => {}
        }
        let file = private(&new, OpenOptions::new().create_new(true))?;
        let database = builder().create_with_backend(FileBackend::new(file)?)?;
        tables::make(&database).map_err(|error| DatabaseError::Storage(storage(error)))?;
        database.close()?;
        File::open(&new)?.sync_all()?;
        std::fs::rename(&new, path)?;
        File::open(directory)?.sync_all()?;
        Ok(())
    })
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE);
    // A plain opening trusts a file that was closed in order, whatever became of it since.
    builder.set_check_integrity_on_open(true);
    builder
}

/// A file for its owner's eyes, and not what a link points to.
fn private(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let no_links = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).map_err(io::Error::other)?;
    options.read(true).write(true).mode(0o600).custom_flags(no_links).open(path)
}

/// Whether a database holds what every one of ours does.
fn checked(path: &Path, database: &Database) -> Result<(), OpenError> {
    let format = database.begin_read().map_err(redb::Error::from).and_then(|reading| tables::format(&reading));
    match format {
        Ok(tables::FORMAT) => Ok(()),
        Ok(found) => Err(OpenError::Format { path: path.to_owned(), found }),
        Err(error) => Err(OpenError::Damaged { path: path.to_owned(), why: error.to_string() }),
    }
}

/// Run what opens a database. The library panics over some damage where assertions are compiled in.
fn guarded<T>(path: &Path, work: impl FnOnce() -> Result<T, DatabaseError>) -> Result<T, OpenError> {
    let damaged = |why: String| OpenError::Damaged { path: path.to_owned(), why };
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(DatabaseError::DatabaseAlreadyOpen)) => Err(OpenError::InUse { path: path.to_owned() }),
        Ok(Err(DatabaseError::Storage(StorageError::Io(why)))) if !is_damage(&why) => {
            Err(OpenError::File { path: path.to_owned(), what: "cannot open it", why })
        }
        Ok(Err(error)) => Err(damaged(error.to_string())),
        Err(_) => Err(damaged("its parts contradict each other".to_owned())),
    }
}

/// What reading beyond the end, or not finding a header, is told as.
fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData)
}

/// Whatever happened in a transaction, as trouble with the storage.
fn storage(error: redb::Error) -> StorageError {
    match error {
        redb::Error::Io(error) => StorageError::Io(error),
        other => StorageError::Corrupted(other.to_string()),
    }
}
