//! What scripts and people rely on: commands with their exit codes and JSON, and every field of an answer.

use std::process::{Command, Output};

use gatepass_tests::bundle::in_hours;
use gatepass_tests::gateway::binary;
use gatepass_tests::{Bundle, Client, Gateway, Reply, Setup, identities};
use serde_json::Value;

/// Run the binary in the setup's directory, without anything of this environment that it would listen to.
fn run(setup: &Setup, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    for name in ["HTTPS_PROXY", "https_proxy", "GATEPASS_ADMIN", "GATEPASS_TOKEN"] {
        command.env_remove(name);
    }
    command.args(arguments).current_dir(setup.scratch.path()).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no JSON: {output:?}"))
}

/// The keys of an object in the order in which they are written.
fn keys(text: &str) -> Vec<String> {
    let value: Value = serde_json::from_str(text).unwrap();
    value.as_object().unwrap().keys().cloned().collect()
}

fn on_disk(bundle: &Bundle) -> Setup {
    let setup = Setup::new();
    setup.bundle(bundle);
    setup
}

fn asking_sni() -> Bundle {
    Bundle::new().rule(&format!(
        "  - id: web\n    action: allow\n    purpose: a test\n    anyone: true\n    destinations: {{hosts: [\"api.test\"], ports: [443]}}\n    data_classes: {{at_most: [unclassified]}}\n    expires: \"{}\"\n    when: tls.sni == destination.host\n",
        in_hours(24)
    ))
}

#[test]
fn a_check_answers_by_its_exit_code_and_in_json() {
    let setup = on_disk(&Bundle::new());
    let good = run(&setup, &["check", "policy", "--json"]);
    assert_eq!((code(&good), &json(&good)["valid"]), (0, &Value::Bool(true)));
    let rule =
        "apiVersion: gatepass/v1\nkind: Fragment\nmetadata: {id: team}\nrules:\n  - id: web\n    inspect: required\n";
    setup.scratch.write("policy/teams/team.yaml", rule);
    let bad = run(&setup, &["check", "policy", "--json"]);
    let told = json(&bad);
    let of = |found: &&Value| found["message"].as_str().unwrap().contains("not supported yet");
    let later = told["diagnostics"].as_array().unwrap().iter().find(of).unwrap_or_else(|| panic!("{told}"));
    assert_eq!((code(&bad), &json(&bad)["valid"]), (1, &Value::Bool(false)));
    assert_eq!((&later["file"], &later["line"], &later["column"]), (&"teams/team.yaml".into(), &6.into(), &14.into()));
    std::fs::create_dir(setup.scratch.path().join("empty")).unwrap();
    let empty = run(&setup, &["check", "empty", "--json"]);
    assert_eq!((code(&empty), &json(&empty)["valid"]), (1, &Value::Bool(false)), "a directory that is no bundle");
    assert_eq!(code(&run(&setup, &["check", "nowhere"])), 3, "nothing could be checked");
    assert_eq!(code(&run(&setup, &["check"])), 2);
}

#[test]
fn an_explanation_in_json_is_the_decision_record_with_a_trace() {
    let setup = on_disk(&asking_sni());
    let ask = |more: &[&str]| {
        let arguments = ["explain", "policy", "--from", "anonymous", "--to", "api.test:443", "--json"];
        run(&setup, &[&arguments, more].concat())
    };
    let open = ask(&[]);
    let shape = "schema kind time effect mode stage identity data_classes data_classes_from destination request policy";
    let pending: Vec<&str> = shape.split(' ').chain(["missing", "trace"]).collect();
    assert_eq!((code(&open), keys(&text(&open))), (1, pending.iter().map(ToString::to_string).collect()));
    assert_eq!((&json(&open)["effect"], &json(&open)["missing"][1]), (&"pending".into(), &"tls.sni".into()));
    let allowed = ask(&["--answer", "3.18.12.63", "--sni", "api.test"]);
    assert_eq!((code(&allowed), &json(&allowed)["rule"]["path"]), (0, &"team/web".into()));
    let denied = ask(&["--answer", "3.18.12.63", "--no-sni"]);
    assert_eq!((code(&denied), &json(&denied)["reason"]["code"]), (1, &"no_rule".into()));
    assert_eq!(json(&denied)["nearest"][0]["rule"], "team/web");
    let closed = ask(&["--answer", "169.254.169.254", "--sni", "api.test"]);
    assert_eq!((code(&closed), &json(&closed)["reason"]["code"]), (1, &"address_floor".into()));
    assert_eq!((json(&closed).get("nearest"), json(&closed)["trace"].get("nearest")), (None, None));
}

