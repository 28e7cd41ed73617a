//! `gatepass check`: everything that is wrong, at once and in its place.

use gatepass_tests::Scratch;

use super::{AT, BUNDLE, WEB, bundle, run, run_in};

const BROKEN: &str = "error: unknown key `colour`
  --> teams/web.yaml:8:5
   |
 8 |     colour: red
   |     ^^^^^^
   = why: what a misspelt key says would be dropped, a deny as well
   = help: the keys of a rule are id, action, ";

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
    = why: a host has one spelling in a decision, and another one would match nothing
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
    assert_eq!(first["why"], "what a misspelt key says would be dropped, a deny as well", "{json}");
    assert_eq!(json["diagnostics"][2]["help"], "did you mean `request.method`?", "{json}");
    assert_eq!(first["related"], serde_json::Value::Null, "{json}");
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

/// A repository with the bundle of these rules in `egress/policy`.
fn repository(web: &str) -> Scratch {
    let scratch = Scratch::new();
    scratch.write(".git/HEAD", "ref: refs/heads/main\n");
    scratch.write("egress/policy/bundle.yaml", BUNDLE);
    scratch.write("egress/policy/teams/web.yaml", web);
    scratch
}

#[test]
fn annotations_name_files_as_the_repository_does() {
    let twice = "  - id: api\n    action: deny\n    purpose: \"a, b: 100%\"\n    destinations: {hosts: [\"x.test\"]}\n";
    let scratch = repository(&format!("{}{twice}", broken()));
    let wanted = "\
::error file=egress/policy/teams/web.yaml,line=8,col=5,endColumn=11,title=gatepass check::unknown key `colour`%0A\
why: what a misspelt key says would be dropped, a deny as well%0Ahelp: the keys of a rule are ";
    let again = "\
::error file=egress/policy/teams/web.yaml,line=21,col=9,endColumn=12,title=gatepass check::another rule of this file \
has the id `api`%0Awhy: a path in a record must name one thing%0Ahelp: give each rule an id of its own%0A\
first written here: egress/policy/teams/web.yaml:5";
    for (work, bundle) in [("", "egress/policy"), ("egress", "policy"), ("egress/policy/teams", "..")] {
        let arguments = [&["check", bundle, "--format", "github"][..], &AT].concat();
        let told = run_in(&scratch.path().join(work), &arguments);
        assert_eq!(told.code, 1, "{work}: {}{}", told.out, told.err);
        let lines: Vec<&str> = told.out.lines().collect();
        assert_eq!(lines.len(), 4, "{work}: a line for each: {}", told.out);
        assert!(lines[0].starts_with(wanted), "{work}: {}", lines[0]);
        assert_eq!(lines[3], again, "{work}");
        assert_eq!(told.err, "refused 4 errors, 0 warnings; nothing of this bundle would be used\n", "{work}");
    }
}

#[test]
fn annotations_tell_of_files_that_are_not_read_as_well() {
    let scratch = repository(WEB);
    scratch.write("egress/policy/.deny.yaml", "kind: Fragment\n");
    let told = run(&scratch, &["check", "egress/policy", "--format", "github"]);
    let wanted = "::error file=egress/policy/.deny.yaml,title=gatepass check::a hidden file is not read: rename it, or \
        move it out of the bundle\n";
    assert_eq!((told.code, told.out.as_str()), (1, wanted), "{}", told.err);
}

#[test]
fn a_good_bundle_needs_no_annotation_and_a_warning_is_one() {
    let scratch = repository(WEB);
    let ask = |at: &str| run(&scratch, &["check", "egress/policy", "--format", "github", "--at", at]);
    let good = ask("2030-01-01T00:00:00Z");
    assert_eq!((good.code, good.out.as_str()), (0, "ok 2 rules in 2 files, 0 warnings\n"), "{}", good.err);
    let expired = ask("2030-06-02T00:00:00Z");
    let line = "::warning file=egress/policy/teams/web.yaml,line=11,col=14,endColumn=36,title=gatepass check::`api` has \
        expired%0Ahelp: it allows nothing any more: renew it or delete it\n";
    assert_eq!(expired.code, 0, "{}", expired.err);
    assert!(expired.out.starts_with(line), "{}", expired.out);
    assert_eq!(run(&scratch, &["check", "egress/policy", "--format", "xml"]).code, 2);
    assert_eq!(run(&scratch, &["check", "egress/policy", "--format", "text", "--json"]).code, 2);
}
