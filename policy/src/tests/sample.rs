//! The sample bundle: without a warning at its own moment, and its own tests pass.

use std::path::{Path, PathBuf};

use crate::SourceFile;
use crate::tests::world::at;

/// The moment of the sample bundle's tests.
const NOW: &str = "2026-11-24T12:00:00Z";

/// Its files, as the gateway would name them.
pub(super) fn files() -> Vec<SourceFile> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/examples/corp");
    let mut found = Vec::new();
    collect(&root, &root, &mut found);
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found
}

#[expect(clippy::disallowed_methods, reason = "a test reads the files that a gateway would hand to the policy")]
fn collect(root: &Path, folder: &Path, found: &mut Vec<SourceFile>) {
    let entries: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    for path in entries {
        if path.is_dir() {
            collect(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            let name = path.strip_prefix(root).unwrap().display().to_string();
            found.push(SourceFile { name, text: std::fs::read(&path).unwrap() });
        }
    }
}

#[test]
fn every_test_of_the_sample_bundle_passes_and_nothing_in_it_is_warned_of() {
    let compiled = crate::compile(&files(), at(NOW)).unwrap_or_else(|problems| {
        panic!("{}", problems.iter().map(|problem| format!("{problem}\n")).collect::<String>())
    });
    assert!(compiled.warnings.is_empty(), "{:?}", compiled.warnings);
    assert!(compiled.set.rules() >= 120, "{} rules", compiled.set.rules());
    let mut wrong = Vec::new();
    let mut ran = 0;
    for suite in &compiled.tests {
        for case in &suite.cases {
            ran += 1;
            let mismatches = case.run(&compiled.set).mismatches;
            wrong.extend(mismatches.iter().map(|one| format!("{}:{} {}: {one:?}", suite.file, case.line, case.name)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(ran >= 200, "{ran} tests");
}
