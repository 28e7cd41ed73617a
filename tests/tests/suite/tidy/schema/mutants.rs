//! A right bundle with one thing wrong: a required key away, a key that nobody knows, a value of another type, keys that
//! do not go together. The schema and the compiler refuse each.

use std::collections::BTreeSet;

use gatepass_policy::SourceFile;
use gatepass_policy::keys::{Bond, HEADER, KINDS, Key, Mapping, Need, Shape, mappings};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Judge, parsed, root, write};

/// One change of a file, and what was changed.
struct Mutant {
    what: String,
    file: Value,
}

/// A mapping in a file, by its JSON pointer.
struct Found {
    mapping: &'static Mapping,
    at: String,
}

fn files() -> Vec<(String, Value)> {
    let folder = root().join("policy/src/tests/every_key");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<(String, Value)> = paths
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, parsed(&std::fs::read_to_string(path).unwrap()))
        })
        .collect();
    files.sort_by(|a, b| a.0.cmp(&b.0));
    files
}

/// Every mapping of a file, the outer before the inner.
fn walk(mapping: &'static Mapping, value: &Value, at: &str, found: &mut Vec<Found>) {
    found.push(Found { mapping, at: at.to_owned() });
    for key in mapping.all() {
        if let Some(value) = value.get(key.name) {
            descend(&key.shape, value, &format!("{at}/{}", key.name), found);
        }
    }
}

fn descend(shape: &'static Shape, value: &Value, at: &str, found: &mut Vec<Found>) {
    match (shape, value) {
        (Shape::Map(mapping), Value::Object(_)) => walk(mapping, value, at, found),
        (Shape::List(of) | Shape::Set(of), Value::Array(items)) => {
            items.iter().enumerate().for_each(|(number, item)| descend(of, item, &format!("{at}/{number}"), found));
        }
        (Shape::Entries(_, of), Value::Object(entries)) => {
            entries.iter().for_each(|(key, value)| descend(of, value, &format!("{at}/{key}"), found));
        }
        (Shape::Given(of) | Shape::WordOr(_, of), _) => descend(of, value, at, found),
        _ => {}
    }
}

fn mappings_of(file: &Value) -> Vec<Found> {
    let kind = KINDS.iter().find(|kind| file["kind"] == kind.name).unwrap();
    let mut found = Vec::new();
    walk(&HEADER, file, "", &mut found);
    walk(kind.body, file, "", &mut found);
    found
}

fn mutants(file: &Value) -> Vec<Mutant> {
    let mut all = Vec::new();
    for found in mappings_of(file) {
        let mut add = |what: String, change: &dyn Fn(&mut serde_json::Map<String, Value>)| {
            let mut file = file.clone();
            change(file.pointer_mut(&found.at).unwrap().as_object_mut().unwrap());
            all.push(Mutant { what: format!("{} ({}): {what}", found.at, found.mapping.name), file });
        };
        let here = file.pointer(&found.at).unwrap();
        add("with a key that nobody knows".to_owned(), &|map| {
            map.insert("zzz".to_owned(), json!("x"));
        });
        for key in found.mapping.all().filter(|key| here.get(key.name).is_some()) {
            if key.need == Need::Required {
                add(format!("without `{}`", key.name), &|map| {
                    map.shift_remove(key.name);
                });
            }
            for wrong in wrong(&key.shape) {
                add(format!("with {wrong} as `{}`", key.name), &|map| {
                    map.insert(key.name.to_owned(), wrong.clone());
                });
            }
        }
        for bond in found.mapping.bonds {
            break_bond(bond, found.mapping, here, &mut add);
        }
    }
    all
}

type Add<'a> = dyn FnMut(String, &dyn Fn(&mut serde_json::Map<String, Value>)) + 'a;

fn break_bond(bond: &Bond, mapping: &'static Mapping, here: &Value, add: &mut Add<'_>) {
    let key = |name: &str| mapping.all().find(|key| key.name == name).unwrap();
    let put = |map: &mut serde_json::Map<String, Value>, key: &Key| {
        let example = parsed(&format!("value: {}\n", key.example));
        map.entry(key.name).or_insert_with(|| example["value"].clone());
    };
    match bond {
        Bond::OneOf(names) => {
            add(format!("without any of {names:?}"), &|map| map.retain(|key, _| !names.contains(&key.as_str())));
            add(format!("with all of {names:?}"), &|map| names.iter().for_each(|name| put(map, key(name))));
        }
        Bond::SomeOf(names) => {
            add(format!("without any of {names:?}"), &|map| map.retain(|key, _| !names.contains(&key.as_str())));
        }
        Bond::NotBoth(names) => {
            add(format!("with all of {names:?}"), &|map| names.iter().for_each(|name| put(map, key(name))));
        }
        Bond::Needs(names) => {
            for name in *names {
                add(format!("without `{name}`"), &|map| {
                    map.shift_remove(*name);
                });
            }
        }
        Bond::Bars(names) => {
            for name in names.iter().filter(|name| here.get(**name).is_none()) {
                add(format!("with `{name}`"), &|map| put(map, key(name)));
            }
        }
        Bond::Where(name, is, bonds) => {
            if here[*name] == *is {
                bonds.iter().for_each(|bond| break_bond(bond, mapping, here, add));
            }
        }
        Bond::Within(name, bonds) => {
            let Some(inner) = key(name).shape.mapping() else { panic!("`{name}` leads to no mapping") };
            for bond in *bonds {
                let mut within = |what: String, change: &dyn Fn(&mut serde_json::Map<String, Value>)| {
                    add(format!("`{name}` {what}"), &|map| change(map[*name].as_object_mut().unwrap()));
                };
                break_bond(bond, inner, &here[*name], &mut within);
            }
        }
    }
}

