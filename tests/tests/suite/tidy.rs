//! The house rules that a machine can check: files, functions, edges between crates, and documentation that says what
//! the code's tables say.

mod documents;
mod reference;
mod schema;

use std::path::{Path, PathBuf};

const CRATES: &[&str] = &["policy", "config", "certs", "proxy", "loadtest"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        // The benches of the policy are a package of their own, and what it builds is nobody's source.
        if path.is_dir() {
            if !path.ends_with("target") {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every source file of these crates, with its text.
fn files(crates: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    crates.iter().for_each(|name| sources(&root().join(name), &mut found));
    found.sort();
    let name = |path: &Path| path.strip_prefix(root()).unwrap().display().to_string();
    found.iter().map(|path| (name(path), std::fs::read_to_string(path).unwrap())).collect()
}

fn is_test(name: &str) -> bool {
    name.ends_with("tests.rs") || name.contains("/tests/")
}

/// A file's lines up to its unit tests.
fn outside_tests(text: &str) -> Vec<&str> {
    let lines: Vec<&str> = text.lines().collect();
    let tests = lines
        .windows(2)
        .position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{'));
    lines[..tests.unwrap_or(lines.len())].to_vec()
}

#[test]
fn every_file_says_first_what_it_is_for() {
    let files = files(&["policy", "config", "certs", "proxy", "loadtest", "tests"]);
    let silent: Vec<_> = files.iter().filter(|(_, text)| !text.starts_with("//! ")).map(|(name, _)| name).collect();
    assert!(silent.is_empty(), "without a first sentence: {silent:#?}");
    assert!(files.len() > 150, "{} files", files.len());
}

#[test]
fn no_file_is_longer_than_four_hundred_lines() {
    let files = files(CRATES);
    let long = files.iter().filter(|(name, _)| !is_test(name)).map(|(name, text)| (name, outside_tests(text).len()));
    let long: Vec<_> = long.filter(|(_, lines)| *lines > 400).collect();
    assert!(long.is_empty(), "split these: {long:#?}");
}

/// Name and length of every function, by the shape that rustfmt gives: the closing brace stands below the first word.
fn functions<'a>(lines: &[&'a str]) -> Vec<(&'a str, usize)> {
    let starts = |line: &str| {
        let words = line.split_whitespace().take_while(|word| *word != "fn").collect::<Vec<_>>();
        let prefix = |word: &&str| {
            word.starts_with("pub") || ["const", "async", "unsafe", "extern", "in", "super)", "crate)"].contains(word)
        };
        line.split_whitespace().nth(words.len()) == Some("fn") && words.iter().all(prefix)
    };
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| starts(line)) {
        let indent = line.len() - line.trim_start().len();
        let closing = format!("{}}}", " ".repeat(indent));
        let one_line = line.ends_with('}') || line.ends_with(';');
        let end = lines[at..].iter().position(|line| **line == *closing).filter(|_| !one_line);
        found.push((line.trim(), end.map_or(1, |end| end + 1)));
    }
    found
}

#[test]
fn no_function_is_longer_than_seventy_lines() {
    let mut long = Vec::new();
    let mut count = 0;
    for (name, text) in files(CRATES).iter().filter(|(name, _)| !is_test(name)) {
        for (function, length) in functions(&outside_tests(text)) {
            count += 1;
            if length > 70 {
                long.push(format!("{name}: {length} lines: {function}"));
            }
        }
    }
    assert!(long.is_empty(), "split these: {long:#?}");
    assert!(count > 1000, "{count} functions: the search is broken");
}

/// The crates of ours that a manifest names under `[dependencies]`.
fn ours(name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
    let section = text.split("[dependencies]\n").nth(1).unwrap_or_default().split("\n[").next().unwrap().to_owned();
    let names = section.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
    names.filter(|name| name.starts_with("gatepass")).map(str::to_owned).collect()
}

#[test]
fn crates_import_only_what_architecture_allows() {
    for (name, allowed) in [
        ("policy", &[][..]),
        ("certs", &[]),
        ("config", &["gatepass-policy"]),
        ("loadtest", &["gatepass-certs"]),
        ("proxy", &["gatepass-policy", "gatepass-certs", "gatepass-config"]),
    ] {
        let more: Vec<_> = ours(name).into_iter().filter(|import| !allowed.contains(&import.as_str())).collect();
        assert!(more.is_empty(), "{name} imports {more:?}; it may import {allowed:?}");
    }
    assert_eq!(ours("config"), ["gatepass-policy"], "the search finds what is there");
}

#[test]
fn folders_that_architecture_names_exist() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let paragraphs = text.lines().filter(|line| line.starts_with("**"));
    let mut seen = 0;
    for name in paragraphs.flat_map(|line| line.split("**").skip(1).step_by(2)) {
        let folder = name.trim_end_matches('/');
        if folder.chars().all(|c| c.is_ascii_lowercase()) && !["connection", "passage"].contains(&folder) {
            assert!(root().join(folder).is_dir(), "ARCHITECTURE.md names `{name}`, and there is no such folder");
            seen += 1;
        }
    }
    assert!(seen >= 5, "{seen} folders found");
}

#[test]
fn every_limit_bounds_something() {
    let code: String = files(&["proxy", "certs", "config"])
        .iter()
        .filter(|(name, _)| !is_test(name) && name != "config/src/limits.rs")
        .flat_map(|(_, text)| outside_tests(text).into_iter().map(|line| format!("{line}\n")).collect::<Vec<_>>())
        .collect();
    let unused: Vec<_> = gatepass_config::limits::TABLE
        .iter()
        .map(|row| row.key)
        .filter(|key| !code.contains(&format!(".{key}")))
        .collect();
    assert!(unused.is_empty(), "limits that a user can set and nothing reads: {unused:#?}");
}
