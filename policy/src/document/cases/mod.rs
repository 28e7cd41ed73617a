//! `Tests`: facts and what is expected of the policy on them, at a moment that is written down.

pub(crate) mod expect;
pub(crate) mod facts;
pub(crate) mod grants;
mod merge;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use crate::diagnostic::{At, Place, Report};
use crate::expr::Expr;
use crate::limits::Limits;
use crate::source::read::{self, Fields};
use crate::source::{Node, Value};

/// The tests of one file.
pub(crate) struct RawSuite {
    pub(crate) now: Timestamp,
    pub(crate) cases: Vec<RawCase>,
    pub(crate) invariants: Vec<RawInvariant>,
}

/// One test, or one case of a table, with everything that it shares put in.
pub(crate) struct RawCase {
    pub(crate) name: At<String>,
    pub(crate) at: Option<Timestamp>,
    pub(crate) mode: Option<At<String>>,
    pub(crate) facts: facts::Given,
    pub(crate) grants: Arc<[grants::RawGrant]>,
    pub(crate) expect: expect::RawExpect,
}

/// What no decision of the policy may allow.
pub(crate) struct RawInvariant {
    pub(crate) name: At<String>,
    pub(crate) never_allow: Expr,
}

pub(crate) fn read(fields: &mut Fields<'_, '_>, limits: &Limits, report: &mut Report<'_>) -> Option<RawSuite> {
    let now = fields.required("now", "tests never read the clock: such as `now: \"2030-01-01T00:00:00Z\"`", report);
    let now = now.and_then(|node| read::instant(node, report));
    let defaults = fields.optional("defaults");
    if let Some(node) = defaults {
        // Said here once, and not by each test.
        Fields::of(node, "`defaults`", report)?;
        bounded(node, limits, report)?;
    }
    let mut names = BTreeSet::new();
    let mut reader = Reader { place: fields.place(), defaults, limits, names: &mut names, cases: Vec::new() };
    let tests = fields.optional("tests");
    if let Some(node) = tests {
        read::list(node, report, |node, report| reader.test(node, report));
    }
    let cases = reader.cases;
    let invariants = fields.optional("invariants");
    if tests.is_none() && invariants.is_none() {
        report.error_help(fields.place(), "nothing is tested here", "list `tests` or `invariants`");
    }
    let invariants =
        invariants.map(|node| read::list(node, report, |node, report| invariant(node, &mut names, report)));
    Some(RawSuite { now: now?.value, cases, invariants: invariants.unwrap_or_default() })
}

/// Longest name of a test: it stands in one line of a report.
const NAME_MAX: usize = 200;

struct Reader<'r, 'n, 't> {
    /// Of the file.
    place: Place,
    defaults: Option<&'n Node<'t>>,
    limits: &'r Limits,
    names: &'r mut BTreeSet<String>,
    cases: Vec<RawCase>,
}

/// What a test says, or a case of its table.
struct Said<'n, 't> {
    at: Option<Timestamp>,
    mode: Option<At<String>>,
    facts: Option<&'n Node<'t>>,
    expect: Option<&'n Node<'t>>,
}

impl<'n, 't> Said<'n, 't> {
    fn read(fields: &mut Fields<'n, 't>, report: &mut Report<'_>) -> Said<'n, 't> {
        Said {
            at: fields.optional("at").and_then(|node| read::instant(node, report)).map(|at| at.value),
            mode: fields.optional("mode").and_then(|node| read::text(node, report)),
            facts: fields.optional("facts"),
            expect: fields.optional("expect"),
        }
    }
}

