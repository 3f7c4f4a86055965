//! A rule as it is written.

use std::sync::Arc;

/// A place in a rule file.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Span {
    /// Line, from 1.
    pub line: u32,
    /// Column in bytes, from 1.
    pub column: u32,
}

/// What a rule asks to be done with what it matches.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Action {
    /// Let it through and look no further.
    Pass,
    /// Throw it away.
    Drop,
    /// Throw it away and tell the sender.
    Reject,
    /// The same, telling both sides.
    RejectBoth,
    /// The same, telling the receiver.
    RejectDst,
    /// Tell a person.
    Alert,
}

/// Which way the arrow of a header points.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrow {
    /// `->`: from source to destination.
    Right,
    /// `<>`: either way.
    Both,
    /// `=>`: one transaction's both directions.
    Transaction,
}

/// What stands before the parenthesis.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// First word.
    pub action: Action,
    /// Protocol word, in lower case.
    pub protocol: Arc<str>,
    /// Source addresses, as written.
    pub src: Arc<str>,
    /// Source ports, as written.
    pub src_ports: Arc<str>,
    /// Arrow.
    pub arrow: Arrow,
    /// Destination addresses, as written.
    pub dst: Arc<str>,
    /// Destination ports, as written.
    pub dst_ports: Arc<str>,
}

/// One option: a keyword and, behind a colon, its value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opt {
    /// Keyword, as written.
    pub name: Arc<str>,
    /// What follows the colon, trimmed; escapes are still in it.
    pub value: Option<Arc<str>>,
    /// Where the keyword stands.
    pub at: Span,
    /// Where the value stands.
    pub value_at: Span,
}

/// A rule: header and options.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// Where it begins.
    pub at: Span,
    /// The whole text, lines joined.
    pub text: Arc<str>,
    /// Before the parenthesis.
    pub header: Header,
    /// Inside it, in order.
    pub options: Vec<Opt>,
}

/// Why a rule could not be loaded, or what is odd about it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{file}:{}:{}: {message}", at.line, at.column)]
pub struct Problem {
    /// Name of the file.
    pub file: Arc<str>,
    /// Where in it.
    pub at: Span,
    /// Signature identifier, where it could be read.
    pub sid: Option<u32>,
    /// Keyword it is about, where there is one.
    pub keyword: Option<Arc<str>>,
    /// What is wrong, what was expected, and the nearest known word.
    pub message: String,
    /// Whether the rule was left out; a warning otherwise.
    pub fatal: bool,
}
