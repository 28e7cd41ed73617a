//! What one gateway keeps on its own disk: the embedded store's keys, the copy of a store elsewhere, the highest time it has
//! seen, and notes of its own. One file, [redb](https://docs.rs/redb), durable at every write.

mod file;
pub use file::OpenError;

pub(super) mod tables;

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use redb::{Database, ReadableDatabase as _, ReadableTable as _};
use tokio::sync::Semaphore;

use super::{Kept, Unavailable, View};

/// Questions to the disk under way or waiting; the runtime's threads are shared.
const WAITING: usize = 64;

/// A write waits no longer for the disk; what it waited for may still be written.
const PATIENCE: Duration = Duration::from_secs(10);

/// The state directory of this process. Cheap to clone; the directory is free again when the last clone is gone.
#[derive(Clone)]
pub struct Local(Arc<Open>);

struct Open {
    directory: PathBuf,
    /// None after trouble with the disk: the library answers nothing more until the file is opened again.
    database: Mutex<Option<Database>>,
    /// After the database, since it is dropped after it: whoever has the lock finds the database closed.
    lock: File,
    /// The highest time seen, and what of it is on the disk: microseconds, `i64::MIN` for none.
    highest: AtomicI64,
    highest_kept: AtomicI64,
    room: Arc<Semaphore>,
}

impl Local {
    /// Take a state directory, made where it is not there: mode 0700, its files 0600, for one process. Blocks on the disk:
    /// the whole file is read and checked.
    ///
    /// # Errors
    /// Another process has it, others may look into it, or what is there cannot be read. Nothing is ever replaced.
    pub fn open(directory: &Path) -> Result<Local, OpenError> {
        let lock = file::claim(directory)?;
        let database = file::open(directory, &lock)?;
        let highest = read_highest(&database)
            .map_err(|error| OpenError::Damaged { path: directory.to_owned(), why: error.to_string() })?;
        Ok(Local(Arc::new(Open {
            directory: directory.to_owned(),
            database: Mutex::new(Some(database)),
            lock,
            highest: AtomicI64::new(highest),
            highest_kept: AtomicI64::new(highest),
            room: Arc::new(Semaphore::new(WAITING)),
        })))
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.0.directory
    }

    /// Let the copy of the store be this, whatever it was.
    pub async fn remember(&self, kept: &[Kept], revision: u64) -> Result<(), Unavailable> {
        let kept = kept.to_vec();
        self.on_disk(PATIENCE, move |database| {
            let transaction = tables::begin(database)?;
            {
                let mut copy = transaction.open_table(tables::COPY)?;
                tables::clear(&mut copy)?;
                for Kept { key, value, revision } in &kept {
                    copy.insert(key.as_str(), (*revision, value.as_slice()))?;
                }
                transaction.open_table(tables::NUMBERS)?.insert(tables::COPIED, revision)?;
            }
            Ok(transaction.commit()?)
        })
        .await
    }

    /// Bring the copy up to date with a [`Change::Some`](super::Change::Some). One that is older than the copy changes nothing.
    pub async fn learn(&self, puts: &[Kept], deleted: &[String], revision: u64) -> Result<(), Unavailable> {
        let (puts, deleted) = (puts.to_vec(), deleted.to_vec());
        self.on_disk(PATIENCE, move |database| {
            let transaction = tables::begin(database)?;
            {
                let mut numbers = transaction.open_table(tables::NUMBERS)?;
                if revision <= tables::number(&numbers, tables::COPIED)? {
                    return Ok(());
                }
                let mut copy = transaction.open_table(tables::COPY)?;
                for Kept { key, value, revision } in &puts {
                    copy.insert(key.as_str(), (*revision, value.as_slice()))?;
                }
                for key in &deleted {
                    copy.remove(key.as_str())?;
                }
                numbers.insert(tables::COPIED, revision)?;
            }
            Ok(transaction.commit()?)
        })
        .await
    }

    /// The copy of the store, as of the revision that was remembered or learned last; revision 0 where none ever was.
    pub async fn copy(&self) -> Result<View, Unavailable> {
        self.on_disk(PATIENCE, |database| {
            let reading = database.begin_read()?;
            let revision = tables::number(&reading.open_table(tables::NUMBERS)?, tables::COPIED)?;
            let mut kept = Vec::new();
            for entry in reading.open_table(tables::COPY)?.iter()? {
                let (key, found) = entry?;
                let (revision, value) = found.value();
                kept.push(Kept { key: key.value().to_owned(), value: value.to_vec(), revision });
            }
            Ok(View { kept, revision })
        })
        .await
    }

    /// The highest wall-clock time that was ever seen, over all runs; none where none was. From memory.
    pub fn highest_seen(&self) -> Option<Timestamp> {
        let highest = self.0.highest.load(Ordering::SeqCst);
        (highest != i64::MIN).then(|| Timestamp::from_microsecond(highest).unwrap_or(Timestamp::MAX))
    }

    /// See this time. [`Local::highest_seen`] rises at once, and never falls; on `Ok` it is on the disk as well. Each rise
    /// is a write, so a clock is seen every few seconds, and when it matters.
    pub async fn see(&self, time: Timestamp) -> Result<(), Unavailable> {
        self.0.highest.fetch_max(time.as_microsecond(), Ordering::SeqCst);
        let highest = self.0.highest.load(Ordering::SeqCst);
        if highest <= self.0.highest_kept.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.on_disk(PATIENCE, move |database| {
            let transaction = tables::begin(database)?;
            {
                let mut times = transaction.open_table(tables::TIMES)?;
                let known = times.get(tables::HIGHEST_SEEN)?.map(|known| known.value());
                if known.is_some_and(|known| known >= highest) {
                    return Ok(());
                }
                times.insert(tables::HIGHEST_SEEN, highest)?;
            }
            Ok(transaction.commit()?)
        })
        .await?;
        self.0.highest_kept.fetch_max(highest, Ordering::SeqCst);
        Ok(())
    }

