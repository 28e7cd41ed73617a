//! What questions look at of a record, borrowed from its bytes or from a line of an export.

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::Value;

use crate::evidence::fields::{FIELDS, Place};
use crate::evidence::otlp::decode::{self, Search};
use crate::evidence::otlp::message::{Any, Garbled, log_record, members, pair};

pub use super::terms::Terms;

/// What a record is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A decision.
    Decision,
    /// The end of an admitted connection.
    Close,
    /// A policy that was activated or rejected.
    Policy,
    /// A break-glass grant: asked for, approved, used, ended.
    Grant,
    /// An exception request and its decision.
    Exception,
    /// The log so far, signed.
    Checkpoint,
    /// Anything else: gaps, modes, calls of the admin interface.
    #[default]
    Other,
}

impl Kind {
    /// The kind of this spelling.
    pub fn of(word: &str) -> Kind {
        match word {
            "decision" => Kind::Decision,
            "close" => Kind::Close,
            "policy" => Kind::Policy,
            "grant" => Kind::Grant,
            "exception" => Kind::Exception,
            "checkpoint" => Kind::Checkpoint,
            _ => Kind::Other,
        }
    }
}

/// A record as questions see it. Text that is absent is empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row<'a> {
    /// What it is about.
    pub kind: Kind,
    /// Microseconds since 1970.
    pub time: i64,
    /// The decision's id.
    pub id: &'a str,
    /// Who asked.
    pub identity: &'a str,
    /// The client's address.
    pub client: &'a str,
    /// The listener.
    pub listener: &'a str,
    /// The host asked for.
    pub host: &'a str,
    /// The port asked for.
    pub port: Option<i64>,
    /// What was asked for, where that is malformed.
    pub malformed: &'a str,
    /// What happened.
    pub outcome: &'a str,
    /// Why.
    pub reason: &'a str,
    /// The rule that decided.
    pub rule: &'a str,
    /// Who answers for it.
    pub owner: &'a str,
    /// Its end, RFC 3339.
    pub expires: &'a str,
    /// The allow that came nearest.
    pub nearest: &'a str,
    /// The gateway's own source address.
    pub local: &'a str,
    /// Bytes from the client to the destination.
    pub sent: i64,
    /// Bytes from the destination to the client.
    pub received: i64,
    /// What became of a policy.
    pub result: &'a str,
    /// The grant that allowed it, or that it is about.
    pub grant: &'a str,
    /// The exception that allowed it, or that it is about.
    pub exception: &'a str,
    /// What was done to a grant, an exception, the mode.
    pub action: &'a str,
    /// Whether that was an exercise.
    pub drill: bool,
    /// Who did it.
    pub person: &'a str,
    /// Its terms.
    pub details: Terms<'a>,
}

