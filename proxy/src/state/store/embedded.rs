//! The store of a single gateway: the tables of its state directory.

use jiff::Timestamp;
use redb::{Database, ReadableDatabase as _, ReadableTable as _, WriteTransaction};
use tokio::sync::{broadcast, mpsc};

use super::local::{Local, tables};
use super::{Bounds, Change, Committed, Condition, Kept, Transaction, Unavailable, View, Write};
use crate::clock::Clock;

/// Keys past their end that one commit removes: more than one commit can write, so they do not pile up.
const SWEPT: usize = 2 * super::OPERATIONS_MAX;

/// A store in a file of this machine. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Embedded {
    local: Local,
    clock: Clock,
    bounds: Bounds,
    told: broadcast::Sender<Told>,
}

/// What one commit did.
#[derive(Clone, Debug)]
struct Told {
    revision: u64,
    puts: Vec<Kept>,
    deleted: Vec<String>,
}

impl Embedded {
    /// The store of this state directory. `clock` tells which keys are past their end.
    pub fn new(local: Local, clock: Clock, bounds: Bounds) -> Embedded {
        let (told, _) = broadcast::channel(bounds.changes);
        Embedded { local, clock, bounds, told }
    }

    pub(super) async fn commit(&self, transaction: Transaction) -> Result<Committed, Unavailable> {
        let (told, now, keys) = (self.told.clone(), self.clock.now(), self.bounds.keys);
        let outcome = self.local.on_disk(self.bounds.patience, move |database| {
            let outcome = commit(database, &transaction, now, keys)?;
            if let Outcome::Done(done) = &outcome {
                // Before the disk is the next one's, so in the order of the commits. An error says that nobody listens.
                let _ = told.send(done.clone());
            }
            Ok(outcome)
        });
        match outcome.await? {
            Outcome::Done(Told { revision, .. }) => Ok(Committed::Yes { revision }),
            Outcome::Unmet => Ok(Committed::No),
            Outcome::Full => Err(full(keys)),
        }
    }

    pub(super) async fn view(&self) -> Result<View, Unavailable> {
        self.local.on_disk(self.bounds.patience, view).await
    }

    pub(super) fn watch(&self) -> mpsc::Receiver<Change> {
        // Changes wait in the other channel, which says so where it runs over.
        let (sender, receiver) = mpsc::channel(1);
        let source = self.told.subscribe();
        let (local, bounds) = (self.local.clone(), self.bounds);
        tokio::spawn(async move {
            tokio::select! {
                _ = tell(&local, bounds, source, &sender) => {}
                () = sender.closed() => {}
            }
        });
        receiver
    }
}

