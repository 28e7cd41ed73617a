//! Break-glass grants and exceptions: one row each, from what its records tell.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::groups::Groups;
use super::row::{Kind, Row};
use super::table::Table;
use super::{Open, Scope, when};

/// What the records of one of them tell. Records of a fleet come one gateway after the other, so each says its time.
#[derive(Clone, Debug, Default)]
struct Story {
    /// The first record.
    first: i64,
    /// Whether something of it is of the time that the question is about.
    is_asked: bool,
    drill: bool,
    requested_by: String,
    whom: String,
    places: String,
    /// What an exception does.
    does: String,
    /// What was done last of what changes where it stands, and when.
    state: (i64, String),
    /// Who approved it, or decided otherwise.
    decided_by: String,
    /// `totp`, `approval`, or both.
    factor: String,
    /// As it was recorded.
    begins: Option<i64>,
    ends: Option<i64>,
    /// When it was taken back.
    revoked: Option<i64>,
    /// A gateway saw its end.
    is_over: bool,
    /// Seconds from request to decision.
    waited: Option<i64>,
    reviewed_by: String,
    connections: u64,
    bytes: i64,
}

impl Story {
    fn of(row: &Row<'_>) -> Story {
        Story { first: row.time, ..Story::default() }
    }

    fn see(&mut self, row: &Row<'_>) {
        self.first = self.first.min(row.time);
        self.drill |= row.drill;
        let set = |into: &mut String, text: String| {
            if into.is_empty() {
                *into = text;
            }
        };
        set(&mut self.requested_by, row.details.text("requested_by").unwrap_or_default().to_owned());
        set(&mut self.whom, row.details.whom());
        set(&mut self.places, row.details.places());
        let does = ["permits", "lifts"].map(|key| row.details.text(key).map(|what| format!("{key} {what}")));
        set(&mut self.does, does.into_iter().flatten().next().unwrap_or_default());
        match row.action {
            "requested" | "failed" => self.stands(row),
            "approved" => {
                self.stands(row);
                self.decided_by = row.person.to_owned();
                self.factor = row.details.text("second_factor").unwrap_or_default().to_owned();
                self.begins = moment(row, "begins");
                self.ends = moment(row, "ends");
            }
            "denied" | "revoked" | "withdrawn" => {
                self.stands(row);
                self.revoked = Some(row.time);
                set(&mut self.decided_by, row.person.to_owned());
            }
            "ended" => self.is_over = true,
            "reviewed" => self.reviewed_by = row.person.to_owned(),
            // Used, reminded of, and whatever a later version adds: it stands as it stood.
            _ => {}
        }
        self.waited = row.details.int("waited_s").or(self.waited);
    }

    fn stands(&mut self, row: &Row<'_>) {
        if row.time >= self.state.0 {
            self.state = (row.time, row.action.to_owned());
        }
    }

    /// `requested`, `approved`, `denied`, `revoked`, `withdrawn` or `ended`.
    fn state(&self) -> Value {
        let is_approved = self.state.1 == "approved";
        if is_approved && self.is_over { "ended".into() } else { self.state.1.as_str().into() }
    }

    /// Its end: when it was taken back, or as it was fixed by its approval.
    fn until(&self) -> Value {
        self.revoked.or(self.ends).map_or(Value::Null, when)
    }
}

fn moment(row: &Row<'_>, key: &str) -> Option<i64> {
    row.details.text(key)?.parse().ok().map(Timestamp::as_microsecond)
}

/// Absent where it is empty.
fn told(text: String) -> Value {
    if text.is_empty() { Value::Null } else { text.into() }
}

/// Those of one kind, by id.
struct Stories {
    scope: Scope,
    kind: Kind,
    stories: Groups<String, Story>,
    open: Open<String>,
}

impl Stories {
    fn new(scope: Scope, kind: Kind) -> Stories {
        Stories { scope, kind, stories: Groups::new(), open: Open::new() }
    }

