//! Archives: what is written is read, and nothing else is.

mod hostile;

mod keys;

mod signed;

use gatepass_config::limits::Limits;
use gatepass_policy::source::SourceFile;
use jiff::Timestamp;

use super::{Archive, PrivateKey, Release, Signature};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn release(serial: u64) -> Release {
    Release { serial, created: at("2026-11-01T00:00:00Z"), not_after: at("2027-01-31T00:00:00Z") }
}

fn file(name: &str, text: &str) -> SourceFile {
    SourceFile { name: name.to_owned(), text: text.as_bytes().to_vec() }
}

fn files() -> Vec<SourceFile> {
    vec![file("teams/a.yaml", "one"), file("bundle.yaml", "two\n"), file("teams/b.yml", "")]
}

fn archive() -> Archive {
    Archive::build("corp", release(7), files(), &Limits::default()).unwrap()
}

fn signed_by(keys: &[&PrivateKey]) -> Archive {
    let sign = |archive: Archive, key: &&PrivateKey| {
        let signature = Signature::sign(&archive, key).unwrap();
        archive.with_signature(signature)
    };
    keys.iter().fold(archive(), sign)
}

/// Why it is refused.
fn why(bytes: &[u8]) -> String {
    Archive::read(bytes, &Limits::default()).unwrap_err().to_string()
}

#[test]
fn the_same_files_are_the_same_bytes_in_whatever_order_they_come() {
    let mut other = files();
    other.reverse();
    let other = Archive::build("corp", release(7), other, &Limits::default()).unwrap();
    let bytes = archive().to_bytes().unwrap();
    assert_eq!(bytes, other.to_bytes().unwrap());
    let read = Archive::read(&bytes, &Limits::default()).unwrap();
    assert_eq!(read, archive());
    let names: Vec<&str> = read.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["bundle.yaml", "teams/a.yaml", "teams/b.yml"]);
    assert_eq!(read.manifest.digest, gatepass_policy::digest(&files()));
}

/// Whoever changes the form changes every archive that was signed: that needs a new format version.
#[test]
fn the_form_is_the_one_that_was_released() {
    use sha2::{Digest as _, Sha256};
    let digest: String = Sha256::digest(archive().to_bytes().unwrap()).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(digest, include_str!("form.sha256").trim());
}

#[test]
fn what_is_no_release_is_not_written() {
    let build = |release: Release, files: Vec<SourceFile>| {
        Archive::build("corp", release, files, &Limits::default()).unwrap_err().to_string()
    };
    assert!(build(release(0), files()).starts_with("a serial number is 1 to "));
    assert!(build(release(u64::MAX), files()).starts_with("a serial number is 1 to "));
    let over = Release { not_after: release(1).created, ..release(1) };
    assert!(build(over, files()).contains("which is not after"));
    assert_eq!(build(release(1), Vec::new()), "it lists no file");
    assert!(build(release(1), vec![file("équipe.yaml", "")]).contains("ASCII"));
    assert!(build(release(1), vec![file("a.yaml", ""), file("A.yaml", "")]).contains("upper and lower case alone"));
    let few = Limits { bundle_files: 2, ..Limits::default() };
    let many = Archive::build("corp", release(1), files(), &few).unwrap_err().to_string();
    assert_eq!(many, "it holds more files than `limits.bundle_files`, 2");
}
