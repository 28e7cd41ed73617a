//! Envoy's RBAC: policies of permissions and principals decide alike, or less is allowed, and told.

use gatepass_tests::Scratch;

use super::super::cli::run;
use super::{Ask, Import, NOW, sample, told};

const CHECKOUT: &str = "spiffe://corp.example/ns/payments/sa/checkout";

#[test]
fn permissions_and_principals_decide_alike() {
    let import = Import::of("envoy", &sample("envoy.yaml"), &[]);
    assert_eq!(import.told.code, 0, "{}", import.told.err);
    let told = run(&import.scratch, &["check", "policy", "--at", NOW]);
    assert_eq!((told.code, told.err.as_str()), (0, ""), "{}", told.out);
    let elsewhere = "172.16.0.1:1";
    for (ask, says) in [
        (Ask::connect(CHECKOUT, "api.psp.example:443"), "+envoy/payments-psp"),
        (Ask::connect("spiffe://corp.example/ns/settlement/sa/x", "files.psp.example:443"), "+envoy/payments-psp"),
        (Ask::connect("spiffe://corp.example/ns/settlementx/sa/x", "files.psp.example:443"), "no_rule"),
        (Ask::connect("spiffe://corp.example/ns/payments/sa/other", "api.psp.example:443"), "no_rule"),
        (Ask::connect(CHECKOUT, "api.psp.example:80"), "no_rule"),
        (Ask::http(CHECKOUT, "api.psp.example:443", "GET", "/charges"), "+envoy/payments-psp-2"),
        (Ask::http(CHECKOUT, "api.psp.example:443", "GET", "/admin/keys"), "no_rule"),
        (Ask::http("anonymous", "a.b.docs.example:80", "GET", "/public/x"), "+envoy/docs"),
        (Ask::http("anonymous", "a.docs.example:80", "POST", "/public/x"), "no_rule"),
        (Ask::http("anonymous", "docs.example:80", "GET", "/public/x"), "no_rule"),
        (Ask::connect("anonymous", "a.docs.example:443"), "no_rule"),
        (Ask { source: elsewhere, ..Ask::connect(CHECKOUT, "db.mesh.example:8443") }, "+envoy/tls-only"),
        (Ask { source: elsewhere, ..Ask::connect(CHECKOUT, "db.mesh.example:8444") }, "no_rule"),
        (Ask { source: elsewhere, sni: None, ..Ask::connect(CHECKOUT, "db.mesh.example:8443") }, "no_rule"),
        (Ask { source: elsewhere, ..Ask::connect("token:a", "db.mesh.example:8443") }, "no_rule"),
        (Ask::connect(CHECKOUT, "db.mesh.example:8443"), "no_rule"),
        (Ask::connect("anonymous", "known.example:443"), "+envoy/regexes"),
        (Ask::connect("anonymous", "x.anything.example:443"), "no_rule"),
        (Ask::connect("spiffe://corp.example/ns/ops/sa/root", "any.example:443"), "no_rule"),
        // What is denied is denied whatever else allows it.
        (Ask::connect(CHECKOUT, "paste.example:443"), "guard/no-pastebins"),
        (Ask::connect(CHECKOUT, "a.paste.example:443"), "guard/no-pastebins"),
        (
            Ask { sni: Some("paste.example".into()), ..Ask::connect("anonymous", "known.example:443") },
            "guard/no-pastebins-2",
        ),
        (Ask { source: "10.66.1.1:1", ..Ask::connect("anonymous", "known.example:443") }, "guard/quarantine"),
    ] {
        assert_eq!(import.says(&ask), says, "{ask:?}");
    }
}

#[test]
fn each_policy_that_is_less_here_is_told_in_its_place() {
    let file = sample("envoy.yaml");
    let json = run(&Scratch::new(), &["import", "envoy", file.to_str().unwrap(), "--owner", "net@corp.test", "--json"]);
    let lines = told(&json);
    let keys: Vec<&str> = lines.keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        ["dropped envoy.yaml:67", "dropped envoy.yaml:70", "narrowed envoy.yaml:46", "note envoy.yaml:75"]
    );
    assert!(lines["dropped envoy.yaml:70"].contains("an allow for every host is not expressible"), "{lines:#?}");
}

#[test]
fn the_rules_of_one_filter_are_read_from_json_too() {
    let import = Import::of("envoy", &sample("envoy-rules.json"), &["--port", "443", "--strict"]);
    assert_eq!(import.told.code, 0, "{}", import.told.err);
    assert_eq!(import.says(&Ask::connect("dns:vendor-client.corp.example", "api.vendor.example:443")), "+envoy/vendor");
    assert_eq!(import.says(&Ask::connect("token:vendor-client.corp.example", "api.vendor.example:443")), "no_rule");
}

