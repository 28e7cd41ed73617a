//! Hostile and mistaken policy text, and what the corpus of operations says of it.
//!
//! | rows | what | test |
//! |---|---|---|
//! | O001 | comprehensions in comprehensions | `comprehensions_do_not_multiply` |
//! | O002 | 10,000 brackets or `!` | `depth_is_an_error_and_no_overflow` |
//! | O003, O004 | regexes and texts that explode | `no_regex_and_no_text_explodes` |
//! | O005 | division, missing keys, types | `what_cannot_be_evaluated_permits_nothing` |
//! | O006 | an error beside a yes | `an_error_is_absorbed_in_either_order` |
//! | O007 | conditions on time | `a_condition_on_time_reads_the_one_moment_of_the_decision` |
//! | O008, O014 | misspelt attributes and keys | `a_misspelt_word_is_an_error_that_names_the_right_one` |
//! | O009, O013 | alias bombs, merge keys | `no_alias_expands_and_nothing_is_merged` |
//! | O010 | a key twice | `a_key_stands_once` |
//! | O011 | words that YAML reads as something else | `text_that_yaml_would_coerce_is_an_error` |
//! | O012 | two documents, garbage, tabs, BOM, NUL | `a_file_is_one_document_of_plain_text` |
//! | O015 | nothing | `nothing_permits_nothing` |
//! | O016, O017 | wildcards, IDN | `a_pattern_names_a_domain_in_its_one_spelling` |
//! | O018 | deny and allow for one name | `a_deny_wins_wherever_it_stands` |
//! | O019 | many rules | `a_decision_looks_at_as_many_rules_among_many_as_among_few` |
//!
//! What a person would do with such a file, through the binary: `hostile` in the end-to-end suite. O020 to O026 are there too.

use std::time::{Duration, Instant};

use super::world::{NOW, allow, asks, at, compiled, deny, file, files, policy, problems, resolved, said, with_sni};
use crate::decision::Verdict;
use crate::facts::Facts;
use crate::{compile, compile_within};

const API: &str = "hosts: [\"api.test\"], ports: [443]";

/// Without their places.
fn messages(rules: &str) -> Vec<String> {
    let told = problems(&files(rules, "")).into_iter();
    told.map(|text| text.split_once(' ').map_or(text.clone(), |(_, message)| message.to_owned())).collect()
}

fn when(condition: &str) -> Vec<String> {
    messages(&allow("a", API, &format!("when: {}", crate::desugar::quoted(condition))))
}

#[track_caller]
fn within(most: Duration, what: impl FnOnce()) {
    #[expect(clippy::disallowed_methods, reason = "a test measures; a decision does not")]
    let start = Instant::now();
    what();
    assert!(start.elapsed() < most, "{:?}", start.elapsed());
}

/// Everything known of `api.test`.
fn known(set: &crate::PolicySet) -> Facts {
    with_sni(&resolved(&asks(set, "api.test:443"), &["93.184.216.34"]), Some("api.test"))
}

#[test]
fn comprehensions_do_not_multiply() {
    let list = format!("[{}1]", "1, ".repeat(60));
    let mut nested = "a == b && c == d".to_owned();
    for name in ["d", "c", "b", "a"] {
        nested = format!("{list}.exists({name}, {nested})");
    }
    assert!(!when(&nested).is_empty());
    let two = "tls.alpn.all(a, tls.versions.exists(b, a == b))";
    assert_eq!(when(two).len(), 1, "{:?}", when(two));
    // The longest that there is: each evaluation far below a millisecond, also where nothing is optimised.
    let longest = format!("[{}0].exists(n, n == destination.port)", "1, ".repeat(240));
    let set = policy(&allow("a", API, &format!("when: '{longest}'")), "");
    let facts = known(&set);
    within(Duration::from_secs(1), || (0..1_000).for_each(|_| drop(set.decide(&facts))));
}

#[test]
fn depth_is_an_error_and_no_overflow() {
    for text in ["(", "!", "-", "[", "{", "f(", "a[", "1?"] {
        assert!(!when(&text.repeat(10_000)).is_empty(), "{text}");
        assert!(!when(&format!("{}tls.ech", text.repeat(1_000))).is_empty(), "{text}");
    }
    for text in ["[", "{a: ", "- ", "? "] {
        let deep = format!("kind: {}", text.repeat(100_000));
        assert!(compile(&[file("a.yaml", &deep)], at(NOW)).is_err(), "{text}");
        assert!(compile(&[file("a.yaml", &text.repeat(100_000))], at(NOW)).is_err(), "{text}");
    }
}

