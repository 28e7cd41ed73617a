//! `gatepass explain`: a decision without a gateway, with its whole trace.

use gatepass_tests::Scratch;

use super::{AT, Told, WEB, bundle, run};

fn explain(scratch: &Scratch, more: &[&str]) -> Told {
    run(scratch, &[&["explain", "policy", "--from", "token:ci"][..], &AT, more].concat())
}

const TO_API: [&str; 4] = ["--to", "api.test:443", "--answer", "93.184.216.34"];

fn api(scratch: &Scratch, more: &[&str]) -> Told {
    explain(scratch, &[&TO_API[..], more].concat())
}

const ALLOWED: &str = "ALLOW  token:ci -> api.test:443   at tls   allowed
  web/api lets token:ci reach api.test:443
  rule       web/api (web@example.com, until 2030-06-01)
             call the API

  guardrail  guard/names-agree: no
    yes      tls.present: true
    no       tls.sni != destination.host: api.test, wanted other than api.test
  allow      web/api: yes
    yes      identities: token:ci
    yes      destinations.hosts: api.test
    yes      destinations.ports: 443
    yes      data_classes.at_most: [unclassified]
    yes      expires: 2030-01-01T00:00:00Z
";

const DENIED: &str = "DENY  token:ci -> api.test:22   at request   no_rule
  no rule lets token:ci reach api.test:22
  nearest    web/api (web@example.com, until 2030-06-01)
             destinations.ports: 22 is not in [443]
  ask        gatepass exception request --to api.test:22 --for 24h --reason \"…\"

  guardrail  guard/names-agree: pending
    pending  tls.present: waits for tls.present (tls)
    pending  tls.sni != destination.host: waits for tls.sni (tls)
  allow      web/api: no
    yes      identities: token:ci
    yes      destinations.hosts: api.test
    no       destinations.ports: 22, wanted [443]
    yes      data_classes.at_most: [unclassified]
    yes      expires: 2030-01-01T00:00:00Z
";

const PENDING: &str = "PENDING  token:ci -> api.test:443   at resolved
  it hangs on what was not given
  waits for  tls.present, tls.sni

  guardrail  guard/names-agree: pending
    pending  tls.present: waits for tls.present (tls)
    pending  tls.sni != destination.host: waits for tls.sni (tls)
  allow      web/api: yes
    yes      identities: token:ci
    yes      destinations.hosts: api.test
    yes      destinations.ports: 443
    yes      data_classes.at_most: [unclassified]
    yes      expires: 2030-01-01T00:00:00Z
";

#[test]
fn an_allow_is_shown_with_its_trace() {
    let told = api(&bundle(WEB), &["--sni", "api.test"]);
    assert_eq!((told.code, told.out.as_str(), told.err.as_str()), (0, ALLOWED, ""));
}

#[test]
fn a_deny_is_shown_with_the_nearest_rule() {
    let told = explain(&bundle(WEB), &["--to", "api.test:22"]);
    assert_eq!((told.code, told.out.as_str(), told.err.as_str()), (1, DENIED, ""));
}

#[test]
fn a_pending_verdict_names_the_facts_that_it_hangs_on() {
    let scratch = bundle(WEB);
    let told = api(&scratch, &[]);
    assert_eq!((told.code, told.out.as_str(), told.err.as_str()), (1, PENDING, ""));
    let json = explain(&scratch, &["--to", "api.test:443", "--json"]).json();
    assert_eq!(json["effect"], "pending");
    assert_eq!(json["missing"], serde_json::json!(["dns.answers", "tls.present", "tls.sni"]));
    assert_eq!(json["trace"]["rules"][0]["path"], "guard/names-agree");
}

#[test]
fn facts_are_given_or_said_to_be_absent() {
    let scratch = bundle(WEB);
    for (more, code, first) in [
        (&["--sni", "API.test."][..], 0, "ALLOW  token:ci -> api.test:443   at tls   allowed"),
        (&["--sni", "evil.test"], 1, "DENY  token:ci -> api.test:443   at tls   guardrail"),
        (&["--no-sni"], 1, "DENY  token:ci -> api.test:443   at tls   guardrail"),
        (&["--no-tls"], 0, "ALLOW  token:ci -> api.test:443   at tls   allowed"),
        (&["--no-tls", "--data-class", "public"], 0, "ALLOW  token:ci -> api.test:443   at tls   allowed"),
        (&["--data-class", "public", "--data-class", "pci"], 1, "DENY  token:ci -> api.test:443   at"),
        (&["--no-tls", "--answer", "10.0.0.1"], 1, "DENY  token:ci -> api.test:443   at tls   address_floor"),
        (&["--at", "2030-06-01T00:00:00Z"], 1, ""),
    ] {
        let told = if more[0] == "--at" {
            let whole = [&["explain", "policy", "--from", "token:ci"][..], &TO_API, more].concat();
            let told = run(&scratch, &whole);
            assert!(
                told.out.starts_with("DENY  token:ci -> api.test:443   at resolved   rule_expired"),
                "{}",
                told.out
            );
            told
        } else {
            api(&scratch, more)
        };
        assert_eq!(told.code, code, "{more:?}: {}{}", told.out, told.err);
        assert!(told.out.starts_with(first), "{more:?}: {}", told.out);
    }
    let stranger =
        run(&scratch, &[&["explain", "policy", "--from", "anonymous", "--no-tls"][..], &AT, &TO_API].concat());
    assert!(stranger.out.contains("identities.id: anonymous is not token:ci"), "{}", stranger.out);
}

