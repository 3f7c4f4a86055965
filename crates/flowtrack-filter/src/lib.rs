//! The one query language: what a person types to find flows, everywhere in FlowTrack.
//!
//! ```text
//! src_ip = 10.0.0.0/8 and dest_port in (80, 443, 8000-8100) and not app_proto = dns
//! host = 192.0.2.7 or (bytes > 1M and duration > 10s)
//! info ~ "GET *.example.org/*" alerted
//! 192.0.2.7 443                     an address and a port, as typed into a search box
//! ```
//!
//! [`Filter::parse`] reads it, [`Filter::matches`] asks one flow, [`Filter::to_sql`] asks `SQLite`
//! the same question, [`complete`] helps while it is typed. [`FIELDS`] lists what can be asked.
//!
//! `not` binds tighter than `and`, `and` tighter than `or`; two terms side by side mean `and`.
//! Keywords, field names and texts are compared without regard to ASCII case.
//! A field that a flow does not have answers no comparison, so `not vlan = 7` holds where there is
//! no VLAN; `a != b` is `not a = b`, word for word.
//!
//! # Limits
//!
//! A filter has at most [`MAX_LENGTH`] bytes and [`MAX_DEPTH`] nested parentheses. Matching is
//! linear in the filter, and for `~` in pattern times text; there are no regular expressions.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::unreachable
    )
)]

mod address;
mod complete;
mod error;
mod expr;
mod field;
mod glob;
mod lexer;
mod literal;
mod parser;
mod record;
mod sql;

pub use complete::{Completion, Suggestion, complete};
pub use error::{ParseError, Problem};
pub use expr::AddressNeed;
pub use field::{FIELDS, Field, FieldInfo, Fields, Kind, Value, field_docs};
pub use sql::SqlValue;

use expr::Expr;
use std::{fmt, str::FromStr};

/// Longest filter, in bytes.
pub const MAX_LENGTH: usize = 4_096;

/// Deepest nesting of parentheses.
pub const MAX_DEPTH: usize = 32;

/// A question about a flow, ready to be asked.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Filter {
    text: String,
    expr: Expr,
}

impl Filter {
    /// Reads a filter; an empty one matches everything.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        Ok(Self { text: text.trim().to_owned(), expr: parser::parse(text)? })
    }

    /// Whether the flow answers the question with yes.
    pub fn matches(&self, flow: &dyn Fields) -> bool {
        self.expr.matches(flow)
    }

    /// A condition for the `WHERE` of `SQLite`, with its parameters in order.
    ///
    /// Everything a person typed is a parameter; the text holds only column names of
    /// [`Field::column`] and operators.
    pub fn to_sql(&self) -> (String, Vec<SqlValue>) {
        sql::write(&self.expr)
    }

    /// Addresses one of which every match has, for a store that has an index of them; `None` if
    /// flows of any address may match.
    pub fn addresses(&self) -> Option<Vec<AddressNeed>> {
        self.expr.addresses()
    }

    /// Whether it matches every flow because nothing was asked.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The filter as it was typed.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl FromStr for Filter {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests;
