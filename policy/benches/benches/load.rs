//! From the bytes of a bundle to a set that decides; what it allocates, and what stays in memory.

use divan::{AllocProfiler, Bencher};
use gatepass_policy_benches::gatepass;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

#[divan::bench(args = [10, 1_000, 100_000], sample_count = 7, sample_size = 1)]
fn bundle(bencher: Bencher, rules: usize) {
    let files = gatepass::files(rules);
    bencher.bench_local(|| gatepass::load(&files));
}

#[divan::bench(args = [100_000], sample_count = 3, sample_size = 1)]
fn bundle_with_a_condition_of_its_own_on_each_allow(bencher: Bencher, rules: usize) {
    let files = gatepass::files_with_conditions(rules);
    bencher.bench_local(|| gatepass::load(&files));
}

#[divan::bench(sample_count = 20)]
fn the_sample_bundle_with_its_tests(bencher: Bencher) {
    let files = gatepass::sample();
    bencher.bench_local(|| gatepass::load(&files));
}
