//! The file of OCSF events.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::evidence::sinks::ocsf::{File, Settings};

/// A directory of the test's own, gone with it.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Directory {
        let path = std::env::temp_dir().join(format!("gatepass-ocsf-{}", uuid::Uuid::now_v7()));
        fs::create_dir(&path).unwrap();
        Directory(path)
    }

    fn sink(&self, rotate_size: u64, rotate_keep: usize) -> File {
        File::new(Settings { path: self.path(), rotate_size, rotate_keep })
    }

    fn path(&self) -> PathBuf {
        self.0.join("events.jsonl")
    }

    /// Sequence numbers of a file's events, one a line.
    fn sequences(&self, name: &str) -> Vec<u64> {
        sequences(&self.0.join(name))
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> =
            (fs::read_dir(&self.0).unwrap()).map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn sequences(path: &Path) -> Vec<u64> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "{text}");
    let event = |line: &str| serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    text.lines().map(|line| event(line)["metadata"]["sequence"].as_u64().unwrap()).collect()
}

fn numbered(sequence: u64) -> Value {
    let mut record = close();
    record["sequence"] = json!(sequence);
    record
}

#[tokio::test]
async fn a_batch_is_appended_line_by_line_and_outlives_the_sink() {
    let directory = Directory::new();
    let mut sink = directory.sink(1 << 20, 1);
    sink.append(&[numbered(1), numbered(2)]).await.unwrap();
    sink.append(&[]).await.unwrap();
    directory.sink(1 << 20, 1).append(&[numbered(3)]).await.unwrap();
    assert_eq!(directory.sequences("events.jsonl"), [1, 2, 3]);
}

#[tokio::test]
async fn a_full_file_gets_a_number_and_the_oldest_goes() {
    let directory = Directory::new();
    let mut sink = directory.sink(1, 2);
    for sequence in 1..=5 {
        sink.append(&[numbered(sequence)]).await.unwrap();
    }
    assert_eq!(directory.names(), ["events.jsonl", "events.jsonl.1", "events.jsonl.2"]);
    let each = ["events.jsonl", "events.jsonl.1", "events.jsonl.2"].map(|name| directory.sequences(name));
    assert_eq!(each, [[5], [4], [3]]);
}

#[tokio::test]
async fn a_line_that_was_cut_short_is_taken_back() {
    let directory = Directory::new();
    directory.sink(1 << 20, 1).append(&[numbered(1), numbered(2)]).await.unwrap();
    let bytes = fs::read(directory.path()).unwrap();
    fs::write(directory.path(), &bytes[..bytes.len() - 9]).unwrap();
    directory.sink(1 << 20, 1).append(&[numbered(2), numbered(3)]).await.unwrap();
    assert_eq!(directory.sequences("events.jsonl"), [1, 2, 3]);
}

#[tokio::test]
async fn a_file_of_something_else_is_left_alone() {
    let directory = Directory::new();
    for text in ["no line at all", "{}\nnot an event"] {
        fs::write(directory.path(), text).unwrap();
        let said = directory.sink(1 << 20, 1).append(&[numbered(1)]).await.unwrap_err();
        assert!(said.contains("something else than events") && said.contains("events.jsonl"), "{said}");
        assert_eq!(fs::read_to_string(directory.path()).unwrap(), text);
    }
}

#[tokio::test]
async fn a_file_that_somebody_moved_is_begun_again() {
    let directory = Directory::new();
    let mut sink = directory.sink(1 << 20, 1);
    sink.append(&[numbered(1)]).await.unwrap();
    fs::rename(directory.path(), directory.0.join("elsewhere")).unwrap();
    sink.append(&[numbered(2)]).await.unwrap();
    assert_eq!((directory.sequences("elsewhere"), directory.sequences("events.jsonl")), (vec![1], vec![2]));
}

#[tokio::test]
async fn a_batch_that_could_not_be_written_can_be_written_later() {
    let directory = Directory::new();
    let mut sink = directory.sink(1 << 20, 1);
    let away = directory.0.with_extension("away");
    fs::rename(&directory.0, &away).unwrap();
    let said = sink.append(&[numbered(1)]).await.unwrap_err();
    assert!(said.contains("events.jsonl"), "{said}");
    fs::rename(&away, &directory.0).unwrap();
    sink.append(&[numbered(1)]).await.unwrap();
    assert_eq!(directory.sequences("events.jsonl"), [1]);
}