#[test]
fn no_regex_and_no_text_explodes() {
    let plain = "request.protocol == \"http\" && request.path";
    let slow = format!("{plain}.matches(\"^(a+)+(b|c)*$\")");
    let set = policy(&allow("a", "hosts: [\"api.test\"], ports: [80]", &format!("when: '{slow}'")), "");
    let head = crate::facts::HttpRequest {
        method: "GET".to_owned(),
        path: format!("/{}!", "a".repeat(100_000)),
        query: String::new(),
        headers: Default::default(),
        content_length: Some(0),
    };
    let asked = resolved(&asks(&set, "api.test:80"), &["93.184.216.34"]);
    let tls = Some(crate::facts::Tls::Absent);
    let facts = Facts { protocol: crate::facts::Protocol::Http, request: Some(head), tls, ..asked };
    within(Duration::from_secs(2), || assert!(matches!(set.decide(&facts), Verdict::Deny(_))));
    for regex in ["^(a{1000}){1000}$", "^\\\\pL{900}$", "(", "^(?=a)b$", "^(a)\\\\1$"] {
        let text = format!("{plain}.matches(\"{regex}\")");
        within(Duration::from_secs(5), || assert!(!when(&text).is_empty(), "{regex}"));
    }
    for text in ["[\"a\"].exists(x, x + x == \"aa\")", "tls.sni + tls.sni == \"aa\"", "size(tls.sni + \"a\") == 2"] {
        assert!(!when(text).is_empty(), "{text}");
    }
}

#[test]
fn what_cannot_be_evaluated_permits_nothing() {
    for text in ["1 / 0 == 1", "destination.port % 0 == 1", "destination.port == \"443\"", "tls.sni"] {
        assert!(!when(text).is_empty(), "{text}");
    }
    let missing = "identity.labels.team == \"web\"";
    let set = policy(&allow("a", API, &format!("when: '{missing}'")), "");
    assert_eq!(said(&set.decide(&known(&set))), "deny rule_error web/a at tls");
    let denies = deny("never", &format!("destinations: {{hosts: [\"api.test\"]}}\nwhen: '{missing}'"));
    let set = policy(&(allow("a", API, "") + &denies), "");
    assert_eq!(said(&set.decide(&known(&set))), "deny rule_error web/never at tls");
}

#[test]
fn an_error_is_absorbed_in_either_order() {
    let (error, yes, no) = ("identity.labels.x == \"y\"", "destination.port == 443", "destination.port < 443");
    for (text, wanted) in [
        (format!("{yes} || {error}"), "allow allowed web/a at tls"),
        (format!("{error} || {yes}"), "allow allowed web/a at tls"),
        (format!("{no} || {error}"), "deny rule_error web/a at tls"),
        (format!("{error} || {no}"), "deny rule_error web/a at tls"),
        (format!("{no} && {error}"), "deny no_rule - at tls"),
        (format!("{error} && {no}"), "deny no_rule - at tls"),
        (format!("{yes} && {error}"), "deny rule_error web/a at tls"),
        (format!("{error} && {yes}"), "deny rule_error web/a at tls"),
    ] {
        let set = policy(&allow("a", API, &format!("when: '{text}'")), "");
        assert_eq!(said(&set.decide(&known(&set))), wanted, "{text}");
    }
}

#[test]
fn a_condition_on_time_reads_the_one_moment_of_the_decision() {
    let night = "now.getHours() >= 22 && now < timestamp(\"2030-01-01T23:00:00Z\") && now == now";
    let set = policy(&allow("a", API, &format!("when: '{night}'")), "");
    for (moment, wanted) in [
        ("2030-01-01T21:59:59.999999999Z", "deny no_rule - at tls"),
        ("2030-01-01T22:00:00Z", "allow allowed web/a at tls"),
        ("2030-01-01T22:59:59.999999999Z", "allow allowed web/a at tls"),
        ("2030-01-01T23:00:00Z", "deny no_rule - at tls"),
    ] {
        let facts = Facts { now: at(moment), ..known(&set) };
        assert_eq!(said(&set.decide(&facts)), wanted, "{moment}");
        assert_eq!(said(&set.decide(&facts)), wanted, "{moment}: the same facts, the same answer");
    }
}

#[test]
fn a_misspelt_word_is_an_error_that_names_the_right_one() {
    let helped = |rules: &str| {
        let found = compile(&files(rules, ""), at(NOW)).unwrap_err();
        found.iter().map(|one| format!("{}: {}", one.message, one.help.as_deref().unwrap_or(""))).collect::<Vec<_>>()
    };
    let found = helped(&allow("a", API, "when: request.hots == \"api.test\""));
    assert!(found[0].contains("`request.hots` is not an attribute"), "{found:?}");
    assert_eq!(helped(&allow("a", API, "whenn: tls.ech")), ["unknown key `whenn`: did you mean `when`?"]);
    let guard = files("", "  - {id: g, action: deny, purpose: x, when: tls.ech}\ndney: [x]\n");
    assert!(problems(&guard).iter().any(|text| text.contains("unknown key `dney`")), "{:?}", problems(&guard));
    let found = helped("  - {id: a, action: dney, purpose: x, destinations: {hosts: [\"api.test\"]}}\n");
    assert!(found[0].starts_with("`allow` or `deny` is wanted here"), "{found:?}");
}

