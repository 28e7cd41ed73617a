//! Rows of the corpora, with their escapes undone.

use std::collections::BTreeMap;

/// One row: column name to raw text.
#[derive(Clone, Debug)]
pub struct Row(BTreeMap<String, String>);

impl Row {
    /// A column as it stands in the file; empty where the row is short.
    pub fn get(&self, column: &str) -> &str {
        self.0.get(column).map_or("", String::as_str)
    }

    /// A column with its escapes undone.
    pub fn bytes(&self, column: &str) -> Vec<u8> {
        unescape(self.get(column))
    }
}

/// Every row of a file.
pub fn rows(text: &str) -> Vec<Row> {
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    let head: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
    let row =
        |line: &str| Row(head.iter().zip(line.split('\t')).map(|(k, v)| ((*k).to_owned(), v.to_owned())).collect());
    lines.filter(|line| !line.is_empty()).map(row).collect()
}

/// `\xNN`, `\r`, `\n`, `\t`, `\\` and `\R{n:unit}`, which repeats.
pub fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        let escape = &rest[at + 1..];
        let (bytes, used) = match escape.as_bytes()[0] {
            b'x' => (vec![u8::from_str_radix(&escape[1..3], 16).unwrap()], 3),
            b'r' => (vec![b'\r'], 1),
            b'n' => (vec![b'\n'], 1),
            b't' => (vec![b'\t'], 1),
            b'\\' => (vec![b'\\'], 1),
            b'R' => {
                let colon = escape.find(':').unwrap();
                let end = escape.find('}').unwrap();
                let times: usize = escape[2..colon].parse().unwrap();
                (unescape(&escape[colon + 1..end]).repeat(times), end + 1)
            }
            other => panic!("unknown escape `\\{}`", char::from(other)),
        };
        out.extend(bytes);
        rest = &escape[used..];
    }
    out.extend_from_slice(rest.as_bytes());
    out
}
