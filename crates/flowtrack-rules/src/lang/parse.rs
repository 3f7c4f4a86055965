//! From the text of a file to rules.

use super::ast::{Action, Arrow, Header, HeaderSpans, Opt, Problem, Rule};
use super::lines::{Line, logical_lines};
use ahash::AHashSet;
use std::borrow::Cow;
use std::sync::Arc;

/// Reads a rule file: its rules, and what of it is none. One bad rule never costs another.
pub fn parse_rules(file: &str, text: &str) -> (Vec<Rule>, Vec<Problem>) {
    let mut rules = Vec::new();
    let mut problems = Vec::new();
    let file: Arc<str> = file.into();
    let mut words = Words::default();
    for source in logical_lines(text) {
        match (Reader { source: &source, at: 0 }).rule(&mut words) {
            Ok(rule) => rules.push(rule),
            Err((offset, message)) => problems.push(Problem {
                file: file.clone(),
                at: source.span(offset),
                sid: sid_in(&source.text),
                keyword: None,
                message,
                fatal: true,
            }),
        }
    }
    (rules, problems)
}

/// The rules that stand in comments, as those who maintain sets of rules switch them off.
pub fn parse_disabled_rules(text: &str) -> Vec<Rule> {
    let mut words = Words::default();
    let mut rules = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let Some(rest) = line.trim_start().strip_prefix('#') else { continue };
        let rest = rest.trim_start_matches(['#', ' ', '\t']);
        let source = Line::new(rest, number);
        // Most comments are words to people.
        if let Ok(rule) = (Reader { source: &source, at: 0 }).rule(&mut words) {
            rules.push(rule);
        }
    }
    rules
}

/// The text that an option's value means: without the quotes around it, escapes resolved.
///
/// A backslash stands for the character behind it, whichever that is.
pub fn option_text(value: &str) -> Cow<'_, str> {
    let inner = value.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(value);
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut text = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.extend(chars.next()),
            c => text.push(c),
        }
    }
    Cow::Owned(text)
}

/// Signature identifier in a rule that cannot be read as a whole.
fn sid_in(text: &str) -> Option<u32> {
    let behind =
        text.rmatch_indices("sid:").next().and_then(|(at, word)| text.get(at + word.len()..))?;
    let digits = behind.trim_start();
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits.get(..end)?.parse().ok()
}

/// Words that come again and again, kept once.
#[derive(Default)]
struct Words(AHashSet<Arc<str>>);

impl Words {
    /// How many are kept; a file with more different words has them one by one.
    const KEPT: usize = 10_000;

    fn keep(&mut self, word: &str) -> Arc<str> {
        if let Some(kept) = self.0.get(word) {
            return kept.clone();
        }
        let kept: Arc<str> = word.into();
        if self.0.len() < Self::KEPT {
            self.0.insert(kept.clone());
        }
        kept
    }
}

/// Reads one rule, from left to right.
struct Reader<'s> {
    source: &'s Line<'s>,
    at: usize,
}

/// What is wrong, and where in the rule.
type Wrong = (usize, String);

impl<'s> Reader<'s> {
    fn rule(mut self, words: &mut Words) -> Result<Rule, Wrong> {
        let text: &str = &self.source.text;
        let (action_at, action) = self.word("an action")?;
        let at = self.source.span(action_at);
        let (action, scope) = Action::parse(action).map_err(|message| (action_at, message))?;
        let protocol = self.word("a protocol")?;
        let src = self.list("source addresses")?;
        let src_ports = self.list("source ports")?;
        let (arrow_at, arrow) = self.word("a direction")?;
        let arrow = match arrow {
            "->" => Arrow::Right,
            "<>" => Arrow::Both,
            "=>" => Arrow::Transaction,
            other => {
                let hint = if other == "<-" { "; swap the two sides and write ->" } else { "" };
                return Err((
                    arrow_at,
                    format!("\"{other}\" is no direction: expected ->, <> or =>{hint}"),
                ));
            }
        };
        let dst = self.list("destination addresses")?;
        let dst_ports = self.list("destination ports")?;
        let header = Header {
            action,
            scope,
            protocol: words.keep(&protocol.1.to_ascii_lowercase()),
            src: words.keep(src.1),
            src_ports: words.keep(src_ports.1),
            arrow,
            dst: words.keep(dst.1),
            dst_ports: words.keep(dst_ports.1),
            at: HeaderSpans {
                protocol: self.source.span(protocol.0),
                src: self.source.span(src.0),
                src_ports: self.source.span(src_ports.0),
                dst: self.source.span(dst.0),
                dst_ports: self.source.span(dst_ports.0),
            },
        };
        let options = self.options(words)?;
        Ok(Rule { at, text: text.trim().into(), header, options })
    }