#[test]
fn no_alias_expands_and_nothing_is_merged() {
    let mut laughs = "a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for (name, of) in ('b'..='z').zip('a'..) {
        let of = format!("*{of}, ").repeat(9);
        laughs.push_str(&format!("{name}: &{name} [{}]\n", of.trim_end_matches(", ")));
    }
    within(Duration::from_secs(5), || {
        let found = problems(&[file("a.yaml", &laughs)]);
        assert!(found.iter().any(|one| one.contains("anchors (`&name`) are not accepted")), "{found:?}");
    });
    // One of them inside itself.
    assert!(problems(&[file("a.yaml", "- &a [*a]\n")]).iter().any(|one| one.contains("anchors")));
    let base = "base: &base {action: deny}\nrules:\n  - {<<: *base, action: allow}\n";
    let found = problems(&[file("a.yaml", base)]);
    assert!(found.iter().any(|text| text.contains("merge keys (`<<`) are not accepted")), "{found:?}");
}

#[test]
fn a_key_stands_once() {
    let twice =
        "  - id: a\n    action: allow\n    action: deny\n    purpose: x\n    destinations: {hosts: [\"api.test\"]}\n";
    assert!(messages(twice).contains(&"`action` stands twice in one mapping".to_owned()), "{:?}", messages(twice));
    let mut book = files(&allow("a", API, ""), "");
    book[3].text.extend(b"rules: []\n");
    assert!(problems(&book).iter().any(|text| text.contains("`rules` stands twice")), "{:?}", problems(&book));
}

#[test]
fn text_that_yaml_would_coerce_is_an_error() {
    let host = |text: &str| messages(&allow("a", &format!("hosts: [{text}], ports: [443]"), ""));
    for text in ["no", "NO", "y", "1e3", "0o22", "12:30:45", "2030-01-01", "~", "null", "0x1F"] {
        assert!(host(text)[0].contains("is not text to every YAML reader"), "{text}: {:?}", host(text));
    }
    let port = |text: &str| messages(&allow("a", &format!("hosts: [\"api.test\"], ports: [{text}]"), ""));
    for text in ["0o22", "1e3", "443.0", "\"443\"", "no", "4_43", "0443", "+443", "65536", "0", "-1", "12:30"] {
        assert_eq!(port(text), ["a port is a number from 1 to 65535"], "{text}");
    }
    assert_eq!(messages(&allow("a", API, "trust_declared: yes")), ["`true` or `false` is wanted here"]);
}

#[test]
fn a_file_is_one_document_of_plain_text() {
    let good = String::from_utf8(files(&allow("a", API, ""), "")[3].text.clone()).unwrap();
    let with = |text: String| {
        let mut all = files(&allow("a", API, ""), "");
        all[3].text = text.into_bytes();
        problems(&all)
    };
    assert_eq!(with(good.clone()), [""; 0]);
    for (text, wanted) in [
        (format!("{good}---\n{good}"), "a second document in one file"),
        (format!("{good}]\n"), "this is not YAML"),
        (format!("{good}trailing garbage\n"), "this is not YAML"),
        (format!("\u{feff}{good}"), "a byte order mark in the file"),
        (format!("{good}\0"), "a NUL in the file"),
        (good.replace("    action", "\taction"), "a tab in the file"),
        (good.replace("purpose: test", "purpose: te\u{202e}st"), "an invisible formatting character in the file"),
        (good.replace("    purpose: test\n", ""), "`purpose` is missing"),
        (good[..good.len() / 2].to_owned(), ""),
    ] {
        let found = with(text);
        assert!(found.iter().any(|one| one.contains(wanted)), "{wanted}: {found:?}");
    }
    // Half of a file is never a smaller policy: wherever it ends, something that must be there is missing.
    for end in (0..good.trim_end().len()).step_by(7) {
        let found = with(good[..end].to_owned());
        let whole = good[..end].trim_end().ends_with("01T00:00:00Z\"");
        assert!(whole || !found.is_empty(), "cut at {end}: {:?}", &good[..end]);
    }
}

