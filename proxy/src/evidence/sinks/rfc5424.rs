//! A record as a syslog message (RFC 5424) in a frame that says its length (RFC 6587 section 3.4.1, RFC 5425 section 4.3).

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::Value;

use super::ocsf;
use super::view::{Severity, View};
use crate::evidence::text::clean;

/// The message's own structured data. Names without `@` are IANA's to give, and others carry the enterprise number of
/// who defined them (RFC 5424 section 7.2.2). Gatepass has none: this is the number that is reserved for examples
/// (RFC 5612), which nobody else's data can carry.
pub const SD_ID: &str = "gatepass@32473";

/// One parameter of the structured data.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    /// Its name.
    pub name: &'static str,
    /// The field of the record that it shows, by its dotted path. A list is shown with commas, an address and port or a
    /// host and port as one.
    pub path: &'static str,
}

macro_rules! params {
    ($($name:literal $path:literal;)*) => {
        /// Every parameter, in the order of a message; those whose field is absent are left out.
        pub const PARAMS: &[Param] = &[$(Param { name: $name, path: $path },)*];
    };
}

params! {
    "id" "id";
    "sequence" "sequence";
    "gateway" "gateway";
    "effect" "effect";
    "outcome" "outcome";
    "reason" "reason.code";
    "rule" "rule.path";
    "owner" "rule.owner";
    "identity" "identity.id";
    "method" "identity.method";
    "data_classes" "data_classes";
    "client" "client";
    "listener" "listener";
    "destination" "destination";
    "address" "destination.address";
    "sni" "tls.sni";
    "ending" "ending";
    "cut_by" "cut_by";
    "bytes_sent" "bytes_sent";
    "bytes_received" "bytes_received";
    "duration_ms" "duration_ms";
    "result" "result";
    "error" "error";
    "bundle" "policy.bundle";
    "digest" "policy.digest";
    "size" "checkpoint.size";
    "root" "checkpoint.root";
    "cause" "gap.cause";
    "first" "gap.first";
    "last" "gap.last";
}

/// The message's parts that are the same for every record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// The machine's name.
    host: String,
    /// The process.
    process: u32,
}

impl Sender {
    /// A machine and a process; what a header cannot hold is left out of the name.
    pub fn new(host: &str, process: u32) -> Sender {
        Sender { host: word(host, 255), process }
    }

    /// This machine and process.
    pub fn this() -> Sender {
        Sender::new(&rustix::system::uname().nodename().to_string_lossy(), std::process::id())
    }
}

/// `log audit`, the facility of records for auditors (RFC 5424 section 6.2.1).
const FACILITY: u8 = 13;

/// What a reader takes for text of a known encoding (RFC 5424 section 6.4).
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// A record with structured data and a sentence.
pub fn message(record: &Value, sender: &Sender) -> String {
    let view = View(record);
    let mut text = header(view, sender);
    structured(view, &mut text);
    let sentence = clean(&view.sentence(), usize::MAX).into_owned();
    if !sentence.is_empty() {
        text.push(' ');
        if !sentence.is_ascii() {
            text.push_str(BYTE_ORDER_MARK);
        }
        text.push_str(&sentence);
    }
    text
}

/// A record as an OCSF event, in JSON of ASCII alone: the message then needs no byte order mark, which parsers of JSON
/// do not expect.
pub fn ocsf_message(record: &Value, sender: &Sender) -> String {
    let mut text = header(View(record), sender);
    text.push_str("- ");
    for c in ocsf::event(record).to_string().chars() {
        if (' '..='~').contains(&c) {
            text.push(c);
        } else {
            // Outside of texts JSON is ASCII, so this is within one.
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                // Writing to a String cannot fail, here and below.
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
    }
    text
}

/// Append a message to `into`, with its length before it.
pub fn frame(message: &str, into: &mut Vec<u8>) {
    into.extend_from_slice(message.len().to_string().as_bytes());
    into.push(b' ');
    into.extend_from_slice(message.as_bytes());
}

/// `<PRI>1 TIME HOST APP PROCID MSGID `, as RFC 5424 section 6 has it.
fn header(view: View<'_>, sender: &Sender) -> String {
    let severity = match view.severity() {
        Severity::Info => 6,
        Severity::Warn => 4,
        Severity::Error => 3,
    };
    // Four digits for the year: RFC 3339 has no other form.
    let time = view.time().map(|time| time.to_string()).filter(|time| time.starts_with(|c: char| c.is_ascii_digit()));
    let time = time.as_deref().unwrap_or("-");
    let (priority, host, process) = (FACILITY * 8 + severity, nil(&sender.host), sender.process);
    let kind = word(view.kind(), 32);
    format!("<{priority}>1 {time} {host} gatepass {process} {} ", nil(&kind))
}

fn structured(view: View<'_>, into: &mut String) {
    let _ = write!(into, "[{SD_ID}");
    for param in PARAMS {
        let Some(value) = view.field(param.path).and_then(shown) else { continue };
        let _ = write!(into, " {}=\"", param.name);
        for c in clean(&value, usize::MAX).chars() {
            // RFC 5424 section 6.3.3.
            if matches!(c, '"' | '\\' | ']') {
                into.push('\\');
            }
            into.push(c);
        }
        into.push('"');
    }
    into.push(']');
}

/// A field as one value.
fn shown(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Null => None,
        Value::Bool(_) | Value::Number(_) => Some(value.to_string().into()),
        Value::String(text) => Some(text.into()),
        Value::Array(values) => {
            let values: Vec<_> = values.iter().filter_map(shown).collect();
            Some(values.join(",").into())
        }
        Value::Object(map) => {
            let host = map.get("host").or_else(|| map.get("address")).and_then(Value::as_str);
            match (host, map.get("port").and_then(Value::as_u64)) {
                (Some(host), Some(port)) if host.contains(':') => Some(format!("[{host}]:{port}").into()),
                (Some(host), Some(port)) => Some(format!("{host}:{port}").into()),
                // What was asked for is no authority.
                (_, _) => map.get("text").and_then(Value::as_str).map(Into::into),
            }
        }
    }
}

/// Printable ASCII without spaces, which is all that a header takes.
fn word(text: &str, max: usize) -> String {
    text.chars().filter(char::is_ascii_graphic).take(max).collect()
}

fn nil(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}
