//! `state`: where operators' overrides are kept, on this machine and for the fleet.

mod etcd;
pub use etcd::{Etcd, Password, User};

use std::path::{Path, PathBuf};

use crate::node::{Entry, Node, Value};
use crate::problem::Located;
use crate::reading::{Reading, optional};

/// Where operators' overrides are kept.
#[derive(Clone, Debug)]
pub struct State {
    /// A directory, made where it is not there yet: this gateway's own, whatever the store.
    pub directory: Located<PathBuf>,
    /// What decides.
    pub store: Store,
}

/// What decides which overrides there are.
#[derive(Clone, Debug)]
pub enum Store {
    /// The directory: this gateway is alone.
    Embedded,
    /// An etcd cluster, which a fleet shares; the directory holds a copy.
    Etcd(Box<Etcd>),
}

const DIRECTORY: &str = "./gatepass-data/state";

/// What `store` says.
enum Kind<'n> {
    Embedded,
    /// Its keys stand beside `store`.
    Beside,
    /// Its keys stand in `store.etcd`.
    Within(&'n Node),
}

impl State {
    pub(crate) fn below(directory: &Path) -> State {
        State { directory: Located::nowhere(directory.join(DIRECTORY)), store: Store::Embedded }
    }
}

pub(crate) fn convert(node: Option<&Node>, reading: &mut Reading<'_>) -> Option<State> {
    let default = State::below(reading.directory);
    let Some(node) = node else { return Some(default) };
    etcd::withhold(node, &["store", "directory"], reading);
    let [store, directory, beside @ ..] =
        reading.fields(node, ["store", "directory", "endpoints", "tls", "prefix", "username", "password"])?;
    let directory = optional(directory, reading, |node, reading| reading.directory_to_be(node));
    let store = match kind(store, reading)? {
        Kind::Embedded => alone(&beside, "belongs to `store: etcd`, and the store is `embedded`", reading),
        Kind::Beside => etcd::convert(node, beside, reading),
        Kind::Within(node) => {
            let none = alone(&beside, "stands outside of `store.etcd`, which says everything", reading);
            let etcd = etcd::within(node, reading);
            none.and(etcd)
        }
    };
    Some(State { directory: directory?.unwrap_or(default.directory), store: store? })
}

fn kind<'n>(store: Option<&'n Entry>, reading: &mut Reading<'_>) -> Option<Kind<'n>> {
    let Some(Entry { node, .. }) = store else { return Some(Kind::Embedded) };
    match &node.value {
        Value::Map(_) => {
            let [etcd] = reading.fields(node, ["etcd"])?;
            reading.required(node, etcd, "etcd").map(Kind::Within)
        }
        Value::Scalar(..) | Value::List(_) | Value::Refused => {
            let etcd = reading.choice(node, &[("embedded", false), ("etcd", true)])?;
            Some(if etcd { Kind::Beside } else { Kind::Embedded })
        }
    }
}

/// The embedded store, where no key of etcd is given.
fn alone(beside: &[Option<&Entry>], why: &str, reading: &mut Reading<'_>) -> Option<Store> {
    let given = beside.iter().flatten();
    given.clone().for_each(|entry| reading.found.error(&entry.place, format!("`{}` {why}", entry.name)));
    (given.count() == 0).then_some(Store::Embedded)
}

#[cfg(test)]
mod tests;
