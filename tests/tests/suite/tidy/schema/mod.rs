//! JSON Schemas of the policy files: written from the table of keys, and refusing what the compiler refuses.

mod mutants;
mod write;

use std::collections::BTreeSet;
use std::path::PathBuf;

use boon::{Compiler, SchemaIndex, Schemas};
use gatepass_policy::keys::{self, KINDS};
use serde_json::Value;

use super::documents::equal;
use super::root;

#[test]
fn the_schemas_are_those_of_the_table() {
    let text = |value: &Value| format!("{}\n", serde_json::to_string_pretty(value).unwrap());
    equal("schema/policy.schema.json", &text(&write::policy()));
    for kind in KINDS {
        equal(&format!("schema/{}.schema.json", kind.name.to_lowercase()), &text(&write::kind(kind)));
    }
}

/// A schema, ready to be asked.
struct Judge {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Judge {
    fn of(schema: Value) -> Judge {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("gatepass.json", schema).unwrap();
        let index = compiler.compile("gatepass.json", &mut schemas).unwrap_or_else(|error| panic!("{error:#}"));
        Judge { schemas, index }
    }

    fn refuses(&self, value: &Value) -> Option<String> {
        self.schemas.validate(value, self.index).err().map(|error| format!("{error:#}"))
    }
}

fn parsed(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

/// Every file of a bundle in the repository that is meant to be right, but for templates.
fn right_files() -> Vec<(PathBuf, String)> {
    let mut open: Vec<PathBuf> =
        ["docs", "policy/src/tests", "proxy/src", "config", "deploy"].map(|at| root().join(at)).into();
    let mut found = Vec::new();
    while let Some(directory) = open.pop() {
        for path in std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|ending| ending == "yaml") {
                let text = std::fs::read_to_string(&path).unwrap();
                let policy = text.lines().any(|line| line == "apiVersion: gatepass/v1");
                // The sample and the tour are templates: `@NAME@` stands for what is known when they run.
                let template =
                    |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
                if policy && !text.split('@').any(template) {
                    found.push((path, text));
                }
            }
        }
    }
    found
}

#[test]
fn every_right_file_of_the_repository_is_right_by_its_schemas() {
    let whole = Judge::of(write::policy());
    let mut kinds = BTreeSet::new();
    for (path, text) in right_files() {
        let value = parsed(&text);
        let kind = KINDS.iter().find(|kind| value["kind"] == kind.name).unwrap();
        for judge in [&whole, &Judge::of(write::kind(kind))] {
            if let Some(why) = judge.refuses(&value) {
                panic!("{}: {why}", path.display());
            }
        }
        kinds.insert(kind.name);
    }
    assert_eq!(kinds, KINDS.iter().map(|kind| kind.name).collect(), "a file of each kind is among them");
}

#[test]
fn a_file_of_one_kind_is_no_file_of_another() {
    let bundle = parsed(include_str!("../../../../../policy/src/tests/every_key/bundle.yaml"));
    for kind in KINDS {
        assert_eq!(Judge::of(write::kind(kind)).refuses(&bundle).is_none(), kind.name == "Bundle", "{}", kind.name);
    }
    let whole = Judge::of(write::policy());
    for text in
        ["kind: Bundle", "apiVersion: gatepass/v2\nkind: Bundle", "apiVersion: gatepass/v1\nkind: Fragmnt", "[]", "7"]
    {
        assert!(whole.refuses(&parsed(text)).is_some(), "{text}");
    }
}

#[test]
fn the_example_of_every_key_is_right_by_its_own_schema() {
    for mapping in keys::mappings() {
        for key in mapping.all().filter(|key| !key.example.contains('…')) {
            let judge = Judge::of(write::one(&key.shape));
            let value = parsed(&format!("value: {}\n", key.example));
            let refused = judge.refuses(&value["value"]);
            assert!(refused.is_none(), "{} of {}: {}", key.name, mapping.name, refused.unwrap_or_default());
        }
    }
}
