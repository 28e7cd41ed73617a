//! Where operators' overrides are kept: keys and values, changed by transactions, watched by every gateway that shares them.
//!
//! One interface, two backends: a file on this machine ([`embedded`]), and etcd, which a fleet shares ([`etcd`]). In both a
//! commit is durable and linearizable before it returns, and both number their commits: revisions only grow.
//!
//! What a commit that fails has done is *unknown*: the answer may have been lost after the write was kept. [`Store::commit`]
//! tries again by itself only while nothing of it was sent, so it never applies a transaction twice. A caller that meets
//! [`Unavailable`] looks at what is kept, or commits the same transaction again with conditions that make the second one
//! harmless (`Absent` on a key of its own: `No` then says that the first was kept).

pub mod embedded;
use embedded::Embedded;

pub mod local;
pub use local::{Local, OpenError};

pub mod etcd;
use etcd::Etcd;

use std::time::Duration;

use gatepass_config::limits::Limits;
use gatepass_config::state::{State, Store as Configured};
use tokio::sync::mpsc;

use crate::clock::Clock;

/// One key's value as committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The key, without the prefix that the fleet's keys share.
    pub key: String,
    /// The value.
    pub value: Vec<u8>,
    /// The revision of the commit that wrote it.
    pub revision: u64,
}

/// Everything, as of one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// In the order of the keys.
    pub kept: Vec<Kept>,
    /// No later commit is in it, and every earlier one is.
    pub revision: u64,
}

/// What must hold for a transaction to be committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// No such key.
    Absent(String),
    /// The key is there, and was written last by the commit of this revision.
    At {
        /// The key.
        key: String,
        /// [`Kept::revision`].
        revision: u64,
    },
}

/// One change of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Let the key have this value.
    Put {
        /// The key.
        key: String,
        /// The value.
        value: Vec<u8>,
        /// After this time the key goes by itself, sometimes later, never earlier; until it goes it counts as there. For what
        /// would only pile up, such as nonces: an end that matters stands in the value.
        ttl: Option<Duration>,
    },
    /// Let there be no such key.
    Delete {
        /// The key.
        key: String,
    },
}

/// Writes that happen together, if every condition holds, or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    /// All must hold; none: the writes happen.
    pub conditions: Vec<Condition>,
    /// No key twice.
    pub writes: Vec<Write>,
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a transaction whose condition did not hold has written nothing"]
pub enum Committed {
    /// It is kept.
    Yes {
        /// Its own: what it wrote has this revision.
        revision: u64,
    },
    /// A condition did not hold; nothing was written.
    No,
}

/// What a watcher is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Forget everything that was told: this is what is kept.
    Whole(View),
    /// What one commit, or several, did since.
    Some {
        /// The last one's.
        revision: u64,
        /// The latest value of each key that was written and is still there.
        puts: Vec<Kept>,
        /// Keys that are no longer there.
        deleted: Vec<String>,
    },
    /// The store cannot be reached, or changes were missed: what was told may be out of date until the next `Whole`.
    Lost {
        /// For the operators' log.
        why: String,
    },
}

/// The store cannot answer. A commit that ends so may have been kept, now or later: see [`Store::commit`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub String);

/// How long is waited for a store, and how much it may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// One question to a member of etcd.
    pub timeout: Duration,
    /// A commit or a view: by etcd, over all members and attempts, or by the disk.
    pub patience: Duration,
    /// Between two looks at whether a member is alive, and how long it may take to say so.
    pub heartbeat: Duration,
    /// Changes that a watcher may be behind; one that is further behind is told [`Change::Lost`].
    pub changes: usize,
    /// Keys that are kept.
    pub keys: usize,
}

impl Bounds {
    /// As configured.
    pub fn of(limits: &Limits) -> Bounds {
        Bounds {
            timeout: limits.state_timeout,
            patience: limits.state_patience,
            heartbeat: limits.state_heartbeat,
            changes: limits.state_changes,
            keys: limits.state_keys,
        }
    }
}

