//! `gatepass bundle`, and every command that takes an archive in the place of a directory.

use std::process::Command;

use gatepass_tests::Bundle;
use gatepass_tests::gateway::binary;
use serde_json::Value;

use super::{LATER, Office};

fn bundle() -> Bundle {
    Bundle::new().allow("web", "api.test", &[443])
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_release_is_signed_by_two_people_and_says_by_whom() {
    let office = Office::new();
    office.release(&bundle(), 7, LATER, &["alice", "bob"]);
    let told = office.done(&["verify", "corp.gpb", "--key", "alice.pub", "--key", "bob.pub", "--json"]);
    let told = json(&told);
    assert_eq!((&told["valid"], &told["serial"], &told["bundle"]), (&true.into(), &7.into(), &"corp".into()));
    assert_eq!((told["threshold"].as_u64(), told["not_after"].as_str()), (Some(2), Some(LATER)));
    let (signed, unknown) = (told["signed_by"].as_array().unwrap(), told["unknown"].as_array().unwrap());
    assert_eq!((signed.len(), unknown.len()), (2, 0));

    // The stranger is told of, and one of one is enough.
    let one = office.done(&["verify", "corp.gpb", "--key", "bob.pub"]);
    let unknown: Vec<&str> = one.lines().filter(|line| line.starts_with("unknown")).collect();
    assert!(one.contains("valid 1 of 1 needed") && unknown.len() == 1, "{one}");

    // Signing again changes nothing.
    let before = std::fs::read(office.path("corp.gpb")).unwrap();
    assert!(office.done(&["sign", "corp.gpb", "--key", "alice"]).contains("signed before by SHA256:"));
    assert_eq!(std::fs::read(office.path("corp.gpb")).unwrap(), before);
}

#[test]
fn what_is_not_signed_enough_is_refused_with_exit_code_1() {
    let office = Office::new();
    let bytes = office.release(&bundle(), 7, LATER, &["alice"]);
    let code = |arguments: &[&str]| {
        let output = office.run(arguments);
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap(),
        )
    };
    let both = ["verify", "corp.gpb", "--key", "alice.pub", "bob.pub"];
    let (exit, said) = code(&both);
    assert!(exit == 1 && said.contains("refused 2 are needed, and it has 1 valid signatures"), "{said}");
    assert_eq!(code(&[&both[..], &["--threshold", "1"]].concat()).0, 0);
    for threshold in ["0", "3"] {
        assert_eq!(code(&[&both[..], &["--threshold", threshold]].concat()).0, 2);
    }
    let (exit, said) = code(&["verify", "corp.gpb", "--key", "alice.pub", "--at", "2099-01-01T00:00:00Z"]);
    assert!(exit == 1 && said.contains("refused it ended at 2099-01-01T00:00:00Z"), "{said}");
    assert_eq!(code(&["verify", "corp.gpb"]).0, 2);
    assert_eq!(code(&["verify", "missing.gpb", "--key", "alice.pub"]).0, 3);
    assert_eq!(code(&["verify", "policy", "--key", "alice.pub"]).0, 2);
    assert_eq!(code(&["sign", "corp.gpb", "--key", "alice.pub"]).0, 3);

    let mut tampered = bytes;
    let place = tampered.windows(8).position(|window| window == b"api.test").unwrap();
    tampered[place] = b'b';
    office.scratch.write("corp.gpb", &tampered);
    let (exit, said) = code(&["verify", "corp.gpb", "--key", "alice.pub"]);
    assert!(exit == 1 && said.contains("is not the file that the manifest lists"), "{said}");
    assert_eq!(code(&["sign", "corp.gpb", "--key", "alice"]).0, 1);
}

#[test]
fn only_what_compiles_and_has_a_number_is_released() {
    let office = Office::new();
    let build = |more: &[&str]| {
        let output = office.run(&[&["build", "policy", "-o", "x.gpb", "--not-after", LATER], more].concat());
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    office.write("policy", &bundle());
    let (code, said) = build(&[]);
    assert!(code == Some(2) && said.contains("git rev-list --count HEAD"), "{said}");
    assert_eq!(build(&["--serial", "0"]).0, Some(1));
    office.write(
        "policy",
        &bundle().rule("  - id: two\n    action: deny\n    purpose: a test\n    when: destination.prt == 1\n"),
    );
    let (code, said) = build(&["--serial", "1"]);
    assert!(code == Some(1) && said.contains("destination.prt") && said.contains("no archive was written"), "{said}");
    assert!(!office.path("x.gpb").exists());
}

#[test]
fn the_same_files_give_the_same_archive_wherever_they_are_built() {
    let office = Office::new();
    office.write("policy", &bundle());
    let build = |to: &str, from: &str| {
        let more = ["--serial", "3", "--not-after", LATER, "--created", "2026-11-01T00:00:00Z"];
        office.done(&[&["build", from, "-o", to], &more[..]].concat());
        std::fs::read(office.path(to)).unwrap()
    };
    let first = build("first.gpb", "policy");
    // Another place, another order of writing, other times.
    let mut files = bundle().files();
    files.reverse();
    files.iter().for_each(|(file, text)| drop(office.scratch.write(&format!("elsewhere/{file}"), text)));
    assert_eq!(build("second.gpb", "elsewhere"), first);
}

#[test]
fn commands_read_an_archive_as_they_read_its_directory() {
    let office = Office::new();
    office.release(&bundle(), 9, LATER, &[]);
    let run = |arguments: &[&str]| {
        let output = Command::new(binary()).args(arguments).current_dir(office.scratch.path()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!(run(&["check", "corp.gpb", "--json"]), run(&["check", "policy", "--json"]));
    let explain = |bundle| {
        let facts = ["--from", "anonymous", "--to", "api.test:80", "--json"];
        let (code, text) = run(&[&["explain", bundle], &facts[..]].concat());
        (code, json(&text))
    };
    let ((code, archive), (same, directory)) = (explain("corp.gpb"), explain("policy"));
    assert_eq!((code, same), (Some(1), Some(1)));
    assert_eq!(archive["policy"]["digest"], directory["policy"]["digest"]);
    assert_eq!((archive["policy"]["serial"].as_u64(), directory["policy"]["serial"].as_u64()), (Some(9), Some(0)));
    office.scratch.write("noise.gpb", "no archive");
    assert_eq!(run(&["check", "noise.gpb"]).0, Some(1));
    assert_eq!(run(&["check", "missing.gpb"]).0, Some(3));
}
