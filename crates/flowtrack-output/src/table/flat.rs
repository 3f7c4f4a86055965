//! An object of objects as one row of cells.

use std::fmt;
use std::io;

use serde::de::{DeserializeSeed, Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

use super::csv::Field;

/// Cells by the path of their field, in the order in which the row has them.
#[derive(Debug)]
pub(super) struct FlatRow {
    pub cells: Vec<(String, Cell)>,
}

/// One value.
#[derive(Clone, PartialEq, Default, Debug)]
pub(super) enum Cell {
    /// Nothing there.
    #[default]
    Empty,
    Bool(bool),
    Number(Number),
    /// A string, or a list as JSON.
    Text(String),
}

impl FlatRow {
    /// Lays out an object; a row of any other form is an error.
    pub fn from_json(json: &[u8]) -> io::Result<Self> {
        let mut cells = Vec::new();
        let mut path = String::new();
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        deserializer.deserialize_map(Object { path: &mut path, cells: &mut cells })?;
        Ok(Self { cells })
    }
}

impl Cell {
    /// The cell as it is written.
    pub fn field(&self) -> Field<'_> {
        match self {
            Self::Empty => Field::Text(""),
            Self::Bool(value) => Field::Text(if *value { "true" } else { "false" }),
            Self::Number(number) => Field::Number(number),
            Self::Text(text) => Field::Text(text),
        }
    }
}

impl From<Cell> for Value {
    fn from(cell: Cell) -> Self {
        match cell {
            Cell::Empty => Self::Null,
            Cell::Bool(value) => Self::Bool(value),
            Cell::Number(number) => Self::Number(number),
            Cell::Text(text) => Self::String(text),
        }
    }
}

/// Reads the fields of an object whose path is known.
struct Object<'a> {
    path: &'a mut String,
    cells: &'a mut Vec<(String, Cell)>,
}

/// Reads one field: a cell, or an object of more fields.
struct FieldValue<'a>(Object<'a>);

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row that is an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let parent = self.path.len();
        while let Some(name) = map.next_key::<String>()? {
            if parent > 0 {
                self.path.push('.');
            }
            self.path.push_str(&name);
            map.next_value_seed(FieldValue(Object { path: self.path, cells: self.cells }))?;
            self.path.truncate(parent);
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for FieldValue<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl FieldValue<'_> {
    fn push(self, cell: Cell) {
        self.0.cells.push((self.0.path.clone(), cell));
    }
}

impl<'de> Visitor<'de> for FieldValue<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        self.0.visit_map(map)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut list = Vec::new();
        while let Some(value) = seq.next_element::<Value>()? {
            list.push(value);
        }
        self.push(Cell::Text(Value::Array(list).to_string()));
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.push(Cell::Empty);
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.push(Cell::Bool(value));
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.push(Cell::Number(value.into()));
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.push(Cell::Number(value.into()));
        Ok(())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("a number beyond JSON"))?;
        self.push(Cell::Number(number));
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.push(Cell::Text(value.to_owned()));
        Ok(())
    }

    fn visit_string<E>(self, value: String) -> Result<(), E> {
        self.push(Cell::Text(value));
        Ok(())
    }
}
