//! One decision, and the explanation of a denial, at several sizes and under rules that are shaped badly on purpose.
//!
//! The `spread` ones ask a thousand different questions in turn, so that nothing of the last one helps the next. Searches and
//! comparisons of whole policies are in `analyse`.

use divan::{Bencher, black_box};
use gatepass_policy::PolicySet;
use gatepass_policy::decision::Verdict;
use gatepass_policy::facts::Facts;
use gatepass_policy_benches::world::{self, Question};
use gatepass_policy_benches::{gatepass, worst};

const RULES: [usize; 3] = [10, 1_000, 100_000];

fn main() {
    divan::main();
}

fn same(bencher: Bencher, rules: usize, question: &Question) {
    let set = gatepass::load(&gatepass::files(rules));
    again_and_again(bencher, &set, question);
}

fn again_and_again(bencher: Bencher, set: &PolicySet, question: &Question) {
    let facts = gatepass::facts(set, question);
    assert_eq!(matches!(set.decide(&facts), Verdict::Allow(_)), question.allowed);
    bencher.bench_local(|| set.decide(black_box(&facts)));
}

fn spread(bencher: Bencher, rules: usize, question: impl Fn(usize) -> Question) {
    let set = gatepass::load(&gatepass::files(rules));
    let facts: Vec<Facts> = world::spread(rules)
        .map(|number| {
            let question = question(number);
            let facts = gatepass::facts(&set, &question);
            assert_eq!(matches!(set.decide(&facts), Verdict::Allow(_)), question.allowed, "{number}");
            facts
        })
        .collect();
    let mut turn = facts.iter().cycle();
    bencher.bench_local(|| set.decide(black_box(turn.next().unwrap())));
}

/// A plain allow of one exact host.
#[divan::bench(args = RULES)]
fn allowed(bencher: Bencher, rules: usize) {
    same(bencher, rules, &world::question(world::middle(rules)));
}

/// An allow of one exact host with a condition of two atoms.
#[divan::bench(args = RULES)]
fn allowed_by_a_condition(bencher: Bencher, rules: usize) {
    same(bencher, rules, &world::question(world::middle(rules) + 8));
}

/// Nobody permits it; without the search for the nearest rules, which comes after the answer.
#[divan::bench(args = RULES)]
fn denied(bencher: Bencher, rules: usize) {
    same(bencher, rules, &world::denied(world::middle(rules)));
}

#[divan::bench(args = RULES)]
fn spread_over_allows(bencher: Bencher, rules: usize) {
    spread(bencher, rules, |number| world::question(number / 10 * 10));
}

#[divan::bench(args = RULES)]
fn spread_over_all_shapes(bencher: Bencher, rules: usize) {
    spread(bencher, rules, world::question);
}

/// The nearest rules and the whole trace: what a denial that is asked about costs.
#[divan::bench(args = RULES)]
fn explained(bencher: Bencher, rules: usize) {
    let set = gatepass::load(&gatepass::files(rules));
    let facts = gatepass::facts(&set, &world::denied(world::middle(rules)));
    bencher.bench_local(|| (set.nearest(black_box(&facts), 3), set.trace(&facts)));
}

#[divan::bench]
fn a_thousand_guardrails(bencher: Bencher) {
    again_and_again(bencher, &gatepass::load(&worst::guardrails(1_000)), &worst::question("api0.vendor0.example"));
}

#[divan::bench]
fn a_thousand_rules_of_one_host_for_a_thousand_workloads(bencher: Bencher) {
    again_and_again(bencher, &gatepass::load(&worst::one_host(1_000)), &worst::question("api.vendor.example"));
}

#[divan::bench]
fn a_thousand_rules_of_one_host_by_labels(bencher: Bencher) {
    again_and_again(
        bencher,
        &gatepass::load(&worst::one_host_by_labels(1_000)),
        &worst::question("api.vendor.example"),
    );
}

#[divan::bench]
fn a_name_of_120_labels_below_wildcards_at_every_depth(bencher: Bencher) {
    again_and_again(bencher, &gatepass::load(&worst::deep(120)), &worst::question(&worst::deep_name(120)));
}

#[divan::bench]
fn the_sample_bundle(bencher: Bencher) {
    let question = world::Question {
        namespace: "payments".to_owned(),
        app: "checkout".to_owned(),
        host: "api.stripe.com".to_owned(),
        port: 443,
        allowed: true,
    };
    again_and_again(bencher, &gatepass::load(&gatepass::sample()), &question);
}