/// Tell a watcher everything, from here on; ends when it, or the store, is gone.
async fn tell(
    local: &Local,
    bounds: Bounds,
    mut source: broadcast::Receiver<Told>,
    sender: &mpsc::Sender<Change>,
) -> Option<()> {
    let mut lost = false;
    loop {
        let whole = match local.on_disk(bounds.patience, view).await {
            Ok(whole) => whole,
            Err(Unavailable(why)) => {
                if !std::mem::replace(&mut lost, true) {
                    sender.send(Change::Lost { why }).await.ok()?;
                }
                tokio::time::sleep(bounds.heartbeat).await;
                continue;
            }
        };
        let seen = whole.revision;
        sender.send(Change::Whole(whole)).await.ok()?;
        loop {
            match source.recv().await {
                // What came in between is in the whole already.
                Ok(Told { revision, .. }) if revision <= seen => {}
                Ok(Told { revision, puts, deleted }) => {
                    sender.send(Change::Some { revision, puts, deleted }).await.ok()?;
                }
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    let why =
                        format!("the reader is behind by more than {} changes: {missed} were missed", bounds.changes);
                    sender.send(Change::Lost { why }).await.ok()?;
                    lost = true;
                    break;
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

enum Outcome {
    Done(Told),
    Unmet,
    Full,
}

fn full(keys: usize) -> Unavailable {
    Unavailable(format!("nothing was written: the store holds {keys} keys, which is its bound (`limits.state_keys`)"))
}

fn commit(database: &Database, wanted: &Transaction, now: Timestamp, keys: usize) -> Result<Outcome, redb::Error> {
    let transaction = tables::begin(database)?;
    // What is past its end goes first: a key that is gone to the eye of the next commit is gone to this one's.
    let mut deleted = sweep(&transaction, now)?;
    if !holds(&transaction, &wanted.conditions)? {
        return Ok(Outcome::Unmet);
    }
    let revision = tables::number(&transaction.open_table(tables::NUMBERS)?, tables::REVISION)?.saturating_add(1);
    transaction.open_table(tables::NUMBERS)?.insert(tables::REVISION, revision)?;
    let mut puts = Vec::new();
    for write in &wanted.writes {
        match write {
            Write::Put { key, value, ttl } => {
                let end = ttl.map(|ttl| now.saturating_add(ttl).unwrap_or(Timestamp::MAX).as_microsecond());
                put(&transaction, key, value, revision, end)?;
                deleted.retain(|swept| swept != key);
                puts.push(Kept { key: key.clone(), value: value.clone(), revision });
            }
            Write::Delete { key } => {
                if remove(&transaction, key)? {
                    deleted.push(key.clone());
                }
            }
        }
    }
    if !puts.is_empty() && redb::ReadableTableMetadata::len(&transaction.open_table(tables::KEPT)?)? > keys as u64 {
        return Ok(Outcome::Full);
    }
    transaction.commit()?;
    Ok(Outcome::Done(Told { revision, puts, deleted }))
}

fn view(database: &Database) -> Result<View, redb::Error> {
    let reading = database.begin_read()?;
    let revision = tables::number(&reading.open_table(tables::NUMBERS)?, tables::REVISION)?;
    let mut kept = Vec::new();
    for entry in reading.open_table(tables::KEPT)?.iter()? {
        let (key, found) = entry?;
        let (revision, _, value) = found.value();
        kept.push(Kept { key: key.value().to_owned(), value: value.to_vec(), revision });
    }
    Ok(View { kept, revision })
}

fn holds(transaction: &WriteTransaction, conditions: &[Condition]) -> Result<bool, redb::Error> {
    let kept = transaction.open_table(tables::KEPT)?;
    for condition in conditions {
        let holds = match condition {
            Condition::Absent(key) => kept.get(key.as_str())?.is_none(),
            Condition::At { key, revision } => {
                kept.get(key.as_str())?.is_some_and(|found| found.value().0 == *revision)
            }
        };
        if !holds {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Remove keys past their end, the earliest first; which.
fn sweep(transaction: &WriteTransaction, now: Timestamp) -> Result<Vec<String>, redb::Error> {
    let mut past = Vec::new();
    // Before `now`, not at it: a key is there for its whole time.
    for entry in transaction.open_table(tables::ENDS)?.range(..(now.as_microsecond(), ""))?.take(SWEPT) {
        past.push(entry?.0.value().1.to_owned());
    }
    for key in &past {
        remove(transaction, key)?;
    }
    Ok(past)
}

fn put(
    transaction: &WriteTransaction,
    key: &str,
    value: &[u8],
    revision: u64,
    end: Option<i64>,
) -> Result<(), redb::Error> {
    remove(transaction, key)?;
    transaction.open_table(tables::KEPT)?.insert(key, (revision, end, value))?;
    if let Some(end) = end {
        transaction.open_table(tables::ENDS)?.insert((end, key), ())?;
    }
    Ok(())
}

/// Remove a key, and its end; whether it was there.
fn remove(transaction: &WriteTransaction, key: &str) -> Result<bool, redb::Error> {
    let found = transaction.open_table(tables::KEPT)?.remove(key)?.map(|found| found.value().1);
    if let Some(Some(end)) = found {
        transaction.open_table(tables::ENDS)?.remove((end, key))?;
    }
    Ok(found.is_some())
}

#[cfg(test)]
mod tests;
