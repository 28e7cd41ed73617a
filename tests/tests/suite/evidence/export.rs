//! What is exported is every record, exactly; a Parquet file has a column for each field.

use std::process::{Command, Stdio};

use super::{at, world};
use crate::cli::run;
use gatepass_tests::gateway::binary;

#[test]
fn lines_are_those_of_the_records_in_their_order() {
    let spool = world();
    let told = run(spool.scratch(), &["evidence", "export"]);
    assert_eq!(told.code, 0, "{}", told.err);
    let wanted: Vec<String> = spool.records().iter().map(ToString::to_string).collect();
    let lines: Vec<&str> = told.out.lines().collect();
    assert_eq!(lines.len(), wanted.len());
    for (line, wanted) in lines.iter().zip(&wanted) {
        // The order of the keys is the table's; the test wrote them in one of its own.
        let parse = |text| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(parse(line), parse(wanted));
    }
    let part = run(spool.scratch(), &["evidence", "export", "--since", &at(300), "--until", &at(600), "--jsonl"]);
    assert!(part.out.lines().count() > 10 && part.out.lines().count() < lines.len() / 2);
    // An export is read like a spool, and exported again as it is.
    spool.scratch().write("export.jsonl", &told.out);
    assert_eq!(run(spool.scratch(), &["evidence", "export", "export.jsonl"]).out, told.out);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let spool = world();
    for command in [vec!["export"], vec!["tail", "--no-follow", "-n", "1000"], vec!["query", "denied"]] {
        let mut child = Command::new(binary())
            .arg("evidence")
            .args(&command)
            .current_dir(spool.scratch().path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{command:?} {}", String::from_utf8_lossy(&output.stderr));
        assert!(!String::from_utf8_lossy(&output.stderr).contains("error"), "{command:?}");
    }
}

#[test]
fn a_parquet_file_appears_whole_or_not_at_all() {
    let spool = world();
    let told = run(spool.scratch(), &["evidence", "export", "--parquet", "evidence.parquet"]);
    assert_eq!(told.code, 0, "{}", told.err);
    let bytes = std::fs::read(spool.scratch().path().join("evidence.parquet")).unwrap();
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
    let told = run(spool.scratch(), &["evidence", "export", "--parquet", "no/where.parquet"]);
    assert_eq!(told.code, 3);
    let names = std::fs::read_dir(spool.scratch().path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(names.map(|name| name.to_string_lossy().into_owned()).all(|name| !name.contains("partial")));
}