    /// What stands between the parentheses.
    fn options(&mut self, words: &mut Words) -> Result<Vec<Opt>, Wrong> {
        self.skip_blanks();
        if !self.rest().starts_with('(') {
            return Err((self.at, "expected ( before the options".to_owned()));
        }
        let text: &str = &self.source.text;
        let end = text.trim_end().len();
        if !text.trim_end().ends_with(')') || end < self.at + 2 {
            return Err((end, "expected ) at the end of the rule".to_owned()));
        }
        let end = end - 1;
        self.at += 1;
        let mut options = Vec::new();
        loop {
            self.skip_blanks();
            if self.at >= end {
                return Ok(options);
            }
            let start = self.at;
            let Some(stop) = end_of_option(text.get(start..end).unwrap_or_default()) else {
                return Err((
                    start,
                    format!(
                        "expected ; behind \"{}\"",
                        shorten(text.get(start..end).unwrap_or_default())
                    ),
                ));
            };
            self.at = start + stop + 1;
            let body = text.get(start..start + stop).unwrap_or_default();
            options.push(self.option(start, body, words)?);
        }
    }

    /// One option: a keyword and what stands behind its colon.
    fn option(&self, start: usize, body: &str, words: &mut Words) -> Result<Opt, Wrong> {
        let (name, value) = match body.split_once(':') {
            Some((name, value)) => (name, Some(value)),
            None => (body, None),
        };
        let keyword = name.trim();
        let at = self.source.span(start);
        if keyword.is_empty() {
            return Err((start, "expected a keyword".to_owned()));
        }
        if keyword.bytes().any(|b| b.is_ascii_whitespace() || b == b'"') {
            // Most often what remains of a value that a semicolon cut in two.
            let message = format!(
                "\"{}\" is no keyword; a semicolon inside a value is written \\;",
                shorten(keyword)
            );
            return Err((start, message));
        }
        let (value, value_at) = match value {
            None => (None, at),
            Some(value) => {
                let blanks = value.len() - value.trim_start().len();
                (Some(value.trim()), self.source.span(start + name.len() + 1 + blanks))
            }
        };
        Ok(Opt {
            name: words.keep(keyword),
            value: value
                .map(|value| if value.len() <= 24 { words.keep(value) } else { value.into() }),
            at,
            value_at,
        })
    }

    /// What stands up to the next blank, with its place.
    fn word(&mut self, expected: &str) -> Result<(usize, &'s str), Wrong> {
        self.token(expected, |byte, _| byte.is_ascii_whitespace() || byte == b'(')
    }

    /// The same for a list: blanks inside brackets belong to it.
    fn list(&mut self, expected: &str) -> Result<(usize, &'s str), Wrong> {
        self.token(expected, |byte, depth| {
            depth == 0 && (byte.is_ascii_whitespace() || byte == b'(')
        })
    }

    fn token(
        &mut self,
        expected: &str,
        ends: impl Fn(u8, u32) -> bool,
    ) -> Result<(usize, &'s str), Wrong> {
        self.skip_blanks();
        let start = self.at;
        let rest = self.rest();
        let mut depth = 0u32;
        let end = rest.bytes().position(|byte| {
            if ends(byte, depth) {
                return true;
            }
            match byte {
                b'[' => depth += 1,
                b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            false
        });
        let word = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        self.at += word.len();
        if depth > 0 {
            return Err((start, "opening bracket without a closing one".to_owned()));
        }
        if word.is_empty() {
            return Err((start, format!("expected {expected}")));
        }
        Ok((start, word))
    }

    fn skip_blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn rest(&self) -> &'s str {
        self.source.text.get(self.at..).unwrap_or_default()
    }
}

/// Where the semicolon stands that ends an option: the first without a backslash before it,
/// whether in quotes or not.
fn end_of_option(text: &str) -> Option<usize> {
    memchr::memchr_iter(b';', text.as_bytes())
        .find(|at| at.checked_sub(1).and_then(|before| text.as_bytes().get(before)) != Some(&b'\\'))
}

/// The beginning of a text that may be long.
fn shorten(text: &str) -> String {
    const SHOWN: usize = 40;
    let text = text.trim();
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}...", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
