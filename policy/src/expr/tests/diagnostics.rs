//! Every diagnostic: where it points, what it says, how it helps.

use super::super::Expr;

/// The problems of a text, each as the part it points at, its message and its help.
fn problems(text: &str) -> Vec<(&str, String, String)> {
    let problems = Expr::parse(text).expect_err(text);
    problems.into_iter().map(|p| (&text[p.range], p.message, p.help.unwrap_or_default())).collect()
}

/// Each text has one problem, at this part, whose message and help contain these words.
fn each(rows: &[(&str, &str, &str, &str)]) {
    for (text, part, message, help) in rows {
        let found = problems(text);
        let [(at, said, helped)] = found.as_slice() else { panic!("{text}: {found:?}") };
        assert_eq!(at, part, "{text}: {said}");
        assert!(said.contains(message), "{text}: {said}");
        assert!(helped.contains(help), "{text}: {helped}");
        assert!(!help.is_empty() || helped.is_empty(), "{text}: {helped}");
    }
}

#[test]
fn unknown_names_are_told_with_the_nearest_known_one() {
    each(&[
        (
            "destination.prt == 443",
            "destination.prt",
            "`destination.prt` is not an attribute",
            "did you mean `destination.port`?",
        ),
        ("tls.frob", "tls.frob", "is not an attribute", "under `tls` there are `tls.present`, `tls.sni`"),
        ("tls == null", "tls", "`tls` is not an attribute", "under `tls` there are"),
        ("zebra == 1", "zebra", "`zebra` is not an attribute", "the attributes are `source.ip`"),
        ("tls.sni.length == 1", "tls.sni.length", "`tls.sni` is string or null and has no part `length`", ""),
        ("destination.tags.exists(t, t.x == 1)", "t.x", "`t` is string and has no parts", ""),
        ("identity.labels['a'].b == 'x'", "identity.labels['a'].b", "`.b` selects nothing", ""),
        ("destination.host.endswith('.x.com')", "endswith", "`endswith` is not a method", "did you mean `endsWith`?"),
        ("resolve(destination.host) == 1", "resolve", "`resolve` is not a function", "the functions are `cidr`"),
        ("source.ip.family() == 4", "family", "`family` is not supported yet", ""),
        ("source.ip.isGlobalUnicast()", "isGlobalUnicast", "is not a method", "write `isGlobal()`"),
        ("destination.tags.exists(tls, true)", "destination.tags", "`tls` is the name of an attribute", ""),
    ]);
}

#[test]
fn types_are_checked_at_load() {
    each(&[
        (
            "destination.port == \"443\"",
            "\"443\"",
            "`destination.port` is int and `\"443\"` is string",
            "write `443` without quotes",
        ),
        ("source.ip == '10.0.0.1'", "'10.0.0.1'", "is IP address", "write `ip(\"10.0.0.1\")`"),
        ("now < '2030-01-01T00:00:00Z'", "'2030-01-01T00:00:00Z'", "is timestamp", "write `timestamp("),
        ("destination.host == null", "destination.host == null", "`destination.host` is string and never null", ""),
        ("destination.tags == 'x'", "'x'", "do not compare", "write `… in …`"),
        ("destination.port", "destination.port", "is int, where a condition is needed", ""),
        ("tls.sni", "tls.sni", "is string or null, where a condition is needed", "write `tls.sni != null`"),
        ("tls.present && 1", "1", "`1` is int, where a condition is needed", ""),
        ("!destination.host", "destination.host", "is string, where a condition is needed", ""),
        ("-destination.host == 'x'", "-destination.host", "`-` needs int", ""),
        ("destination.host + 'x' == 'y'", "destination.host + 'x'", "`+` does not join string and string", ""),
        ("tls.ech < true", "tls.ech < true", "do not compare", ""),
        ("1 in destination.tags", "1 in destination.tags", "it cannot be in there", ""),
        (
            "source.ip in cidr('10.0.0.0/8')",
            "source.ip in cidr('10.0.0.0/8')",
            "it cannot be in there",
            "write `cidr('10.0.0.0/8').containsIP(source.ip)`",
        ),
        ("(tls.ech ? 1 : 'x') == 1", "tls.ech ? 1 : 'x'", "the two sides of `:` differ: int and string", ""),
        ("destination.port.exists(p, p == 1)", "destination.port", "is int, where a list is needed", ""),
        ("destination.port.startsWith('4')", "destination.port", "is int, where text is needed", ""),
        ("destination.tags.contains('x')", "destination.tags", "where text is needed", "look for one with `in`"),
        ("size(now) == 1", "now", "has no size", ""),
        ("dns.answers.isGlobal()", "dns.answers", "where IP address is needed", "`dns.answers.all(a, …)`"),
        (
            "cidr('10.0.0.0/8').containsIP('10.0.0.1')",
            "'10.0.0.1'",
            "where IP address is needed",
            "write `ip(\"10.0.0.1\")`",
        ),
        ("tls.sni.startsWith()", "startsWith", "`startsWith` does not take 0 arguments", ""),
        ("has(tls.sni)", "has(tls.sni)", "has() asks about a key of a map", "write `tls.sni != null`"),
        ("has(destination.host)", "has(destination.host)", "has() asks about a key of a map", "is always there"),
        ("has(destination.tags.x)", "destination.tags", "where a map is needed", "`exists`, `all` or `in`"),
        ("identity.labels[1] == 'x'", "1", "where text is needed", ""),
        ("1 in []", "[]", "the list is empty", ""),
        ("1 in [1, 'x']", "[1, 'x']", "must be of one type", ""),
        ("destination.host in [tls.sni]", "tls.sni", "cannot be an element of a list", "literals"),
        ("now.getHours('Europe/Paris') > 1", "'Europe/Paris'", "takes no time zone", ""),
        (
            "request.headers['X-Team'] == 'a'",
            "request.headers['X-Team']",
            "known by lower-case names",
            "write `x-team`",
        ),
        ("'X-Team' in request.headers", "'X-Team'", "known by lower-case names", "write `x-team`"),
        (
            "request.protocol == 'https'",
            "'https'",
            "`request.protocol` is never `https`",
            "`connect`, `http`, `transparent`",
        ),
        ("identity.method in ['mtls', 'mTLS']", "'mTLS'", "`identity.method` is never `mTLS`", "it is one of"),
    ]);
}

