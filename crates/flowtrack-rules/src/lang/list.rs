//! Lists with negation, nesting and variables, as addresses and ports are written.

use crate::Complaint;

/// How deep lists and variables may hold each other; deeper is a mistake, or a variable that names
/// itself.
const DEPTH: u32 = 32;

/// How many items a list may have, with those of its variables: enough for a list of every network
/// of a country, and an end to variables that double each other.
const ITEMS: u32 = 200_000;

/// Reads `text` and hands each item to `item`, with whether it is negated.
///
/// An item counts as negated when an odd number of exclamation marks stand before it and the lists
/// and variables that hold it: lists are flat in the end, what is wanted less what is not.
pub(super) fn walk<'v>(
    text: &str,
    what: &'static str,
    variable: &dyn Fn(&str) -> Result<&'v str, String>,
    item: &mut dyn FnMut(&str, bool) -> Result<(), String>,
) -> Result<(), Complaint> {
    Walk { what, variable, item, items: 0 }.list(text, false, 0)
}

struct Walk<'w, 'v> {
    what: &'static str,
    variable: &'w dyn Fn(&str) -> Result<&'v str, String>,
    item: &'w mut dyn FnMut(&str, bool) -> Result<(), String>,
    items: u32,
}

impl Walk<'_, '_> {
    /// Items with commas between them.
    fn list(&mut self, text: &str, negated: bool, depth: u32) -> Result<(), Complaint> {
        let mut start = 0;
        let mut open = 0u32;
        for (at, byte) in text.bytes().enumerate() {
            match byte {
                b'[' => open += 1,
                b']' if open == 0 => {
                    return Err(complain(at, "closing bracket without an opening one"));
                }
                b']' => open -= 1,
                b',' if open == 0 => {
                    self.one(slice(text, start, at), negated, depth)
                        .map_err(|c| behind(start, c))?;
                    start = at + 1;
                }
                _ => {}
            }
        }
        if open > 0 {
            return Err(complain(start, "opening bracket without a closing one"));
        }
        self.one(slice(text, start, text.len()), negated, depth).map_err(|c| behind(start, c))
    }

    /// One item: a list in brackets, a variable, or a leaf, each with exclamation marks before it.
    fn one(&mut self, text: &str, mut negated: bool, depth: u32) -> Result<(), Complaint> {
        let mut rest = text.trim();
        let mut offset = text.len() - text.trim_start().len();
        while let Some(behind_mark) = rest.strip_prefix('!') {
            negated = !negated;
            offset += rest.len() - behind_mark.trim_start().len();
            rest = behind_mark.trim_start();
        }
        self.items += 1;
        if depth >= DEPTH || self.items > ITEMS {
            let text = format!("{} that hold each other too deeply or too often", self.what);
            return Err(complain(offset, &text));
        }
        if let Some(inner) = rest.strip_prefix('[') {
            let Some(inner) = inner.strip_suffix(']') else {
                return Err(complain(offset, "expected a comma behind the closing bracket"));
            };
            self.list(inner, negated, depth + 1).map_err(|c| behind(offset + 1, c))
        } else if let Some(name) = rest.strip_prefix('$') {
            let value = (self.variable)(name).map_err(|message| complain(offset, &message))?;
            // What is wrong inside a variable is shown where it is used.
            self.list(value, negated, depth + 1)
                .map_err(|c| complain(offset, &format!("in ${name}: {}", c.message)))
        } else if rest.is_empty() {
            Err(complain(offset, &format!("expected {}, found nothing", self.what)))
        } else {
            (self.item)(rest, negated).map_err(|message| complain(offset, &message))
        }
    }
}

fn complain(offset: usize, message: &str) -> Complaint {
    let offset = u32::try_from(offset).unwrap_or(u32::MAX);
    Complaint { offset, ..Complaint::new(message) }
}

fn behind(offset: usize, complaint: Complaint) -> Complaint {
    let offset = u32::try_from(offset).unwrap_or(u32::MAX);
    Complaint { offset: complaint.offset.saturating_add(offset), ..complaint }
}

fn slice(text: &str, from: usize, to: usize) -> &str {
    text.get(from..to).unwrap_or_default()
}
