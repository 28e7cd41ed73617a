//! docs/reference is written from the code's tables, and equal to them.
//!
//! After a table has changed: `GATEPASS_REGENERATE=1 cargo nextest run -p gatepass-tests tidy::documents`.

use std::fmt::Write as _;

use gatepass::evidence::fields::{DERIVED, FIELDS, Place};
use gatepass::evidence::questions::columns::COLUMNS;
use gatepass::evidence::words::{Ending, Outcome};
use gatepass::metrics::{Kind, METRICS};
use gatepass_config::limits::TABLE;
use gatepass_policy::decision::Reason;
use gatepass_policy::schema::{ATTRIBUTES, Support};

use super::root;

const REGENERATE: &str = "GATEPASS_REGENERATE";

/// The file says this; or, where it is asked for, it does from now on.
pub(super) fn equal(name: &str, text: &str) {
    let path = root().join("docs/reference").join(name);
    if std::env::var_os(REGENERATE).is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        return;
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == text,
        "docs/reference/{name} does not say what the code's table says; write it again with\n    {REGENERATE}=1 cargo nextest run -p gatepass-tests tidy::documents"
    );
}

/// A cell of a table: a bar would end it.
pub(super) fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[test]
fn the_metrics_are_those_of_the_code() {
    let mut text = String::from(
        "# Metrics\n\nServed by the admin listener under `/metrics`, in the Prometheus text format, and exported by OTLP under the same names where `telemetry` is configured. No host and no identity is ever a label.\n\n| name | kind | unit | labels | what |\n|---|---|---|---|---|\n",
    );
    for metric in METRICS {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let unit = metric.unit.as_str();
        writeln!(text, "| `{}` | {kind} | {unit} | {} | {} |", metric.name, labels.join(", "), cell(metric.help))
            .unwrap();
    }
    text.push_str("\nPrometheus shows `_` for `.`, and adds the unit and `_total`.\n");
    equal("metrics.md", &text);
}

#[test]
fn the_columns_of_an_export_are_those_of_the_code() {
    let mut text = String::from(
        "# Columns of a Parquet export\n\nWritten by `gatepass evidence export --parquet FILE`: a row for each record, in the order of the records. What a record does not have is null. Snappy, with dictionaries; row groups of at most 122,880 rows.\n\n| column | type | what |\n|---|---|---|\n",
    );
    for column in COLUMNS.iter() {
        writeln!(text, "| `{}` | {} | {} |", column.name, column.ty.as_str(), cell(column.doc)).unwrap();
    }
    equal("../evidence/parquet.md", &text);
}

#[test]
fn the_limits_are_those_of_the_code() {
    let mut text = String::from(
        "# Limits\n\nEvery bound of the program: a key under `limits` in the configuration. `gatepass serve --print-limits` lists them too.\n\n| key | default | from | to | what is bounded | why that number |\n|---|---|---|---|---|---|\n",
    );
    for row in TABLE {
        let (what, why) = (cell(row.what), cell(row.why));
        writeln!(text, "| `{}` | {} | {} | {} | {what} | {why} |", row.key, row.default, row.min, row.max).unwrap();
    }
    equal("limits.md", &text);
}

#[test]
fn the_attributes_are_those_of_the_code() {
    let mut text = String::from(
        "# Attributes\n\nWhat an expression may look at. A rule has no stages of its own: they follow from the attributes it uses.\n\n| name | type | known at | what |\n|---|---|---|---|\n",
    );
    for row in ATTRIBUTES.iter().filter(|row| row.support == Support::Built) {
        writeln!(text, "| `{}` | {} | {} | {} |", row.name, row.ty, row.stage, cell(row.doc)).unwrap();
    }
    let reserved: Vec<_> =
        ATTRIBUTES.iter().filter(|row| row.support == Support::NotYet).map(|row| format!(" `{}`", row.name)).collect();
    if !reserved.is_empty() {
        writeln!(text, "\nReserved, and an error in this version:{}.", reserved.join(",")).unwrap();
    }
    equal("attributes.md", &text);
}

#[test]
fn the_records_are_those_of_the_code() {
    let mut text = String::from(
        "# Records\n\nOne JSON object a line. Absent means omitted; unknown keys are to be ignored. The same fields go to a collector as OTLP log records.\n\n| field | in OTLP | what |\n|---|---|---|\n",
    );
    for field in FIELDS {
        let place = match field.place {
            Place::Attribute(name) => format!("`{name}`"),
            Place::Seconds(name) => format!("`{name}`, in seconds"),
            Place::Resource(name) => format!("`{name}` of the resource"),
            Place::EventName => "the event name".to_owned(),
            Place::Time => "the time".to_owned(),
            Place::Body => "the body".to_owned(),
            Place::TraceId => "the trace id".to_owned(),
            Place::SpanId => "the span id".to_owned(),
        };
        writeln!(text, "| `{}` | {place} | {} |", field.path, cell(field.doc)).unwrap();
    }
    text.push_str("\nA collector also gets what follows from these:\n\n| attribute | what |\n|---|---|\n");
    for derived in DERIVED {
        writeln!(text, "| `{}` | {} |", derived.name, cell(derived.doc)).unwrap();
    }
    text.push_str("\n## Reasons\n\n| code | what |\n|---|---|\n");
    for reason in Reason::ALL {
        writeln!(text, "| `{}` | {} |", reason.code(), cell(reason.sentence())).unwrap();
    }
    let outcomes: Vec<_> = Outcome::ALL.iter().map(|word| format!("`{}`", word.as_str())).collect();
    let endings: Vec<_> = Ending::ALL.iter().map(|word| format!("`{}`", word.as_str())).collect();
    writeln!(text, "\n## Outcomes\n\n{}\n\n## Endings\n\n{}", outcomes.join(", "), endings.join(", ")).unwrap();
    equal("records.md", &text);
}

#[test]
fn the_parameters_of_syslog_messages_are_those_of_the_code() {
    use gatepass::evidence::sinks::rfc5424::{PARAMS, SD_ID};

    let mut text = format!(
        "# Syslog\n\nThe parameters of `{SD_ID}`, the structured data of each message, with the [field](records.md) that each shows. One whose field is absent is left out. Lists are shown with commas.\n\n| parameter | field |\n|---|---|\n"
    );
    for param in PARAMS {
        writeln!(text, "| `{}` | `{}` |", param.name, param.path).unwrap();
    }
    equal("syslog.md", &text);
}

#[test]
fn the_operations_of_the_admin_api_are_those_of_the_code() {
    use gatepass::admin::api::{Needs, TABLE};

    let mut text = String::from(
        "# Operations of the admin API\n\nThe OpenAPI document under `/v1/openapi.json` says what each takes and answers; [../admin.md](../admin.md) is about operators.\n\n| method | path | who | what |\n|---|---|---|---|\n",
    );
    for row in TABLE {
        let operation = row.operation;
        let who = match operation.needs {
            Needs::Nothing => "anybody".to_owned(),
            Needs::AnyOf(roles) => {
                roles.iter().map(|role| format!("`{}`", role.as_str())).collect::<Vec<_>>().join(" or ")
            }
        };
        let (verb, summary) = (operation.verb.method(), cell(operation.summary));
        writeln!(text, "| {verb} | `{}` | {who} | {summary} |", operation.path).unwrap();
    }
    text.push_str("\nEvery role may do what `viewer` may.\n");
    equal("admin-api.md", &text);
}