impl<'t> Reader<'_, '_, 't> {
    fn test(&mut self, node: &Node<'t>, report: &mut Report<'_>) -> Option<()> {
        let mut fields = Fields::of(node, "a test", report)?;
        let place = fields.place();
        let name = fields.required("name", "say in a sentence what holds", report);
        let name = name.and_then(|node| name_of(node, report));
        let shared = Said::read(&mut fields, report);
        let grants = fields.optional("grants").map(|node| read::list(node, report, grants::read));
        let grants: Arc<[grants::RawGrant]> = grants.unwrap_or_default().into();
        let table = fields.optional("cases");
        fields.finish(report);
        let name = name?;
        let Some(table) = table else {
            let said = Said { at: None, mode: None, facts: None, expect: None };
            return self.case(name, place, (&shared, said), grants, report);
        };
        let mut number = 0;
        read::list(table, report, |node, report| {
            number += 1;
            let mut fields = Fields::of(node, "a case", report)?;
            let own = fields.optional("name").map(|node| name_of(node, report));
            let said = Said::read(&mut fields, report);
            let place = fields.place();
            fields.finish(report);
            let name = match own {
                Some(own) => own?,
                None => At { value: format!("{} [{number}]", name.value), place },
            };
            self.case(name, place, (&shared, said), Arc::clone(&grants), report)
        });
        Some(())
    }

    fn case(
        &mut self,
        name: At<String>,
        place: Place,
        (shared, own): (&Said<'_, 't>, Said<'_, 't>),
        grants: Arc<[grants::RawGrant]>,
        report: &mut Report<'_>,
    ) -> Option<()> {
        if self.cases.len() >= self.limits.tests {
            // In one place, so that it is said once.
            report.error(self.place, format!("more than {} tests", self.limits.tests));
            return None;
        }
        distinct(&name, self.names, report);
        for said in [shared.facts, own.facts, shared.expect, own.expect].into_iter().flatten() {
            bounded(said, self.limits, report)?;
        }
        let facts = merge::merged(self.defaults, shared.facts);
        let facts = merge::merged(facts.as_ref(), own.facts).unwrap_or(Node { place, value: Value::Map(Vec::new()) });
        let expect = merge::merged(shared.expect, own.expect);
        bounded(&facts, self.limits, report)?;
        let facts = facts::read(&facts, report);
        let expect = match &expect {
            Some(node) => expect::read(node, report),
            None => {
                let help = "such as `expect: {effect: deny, reason: no_rule}`";
                report.error_help(place, "this test expects nothing, so it cannot fail", help);
                None
            }
        };
        let (at, mode) = (own.at.or(shared.at), own.mode.or_else(|| shared.mode.clone()));
        self.cases.push(RawCase { name, at, mode, facts: facts?, grants, expect: expect? });
        Some(())
    }
}

/// What is shared is kept for each test, so it must be short.
fn bounded(node: &Node<'_>, limits: &Limits, report: &mut Report<'_>) -> Option<()> {
    if merge::weight(node) <= limits.test_bytes {
        return Some(());
    }
    let message = format!("more than {} bytes for one test", limits.test_bytes);
    report.error_help(node.place, message, "what stands under `defaults` counts for each test");
    None
}

/// A name that a report, and a list of tests in CI, can show as it is.
fn name_of(node: &Node<'_>, report: &mut Report<'_>) -> Option<At<String>> {
    let name = read::text(node, report)?;
    if name.value.len() > NAME_MAX {
        report.error(name.place, format!("a name has at most {NAME_MAX} bytes"));
        return None;
    }
    Some(name)
}

fn distinct(name: &At<String>, names: &mut BTreeSet<String>, report: &mut Report<'_>) {
    if !names.insert(name.value.clone()) {
        let help = "a name says which test failed: make it another one";
        report.error_help(name.place, format!("another test of this file is called `{}`", name.value), help);
    }
}

fn invariant(node: &Node<'_>, names: &mut BTreeSet<String>, report: &mut Report<'_>) -> Option<RawInvariant> {
    let mut fields = Fields::of(node, "an invariant", report)?;
    let name = fields.required("name", "say in a sentence what must never be", report);
    let name = name.and_then(|node| name_of(node, report));
    let text = fields.required("never_allow", "the condition under which nothing may be allowed", report);
    let text = text.and_then(|node| read::text(node, report));
    fields.finish(report);
    let expr = text.and_then(|text| crate::compile::condition(&text, report));
    let name = name?;
    distinct(&name, names, report);
    Some(RawInvariant { name, never_allow: expr? })
}