#[test]
fn an_explanation_for_people_begins_with_the_verdict_and_ends_its_last_line() {
    let setup = on_disk(&asking_sni());
    let denied = run(&setup, &["explain", "policy", "--from", "anonymous", "--to", "api.test:22"]);
    let text = text(&denied);
    assert_eq!(code(&denied), 1);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "DENY  anonymous -> api.test:22   at request   no_rule");
    assert_eq!(lines[1].trim_start(), "no rule lets anonymous reach api.test:22");
    assert!(lines[2].starts_with("  nearest    team/web (owner@example.com, until "), "{text}");
    assert_eq!(lines[3].trim_start(), "destinations.ports: 22 is not in [443]");
    assert!(text.ends_with('\n') && !text.contains("00000000-"), "{text}");
}

#[test]
fn questions_that_make_no_sense_are_usage_errors() {
    let setup = on_disk(&asking_sni());
    for (from, to) in
        [("me", "api.test:443"), ("token:*", "api.test:443"), ("anonymous", "api.test"), ("anonymous", "a..b:1")]
    {
        let output = run(&setup, &["explain", "policy", "--from", from, "--to", to]);
        assert_eq!((code(&output), text(&output)), (2, String::new()), "{from} {to}");
    }
    for arguments in [&["explain", "policy"][..], &["frobnicate"], &["grant"], &["why"], &["serve", "--confg", "x"]] {
        assert_eq!(code(&run(&setup, arguments)), 2, "{arguments:?}");
    }
    let unknown = run(&setup, &["explain", "policy", "--desugar", "team/other"]);
    assert_eq!(code(&unknown), 2);
    let known = run(&setup, &["explain", "policy", "--desugar", "team/web", "--json"]);
    assert_eq!((code(&known), &json(&known)["rule"]), (0, &"team/web".into()));
    assert!(json(&known)["expression"].as_str().unwrap().contains("(tls.sni == destination.host)"));
}

#[test]
fn help_names_what_is_built_and_nothing_else() {
    let setup = Setup::new();
    let help = text(&run(&setup, &["--help"]));
    for built in [
        "serve",
        "demo",
        "check",
        "explain",
        "why",
        "tunnels",
        "grant",
        "exception",
        "mode",
        "operators",
        "login",
        "evidence",
        "certs",
        "bundle",
        "test",
        "reach",
        "diff",
        "review",
        "replay",
        "suggest",
        "import",
    ] {
        assert!(help.contains(&format!("\n  {built} ")), "{built} in\n{help}");
    }
    for later in ["agent", "doctor"] {
        assert!(!help.contains(&format!("\n  {later} ")), "{later} in\n{help}");
    }
}

#[test]
fn the_quickstart_can_be_checked_without_opening_anything() {
    let output = run(&Setup::new(), &["serve", "--check-only"]);
    assert_eq!((code(&output), text(&output)), (0, "ok\n".to_owned()));
}

/// `Gatepass-Decision`, `Proxy-Status` with its error and details, a phrase that every client shows whole.
fn is_whole(reply: &Reply, error: &str) {
    let status = reply.field("proxy-status").unwrap();
    let details =
        status.strip_prefix(&format!("gatepass; error={error}; details=\"")).and_then(|d| d.strip_suffix('"'));
    assert!(details.is_some_and(|details| !details.is_empty()), "{status}");
    assert!(reply.phrase.starts_with("gatepass: ") && reply.phrase.ends_with(&format!("[{}]", reply.id())));
    assert!(reply.phrase.is_ascii() && reply.phrase.len() < 200, "{}", reply.phrase);
    assert!(reply.body.contains(&reply.id()), "{}", reply.body);
}

#[test]
fn a_refusal_is_whole_as_text_and_as_json() {
    let gateway = Setup::new().start(&Bundle::new().allow("web", "api.test", &[443]));
    let reply = gateway.client().connect("api.test:22");
    is_whole(&reply, "http_request_denied");
    assert_eq!((reply.status, reply.field("connection").as_deref()), (403, Some("close")));
    assert!(reply.field("content-type").unwrap().starts_with("text/plain"));
    assert!(reply.body.contains("destinations.ports: 22 is not in [443]"), "{}", reply.body);
    let reply = gateway.client().connect_with("api.test:22", "Accept: application/json\r\n").unwrap();
    is_whole(&reply, "http_request_denied");
    let body: Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(body, gateway.decision(&reply.id()), "the record itself");
    let reply = gateway.client().connect("Bad_Host..:22");
    is_whole(&reply, "http_request_error");
    assert_eq!(reply.status, 400);
    let literal = gateway.client().connect("169.254.169.254:80");
    is_whole(&literal, "destination_ip_prohibited");
    assert_eq!(literal.status, 403);
}

fn tokens() -> Gateway {
    let setup = Setup::new().tokens(&[identities::token("ci", "s3cret", 24)]).section(&format!(
        "admin: {{bind: \"127.0.0.1:0\", operators: [{}]}}",
        identities::token("operator", "oper", 24)
    ));
    setup.start(&Bundle::new())
}

