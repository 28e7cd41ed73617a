//! Spools that no gateway goes on with: it says why, opens nothing, and leaves them as they are.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use gatepass::evidence::spool::directory;
use gatepass::evidence::spool::segment::Reader;
use gatepass_tests::gateway::binary;
use gatepass_tests::{Bundle, Gateway, Setup, eventually};

/// A checkpoint is soon there and covers everything.
const SIGNED: &str = "limits: {evidence_checkpoint_interval: 100ms}";

fn serve(setup: &Setup, more: &[&str]) -> Output {
    serve_with(&setup.configure(), more)
}

fn serve_with(config: &Path, more: &[&str]) -> Output {
    Command::new(binary()).arg("serve").args(more).arg("--config").arg(config).env("NO_COLOR", "1").output().unwrap()
}

/// It must end by itself, having opened nothing.
fn refused(setup: &Setup) -> String {
    said_no(serve(setup, &[]))
}

fn said_no(output: Output) -> String {
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(!said.contains("listening on") && !said.contains("ready"), "{said}");
    assert_eq!(output.stdout, b"", "no record, for nothing began");
    said
}

/// Every file below, with what is in it.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.insert(entry.path(), std::fs::read(entry.path()).unwrap());
        }
    }
    found
}

/// What the published checkpoint signs.
fn signed(spool: &Path) -> Option<usize> {
    std::fs::read_to_string(spool.join("checkpoint")).ok()?.lines().nth(1)?.parse().ok()
}

/// A gateway that was killed when all of its records were signed, and how many those were.
fn dead() -> (Gateway, usize) {
    let mut gateway = Setup::new().section(SIGNED).start(&Bundle::new());
    for _ in 0..3 {
        gateway.client().connect("denied.test:443");
    }
    gateway.decided(3);
    let signed = eventually("three denials are signed", || {
        let signed = signed(&gateway.spool())?;
        let exported = gateway.exported();
        let denials = exported[..signed].iter().filter(|record| record["kind"] == "decision").count();
        (denials == 3).then_some(signed)
    });
    gateway.signal("KILL");
    gateway.wait();
    (gateway, signed)
}

fn newest(spool: &Path) -> PathBuf {
    directory::segments(spool).unwrap().pop().unwrap().path
}

/// Where the frame of each record begins.
fn frames(segment: &[u8]) -> Vec<usize> {
    let mut reader = Reader::open(segment).unwrap();
    let mut begin = vec![reader.at()];
    while reader.next().unwrap().is_some() {
        begin.push(reader.at());
    }
    begin.into_iter().map(|at| usize::try_from(at).unwrap()).collect()
}

#[test]
fn a_log_that_ends_before_what_its_checkpoint_signs_is_not_gone_on_with() {
    let (gateway, signed) = dead();
    let path = newest(&gateway.spool());
    let whole = std::fs::read(&path).unwrap();
    let frames = frames(&whole);
    let mut flipped = whole.clone();
    flipped[frames[signed - 1] + 20] ^= 1;
    let mut in_the_middle = whole.clone();
    in_the_middle[frames[1] + 20] ^= 1;
    for (case, segment, found) in [
        ("cut between two frames", &whole[..frames[signed - 1]], signed - 1),
        ("cut in the middle of a frame", &whole[..frames[signed - 1] + 30], signed - 1),
        ("cut before the first frame", &whole[..frames[0]], 0),
        ("one bit changed in the last record", &flipped, signed - 1),
        ("one bit changed in the second record", &in_the_middle, 1),
    ] {
        std::fs::write(&path, segment).unwrap();
        let before = files(&gateway.spool());
        let said = refused(&gateway.setup);
        let told = format!("ends with record {found}, and its checkpoint signs {signed}");
        assert!(said.contains(&told) && said.contains("gatepass evidence verify"), "{case}: {said}");
        assert!(files(&gateway.spool()) == before, "{case}: what is left of the evidence is as it was");
    }
    std::fs::write(&path, whole).unwrap();
    gateway.start_again().evidence(&["verify"]);
}

