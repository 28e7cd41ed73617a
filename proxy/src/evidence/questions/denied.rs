//! What was refused, to whom, and what came nearest.

use super::Scope;
use super::groups::Groups;
use super::row::Row;
use super::table::Table;
use super::when;

/// Refusals by identity, destination and reason.
pub struct Denied {
    scope: Scope,
    groups: Groups<(String, String, String), Refusals>,
}

struct Refusals {
    count: u64,
    last: i64,
    nearest: String,
    id: String,
}

impl Denied {
    /// About these decisions.
    pub fn new(scope: Scope) -> Denied {
        Denied { scope, groups: Groups::new() }
    }

    /// Look at a record.
    pub fn see(&mut self, row: &Row<'_>) {
        if !self.scope.has(row) || row.outcome != "refused" {
            return;
        }
        let key = (row.who().to_owned(), row.destination(), row.reason.to_owned());
        let new = || Refusals { count: 0, last: i64::MIN, nearest: String::new(), id: String::new() };
        let Some(refusals) = self.groups.entry(key, new) else { return };
        refusals.count += 1;
        if row.time >= refusals.last {
            refusals.last = row.time;
            refusals.nearest = if row.nearest.is_empty() { row.rule.to_owned() } else { row.nearest.to_owned() };
            row.id.clone_into(&mut refusals.id);
        }
    }

    /// The most frequent first.
    pub fn answer(self) -> Table {
        let mut table =
            Table::new(&["attempts", "identity", "destination", "reason", "rule or nearest", "last", "last id"]);
        table.notes.extend(self.groups.note());
        for ((identity, destination, reason), refusals) in self.groups.sorted(|refusals| refusals.count) {
            let Refusals { count, last, nearest, id } = refusals;
            let (identity, destination, reason) = (identity.into(), destination.into(), reason.into());
            table.rows.push(vec![count.into(), identity, destination, reason, nearest.into(), when(last), id.into()]);
        }
        table
    }
}
