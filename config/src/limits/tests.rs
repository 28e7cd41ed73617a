//! The table, and what it is read into.

use super::*;

#[test]
fn struct_and_table_agree() {
    let limits = Limits::default();
    let debug = format!("{limits:?}");
    for row in TABLE {
        assert_eq!(limits.amount(row.key), Some(row.default), "{}", row.key);
        assert!(debug.contains(&format!("{}: ", row.key)), "{}", row.key);
    }
    assert_eq!(debug.matches(": ").count(), TABLE.len());
    assert_eq!(limits.amount("no_such_key"), None);
}

#[test]
fn every_default_lies_in_its_range_and_every_row_says_why() {
    for row in TABLE {
        let free = row.default == Amount::Files(None);
        assert!(row.min < row.max && (free || (row.min <= row.default && row.default <= row.max)), "{}", row.key);
        assert!(row.what.len() > 5 && row.why.len() > 10, "{}", row.key);
    }
}

#[test]
fn an_amount_is_written_as_a_file_would_write_it() {
    let shown: Vec<String> =
        [Amount::Time(ms(1_500)), Amount::Time(m(2)), Amount::Time(h(48)), Amount::Time(ms(0)), Amount::Size(64_000)]
            .iter()
            .map(Amount::to_string)
            .collect();
    assert_eq!(shown, ["1500ms", "2m", "2d", "0ms", "64000B"]);
    assert_eq!(Amount::Size(kib(64)).to_string(), "64KiB");
}

#[test]
fn connections_leave_files_for_the_rest() {
    assert_eq!(connections_within(20_000), 9_375);
    assert_eq!(connections_within(1_024), 480);
    assert_eq!(connections_within(10), 1);
}
