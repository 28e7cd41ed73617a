//! The results for people: what failed, with what was expected and what came; a line for each file; a line for all.

use std::borrow::Cow;

use gatepass_policy::analysis::Proof;
use gatepass_policy::trace::{Outcome, RuleTrace};

use super::{Arguments, File, Report, Test, coverage, invariants};
use crate::cli::style::Paint;
use crate::evidence::text::clean;

/// Rules whose clauses are shown under one failed test.
const SHOWN: usize = 4;

pub(super) fn of(report: &Report<'_>, arguments: &Arguments, paint: Paint) -> String {
    let mut text = String::new();
    for file in &report.files {
        of_file(&mut text, file, arguments.verbose, paint);
    }
    let (tests, invariants) = (report.sum(|file| file.tests.len()), report.sum(|file| file.invariants.len()));
    if tests == 0 && invariants == 0 {
        text.push_str(&match &arguments.filter {
            None => "no tests: nothing is known of this policy; write a file of kind `Tests`\n".to_owned(),
            Some(part) => format!("no test has `{}` in its name\n", shown(part)),
        });
        return text;
    }
    let failed = report.sum(File::failed);
    let passed = format!("{} passed", tests - failed);
    let word = if report.good() { paint.good(passed) } else { passed };
    let mut all = format!("{word}, {} in {}", red(failed, "failed", paint), counted(report.files.len(), "file"));
    if invariants > 0 {
        let unkept = report.sum(File::unkept);
        all.push_str(&format!(
            "; {} {}, {}",
            counted(invariants - unkept, "invariant"),
            if invariants - unkept == 1 { "holds" } else { "hold" },
            red(unkept, "not kept", paint)
        ));
    }
    text.push_str(&format!("{all}   {:.3} s\n", report.took.as_secs_f64()));
    if let Some(rules) = &report.coverage {
        text.push_str(&coverage::text(rules, arguments.min_coverage, paint));
    }
    text
}

fn of_file(text: &mut String, file: &File<'_>, verbose: bool, paint: Paint) {
    let (name, failed) = (shown(&file.suite.file), file.failed());
    let passed = file.tests.len() - failed;
    text.push_str(&format!("{}   {passed} passed, {failed} failed\n", paint.strong(&name)));
    for test in &file.tests {
        if !test.passed() {
            of_failed(text, test, &name, paint);
        } else if verbose {
            text.push_str(&format!("  {}  {}\n", paint.good("passed"), shown(&test.case.name)));
        }
    }
    for (invariant, proof) in &file.invariants {
        let word = match proof {
            Proof::Holds if !verbose => continue,
            Proof::Holds => paint.good("holds"),
            Proof::Broken(..) => paint.bad("broken"),
            Proof::Errs(..) => paint.bad("errs"),
            Proof::Unproved(_) => paint.bad("unproved"),
        };
        text.push_str(&format!("  {word}  {}   {name}:{}\n", shown(&invariant.name), invariant.line));
        text.push_str(&format!("    never_allow  {}\n", shown(invariant.never_allow.source())));
        text.extend(invariants::detail(proof).iter().map(|line| format!("      {}\n", shown(line))));
    }
}

fn of_failed(text: &mut String, test: &Test<'_>, file: &str, paint: Paint) {
    let (case, got) = (test.case, &test.ran.got);
    text.push_str(&format!("  {}  {}   {file}:{}\n", paint.bad("failed"), shown(&case.name), case.line));
    for one in &test.ran.mismatches {
        let (expected, got) = (one.expected.to_string(), one.got.to_string());
        text.push_str(&format!("    {}: expected {}, got {}\n", one.field, shown(&expected), shown(&got)));
    }
    let rule = got.rule.as_deref().map_or(String::new(), |rule| format!(" {}", shown(rule)));
    let reason = got.reason.map_or(String::new(), |reason| format!(" {reason}"));
    let waits = if got.waits_for.is_empty() { String::new() } else { format!(" on {}", got.waits_for.join(", ")) };
    let detail = got.detail.as_deref().map_or(String::new(), |detail| format!(": {}", shown(detail)));
    text.push_str(&format!("    {}{reason}{rule}{waits} at {}{detail}\n", got.effect, got.stage));
    test.trace.iter().take(SHOWN).for_each(|rule| of_rule(text, rule, paint));
}

/// A rule, and of one that does not hold the clauses that do not.
fn of_rule(text: &mut String, rule: &RuleTrace, paint: Paint) {
    let line = format!("      {:<9}  {}: {}\n", rule.tier, shown(&rule.rule.path), rule.outcome);
    text.push_str(&paint.faint(line.trim_end_matches('\n')));
    text.push('\n');
    if rule.outcome == Outcome::Yes {
        return;
    }
    for clause in rule.clauses.iter().filter(|clause| clause.outcome != Outcome::Yes) {
        let told = clause.to_string();
        text.push_str(&paint.faint(format!("        {}", shown(told.trim()))));
        text.push('\n');
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn red(count: usize, what: &str, paint: Paint) -> String {
    let text = format!("{count} {what}");
    if count == 0 { text } else { paint.bad(text) }
}

/// A bundle is other people's text: nothing in it may steer a terminal.
fn shown(text: &str) -> Cow<'_, str> {
    clean(text, usize::MAX)
}
