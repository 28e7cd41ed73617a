//! How many decisions and how many bytes, by one thing or another.

use std::sync::Arc;

use super::groups::Groups;
use super::row::{Kind, Row};
use super::table::Table;
use super::{Open, Scope};

/// What decisions are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum By {
    /// Who asked.
    Identity,
    /// The host asked for.
    Host,
    /// The rule that decided.
    Rule,
    /// The listener that took the connection.
    Listener,
}

impl By {
    fn of<'a>(self, row: &Row<'a>) -> &'a str {
        match self {
            By::Identity => row.who(),
            By::Host => row.host,
            By::Rule => row.rule,
            By::Listener => row.listener,
        }
    }
}

/// Decisions and bytes of each identity, host, rule or listener.
pub struct Top {
    scope: Scope,
    by: By,
    groups: Groups<Arc<String>, Sums>,
    open: Open<String>,
}

#[derive(Clone, Copy, Default)]
struct Sums {
    decisions: u64,
    admitted: u64,
    refused: u64,
    failed: u64,
    sent: i64,
    received: i64,
}

impl Top {
    /// About these decisions.
    pub fn new(scope: Scope, by: By) -> Top {
        Top { scope, by, groups: Groups::new(), open: Open::new() }
    }

    /// Look at a record.
    pub fn see(&mut self, row: &Row<'_>) {
        if self.scope.takes(row) {
            let group = Arc::new(self.by.of(row).to_owned());
            if self.scope.span.has(row.time) {
                let Some(sums) = self.groups.entry(group.clone(), Sums::default) else { return };
                sums.decisions += 1;
                match row.outcome {
                    "admitted" => sums.admitted += 1,
                    "refused" => sums.refused += 1,
                    _ => sums.failed += 1,
                }
            }
            self.open.admitted(row, || group);
        } else if row.kind == Kind::Close
            && let Some(group) = self.open.closed(row)
            && self.scope.span.has(row.time)
            && let Some(sums) = self.groups.entry(group, Sums::default)
        {
            sums.sent = sums.sent.saturating_add(row.sent);
            sums.received = sums.received.saturating_add(row.received);
        }
    }

    /// The most decisions first.
    pub fn answer(self) -> Table {
        let mut table = Table::new(match self.by {
            By::Identity => &["identity", "decisions", "admitted", "refused", "failed", "bytes sent", "bytes received"],
            By::Host => &["host", "decisions", "admitted", "refused", "failed", "bytes sent", "bytes received"],
            By::Rule => &["rule", "decisions", "admitted", "refused", "failed", "bytes sent", "bytes received"],
            By::Listener => &["listener", "decisions", "admitted", "refused", "failed", "bytes sent", "bytes received"],
        });
        table.notes.extend(self.groups.note());
        for (group, sums) in self.groups.sorted(|sums| (sums.decisions, sums.sent.saturating_add(sums.received))) {
            let counts = [sums.decisions, sums.admitted, sums.refused, sums.failed].map(Into::into);
            let bytes = [sums.sent, sums.received].map(Into::into);
            let name = if group.is_empty() { "(none)".into() } else { group.as_str().into() };
            table.rows.push([name].into_iter().chain(counts).chain(bytes).collect());
        }
        table
    }
}

/// Bytes of each identity to each destination, from the ends of connections.
pub struct Bytes {
    scope: Scope,
    groups: Groups<Arc<(String, String)>, Carried>,
    open: Open<(String, String)>,
    /// Ends of connections whose decision was not read.
    strange: u64,
}

#[derive(Clone, Copy, Default)]
struct Carried {
    connections: u64,
    sent: i64,
    received: i64,
}

impl Bytes {
    /// About these decisions.
    pub fn new(scope: Scope) -> Bytes {
        Bytes { scope, groups: Groups::new(), open: Open::new(), strange: 0 }
    }

    /// Look at a record.
    pub fn see(&mut self, row: &Row<'_>) {
        if self.scope.takes(row) {
            self.open.admitted(row, || Arc::new((row.who().to_owned(), row.destination())));
        } else if row.kind == Kind::Close && self.scope.span.has(row.time) {
            match self.open.closed(row) {
                Some(group) => {
                    let Some(carried) = self.groups.entry(group, Carried::default) else { return };
                    carried.connections += 1;
                    carried.sent = carried.sent.saturating_add(row.sent);
                    carried.received = carried.received.saturating_add(row.received);
                }
                None => self.strange += u64::from(self.scope.filter.is_open()),
            }
        } else if row.kind == Kind::Close {
            self.open.closed(row);
        }
    }

    /// The most bytes first.
    pub fn answer(self) -> Table {
        let mut table = Table::new(&["identity", "destination", "connections", "bytes sent", "bytes received"]);
        table.notes.extend(self.groups.note());
        if self.strange > 0 {
            let told = format!("{} connections ended whose decisions are not among these records", self.strange);
            table.notes.push(told);
        }
        for (group, carried) in self.groups.sorted(|carried| carried.sent.saturating_add(carried.received)) {
            let (identity, destination) = (group.0.as_str().into(), group.1.as_str().into());
            let counts = [carried.connections.into(), carried.sent.into(), carried.received.into()];
            table.rows.push([identity, destination].into_iter().chain(counts).collect());
        }
        table
    }
}
