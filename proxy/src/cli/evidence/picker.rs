//! Which records `tail` shows: decisions that match, what became of them, and whatever is about the gateway itself.

use std::collections::{HashMap, VecDeque};

use serde_json::Value;

use crate::evidence::line;
use crate::evidence::questions::filter::{Filter, Span};
use crate::evidence::questions::row::{Kind, Row};

/// Connections that are remembered until they end, each with its label of some hundred bytes.
const OPEN_MAX: usize = 65_536;

/// Whether checkpoints are shown: there is one every second, and only programs read them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checkpoints {
    Shown,
    LeftOut,
}

/// Picks records one after the other.
pub struct Picker {
    filter: Filter,
    span: Span,
    checkpoints: Checkpoints,
    /// Who and where of the connections that were shown.
    open: HashMap<String, String>,
    /// Their ids, the oldest first.
    order: VecDeque<String>,
}

impl Picker {
    /// Picks these decisions, and their ends, of this time.
    pub fn new(filter: Filter, span: Span, checkpoints: Checkpoints) -> Picker {
        Picker { filter, span, checkpoints, open: HashMap::new(), order: VecDeque::new() }
    }

    /// The first moment that is asked about.
    pub fn since(&self) -> i64 {
        self.span.since
    }

    /// Whether a record is shown, judged without what came before it.
    pub fn may_show(&self, row: &Row<'_>) -> bool {
        self.span.has(row.time)
            && match row.kind {
                Kind::Decision => self.filter.takes(row),
                Kind::Checkpoint => self.filter.is_open() && self.checkpoints == Checkpoints::Shown,
                Kind::Close | Kind::Policy | Kind::Grant | Kind::Exception | Kind::Other => self.filter.is_open(),
            }
    }

    /// Whether a record is shown, and the label where it is the end of a connection.
    pub fn shows(&mut self, row: &Row<'_>, json: &Value) -> Option<Option<String>> {
        match row.kind {
            Kind::Decision if self.filter.takes(row) => {
                if row.outcome == "admitted" {
                    self.remember(row.id, line::who_and_where(json));
                }
                self.span.has(row.time).then_some(None)
            }
            Kind::Decision => None,
            Kind::Close => {
                let label = self.open.remove(row.id);
                let shown = self.span.has(row.time) && (label.is_some() || self.filter.is_open());
                shown.then_some(label)
            }
            Kind::Policy | Kind::Grant | Kind::Exception | Kind::Checkpoint | Kind::Other => {
                self.may_show(row).then_some(None)
            }
        }
    }

    fn remember(&mut self, id: &str, label: String) {
        // Those that ended stay in the order until they are its oldest.
        while self.order.len() >= OPEN_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.open.remove(&oldest);
            }
        }
        self.order.push_back(id.to_owned());
        self.open.insert(id.to_owned(), label);
    }
}
