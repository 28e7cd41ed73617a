//! Typed reading of a tree: every key known, every value of one type, nothing coerced.

use jiff::{SignedDuration, Timestamp};

use super::{Node, Style, Value};
use crate::diagnostic::{At, Place, Report, meant_or};

/// The fields of one mapping. Whoever reads asks for each key once; what nobody asked for is an unknown key.
pub(crate) struct Fields<'n, 't> {
    /// What it is called in the table of keys.
    what: &'static str,
    place: Place,
    fields: &'n [(super::Key<'t>, Node<'t>)],
    asked: Vec<&'static str>,
    /// No keys of it; whoever reads has said so better than `unknown key` does.
    foreign: Vec<&'static str>,
}

impl<'n, 't> Fields<'n, 't> {
    /// `what` names the thing in the complaint if this is no mapping, and in the table of keys.
    pub(crate) fn of(node: &'n Node<'t>, what: &'static str, report: &mut Report<'_>) -> Option<Fields<'n, 't>> {
        match &node.value {
            Value::Map(fields) => {
                Some(Fields { what, place: node.place, fields, asked: Vec::with_capacity(16), foreign: Vec::new() })
            }
            Value::Text(..) | Value::List(_) => {
                report.error(node.place, format!("{what} is a mapping (`key: value`)"));
                None
            }
        }
    }

    pub(crate) fn place(&self) -> Place {
        self.place
    }

    pub(crate) fn optional(&mut self, key: &'static str) -> Option<&'n Node<'t>> {
        self.asked.push(key);
        self.fields.iter().find(|(found, _)| found.text == key).map(|(_, node)| node)
    }

    pub(crate) fn required(&mut self, key: &'static str, help: &str, report: &mut Report<'_>) -> Option<&'n Node<'t>> {
        let node = self.optional(key);
        if node.is_none() {
            report.error_help(self.place, format!("`{key}` is missing"), help);
        }
        node
    }

    /// Whether the key is written.
    pub(crate) fn says(&self, key: &str) -> bool {
        self.fields.iter().any(|(found, _)| found.text == key)
    }

    /// Say no more of a key that is at home elsewhere, and was complained about.
    pub(crate) fn foreign(&mut self, key: &'static str) {
        self.foreign.push(key);
    }

    /// Report every key that nobody asked for.
    pub(crate) fn finish(self, report: &mut Report<'_>) {
        #[cfg(test)]
        asked::note(self.what, &self.asked);
        for (key, _) in self.fields {
            if self.asked.iter().chain(&self.foreign).any(|known| *known == key.text) || key.text == "<<" {
                continue;
            }
            let message = format!("unknown key `{}`", key.text);
            let help = meant_or(&key.text, self.asked.iter().copied(), || self.elsewhere(&key.text));
            report.error_why(key.place, message, "what a misspelt key says would be dropped, a deny as well", help);
            if report.is_full() {
                break;
            }
        }
    }
}

impl Fields<'_, '_> {
    /// What to say of a key that is none of these and like none of these.
    fn elsewhere(&self, key: &str) -> String {
        match crate::keys::home_of(key, self.what) {
            Some(home) => format!("`{key}` is a key of {home}"),
            None => format!("the keys of {} are {}", self.what, self.asked.join(", ")),
        }
    }
}

/// Which keys readers asked for, for the test that holds them to the table of keys.
#[cfg(test)]
pub(crate) mod asked {
    use std::cell::RefCell;
    use std::collections::{BTreeMap, BTreeSet};

    type Asked = BTreeMap<&'static str, BTreeSet<&'static str>>;

    thread_local! {
        static ASKED: RefCell<Asked> = RefCell::default();
    }

    pub(super) fn note(what: &'static str, keys: &[&'static str]) {
        ASKED.with_borrow_mut(|asked| asked.entry(what).or_default().extend(keys));
    }

    /// All since the last time that somebody took them, by what the mapping is called.
    pub(crate) fn take() -> Asked {
        ASKED.take()
    }
}

/// Text. What some YAML reader takes for a number, a truth value, null or a date must be quoted.
pub(crate) fn text(node: &Node<'_>, report: &mut Report<'_>) -> Option<At<String>> {
    match &node.value {
        Value::Text(text, Style::Plain) if looks_typed(text) => {
            let help = format!("quote it: \"{text}\"");
            let why = "some readers take it for a number, a truth value, a date or nothing";
            report.error_why(node.place, format!("`{text}` is not text to every YAML reader"), why, help);
            None
        }
        Value::Text(text, _) if text.trim().is_empty() => {
            report.error(node.place, "this must not be empty");
            None
        }
        Value::Text(text, _) => Some(At { value: text.as_ref().to_owned(), place: node.place }),
        Value::List(_) | Value::Map(_) => {
            report.error(node.place, "text is wanted here");
            None
        }
    }
}

