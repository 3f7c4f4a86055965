//! Lines of comma-separated values (RFC 4180) that a spreadsheet only shows.
//!
//! A spreadsheet runs a cell that begins with `=`, `+`, `-`, `@`, a tab or a carriage return, and
//! some do so behind blanks and quotes. Such a text gets an apostrophe in front, which means
//! "this is text" to all of them. Where the list separator is a semicolon (most of Europe), or the
//! file is read as tab-separated, a cell may begin in the middle of a text; those places are
//! treated alike. Numbers are numbers and stay as they are.

use std::borrow::Cow;
use std::io::Write as _;

use serde_json::Number;

/// What stands in a cell.
#[derive(Clone, Copy)]
pub(super) enum Field<'a> {
    /// A number of the program's own.
    Number(&'a Number),
    /// A text, whoever wrote it.
    Text(&'a str),
}

/// Appends one line.
pub(super) fn line<'a>(fields: impl Iterator<Item = Field<'a>>, out: &mut Vec<u8>) {
    for (i, field) in fields.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        match field {
            Field::Number(number) => write!(out, "{number}").expect("a Vec takes everything"),
            Field::Text(text) => quoted(&guarded(text), out),
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// The text with an apostrophe wherever a spreadsheet could take it for a formula.
pub(super) fn guarded(text: &str) -> Cow<'_, str> {
    if text.is_ascii()
        && !text.bytes().any(|b| matches!(b, b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r'))
    {
        return Cow::Borrowed(text);
    }
    let mut guarded = String::with_capacity(text.len() + 1);
    if text.starts_with(['\t', '\r']) {
        guarded.push('\'');
    }
    // Whether a cell could begin here, and where that beginning was written.
    let mut begin = Some(guarded.len());
    for c in text.chars() {
        match c {
            // A separator of another dialect: what follows may be a cell of its own.
            ';' | '\t' | '\r' | '\n' => {
                guarded.push(c);
                begin = Some(guarded.len());
                continue;
            }
            '"' | '\'' | '\u{feff}' => {}
            c if c.is_whitespace() => {}
            '=' | '+' | '-' | '@' | '\u{ff1d}' | '\u{ff0b}' | '\u{ff0d}' | '\u{ff20}' => {
                if let Some(at) = begin.take() {
                    guarded.insert(at, '\'');
                }
            }
            _ => begin = None,
        }
        guarded.push(c);
    }
    Cow::Owned(guarded)
}

/// Appends a text, in quotes where it needs them.
fn quoted(text: &str, out: &mut Vec<u8>) {
    let needs_quotes =
        text.bytes().any(|b| matches!(b, b'"' | b',' | b';' | b'\t' | b'\r' | b'\n'))
            || text.starts_with(' ')
            || text.ends_with(' ');
    if !needs_quotes {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    for part in text.split_inclusive('"') {
        out.extend_from_slice(part.as_bytes());
        if part.ends_with('"') {
            out.push(b'"');
        }
    }
    out.push(b'"');
}
