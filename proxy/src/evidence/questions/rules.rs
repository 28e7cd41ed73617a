//! Which rules nobody uses, and which of those in use end soon.

use gatepass_policy::PolicySet;
use jiff::Timestamp;

use super::groups::Groups;
use super::row::Row;
use super::table::Table;
use super::{Scope, end, when};

/// Rules of a bundle by which no connection was admitted.
pub struct Unused<'p> {
    scope: Scope,
    set: &'p PolicySet,
    used: Groups<String, i64>,
    /// The time of the first record: how far back this answer reaches.
    first: Option<i64>,
}

impl<'p> Unused<'p> {
    /// Of this policy, by these decisions.
    pub fn new(scope: Scope, set: &'p PolicySet) -> Unused<'p> {
        Unused { scope, set, used: Groups::new(), first: None }
    }

    /// Look at a record.
    pub fn see(&mut self, row: &Row<'_>) {
        if self.scope.span.has(row.time) {
            self.first = Some(self.first.map_or(row.time, |first| first.min(row.time)));
        }
        if self.scope.has(row) && row.outcome == "admitted" {
            self.used.entry(row.rule.to_owned(), || row.time);
        }
    }

    /// By path. A rule is unused since the first record, so its silence means the more, the older that is.
    pub fn answer(self) -> Table {
        let mut table = Table::new(&["rule", "owner", "expires", "unused since"]);
        let since = self.first.map(when).unwrap_or_default();
        if self.first.is_none() {
            table.notes.push("there are no records of that time: every rule is unused".into());
        }
        for (rule, _) in self.set.allows().filter(|(rule, _)| self.used.get(&rule.path.to_string()).is_none()) {
            let expires = rule.expires.map(|end| end.to_string().into()).unwrap_or_default();
            table.rows.push(vec![(*rule.path).into(), (*rule.owner).into(), expires, since.clone()]);
        }
        table
    }
}

/// Rules that were used and end soon.
pub struct Expiring {
    scope: Scope,
    now: Timestamp,
    until: Timestamp,
    rules: Groups<String, Use>,
}

struct Use {
    owner: String,
    expires: Timestamp,
    last: i64,
    admitted: u64,
}

impl Expiring {
    /// Those that end after `now` and not after `until`, by these decisions.
    pub fn new(scope: Scope, now: Timestamp, until: Timestamp) -> Expiring {
        Expiring { scope, now, until, rules: Groups::new() }
    }

    /// Look at a record.
    pub fn see(&mut self, row: &Row<'_>) {
        if !self.scope.has(row) || row.outcome != "admitted" {
            return;
        }
        let Some(expires) = end(row.expires) else { return };
        let new = || Use { owner: row.owner.to_owned(), expires, last: i64::MIN, admitted: 0 };
        let Some(used) = self.rules.entry(row.rule.to_owned(), new) else { return };
        used.admitted += 1;
        // The rule may have been prolonged since: what was said of it last counts.
        if row.time >= used.last {
            (used.last, used.expires) = (row.time, expires);
            row.owner.clone_into(&mut used.owner);
        }
    }

    /// The first to end first.
    pub fn answer(self) -> Table {
        let mut table = Table::new(&["expires", "rule", "owner", "admitted", "last used"]);
        table.notes.extend(self.rules.note());
        for (rule, used) in self.rules.sorted(|used| std::cmp::Reverse(used.expires)) {
            if self.now < used.expires && used.expires <= self.until {
                let expires = used.expires.to_string().into();
                table.rows.push(vec![expires, rule.into(), used.owner.into(), used.admitted.into(), when(used.last)]);
            }
        }
        table
    }
}
