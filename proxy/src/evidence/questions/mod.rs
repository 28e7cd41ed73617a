//! Questions to the evidence: what was seen first, what was denied, what is used, how much went where.
//!
//! Each reads records one at a time, in the order in which they were written, and keeps only what its answer is made of.

pub mod row;

mod terms;

pub mod filter;

pub mod source;

pub mod table;

pub mod columns;

pub mod parquet;

mod groups;

mod first_seen;

mod denied;

mod traffic;

mod rules;

mod overrides;

mod story;

mod measures;

pub use denied::Denied;
pub use first_seen::FirstSeen;
pub use measures::Measures;
pub use overrides::{Exceptions, Grants};
pub use rules::{Expiring, Unused};
pub use story::Story;
pub use traffic::{By, Bytes, Top};

use std::sync::Arc;

use filter::{Filter, Span};
use groups::Groups;
use jiff::Timestamp;
use row::{Kind, Row};
use serde_json::Value;
use uuid::Uuid;

/// What an answer is about.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Which decisions.
    pub filter: Filter,
    /// From when to when.
    pub span: Span,
}

impl Scope {
    /// Whether this is a decision that the question is about, whenever it was.
    fn takes(&self, row: &Row<'_>) -> bool {
        row.kind == Kind::Decision && self.filter.takes(row)
    }

    /// Whether it also is of the time that the question is about.
    fn has(&self, row: &Row<'_>) -> bool {
        self.takes(row) && self.span.has(row.time)
    }
}

/// Connections that were admitted and whose end was not read yet, each with the group that its bytes belong to.
///
/// A connection may have been admitted long before the time that a question is about, and count in it by its end.
struct Open<K> {
    groups: Groups<u128, Arc<K>>,
}

impl<K> Open<K> {
    fn new() -> Open<K> {
        Open { groups: Groups::new() }
    }

    fn admitted(&mut self, row: &Row<'_>, group: impl FnOnce() -> Arc<K>) {
        if let Some(id) = id(row).filter(|_| row.outcome == "admitted") {
            self.groups.entry(id, group);
        }
    }

    /// The group of a close, at its end.
    fn closed(&mut self, row: &Row<'_>) -> Option<Arc<K>> {
        self.groups.remove(&id(row)?)
    }
}

fn id(row: &Row<'_>) -> Option<u128> {
    Uuid::try_parse(row.id).ok().map(|id| id.as_u128())
}

/// A moment as it stands in an answer.
fn when(microseconds: i64) -> Value {
    row::moment(microseconds).to_string().into()
}

/// The end of a rule; `None` where it has none, or none that can be read.
fn end(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}
