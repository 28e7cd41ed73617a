//! Records as one Parquet file: a column for each field, rows in the order of the records.

use std::io::{self, Write};
use std::sync::Arc;

use gatepass_policy::host::registered_domain;
use jiff::Timestamp;
use parquet::basic::Compression;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use serde_json::Value;

use super::columns::{COLUMNS, Column, DOMAIN, Type};

/// Rows of a group: what readers of Parquet take as the unit of their work.
const GROUP_ROWS: usize = 122_880;
/// Bytes of text in a group: the group is held in memory until it is written.
const GROUP_BYTES: usize = 128 << 20;

/// Writes a file of records.
pub struct File<W: Write + Send> {
    writer: SerializedFileWriter<W>,
    columns: Vec<Filled>,
    rows: usize,
    bytes: usize,
}

/// The values of a column in the group that is being filled.
struct Filled {
    column: &'static Column,
    values: Values,
    /// How much of each value is there: nothing, the value; for a list also the list without entries.
    definition: Vec<i16>,
    /// Whether an entry begins a list or goes on with it; for lists only.
    repetition: Vec<i16>,
}

enum Values {
    Text(Vec<ByteArray>),
    Int(Vec<i64>),
    Bool(Vec<bool>),
}

impl<W: Write + Send> File<W> {
    /// Begin a file.
    ///
    /// # Errors
    ///
    /// Where it cannot be written.
    pub fn begin(to: W) -> io::Result<File<W>> {
        let schema = Arc::new(parse_message_type(&schema()).map_err(failed)?);
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let writer = SerializedFileWriter::new(to, schema, Arc::new(properties)).map_err(failed)?;
        Ok(File { writer, columns: COLUMNS.iter().map(Filled::new).collect(), rows: 0, bytes: 0 })
    }

    /// Add a record. Values of another type than their column's are left out.
    ///
    /// # Errors
    ///
    /// Where the file cannot be written.
    pub fn add(&mut self, json: &Value) -> io::Result<()> {
        for column in &mut self.columns {
            self.bytes += column.add(json);
        }
        self.rows += 1;
        if self.rows >= GROUP_ROWS || self.bytes >= GROUP_BYTES { self.group() } else { Ok(()) }
    }

    /// Write what is left, and the file's end.
    ///
    /// # Errors
    ///
    /// Where the file cannot be written.
    pub fn end(mut self) -> io::Result<W> {
        self.group()?;
        self.writer.into_inner().map_err(failed)
    }

    fn group(&mut self) -> io::Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let mut group = self.writer.next_row_group().map_err(failed)?;
        for column in &mut self.columns {
            column.write(&mut group).map_err(failed)?;
        }
        group.close().map_err(failed)?;
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }
}

/// The schema, in the language of the format.
fn schema() -> String {
    let fields = COLUMNS.iter().map(|Column { name, ty, .. }| match ty {
        Type::Text | Type::Json => format!("optional binary {name} (STRING);"),
        Type::Int => format!("optional int64 {name};"),
        Type::Bool => format!("optional boolean {name};"),
        Type::Time => format!("optional int64 {name} (TIMESTAMP(MICROS,true));"),
        Type::List => {
            format!("optional group {name} (LIST) {{ repeated group list {{ required binary element (STRING); }} }}")
        }
    });
    format!("message record {{ {} }}", fields.collect::<Vec<_>>().join(" "))
}

impl Filled {
    fn new(column: &'static Column) -> Filled {
        let values = match column.ty {
            Type::Text | Type::Json | Type::List => Values::Text(Vec::new()),
            Type::Int | Type::Time => Values::Int(Vec::new()),
            Type::Bool => Values::Bool(Vec::new()),
        };
        Filled { column, values, definition: Vec::new(), repetition: Vec::new() }
    }

    /// The value of a record; how many bytes of memory it takes.
    fn add(&mut self, json: &Value) -> usize {
        let found = self.column.path.split('.').try_fold(json, |json, key| json.get(key));
        let text = |text: &str| ByteArray::from(text.as_bytes().to_vec());
        match (self.column.ty, &mut self.values) {
            (Type::List, Values::Text(values)) => {
                let entries = found.and_then(Value::as_array).map(|entries| entries.iter().filter_map(Value::as_str));
                let before = values.len();
                values.extend(entries.clone().into_iter().flatten().map(text));
                let added = values.len() - before;
                // An absent list and one without entries each take a place, without a value.
                let definition = if entries.is_none() { 0 } else { 1 + i16::from(added > 0) };
                for place in 0..added.max(1) {
                    self.definition.push(definition);
                    self.repetition.push(i16::from(place > 0));
                }
                values.iter().skip(before).map(ByteArray::len).sum()
            }
            (Type::Text, Values::Text(values)) => {
                let value = if self.column.path == DOMAIN { domain(json) } else { found.and_then(Value::as_str) };
                put(&mut self.definition, values, value.map(text), ByteArray::len)
            }
            (Type::Json, Values::Text(values)) => {
                let value = found.map(|value| text(&value.to_string()));
                put(&mut self.definition, values, value, ByteArray::len)
            }
            (Type::Int, Values::Int(values)) => put(&mut self.definition, values, found.and_then(Value::as_i64), |_| 8),
            (Type::Time, Values::Int(values)) => {
                let time = found.and_then(Value::as_str).and_then(|text| text.parse::<Timestamp>().ok());
                put(&mut self.definition, values, time.map(Timestamp::as_microsecond), |_| 8)
            }
            (Type::Bool, Values::Bool(values)) => {
                put(&mut self.definition, values, found.and_then(Value::as_bool), |_| 1)
            }
            // `new` pairs them.
            (_, Values::Text(_) | Values::Int(_) | Values::Bool(_)) => 0,
        }
    }

    fn write<W: Write + Send>(&mut self, group: &mut SerializedRowGroupWriter<'_, W>) -> Result<(), ParquetError> {
        let repetition = (self.column.ty == Type::List).then_some(self.repetition.as_slice());
        match &mut self.values {
            Values::Text(values) => write::<ByteArrayType, W>(group, values, &self.definition, repetition)?,
            Values::Int(values) => write::<Int64Type, W>(group, values, &self.definition, repetition)?,
            Values::Bool(values) => write::<BoolType, W>(group, values, &self.definition, repetition)?,
        }
        self.definition.clear();
        self.repetition.clear();
        Ok(())
    }
}

fn put<T>(definition: &mut Vec<i16>, values: &mut Vec<T>, value: Option<T>, bytes: impl Fn(&T) -> usize) -> usize {
    definition.push(value.is_some().into());
    let taken = value.as_ref().map_or(0, bytes);
    values.extend(value);
    taken
}

fn write<T: DataType, W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    values: &mut Vec<T::T>,
    definition: &[i16],
    repetition: Option<&[i16]>,
) -> Result<(), ParquetError> {
    let mut column = group.next_column()?.ok_or_else(|| ParquetError::General("no such column".into()))?;
    column.typed::<T>().write_batch(values, Some(definition), repetition)?;
    column.close()?;
    values.clear();
    Ok(())
}

fn domain(json: &Value) -> Option<&str> {
    let host = json.pointer("/destination/host")?.as_str()?;
    Some(registered_domain(host).unwrap_or(host))
}

fn failed(error: ParquetError) -> io::Error {
    io::Error::other(error)
}
