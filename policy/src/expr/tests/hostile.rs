//! Hostile text ends as an error, soon.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::super::Expr;

fn refused(text: &str) -> Vec<String> {
    #[expect(clippy::disallowed_methods, reason = "a test measures; a decision does not")]
    let start = Instant::now();
    let problems = Expr::parse(text).expect_err("hostile text is refused");
    // Far above what any of these takes without optimisation on a busy machine; an exponential parse takes longer.
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", text.get(..40));
    for problem in &problems {
        assert!(text.get(problem.range.clone()).is_some(), "{problem:?}");
    }
    problems.into_iter().map(|problem| problem.message).collect()
}

#[test]
fn text_beyond_the_bounds_is_refused_before_it_is_parsed() {
    for (text, wanted) in [
        ("(".repeat(10_000), "the expression has 10000 bytes; at most 4096 are allowed"),
        (
            format!("{}1{}", "(".repeat(2_000), ")".repeat(2_000)),
            "brackets are nested 2000 deep; at most 24 are allowed",
        ),
        ("[".repeat(4_000), "brackets are nested 4000 deep"),
        (format!("a{}", ".b".repeat(2_000)), "has 2001 names, literals and operators; at most 256 are allowed"),
        ("!".repeat(4_000), "has 4000 names"),
        ("-".repeat(4_000), "has 4000 names"),
        ("1?".repeat(2_000), "has 4000 names"),
        (format!("true{}", " && true".repeat(500)), "has 1001 names"),
        ("a.exists(a, ".repeat(300), "nested 300 deep"),
        (format!("'{}", "a".repeat(4_000)), "this text is never closed"),
        (format!("'{}'", "a".repeat(100_000)), "the expression has 100002 bytes"),
    ] {
        let found = refused(&text);
        assert!(found.len() == 1 && found[0].contains(wanted), "{:?}: {found:?}", &text[..20]);
    }
}

#[test]
fn the_worst_text_within_the_bounds_is_an_error_or_an_expression() {
    let nested = |open: &str, close: &str| format!("{}1{}", open.repeat(24), close.repeat(24));
    for text in [
        nested("(", ")"),
        nested("f(", ")"),
        nested("x.f(", ")"),
        nested("[", "]"),
        nested("{1:", "}"),
        nested("x.all(y, ", ")"),
        nested("has(x.", ")"),
        nested("-(", ")"),
        nested("1 ? (", ") : 1"),
        format!("a{}", ".b".repeat(255)),
        format!("a{}", ".b()".repeat(255)),
        format!("a{}", "[b]".repeat(255)),
        format!("1{}", " + 1".repeat(127)),
        format!("1{}", " == 1".repeat(127)),
        format!("{}1", "1 ? 1 : ".repeat(63)),
        format!("tls.sni.matches('{}')", "(".repeat(2_000)),
        format!("tls.sni.matches('{}')", "a{1000}".repeat(300)),
        format!("tls.sni.matches('{}')", "\\\\p{L}".repeat(300)),
        "\0".to_owned(),
        "\u{202e}tls.ech".to_owned(),
        "'\\U00110000' == 'x'".to_owned(),
        "'\\xff\\377' == b".to_owned(),
    ] {
        refused(&text);
    }
    let longest = format!("true{}", " && true".repeat(127));
    assert!(Expr::parse(&longest).is_ok());
    let many = format!("destination.port in [{}0]", "0, ".repeat(250));
    assert!(Expr::parse(&many).is_ok());
}

#[test]
fn expressions_do_not_depend_on_the_stack_they_are_parsed_on() {
    let deep = format!("{}true{}", "(".repeat(24), ")".repeat(24));
    let small = std::thread::Builder::new().stack_size(512 * 1024);
    let parsed = small.spawn(move || Expr::parse(&deep).is_ok()).unwrap().join();
    assert!(parsed.unwrap());
}

/// Words of the language and of none.
fn word() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "tls.sni",
        "destination.host",
        "a",
        ".",
        "..",
        ",",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ":",
        "?",
        "&&",
        "||",
        "!",
        "-",
        "+",
        "==",
        "in",
        "<",
        "1",
        "0x",
        "1e",
        "1u",
        "'x'",
        "r'",
        "b\"y\"",
        "'''",
        "\"",
        "\\",
        "true",
        "null",
        "has(",
        ".exists(x,",
        ".all(",
        "ip(",
        "matches(",
        "//",
        "\n",
        "é",
        "`",
        "if",
        "=",
        "and",
        "_",
        "$",
        "\u{feff}",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(96), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_soup_of_words_is_more_than_an_error(words in prop::collection::vec(word(), 0..48)) {
        let text = words.concat();
        #[expect(clippy::disallowed_methods, reason = "a test measures; a decision does not")]
        let start = Instant::now();
        if let Err(problems) = Expr::parse(&text) {
            prop_assert!(!problems.is_empty());
            for problem in problems {
                prop_assert!(text.get(problem.range.clone()).is_some(), "{problem:?}");
            }
        }
        prop_assert!(start.elapsed() < Duration::from_secs(5));
    }
}

/// How many cases a property is tried on, unless `PROPTEST_CASES` says.
pub(super) fn cases(usual: u32) -> u32 {
    std::env::var_os("PROPTEST_CASES").and_then(|cases| cases.to_str()?.parse().ok()).unwrap_or(usual)
}
