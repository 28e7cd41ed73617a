//! What `gatepass check` says of wrong bundles, word for word: `tests/diagnostics/CASE` laid over `base`, and beside it
//! the text that is expected.
//!
//! After a text has changed: `GATEPASS_REGENERATE=1 cargo nextest run -p gatepass-tests cli::diagnostics`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use gatepass_tests::Scratch;

use super::{AT, run};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("diagnostics")
}

const EXPECTED: &str = "expected.txt";

fn cases() -> Vec<String> {
    let entries =
        std::fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.filter(|name| name != "base").collect();
    names.sort();
    names
}

/// The base with one case over it. An empty file in the case takes the base's away.
fn laid(case: &str) -> Scratch {
    let scratch = Scratch::new();
    for layer in ["base", case] {
        for entry in std::fs::read_dir(directory().join(layer)).unwrap().map(Result::unwrap) {
            let (name, text) = (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap());
            if text.is_empty() {
                std::fs::remove_file(scratch.path().join("policy").join(name)).unwrap();
            } else if name != EXPECTED {
                scratch.write(&format!("policy/{name}"), text);
            }
        }
    }
    scratch
}

#[test]
fn every_wrong_bundle_is_told_as_expected() {
    let mut said = BTreeSet::new();
    let (mut wrong, mut warned) = (0, 0);
    for case in cases() {
        let told = run(&laid(&case), &[&["check", "policy"][..], &AT].concat());
        let text = format!("{}{}exit {}\n", told.err, told.out, told.code);
        let path = directory().join(&case).join(EXPECTED);
        if std::env::var_os("GATEPASS_REGENERATE").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(text, expected, "{case} is told in other words; look at them, then GATEPASS_REGENERATE=1");
        assert!(!text.contains('\u{1b}'), "{case}: colours where nobody sees them");
        let first = text.lines().filter(|line| line.starts_with("error: ") || line.starts_with("warning: "));
        said.extend(first.map(str::to_owned));
        wrong += usize::from(told.code == 1);
        warned += usize::from(told.code == 0);
    }
    assert!(said.len() > 120, "{} different diagnostics", said.len());
    assert!(wrong >= 40 && warned >= 2, "{wrong} wrong, {warned} with warnings");
}