#[test]
fn nothing_permits_nothing() {
    for text in ["", "\n", "# a comment\n", "{}", "[]", "rules: []\n", "apiVersion: gatepass/v1\n", "null", "--- \n..."]
    {
        assert!(compile(&[file("a.yaml", text)], at(NOW)).is_err(), "{text:?}");
    }
    assert!(compile(&[], at(NOW)).is_err(), "no file at all");
    assert_eq!(problems(&files("    []\n", "")), ["web.yaml:5:5 the list is empty"]);
    // A bundle without a rule is one, and it denies.
    let set = compiled(&files("", "")).set;
    assert_eq!(said(&set.decide(&asks(&set, "api.test:443"))), "deny no_rule - at request");
}

#[test]
fn a_pattern_names_a_domain_in_its_one_spelling() {
    let host = |text: &str| messages(&allow("a", &format!("hosts: [\"{text}\"], ports: [443]"), ""));
    for text in ["*", "**", "*.", "**.", ".", "a*b", "api.*.test", "*.*.test", "***.test", "*test", "test.*", "*.*", ""]
    {
        assert!(!host(text).is_empty(), "{text}");
    }
    for (text, help) in [("bücher.test", "`xn--bcher-kva.test`"), ("BÜCHER.test", "`xn--bcher-kva.test`")] {
        let found = compile(&files(&allow("a", &format!("hosts: [\"{text}\"], ports: [443]"), ""), ""), at(NOW));
        let found = found.unwrap_err();
        assert!(found[0].help.as_ref().unwrap().contains(help), "{found:?}");
    }
    // A whole top-level domain can be meant, but hardly is.
    let wide = compiled(&files(&allow("a", "hosts: [\"*.test\"], ports: [443]", ""), ""));
    assert_eq!(wide.warnings[0].message, "`*.test` is a whole top-level domain");
}

#[test]
fn a_deny_wins_wherever_it_stands() {
    let (yes, no) = (allow("a", API, ""), deny("z", "destinations: {hosts: [\"api.test\"]}"));
    for rules in [format!("{yes}{no}"), format!("{no}{yes}")] {
        let set = policy(&rules, "");
        assert_eq!(said(&set.decide(&known(&set))), "deny team_deny web/z at tls");
    }
    let wide = deny("a", "destinations: {hosts: [\"**.test\"]}");
    let set = policy(&format!("{wide}{}", allow("z", API, "")), "");
    assert_eq!(said(&set.decide(&known(&set))), "deny team_deny web/a at tls");
}

#[test]
fn a_decision_looks_at_as_many_rules_among_many_as_among_few() {
    let looked_at = |count: usize| {
        let rule =
            |number: usize| allow(&format!("r{number}"), &format!("hosts: [\"h{number}.test\"], ports: [443]"), "");
        let set = policy(&(0..count).map(rule).collect::<String>(), "");
        let mut seen = 0;
        set.visit_enforced(&asks(&set, "h7.test:443"), |_, _| seen += 1);
        seen
    };
    assert_eq!((looked_at(10), looked_at(3_000)), (1, 1));
}

#[test]
fn a_file_of_too_much_is_refused_before_it_takes_memory() {
    let limits = crate::limits::Limits { nodes: 1_000, line_bytes: 10_000, ..crate::limits::Limits::STANDARD };
    let told =
        |text: String| compile_within(&[file("a.yaml", &text)], at(NOW), &limits).unwrap_err()[0].message.clone();
    assert_eq!(told("- a\n".repeat(2_000)), "the file has more than 1000 values");
    assert_eq!(told(format!("a: [{}]\n", "1, ".repeat(5_000))), "a line is longer than 10000 bytes");
    assert_eq!(told("\0".repeat(5_000)), "a NUL in the file");
}

#[test]
fn a_million_mistakes_are_told_as_a_thousand_and_soon() {
    for (unit, first) in [("- &x 1\n", "anchors"), ("- !x 1\n", "tags"), ("\0\n", "a NUL"), ("- *x\n", "aliases")] {
        let text = unit.repeat(200_000);
        within(Duration::from_secs(10), || {
            let found = problems(&[file("a.yaml", &text)]);
            assert!(found[0].contains(first), "{}", found[0]);
            assert!(found.len() <= 1_001, "{}", found.len());
            assert!(found.iter().any(|one| one.contains("only the first 1000 problems are shown")));
        });
    }
    let keys: String = (0..100_000).map(|number| format!("key{number}: x\n")).collect();
    let rule: String = (0..100_000).map(|number| format!("  - {{id: {number}}}\n")).collect();
    for text in [keys, format!("apiVersion: gatepass/v1\nkind: Fragment\nmetadata: {{id: web}}\nrules:\n{rule}")] {
        within(Duration::from_secs(20), || assert!(problems(&[file("a.yaml", &text)]).len() <= 1_001));
    }
}