#[test]
fn method_and_path_mean_a_plain_request() {
    let scratch = bundle(WEB);
    let ask = |method: &str, path: &str| {
        let to = ["--to", "docs.test:80", "--answer", "93.184.216.34", "--method", method, "--path", path];
        explain(&scratch, &to)
    };
    assert_eq!(ask("GET", "/docs/a?b").code, 0);
    let told = ask("POST", "/docs/a");
    assert_eq!(told.code, 1);
    assert!(told.out.contains("request.method == \"GET\": POST is not GET"), "{}", told.out);
    assert_eq!(ask("GET", "/other").code, 1);
    let tunnel = explain(&scratch, &["--to", "docs.test:80", "--answer", "93.184.216.34", "--no-tls"]);
    assert_eq!(tunnel.code, 1, "{}", tunnel.out);
    assert_eq!(explain(&scratch, &["--to", "docs.test:80", "--method", "GET"]).code, 2);
}

#[test]
fn a_rule_is_printed_as_its_one_expression() {
    let scratch = bundle(WEB);
    let told = run(&scratch, &[&["explain", "policy", "--desugar", "web/api"][..], &AT].concat());
    let wanted = "identity.id == \"token:ci\" && destination.host == \"api.test\" && destination.port in [443] && \
        data_classes.all(c, c in [\"public\", \"unclassified\"]) && now < timestamp(\"2030-06-01T00:00:00Z\")\n";
    assert_eq!((told.code, told.out.as_str()), (0, wanted));
    let told = run(&scratch, &[&["explain", "policy", "--desugar", "web/none"][..], &AT].concat());
    assert_eq!(told.code, 2);
    assert!(told.err.contains("`web/none`"), "{}", told.err);
}

#[test]
fn a_mode_is_decided_in_and_told() {
    let scratch = bundle(WEB);
    let modes =
        "modes:\n  calm: {allow_when: 'destination.host == \"docs.test\"'}\n  lockdown: {allow_when: \"false\"}\n";
    scratch.write("policy/bundle.yaml", format!("{}{modes}", super::BUNDLE));
    let told = api(&scratch, &["--no-tls", "--mode", "calm"]);
    let wanted = "DENY  token:ci -> api.test:443   at tls   guardrail
  mode/calm forbids that token:ci reaches api.test:443: the mode `calm` allows only: destination.host == \"docs.test\"
  rule       mode/calm (platform@example.com)
             the mode `calm` allows only: destination.host == \"docs.test\"

  mode       mode/calm: yes
    no       destination.host == \"docs.test\": api.test, wanted docs.test
";
    assert_eq!(told.code, 1, "{}{}", told.out, told.err);
    assert!(told.out.starts_with(wanted), "{}", told.out);
    assert_eq!(
        api(&scratch, &["--no-tls", "--mode", "lockdown", "--json"]).json()["trace"]["rules"][0]["outcome"],
        "yes"
    );
    assert_eq!(api(&scratch, &["--no-tls", "--mode", "normal"]).code, 0);
    let told = api(&scratch, &["--no-tls", "--mode", "clam"]);
    let wanted = "error: `--mode clam`: the bundle has no such mode; it has `normal`, `calm`, `lockdown`\n";
    assert_eq!((told.code, told.err.as_str()), (2, wanted));
}

const EXCEPTIONS: &str = r#"apiVersion: gatepass/v1
kind: Exceptions
metadata: {id: exceptions, owner: platform@example.com}
exceptions:
  - id: trial
    permits: web
    identities: [{id: "token:ci"}]
    destinations: {hosts: ["mirror.test"], ports: [443]}
    data_classes: {at_most: [unclassified]}
    reason: a trial
    approved_by: [olga]
    expires: "2030-01-15T00:00:00Z"
"#;

#[test]
fn an_exception_of_the_bundle_is_in_the_trace() {
    let scratch = bundle(WEB);
    scratch.write("policy/exceptions.yaml", EXCEPTIONS);
    let told = explain(&scratch, &["--to", "mirror.test:443", "--answer", "93.184.216.34", "--no-tls"]);
    assert_eq!(told.code, 0, "{}{}", told.out, told.err);
    assert!(told.out.contains("\n  exception  exc"), "{}", told.out);
}

#[test]
fn json_is_the_record_with_a_trace() {
    let scratch = bundle(WEB);
    let json = api(&scratch, &["--sni", "api.test", "--json"]).json();
    assert_eq!((json["effect"].as_str(), json["rule"]["path"].as_str()), (Some("allow"), Some("web/api")), "{json}");
    assert!(json.get("nearest").is_none() && json.get("outcome").is_none(), "{json}");
    assert_eq!(json["trace"]["rules"].as_array().unwrap().len(), 2);
    let json = explain(&scratch, &["--to", "api.test:22", "--json"]).json();
    assert_eq!(json["reason"]["code"], "no_rule");
    assert_eq!(json["nearest"][0]["rule"], "web/api");
    assert_eq!(json["nearest"][0]["failed"][0]["wanted"], serde_json::json!([443]));
}

#[test]
fn questions_that_make_no_sense_are_usage() {
    let scratch = bundle(WEB);
    for more in [
        &["--to", "api.test"][..],
        &["--to", "api_test:443x"],
        &["--to", "api.test:443", "--data-class", "nope"],
        &["--to", "api.test:443", "--sni", "a", "--no-sni"],
        &["--to", "api.test:443", "--sni", "a", "--no-tls"],
        &["--to", "api.test:443", "--answer", "somewhere"],
        &[],
    ] {
        assert_eq!(explain(&scratch, more).code, 2, "{more:?}");
    }
    let broken = bundle(&WEB.replace("action: allow", "action: perhaps"));
    assert_eq!(api(&broken, &[]).code, 1);
    assert_eq!(run(&scratch, &["explain", "nowhere", "--from", "anonymous", "--to", "a.test:1"]).code, 3);
}