/// Values that this shape never takes.
fn wrong(shape: &Shape) -> Vec<Value> {
    match shape {
        Shape::Text | Shape::Condition => vec![json!(7), json!({"x": "y"}), json!(["x"])],
        Shape::Id => vec![json!(7), json!("a/b"), json!(["x"])],
        Shape::Word(_) => vec![json!("zzz"), json!(7), json!({"x": "y"})],
        Shape::Boolean => vec![json!("yes"), json!(1)],
        Shape::True => vec![json!(false), json!("true ")],
        Shape::Port => vec![json!("443"), json!(0), json!(65536), json!("https")],
        Shape::Number(..) => vec![json!("x"), json!({"x": "y"})],
        Shape::Moment => vec![json!("2030-06-01"), json!("2030-06-01T00:00:00+02:00"), json!(7)],
        Shape::Length => vec![json!("1 year"), json!(90), json!("0d")],
        Shape::Size => vec![json!(5), json!("5GB")],
        Shape::Host => vec![json!("API.test"), json!("a*.test"), json!("*"), json!(7)],
        Shape::Identity => vec![json!("ci"), json!(7)],
        Shape::SpiffeId => vec![json!("token:ci"), json!(7)],
        Shape::Network => vec![json!("10.0.0.0"), json!(7)],
        Shape::Address => vec![json!("host.test"), json!(7)],
        Shape::TextOrNull => vec![json!(7), json!(["x"])],
        Shape::List(of) => {
            let inner = wrong(of).into_iter().map(|value| json!([value]));
            inner.chain([json!("x"), json!([]), json!({"x": "y"})]).collect()
        }
        Shape::Set(of) => wrong(of).into_iter().map(|value| json!([value])).chain([json!("x")]).collect(),
        Shape::Map(_) => vec![json!("x"), json!(["x"])],
        Shape::Entries(_, of) => {
            let inner = wrong(of).into_iter().map(|value| json!({"known": value}));
            inner.chain([json!("x"), json!(["x"])]).collect()
        }
        Shape::Given(of) => wrong(of),
        Shape::WordOr(..) => vec![json!("every"), json!(true), json!([])],
    }
}

/// A value as YAML that the reader takes as it was meant: words plain, other texts quoted.
fn yaml(value: &Value) -> String {
    match value {
        Value::String(text) => word(text),
        Value::Array(items) => format!("[{}]", items.iter().map(yaml).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(key, value)| format!("{}: {}", word(key), yaml(value))).collect();
            format!("{{{}}}", fields.join(", "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

fn word(text: &str) -> String {
    let typed = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"].contains(&text);
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic()) && !typed;
    let plain = plain && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    // An amount is a word to whoever reads amounts, and quoted it is none.
    let amount = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let amount = amount != text && ["B", "KiB", "GiB", "s", "m", "h", "d"].contains(&amount);
    if plain || amount { text.to_owned() } else { Value::from(text).to_string() }
}

fn compiles(files: &[(String, Value)]) -> Result<(), String> {
    let now: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
    let sources: Vec<SourceFile> =
        files.iter().map(|(name, value)| SourceFile { name: name.clone(), text: yaml(value).into_bytes() }).collect();
    match gatepass_policy::compile(&sources, now) {
        Ok(_) => Ok(()),
        Err(found) => Err(found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
    }
}

#[test]
fn what_a_schema_refuses_the_compiler_refuses_and_the_other_way_round() {
    let files = files();
    compiles(&files).unwrap_or_else(|why| panic!("the bundle to start from: {why}"));
    let judge = Judge::of(write::policy());
    let (mut count, mut apart) = (0, Vec::new());
    for (number, (name, file)) in files.iter().enumerate() {
        for mutant in mutants(file) {
            count += 1;
            let refused = judge.refuses(&mutant.file).is_some();
            let mut changed = files.clone();
            changed[number].1 = mutant.file;
            let kept = compiles(&changed).is_ok();
            if !refused || kept {
                apart.push(format!("{name}{}: schema {refused}, compiler {}", mutant.what, !kept));
            }
        }
    }
    assert!(apart.is_empty(), "{apart:#?}");
    assert!(count > 500, "{count} mutants");
}

#[test]
fn every_key_of_the_table_stands_in_some_file() {
    let mut seen = BTreeSet::new();
    for (_, file) in files() {
        for Found { mapping, at } in mappings_of(&file) {
            let here = file.pointer(&at).unwrap();
            let there = mapping.all().filter(|key| here.get(key.name).is_some());
            seen.extend(there.map(|key| (mapping.name, key.name)));
        }
    }
    let all = mappings().into_iter().flat_map(|mapping| mapping.all().map(|key| (mapping.name, key.name)));
    // A guardrail only denies, and its reader knows what a deny must not say in order to say why.
    let barred = |(mapping, key): &(&str, &str)| {
        *mapping == "a guardrail" && ["issued", "expires", "evidence", "limits"].contains(key)
    };
    let missing: Vec<_> = all.filter(|pair| !seen.contains(pair) && !barred(pair)).collect();
    assert!(missing.is_empty(), "no file below policy/src/tests/every_key has {missing:?}");
}
