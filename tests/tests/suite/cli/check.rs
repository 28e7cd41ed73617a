//! `gatepass check`: everything that is wrong, at once and in its place.

use super::{AT, WEB, bundle, run};

const BROKEN: &str = "error: unknown key `colour`
  --> teams/web.yaml:8:5
   |
 8 |     colour: red
   |     ^^^^^^
";

const MISSPELT: &str = "error: `request.metod` is not an attribute
   --> teams/web.yaml:20:41
    |
 20 |     when: request.protocol == \"http\" && request.metod == \"GET\" && request.path.startsWith(\"/docs/\")
    |                                         ^^^^^^^^^^^^^
    = help: did you mean `request.method`?
";

const NOT_CANONICAL: &str = "error: `Docs.test` is not canonical
   --> teams/web.yaml:17:28
    |
 17 |     destinations: {hosts: [\"Docs.test\"], ports: [80]}
    |                            ^^^^^^^^^^^
    = help: write `docs.test`
";

fn broken() -> String {
    WEB.replace("purpose: call the API", "purpose: call the API\n    colour: red")
        .replace("\"docs.test\"", "\"Docs.test\"")
        .replace("request.method", "request.metod")
}

#[test]
fn a_good_bundle_is_ok() {
    let scratch = bundle(WEB);
    let told = run(&scratch, &[&["check", "policy"][..], &AT].concat());
    assert_eq!((told.code, told.out.as_str(), told.err.as_str()), (0, "ok 3 rules in 3 files, 0 warnings\n", ""));
    let told = run(&scratch, &[&["check", "policy", "--json"][..], &AT].concat());
    assert_eq!(told.code, 0);
    assert_eq!(told.json(), serde_json::json!({"valid": true, "rules": 3, "diagnostics": []}));
}

#[test]
fn a_broken_bundle_is_told_with_every_problem_in_its_place() {
    let told = run(&bundle(&broken()), &[&["check", "policy"][..], &AT].concat());
    assert_eq!((told.code, told.out.as_str()), (1, ""));
    for diagnostic in [BROKEN, NOT_CANONICAL, MISSPELT] {
        assert!(told.err.contains(diagnostic), "{diagnostic}\nis not in\n{}", told.err);
    }
    assert!(told.err.ends_with("nothing of this bundle would be used\n"), "{}", told.err);
    assert!(!told.err.contains('\u{1b}'), "colour where nobody sees it");
}

#[test]
fn one_mistake_is_one_diagnostic() {
    let told = run(&bundle(&broken()), &[&["check", "policy", "--json"][..], &AT].concat());
    assert_eq!(told.code, 1);
    let json = told.json();
    assert_eq!((json["valid"].as_bool(), json["rules"].as_u64()), (Some(false), None), "{json}");
    let messages: Vec<&str> =
        json["diagnostics"].as_array().unwrap().iter().map(|one| one["message"].as_str().unwrap()).collect();
    let wanted = ["unknown key `colour`", "`Docs.test` is not canonical", "`request.metod` is not an attribute"];
    assert_eq!(messages, wanted, "{json}");
    let first = &json["diagnostics"][0];
    let place = (first["file"].as_str(), first["line"].as_u64(), first["column"].as_u64(), first["length"].as_u64());
    assert_eq!(place, (Some("teams/web.yaml"), Some(8), Some(5), Some(6)), "{json}");
}

#[test]
fn an_expired_rule_is_a_warning_and_the_bundle_is_valid() {
    let told = run(&bundle(WEB), &["check", "policy", "--json", "--at", "2030-07-01T00:00:00Z"]);
    assert_eq!(told.code, 0, "{}{}", told.out, told.err);
    let json = told.json();
    assert_eq!(json["diagnostics"][0]["severity"], "warning", "{json}");
    assert!(json["diagnostics"][0]["message"].as_str().unwrap().contains("expired"), "{json}");
}

#[test]
fn what_cannot_be_read_is_another_exit_than_what_is_wrong() {
    let scratch = bundle(WEB);
    assert_eq!(run(&scratch, &["check", "nowhere"]).code, 3);
    assert_eq!(run(&scratch, &["check"]).code, 2);
    assert_eq!(run(&scratch, &["check", "policy", "--at", "yesterday"]).code, 2);
}
