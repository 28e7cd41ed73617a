//! What a broken file of tests is told, each in its place.

use super::{DEFAULTS, HEAD, NOW, at, place_and_message, tested};
use crate::compile;

/// The problems of a file of tests, and the help of each, without its name.
fn problems(text: &str) -> Vec<(String, String)> {
    let Err(found) = compile(&tested(text), at(NOW)) else { return Vec::new() };
    let told = found.iter().filter(|one| one.severity == crate::diagnostic::Severity::Error);
    let place = |text: String| text.strip_prefix("web.test.yaml:").map_or(text.clone(), str::to_owned);
    told.map(|one| (place(place_and_message(one)), one.help.clone().unwrap_or_default())).collect()
}

/// Those of a test with these facts and this expectation. The facts stand in line 12, the expectation in line 13.
fn of(facts: &str, more: &str, expect: &str) -> Vec<(String, String)> {
    let more = if more.is_empty() { String::new() } else { format!("    {more}\n") };
    problems(&format!("{HEAD}{DEFAULTS}tests:\n  - name: it\n    facts: {{{facts}}}\n    expect: {{{expect}}}\n{more}"))
}

#[test]
fn what_a_test_expects_must_be_there_and_able_to_come() {
    for (expect, message, help) in [
        ("", "13:13 this test expects nothing, so it cannot fail", "such as `effect: deny`"),
        ("effect: alow", "13:22 `alow` is not an effect", "did you mean `allow`?"),
        ("efect: allow", "13:14 unknown key `efect`", "did you mean `effect`?"),
        ("rule: web/apy", "13:20 the bundle has no rule `web/apy`", "did you mean `web/api`?"),
        ("rule: web/trial", "13:20 `web/trial` is in shadow and never decides", "write it under `shadow`"),
        ("rule: ex/lift", "13:20 `ex/lift` lifts a guardrail and never decides", "write it as `exception`"),
        ("reason: no_rul", "13:22 `no_rul` is not a reason", "did you mean `no_rule`?"),
        (
            "reason: dns_timeout",
            "13:22 `dns_timeout` is never the policy's reason",
            "it tells of what happens around a decision, and a test has the policy's answers only",
        ),
        ("stage: tsl", "13:21 `tsl` is not a stage", "did you mean `tls`?"),
        (
            "effect: allow, reason: no_rule",
            "13:13 `no_rule` is never the reason of `allow`",
            "in a table: `reason: unknown` takes away what the test says",
        ),
        (
            "effect: allow, nearest: {rule: web/api}",
            "13:13 `nearest` beside an allow",
            "what is allowed has no nearest rule",
        ),
        (
            "reason: guardrail, nearest: {rule: web/api}",
            "13:13 `nearest` beside the reason `guardrail`",
            "only `no_rule` and `rule_expired` tell the nearest rule",
        ),
        ("nearest: {failed: [expires]}", "13:23 `rule` is missing", "the path of the allow that comes nearest"),
        (
            "nearest: {rule: guard/guarded}",
            "13:30 `guard/guarded` never comes near",
            "only allows that are enforced do",
        ),
        (
            "nearest: {rule: web/api, failed: [destinations.port]}",
            "13:48 `web/api` has no clause `destinations.port`",
            "did you mean `destinations.ports`?",
        ),
        ("waits_for: [tls.snii]", "13:26 `tls.snii` is not an attribute", "did you mean `tls.sni`?"),
        (
            "effect: deny, waits_for: [tls.sni]",
            "13:13 `waits_for` beside another effect than `pending`",
            "what is decided waits for nothing",
        ),
        (
            "effect: pending, rule: web/api",
            "13:13 `rule` of a decision that is pending",
            "nothing has decided yet: leave it out",
        ),
        ("shadow: [web/api]", "13:23 `web/api` is not in shadow", "write it as `rule`"),
        ("exception: ex/permit", "13:25 `ex/permit` lifts no guardrail", "write it as `rule`"),
        ("effect: deny, exception: ex/lift", "13:13 `exception` beside `deny`", "it is told of what it lets through"),
    ] {
        assert_eq!(of("", "", expect), [(message.to_owned(), help.to_owned())], "{expect}");
    }
}

