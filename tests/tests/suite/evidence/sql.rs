//! The SQL of `docs/evidence/questions.md` gives the answers of `gatepass evidence query`.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use gatepass_tests::Spool;
use gatepass_tests::programs::tool;
use serde_json::Value;

use super::{overridden, world};
use crate::cli::run;

fn document() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/evidence/questions.md")).unwrap()
}

/// The statement of this name.
fn statement(name: &str) -> String {
    let text = document();
    let begin = format!("```sql {name}\n");
    let found = text.split_once(&begin).unwrap_or_else(|| panic!("the document has no statement `{name}`"));
    found.1.split_once("\n```").unwrap().0.to_owned()
}

/// Times as the command writes them.
fn spelled(value: Value) -> Value {
    match value {
        Value::String(text) if text.ends_with("+00") && text.as_bytes().get(10) == Some(&b' ') => {
            let time: jiff::Timestamp = format!("{}Z", text.trim_end_matches("+00").replace(' ', "T")).parse().unwrap();
            time.to_string().into()
        }
        Value::Object(map) => map.into_iter().map(|(key, value)| (key, spelled(value))).collect(),
        other => other,
    }
}

fn duckdb(spool: &Spool, statement: &str) -> Vec<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/ask_duckdb.py");
    let mut child = Command::new(tool("venv/bin/python"))
        .arg(script)
        .current_dir(spool.scratch().path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let text = format!("{}\n{statement}", self::statement("setup"));
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{statement}\n{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| spelled(serde_json::from_str(line).unwrap())).collect()
}

/// A spool and its export.
fn exported(spool: Spool) -> Spool {
    let told = run(spool.scratch(), &["evidence", "export", "--parquet", "evidence.parquet"]);
    assert_eq!(told.code, 0, "{}", told.err);
    spool
}

fn ask(spool: &Spool, arguments: &[&str]) -> Value {
    run(spool.scratch(), &[&["evidence", "query"], arguments, &["--json", "--limit", "100000"]].concat()).json()
}

#[test]
fn duckdb_answers_as_the_command_does() {
    let spool = exported(world());
    for (name, question) in [
        ("first-seen", vec!["first-seen"]),
        ("denied", vec!["denied"]),
        ("top", vec!["top", "--by", "identity"]),
        ("bytes", vec!["bytes"]),
        ("expiring", vec!["expiring", "--at", "2026-11-24T00:00:00Z"]),
    ] {
        let statement = statement(name).replace("now()", "TIMESTAMPTZ '2026-11-24 00:00:00+00'");
        let (wanted, rows) = (ask(&spool, &question), duckdb(&spool, &statement));
        assert_eq!(Value::from(rows), wanted["rows"], "{name}");
        assert!(!wanted["rows"].as_array().unwrap().is_empty(), "{name}");
    }
}

#[test]
fn duckdb_tells_of_grants_and_exceptions_as_the_command_does() {
    let spool = exported(overridden());
    for name in ["grants", "exceptions"] {
        let wanted = ask(&spool, &[name]);
        let mut rows = Value::from(duckdb(&spool, &statement(name)));
        for row in rows.as_array_mut().unwrap() {
            row.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        }
        assert_eq!(rows, wanted["rows"], "{name}");
        assert_eq!(wanted["rows"].as_array().unwrap().len(), 3, "{name}");
    }
    let waited = duckdb(&spool, &statement("time-to-decide"));
    assert_eq!(waited, [serde_json::json!({"value": 60.0, "requests": 2})]);
}

#[test]
fn duckdb_measures_as_the_command_does() {
    let spool = exported(world());
    let wanted = ask(&spool, &["measures"]);
    assert_eq!(Value::from(duckdb(&spool, &statement("denied-attempts"))), wanted["denied"]["rows"]);
    let mut points = wanted["egress_points"]["rows"].clone();
    for point in points.as_array_mut().unwrap() {
        point.as_object_mut().unwrap().remove("share_of_bytes");
    }
    assert_eq!(Value::from(duckdb(&spool, &statement("egress-points"))), points);
    let updates = duckdb(&spool, &statement("policy-updates"));
    let row = wanted["measures"]["rows"].as_array().unwrap();
    let row = row.iter().find(|row| row["measure"] == "seconds between policy activations").unwrap();
    assert_eq!(updates[0]["value"], row["value"]);
    let used = duckdb(&spool, &statement("used-rules"));
    assert_eq!(
        used.iter().map(|row| &row["rule"]).collect::<Vec<_>>(),
        ["build/pypi", "payments/old", "payments/stripe"]
    );
}

#[test]
fn a_file_has_every_value_of_every_record() {
    let spool = exported(overridden());
    let rows = duckdb(&spool, "SELECT * FROM records ORDER BY sequence");
    assert_eq!(rows.len(), spool.records().len());
    for (row, record) in rows.iter().zip(spool.records()) {
        for column in gatepass::evidence::questions::columns::COLUMNS.iter() {
            let found = column.path.split('.').try_fold(record, |json, key| json.get(key)).cloned();
            let got = row[&column.name].clone();
            let got = match (&got, column.name.as_str()) {
                (Value::String(text), "nearest" | "shadow" | "identity_labels" | "details") => {
                    serde_json::from_str(text).unwrap()
                }
                (_, "destination_domain") => continue,
                (_, _) => got,
            };
            assert_eq!(got, found.unwrap_or_default(), "{}", column.name);
        }
    }
    let close = spool.records().iter().find(|record| record["kind"] == "close").unwrap();
    let story = duckdb(&spool, &statement("decision").replace("ID", close["id"].as_str().unwrap()));
    assert_eq!(story.iter().map(|row| &row["kind"]).collect::<Vec<_>>(), ["decision", "close"]);
}
