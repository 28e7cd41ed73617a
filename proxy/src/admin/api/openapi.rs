//! The OpenAPI 3.1 document of what is served.

use serde_json::{Map, Value, json};

use super::operation::{Needs, Operation};
use super::shape::{Field, Need, Shape};
use super::table::Row;

/// A problem document (RFC 9457).
const PROBLEM: Shape = Shape::Object(&[
    Field::required("status", Shape::Integer { min: 400, max: 599 }, "the status"),
    Field::required("title", Shape::Text { max: 256 }, "what the status means"),
    Field::required("detail", Shape::Text { max: 65_536 }, "what went wrong, and how to mend it"),
    Field::optional(
        "errors",
        Shape::List {
            of: &Shape::Object(&[
                Field::required("field", Shape::Lines { max: 256 }, "dotted from the root; empty for the whole"),
                Field::required("detail", Shape::Text { max: 1024 }, "what is wrong with it"),
            ]),
            min: 1,
            max: 64,
        },
        "what is wrong field by field",
    ),
]);

/// The document of every row of a table.
pub fn document(table: &[Row]) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for row in table {
        let path = paths.entry(row.operation.path).or_insert_with(|| json!({}));
        if let Value::Object(methods) = path {
            methods.insert(row.operation.verb.method().as_str().to_ascii_lowercase(), operation(row.operation));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Gatepass admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": {"Problem": PROBLEM.schema()},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "an operator's token, or an ID token"},
                "certificate": {"type": "mutualTLS", "description": "an operator's client certificate"},
            },
        },
    })
}

fn operation(operation: &Operation) -> Value {
    let mut described = json!({
        "summary": operation.summary,
        "operationId": id(operation),
        "responses": responses(operation),
        "security": [],
    });
    let Value::Object(entries) = &mut described else { return described };
    if let Needs::AnyOf(roles) = operation.needs {
        let roles: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
        entries.insert("security".into(), json!([{"token": roles}, {"certificate": roles}]));
    }
    let parameters = parameters(operation);
    if !parameters.is_empty() {
        entries.insert("parameters".into(), parameters.into());
    }
    if let Some(body) = &operation.body {
        let content = json!({"application/json": {"schema": body.shape.schema()}});
        entries.insert("requestBody".into(), json!({"required": true, "content": content}));
    }
    described
}

/// Unique, and a word: `get_v1_decisions_id`.
fn id(operation: &Operation) -> String {
    let path: String = operation.path.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let words: Vec<&str> = path.split('_').filter(|word| !word.is_empty()).collect();
    format!("{}_{}", operation.verb.method().as_str().to_ascii_lowercase(), words.join("_"))
}

fn parameters(operation: &Operation) -> Vec<Value> {
    let in_path = operation
        .path
        .contains("{id}")
        .then(|| json!({"name": "id", "in": "path", "required": true, "schema": Shape::Text { max: 64 }.schema()}));
    let in_query = operation.query.iter().map(|field| {
        json!({
            "name": field.name,
            "in": "query",
            "required": field.need == Need::Required,
            "description": field.doc,
            "schema": field.shape.schema(),
        })
    });
    in_path.into_iter().chain(in_query).collect()
}

fn responses(operation: &Operation) -> Value {
    let answer = &operation.answer;
    let content = match &answer.shape {
        Some(shape) => json!({"application/json": {"schema": shape.schema()}}),
        None => json!({"text/plain": {"schema": {"type": "string"}}}),
    };
    let problem = json!({
        "description": "a problem document (RFC 9457)",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    });
    let mut responses = Map::new();
    responses.insert(answer.status.to_string(), json!({"description": answer.doc, "content": content}));
    responses.insert("default".into(), problem);
    responses.into()
}