#[test]
fn hosts_are_compared_in_their_one_spelling() {
    each(&[
        (
            "destination.host == 'API.Stripe.com'",
            "'API.Stripe.com'",
            "not the canonical spelling",
            "write `api.stripe.com`",
        ),
        ("'stripe.com.' != tls.sni", "'stripe.com.'", "not the canonical spelling", "write `stripe.com`"),
        ("destination.host in ['a.test', 'B.test']", "'B.test'", "not the canonical spelling", "write `b.test`"),
        ("destination.host == '[2001:db8::1]'", "'[2001:db8::1]'", "not the canonical spelling", "write `2001:db8::1`"),
        ("destination.host == '2001:DB8::1'", "'2001:DB8::1'", "not the canonical spelling", "write `2001:db8::1`"),
        (
            "destination.host == '::ffff:192.0.2.1'",
            "'::ffff:192.0.2.1'",
            "not the canonical spelling",
            "write `192.0.2.1`",
        ),
        ("destination.host == 'bücher.example'", "'bücher.example'", "is not a host", "write `xn--bcher-kva.example`"),
        ("destination.host == '*.x.test'", "'*.x.test'", "is not a host", "`.within(\"x.test\")`"),
        (
            "destination.host == 'x.test:443'",
            "'x.test:443'",
            "is not a host",
            "compare the port with `destination.port`",
        ),
        ("destination.host == '127.1'", "'127.1'", "ends in a number", ""),
        ("dns.cname.exists(c, c == 'X.test')", "'X.test'", "not the canonical spelling", "write `x.test`"),
        ("destination.registered_domain == 'X.test'", "'X.test'", "not the canonical spelling", "write `x.test`"),
        ("destination.host.startsWith('API.')", "'API.'", "begins no host", ""),
    ]);
}

#[test]
fn parts_of_hosts_are_asked_on_label_boundaries() {
    each(&[
        (
            "destination.host.endsWith('stripe.com')",
            "'stripe.com'",
            "also ends names such as `evilstripe.com`",
            "destination.host.within(\"stripe.com\")",
        ),
        (
            "tls.sni.endsWith(destination.host)",
            "destination.host",
            "off a label boundary",
            "write `tls.sni.within(destination.host)`",
        ),
        (
            "destination.host.endsWith('.Stripe.com')",
            "'.Stripe.com'",
            "not the canonical spelling",
            "write `stripe.com`",
        ),
        (
            "destination.host.contains('stripe')",
            "destination.host.contains('stripe')",
            "contains() on a host",
            "within",
        ),
        ("destination.host.within('.x.test')", "'.x.test'", "begins with a dot", "write `x.test`"),
        ("destination.host.within('10.0.0.1')", "'10.0.0.1'", "nothing is within one", ""),
        ("destination.host.within('*.x.test')", "'*.x.test'", "is not a host", "within(\"x.test\")"),
        ("request.path.within('x.test')", "request.path", "is not a host name", ""),
        ("destination.host.within(identity.id)", "identity.id", "is not a host name", ""),
    ]);
    for pattern in ["api", "^api", "api$", "^a|b$", "(?m)^a$", "^a$|b"] {
        let text = format!("destination.host.matches('{pattern}')");
        let found = problems(&text);
        assert!(found.len() == 1 && found[0].1.contains("in the middle"), "{pattern}: {found:?}");
    }
    for good in ["^api[.]x[.]test$", "^(a|b)$", "^a$|^b$"] {
        Expr::parse(&format!("matches(tls.sni, '{good}')")).unwrap();
    }
    Expr::parse("request.path.matches('charges')").unwrap();
}

