//! The table of keys as JSON Schema 2020-12.

use gatepass_policy::keys::{Bond, HEADER, KINDS, Key, Kind, Mapping, Names, Need, Shape, mappings};
use serde_json::{Map, Value, json};

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// One schema for every kind of file: it looks at `kind`.
pub fn policy() -> Value {
    let names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    let each = KINDS.iter().map(|kind| {
        let of_kind = json!({"properties": {"kind": {"const": kind.name}}, "required": ["kind"]});
        json!({"if": of_kind, "then": {"$ref": format!("#/$defs/{}", kind.name)}})
    });
    let mut defs: Map<String, Value> = KINDS.iter().map(|kind| (kind.name.to_owned(), file(kind))).collect();
    defs.extend(definitions(&mappings()));
    json!({
        "$schema": DIALECT,
        "title": "A policy file of Gatepass",
        "type": "object",
        "properties": {"apiVersion": one_of_header("apiVersion"), "kind": {"enum": names}},
        "required": ["apiVersion", "kind"],
        "allOf": each.collect::<Vec<_>>(),
        "$defs": defs,
    })
}

/// The schema of one kind of file.
pub fn kind(kind: &Kind) -> Value {
    let mut schema = json!({"$schema": DIALECT, "title": format!("A policy file of Gatepass: {}", kind.name)});
    let mut needed = Vec::new();
    HEADER.all().chain(kind.body.all()).for_each(|key| lead_to(&key.shape, &mut needed));
    let object = schema.as_object_mut().unwrap();
    object.extend(file(kind).as_object().unwrap().clone());
    object.insert("$defs".to_owned(), definitions(&needed).into());
    schema
}

/// The schema of one value.
pub fn one(of: &Shape) -> Value {
    let mut needed = Vec::new();
    lead_to(of, &mut needed);
    let mut schema = shape(of);
    schema.as_object_mut().unwrap().insert("$defs".to_owned(), definitions(&needed).into());
    schema
}

fn lead_to(shape: &Shape, found: &mut Vec<&'static Mapping>) {
    if let Some(mapping) = shape.mapping()
        && !found.iter().any(|known| std::ptr::eq(*known, mapping))
    {
        found.push(mapping);
        mapping.all().for_each(|key| lead_to(&key.shape, found));
    }
}

