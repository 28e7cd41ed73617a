//! The tables of `state.redb`.

use redb::{Database, Durability, ReadTransaction, Table, TableDefinition, WriteTransaction};

/// The layout below. One that another version wrote is not guessed at.
pub const FORMAT: u64 = 1;

/// The embedded store: key to the revision that wrote it, the end (microseconds since the epoch) and the value.
pub const KEPT: TableDefinition<&str, (u64, Option<i64>, &[u8])> = TableDefinition::new("kept");

/// The keys of `KEPT` that have an end, by it.
pub const ENDS: TableDefinition<(i64, &str), ()> = TableDefinition::new("ends");

/// The copy of a store elsewhere: key to revision and value.
pub const COPY: TableDefinition<&str, (u64, &[u8])> = TableDefinition::new("copy");

/// What this gateway noted for itself.
pub const NOTES: TableDefinition<&str, &[u8]> = TableDefinition::new("notes");

/// Numbers, by the names below.
pub const NUMBERS: TableDefinition<&str, u64> = TableDefinition::new("numbers");

/// Times in microseconds since the epoch, by the names below.
pub const TIMES: TableDefinition<&str, i64> = TableDefinition::new("times");

/// In `NUMBERS`: `FORMAT`.
const FORMAT_KEY: &str = "format";
/// In `NUMBERS`: the last commit of the embedded store.
pub const REVISION: &str = "revision";
/// In `NUMBERS`: the revision that the copy is of.
pub const COPIED: &str = "copied";
/// In `TIMES`: the highest wall-clock time ever seen.
pub const HIGHEST_SEEN: &str = "highest_seen";

/// Begin a transaction that is on the disk when it is committed.
///
/// In two phases: the state before it is never fallen back to in silence, so a decision that was acknowledged is there or
/// its loss is an error.
pub fn begin(database: &Database) -> Result<WriteTransaction, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    transaction.set_two_phase_commit(true);
    Ok(transaction)
}

/// Every table, empty, so that no reader has to ask whether there is one.
pub fn make(database: &Database) -> Result<(), redb::Error> {
    let transaction = begin(database)?;
    transaction.open_table(KEPT)?;
    transaction.open_table(ENDS)?;
    transaction.open_table(COPY)?;
    transaction.open_table(NOTES)?;
    transaction.open_table(TIMES)?;
    transaction.open_table(NUMBERS)?.insert(FORMAT_KEY, FORMAT)?;
    transaction.commit()?;
    Ok(())
}

/// The format of a database, 0 where it says none; an error where a table is missing.
pub fn format(reading: &ReadTransaction) -> Result<u64, redb::Error> {
    reading.open_table(KEPT)?;
    reading.open_table(ENDS)?;
    reading.open_table(COPY)?;
    reading.open_table(NOTES)?;
    reading.open_table(TIMES)?;
    number(&reading.open_table(NUMBERS)?, FORMAT_KEY)
}

/// A number, 0 where it was never written.
pub fn number(numbers: &impl redb::ReadableTable<&'static str, u64>, key: &str) -> Result<u64, redb::Error> {
    Ok(numbers.get(key)?.map_or(0, |number| number.value()))
}

/// Remove everything from a table.
pub fn clear<K: redb::Key + 'static, V: redb::Value + 'static>(table: &mut Table<'_, K, V>) -> Result<(), redb::Error> {
    table.retain(|_, _| false)?;
    Ok(())
}