/// Rules of one filter, what is told of them, and what a connection to `good.example` from 10.1.2.3 then is.
const RULES: &[(&str, &str, &str)] = &[
    ("{policies: {p: {permissions: [{any: true}], principals: [{any: true}]}}}", "every host", "no_rule"),
    (
        "{action: LOG, policies: {p: {permissions: [{any: true}], principals: [{any: true}]}}}",
        "decides nothing",
        "no_rule",
    ),
    (
        "{action: DENY, policies: {p: {permissions: [{metadata: {}}], principals: [{any: true}]}}}",
        "more is denied",
        "guard/p",
    ),
    (
        "{action: DENY, policies: {p: {permissions: [{not_rule: {metadata: {}}}], principals: [{any: true}]}}}",
        "more is denied",
        "guard/p",
    ),
    (
        "{policies: {p: {permissions: [{header: {name: ':authority', exact_match: good.example}}], principals: [{metadata: {}}]}}}",
        "`metadata`",
        "no_rule",
    ),
    (
        "{policies: {p: {permissions: [{header: {name: ':authority', exact_match: good.example}}], principals: [{not_id: {metadata: {}}}]}}}",
        "`metadata`",
        "no_rule",
    ),
    (
        "{policies: {p: {permissions: [{header: {name: ':authority', exact_match: good.example}}], principals: [{any: true}], condition: {}}}}",
        "`condition`",
        "no_rule",
    ),
    (
        "{policies: {p: {permissions: [{header: {name: ':authority', exact_match: good.example}}], principals: []}}}",
        "nothing of `p` is left",
        "no_rule",
    ),
    (
        "{policies: {p: {permissions: [{header: {name: ':authority', suffix_match: good.example}}], principals: [{any: true}]}}}",
        "does not begin with a dot",
        "no_rule",
    ),
    (
        "{policies: {p: {permissions: [{header: {name: ':authority', prefix_match: good}}], principals: [{any: true}]}}}",
        "prefix of a host",
        "no_rule",
    ),
    (
        "{policies: {p: {permissions: [{header: {name: ':authority', contains_match: good}}], principals: [{any: true}]}}}",
        "part of a host",
        "no_rule",
    ),
    (
        "{policies: {p: {permissions: [{header: {name: x-team, exact_match: a}}], principals: [{any: true}]}}}",
        "not seen inside a tunnel",
        "no_rule",
    ),
    (
        "{policies: {p: {permissions: [{header: {name: ':authority', exact_match: other.example, invert_match: true}}], principals: [{any: true}]}}}",
        "every host",
        "no_rule",
    ),
    (
        "{policies: {p: {permissions: [{header: {name: ':authority', exact_match: good.example}}], principals: [{authenticated: {principal_name: {prefix: 'spiffe://corp'}}}]}}}",
        "whole segments",
        "no_rule",
    ),
    (
        "{policies: {p: {permissions: [{header: {name: ':authority', exact_match: good.example}}], principals: [{authenticated: {principal_name: {exact: 'CN=a'}}}]}}}",
        "never an identity",
        "no_rule",
    ),
    (
        "{policies: {p: {permissions: [{header: {name: ':authority', exact_match: good.example}}], principals: [{source_ip: {address_prefix: 10.0.0.0, prefix_len: 8}}]}}}",
        "",
        "+envoy/p",
    ),
    (
        "{policies: {p: {permissions: [{header: {name: ':authority', exact_match: good.example}}], principals: [{source_ip: {address_prefix: 10.0.0.0, prefix_len: {value: 16}}}]}}}",
        "",
        "no_rule",
    ),
    (
        "{policies: {p: {permissions: [{header: {name: ':authority', prefix_match: 'good.example:'}}], principals: [{any: true}]}}}",
        "",
        "+envoy/p",
    ),
    (
        "{action: NONSENSE, policies: {p: {permissions: [{any: true}], principals: [{any: true}]}}}",
        "none of `ALLOW`",
        "no_rule",
    ),
];

#[test]
fn whatever_is_not_understood_allows_nothing_and_denies_all_the_same() {
    for (rules, why, says) in RULES {
        let scratch = Scratch::new();
        let import = Import::of("envoy", &scratch.write("rbac.yaml", rules), &["--port", "443"]);
        let told = match &import.set {
            Some(_) => import.says(&Ask::connect("anonymous", "good.example:443")),
            None => "no_rule".to_owned(),
        };
        assert_eq!(told, *says, "{rules}\n{}", import.told.err);
        assert!(import.told.err.contains(why), "{rules}\n{}", import.told.err);
    }
}

#[test]
fn several_filters_that_allow_are_no_union() {
    let scratch = Scratch::new();
    let one = |host: &str| {
        format!(
            "{{rules: {{policies: {{p: {{permissions: [{{header: {{name: ':authority', exact_match: {host}}}}}], principals: [{{any: true}}]}}}}}}}}"
        )
    };
    let two = format!("filters: [{}, {}]\n", one("a.example"), one("b.example"));
    let import = Import::of("envoy", &scratch.write("envoy.yaml", two), &[]);
    assert!(import.set.is_none() && import.told.code == 1);
    assert!(import.told.err.contains("several filters that allow"), "{}", import.told.err);
    let told = run(&scratch, &["import", "envoy", scratch.write("none.yaml", "a: {b: [c]}\n").to_str().unwrap()]);
    assert_eq!(told.code, 1);
    assert!(told.err.contains("there is no RBAC filter in this file"), "{}", told.err);
}
