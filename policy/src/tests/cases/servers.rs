//! Tests of policy whose facts are what a server proves, and what a hello looks like.

use super::{HEAD, NOW, allow, at, deny, file, files};
use crate::compile;

const PRINT: &str = "t13d1516h2_8daaf6152771_e5627efa2ab1";

/// What each test of this file says that came differently, as `name: field`.
#[track_caller]
fn wrong(tests: &str) -> Vec<String> {
    let rules = allow(
        "api",
        "hosts: [\"api.test\"], ports: [443]",
        "when: upstream.verified && upstream.dns_sans.exists(n, n == destination.host)",
    ) + &allow("old", "hosts: [\"old.test\"], ports: [443]", "when: upstream.tls_version == \"1.2\"")
        + &deny("odd", &format!("destinations: {{hosts: [\"api.test\"]}}\nwhen: tls.ja4 == \"{PRINT}\""));
    let mut files = files(&rules, "");
    let defaults = "defaults:
  identity: {id: \"spiffe://t.test/ns/web/sa/shop\"}
  destination: {host: api.test, port: 443}
  dns: {answers: [\"8.8.8.8\"]}
  tls: {sni: api.test, ja4: t13d_other}
  upstream: {verified: true, dns_sans: [api.test]}
";
    files.push(file("web.test.yaml", &format!("{HEAD}{defaults}tests:\n{tests}")));
    let compiled = compile(&files, at(NOW)).unwrap_or_else(|found| panic!("{found:?}"));
    let cases = compiled.tests.iter().flat_map(|suite| &suite.cases);
    let ran = cases.flat_map(|case| case.run(&compiled.set).mismatches.into_iter().map(|one| (&*case.name, one)));
    ran.map(|(name, one)| format!("{name}: {} is {}", one.field, one.got)).collect()
}

#[test]
fn what_a_server_proves_is_a_fact_of_a_test() {
    let found = wrong(
        "  - {name: proof, expect: {effect: allow, rule: web/api, stage: certificate}}
  - {name: no proof, facts: {upstream: {verified: false}}, expect: {effect: deny, reason: no_rule, stage: certificate}}
  - {name: another name, facts: {upstream: {dns_sans: [other.test]}}, expect: {effect: deny, reason: no_rule}}
  - {name: no certificate, facts: {upstream: nothing}, expect: {effect: deny, stage: certificate}}
  - {name: not asked yet, facts: {upstream: unknown}, expect: {effect: pending, waits_for: [upstream.verified, upstream.dns_sans]}}
  - {name: an old version, facts: {destination: {host: old.test}, upstream: {tls_version: \"1.2\"}}, expect: {rule: web/old}}
  - {name: of no version, facts: {destination: {host: old.test}}, expect: {effect: pending, waits_for: [upstream.tls_version]}}
",
    );
    assert_eq!(found, [""; 0]);
    let found = wrong(
        "  - {name: no proof, facts: {upstream: {verified: false}}, expect: {effect: allow}}
  - {name: not asked yet, facts: {upstream: unknown}, expect: {effect: allow}}
",
    );
    assert_eq!(found, ["no proof: effect is deny", "not asked yet: effect is pending"]);
}

#[test]
fn the_fingerprint_of_the_hello_is_a_fact_of_a_test() {
    let odd = format!("facts: {{tls: {{ja4: {PRINT}}}}}");
    let found = wrong(&format!(
        "  - {{name: an odd hello, {odd}, expect: {{effect: deny, reason: team_deny, rule: web/odd, stage: tls}}}}
  - {{name: not known, facts: {{tls: {{ja4: unknown}}}}, expect: {{effect: pending, waits_for: [tls.ja4]}}}}
"
    ));
    assert_eq!(found, [""; 0]);
    assert_eq!(
        wrong(&format!("  - {{name: an odd hello, {odd}, expect: {{effect: allow}}}}\n")),
        ["an odd hello: effect is deny"]
    );
}