/// A value of either form.
#[derive(Clone, Copy)]
enum Cell<'a> {
    Text(&'a str),
    Int(i64),
    Bool(bool),
    List(&'a [u8]),
    Map(&'a [u8]),
    Json(&'a Value),
}

type Set = for<'a> fn(&mut Row<'a>, Cell<'a>) -> Result<(), Garbled>;

/// Which fields of the table a row has, and where they go.
const COLUMNS: &[(&str, Set)] = &[
    ("id", |row, cell| cell.text(&mut row.id)),
    ("outcome", |row, cell| cell.text(&mut row.outcome)),
    ("reason.code", |row, cell| cell.text(&mut row.reason)),
    ("rule.path", |row, cell| cell.text(&mut row.rule)),
    ("rule.owner", |row, cell| cell.text(&mut row.owner)),
    ("rule.expires", |row, cell| cell.text(&mut row.expires)),
    ("nearest", |row, cell| cell.first_rule(&mut row.nearest)),
    ("identity.id", |row, cell| cell.text(&mut row.identity)),
    ("client.address", |row, cell| cell.text(&mut row.client)),
    ("listener", |row, cell| cell.text(&mut row.listener)),
    ("destination.host", |row, cell| cell.text(&mut row.host)),
    ("destination.port", |row, cell| cell.number(|port| row.port = Some(port))),
    ("destination.text", |row, cell| cell.text(&mut row.malformed)),
    ("local.address", |row, cell| cell.text(&mut row.local)),
    ("bytes_sent", |row, cell| cell.number(|bytes| row.sent = bytes)),
    ("bytes_received", |row, cell| cell.number(|bytes| row.received = bytes)),
    ("result", |row, cell| cell.text(&mut row.result)),
    ("grant", |row, cell| cell.text(&mut row.grant)),
    ("exception", |row, cell| cell.text(&mut row.exception)),
    ("action", |row, cell| cell.text(&mut row.action)),
    ("drill", |row, cell| cell.truth(&mut row.drill)),
    ("operator.person", |row, cell| cell.text(&mut row.person)),
    ("details", |row, cell| cell.terms(&mut row.details)),
];

/// For each field of the table the column that it fills.
static SETTERS: LazyLock<Vec<Option<Set>>> = LazyLock::new(|| {
    let column = |path| COLUMNS.iter().find(|(name, _)| *name == path).map(|(_, set)| *set);
    FIELDS
        .iter()
        .map(|field| matches!(field.place, Place::Attribute(_)).then(|| column(field.path)).flatten())
        .collect()
});

impl<'a> Row<'a> {
    /// From the bytes in the spool.
    ///
    /// # Errors
    ///
    /// [`Garbled`] where they are no record.
    pub fn of_bytes(bytes: &'a [u8]) -> Result<Row<'a>, Garbled> {
        let (mut row, mut search) = (Row::default(), Search::default());
        let setters = &*SETTERS;
        let envelope = log_record(bytes, |name, any| {
            let set = search.field(name).and_then(|place| *setters.get(place)?);
            match (set, Cell::of_any(any)) {
                (Some(set), Some(cell)) => set(&mut row, cell),
                (_, _) => Ok(()),
            }
        })?;
        row.kind = Kind::of(decode::kind(envelope.event).ok_or(Garbled)?);
        row.time = i64::try_from(envelope.time / 1000).map_err(|_| Garbled)?;
        Ok(row)
    }

    /// From a line of an export.
    ///
    /// # Errors
    ///
    /// [`Garbled`] where it is no record.
    pub fn of_json(json: &'a Value) -> Result<Row<'a>, Garbled> {
        let text = |name| json.get(name).and_then(Value::as_str).ok_or(Garbled);
        let time: Timestamp = text("time")?.parse().map_err(|_| Garbled)?;
        let mut row = Row { kind: Kind::of(text("kind")?), time: time.as_microsecond(), ..Row::default() };
        for (path, set) in COLUMNS {
            if let Some(value) = path.split('.').try_fold(json, |json, key| json.get(key)) {
                set(&mut row, Cell::of_json(value))?;
            }
        }
        Ok(row)
    }

    /// Who asked: the identity, or the address where nobody could be made out.
    pub fn who(&self) -> &'a str {
        match (self.identity, self.client) {
            ("", "") => "?",
            ("", client) => client,
            (identity, _) => identity,
        }
    }

    /// What was asked for: `host:port`, or what stood there instead of one.
    pub fn destination(&self) -> String {
        match (self.host, self.port) {
            ("", _) if self.malformed.is_empty() => "?".to_owned(),
            ("", _) => format!("`{}`", self.malformed),
            (host, Some(port)) if host.contains(':') => format!("[{host}]:{port}"),
            (host, Some(port)) => format!("{host}:{port}"),
            (host, None) => host.to_owned(),
        }
    }
}

/// A moment of a row.
pub fn moment(microseconds: i64) -> Timestamp {
    Timestamp::from_microsecond(microseconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

impl<'a> Cell<'a> {
    fn of_any(any: Any<'a>) -> Option<Cell<'a>> {
        match any {
            Any::Text(text) => Some(Cell::Text(text)),
            Any::Int(number) => Some(Cell::Int(number)),
            Any::Array(list) => Some(Cell::List(list)),
            Any::Bool(truth) => Some(Cell::Bool(truth)),
            Any::Map(map) => Some(Cell::Map(map)),
            Any::Null | Any::Double(_) => None,
        }
    }

    fn of_json(json: &'a Value) -> Cell<'a> {
        match (json.as_str(), json.as_i64(), json.as_bool()) {
            (Some(text), _, _) => Cell::Text(text),
            (None, Some(number), _) => Cell::Int(number),
            (None, None, Some(truth)) => Cell::Bool(truth),
            (None, None, None) => Cell::Json(json),
        }
    }

    fn text(self, into: &mut &'a str) -> Result<(), Garbled> {
        if let Cell::Text(text) = self {
            *into = text;
        }
        Ok(())
    }

    fn number(self, set: impl FnOnce(i64)) -> Result<(), Garbled> {
        if let Cell::Int(number) = self {
            set(number);
        }
        Ok(())
    }

    fn truth(self, into: &mut bool) -> Result<(), Garbled> {
        if let Cell::Bool(truth) = self {
            *into = truth;
        }
        Ok(())
    }

    fn terms(self, into: &mut Terms<'a>) -> Result<(), Garbled> {
        *into = match self {
            Cell::Map(map) => Terms::Map(map),
            Cell::Json(json) => Terms::Json(json),
            Cell::Text(_) | Cell::Int(_) | Cell::Bool(_) | Cell::List(_) => Terms::None,
        };
        Ok(())
    }

    /// `rule` of the first entry of a list.
    fn first_rule(self, into: &mut &'a str) -> Result<(), Garbled> {
        match self {
            Cell::Json(json) => {
                *into = json.pointer("/0/rule").and_then(Value::as_str).unwrap_or_default();
                Ok(())
            }
            Cell::List(list) => {
                let Some(first) = members(list).next() else { return Ok(()) };
                let Any::Map(map) = Any::read(first?)? else { return Ok(()) };
                for member in members(map) {
                    if let ("rule", Any::Text(rule)) = pair(member?)? {
                        *into = rule;
                    }
                }
                Ok(())
            }
            Cell::Text(_) | Cell::Int(_) | Cell::Bool(_) | Cell::Map(_) => Ok(()),
        }
    }
}
