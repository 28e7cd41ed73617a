//! Records from the Parquet files that `gatepass evidence export` writes: the columns that are wanted, and no others.

use std::fs::File;
use std::io::{self, Read as _};
use std::ops::ControlFlow;
use std::path::Path;

use parquet::basic::Type as Physical;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader as _, RowGroupReader, SerializedFileReader};

use super::cell::{Cell, List};
use super::{COLUMNS, Recorded, Set};
use crate::evidence::otlp::message::utf8;
use crate::evidence::questions::columns::{self, Type};
use crate::evidence::questions::row::Kind;

/// Rows that are held at a time.
const BATCH: usize = 4096;

/// Whether a file begins as a Parquet file does.
pub fn begins_as_one(path: &Path) -> io::Result<bool> {
    let mut head = Vec::new();
    File::open(path)?.take(4).read_to_end(&mut head)?;
    Ok(head == b"PAR1")
}

/// Hand every record to `take`, and the bytes read so far to `progress`.
///
/// # Errors
///
/// A sentence where the file, or the rest of it, cannot be read.
pub fn each(
    path: &Path,
    progress: &mut dyn FnMut(u64),
    take: &mut dyn FnMut(&Recorded<'_>) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let reader = SerializedFileReader::new(file).map_err(said)?;
    let wanted = wanted(&reader)?;
    let mut read = 0;
    for at in 0..reader.num_row_groups() {
        let group = reader.get_row_group(at).map_err(said)?;
        let mut columns = Vec::new();
        for column in &wanted {
            columns.push(Open::of(column, &*group)?);
        }
        let mut left = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
        while left > 0 {
            let rows = left.min(BATCH);
            for column in &mut columns {
                column.fill(rows)?;
            }
            for _ in 0..rows {
                if take(&line(&mut columns)?).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            left -= rows;
        }
        read += u64::try_from(group.metadata().compressed_size()).unwrap_or(0);
        progress(read);
    }
    Ok(ControlFlow::Continue(()))
}

/// Where a value goes: the columns of a record, and the two that are not attributes of it.
#[derive(Clone, Copy)]
enum Goes {
    Set(Set),
    Kind,
    Time,
}

/// A column of the file that is read.
struct Wanted {
    name: String,
    place: usize,
    ty: Type,
    goes: Goes,
}

fn wanted(reader: &SerializedFileReader<File>) -> Result<Vec<Wanted>, String> {
    let schema = reader.metadata().file_metadata().schema_descr();
    let mut found = Vec::new();
    let of_record = COLUMNS.iter().map(|column| (column.path, Goes::Set(column.set)));
    for (path, goes) in of_record.chain([("kind", Goes::Kind), ("time", Goes::Time)]) {
        let Some(column) = columns::COLUMNS.iter().find(|column| column.path == path) else { continue };
        let at = schema.columns().iter().position(|c| c.path().parts().first() == Some(&column.name));
        let Some((place, described)) = at.and_then(|at| Some((at, schema.columns().get(at)?))) else {
            // A field that this file does not have was not recorded; without these there is no record at all.
            if ["kind", "time", "id"].contains(&path) {
                return Err(format!("this is no export of records: it has no column `{}`", column.name));
            }
            continue;
        };
        let (physical, levels) = match column.ty {
            Type::Text | Type::Json => (Physical::BYTE_ARRAY, (1, 0)),
            Type::List => (Physical::BYTE_ARRAY, (2, 1)),
            Type::Int | Type::Time => (Physical::INT64, (1, 0)),
            Type::Bool => (Physical::BOOLEAN, (1, 0)),
        };
        if described.physical_type() != physical || (described.max_def_level(), described.max_rep_level()) != levels {
            let name = &column.name;
            return Err(format!("the column `{name}` is not as `gatepass evidence export --parquet` writes it"));
        }
        found.push(Wanted { name: column.name.clone(), place, ty: column.ty, goes });
    }
    Ok(found)
}

enum Reader {
    Text(ColumnReaderImpl<ByteArrayType>, Vec<ByteArray>),
    Int(ColumnReaderImpl<Int64Type>, Vec<i64>),
    Bool(ColumnReaderImpl<BoolType>, Vec<bool>),
}

/// A column of the group that is being read, and a batch of its values.
struct Open<'w> {
    wanted: &'w Wanted,
    reader: Reader,
    definition: Vec<i16>,
    repetition: Vec<i16>,
    /// The next value, and the next level.
    value: usize,
    level: usize,
}

impl<'w> Open<'w> {
    fn of(wanted: &'w Wanted, group: &dyn RowGroupReader) -> Result<Open<'w>, String> {
        let reader = match (wanted.ty, group.get_column_reader(wanted.place).map_err(said)?) {
            (Type::Text | Type::Json | Type::List, ColumnReader::ByteArrayColumnReader(reader)) => {
                Reader::Text(reader, Vec::new())
            }
            (Type::Int | Type::Time, ColumnReader::Int64ColumnReader(reader)) => Reader::Int(reader, Vec::new()),
            (Type::Bool, ColumnReader::BoolColumnReader(reader)) => Reader::Bool(reader, Vec::new()),
            (Type::Text | Type::Json | Type::List | Type::Int | Type::Time | Type::Bool, _) => {
                return Err(format!("the column `{}` has another type", wanted.name));
            }
        };
        Ok(Open { wanted, reader, definition: Vec::new(), repetition: Vec::new(), value: 0, level: 0 })
    }

    fn fill(&mut self, rows: usize) -> Result<(), String> {
        self.definition.clear();
        self.repetition.clear();
        (self.value, self.level) = (0, 0);
        let definition = Some(&mut self.definition);
        let repetition = (self.wanted.ty == Type::List).then_some(&mut self.repetition);
        let read = match &mut self.reader {
            Reader::Text(reader, values) => {
                values.clear();
                reader.read_records(rows, definition, repetition, values)
            }
            Reader::Int(reader, values) => {
                values.clear();
                reader.read_records(rows, definition, repetition, values)
            }
            Reader::Bool(reader, values) => {
                values.clear();
                reader.read_records(rows, definition, repetition, values)
            }
        };
        let (records, _, _) = read.map_err(said)?;
        if records == rows { Ok(()) } else { Err(format!("the column `{}` ends before the others", self.wanted.name)) }
    }

    /// Step over the value of the next row; where its first entry is, and how many it has. `None`: there is none.
    fn step(&mut self) -> Option<(usize, usize)> {
        let defined = self.definition.get(self.level).copied().unwrap_or(0);
        self.level += 1;
        let mut entries = 0;
        if self.wanted.ty == Type::List {
            entries = usize::from(defined == 2);
            while self.repetition.get(self.level) == Some(&1) {
                self.level += 1;
                entries += 1;
            }
        } else if defined == 1 {
            entries = 1;
        }
        let first = self.value;
        self.value += entries;
        (defined > 0).then_some((first, entries))
    }

    fn cell(&self, first: usize, entries: usize) -> Result<Option<Cell<'_>>, String> {
        Ok(match &self.reader {
            Reader::Text(_, values) if self.wanted.ty == Type::List => {
                values.get(first..first + entries).map(|entries| Cell::List(List::Column(entries)))
            }
            Reader::Text(_, values) => match values.get(first).map(|value| utf8(value.data())) {
                Some(Ok(text)) => Some(Cell::Text(text)),
                Some(Err(_)) => return Err(format!("the column `{}` holds what is no text", self.wanted.name)),
                None => None,
            },
            Reader::Int(_, values) => values.get(first).copied().map(Cell::Int),
            Reader::Bool(_, values) => values.get(first).copied().map(Cell::Bool),
        })
    }
}

/// The record of the next row.
fn line<'c>(columns: &'c mut [Open<'_>]) -> Result<Recorded<'c>, String> {
    let mut record = Recorded::default();
    for column in columns {
        let Some((first, entries)) = column.step() else { continue };
        let Some(cell) = column.cell(first, entries)? else { continue };
        match column.wanted.goes {
            Goes::Set(set) => set(&mut record, cell),
            Goes::Kind => record.kind = Kind::of(cell.text().unwrap_or_default()),
            Goes::Time => record.time = cell.int().unwrap_or_default(),
        }
    }
    Ok(record)
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that `map_err` asks for")]
fn said(error: ParquetError) -> String {
    error.to_string()
}