#[test]
fn a_newest_segment_whose_head_is_damaged_is_not_gone_on_with() {
    let (gateway, _) = dead();
    let path = newest(&gateway.spool());
    let whole = std::fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    flipped[20] ^= 1;
    for segment in [&whole[..0], &whole[..10], &whole[..40], &flipped] {
        std::fs::write(&path, segment).unwrap();
        let before = files(&gateway.spool());
        let said = refused(&gateway.setup);
        assert!(
            said.contains("newest segment") && said.contains(path.file_name().unwrap().to_str().unwrap()),
            "{said}"
        );
        assert!(files(&gateway.spool()) == before);
    }
}

#[test]
fn a_second_gateway_on_the_same_spool_is_refused_and_the_first_goes_on() {
    let gateway = Setup::new().start(&Bundle::new());
    let said = refused(&gateway.setup);
    assert!(said.contains("the state directory") && said.contains("is in use by another process"), "{said}");
    // With a state directory of its own, it is the spool's turn to say no.
    let config = gateway.path().join("gatepass.yaml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text + "state: {directory: ./another}\n").unwrap();
    let said = said_no(serve_with(&config, &[]));
    assert!(said.contains("in use by another gateway") && said.contains("evidence.spool.directory"), "{said}");
    let id = gateway.client().connect("denied.test:443").id();
    gateway.decision(&id);
    gateway.evidence(&["verify"]);
}

#[test]
fn a_signing_key_that_others_may_read_is_refused() {
    let (gateway, _) = dead();
    let key = gateway.spool().join("signing.key");
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600, "as the gateway makes it");
    for mode in [0o644, 0o640, 0o604, 0o620] {
        std::fs::set_permissions(&key, PermissionsExt::from_mode(mode)).unwrap();
        let said = refused(&gateway.setup);
        assert!(said.contains("signing.key") && said.contains("chmod 600"), "{mode:o}: {said}");
    }
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    gateway.start_again();
}

#[test]
fn a_log_whose_key_was_replaced_is_refused() {
    let ((gateway, _), (other, _)) = (dead(), dead());
    let (key, others) = (gateway.spool().join("signing.key"), other.spool().join("signing.key"));
    let own = std::fs::read(&key).unwrap();
    std::fs::copy(others, &key).unwrap();
    let said = refused(&gateway.setup);
    assert!(said.contains("log.pub") && said.contains("signing.key"), "{said}");
    std::fs::write(&key, "no key").unwrap();
    assert!(refused(&gateway.setup).contains("holds no Ed25519 private key"));
    std::fs::write(&key, own).unwrap();
    gateway.start_again();
}

#[test]
fn a_directory_that_cannot_be_written_is_told_before_anything_opens() {
    let setup = Setup::new().section("evidence: {spool: {directory: ./a-file/evidence}}");
    setup.bundle(&Bundle::new());
    setup.scratch.write("a-file", "");
    let said = refused(&setup);
    assert!(said.contains("a-file/evidence") && said.contains("not a directory"), "{said}");
    assert!(said.contains("gatepass.yaml:") && said.contains("`evidence.spool.directory`"), "{said}");
    // A file in the place of a folder that it needs.
    let setup = Setup::new();
    setup.bundle(&Bundle::new());
    setup.scratch.write("gatepass-data/evidence/segments", "");
    let said = refused(&setup);
    assert!(said.contains("evidence/segments") && said.contains("cannot be used"), "{said}");
}

#[test]
fn a_check_of_the_configuration_makes_no_spool() {
    let setup = Setup::new();
    setup.bundle(&Bundle::new());
    let output = serve(&setup, &["--check-only"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!setup.scratch.path().join("gatepass-data").exists());
}

#[test]
fn a_check_beside_a_running_gateway_leaves_its_spool_alone() {
    let gateway = Setup::new().section("limits: {evidence_checkpoint_interval: 1h}").start(&Bundle::new());
    let id = gateway.client().connect("denied.test:443").id();
    gateway.decision(&id);
    let before = files(&gateway.spool());
    let output = serve(&Arc::clone(&gateway.setup), &["--check-only"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(files(&gateway.spool()) == before);
    let id = gateway.client().connect("denied.test:443").id();
    gateway.decision(&id);
    gateway.evidence(&["verify"]);
}

#[test]
fn a_spool_is_made_for_its_owner_alone() {
    let gateway = Setup::new().start(&Bundle::new());
    let mode = std::fs::metadata(gateway.spool()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "{mode:o}");
}
