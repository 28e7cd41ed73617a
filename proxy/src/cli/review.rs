//! `gatepass review`: what the owners of a policy should look at: rules of no use, rules that allow the same, what ends
//! soon, and how wide each owner's rules are.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use gatepass_policy::PolicySet;
use gatepass_policy::analysis::{Change, Measures, Review, Turn, Why, diff, measures, review};
use gatepass_policy::overrides::NORMAL;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::Exit;
use super::analysed::{self, look};
use super::style::Paint;
use crate::evidence::questions::table::Table;

/// How far ahead ends are looked for, unless told otherwise.
const AHEAD: SignedDuration = SignedDuration::from_hours(30 * 24);

#[derive(Debug, Args)]
pub struct Arguments {
    /// The bundle: a directory of YAML files, or an archive.
    bundle: PathBuf,
    /// Tell what breaks before this moment; thirty days ahead unless given (RFC 3339, `Z`).
    #[arg(long, value_name = "TIME")]
    before: Option<Timestamp>,
    /// Only rules of this owner.
    #[arg(long, value_name = "OWNER")]
    owner: Option<String>,
    /// At this moment instead of now (RFC 3339, `Z`).
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// The answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Everything there is to say.
struct Answer {
    review: Review,
    measures: BTreeMap<Box<str>, Measures>,
    /// What is allowed now and not at the end of the forecast.
    breaking: Vec<Change>,
    /// Rules that end by then although nothing breaks.
    covered: Vec<Box<str>>,
    until: Timestamp,
}

pub fn run(arguments: &Arguments) -> Exit {
    let now = arguments.at.unwrap_or_else(Timestamp::now);
    let set = match super::compile_bundle(&arguments.bundle, now) {
        Ok(set) => set,
        Err(exit) => return exit,
    };
    match answer(arguments, &set, now) {
        Ok(answer) => {
            if arguments.json {
                analysed::out(&as_json(&answer));
            } else {
                print(&answer);
            }
            let clean = answer.review.useless.is_empty() && answer.breaking.is_empty();
            if clean { Exit::Yes } else { Exit::No }
        }
        Err(exit) => exit,
    }
}

fn answer(arguments: &Arguments, set: &PolicySet, now: Timestamp) -> Result<Answer, Exit> {
    let until = arguments.before.or_else(|| now.checked_add(AHEAD).ok()).unwrap_or(now);
    if until < now {
        eprintln!("error: `--before {until}` is before `--at {now}`");
        return Err(Exit::Usage);
    }
    let side = analysed::side(set, NORMAL, now)?;
    let later = analysed::side(set, NORMAL, until)?;
    let mine = |owner: &str| arguments.owner.as_deref().is_none_or(|wanted| wanted == owner);
    let mut review = review(&side);
    review.useless.retain(|one| mine(&one.owner));
    review.overlaps.retain(|one| one.owners.iter().any(|owner| mine(owner)));
    let mut measures = measures(&side);
    measures.retain(|owner, _| mine(owner));
    let found = diff(&side, &later);
    let owner_of =
        |change: &Change| change.before.rule.as_deref().and_then(|path| set.owner_of(path)).map(str::to_owned);
    let breaking = found.changes.into_iter().filter(|change| change.turn == Turn::Closed);
    let breaking: Vec<Change> = breaking.filter(|change| owner_of(change).is_none_or(|owner| mine(&owner))).collect();
    let broken = |path: &str| breaking.iter().any(|change| change.before.rule.as_deref() == Some(path));
    let covered = found.edits.changed.into_iter().filter(|path| !broken(path));
    let covered = covered.filter(|path| set.owner_of(path).is_none_or(mine)).collect();
    Ok(Answer { review, measures, breaking, covered, until })
}

fn as_json(answer: &Answer) -> Value {
    json!({
        "useless": answer.review.useless,
        "overlaps": answer.review.overlaps,
        "breaking": {"before": answer.until.to_string(), "changes": answer.breaking, "covered": answer.covered},
        "owners": answer.measures,
        "total": Measures::total(answer.measures.values()),
        "exact": answer.review.exactness.exact(),
        "vague": answer.review.exactness.vague,
    })
}

fn print(answer: &Answer) {
    let paint = Paint::stdout();
    let section = |title: &str, count: usize| println!("{} ({count})", paint.strong(title));
    section("allows of no use", answer.review.useless.len());
    for one in &answer.review.useless {
        let by = one.by.iter().map(|by| &**by).collect::<Vec<_>>().join(", ");
        let why = match one.why {
            Why::Expired => "is over".to_owned(),
            Why::Unsatisfiable => "no connection satisfies it".to_owned(),
            Why::Denied => format!("all that it allows is denied by {by}"),
            Why::Shadowed => format!("all that it allows is allowed by {by} as well"),
        };
        println!("  {} ({}): {why}", one.rule, one.owner);
    }
    section("allows that overlap", answer.review.overlaps.len() + answer.review.left_out);
    for one in &answer.review.overlaps {
        let [a, b] = &one.rules;
        println!("  {a} and {b}: {}", paint.faint(&one.witness));
    }
    section(&format!("what breaks before {}", analysed::day(answer.until)), answer.breaking.len());
    for change in &answer.breaking {
        let rule = change.before.rule.as_deref().unwrap_or("-");
        println!("  {rule}: {} -> {}:{}", change.who, change.to, analysed::ports(&change.ports));
    }
    if !answer.covered.is_empty() {
        println!("  ends, and closes nothing by itself: {}", answer.covered.join(", "));
    }
    println!();
    print!("{}", table(&answer.measures).text(look()));
    analysed::warn(&answer.review.exactness);
}

fn table(measures: &BTreeMap<Box<str>, Measures>) -> Table {
    let mut table = Table::new(&[
        "owner",
        "rules",
        "allows",
        "denies",
        "shadow",
        "*.",
        "**.",
        "networks",
        "by identity",
        "by network",
        "anyone",
        "expired",
        "in 30 d",
    ]);
    let row = |owner: &str, of: &Measures| -> Vec<Value> {
        let keyed = |count: usize| match (count * 100).checked_div(of.allows) {
            Some(share) => format!("{count} ({share} %)").into(),
            None => Value::from("-"),
        };
        vec![
            owner.into(),
            of.rules.into(),
            of.allows.into(),
            of.denies.into(),
            of.shadow.into(),
            of.wildcard.into(),
            of.deep_wildcard.into(),
            of.networks.into(),
            keyed(of.by_identity),
            keyed(of.by_network),
            keyed(of.anyone),
            of.expired.into(),
            of.expiring.into(),
        ]
    };
    table.rows = measures.iter().map(|(owner, of)| row(owner, of)).collect();
    table.rows.push(row("all", &Measures::total(measures.values())));
    table
}
