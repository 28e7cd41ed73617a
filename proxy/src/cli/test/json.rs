//! The results for machines.

use serde_json::{Map, Value, json};

use super::{File, Report, Test, coverage, invariants};

pub(super) fn of(report: &Report<'_>, good: bool) -> Value {
    let tests = report.sum(|file| file.tests.len());
    let failed = report.sum(File::failed);
    let mut json = json!({
        "passed": good,
        "valid": true,
        "tests": {"all": tests, "passed": tests - failed, "failed": failed},
        "invariants": {"all": report.sum(|file| file.invariants.len()), "not_kept": report.sum(File::unkept)},
        "files": report.files.iter().map(file).collect::<Vec<_>>(),
        "duration_ms": u64::try_from(report.took.as_millis()).unwrap_or(u64::MAX),
    });
    if let (Some(rules), Some(object)) = (&report.coverage, json.as_object_mut()) {
        object.insert("coverage".to_owned(), coverage::json(rules));
    }
    json
}

fn file(file: &File<'_>) -> Value {
    let invariants = file.invariants.iter().map(|(invariant, proof)| {
        json!({
            "name": invariant.name,
            "line": invariant.line,
            "never_allow": invariant.never_allow.source(),
            "outcome": invariants::word(proof),
            "detail": invariants::detail(proof),
        })
    });
    json!({
        "file": file.suite.file,
        "id": file.suite.id,
        "tests": file.tests.iter().map(test).collect::<Vec<_>>(),
        "invariants": invariants.collect::<Vec<_>>(),
    })
}

fn test(test: &Test<'_>) -> Value {
    let mut json = Map::new();
    json.insert("name".to_owned(), test.case.name.as_str().into());
    json.insert("line".to_owned(), test.case.line.into());
    json.insert("passed".to_owned(), test.passed().into());
    json.insert("got".to_owned(), serde_json::to_value(&test.ran.got).unwrap_or_default());
    if !test.passed() {
        json.insert("mismatches".to_owned(), serde_json::to_value(&test.ran.mismatches).unwrap_or_default());
        json.insert("trace".to_owned(), serde_json::to_value(&test.trace).unwrap_or_default());
    }
    json.into()
}