/// YAML 1.1 and 1.2 resolve these plain scalars to something other than text.
fn looks_typed(text: &str) -> bool {
    const WORDS: [&str; 13] =
        ["~", "null", "true", "false", "yes", "no", "on", "off", "y", "n", ".inf", ".nan", "-.inf"];
    let number = text.strip_prefix(['+', '-', '.']).unwrap_or(text);
    let numeric = number.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_hexdigit() || b"+-._:xoXOTZ ".contains(&b));
    numeric || text.is_empty() || WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// A list, each item read by `item`; a bare value is not a list of one.
pub(crate) fn list<'n, 't, T>(
    node: &'n Node<'t>,
    report: &mut Report<'_>,
    mut item: impl FnMut(&'n Node<'t>, &mut Report<'_>) -> Option<T>,
) -> Vec<T> {
    match &node.value {
        Value::List(items) => {
            if items.is_empty() {
                let why = "one reader takes nothing for nobody, the next for everybody";
                report.error_why(node.place, "the list is empty", why, "name what is meant, or leave the key out");
            }
            let mut found = Vec::new();
            for node in items {
                found.extend(item(node, report));
                if report.is_full() {
                    break;
                }
            }
            found
        }
        Value::Text(..) | Value::Map(_) => {
            report.error_help(node.place, "a list is wanted here", "write `[…]`");
            Vec::new()
        }
    }
}

/// A mapping with free keys, in the order of the file.
pub(crate) fn entries<'n, 't>(node: &'n Node<'t>, report: &mut Report<'_>) -> Vec<(At<&'n str>, &'n Node<'t>)> {
    match &node.value {
        Value::Map(fields) => {
            fields.iter().map(|(key, node)| (At { value: key.text.as_ref(), place: key.place }, node)).collect()
        }
        Value::Text(..) | Value::List(_) => {
            report.error(node.place, "a mapping (`key: value`) is wanted here");
            Vec::new()
        }
    }
}

/// Whether the node is exactly this plain word.
pub(crate) fn is_word(node: &Node<'_>, word: &str) -> bool {
    matches!(&node.value, Value::Text(text, Style::Plain) if text == word)
}

/// `true` or `false`, unquoted.
pub(crate) fn boolean(node: &Node<'_>, report: &mut Report<'_>) -> Option<bool> {
    match &node.value {
        Value::Text(text, Style::Plain) if text == "true" => Some(true),
        Value::Text(text, Style::Plain) if text == "false" => Some(false),
        Value::Text(..) | Value::List(_) | Value::Map(_) => {
            report.error(node.place, "`true` or `false` is wanted here");
            None
        }
    }
}

/// A port: a plain decimal number from 1 to 65535.
pub(crate) fn port(node: &Node<'_>, report: &mut Report<'_>) -> Option<u16> {
    let port = match &node.value {
        Value::Text(text, Style::Plain) if !text.starts_with(['0', '+']) => text.parse::<u16>().ok(),
        Value::Text(..) | Value::List(_) | Value::Map(_) => None,
    };
    if port.is_none() {
        report.error_help(node.place, "a port is a number from 1 to 65535", "write it without quotes: `443`");
    }
    port
}

/// An instant in RFC 3339, in UTC.
pub(crate) fn instant(node: &Node<'_>, report: &mut Report<'_>) -> Option<At<Timestamp>> {
    let parsed = match &node.value {
        // jiff takes more than RFC 3339: the shape is checked first.
        Value::Text(text, _) if is_utc(text) => text.parse::<Timestamp>().ok(),
        Value::Text(..) | Value::List(_) | Value::Map(_) => None,
    };
    if parsed.is_none() {
        report.error_help(
            node.place,
            "this is not a moment in UTC",
            "write it as RFC 3339 with `Z`: \"2030-06-30T00:00:00Z\"",
        );
    }
    parsed.map(|value| At { value, place: node.place })
}

/// `YYYY-MM-DDThh:mm:ss[.fraction]Z`.
fn is_utc(text: &str) -> bool {
    let shape = b"0000-00-00T00:00:00";
    let (head, tail) = text.as_bytes().split_at_checked(shape.len()).unwrap_or((&[], &[]));
    let fits = |(byte, wanted): (&u8, &u8)| if *wanted == b'0' { byte.is_ascii_digit() } else { byte == wanted };
    let ending = match tail {
        [b'Z'] => true,
        [b'.', digits @ .., b'Z'] => (1..=9).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    !head.is_empty() && head.iter().zip(shape).all(fits) && ending
}

/// A length of time: `30s`, `5m`, `2h`, `90d`.
pub(crate) fn length(node: &Node<'_>, report: &mut Report<'_>) -> Option<SignedDuration> {
    let parsed = match &node.value {
        Value::Text(text, _) => parse_length(text),
        Value::List(_) | Value::Map(_) => None,
    };
    if parsed.is_none() {
        report.error_help(node.place, "this is not a length of time", "write `30s`, `5m`, `2h` or `90d`");
    }
    parsed
}

fn parse_length(text: &str) -> Option<SignedDuration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit: i64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let plain = !number.is_empty() && number.len() <= 9 && number.bytes().all(|b| b.is_ascii_digit());
    let number: i64 = if plain && !number.starts_with('0') { number.parse().ok()? } else { return None };
    number.checked_mul(unit).map(SignedDuration::from_secs)
}

/// Longest id of a document, a rule or a data class.
const ID_MAX: usize = 63;

/// An id: it stands in paths, records and metrics, so it is short and plain.
pub(crate) fn id(node: &Node<'_>, report: &mut Report<'_>) -> Option<At<String>> {
    let found = text(node, report)?;
    let plain = found.value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if plain && found.value.len() <= ID_MAX && found.value.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Some(found);
    }
    let message = format!("`{}` is not an id", found.value);
    report.error_help(node.place, message, "up to 63 letters, digits, `-`, `_`, `.`; a letter or digit first");
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::source::{SourceFile, parse};

    fn with<T>(yaml: &str, read: impl Fn(&Node<'_>, &mut Report<'_>) -> Option<T>) -> Option<T> {
        let files = [SourceFile { name: "a.yaml".into(), text: yaml.as_bytes().to_vec() }];
        let mut report = Report::new(&files, 100);
        let node = parse(0, &files[0].text, &Limits::STANDARD, &mut report)?;
        let value = read(&node, &mut report);
        assert_eq!(report.has_errors(), value.is_none(), "{yaml:?}: a value or a complaint, never both, never neither");
        value
    }

    #[test]
    fn text_is_never_coerced() {
        for yaml in
            ["no", "yes", "On", "~", "null", "1", "1.5", "0x1f", "1e9", "12:30", "2026-01-01", "+1", ".5", "[a]"]
        {
            assert!(with(yaml, text).is_none(), "{yaml}");
        }
        for yaml in ["\"no\"", "alice@example.com", "PAY-1", "'1'", "api.example.com"] {
            assert!(with(yaml, text).is_some(), "{yaml}");
        }
    }

    #[test]
    fn a_moment_is_rfc_3339_in_utc() {
        for yaml in ["\"2030-06-30T00:00:00Z\"", "2030-06-30T00:00:00.5Z"] {
            assert!(with(yaml, instant).is_some(), "{yaml}");
        }
        for yaml in
            ["2030-06-30", "\"2030-06-30T00:00:00+00:00\"", "2030-06-30T00:00:00", "2030-13-01T00:00:00Z", "soon"]
        {
            assert!(with(yaml, instant).is_none(), "{yaml}");
        }
    }

    #[test]
    fn numbers_and_truth_values_are_plain() {
        for yaml in ["\"443\"", "0443", "0", "65536", "443.0", "-1", "https"] {
            assert!(with(yaml, port).is_none(), "{yaml}");
        }
        assert_eq!(with("443", port), Some(443));
        assert_eq!(with("true", boolean), Some(true));
        assert!(with("\"true\"", boolean).is_none() && with("yes", boolean).is_none());
        assert_eq!(with("90d", length), Some(SignedDuration::from_hours(90 * 24)));
        for yaml in ["90", "d", "1.5h", "-1d", "1w", "0d", "99999999999d", "é"] {
            assert!(with(yaml, length).is_none(), "{yaml}");
        }
    }

    #[test]
    fn ids_are_plain() {
        assert!(with("no-gists", id).is_some());
        for yaml in ["a/b", "-a", "\"a b\"", "ä"] {
            assert!(with(yaml, id).is_none(), "{yaml}");
        }
    }
}
