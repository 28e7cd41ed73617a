//! docs/policy/reference.md is written from the table of keys, the table of attributes, the functions, the reasons and
//! the bounds; what is told by hand stands between them, in this file.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use gatepass_policy::decision::Reason;
use gatepass_policy::expr::{FUNCTIONS, METHODS};
use gatepass_policy::keys::{HEADER, KINDS, Key, Mapping, Names, Need, Shape, Support, mappings};
use gatepass_policy::limits::Limits;
use gatepass_policy::schema::{ATTRIBUTES, Stage};

use super::documents::{cell, equal};

const BEFORE: &str = include_str!("reference/before.md");
const BETWEEN: &str = include_str!("reference/between.md");
const AFTER: &str = include_str!("reference/after.md");

#[test]
fn the_language_reference_is_that_of_the_code() {
    let mut text = String::from(BEFORE);
    text.push_str("\n## Kinds of file\n\n| `kind` | written by | what it holds | schema |\n|---|---|---|---|\n");
    for kind in KINDS {
        let (name, file) = (kind.name, kind.name.to_lowercase());
        let later = if kind.support == Support::NotYet { " Not supported yet." } else { "" };
        writeln!(
            text,
            "| [`{name}`](#{file}) | {} | {}{later} | [{file}](../reference/schema/{file}.schema.json) |",
            kind.owner,
            cell(kind.doc)
        )
        .unwrap();
    }
    text.push_str("\n## Keys\n\nEvery file begins with these:\n\n");
    table(&mut text, &HEADER);
    let mut told: Vec<&'static Mapping> = vec![&HEADER];
    for key in HEADER.all() {
        inner(&mut text, &key.shape, &mut told);
    }
    for kind in KINDS {
        writeln!(text, "\n### {}\n\n{}\n", kind.name, kind.doc).unwrap();
        table(&mut text, kind.body);
        told.push(kind.body);
        kind.body.all().for_each(|key| inner(&mut text, &key.shape, &mut told));
    }
    assert_eq!(told.len(), mappings().len(), "every mapping is told once");
    text.push('\n');
    text.push_str(BETWEEN);
    attributes(&mut text);
    functions(&mut text);
    text.push('\n');
    text.push_str(AFTER);
    reasons(&mut text);
    bounds(&mut text);
    equal("../policy/reference.md", &text);
}

/// The mappings that a key leads to, each where it is first met.
fn inner(text: &mut String, shape: &'static Shape, told: &mut Vec<&'static Mapping>) {
    let Some(mapping) = shape.mapping().filter(|mapping| !told.iter().any(|known| std::ptr::eq(*known, *mapping)))
    else {
        return;
    };
    told.push(mapping);
    writeln!(text, "\n#### {}\n\n{}\n", title(mapping.name), mapping.doc).unwrap();
    table(text, mapping);
    mapping.all().for_each(|key| inner(text, &key.shape, told));
}

/// The name as a heading: its first letter is large, unless it is the language's own.
fn title(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().unwrap();
    format!("{}{}", first.to_uppercase(), letters.as_str())
}

fn table(text: &mut String, mapping: &Mapping) {
    text.push_str("| key | | value | what it says | such as |\n|---|---|---|---|---|\n");
    for key in mapping.all() {
        let Key { name, need, shape, doc, example, support } = key;
        let need = match need {
            Need::Required => "required",
            Need::Optional => "",
        };
        let later = if *support == Support::NotYet { " Not supported yet." } else { "" };
        let value = cell(&value(shape));
        writeln!(text, "| `{name}` | {need} | {value} | {}{later} | `{}` |", cell(doc), cell(example)).unwrap();
    }
}

fn value(shape: &Shape) -> String {
    match shape {
        Shape::Text => "text".to_owned(),
        Shape::Id => "id".to_owned(),
        Shape::Word(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or "),
        Shape::Boolean => "`true` or `false`".to_owned(),
        Shape::True => "`true`".to_owned(),
        Shape::Port => "1 to 65535".to_owned(),
        Shape::Number(least, most) => format!("{least} to {most}"),
        Shape::Moment => "moment".to_owned(),
        Shape::Length => "length".to_owned(),
        Shape::Size => "size".to_owned(),
        Shape::Host => "host or pattern".to_owned(),
        Shape::Identity => "identity or pattern".to_owned(),
        Shape::SpiffeId => "SPIFFE id or pattern".to_owned(),
        Shape::Network => "network".to_owned(),
        Shape::Address => "address".to_owned(),
        Shape::Condition => "condition".to_owned(),
        Shape::TextOrNull => "text or null".to_owned(),
        Shape::List(of) => format!("list of {}", value(of)),
        Shape::Set(of) => format!("list of {}, or `[]`", value(of)),
        Shape::Map(mapping) => mapping.name.to_owned(),
        Shape::Entries(names, of) => {
            let names = match names {
                Names::Labels => "label",
                Names::DataClasses => "data class",
                Names::Modes => "mode",
                Names::Headers => "field",
            };
            format!("{names} to {}", value(of))
        }
        Shape::Given(of) => value(of),
        Shape::WordOr(word, of) => format!("`{word}`, or {}", value(of)),
    }
}

fn attributes(text: &mut String) {
    text.push_str("\n### Attributes\n\n| known at | name | type | what |\n|---|---|---|---|\n");
    for row in ATTRIBUTES.iter() {
        let later = if row.support == Support::NotYet { " Not supported yet." } else { "" };
        writeln!(text, "| {} | `{}` | {} | {}{later} |", row.stage, row.name, row.ty, cell(row.doc)).unwrap();
    }
    let stages: BTreeSet<Stage> = ATTRIBUTES.iter().map(|row| row.stage).collect();
    let stages: Vec<String> = stages.into_iter().map(|stage| format!("`{stage}`")).collect();
    writeln!(text, "\nThe stages, in their order: {}.", stages.join(", ")).unwrap();
}

fn functions(text: &mut String) {
    let list = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    writeln!(text, "\n### Functions\n\nFunctions: {}.\n\nMethods: {}.", list(FUNCTIONS), list(METHODS)).unwrap();
}

fn reasons(text: &mut String) {
    text.push_str("\n## Reasons\n\n| code | what |\n|---|---|\n");
    for reason in Reason::ALL {
        writeln!(text, "| `{}` | {} |", reason.code(), cell(reason.sentence())).unwrap();
    }
}

fn bounds(text: &mut String) {
    let Limits { files, file_bytes, bundle_bytes, nesting, diagnostics, global_rules, workload_patterns, .. } =
        Limits::STANDARD;
    writeln!(
        text,
        "\n## Bounds\n\n| what | at most |\n|---|---|\n| files in a bundle | {files} |\n| bytes in a file | {file_bytes} |\n| bytes in a bundle | {bundle_bytes} |\n| nesting of lists and mappings | {nesting} |\n| rules without a host or CIDR key | {global_rules} |\n| patterns among the workloads | {workload_patterns} |\n| bytes of a condition | 4096 |\n| names, literals and operators of a condition | 256 |\n| levels of macros in a condition | 1 |\n| errors that are told one by one | {diagnostics} |\n\nThe gateway's own bounds on the files are [limits](../reference/limits.md).",
    )
    .unwrap();
}
