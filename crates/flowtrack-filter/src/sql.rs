//! The same question for `SQLite`.

use crate::expr::{Check, Expr, Test};
use crate::field::Field;
use std::net::IpAddr;
use std::ops::RangeInclusive;

/// A parameter of a condition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SqlValue {
    /// An integer.
    Integer(i64),
    /// A text.
    Text(String),
    /// An address of 4 or 16 bytes.
    Blob(Vec<u8>),
}

impl From<IpAddr> for SqlValue {
    fn from(address: IpAddr) -> Self {
        Self::Blob(match address {
            IpAddr::V4(a) => a.octets().to_vec(),
            IpAddr::V6(a) => a.octets().to_vec(),
        })
    }
}

/// A condition and its parameters.
pub(crate) fn write(expr: &Expr) -> (String, Vec<SqlValue>) {
    let mut values = Vec::new();
    let condition = condition(expr, &mut values);
    (condition, values)
}

fn condition(expr: &Expr, values: &mut Vec<SqlValue>) -> String {
    match expr {
        Expr::All(parts) => {
            join(&parts.iter().map(|p| condition(p, values)).collect::<Vec<_>>(), "AND", "1")
        }
        Expr::Any(parts) => {
            join(&parts.iter().map(|p| condition(p, values)).collect::<Vec<_>>(), "OR", "0")
        }
        Expr::Not(part) => format!("NOT {}", condition(part, values)),
        Expr::Test(test) => test_condition(test, values),
    }
}

/// Joins conditions as a balanced tree: `SQLite` refuses expressions deeper than 1,000.
fn join(parts: &[String], word: &str, empty: &str) -> String {
    match parts {
        [] => empty.to_owned(),
        [one] => one.clone(),
        many => {
            let (left, right) = many.split_at(many.len() / 2);
            format!("({} {word} {})", join(left, word, empty), join(right, word, empty))
        }
    }
}

fn test_condition(test: &Test, values: &mut Vec<SqlValue>) -> String {
    let fields: Vec<_> = test
        .fields
        .iter()
        .map(|&field| {
            let asked = check_condition(field, &test.check, values);
            // `NULL` must be a plain no, so that `NOT` makes it a yes.
            if field.is_optional() {
                format!("({} IS NOT NULL AND {asked})", field.column())
            } else {
                asked
            }
        })
        .collect();
    join(&fields, "OR", "0")
}

fn check_condition(field: Field, check: &Check, values: &mut Vec<SqlValue>) -> String {
    let column = field.column();
    match check {
        Check::Addresses(ranges) => {
            let parts: Vec<_> = ranges
                .iter()
                .map(|range| {
                    if range.first == range.last {
                        values.push(range.first.into());
                        return format!("{column} = ?");
                    }
                    values.extend([range.first.into(), range.last.into()]);
                    // Blobs of both lengths sort among each other.
                    let length = if range.first.is_ipv4() { 4 } else { 16 };
                    format!("(length({column}) = {length} AND {column} BETWEEN ? AND ?)")
                })
                .collect();
            join(&parts, "OR", "0")
        }
        Check::Numbers(ranges) => {
            let parts: Vec<_> =
                ranges.iter().map(|range| number_condition(column, range, values)).collect();
            join(&parts, "OR", "0")
        }
        Check::Texts(texts) => {
            values.extend(texts.iter().cloned().map(SqlValue::Text));
            let marks = vec!["?"; texts.len()].join(", ");
            format!("{column} COLLATE NOCASE IN ({marks})")
        }
        Check::Contains(part) => {
            values.push(SqlValue::Text(part.to_ascii_lowercase()));
            format!("instr(lower({column}), ?) > 0")
        }
        Check::Like(glob) => {
            values.push(SqlValue::Text(glob.to_like()));
            format!("{column} LIKE ? ESCAPE '\\'")
        }
    }
}

fn number_condition(
    column: &str,
    range: &RangeInclusive<i64>,
    values: &mut Vec<SqlValue>,
) -> String {
    let (&first, &last) = (range.start(), range.end());
    let mut ask = |text: String, asked: &[i64]| {
        values.extend(asked.iter().copied().map(SqlValue::Integer));
        text
    };
    match (first, last) {
        _ if first > last => "0".to_owned(),
        (i64::MIN, i64::MAX) => "1".to_owned(),
        (i64::MIN, last) => ask(format!("{column} <= ?"), &[last]),
        (first, i64::MAX) => ask(format!("{column} >= ?"), &[first]),
        (first, last) if first == last => ask(format!("{column} = ?"), &[first]),
        (first, last) => ask(format!("{column} BETWEEN ? AND ?"), &[first, last]),
    }
}
