//! What changes, in groups: by what happens, who it happens to, and the rules that decided then and decide now.

use std::collections::HashMap;

use super::judge::Was;
use crate::recorded::Recorded;

/// What changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// It was admitted, and would be denied.
    NewlyDenied,
    /// It was refused, and would be allowed.
    NewlyAllowed,
    /// It hangs on what is not on the record.
    Undecided(Was),
}

/// One change: everything of it that groups go by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Change {
    /// What.
    pub kind: Kind,
    /// Who asked.
    pub identity: String,
    /// The rule that decided then, or the reason.
    pub then: String,
    /// The rule that decides now, or the reason; what is undecided hangs on it.
    pub now: String,
    /// The reason now; of what is undecided the attributes that are missing.
    pub why: String,
}

/// So many of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// What they have in common; `None` for those of more groups than are kept.
    pub change: Option<Change>,
    /// What happens.
    pub kind: Kind,
    /// Decisions.
    pub times: u64,
    /// Of what would be denied, the connections whose end was read.
    pub ended: u64,
    /// Those whose end was not: it is open, or its end was not given.
    pub open: u64,
    /// Bytes that those which ended had carried from the client to the destination.
    pub sent: u64,
    /// And back.
    pub received: u64,
    /// The first of them, and the last, in microseconds since 1970.
    pub first: i64,
    /// The last.
    pub last: i64,
    /// The id of one decision.
    pub example: String,
    /// And where it went.
    pub destination: String,
}

/// The place of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot(usize);

/// All of them.
#[derive(Debug)]
pub(super) struct Groups {
    all: Vec<Group>,
    places: HashMap<Change, Slot>,
    max: usize,
}

/// The kinds of the groups that the rest goes to, which stand before all others.
const REST: [Kind; 4] =
    [Kind::NewlyDenied, Kind::NewlyAllowed, Kind::Undecided(Was::Admitted), Kind::Undecided(Was::Refused)];

impl Groups {
    /// At most so many.
    pub(super) fn new(max: usize) -> Groups {
        Groups { all: REST.iter().map(|kind| Group::of(None, *kind)).collect(), places: HashMap::new(), max }
    }

    /// The place of a change.
    pub(super) fn slot(&mut self, change: Change) -> Slot {
        if let Some(slot) = self.places.get(&change) {
            return *slot;
        }
        if self.places.len() >= self.max {
            let rest = REST.iter().position(|kind| *kind == change.kind).unwrap_or_default();
            return Slot(rest);
        }
        let slot = Slot(self.all.len());
        self.all.push(Group::of(Some(change.clone()), change.kind));
        self.places.insert(change, slot);
        slot
    }

    /// One more decision.
    pub(super) fn count(&mut self, slot: Slot, record: &Recorded<'_>) {
        let Some(group) = self.all.get_mut(slot.0) else { return };
        group.times += 1;
        group.last = group.last.max(record.time);
        // The earliest is the example, and of those of one moment the smallest: an answer is always the same.
        if (record.time, record.id) < (group.first, &*group.example) || group.times == 1 {
            group.first = record.time;
            record.id.clone_into(&mut group.example);
            group.destination = destination(record);
        }
    }

    /// Whether a change of this group cuts what is open.
    pub(super) fn cuts(&self, slot: Slot) -> bool {
        self.all.get(slot.0).is_some_and(|group| group.kind == Kind::NewlyDenied)
    }

    /// The end of a connection.
    pub(super) fn carried(&mut self, slot: Slot, record: &Recorded<'_>) {
        let Some(group) = self.all.get_mut(slot.0) else { return };
        group.ended += 1;
        group.sent = group.sent.saturating_add(u64::try_from(record.bytes_sent).unwrap_or(0));
        group.received = group.received.saturating_add(u64::try_from(record.bytes_received).unwrap_or(0));
    }

    /// A connection without an end.
    pub(super) fn still_open(&mut self, slot: Slot) {
        if let Some(group) = self.all.get_mut(slot.0) {
            group.open += 1;
        }
    }

    /// Those that have any, by kind, the most frequent first; the rest of each kind last.
    pub(super) fn sorted(mut self) -> Vec<Group> {
        self.all.retain(|group| group.times > 0);
        self.all.sort_by(|one, other| {
            let order = |group: &Group| (group.kind, group.change.is_none(), std::cmp::Reverse(group.times));
            order(one).cmp(&order(other)).then_with(|| one.change.cmp(&other.change))
        });
        self.all
    }
}

impl Group {
    fn of(change: Option<Change>, kind: Kind) -> Group {
        Group {
            change,
            kind,
            times: 0,
            ended: 0,
            open: 0,
            sent: 0,
            received: 0,
            first: 0,
            last: 0,
            example: String::new(),
            destination: String::new(),
        }
    }
}

fn destination(record: &Recorded<'_>) -> String {
    match record.port {
        Some(port) if record.host.contains(':') => format!("[{}]:{port}", record.host),
        Some(port) => format!("{}:{port}", record.host),
        None => record.host.to_owned(),
    }
}
