//! The columns of an export: each field of the records with the type that it has in a Parquet file.

use std::sync::LazyLock;

use crate::evidence::fields::FIELDS;

/// What a column holds. Every one may be absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Text, UTF-8.
    Text,
    /// A 64-bit integer.
    Int,
    /// A truth value.
    Bool,
    /// A moment, in microseconds, UTC.
    Time,
    /// A list of texts.
    List,
    /// Text that is JSON: what has no fixed shape.
    Json,
}

impl Type {
    /// As the documentation calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Type::Text => "text",
            Type::Int => "integer (64 bits)",
            Type::Bool => "truth value",
            Type::Time => "timestamp (microseconds, UTC)",
            Type::List => "list of texts",
            Type::Json => "text, JSON",
        }
    }
}

/// A column of an export.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its name: the field's path with `_` for `.`.
    pub name: String,
    /// The path of the field.
    pub path: &'static str,
    /// What it holds.
    pub ty: Type,
    /// What it is.
    pub doc: &'static str,
}

/// Fields that are not text.
const TYPES: &[(Type, &[&str])] = &[
    (
        Type::Int,
        &[
            "schema",
            "sequence",
            "client.port",
            "destination.port",
            "dns.min_ttl",
            "local.port",
            "bytes_sent",
            "bytes_received",
            "duration_ms",
            "policy.serial",
            "timings.decide_us",
            "timings.dns_us",
            "timings.dial_us",
            "timings.probe_us",
            "checkpoint.size",
            "gap.first",
            "gap.last",
            "gap.bytes",
        ],
    ),
    (Type::Bool, &["dns.secure", "tls.present", "tls.ech", "upstream.verified", "destination.first_seen", "drill"]),
    (Type::Time, &["time", "rule.expires", "upstream.not_after"]),
    (
        Type::List,
        &["data_classes", "destination.addresses", "dns.cname", "tls.alpn", "tls.versions", "upstream.dns_sans"],
    ),
    (Type::Json, &["identity.labels", "nearest", "shadow", "details"]),
];

/// What an export has beside the fields: the registered domain, which SQL cannot find.
pub const DOMAIN: &str = "destination.domain";

/// Every column, in the order of the file.
pub static COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    let fields = FIELDS.iter().map(|field| (field.path, field.doc));
    let domain = (DOMAIN, "The registered domain of the host, by the public suffix list; the host itself without one.");
    fields.chain([domain]).map(|(path, doc)| Column { name: path.replace('.', "_"), path, ty: ty(path), doc }).collect()
});

fn ty(path: &str) -> Type {
    TYPES.iter().find(|(_, paths)| paths.contains(&path)).map_or(Type::Text, |(ty, _)| *ty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_that_of_a_field() {
        for path in TYPES.iter().flat_map(|(_, paths)| paths.iter()) {
            assert!(FIELDS.iter().any(|field| field.path == *path), "{path}");
        }
    }
}
