//! A table that reads well in a terminal and is Markdown.

/// The first column to the left, numbers to the right. Every row has as many cells as `head`.
pub fn render(head: &[String], rows: &[Vec<String>]) -> String {
    let widths: Vec<usize> = (0..head.len()).map(|column| width(head, rows, column)).collect();
    let rule: Vec<String> = (widths.iter().enumerate())
        .map(|(column, width)| if column == 0 { "-".repeat(*width) } else { "-".repeat(width - 1) + ":" })
        .collect();
    let lines = [line(head, &widths), line(&rule, &widths)].into_iter();
    lines.chain(rows.iter().map(|row| line(row, &widths))).collect()
}

/// Markdown wants three characters in the rule.
fn width(head: &[String], rows: &[Vec<String>], column: usize) -> usize {
    let cells = std::iter::once(head).chain(rows.iter().map(Vec::as_slice)).filter_map(|row| row.get(column));
    cells.map(|cell| cell.chars().count()).max().unwrap_or(0).max(3)
}

fn line(row: &[String], widths: &[usize]) -> String {
    let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| match column {
        0 => format!("| {cell:<width$} "),
        _ => format!("| {cell:>width$} "),
    });
    cells.collect::<String>() + "|\n"
}

/// A number with `digits` after the point and commas between thousands.
pub fn number(value: f64, digits: usize) -> String {
    let text = format!("{:.digits$}", value.abs());
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let sign = if value < 0.0 && text.contains(|c: char| c.is_ascii_digit() && c != '0') { "-" } else { "" };
    format!("{sign}{grouped}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(row: &[&str]) -> Vec<String> {
        row.iter().map(|cell| (*cell).to_owned()).collect()
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let table = render(&cells(&["", "direct", "b"]), &[cells(&["CPU µs", "1", "12,345"]), cells(&["x", "", "-"])]);
        let wanted = "\
|        | direct |      b |
| ------ | -----: | -----: |
| CPU µs |      1 | 12,345 |
| x      |        |      - |
";
        assert_eq!(table, wanted);
    }

    #[test]
    fn a_table_without_rows_has_its_head() {
        assert_eq!(render(&cells(&["a", "b"]), &[]), "| a   |   b |\n| --- | --: |\n");
    }

    #[test]
    fn thousands_are_grouped() {
        let shown: Vec<String> = [0.0, 999.4, 1_000.0, 1_234_567.0].map(|value| number(value, 0)).to_vec();
        assert_eq!(shown, ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(number(1_234.567, 2), "1,234.57");
        assert_eq!(number(-1_234.5, 1), "-1,234.5");
        assert_eq!(number(-0.01, 1), "0.0");
    }
}