const CI: &str = "Proxy-Authorization: Bearer s3cret\r\n";

#[test]
fn the_reserved_host_answers_with_the_decision_that_it_tells_of() {
    let gateway = tokens();
    let ask = |target: &str| gateway.client().fetch(&format!("http://gatepass.internal{target}"), CI).unwrap();
    let nothing = ask("/");
    assert_eq!(nothing.status, 404);
    assert!(nothing.field("proxy-status").unwrap().starts_with("gatepass; error=http_request_error; details=\""));
    let denied = gateway.client().connect_with("other.test:443", CI).unwrap();
    for target in ["/".to_owned(), "/?host=Other.Test.".to_owned(), format!("/{}", denied.id())] {
        let told = ask(&target);
        assert_eq!((told.status, told.id(), told.body), (200, denied.id(), denied.body.clone()), "{target}");
    }
    let mut client = gateway.client();
    client.say(format!("HEAD http://gatepass.internal/ HTTP/1.1\r\nHost: gatepass.internal\r\n{CI}\r\n"));
    client.say(format!(
        "HEAD http://gatepass.internal/ HTTP/1.1\r\nHost: gatepass.internal\r\nConnection: close\r\n{CI}\r\n"
    ));
    let said = String::from_utf8(client.rest()).unwrap();
    assert_eq!((said.matches("HTTP/1.1 200").count(), said.matches("DENY").count()), (2, 0), "{said}");
    assert_eq!(said.to_lowercase().matches("connection: close").count(), 1, "{said}");
}

#[test]
fn why_tells_the_caller_and_the_operator() {
    let gateway = tokens();
    let proxy = format!("http://ci:s3cret@{}", gateway.plain());
    let why = |arguments: &[&str]| run(&gateway.setup, &[&["why"], arguments].concat());
    assert_eq!(code(&why(&["--proxy", &proxy])), 1, "nothing was denied yet");
    let denied = gateway.client().connect_with("other.test:443", CI).unwrap();
    let own = why(&["--proxy", &proxy, "other.test"]);
    assert_eq!((code(&own), text(&own)), (0, denied.body.clone()));
    assert_eq!(json(&why(&["--proxy", &proxy, "--json"])), gateway.decision(&denied.id()));
    let admin = format!("http://{}", gateway.address("admin"));
    let operator = ["--admin", &admin, "--token", "oper"];
    for what in [&[][..], &["other.test"], &[&denied.id()]] {
        let told = why(&[&operator, what].concat());
        assert_eq!((code(&told), text(&told)), (0, denied.body.clone()), "{what:?}");
    }
    let told = json(&why(&[&operator[..], &["Other.Test", "--json"]].concat()));
    assert_eq!(told["id"], denied.id());
    for form in [&["nobody.test"][..], &["nobody.test", "--json"]] {
        assert_eq!(code(&why(&[&operator, form].concat())), 1, "nobody was denied that");
    }
    assert_eq!(code(&why(&["--admin", &admin, "--token", "wrong"])), 1, "nobody's token");
    assert_eq!(code(&why(&["--proxy", "http://127.0.0.1:1"])), 3, "nobody to ask");
}

#[test]
fn no_credentials_and_bad_ones_are_407_with_a_challenge_and_good_ones_are_not() {
    let gateway = tokens();
    let bad = "Proxy-Authorization: Bearer wrong\r\n";
    for (fields, status, reason) in
        [("", 407, "identity_required"), (bad, 407, "identity_invalid"), (CI, 403, "no_rule")]
    {
        let reply = gateway.client().connect_with("other.test:443", fields).unwrap();
        assert_eq!((reply.status, reply.field("proxy-authenticate").is_some()), (status, status == 407), "{fields}");
        assert_eq!(gateway.decision(&reply.id())["reason"]["code"], reason);
    }
    let without = Setup::new().start(&Bundle::new());
    let reply = without.client().connect("other.test:443");
    assert_eq!((reply.status, reply.field("proxy-authenticate")), (403, None), "no credential would be taken");
}

#[test]
fn the_admin_listener_is_never_reached_through_the_proxy() {
    let gateway = Setup::new().start(&Bundle::new().allow("own", "admin.test", &[1]));
    let admin = gateway.address("admin");
    for authority in [format!("{admin}"), format!("localhost:{}", admin.port())] {
        assert_eq!(gateway.client().connect(&authority).status, 403, "{authority}");
    }
    let mut direct = Client::plain(admin);
    direct.say(format!("GET /health HTTP/1.1\r\nHost: {admin}\r\n\r\n"));
    assert_eq!(direct.reply().unwrap().status, 200);
}