    fn see(&mut self, row: &Row<'_>) {
        let id = if self.kind == Kind::Grant { row.grant } else { row.exception };
        if row.kind == Kind::Close {
            self.close(row);
        } else if !id.is_empty() && row.kind == self.kind {
            let is_asked = self.scope.span.has(row.time);
            if let Some(story) = self.stories.entry(id.to_owned(), || Story::of(row)) {
                story.is_asked |= is_asked;
                story.see(row);
            }
        } else if !id.is_empty() && row.kind == Kind::Decision && row.outcome == "admitted" {
            if let Some(story) = self.stories.entry(id.to_owned(), || Story::of(row)) {
                story.connections += 1;
            }
            self.open.admitted(row, || Arc::new(id.to_owned()));
        }
    }

    fn close(&mut self, row: &Row<'_>) {
        let Some(id) = self.open.closed(row) else { return };
        if let Some(story) = self.stories.entry((*id).clone(), || Story::of(row)) {
            story.bytes = story.bytes.saturating_add(row.sent.saturating_add(row.received));
        }
    }

    /// The newest first.
    fn sorted(self) -> Vec<(String, Story)> {
        let mut all = self.stories.sorted(|story| story.first);
        all.retain(|(_, story)| story.is_asked);
        all
    }
}

/// Break-glass grants.
pub struct Grants(Stories);

impl Grants {
    /// Of this time.
    pub fn new(scope: Scope) -> Grants {
        Grants(Stories::new(scope, Kind::Grant))
    }

    /// Look at a record.
    pub fn see(&mut self, row: &Row<'_>) {
        self.0.see(row);
    }

    /// One row each.
    pub fn answer(self) -> Table {
        let mut table = Table::new(&[
            "grant",
            "drill",
            "state",
            "asked by",
            "second factor",
            "approved by",
            "for whom",
            "where",
            "begun",
            "until",
            "connections",
            "bytes",
            "reviewed by",
        ]);
        table.notes.extend(self.0.stories.note());
        for (id, story) in self.0.sorted() {
            let (state, until) = (story.state(), story.until());
            // With a code alone it was let begin by whoever asked.
            let is_approved = story.begins.is_some() && story.factor != "totp";
            let approved_by = if is_approved { story.decided_by } else { String::new() };
            table.rows.push(vec![
                id.into(),
                story.drill.into(),
                state,
                told(story.requested_by),
                told(story.factor),
                told(approved_by),
                told(story.whom),
                told(story.places),
                story.begins.map_or(Value::Null, when),
                until,
                story.connections.into(),
                story.bytes.into(),
                told(story.reviewed_by),
            ]);
        }
        if table.rows.is_empty() {
            table.notes.push("no break-glass grant is recorded".into());
        }
        table
    }
}

/// Exceptions.
pub struct Exceptions(Stories);

impl Exceptions {
    /// Of this time.
    pub fn new(scope: Scope) -> Exceptions {
        Exceptions(Stories::new(scope, Kind::Exception))
    }

    /// Look at a record.
    pub fn see(&mut self, row: &Row<'_>) {
        self.0.see(row);
    }

    /// One row each.
    pub fn answer(self) -> Table {
        let mut table = Table::new(&[
            "exception",
            "state",
            "asked by",
            "decided by",
            "for whom",
            "where",
            "does",
            "requested",
            "waited s",
            "until",
            "connections",
        ]);
        table.notes.extend(self.0.stories.note());
        for (id, story) in self.0.sorted() {
            let (state, until) = (story.state(), story.until());
            table.rows.push(vec![
                id.into(),
                state,
                told(story.requested_by),
                told(story.decided_by),
                told(story.whom),
                told(story.places),
                told(story.does),
                when(story.first),
                story.waited.map_or(Value::Null, Value::from),
                until,
                story.connections.into(),
            ]);
        }
        if table.rows.is_empty() {
            table.notes.push("no exception is recorded".into());
        }
        table
    }
}
