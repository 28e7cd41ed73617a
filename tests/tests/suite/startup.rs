//! Starting: everything that is wrong is told at once, in its place, and then nothing opens.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use gatepass_tests::gateway::binary;
use gatepass_tests::{Bundle, Scratch, Setup};

fn run(arguments: &[&str], path: &Path) -> Output {
    Command::new(binary()).args(arguments).arg(path).env("NO_COLOR", "1").output().unwrap()
}

/// Start from this configuration; it must end by itself, having opened nothing.
fn refused(config: &Path) -> String {
    let output = run(&["serve", "--config"], config);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(!said.contains("listening on") && !said.contains("ready"), "{said}");
    assert_eq!(output.stdout, b"", "no record, for nothing began");
    said
}

#[test]
fn every_mistake_in_a_configuration_is_told_in_its_place() {
    let scratch = Scratch::new();
    let text = "listeners:\n  - {name: plain, bind: \"127.0.0.1:99999\", protocol: http}\n  - {name: plain, bind: \"127.0.0.1:0\", protocol: gopher}\npolicy: {bundle: ./missing, reload: watch}\nlimits: {drain_timeout: 3 days, no_such_limit: 1}\nsurprise: true\n";
    let said = refused(&scratch.write("gatepass.yaml", text));
    for place in ["2:", "3:", "4:", "5:", "6:1"] {
        assert!(said.contains(&format!("gatepass.yaml:{place}")), "nothing about {place} in\n{said}");
    }
    for word in ["99999", "gopher", "missing", "3 days", "no_such_limit", "surprise"] {
        assert!(said.contains(word), "nothing about {word} in\n{said}");
    }
}

#[test]
fn every_mistake_in_a_bundle_is_told_in_its_place() {
    let setup = Setup::new();
    let bundle = Bundle::new()
        .allow("web", "Allowed.Test", &[443])
        .rule("  - id: two\n    action: deny\n    purpose: a test\n    when: destination.prt == 443\n");
    setup.bundle(&bundle);
    let said = refused(&setup.configure());
    let places: Vec<&str> = said.lines().filter(|line| line.trim_start().starts_with("--> ")).collect();
    assert!(places.len() >= 2 && places.iter().all(|place| place.contains("teams/team.yaml:")), "{said}");
    assert!(said.contains("destination.prt") && said.contains("Allowed.Test"), "{said}");
    assert!(said.contains("nothing was started"), "{said}");
}

#[test]
fn a_certificate_that_cannot_be_used_keeps_every_listener_closed() {
    for (broken, text) in [
        ("gateway.key", "no key"),
        ("gateway.pem", ""),
        ("clients-ca.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
    ] {
        let setup = Setup::new().mesh("required");
        setup.bundle(&Bundle::new());
        setup.scratch.write(broken, text);
        let said = refused(&setup.configure());
        assert!(said.contains(broken) && said.contains("`mesh`"), "{broken}: {said}");
        assert!(said.contains("gatepass.yaml:"), "{broken}: {said}");
    }
}

#[test]
fn what_is_not_built_yet_is_never_read_over() {
    let setup = Setup::new().section("identity: {jwt: []}");
    setup.bundle(&Bundle::new());
    let said = refused(&setup.configure());
    assert!(said.contains("`jwt` is not supported yet"), "{said}");
}

#[test]
fn check_only_says_ok_and_opens_nothing() {
    let setup = Setup::new().mesh("required");
    setup.bundle(&Bundle::new().agreement());
    let config = setup.configure();
    let check = || run(&["serve", "--check-only", "--config"], &config);
    let output = check();
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), &b"ok\n"[..]));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("listening"), "{output:?}");
    setup.scratch.write("policy/bundle.yaml", "kind: Bundle\n");
    let output = check();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("bundle.yaml:1:"), "{output:?}");
}

/// `line:column message` of each error, in order, file names without directories above the bundle.
fn errors(said: &str) -> Vec<String> {
    let lines: Vec<&str> = said.lines().collect();
    let pairs = lines.windows(2).filter_map(|pair| {
        let place = pair[1].trim_start().strip_prefix("--> ")?;
        let message = pair[0].strip_prefix("error: ")?;
        Some(format!("{} {message}", place.rsplit_once("example/").map_or(place, |(_, name)| name)))
    });
    pairs.collect()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn the_example_has_exactly_the_errors_of_what_is_not_built_yet() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let scratch = Scratch::new();
    let config =
        scratch.write("example/gatepass.yaml", std::fs::read(root.join("config/src/load/example.yaml")).unwrap());
    scratch.write(
        "example/tokens.yaml",
        format!("- {{name: ci-runner, sha256: \"{}\", expires: \"2099-01-31T00:00:00Z\"}}\n", "5e".repeat(32)),
    );
    copy(&root.join("policy/src/tests/example"), &scratch.path().join("example/policy"));
    let told = errors(&refused(&config));
    assert!(told.iter().all(|error| !error.starts_with("gatepass.yaml:")), "{told:#?}");
    let output = run(&["check"], &scratch.path().join("example/policy"));
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    let not_built: Vec<String> =
        errors(&said).into_iter().filter(|error| error.contains("not supported yet")).collect();
    assert_eq!(
        not_built,
        [
            "bundle.yaml:19:25 `egress_point: eu-west` is not supported yet",
            "bundle.yaml:27:31 `egress_point: eu-west` is not supported yet",
        ]
    );
}
