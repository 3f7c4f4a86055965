//! Lines of rule and configuration files: comments left out, those that a backslash ends joined.

use super::ast::Span;
use std::borrow::Cow;

/// One line, or several that belong together.
pub(super) struct Line<'a> {
    /// The whole text.
    pub(super) text: Cow<'a, str>,
    /// Where in `text` each line begins, and its number.
    parts: Vec<(usize, u32)>,
}

/// The lines of a file that say something.
pub(super) fn logical_lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let mut lines = text.strip_prefix('\u{feff}').unwrap_or(text).lines().zip(1..);
    std::iter::from_fn(move || {
        let (first, number) = lines.by_ref().find(|(line, _)| !is_comment(line))?;
        let mut line = Line::new(first, number);
        while line.continues() {
            let Some((more, number)) = lines.next() else { break };
            line.join(more, number);
        }
        Some(line)
    })
}

/// Lines that say nothing: empty ones and those that begin with `#` or `;`.
fn is_comment(line: &str) -> bool {
    matches!(line.trim_start().bytes().next(), None | Some(b'#' | b';'))
}

impl<'a> Line<'a> {
    /// One line by itself.
    pub(super) fn new(text: &'a str, number: u32) -> Self {
        Self { text: Cow::Borrowed(text), parts: vec![(0, number)] }
    }

    /// Where a byte of it stands in the file.
    pub(super) fn span(&self, offset: usize) -> Span {
        let (start, line) =
            self.parts.iter().rev().find(|(start, _)| *start <= offset).copied().unwrap_or((0, 0));
        Span { line, column: u32::try_from(offset - start + 1).unwrap_or(u32::MAX) }
    }

    /// Whether a backslash ends it, and so the next line belongs to it.
    fn continues(&self) -> bool {
        self.text.trim_end().ends_with('\\')
    }

    /// Replaces the backslash at the end by the next line; a comment leaves the backslash for the
    /// line after it.
    fn join(&mut self, line: &str, number: u32) {
        if line.trim_start().starts_with('#') {
            return;
        }
        let text = self.text.to_mut();
        text.truncate(text.trim_end().len().saturating_sub(1));
        self.parts.push((text.len(), number));
        text.push_str(line);
    }
}
