//! Break-glass: every grant, as its records tell it.

use super::Scope;
use super::row::{Kind, Row};
use super::table::Table;
use super::when;

/// Grants that are listed: people use them by the dozen.
const GRANTS_MAX: usize = 100_000;

/// Records of grants.
pub struct Grants {
    scope: Scope,
    table: Table,
}

impl Grants {
    /// Of this time.
    pub fn new(scope: Scope) -> Grants {
        Grants { scope, table: Table::new(&["time", "grant", "what", "who"]) }
    }

    /// Look at a record.
    pub fn see(&mut self, row: &Row<'_>) {
        if row.kind == Kind::Grant && self.scope.span.has(row.time) && self.table.rows.len() < GRANTS_MAX {
            let cells = vec![when(row.time), row.id.into(), row.result.into(), row.who().into()];
            self.table.rows.push(cells);
        }
    }

    /// In their order.
    pub fn answer(mut self) -> Table {
        if self.table.rows.is_empty() {
            self.table.notes.push("no break-glass grant is recorded".into());
        }
        self.table
    }
}
