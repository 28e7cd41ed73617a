//! Running the tests on all processors, and the invariants after them.

use std::io::{self, IsTerminal as _};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use gatepass_policy::case::{Case, Coverage, Ran, RuleCoverage, prove};
use gatepass_policy::{Compiled, PolicySet};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{File, Test};

/// Tests between two words about how far it is.
const BATCH: usize = 64;

/// How long work takes before its progress is shown.
const PATIENCE: Duration = Duration::from_secs(1);

/// Run what is chosen, by file in the order of the bundle; files of which nothing is chosen are left out.
pub(super) fn all<'c>(
    compiled: &'c Compiled,
    chosen: &dyn Fn(&str) -> bool,
    counted: bool,
) -> (Vec<File<'c>>, Option<Vec<RuleCoverage>>) {
    let set = &compiled.set;
    let cases: Vec<Vec<&Case>> =
        compiled.tests.iter().map(|suite| suite.cases.iter().filter(|case| chosen(&case.name)).collect()).collect();
    let flat: Vec<&Case> = cases.iter().flatten().copied().collect();
    let (mut ran, coverage) = spread(set, &flat, counted);
    let mut ran = ran.drain(..);
    let files = compiled.tests.iter().zip(&cases).map(|(suite, cases)| File {
        suite,
        tests: ran.by_ref().take(cases.len()).collect(),
        invariants: {
            let invariants = suite.invariants.iter().filter(|invariant| chosen(&invariant.name));
            invariants.map(|invariant| (invariant, prove(set, invariant, suite.now))).collect()
        },
    });
    let files = files.filter(|file| !file.tests.is_empty() || !file.invariants.is_empty()).collect();
    (files, coverage.map(|coverage| coverage.rules(set)))
}

/// Every test, in their order, and what they have seen of the policy where it is `counted`.
fn spread<'c>(set: &PolicySet, cases: &[&'c Case], counted: bool) -> (Vec<Test<'c>>, Option<Coverage>) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = cases.len().div_ceil(threads).max(1);
    let (told, heard) = mpsc::channel();
    std::thread::scope(|scope| {
        let start = |cases: &'_ [&'c Case]| {
            let (cases, told) = (cases.to_vec(), told.clone());
            scope.spawn(move || part(set, &cases, counted, &told))
        };
        let workers: Vec<_> = cases.chunks(share).map(start).collect();
        drop(told);
        watch(cases.len(), &heard);
        let mut tests = Vec::with_capacity(cases.len());
        let mut coverage = counted.then(|| Coverage::new(set));
        for worker in workers {
            // A worker that panicked has nothing to tell, and its tests must not count as passed.
            let (ran, seen) = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            tests.extend(ran);
            if let (Some(all), Some(seen)) = (&mut coverage, &seen) {
                all.add(seen);
            }
        }
        (tests, coverage)
    })
}

fn part<'c>(
    set: &PolicySet,
    cases: &[&'c Case],
    counted: bool,
    told: &mpsc::Sender<usize>,
) -> (Vec<Test<'c>>, Option<Coverage>) {
    let mut coverage = counted.then(|| Coverage::new(set));
    let mut tests = Vec::with_capacity(cases.len());
    for batch in cases.chunks(BATCH) {
        for case in batch {
            let began = Instant::now();
            let ran = case.run(set);
            let took = began.elapsed();
            let trace = if ran.mismatches.is_empty() { Vec::new() } else { case.trace(set, &ran) };
            if let (Some(coverage), Some(facts)) = (&mut coverage, &ran.facts) {
                coverage.note(set, facts);
            }
            // The facts have served; of ten thousand tests they would fill memory.
            tests.push(Test { case, ran: Ran { facts: None, ..ran }, trace, took });
        }
        // Whoever listens may have stopped: that is no reason to stop here.
        let _ = told.send(batch.len());
    }
    (tests, coverage)
}

/// Show how far it is, on a terminal, once it has taken a second.
fn watch(total: usize, heard: &mpsc::Receiver<usize>) {
    let bar = ProgressBar::with_draw_target(u64::try_from(total).ok(), ProgressDrawTarget::hidden());
    if let Ok(style) = ProgressStyle::with_template("{bar:32} {pos} of {len} tests, {eta} left") {
        bar.set_style(style);
    }
    let began = Instant::now();
    while let Ok(done) = heard.recv() {
        bar.inc(u64::try_from(done).unwrap_or_default());
        if bar.is_hidden() && began.elapsed() >= PATIENCE && io::stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }
    bar.finish_and_clear();
}
