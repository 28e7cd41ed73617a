//! What of the policy the tests exercise: in all, by owner, and what is missing.

use std::collections::BTreeMap;

use gatepass_policy::case::{ClauseCoverage, RuleCoverage};
use serde_json::{Value, json};

use crate::cli::style::Paint;
use crate::evidence::questions::table::{Look, Table};
use crate::evidence::text::clean;

/// Lines of one list for people; `--json` has them all.
const LISTED: usize = 100;

/// How much of something was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) seen: usize,
    pub(super) all: usize,
}

impl Share {
    /// Rounded down: a hundred is all of it.
    pub(super) fn percent(self) -> usize {
        self.seen.saturating_mul(100).checked_div(self.all).unwrap_or(100)
    }

    /// Whether it is at least so many percent.
    pub(super) fn reaches(self, percent: usize) -> bool {
        self.seen.saturating_mul(100) >= self.all.saturating_mul(percent)
    }

    fn add(self, (seen, all): (usize, usize)) -> Share {
        Share { seen: self.seen + seen, all: self.all + all }
    }
}

/// Of the senses of all clauses: each must hold, and fail alone.
pub(super) fn share(rules: &[RuleCoverage]) -> Share {
    rules.iter().fold(Share::default(), |share, rule| share.add(rule.senses()))
}

/// The rules of one owner.
#[derive(Default)]
struct Owned {
    rules: usize,
    exercised: usize,
    share: Share,
}

fn by_owner(rules: &[RuleCoverage]) -> BTreeMap<&str, Owned> {
    let mut owners: BTreeMap<&str, Owned> = BTreeMap::new();
    for rule in rules {
        let owned = owners.entry(&rule.owner).or_default();
        owned.rules += 1;
        owned.exercised += usize::from(rule.exercised);
        owned.share = owned.share.add(rule.senses());
    }
    owners
}

/// For people.
pub(super) fn text(rules: &[RuleCoverage], least: Option<u8>, paint: Paint) -> String {
    let exercised = rules.iter().filter(|rule| rule.exercised).count();
    let share = share(rules);
    let mut text = format!(
        "\n{} {} % of clauses in both senses, {exercised} of {} rules exercised\n",
        paint.strong("coverage"),
        share.percent(),
        rules.len()
    );
    let mut table = Table::new(&["owner", "rules", "exercised", "clauses %"]);
    table.rows = by_owner(rules)
        .into_iter()
        .map(|(owner, owned)| {
            vec![owner.into(), owned.rules.into(), owned.exercised.into(), owned.share.percent().into()]
        })
        .collect();
    let look = if paint == Paint::Ansi { Look::Terminal } else { Look::Plain };
    text.extend(table.text(look).lines().map(|line| format!("  {line}\n")));
    let idle: Vec<&RuleCoverage> = rules.iter().filter(|rule| !rule.exercised).collect();
    if !idle.is_empty() {
        text.push_str("  no test exercises\n");
        for rule in idle.iter().take(LISTED) {
            text.push_str(&format!("    {} ({})\n", name(&rule.rule), name(&rule.owner)));
        }
        more(&mut text, idle.len());
    }
    let partly = |rule: &&RuleCoverage| rule.exercised && rule.senses().0 < rule.senses().1;
    let partly: Vec<&RuleCoverage> = rules.iter().filter(partly).collect();
    if !partly.is_empty() {
        text.push_str("  seen in part\n");
        for rule in partly.iter().take(LISTED) {
            let (seen, all) = rule.senses();
            text.push_str(&format!(
                "    {} {} % ({})\n",
                name(&rule.rule),
                Share { seen, all }.percent(),
                name(&rule.owner)
            ));
            missing(&mut text, "never holding", rule, |clause| !clause.held);
            missing(&mut text, "never failing alone", rule, |clause| !clause.failed_alone);
        }
        more(&mut text, partly.len());
    }
    if let Some(least) = least.filter(|least| !share.reaches(usize::from(*least))) {
        text.push_str(&format!("  {} {} % is below {least} %\n", paint.bad("too little:"), share.percent()));
    }
    text
}

fn missing(text: &mut String, what: &str, rule: &RuleCoverage, is: impl Fn(&ClauseCoverage) -> bool) {
    let clauses: Vec<_> = rule.clauses.iter().filter(|clause| is(clause)).map(|clause| name(&clause.clause)).collect();
    if !clauses.is_empty() {
        text.push_str(&format!("      {what:<19}  {}\n", clauses.join("; ")));
    }
}

fn more(text: &mut String, count: usize) {
    if count > LISTED {
        text.push_str(&format!("    and {} more; `--json` lists them all\n", count - LISTED));
    }
}

fn name(text: &str) -> std::borrow::Cow<'_, str> {
    clean(text, usize::MAX)
}

/// For machines: every rule with every clause.
pub(super) fn json(rules: &[RuleCoverage]) -> Value {
    let told = |share: Share| json!({"seen": share.seen, "of": share.all, "percent": share.percent()});
    let owners = by_owner(rules).into_iter().map(|(owner, owned)| {
        json!({"owner": owner, "rules": owned.rules, "exercised": owned.exercised, "clauses": told(owned.share)})
    });
    let each = rules.iter().map(|rule| {
        let (seen, all) = rule.senses();
        let clauses = rule
            .clauses
            .iter()
            .map(|clause| json!({"clause": clause.clause, "held": clause.held, "failed_alone": clause.failed_alone}));
        json!({
            "rule": rule.rule,
            "owner": rule.owner,
            "exercised": rule.exercised,
            "held": rule.held,
            "percent": Share { seen, all }.percent(),
            "clauses": clauses.collect::<Vec<_>>(),
        })
    });
    json!({
        "clauses": told(share(rules)),
        "exercised": rules.iter().filter(|rule| rule.exercised).count(),
        "rules": each.collect::<Vec<_>>(),
        "owners": owners.collect::<Vec<_>>(),
    })
}
