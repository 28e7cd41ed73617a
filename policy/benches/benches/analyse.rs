//! Questions about a whole policy: who reaches a host, what one edited rule opens and closes, what never happens.

use divan::Bencher;
use gatepass_policy::analysis::{Proof, Side, diff, never_allow, reach_from, reach_to};
use gatepass_policy::expr::Expr;
use gatepass_policy::host::Host;
use gatepass_policy_benches::{gatepass, world};
use jiff::Timestamp;

fn main() {
    divan::main();
}

const SIZES: [usize; 3] = [10, 1_000, 100_000];

fn now() -> Timestamp {
    world::NOW.parse().unwrap()
}

#[divan::bench(args = SIZES, sample_count = 20)]
fn reach_to_a_host(bencher: Bencher, rules: usize) {
    let set = gatepass::set(rules);
    let side = Side::new(&set, now());
    let host = Host::parse(gatepass::allowed_host(rules).as_bytes()).unwrap();
    assert!(!reach_to(&side, &host, None).ways.is_empty());
    bencher.bench_local(|| reach_to(&side, &host, None));
}

#[divan::bench(args = SIZES, sample_count = 20)]
fn reach_from_an_identity(bencher: Bencher, rules: usize) {
    let set = gatepass::set(rules);
    let side = Side::new(&set, now());
    let id = gatepass::allowed_id(rules);
    assert!(!reach_from(&side, &id).ways.is_empty());
    bencher.bench_local(|| reach_from(&side, &id));
}

#[divan::bench(args = SIZES, sample_count = 20)]
fn diff_of_one_edited_rule(bencher: Bencher, rules: usize) {
    let (old, new) = (gatepass::set(rules), gatepass::edited(rules));
    let sides = (Side::new(&old, now()), Side::new(&new, now()));
    let found = diff(&sides.0, &sides.1);
    assert_eq!((found.edits.changed.len(), found.changes.is_empty()), (1, false));
    bencher.bench_local(|| diff(&sides.0, &sides.1));
}

#[divan::bench(args = SIZES, sample_count = 3, sample_size = 1)]
fn an_invariant_over_everything(bencher: Bencher, rules: usize) {
    let set = gatepass::set(rules);
    let side = Side::new(&set, now());
    let condition = Expr::parse("data_classes.exists(c, c == \"pci\") || identity.id.startsWith(\"token:\")").unwrap();
    assert!(matches!(never_allow(&side, &condition), Proof::Holds));
    bencher.bench_local(|| never_allow(&side, &condition));
}
