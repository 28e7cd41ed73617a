//! Every row of the corpus about operations has its one outcome, and names the tests that hold it.

use std::path::{Path, PathBuf};

use gatepass_tests::corpus::rows;

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Whether some file of this module has a test of this name.
fn is_test(files: &[(PathBuf, String)], module: &str, name: &str) -> bool {
    let of = |path: &Path| path.file_stem().is_some_and(|stem| stem == module);
    let mut texts = files.iter().filter(|(path, _)| of(path)).map(|(_, text)| text);
    texts.any(|text| {
        let function = format!("fn {name}()");
        text.find(&function).is_some_and(|at| text[..at].trim_end_matches("async ").trim_end().ends_with(']'))
    })
}

#[test]
fn every_row_about_operations_names_tests_that_are_there() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    sources(&here.join("tests/suite"), &mut paths);
    sources(&here.join("../proxy/src/evidence"), &mut paths);
    sources(&here.join("../policy/src/tests"), &mut paths);
    let files: Vec<_> = paths.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect();
    let rows = rows(include_str!("../../../corpus/ops.tsv"));
    assert_eq!(rows.len(), 60);
    for row in rows {
        let (id, tests) = (row.get("id"), row.get("tests"));
        assert!(!row.get("pinned").is_empty() && !tests.is_empty(), "{id} has no outcome");
        for test in tests.split(' ') {
            let (module, name) = test.split_once("::").unwrap();
            assert!(is_test(&files, module, name), "{id}: there is no test `{test}`");
        }
    }
}
