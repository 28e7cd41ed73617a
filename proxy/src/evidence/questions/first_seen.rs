//! Who went where for the first time.

use gatepass_policy::host::registered_domain;

use super::Scope;
use super::groups::Groups;
use super::row::Row;
use super::table::Table;
use super::when;

/// Pairs of an identity and a registered domain, with the first decision about them.
pub struct FirstSeen {
    scope: Scope,
    pairs: Groups<(String, String), Seen>,
}

struct Seen {
    first: i64,
    last: i64,
    decisions: u64,
    outcome: String,
}

impl FirstSeen {
    /// About these decisions.
    pub fn new(scope: Scope) -> FirstSeen {
        FirstSeen { scope, pairs: Groups::new() }
    }

    /// Look at a record. What was before the time that is asked about counts as well: it was seen then.
    pub fn see(&mut self, row: &Row<'_>) {
        if !self.scope.takes(row) || row.host.is_empty() || row.time >= self.scope.span.until {
            return;
        }
        let domain = registered_domain(row.host).unwrap_or(row.host);
        let new = || Seen { first: row.time, last: row.time, decisions: 0, outcome: row.outcome.to_owned() };
        let Some(seen) = self.pairs.entry((row.who().to_owned(), domain.to_owned()), new) else { return };
        seen.decisions += 1;
        seen.last = seen.last.max(row.time);
        if row.time < seen.first {
            (seen.first, seen.outcome) = (row.time, row.outcome.to_owned());
        }
    }

    /// Those that were first seen in the time that is asked about, the newest first.
    pub fn answer(self) -> Table {
        let mut table = Table::new(&["first seen", "identity", "domain", "first outcome", "decisions", "last seen"]);
        table.notes.extend(self.pairs.note());
        for ((identity, domain), seen) in self.pairs.sorted(|seen| seen.first) {
            if self.scope.span.has(seen.first) {
                let (first, last) = (when(seen.first), when(seen.last));
                let cells =
                    vec![first, identity.into(), domain.into(), seen.outcome.into(), seen.decisions.into(), last];
                table.rows.push(cells);
            }
        }
        table
    }
}
