//! The answer to a question: rows of named values, for people and for programs.

use comfy_table::presets::{NOTHING, UTF8_FULL_CONDENSED};
use comfy_table::{CellAlignment, ContentArrangement, Row as Line};
use serde_json::{Map, Value};

use crate::evidence::text::clean;

/// For whom it is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// A terminal: lines around the cells, as wide as the window.
    Terminal,
    /// A file or a program: columns, and nothing else.
    Plain,
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// The names of the columns.
    pub columns: &'static [&'static str],
    /// The rows: as many values as there are columns.
    pub rows: Vec<Vec<Value>>,
    /// How many more rows there are.
    pub more: usize,
    /// What must be known to read it rightly.
    pub notes: Vec<String>,
}

impl Table {
    /// Without rows.
    pub fn new(columns: &'static [&'static str]) -> Table {
        Table { columns, rows: Vec::new(), more: 0, notes: Vec::new() }
    }

    /// With the first rows only.
    #[must_use]
    pub fn limited(mut self, limit: usize) -> Table {
        self.more = self.rows.len().saturating_sub(limit);
        self.rows.truncate(limit);
        self
    }

    /// One object a row, and what there is to say of them.
    pub fn json(&self) -> Value {
        let object = |row: &Vec<Value>| {
            let named = self.columns.iter().zip(row).filter(|(_, value)| !value.is_null());
            Value::Object(named.map(|(name, value)| ((*name).replace(' ', "_"), value.clone())).collect())
        };
        let mut json = Map::new();
        json.insert("rows".into(), self.rows.iter().map(object).collect());
        json.insert("more".into(), self.more.into());
        json.insert("notes".into(), self.notes.clone().into());
        json.into()
    }

    /// For people.
    pub fn text(&self, look: Look) -> String {
        let mut table = comfy_table::Table::new();
        match look {
            Look::Terminal => {
                table.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic)
            }
            Look::Plain => table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled),
        };
        table.set_header(self.columns.iter().copied());
        for row in &self.rows {
            table.add_row(Line::from(row.iter().map(shown).collect::<Vec<_>>()));
        }
        for (place, column) in table.column_iter_mut().enumerate() {
            let is_number = |row: &Vec<Value>| row.get(place).is_some_and(Value::is_number);
            if self.rows.iter().any(is_number) {
                column.set_cell_alignment(CellAlignment::Right);
            }
            if look == Look::Plain {
                column.set_padding((0, 1));
            }
        }
        let mut text: String = table.lines().map(|line| format!("{}\n", line.trim_end())).collect();
        if self.rows.is_empty() {
            text.push_str("(none)\n");
        }
        text
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        // An export may come from anywhere.
        Value::String(text) => clean(text, usize::MAX).into_owned(),
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(fraction) => format!("{fraction:.3}"),
            None => number.to_string(),
        },
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_gets_columns_and_a_person_gets_lines_around_them() {
        let rows = vec![vec!["a b".into(), 12.into()], vec![Value::Null, 3.into()]];
        let table = Table { rows, ..Table::new(&["who", "bytes sent"]) };
        assert_eq!(table.text(Look::Plain), "who bytes sent\na b         12\n             3\n");
        assert!(table.text(Look::Terminal).contains("│ a b ┆"));
        let json = r#"{"rows":[{"who":"a b","bytes_sent":12},{"bytes_sent":3}],"more":0,"notes":[]}"#;
        assert_eq!(table.json().to_string(), json);
        assert_eq!((table.clone().limited(1).rows.len(), table.limited(1).more), (1, 1));
        assert_eq!(Table::new(&["who"]).text(Look::Plain), "who\n(none)\n");
    }
}