    /// Note something for this gateway alone, in the place of what was noted under this key. On the disk when this returns.
    pub async fn note(&self, key: &str, bytes: &[u8]) -> Result<(), Unavailable> {
        let (key, bytes) = (key.to_owned(), bytes.to_vec());
        self.on_disk(PATIENCE, move |database| {
            let transaction = tables::begin(database)?;
            transaction.open_table(tables::NOTES)?.insert(key.as_str(), bytes.as_slice())?;
            Ok(transaction.commit()?)
        })
        .await
    }

    /// Note something under a key that nothing is noted under; whether this did. Of many at once, one does.
    pub async fn note_once(&self, key: &str, bytes: &[u8]) -> Result<bool, Unavailable> {
        let (key, bytes) = (key.to_owned(), bytes.to_vec());
        self.on_disk(PATIENCE, move |database| {
            let transaction = tables::begin(database)?;
            {
                let mut notes = transaction.open_table(tables::NOTES)?;
                if notes.get(key.as_str())?.is_some() {
                    return Ok(false);
                }
                notes.insert(key.as_str(), bytes.as_slice())?;
            }
            transaction.commit()?;
            Ok(true)
        })
        .await
    }

    /// What was noted under this key.
    pub async fn noted(&self, key: &str) -> Result<Option<Vec<u8>>, Unavailable> {
        let key = key.to_owned();
        self.on_disk(PATIENCE, move |database| {
            let notes = database.begin_read()?.open_table(tables::NOTES)?;
            Ok(notes.get(key.as_str())?.map(|bytes| bytes.value().to_vec()))
        })
        .await
    }

    /// Everything that was noted under keys that begin so, in their order.
    pub async fn notes(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, Unavailable> {
        let prefix = prefix.to_owned();
        self.on_disk(PATIENCE, move |database| {
            let notes = database.begin_read()?.open_table(tables::NOTES)?;
            let mut found = Vec::new();
            for entry in notes.range(prefix.as_str()..)? {
                let (key, bytes) = entry?;
                if !key.value().starts_with(&prefix) {
                    break;
                }
                found.push((key.value().to_owned(), bytes.value().to_vec()));
            }
            Ok(found)
        })
        .await
    }

    /// Note several things at once, each in the place of what was noted under its key; nothing means to forget that.
    pub async fn note_all(&self, notes: Vec<(String, Option<Vec<u8>>)>) -> Result<(), Unavailable> {
        self.on_disk(PATIENCE, move |database| {
            let transaction = tables::begin(database)?;
            {
                let mut table = transaction.open_table(tables::NOTES)?;
                for (key, bytes) in &notes {
                    match bytes {
                        Some(bytes) => table.insert(key.as_str(), bytes.as_slice())?,
                        None => table.remove(key.as_str())?,
                    };
                }
            }
            Ok(transaction.commit()?)
        })
        .await
    }

    /// Forget what was noted under this key, if anything was.
    pub async fn forget(&self, key: &str) -> Result<(), Unavailable> {
        let key = key.to_owned();
        self.on_disk(PATIENCE, move |database| {
            let transaction = tables::begin(database)?;
            transaction.open_table(tables::NOTES)?.remove(key.as_str())?;
            Ok(transaction.commit()?)
        })
        .await
    }

    /// Run this on a thread that may block; one at a time, so what is done is done in an order.
    ///
    /// # Errors
    /// Whether anything was written is unknown.
    pub(super) async fn on_disk<T: Send + 'static>(
        &self,
        patience: Duration,
        work: impl FnOnce(&Database) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, Unavailable> {
        let open = Arc::clone(&self.0);
        let working = async move {
            let closed = |_| Unavailable("the state directory is closed".to_owned());
            // What was begun is not given up with its caller, and has its place until it is done.
            let place = Arc::clone(&open.room).acquire_owned().await.map_err(closed)?;
            let working = tokio::task::spawn_blocking(move || {
                let done = open.work(work);
                drop(place);
                done
            });
            working.await.map_err(|error| Unavailable(format!("the work on the state file ended early: {error}")))?
        };
        let late = || Unavailable(format!("no answer from the state directory's disk within {patience:?}"));
        tokio::time::timeout(patience, working).await.map_err(|_| late())?
    }
}

impl Open {
    fn work<T>(&self, work: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, Unavailable> {
        // A transaction that was not finished wrote nothing, so what a panic leaves behind is whole.
        let mut database = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let open = match database.take() {
            Some(open) => open,
            None => file::open(&self.directory, &self.lock).map_err(|error| Unavailable(error.to_string()))?,
        };
        match work(&open) {
            Ok(done) => {
                *database = Some(open);
                Ok(done)
            }
            // After trouble with the disk the library answers nothing: the next question opens the file again.
            Err(error) => Err(Unavailable(format!("`{}`: {error}", self.directory.display()))),
        }
    }
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Local").field(&self.0.directory).finish()
    }
}

fn read_highest(database: &Database) -> Result<i64, redb::Error> {
    let times = database.begin_read()?.open_table(tables::TIMES)?;
    Ok(times.get(tables::HIGHEST_SEEN)?.map_or(i64::MIN, |time| time.value()))
}

#[cfg(test)]
pub(crate) mod tests;
