//! Errors of a filter: where, what was expected, and what was probably meant.

use std::fmt;

/// Why a filter cannot be read, and where.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub struct ParseError {
    /// Where it stands, in characters from 1.
    pub column: usize,
    /// What is wrong.
    pub problem: Problem,
    /// The known word that was probably meant.
    pub suggestion: Option<String>,
}

impl ParseError {
    /// An error at byte `offset` of `text`.
    pub(crate) fn at(text: &str, offset: usize, problem: Problem) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        Self { column: before.chars().count() + 1, problem, suggestion: None }
    }

    /// Adds the nearest of `known` to `word`, if one is near.
    pub(crate) fn suggest<'a>(
        mut self,
        word: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        self.suggestion = nearest(word, known).map(str::to_owned);
        self
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at column {}", self.problem, self.column)?;
        if let Some(word) = &self.suggestion {
            write!(f, "; did you mean \"{word}\"?")?;
        }
        Ok(())
    }
}

/// What is wrong with a filter.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Problem {
    /// More than [`crate::MAX_LENGTH`] bytes.
    #[error("filter is longer than {} bytes", crate::MAX_LENGTH)]
    TooLong,
    /// More than [`crate::MAX_DEPTH`] parentheses inside each other.
    #[error("more than {} parentheses inside each other", crate::MAX_DEPTH)]
    TooDeep,
    /// A character that no filter has.
    #[error("unexpected character {0:?}")]
    Character(char),
    /// A quote that never closes.
    #[error("quote is not closed")]
    OpenQuote,
    /// A parenthesis that never closes.
    #[error("parenthesis is not closed")]
    OpenParenthesis,
    /// Not a field.
    #[error("unknown field \"{0}\"")]
    UnknownField(String),
    /// Not one of the words that the field can have.
    #[error("unknown {field} \"{word}\"")]
    UnknownWord {
        /// The field.
        field: &'static str,
        /// What was written.
        word: String,
    },
    /// The operator makes no sense for the field.
    #[error("\"{operator}\" cannot be asked of \"{field}\", which is {kind}")]
    Operator {
        /// The operator.
        operator: &'static str,
        /// The field.
        field: &'static str,
        /// What the field is.
        kind: &'static str,
    },
    /// A value that the field cannot have.
    #[error("\"{value}\" is no value of \"{field}\": expected {expected}")]
    Value {
        /// What was written.
        value: String,
        /// The field.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// Something else should stand here.
    #[error("expected {expected}, found {found}")]
    Expected {
        /// What should stand here.
        expected: &'static str,
        /// What does.
        found: String,
    },
}

/// The known word nearest to what was typed, if it is near enough to be meant.
fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.chars().take(40).flat_map(char::to_lowercase).collect();
    let allowed = (word.len() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (distance(&word, candidate), candidate))
        .filter(|&(far, _)| far <= allowed)
        .min_by_key(|&(far, _)| far)
        .map(|(_, candidate)| candidate)
}

/// How many letters were added, left out, changed or swapped with their neighbour.
fn distance(typed: &[char], known: &str) -> usize {
    let known: Vec<char> = known.chars().flat_map(char::to_lowercase).collect();
    // Rows of the classic table: the one before the last, the last, and the one being filled.
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=known.len()).collect();
    for (i, &a) in typed.iter().enumerate() {
        let mut row = Vec::with_capacity(known.len() + 1);
        row.push(i + 1);
        for (j, &b) in known.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX / 2);
            let mut best =
                (at(&last, j) + usize::from(a != b)).min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            let swapped =
                i > 0 && j > 0 && typed.get(i - 1) == Some(&b) && known.get(j - 1) == Some(&a);
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(typed.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn far(a: &str, b: &str) -> usize {
        distance(&a.chars().collect::<Vec<_>>(), b)
    }

    #[test]
    fn distance_counts_edits() {
        for (a, b, n) in [
            ("", "abc", 3),
            ("abc", "", 3),
            ("abc", "abc", 0),
            ("abc", "acb", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(far(a, b), n, "{a} {b}");
        }
    }

    #[test]
    fn only_near_words_are_suggested() {
        assert_eq!(nearest("dst_prt", ["src_port", "dst_port"]), Some("dst_port"));
        assert_eq!(nearest("zzzzzz", ["src_port", "dst_port"]), None);
    }
}
