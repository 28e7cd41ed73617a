//! What a replay has to say: tables for people, and one object for programs.

use serde_json::{Map, Value, json};

use super::Totals;
use super::groups::{Group, Kind};
use super::judge::{Aside, Was};
use crate::evidence::questions::row::moment;
use crate::evidence::questions::table::Table;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Counts.
    pub totals: Totals,
    /// What changes, by kind, the most frequent first.
    pub groups: Vec<Group>,
}

/// What the whole of it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Whatever was admitted would be admitted again.
    Stands,
    /// Something that was admitted would be denied, or may be.
    Falls,
    /// There is nothing to decide again.
    Nothing,
}

const DENIED: &[&str] = &[
    "identity",
    "denied by",
    "reason",
    "allowed then by",
    "times",
    "open",
    "bytes sent",
    "bytes received",
    "first",
    "last",
    "destination",
    "example",
];
const ALLOWED: &[&str] =
    &["identity", "allowed by", "reason", "denied then by", "times", "first", "last", "destination", "example"];
const UNDECIDED: &[&str] = &[
    "identity",
    "then",
    "decided then by",
    "hangs on",
    "not recorded",
    "times",
    "first",
    "last",
    "destination",
    "example",
];
const CUT: &[&str] =
    &["identity", "cut by", "reason", "allowed then by", "connections", "since", "destination", "example"];

impl Report {
    /// The answer.
    pub fn answer(&self) -> Answer {
        let falls = |group: &Group| matches!(group.kind, Kind::NewlyDenied | Kind::Undecided(Was::Admitted));
        match (self.totals.decisions, self.groups.iter().any(falls)) {
            (0, _) => Answer::Nothing,
            (_, true) => Answer::Falls,
            (_, false) => Answer::Stands,
        }
    }

    /// How many decisions are of these kinds.
    pub fn times(&self, kinds: &[Kind]) -> u64 {
        self.of(kinds).map(|group| group.times).sum()
    }

    /// How many connections would be cut.
    pub fn cuts(&self) -> u64 {
        self.groups.iter().map(|group| group.open).sum()
    }

    fn of(&self, kinds: &[Kind]) -> impl Iterator<Item = &Group> {
        self.groups.iter().filter(move |group| kinds.contains(&group.kind))
    }

    /// The tables that have rows, by name.
    pub fn tables(&self, limit: usize) -> Vec<(&'static str, Table)> {
        let undecided = [Kind::Undecided(Was::Admitted), Kind::Undecided(Was::Refused)];
        let tables = [
            ("newly_denied", table(DENIED, self.of(&[Kind::NewlyDenied]), denied)),
            ("would_cut", table(CUT, self.of(&[Kind::NewlyDenied]).filter(|group| group.open > 0), cut)),
            ("newly_allowed", table(ALLOWED, self.of(&[Kind::NewlyAllowed]), allowed)),
            ("undecided", table(UNDECIDED, self.of(&undecided), self::undecided)),
        ];
        let limited = tables.into_iter().map(|(name, table)| (name, table.limited(limit)));
        limited.collect()
    }

    /// What was not decided again, and why.
    pub fn aside(&self) -> impl Iterator<Item = (Aside, u64)> {
        Aside::ALL.into_iter().zip(self.totals.aside).filter(|(_, count)| *count > 0)
    }

    /// For programs.
    pub fn json(&self, limit: usize) -> Map<String, Value> {
        let totals = &self.totals;
        let aside = self
            .aside()
            .map(|(aside, count)| json!({"code": aside.code(), "decisions": count, "why": aside.sentence()}));
        let mut json = Map::new();
        let mut put = |key: &str, value: Value| json.insert(key.to_owned(), value);
        put("records", totals.records.into());
        put("decisions", totals.decisions.into());
        let same = json!({
            "allowed": totals.allowed, "denied": totals.denied, "by_another_rule": totals.otherwise,
        });
        put("unchanged", same);
        for (name, table) in self.tables(limit) {
            let count = match name {
                "newly_denied" => self.times(&[Kind::NewlyDenied]),
                "newly_allowed" => self.times(&[Kind::NewlyAllowed]),
                "would_cut" => self.cuts(),
                _ => self.times(&[Kind::Undecided(Was::Admitted), Kind::Undecided(Was::Refused)]),
            };
            let mut inner = Map::new();
            inner.insert("times".to_owned(), count.into());
            if let Value::Object(rest) = table.json() {
                inner.extend(rest);
            }
            put(name, inner.into());
        }
        put("not_decided_again", aside.collect());
        put("connections_not_followed", totals.not_followed.into());
        json
    }
}

fn table<'g>(
    columns: &'static [&'static str],
    groups: impl Iterator<Item = &'g Group>,
    row: fn(&Group, Common) -> Vec<Value>,
) -> Table {
    Table { rows: groups.map(|group| row(group, Common::of(group))).collect(), ..Table::new(columns) }
}

/// What every row has.
struct Common {
    identity: Value,
    then: Value,
    now: Value,
    why: Value,
    first: Value,
    last: Value,
    destination: Value,
    example: Value,
}

impl Common {
    fn of(group: &Group) -> Common {
        let of = |text: fn(&super::Change) -> &String| match &group.change {
            Some(change) if text(change).is_empty() => Value::Null,
            Some(change) => text(change).as_str().into(),
            None => Value::Null,
        };
        let time = |at: i64| moment(at).to_string().into();
        Common {
            identity: group.change.as_ref().map_or_else(|| "(others)".into(), |change| change.identity.as_str().into()),
            then: of(|change| &change.then),
            now: of(|change| &change.now),
            why: of(|change| &change.why),
            first: time(group.first),
            last: time(group.last),
            destination: group.destination.as_str().into(),
            example: group.example.as_str().into(),
        }
    }
}

fn denied(group: &Group, row: Common) -> Vec<Value> {
    // What nothing was read of the end of has no bytes that are known.
    let known = |bytes: u64| if group.ended == 0 { Value::Null } else { bytes.into() };
    vec![
        row.identity,
        row.now,
        row.why,
        row.then,
        group.times.into(),
        group.open.into(),
        known(group.sent),
        known(group.received),
        row.first,
        row.last,
        row.destination,
        row.example,
    ]
}

fn cut(group: &Group, row: Common) -> Vec<Value> {
    vec![row.identity, row.now, row.why, row.then, group.open.into(), row.first, row.destination, row.example]
}

fn allowed(group: &Group, row: Common) -> Vec<Value> {
    vec![
        row.identity,
        row.now,
        row.why,
        row.then,
        group.times.into(),
        row.first,
        row.last,
        row.destination,
        row.example,
    ]
}

fn undecided(group: &Group, row: Common) -> Vec<Value> {
    let was = match group.kind {
        Kind::Undecided(Was::Admitted) => "admitted",
        Kind::Undecided(Was::Refused) | Kind::NewlyDenied | Kind::NewlyAllowed => "refused",
    };
    vec![
        row.identity,
        was.into(),
        row.then,
        row.now,
        row.why,
        group.times.into(),
        row.first,
        row.last,
        row.destination,
        row.example,
    ]
}