#[test]
fn literals_are_read_at_load() {
    each(&[
        ("source.ip == ip('10.0.0.256')", "'10.0.0.256'", "is not an IP address", ""),
        ("source.ip == ip('::ffff:10.0.0.1')", "'::ffff:10.0.0.1'", "IPv4 address in IPv6 clothes", "write `10.0.0.1`"),
        (
            "cidr('10.0.0.1/8').containsIP(source.ip)",
            "'10.0.0.1/8'",
            "has bits beyond its length",
            "write `10.0.0.0/8`, or `10.0.0.1/32`",
        ),
        ("cidr('10.0.0.0').containsIP(source.ip)", "'10.0.0.0'", "is not a network", "such as `192.0.2.0/24`"),
        (
            "cidr('::ffff:10.0.0.0/104').containsIP(source.ip)",
            "'::ffff:10.0.0.0/104'",
            "IPv4 network in IPv6 clothes",
            "IPv4",
        ),
        ("now < timestamp('2030-01-01')", "'2030-01-01'", "is not a moment", "such as `2027-06-30T00:00:00Z`"),
        ("now < timestamp('2030-01-01T00:00:00+01:00')", "'2030-01-01T00:00:00+01:00'", "is not a moment", "in UTC"),
        ("now < timestamp('2030-02-30T00:00:00Z')", "'2030-02-30T00:00:00Z'", "is not a moment", "in UTC"),
        ("now - identity.cert_expires < duration('1 hour')", "'1 hour'", "is not a length of time", "such as `1h30m`"),
        ("source.ip == ip(destination.host)", "destination.host", "`ip()` takes a text literal", ""),
        ("request.path.matches('(')", "'('", "this is not a pattern: unclosed group", ""),
        ("request.path.matches(request.query)", "request.query", "a pattern is a text literal", ""),
        ("request.path.matches('(a{1000}){1000}')", "'(a{1000}){1000}'", "takes more than 256 KiB", "repetitions"),
    ]);
}

#[test]
fn what_cel_has_and_this_language_has_not_is_named() {
    each(&[
        ("destination.port == 1u", "1u", "an unsigned number is not part", ""),
        ("destination.port == 1.0", "1.0", "a number with a fraction is not part", ""),
        ("destination.host == b'x'", "b'x'", "a literal of bytes is not part", ""),
        ("destination.port / 2 == 1", "destination.port / 2", "division is not part", ""),
        ("destination.port % 2 == 1", "destination.port % 2", "the remainder of a division is not part", ""),
        ("'a' in {'a': 1}", "{'a': 1}", "a map literal is not part", ""),
        ("size([1].map(x, x)) == 1", "[1].map(x, x)", "a macro that makes a list is not part", ""),
    ]);
}

#[test]
fn syntax_errors_point_at_the_word() {
    each(&[
        ("", "", "the expression is empty", ""),
        ("// nothing", "// nothing", "the expression is empty", ""),
        ("destination.port = 443", "=", "`=` compares nothing", "write `==`"),
        ("tls.ech & tls.present", "&", "`&` is no operator", "write `&&`"),
        ("tls.ech | tls.present", "|", "`|` is no operator", "write `||`"),
        ("tls.ech and tls.present", "and", "`and` is no operator", "write `&&`"),
        ("tls.ech &&", "", "the expression ends too early", ""),
        ("(tls.ech", "(", "never closed", ""),
        ("tls.ech)", ")", "closes nothing", ""),
        ("destination.host == 'x", "'", "never closed", ""),
        ("destination.host == @x", "@", "`@` has no meaning here", ""),
        ("tls.ech # why", "#", "`#` has no meaning here", ""),
        ("if == 1", "if", "reserved", ""),
        ("99999999999999999999 == 1", "99999999999999999999", "invalid int literal", ""),
    ]);
}

#[test]
fn all_problems_are_told_in_the_order_of_the_text() {
    let text = "destination.prt == 1 && destination.port == '443' || foo(tls.ja4) && 'é' in tls.alpn && destination.host == 'X.test'";
    let parts: Vec<&str> = problems(text).into_iter().map(|(part, _, _)| part).collect();
    assert_eq!(parts, ["destination.prt", "'443'", "foo", "'X.test'"]);
    let ranges: Vec<_> = Expr::parse("'é' == 1 || tls.x").unwrap_err().into_iter().map(|p| p.range).collect();
    assert_eq!(ranges, [0..4, 13..18], "ranges count bytes");
}

#[test]
fn one_level_of_macros_is_allowed() {
    each(&[(
        "destination.tags.exists(t, data_classes.exists(d, d == t))",
        "data_classes",
        "one level is allowed",
        "split it into several rules",
    )]);
    Expr::parse("destination.tags.exists(t, t == 'a') && data_classes.all(t, t == 'b')").unwrap();
}