/// A store. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Store {
    /// A file of this machine.
    Embedded(Embedded),
    /// What a fleet shares.
    Etcd(Etcd),
}

impl Store {
    /// The store that is configured, and the state directory beside it. Blocks on files; nothing is connected yet.
    ///
    /// # Errors
    /// What is wrong with the directory, or with a file of `tls`.
    pub fn open(configured: &State, limits: &Limits, clock: Clock) -> Result<(Store, Local), String> {
        let bounds = Bounds::of(limits);
        let local = Local::open(&configured.directory.value).map_err(|error| error.to_string())?;
        let store = match &configured.store {
            Configured::Embedded => Store::Embedded(Embedded::new(local.clone(), clock, bounds)),
            Configured::Etcd(etcd) => Store::Etcd(Etcd::new(etcd, bounds)?),
        };
        Ok((store, local))
    }

    /// Commit a transaction: durable and visible to every later [`Store::view`] of any gateway when this returns `Yes`.
    ///
    /// # Errors
    /// The outcome is unknown: it may have been kept, or may still be. Nothing was sent where the transaction is malformed.
    pub async fn commit(&self, transaction: Transaction) -> Result<Committed, Unavailable> {
        checked(&transaction)?;
        match self {
            Store::Embedded(store) => store.commit(transaction).await,
            Store::Etcd(store) => store.commit(transaction).await,
        }
    }

    /// Everything that is kept; no commit that ended before this began is missing.
    pub async fn view(&self) -> Result<View, Unavailable> {
        match self {
            Store::Embedded(store) => store.view().await,
            Store::Etcd(store) => store.view().await,
        }
    }

    /// What is kept, and then what changes: first [`Change::Whole`], then [`Change::Some`]. On trouble [`Change::Lost`], and
    /// [`Change::Whole`] once that is over. Ends when the receiver is dropped. To be called within the runtime.
    pub fn watch(&self) -> mpsc::Receiver<Change> {
        match self {
            Store::Embedded(store) => store.watch(),
            Store::Etcd(store) => store.watch(),
        }
    }
}

/// What etcd takes in one transaction unless told otherwise, of conditions as of writes.
const OPERATIONS_MAX: usize = 128;

/// Bytes of keys and values in one transaction: two thirds of what etcd takes.
const BYTES_MAX: usize = 1 << 20;

/// Bytes of a key.
const KEY_MAX: usize = 1 << 10;

/// What one backend would refuse, both do, and before anything is sent.
fn checked(transaction: &Transaction) -> Result<(), Unavailable> {
    let Transaction { conditions, writes } = transaction;
    let refused = |why: String| Err(Unavailable(format!("the transaction is not sent: {why}")));
    if conditions.len() > OPERATIONS_MAX || writes.len() > OPERATIONS_MAX {
        return refused(format!("it has more than {OPERATIONS_MAX} conditions or writes"));
    }
    if writes.is_empty() {
        return refused("it writes nothing".to_owned());
    }
    let asked = conditions.iter().map(|condition| match condition {
        Condition::Absent(key) | Condition::At { key, .. } => key,
    });
    let mut written: Vec<&String> = Vec::with_capacity(writes.len());
    let mut bytes = 0;
    for write in writes {
        let (key, length) = match write {
            Write::Put { key, value, .. } => (key, value.len()),
            Write::Delete { key } => (key, 0),
        };
        written.push(key);
        bytes += key.len() + length;
    }
    for key in asked.chain(written.iter().copied()) {
        if key.is_empty() || key.len() > KEY_MAX || key.contains('\0') {
            return refused(format!("a key has from 1 to {KEY_MAX} bytes, and none of them is zero"));
        }
    }
    if bytes > BYTES_MAX {
        return refused(format!("it is longer than {BYTES_MAX} bytes"));
    }
    written.sort_unstable();
    match written.windows(2).any(|pair| pair.first() == pair.last()) {
        true => refused("it writes a key twice".to_owned()),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests;
