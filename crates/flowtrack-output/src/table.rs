//! Rows as CSV or JSON, one after the other, however many there are.

mod csv;
mod flat;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io::{self, Write};
use std::str::FromStr;

use ahash::AHashMap;
use serde::Serialize;

use flat::{Cell, FlatRow};

/// How rows are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TableFormat {
    /// Comma-separated values (RFC 4180) with a header line, safe to open in a spreadsheet.
    Csv,
    /// One JSON array.
    Json,
    /// One JSON object a line.
    Ndjson,
}

impl FromStr for TableFormat {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "csv" => Ok(Self::Csv),
            "json" => Ok(Self::Json),
            "ndjson" | "jsonl" => Ok(Self::Ndjson),
            other => {
                Err(format!("unknown table format \"{other}\"; known are csv, json and ndjson"))
            }
        }
    }
}

/// Which columns a CSV table has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Columns {
    /// These, in this order; a nested field is named by its path, such as `dns.rcode`.
    Named(Vec<String>),
    /// The fields of the first rows, nested ones by their path.
    ///
    /// Fields that only turn up later stand in a last column `more` as JSON, so nothing is lost.
    Discovered,
}

impl Columns {
    /// The columns with these names.
    pub fn named(names: &[&str]) -> Self {
        Self::Named(names.iter().map(|&name| name.to_owned()).collect())
    }
}

/// Writes rows; call [`TableWriter::finish`] at the end.
///
/// A row is anything that serialises to an object. JSON holds it as it is; CSV lays nested objects
/// out as columns and writes lists as JSON.
#[derive(Debug)]
pub struct TableWriter<W: Write> {
    out: W,
    buffer: Vec<u8>,
    rows: u64,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Json,
    Ndjson,
    Csv(CsvTable),
}

impl<W: Write> TableWriter<W> {
    /// Writes to `out`; `columns` matter for CSV only.
    pub fn new(out: W, format: TableFormat, columns: Columns) -> Self {
        let form = match format {
            TableFormat::Json => Form::Json,
            TableFormat::Ndjson => Form::Ndjson,
            TableFormat::Csv => Form::Csv(CsvTable::new(columns)),
        };
        Self { out, buffer: Vec::with_capacity(FLUSH_AT + 4_096), rows: 0, form }
    }

    /// Writes one row.
    pub fn write(&mut self, row: &impl Serialize) -> io::Result<()> {
        match &mut self.form {
            Form::Json => {
                self.buffer.extend_from_slice(if self.rows == 0 { b"[\n" } else { b",\n" });
                serde_json::to_writer(&mut self.buffer, row)?;
            }
            Form::Ndjson => {
                serde_json::to_writer(&mut self.buffer, row)?;
                self.buffer.push(b'\n');
            }
            Form::Csv(table) => table.write(row, &mut self.buffer)?,
        }
        self.rows += 1;
        if self.buffer.len() >= FLUSH_AT { self.drain() } else { Ok(()) }
    }

    /// Rows written so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Writes what is left, closes the table, and gives back the output.
    pub fn finish(mut self) -> io::Result<W> {
        match &mut self.form {
            Form::Json if self.rows == 0 => self.buffer.extend_from_slice(b"[]\n"),
            Form::Json => self.buffer.extend_from_slice(b"\n]\n"),
            Form::Ndjson => {}
            Form::Csv(table) => table.settle(&mut self.buffer),
        }
        self.drain()?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn drain(&mut self) -> io::Result<()> {
        self.out.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

/// Bytes after which the buffer is written out.
const FLUSH_AT: usize = 64 * 1024;
/// Rows that are looked at before the columns of a table are settled.
const LOOK_AHEAD: usize = 1_000;
/// Columns that a table discovers at most; names may come from the wire.
const MAX_COLUMNS: usize = 256;
/// The column for what has no column.
const MORE: &str = "more";

/// A CSV table: rows wait until the columns are settled, and are written at once after that.
#[derive(Debug)]
struct CsvTable {
    columns: Vec<String>,
    index: AHashMap<String, usize>,
    /// Rows that wait; `None` once the header is written.
    waiting: Option<VecDeque<FlatRow>>,
    discover: bool,
    more: bool,
    json: Vec<u8>,
}

impl CsvTable {
    fn new(columns: Columns) -> Self {
        let (names, discover) = match columns {
            Columns::Named(names) => (names, false),
            Columns::Discovered => (Vec::new(), true),
        };
        let index = names.iter().enumerate().map(|(i, name)| (name.clone(), i)).collect();
        Self {
            columns: names,
            index,
            waiting: Some(VecDeque::new()),
            discover,
            more: false,
            json: Vec::new(),
        }
    }

    fn write(&mut self, row: &impl Serialize, out: &mut Vec<u8>) -> io::Result<()> {
        self.json.clear();
        serde_json::to_writer(&mut self.json, row)?;
        let row = FlatRow::from_json(&self.json)?;
        if self.discover && self.waiting.is_some() {
            self.learn(&row);
        }
        match &mut self.waiting {
            Some(rows) if self.discover && rows.len() < LOOK_AHEAD => rows.push_back(row),
            Some(_) => {
                self.more = self.discover;
                self.settle(out);
                self.line(row, out);
            }
            None => self.line(row, out),
        }
        Ok(())
    }

    /// Writes the header and the rows that waited for it; does nothing the second time.
    fn settle(&mut self, out: &mut Vec<u8>) {
        let Some(rows) = self.waiting.take() else { return };
        let names = self.columns.iter().map(String::as_str).chain(self.more.then_some(MORE));
        csv::line(names.map(csv::Field::Text), out);
        for row in rows {
            self.line(row, out);
        }
    }

    fn learn(&mut self, row: &FlatRow) {
        for (name, _) in &row.cells {
            if self.index.contains_key(name) {
                continue;
            }
            if self.columns.len() == MAX_COLUMNS {
                self.more = true;
                return;
            }
            self.index.insert(name.clone(), self.columns.len());
            self.columns.push(name.clone());
        }
    }

    fn line(&self, row: FlatRow, out: &mut Vec<u8>) {
        let mut cells: Vec<Cell> = Vec::new();
        cells.resize_with(self.columns.len(), Cell::default);
        let mut more = serde_json::Map::new();
        for (name, cell) in row.cells {
            match self.index.get(&name) {
                Some(&i) => cells[i] = cell,
                None if self.more => drop(more.insert(name, cell.into())),
                None => {}
            }
        }
        if self.more {
            let text = serde_json::Value::Object(more);
            cells.push(match text.as_object() {
                Some(map) if !map.is_empty() => Cell::Text(text.to_string()),
                _ => Cell::Empty,
            });
        }
        csv::line(cells.iter().map(Cell::field), out);
    }
}
