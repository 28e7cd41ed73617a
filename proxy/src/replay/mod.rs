//! What another bundle would have decided on recorded traffic: who would gain, who would lose, and what cannot be told.
//!
//! Records are read once, in their order, and never all held: groups, the memory of answers and the list of connections
//! that are open are bounded, and what goes beyond a bound is counted.

mod judge;

mod key;

mod groups;

pub mod report;

pub use groups::{Change, Group, Kind as ChangeKind};
pub use judge::{Aside, Was};

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use foldhash::fast::FixedState;
use gatepass_policy::PolicySet;
use jiff::Timestamp;
use uuid::Uuid;

use crate::evidence::questions::filter::Span;
use crate::evidence::questions::row::Kind;
use crate::recorded::Recorded;
use crate::recorded::facts::Workloads;
use groups::{Groups, Slot};
use judge::{Judge, Judged};
use key::Key;

/// Bounds on what is kept while records are read.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Answers that are remembered, each with a key of some 400 bytes.
    pub answers: usize,
    /// Groups of the report.
    pub groups: usize,
    /// Connections that are looked for their end, at some 40 bytes.
    pub open: usize,
}

impl Bounds {
    /// At most some 150 megabytes.
    pub const STANDARD: Bounds = Bounds { answers: 65_536, groups: 10_000, open: 1_000_000 };
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Decide at this moment; `None`: each at its own.
    pub now: Option<Timestamp>,
    /// Decide in this containment mode; `None`: each in its own.
    pub mode: Option<Arc<str>>,
    /// Whose labels and data classes.
    pub workloads: Workloads,
    /// Which decisions; ends of connections are looked at whenever they were.
    pub span: Span,
}

/// Decides records again, one after the other.
pub struct Replay<'s> {
    asked: Asked,
    bounds: Bounds,
    judge: Judge<'s>,
    key: Key,
    answers: HashMap<Box<[u8]>, Known, FixedState>,
    groups: Groups,
    totals: Totals,
    /// Admitted connections that would be denied and whose end was not read yet.
    open: HashMap<u128, Slot, FixedState>,
}

/// How many records of which kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Records of every kind.
    pub records: u64,
    /// Decisions of the time that is asked about.
    pub decisions: u64,
    /// Allowed then and now.
    pub allowed: u64,
    /// Denied then and now.
    pub denied: u64,
    /// Of both, those that another rule, or another reason, decides now.
    pub otherwise: u64,
    /// Not decided again, by why not.
    pub aside: [u64; Aside::ALL.len()],
    /// Connections beyond the bound, whose end was not looked for.
    pub not_followed: u64,
}

/// What is remembered of a key.
#[derive(Clone, Copy, Debug)]
enum Known {
    Aside(Aside),
    Same(Was, Rule),
    Changed(Slot),
}

/// Whether the same rule decides, for the same reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    Same,
    Another,
}

impl<'s> Replay<'s> {
    /// With this bundle.
    pub fn new(set: &'s PolicySet, asked: Asked, bounds: Bounds) -> Replay<'s> {
        Replay {
            key: Key::new(set, asked.workloads),
            judge: Judge::new(set, asked.workloads),
            asked,
            bounds,
            answers: HashMap::default(),
            groups: Groups::new(bounds.groups),
            totals: Totals::default(),
            open: HashMap::default(),
        }
    }

    /// Look at the next record.
    pub fn see(&mut self, record: &Recorded<'_>) -> ControlFlow<()> {
        self.totals.records += 1;
        match record.kind {
            Kind::Decision if self.asked.span.has(record.time) => self.decision(record),
            Kind::Close => self.close(record),
            Kind::Decision | Kind::Policy | Kind::Grant | Kind::Exception | Kind::Checkpoint | Kind::Other => {}
        }
        ControlFlow::Continue(())
    }

    /// Everything was seen.
    pub fn end(mut self) -> report::Report {
        for slot in self.open.values() {
            self.groups.still_open(*slot);
        }
        report::Report { totals: self.totals, groups: self.groups.sorted() }
    }

    fn decision(&mut self, record: &Recorded<'_>) {
        self.totals.decisions += 1;
        let known = self.known(record);
        match known {
            Known::Aside(why) => {
                if let Some(count) = self.totals.aside.get_mut(why as usize) {
                    *count += 1;
                }
            }
            Known::Same(was, rule) => {
                match was {
                    Was::Admitted => self.totals.allowed += 1,
                    Was::Refused => self.totals.denied += 1,
                }
                self.totals.otherwise += u64::from(rule == Rule::Another);
            }
            Known::Changed(slot) => {
                self.groups.count(slot, record);
                self.follow(record, slot);
            }
        }
    }

    /// The answer for this record: remembered, where one with the same facts and the same past was seen between the same
    /// two ends of permissions.
    fn known(&mut self, record: &Recorded<'_>) -> Known {
        let now = self.asked.now.unwrap_or_else(|| crate::evidence::questions::row::moment(record.time));
        let mode = self.asked.mode.as_deref().unwrap_or(record.mode);
        let key = match self.bounds.answers {
            0 => None,
            _ => self.key.of(record, mode, self.judge.next_end(now, mode)),
        };
        if let Some(known) = key.and_then(|key| self.answers.get(key)) {
            return *known;
        }
        let known = match self.judge.judge(record, now, mode) {
            Judged::Aside(why) => Known::Aside(why),
            Judged::Same { was, rule_stays } => Known::Same(was, if rule_stays { Rule::Same } else { Rule::Another }),
            Judged::Changed(change) => Known::Changed(self.groups.slot(*change)),
        };
        if let Some(key) = key {
            if self.answers.len() >= self.bounds.answers {
                self.answers.clear();
            }
            self.answers.insert(key.into(), known);
        }
        known
    }

    /// Look for the end of a connection that would be denied.
    fn follow(&mut self, record: &Recorded<'_>, slot: Slot) {
        let (Some(id), true) = (id(record), self.groups.cuts(slot)) else { return };
        if self.open.len() >= self.bounds.open {
            self.totals.not_followed += 1;
            return;
        }
        self.open.insert(id, slot);
    }

    fn close(&mut self, record: &Recorded<'_>) {
        if self.open.is_empty() {
            return;
        }
        if let Some(slot) = id(record).and_then(|id| self.open.remove(&id)) {
            self.groups.carried(slot, record);
        }
    }
}

fn id(record: &Recorded<'_>) -> Option<u128> {
    Uuid::try_parse(record.id).ok().map(|id| id.as_u128())
}

#[cfg(test)]
mod tests;