fn definitions(mappings: &[&'static Mapping]) -> Map<String, Value> {
    let inner = mappings.iter().filter(|mapping| {
        !std::ptr::eq(**mapping, &HEADER) && !KINDS.iter().any(|kind| std::ptr::eq(kind.body, **mapping))
    });
    let mut found = Map::new();
    for mapping in inner {
        let definition = object(mapping.doc, mapping.all(), mapping.bonds);
        assert!(found.insert(slug(mapping.name), definition).is_none(), "two definitions of {}", mapping.name);
    }
    found
}

/// `an entry of `identities`` as a name of a definition.
fn slug(name: &str) -> String {
    name.replace('`', "").replace(' ', "_")
}

fn one_of_header(name: &str) -> Value {
    HEADER.all().find(|key| key.name == name).map(property).unwrap()
}

fn file(kind: &Kind) -> Value {
    let keys = HEADER.all().chain(kind.body.all());
    let mut schema = object(kind.doc, keys, kind.body.bonds);
    schema["properties"]["kind"] = json!({"const": kind.name, "description": "What the file holds."});
    schema
}

fn object(doc: &str, keys: impl Iterator<Item = &'static Key>, bonds: &[Bond]) -> Value {
    let keys: Vec<&Key> = keys.collect();
    let properties: Map<String, Value> = keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    let required: Vec<&str> = keys.iter().filter(|key| key.need == Need::Required).map(|key| key.name).collect();
    let mut schema = json!({"description": doc, "type": "object", "properties": properties});
    let schema_object = schema.as_object_mut().unwrap();
    if !required.is_empty() {
        schema_object.insert("required".to_owned(), required.into());
    }
    schema_object.insert("additionalProperties".to_owned(), false.into());
    if !bonds.is_empty() {
        schema_object.insert("allOf".to_owned(), bonds.iter().map(bond).collect());
    }
    schema
}

fn property(key: &Key) -> Value {
    let mut schema = shape(&key.shape);
    let object = schema.as_object_mut().unwrap();
    object.insert("description".to_owned(), key.doc.into());
    if !key.example.contains('…') {
        let example: Value = serde_saphyr::from_str(&format!("value: {}\n", key.example)).unwrap();
        object.insert("examples".to_owned(), json!([example["value"]]));
    }
    schema
}

fn bond(bond: &Bond) -> Value {
    let each = |keys: &[&str]| keys.iter().map(|key| json!({"required": [key]})).collect::<Vec<_>>();
    match bond {
        Bond::OneOf(keys) => json!({"oneOf": each(keys)}),
        Bond::SomeOf(keys) => json!({"anyOf": each(keys)}),
        Bond::NotBoth(keys) => json!({"not": {"required": keys}}),
        Bond::Needs(keys) => json!({"required": keys}),
        Bond::Bars(keys) => {
            let barred: Map<String, Value> = keys.iter().map(|key| ((*key).to_owned(), false.into())).collect();
            json!({"properties": barred})
        }
        Bond::Where(key, is, bonds) => json!({
            "if": {"properties": {*key: {"const": is}}, "required": [key]},
            "then": {"allOf": bonds.iter().map(self::bond).collect::<Vec<_>>()},
        }),
        Bond::Within(key, bonds) => {
            json!({"properties": {*key: {"allOf": bonds.iter().map(self::bond).collect::<Vec<_>>()}}})
        }
    }
}

const IDENTITY: &str = "^((spiffe://|token:|network:|dns:)[!-~]+|anonymous)$";

fn shape(shape: &Shape) -> Value {
    match shape {
        Shape::Text => text("\\S"),
        Shape::Id => text("^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"),
        Shape::Word(words) => json!({"enum": words}),
        Shape::Boolean => json!({"type": "boolean"}),
        Shape::True => json!({"const": true}),
        Shape::Port => json!({"type": "integer", "minimum": 1, "maximum": 65535}),
        Shape::Number(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
        Shape::Moment => text("^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,9})?Z$"),
        Shape::Length => text("^[1-9][0-9]{0,8}[smhd]$"),
        Shape::Size => text("^[1-9][0-9]*(B|KiB|MiB|GiB|TiB)$"),
        Shape::Host => text("^(\\*\\*?\\.)?[a-z0-9_-]+(\\.[a-z0-9_-]+)*$"),
        Shape::Identity => text(IDENTITY),
        Shape::SpiffeId => text("^spiffe://[^*{/ ][!-~]*$"),
        Shape::Network => text("^[0-9a-f.:]+/[0-9]{1,3}$"),
        Shape::Address => text("^[0-9a-f.:]+$"),
        Shape::Condition => json!({"type": "string", "minLength": 1, "maxLength": 4096}),
        Shape::TextOrNull => json!({"type": ["string", "null"]}),
        Shape::List(of) => json!({"type": "array", "items": self::shape(of), "minItems": 1}),
        Shape::Set(of) => json!({"type": "array", "items": self::shape(of)}),
        Shape::Map(mapping) => json!({"$ref": format!("#/$defs/{}", slug(mapping.name))}),
        Shape::Entries(names, of) => {
            let pattern = match names {
                Names::Labels => "^[A-Za-z_][A-Za-z0-9_]{0,62}$",
                Names::DataClasses => "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$",
                Names::Modes => "^[a-z0-9-]{1,63}$",
                Names::Headers => "^[!-@\\[-~]+$",
            };
            json!({"type": "object", "propertyNames": {"pattern": pattern}, "additionalProperties": self::shape(of)})
        }
        Shape::Given(of) => json!({"anyOf": [{"const": "unknown"}, self::shape(of)]}),
        Shape::WordOr(word, of) => json!({"anyOf": [{"const": word}, self::shape(of)]}),
    }
}

fn text(pattern: &str) -> Value {
    json!({"type": "string", "pattern": pattern})
}
