//! The containment mode as it is kept.

use std::time::Instant;

use gatepass_policy::overrides::NORMAL;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::entry::{Done, Who};

/// The mode that was set last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModeEntry {
    /// Its name.
    pub mode: String,
    /// Who set it, when and why.
    pub set: Done,
    /// Where it returns to `normal` by itself: after so many seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<i64>,
    /// Whether it holds on this gateway alone, since the store could not be reached.
    #[serde(default)]
    pub local: bool,
    /// On this gateway alone: the revision of the store's mode that was known when it was set, 0 for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<u64>,
}

/// A mode with the moment at which this process heard of it.
#[derive(Clone, Debug)]
pub struct Heard {
    /// What was set.
    pub entry: ModeEntry,
    /// With what was left of it then.
    pub since: (Instant, SignedDuration),
}

impl ModeEntry {
    /// Nothing was ever set.
    pub fn ends(&self) -> Option<Timestamp> {
        self.set.at.checked_add(SignedDuration::from_secs(self.seconds?)).ok()
    }
}

impl Heard {
    /// Heard of now.
    pub fn new(entry: ModeEntry, now: Timestamp) -> Heard {
        let left = entry.ends().map_or(SignedDuration::MAX, |ends| ends.duration_since(now));
        Heard { entry, since: (Instant::now(), left.max(SignedDuration::ZERO)) }
    }

    /// Heard of as it was set: it lasts its whole time from now, also where the clock of this gateway is ahead of that of the
    /// one that set it.
    pub fn just_set(entry: ModeEntry) -> Heard {
        let whole = entry.seconds.map_or(SignedDuration::MAX, SignedDuration::from_secs);
        Heard { entry, since: (Instant::now(), whole.max(SignedDuration::ZERO)) }
    }

    /// What stands in for a mode that is not known.
    pub fn unknown(now: Timestamp) -> Heard {
        let by = Who { name: "unknown".to_owned(), person: "unknown".to_owned(), method: "unknown".to_owned() };
        let reason = Some("what was set is not known".to_owned());
        let set = Done { at: now, by, reason };
        Heard::new(ModeEntry { mode: "unknown".to_owned(), set, seconds: None, local: false, seen: None }, now)
    }

    /// The mode that holds. A containment ends by itself only when both clocks say so: a wall clock that is moved forward
    /// must not open anything.
    pub fn mode(&self, now: Timestamp) -> &str {
        let over = |ends: Timestamp| {
            let (since, left) = self.since;
            now >= ends && SignedDuration::try_from(since.elapsed()).is_ok_and(|elapsed| elapsed >= left)
        };
        if self.entry.ends().is_some_and(over) { NORMAL } else { &self.entry.mode }
    }

    /// As the admin listener tells it.
    pub fn view(&self, now: Timestamp) -> Value {
        json!({
            "mode": self.mode(now),
            "set": self.entry.set,
            "until": self.entry.ends().map(|at| at.to_string()),
            "scope": if self.entry.local { "local" } else { "fleet" },
        })
    }
}
