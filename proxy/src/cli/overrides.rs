//! What the commands for grants, exceptions and modes share.

use std::fmt::Arguments;
use std::io::{IsTerminal as _, Write as _};

use clap::Args;
use http::Method;
use serde_json::{Map, Value};

use super::Exit;
use super::operator::Operator;
use crate::admin::api::encoded;
use crate::evidence::questions::table::Look;
use crate::state::entry::parse_length;

/// Pages of a list that are asked for.
const PAGES_MAX: usize = 1_000;

/// What a grant or an exception is for.
#[derive(Args)]
pub struct Wanted {
    /// Where to.
    #[arg(long = "to", value_name = "HOST:PORT", required = true)]
    to: Vec<String>,
    /// With data of which class; left out: those that the registry gives the identity.
    #[arg(long = "data-class", value_name = "CLASS")]
    data_classes: Vec<String>,
    /// For how long: `30m`, `24h`.
    #[arg(long = "for", value_name = "LENGTH")]
    length: String,
    /// Why: what others are told, now and later.
    #[arg(long)]
    reason: String,
    /// Where it is discussed.
    #[arg(long)]
    ticket: Option<String>,
}

impl Wanted {
    /// As a request.
    pub fn body(&self) -> Result<Map<String, Value>, Exit> {
        let ttl = seconds(&self.length).map_err(|problem| {
            eprintln!("error: {problem}");
            Exit::Usage
        })?;
        let mut body = Map::new();
        body.insert("destinations".into(), self.to.clone().into());
        if !self.data_classes.is_empty() {
            body.insert("data_classes".into(), self.data_classes.clone().into());
        }
        body.insert("ttl".into(), ttl.into());
        body.insert("reason".into(), self.reason.as_str().into());
        body.extend(self.ticket.iter().map(|ticket| ("ticket".to_owned(), Value::from(ticket.as_str()))));
        Ok(body)
    }
}

/// A length of time in seconds.
pub fn seconds(text: &str) -> Result<i64, String> {
    let help = || format!("`{text}` is not a length of time such as `30s`, `15m`, `2h` or `7d`");
    parse_length(text).map(|length| length.as_secs()).ok_or_else(help)
}

/// The path that ends something, with the reason.
pub fn closing(path: &str, reason: Option<&str>) -> String {
    reason.map_or_else(|| path.to_owned(), |reason| format!("{path}?reason={}", encoded(reason)))
}

/// Every page of a list.
pub fn list(operator: &Operator, path: &str, key: &str) -> Result<Vec<Value>, Exit> {
    let mut found = Vec::new();
    let mut next = format!("{path}?limit=1000");
    for _ in 0..PAGES_MAX {
        let page = operator.ask(Method::GET, &next, None)?;
        found.extend(page.get(key).and_then(Value::as_array).into_iter().flatten().cloned());
        match page.get("next").and_then(Value::as_str) {
            Some(page) => page.clone_into(&mut next),
            None => break,
        }
    }
    Ok(found)
}

/// Print. Whoever reads may stop when they have read enough.
pub fn out(text: Arguments<'_>) {
    let _ = std::io::stdout().lock().write_fmt(text);
}

/// Print JSON.
pub fn say(value: &Value) {
    out(format_args!("{value}\n"));
}

/// How a table is drawn.
pub fn look() -> Look {
    if std::io::stdout().is_terminal() { Look::Terminal } else { Look::Plain }
}

/// A text of a value; empty where there is none.
pub fn short(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A moment for people: nobody acts on parts of a second.
pub fn moment(value: &Value, pointer: &str) -> String {
    let text = short(value, pointer);
    match text.split_once('.') {
        Some((whole, _)) => format!("{whole}Z"),
        None => text,
    }
}

/// Until when: when it was taken back, or when it ends; for how long, where it has not begun.
pub fn until(one: &Value) -> String {
    let ends = ["/revoked/at", "/closed/at", "/ends"].map(|pointer| moment(one, pointer));
    match (ends.into_iter().find(|ends| !ends.is_empty()), short(one, "/for")) {
        (Some(ends), _) => ends,
        (None, length) if length.is_empty() => length,
        (None, length) => format!("for {length}"),
    }
}

/// With which data.
pub fn classes(one: &Value) -> String {
    joined(one.pointer("/data_classes"))
}

/// For whom.
pub fn whom(one: &Value) -> String {
    joined(one.pointer("/identities"))
}

/// Where to.
pub fn places(one: &Value) -> String {
    let hosts = ["/destinations/hosts", "/destinations/cidrs"].map(|pointer| joined(one.pointer(pointer)));
    let hosts: Vec<String> = hosts.into_iter().filter(|text| !text.is_empty()).collect();
    format!("{}:{}", hosts.join(","), joined(one.pointer("/destinations/ports")))
}

fn joined(list: Option<&Value>) -> String {
    let items = list.and_then(Value::as_array).into_iter().flatten();
    let items: Vec<String> = items.map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)).collect();
    items.join(",")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{moment, seconds, until};

    #[test]
    fn a_moment_has_no_parts_of_a_second_and_what_has_not_begun_has_a_length() {
        let held = json!({"ends": "2026-11-24T13:18:03.98515Z", "for": "30m"});
        assert_eq!(
            (moment(&held, "/ends").as_str(), until(&held).as_str()),
            ("2026-11-24T13:18:03Z", "2026-11-24T13:18:03Z")
        );
        assert_eq!(moment(&json!({"at": "2026-11-24T13:18:03Z"}), "/at"), "2026-11-24T13:18:03Z");
        assert_eq!(until(&json!({"for": "30m"})), "for 30m");
        let revoked = json!({"revoked": {"at": "2026-11-24T13:00:00.5Z"}, "ends": "2026-11-24T13:18:03Z"});
        assert_eq!(until(&revoked), "2026-11-24T13:00:00Z");
        assert_eq!(until(&json!({})), "");
    }

    #[test]
    fn lengths_are_written_as_in_the_configuration() {
        assert_eq!(seconds("30m").unwrap(), 1800);
        assert!(seconds("30").is_err() && seconds("-1m").is_err() && seconds("").is_err());
    }
}