#[test]
fn facts_are_of_their_types_and_of_what_can_be() {
    let unknown = "take a default away with";
    let mut wrong = Vec::new();
    for (facts, message, help) in [
        ("destinaton: {port: 1}", "12:13 unknown key `destinaton`", "did you mean `destination`?"),
        ("destination: {port: \"443\"}", "12:33 a port is a number from 1 to 65535", "write it without quotes"),
        ("destination: {host: \"127.1\"}", "12:33 the host ends in a number", "expect `reason: invalid_request`"),
        ("dns: {answers: [8.8.8]}", "12:29 this is not an IP address", "such as"),
        ("dns: {answers: []}", "12:28 the list is empty", "name what is meant"),
        ("dns: {ttl: 3}", "12:19 unknown key `ttl`", "the keys of `dns` are answers, cname, min_ttl, secure"),
        ("dns: {min_ttl: 3s}", "12:28 a whole number is wanted here", "without quotes"),
        ("dns: {secure: yes}", "12:27 `true` or `false` is wanted here", ""),
        ("destination: {host: \"10.0.0.1\"}", "8:8 `dns` of the IP literal 10.0.0.1", unknown),
        ("tls: {sni: [a]}", "12:24 text is wanted here", ""),
        ("tls: {present: false}", "12:18 `tls.sni` where TLS is not present", "`sni: unknown`"),
        ("tls: {sni: unknown}", "12:18 `present` is missing", "`true` or `false`"),
        ("tls: {versions: [1.3]}", "12:30 `1.3` is not text", "quote it"),
        ("tls: {versions: [\"1.4\"]}", "12:30 `1.4` is not a version of TLS", "\"1.3\""),
        ("tls: {ja4: [a]}", "12:24 text is wanted here", ""),
        ("upstream: {dns_sans: [a.test]}", "12:23 `verified` is missing", "or `upstream: nothing`"),
        ("upstream: {verified: maybe}", "12:34 `true` or `false` is wanted here", ""),
        ("upstream: {verified: true, tls_version: \"3\"}", "12:53 `3` is not a version of TLS", "\"1.3\""),
        ("upstream: {verified: true, sni: a.test}", "12:40 unknown key `sni`", "`sni` is a key of `tls`"),
        (
            "tls: unknown, upstream: nothing",
            "12:37 `upstream` where the client's TLS is not given",
            "write `tls: {present: true}`",
        ),
        ("request: {protocol: htp}", "12:33 `htp` is not a protocol", "did you mean `http`?"),
        ("request: {method: GET}", "12:22 `request.method` without plain HTTP", "write `protocol: http`"),
        (
            "request: {protocol: http, method: GET, path: a}, tls: unknown",
            "12:58 `a` is not a path",
            "it begins with `/`",
        ),
        ("request: {protocol: http, method: GET, path: /a}", "9:8 a ClientHello on plain HTTP", unknown),
        (
            "request: {protocol: http, method: GET, path: /, headers: {Accept: a}}, tls: unknown",
            "12:71 `Accept` is not in lower case",
            "write `accept`",
        ),
        (
            "request: {protocol: http, method: GET, path: /, headers: {cookie: a}}, tls: unknown",
            "12:71 no rule ever sees the field `cookie`",
            "leave it out",
        ),
        ("identity: {id: unknown}", "12:23 nobody asks", "write `id` or `spiffe_id`"),
        ("identity: {id: shop}", "12:28 `shop` is not an identity", "an id is a SPIFFE URI"),
        ("identity: {id: \"token:*\"}", "12:28 `token:*` is a pattern, and one identity is wanted", "write out"),
        (
            "identity: {id: \"token:a\", method: mtls}",
            "12:47 `token:a` is never established by `mtls`",
            "`method: token`",
        ),
        ("identity: {method: mtlss}", "12:32 `mtlss` is not a method", "did you mean `mtls`?"),
        ("identity: {spiffe_id: \"token:a\", id: unknown}", "12:35 `token:a` is not a SPIFFE URI", "write it as `id`"),
        ("identity: {data_classes: [pii]}", "12:23 `data_classes` inside `identity`", "write it beside `identity`"),
        ("data_classes: [pi]", "12:28 `pi` is not a data class of this bundle", "did you mean `pii`?"),
        (
            "data_classes: [pii], declared: [public]",
            "12:44 `declared` beside `data_classes`",
            "leave `data_classes` out",
        ),
        ("source: {ip: 192.0.2.1}", "12:21 `port` is missing", "such as 40000"),
        ("listener: workloads", "12:23 `listener` is a mapping (`key: value`)", ""),
    ] {
        let found = of(facts, "", "effect: deny");
        let right = matches!(&found[..], [(told, helped)] if told.starts_with(message) && helped.contains(help));
        if !right {
            wrong.push(format!("{facts}: {found:?}\n"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.concat());
}

#[test]
fn the_rest_of_a_test_is_checked_too() {
    let grant = |more: &str| {
        format!("grants: [{{identities: [\"token:a\"], destinations: {{hosts: [a.test], ports: [443]}}, {more}}}]")
    };
    for (more, message, help) in [
        ("mode: calmm", "14:11 the bundle has no mode `calmm`", "did you mean `calm`?"),
        ("at: tomorrow", "14:9 this is not a moment in UTC", "RFC 3339"),
        (&grant("data_classes: [public]"), "14:14 `expires` is missing", "every grant ends"),
        (
            &grant("data_classes: [publik], expires: \"2030-01-01T01:00:00Z\""),
            "14:14 `publik` is not a data class of the policy",
            "a gateway would not take this grant",
        ),
        (
            &grant("data_classes: [public], expires: \"2030-01-01T01:00:00Z\"").replace("a.test", "\"**.test\""),
            "14:14 `destinations.hosts` of the grant: `**.test` is a whole top-level domain",
            "",
        ),
        (
            "colour: red",
            "14:5 unknown key `colour`",
            "the keys of a test are name, at, mode, facts, expect, grants, cases",
        ),
        ("cases: []", "14:12 the list is empty", "name what is meant, or leave the key out"),
        ("cases: [{grants: []}]", "14:14 unknown key `grants`", "`grants` is a key of a test"),
    ] {
        let found = of("", more, "effect: deny");
        assert_eq!(found.len(), 1, "{more}: {found:?}");
        assert!(found[0].0.starts_with(message) && found[0].1.contains(help), "{more}: {found:?}");
    }
}

#[test]
fn a_file_of_tests_says_when_it_is_and_tests_something() {
    let timeless = HEAD.replace("now: \"2030-01-01T00:00:00Z\"\n", "");
    let one = "tests: [{name: it, facts: {}, expect: {effect: allow}}]\n";
    let found = problems(&format!("{timeless}{DEFAULTS}{one}"));
    assert_eq!(found[0].0, "1:1 `now` is missing");
    assert!(found[0].1.contains("tests never read the clock"), "{found:?}");
    assert_eq!(problems(HEAD)[0].0, "1:1 nothing is tested here");
    let twice = problems(&format!("{HEAD}{DEFAULTS}{}", one.replace("}}]", "}}, {name: it, expect: {effect: deny}}]")));
    assert_eq!(twice[0].0, "10:64 another test of this file is called `it`");
    let table = "tests: [{name: it, cases: [{expect: {effect: allow}}, {name: \"it [1]\", expect: {effect: deny}}]}]\n";
    assert_eq!(
        problems(&format!("{HEAD}{DEFAULTS}{table}"))[0].0,
        "10:62 another test of this file is called `it [1]`"
    );
    let nobody = problems(&format!("{HEAD}{one}"));
    let missing: Vec<&str> = nobody.iter().map(|(message, _)| message.as_str()).collect();
    assert_eq!(missing, ["5:27 `identity` is missing", "5:27 `destination` is missing"]);
    let long = one.replace("name: it", &format!("name: {}", "x".repeat(201)));
    assert_eq!(problems(&format!("{HEAD}{DEFAULTS}{long}"))[0].0, "10:16 a name has at most 200 bytes");
}

#[test]
fn what_is_wrong_with_a_default_is_said_once() {
    let tests: String = (0..50).map(|at| format!("  - {{name: t{at}, expect: {{effect: allow}}}}\n")).collect();
    let defaults = DEFAULTS.replace("api.test}", "api.test, snii: x}");
    let found = problems(&format!("{HEAD}{defaults}tests:\n{tests}"));
    let messages: Vec<&str> = found.iter().map(|(message, _)| message.as_str()).collect();
    assert_eq!(messages, ["9:24 unknown key `snii`"]);
}

#[test]
fn invariants_are_checked_conditions() {
    let text = |condition: &str| format!("{HEAD}invariants:\n  - name: never\n    never_allow: {condition}\n");
    assert_eq!(problems(&text("destination.port == 25")), []);
    let found = problems(&text("destination.prt == 25 && destination.host == 1"));
    let messages: Vec<&str> = found.iter().map(|(message, _)| message.as_str()).collect();
    assert_eq!(messages[0], "7:18 `destination.prt` is not an attribute");
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[1].0.starts_with("7:43 "), "{found:?}");
    assert_eq!(problems(&format!("{HEAD}invariants: [{{name: never}}]\n"))[0].0, "5:14 `never_allow` is missing");
}

#[test]
fn the_policy_does_not_load_with_tests_that_are_wrong_and_does_with_tests_that_would_fail() {
    assert!(of("", "", "effect: deny").is_empty(), "it is allowed, which is for whoever runs it to tell");
    assert_eq!(of("", "", "rule: web/none").len(), 1);
}

#[test]
fn tests_are_bounded() {
    let limits = crate::limits::Limits { tests: 3, test_bytes: 400, ..crate::limits::Limits::STANDARD };
    let within = |text: &str| match crate::compile::compile_within(&tested(text), at(NOW), &limits) {
        Ok(_) => Vec::new(),
        Err(found) => found.iter().map(|one| one.message.clone()).collect::<Vec<_>>(),
    };
    let tests = |count: usize| -> String {
        (0..count).map(|at| format!("  - {{name: t{at}, expect: {{effect: allow}}}}\n")).collect()
    };
    assert!(within(&format!("{HEAD}{DEFAULTS}tests:\n{}", tests(3))).is_empty());
    assert_eq!(within(&format!("{HEAD}{DEFAULTS}tests:\n{}", tests(4)))[0], "more than 3 tests");
    let long = DEFAULTS.replace("[\"8.8.8.8\"]", &format!("[{}]", "\"8.8.8.8\", ".repeat(20)));
    assert_eq!(within(&format!("{HEAD}{long}tests:\n{}", tests(1)))[0], "more than 400 bytes for one test");
    let mut two = tested(&format!("{HEAD}{DEFAULTS}tests:\n{}", tests(2)));
    let more = String::from_utf8(two.last().unwrap().text.clone()).unwrap().replace("web-tests", "more-tests");
    two.push(super::file("more.test.yaml", &more));
    let found = crate::compile::compile_within(&two, at(NOW), &limits).unwrap_err();
    assert_eq!(found[0].message, "more than 3 tests in the bundle");
}
