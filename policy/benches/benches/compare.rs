//! One decision with everything known, by this engine and by others that were given the same rules and questions.

use divan::{Bencher, black_box};
use gatepass_policy::decision::Verdict;
use gatepass_policy_benches::cedar::Cedar;
use gatepass_policy_benches::linear::Linear;
use gatepass_policy_benches::rego::Rego;
use gatepass_policy_benches::world::{self, Question};

const RULES: [usize; 3] = [10, 1_000, 100_000];

fn main() {
    divan::main();
}

/// The question that each engine is asked: one that is allowed, or one that is denied.
fn asked(rules: usize, allowed: bool) -> Question {
    let middle = world::middle(rules);
    if allowed { world::question(middle) } else { world::denied(middle) }
}

mod gatepass {
    use super::*;

    fn ask(bencher: Bencher, rules: usize, allowed: bool) {
        let set = gatepass_policy_benches::gatepass::load(&gatepass_policy_benches::gatepass::files(rules));
        let facts = gatepass_policy_benches::gatepass::facts(&set, &asked(rules, allowed));
        assert_eq!(matches!(set.decide(&facts), Verdict::Allow(_)), allowed);
        bencher.bench_local(|| set.decide(black_box(&facts)));
    }

    #[divan::bench(args = RULES)]
    fn allowed(bencher: Bencher, rules: usize) {
        ask(bencher, rules, true);
    }

    #[divan::bench(args = RULES)]
    fn denied(bencher: Bencher, rules: usize) {
        ask(bencher, rules, false);
    }
}

#[divan::bench_group(name = "cel, one rule after the other", sample_count = 20)]
mod linear {
    use super::*;

    fn ask(bencher: Bencher, rules: usize, allowed: bool) {
        let linear = Linear::new(rules);
        let variables = Linear::variables(&asked(rules, allowed));
        assert_eq!(linear.allows(&variables), allowed);
        bencher.bench_local(|| linear.allows(black_box(&variables)));
    }

    #[divan::bench(args = RULES)]
    fn allowed(bencher: Bencher, rules: usize) {
        ask(bencher, rules, true);
    }

    #[divan::bench(args = RULES)]
    fn denied(bencher: Bencher, rules: usize) {
        ask(bencher, rules, false);
    }
}

#[divan::bench_group(name = "cedar-policy", sample_count = 20)]
mod cedar {
    use super::*;

    fn ask(bencher: Bencher, rules: usize, allowed: bool) {
        let engine = Cedar::new(rules);
        let question = Cedar::ask(&asked(rules, allowed));
        assert_eq!(engine.allows(&question), allowed);
        bencher.bench_local(|| engine.allows(black_box(&question)));
    }

    #[divan::bench(args = RULES)]
    fn allowed(bencher: Bencher, rules: usize) {
        ask(bencher, rules, true);
    }

    #[divan::bench(args = RULES)]
    fn denied(bencher: Bencher, rules: usize) {
        ask(bencher, rules, false);
    }
}

#[divan::bench_group(name = "regorus, hash-indexed data")]
mod rego {
    use super::*;

    fn ask(bencher: Bencher, rules: usize, allowed: bool) {
        let engine = Rego::new(rules);
        let input = Rego::ask(&asked(rules, allowed));
        assert_eq!(engine.allows(&input), allowed);
        bencher.bench_local(|| engine.allows(black_box(&input)));
    }

    #[divan::bench(args = RULES)]
    fn allowed(bencher: Bencher, rules: usize) {
        ask(bencher, rules, true);
    }

    #[divan::bench(args = RULES)]
    fn denied(bencher: Bencher, rules: usize) {
        ask(bencher, rules, false);
    }
}
