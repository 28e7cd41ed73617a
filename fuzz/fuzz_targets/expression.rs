//! A condition parses, or its problems lie within its text.
#![no_main]

use gatepass_policy::expr::Expr;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Expr::parse(text) {
        Ok(expr) => assert_eq!(expr.source(), text),
        Err(problems) => {
            assert!(!problems.is_empty());
            assert!(problems.iter().all(|problem| problem.range.end <= text.len()));
        }
    }
});
