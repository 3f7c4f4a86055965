//! How keywords add up to a signature.

use crate::lang::Span;
use std::sync::Arc;

/// One word of the language.
pub struct Keyword {
    /// Its name.
    pub name: &'static str,
    /// Other names of the same thing.
    pub aliases: &'static [&'static str],
    /// What it looks at, for the reference.
    pub doc: &'static str,
    /// A whole rule that uses it, which a test loads.
    pub example: &'static str,
    /// Adds it to the signature.
    pub parse: fn(&mut Builder<'_>, &Value<'_>) -> Result<(), Complaint>,
}

/// What stands behind a keyword's colon.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    /// The keyword as written: an alias may mean something slightly different.
    pub keyword: &'a str,
    /// The text, trimmed, `None` without a colon.
    pub text: Option<&'a str>,
    /// Where it stands.
    pub at: Span,
}

/// Why a keyword cannot be used so: what was expected, and how far into the value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Complaint {
    /// Bytes from the start of the value.
    pub offset: u32,
    /// What is wrong and what was expected.
    pub message: String,
}

impl Complaint {
    /// About the value as a whole.
    pub fn new(message: impl Into<String>) -> Self {
        Self { offset: 0, message: message.into() }
    }
}

/// The name of a buffer.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct BufferName(pub Arc<str>);

/// Whose buffer it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BufferKind {
    /// The payload of packets and the bytes of streams.
    Payload,
    /// A part of the packet's headers.
    Packet,
    /// A part of a transaction.
    Transaction,
}

/// A signature in the making.
pub struct Builder<'a> {
    /// The rule it comes from.
    pub rule: &'a crate::lang::Rule,
}
