//! The table of keys is what the readers read: no key more, no key less.

use std::collections::{BTreeMap, BTreeSet};

use super::world::{NOW, at, file};
use crate::keys::{self, Mapping, Support};
use crate::source::read::asked;
use crate::{SourceFile, compile};

macro_rules! every_key {
    ($($name:literal)*) => {
        vec![$(file($name, include_str!(concat!("every_key/", $name))),)*]
    };
}

/// A bundle in which every key stands.
fn every_key() -> Vec<SourceFile> {
    every_key!("bundle.yaml" "workloads.yaml" "destinations.yaml" "guardrails.yaml" "fragment.yaml" "open.yaml"
        "limits.yaml" "exceptions.yaml" "tests.yaml")
}

fn names(mapping: &Mapping) -> BTreeSet<&'static str> {
    mapping.all().map(|key| key.name).collect()
}

/// What the readers asked for, by mapping; what every file begins with is left to its own test.
fn asked_for(files: &[SourceFile]) -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    asked::take();
    let compiled = compile(files, at(NOW)).unwrap_or_else(|found| panic!("{found:?}"));
    assert!(compiled.warnings.is_empty(), "{:?}", compiled.warnings);
    let mut asked = asked::take();
    asked.remove("a policy file");
    asked
}

#[test]
fn each_mapping_has_the_keys_that_its_reader_asks_for() {
    let asked = asked_for(&every_key());
    let rows: BTreeMap<&str, BTreeSet<&str>> =
        keys::mappings().into_iter().map(|mapping| (mapping.name, names(mapping))).collect();
    for (what, keys) in &asked {
        assert_eq!(Some(keys), rows.get(what), "{what}: left is what the reader asks for, right the row of the table");
    }
    let kinds: Vec<&str> = keys::KINDS.iter().map(|kind| kind.name).chain(["a policy file"]).collect();
    let later = later();
    let unread: Vec<&&str> = rows
        .keys()
        .filter(|name| !asked.contains_key(*name) && !kinds.contains(name) && !later.contains(*name))
        .collect();
    assert!(unread.is_empty(), "in the table, and read by nobody: {unread:?}");
}

/// The mappings that only what is not supported yet leads to.
fn later() -> BTreeSet<&'static str> {
    let mut built: Vec<&'static Mapping> = vec![&keys::HEADER];
    built.extend(keys::KINDS.iter().filter(|kind| kind.support == Support::Built).map(|kind| kind.body));
    let mut at = 0;
    while let Some(mapping) = built.get(at).copied() {
        let inner = mapping.all().filter(|key| key.support == Support::Built).filter_map(|key| key.shape.mapping());
        built.extend(inner.filter(|inner| !built.iter().any(|known| std::ptr::eq(*known, *inner))).collect::<Vec<_>>());
        at += 1;
    }
    let built: BTreeSet<&str> = built.iter().map(|mapping| mapping.name).collect();
    keys::mappings().iter().map(|mapping| mapping.name).filter(|name| !built.contains(name)).collect()
}

#[test]
fn each_kind_has_the_keys_that_its_reader_asks_for() {
    let (header, mut seen) = (names(&keys::HEADER), BTreeSet::new());
    for one in every_key() {
        asked::take();
        // Alone it is no bundle, and its keys are read all the same.
        let _ = compile(std::slice::from_ref(&one), at(NOW));
        let text = String::from_utf8(one.text).unwrap();
        let kind = keys::KINDS.iter().find(|kind| text.contains(&format!("\nkind: {}\n", kind.name))).unwrap();
        let wanted: BTreeSet<&str> = header.iter().copied().chain(names(kind.body)).collect();
        assert_eq!(asked::take().get("a policy file"), Some(&wanted), "{}", kind.name);
        seen.insert(kind.name);
    }
    let built = keys::KINDS.iter().filter(|kind| kind.support == Support::Built).map(|kind| kind.name);
    assert_eq!(seen, built.collect());
}

#[test]
fn a_name_means_one_mapping_and_a_key_stands_once_in_it() {
    let mut seen = BTreeSet::new();
    for mapping in keys::mappings() {
        assert!(seen.insert(mapping.name), "{} is the name of two mappings", mapping.name);
        assert_eq!(names(mapping).len(), mapping.all().count(), "{}", mapping.name);
        assert!(mapping.all().all(|key| key.doc.ends_with('.') && !key.example.is_empty()), "{}", mapping.name);
    }
    assert!(seen.len() > 30, "{seen:?}");
}

#[test]
fn a_key_in_the_wrong_mapping_is_told_its_right_one() {
    assert_eq!(keys::home_of("ports", "a rule"), Some("`destinations`"));
    assert_eq!(keys::home_of("spiffe_id", "a rule"), Some("an entry of `identities`"));
    assert_eq!(keys::home_of("id", "a rule"), None, "it stands in many");
    assert_eq!(keys::home_of("dney", "a rule"), None);
    assert_eq!(keys::home_of("grants", "a rule"), Some("Bundle"));
    assert_eq!(keys::home_of("grants", "a case"), Some("a test"));
    assert_eq!(keys::home_of("sni", "`destination`"), Some("`tls`"));
}
