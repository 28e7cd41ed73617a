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

/// What the language says is checked at load, and where above it is: a case, and words that are said of it.
const CHECKED_AT_LOAD: [(&str, &str, &str); 30] = [
    ("unknown attribute", "when-names", "did you mean `destination.host`?"),
    ("types", "when-types", "write `443` without quotes"),
    ("host literals that are not canonical", "when-hosts", "`API.test` is not the canonical spelling"),
    ("endsWith off a label boundary", "when-hosts", "also ends names such as `evilapi.test`"),
    ("contains on a host", "when-hosts", "contains() on a host"),
    ("unanchored pattern on a host", "when-hosts", "may match in the middle of somebody else's name"),
    ("bad CIDR", "networks", "has bits set beyond its prefix"),
    ("bad pattern", "when-literals", "this is not a pattern"),
    ("bad timestamp", "moments", "this is not a moment in UTC"),
    ("a rule that can never match", "never-matches", "two of its conditions exclude each other"),
    ("duplicate ids", "ids", "another rule of this file has the id `a`"),
    ("duplicate keys", "yaml-duplicate-key", "stands twice in one mapping"),
    ("unknown keys", "keys-unknown", "unknown key `dney`"),
    ("missing purpose", "allow-names-everything", "`purpose` is missing"),
    ("missing owner", "owner-missing", "nobody answers for this rule"),
    ("missing expiry", "allow-names-everything", "an allow must name `expires`"),
    ("lifetime over the ceiling", "lifetimes", "this lives longer than data class `pci` may"),
    ("a rule outside its scope", "scope", "is outside the fragment's scope"),
    ("a team rule without a key", "scope", "this rule has neither a host nor a CIDR key"),
    ("anchors and aliases", "yaml-anchors", "anchors (`&name`) are not accepted"),
    ("tags", "yaml-anchors", "tags (`!name`) are not accepted"),
    ("merge keys", "yaml-anchors", "merge keys (`<<`) are not accepted"),
    ("nested macros", "when-bounds", "one level is allowed"),
    ("deep brackets", "when-bounds", "at most 24 are allowed"),
    ("huge patterns", "when-bounds", "takes more than 256 KiB"),
    ("words that are no text", "yaml-norway", "`no` is not text to every YAML reader"),
    ("several documents", "yaml-two-documents", "a second document in one file"),
    ("an empty file", "yaml-empty", "the file is empty"),
    ("hidden characters", "yaml-hidden-characters", "an invisible formatting character"),
    ("a name that is no A-label", "hosts", "write its A-label form: `xn--bcher-kva.test`"),
];

#[test]
fn everything_that_is_checked_at_load_has_its_words() {
    for (what, case, words) in CHECKED_AT_LOAD {
        let text = std::fs::read_to_string(directory().join(case).join(EXPECTED)).unwrap();
        assert!(text.contains(words) && text.ends_with("exit 1\n"), "{what}: `{words}` is not said of {case}");
    }
    // A pattern is `*.x` or `**.x`, and nothing else that looks like one.
    let hosts = std::fs::read_to_string(directory().join("hosts").join(EXPECTED)).unwrap();
    for text in ["*", "**", "*.", "a*.test", "api.*.test"] {
        assert!(hosts.contains(&format!("error: `{text}` is not a host")), "{text}");
    }
}
