//! The search through one value of a buffer.
//!
//! Steps are taken in the order of the rule. A step that is relative begins where the step before
//! it ended; when it fails, later occurrences of that step are tried.

use crate::builder::MAX_VARIABLES;
use crate::context::Context;
use crate::keywords::content::{Amount, Content};
use crate::keywords::pcre::{Capture, Pcre};
use crate::signature::Step;
use crate::state::{CapturedFor, MAX_TEXT};
use std::sync::Arc;

/// Occurrences that one search may try again behind.
const MAX_RETRIES: u32 = 3000;
/// Decodings inside one another.
const MAX_NESTED: u8 = 2;

/// What searching was given up for.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct SearchCounters {
    /// Searches that tried too many occurrences.
    pub retries_exhausted: u64,
    /// Regular expressions that took too many steps.
    pub pcre_given_up: u64,
}

/// Memory that searches use again and again.
#[derive(Debug)]
pub(crate) struct Searcher {
    variables: [u64; MAX_VARIABLES],
    retries: u32,
    /// Whether trying another occurrence cannot help.
    hopeless: bool,
    nested: u8,
    pub(crate) counters: SearchCounters,
    /// What the signature in hand captured.
    pub(crate) captured: Vec<(CapturedFor, Arc<str>, Box<[u8]>)>,
}

impl Default for Searcher {
    fn default() -> Self {
        Self {
            variables: [0; MAX_VARIABLES],
            retries: 0,
            hopeless: false,
            nested: 0,
            counters: SearchCounters::default(),
            captured: Vec::new(),
        }
    }
}

impl Searcher {
    /// Forgets what the signature before remembered.
    pub(crate) fn begin(&mut self) {
        self.nested = 0;
        self.captured.clear();
    }

    /// Whether all steps hold of `bytes`, which begin `offset` bytes into their stream.
    pub(crate) fn holds(
        &mut self,
        steps: &[Step],
        bytes: &[u8],
        offset: u64,
        cx: &mut Context<'_>,
    ) -> bool {
        self.retries = MAX_RETRIES;
        self.hopeless = false;
        self.steps(steps, bytes, offset, 0, cx)
    }

    fn steps(
        &mut self,
        steps: &[Step],
        bytes: &[u8],
        offset: u64,
        mut last: usize,
        cx: &mut Context<'_>,
    ) -> bool {
        let mut rest = steps;
        while let Some((step, behind)) = rest.split_first() {
            rest = behind;
            let holds = match step {
                Step::Content(content) if content.negated => {
                    !self.is_there(content, bytes, offset, last)
                }
                Step::Content(content) if content.retry => {
                    return self.content(content, behind, bytes, offset, last, cx);
                }
                Step::Content(content) => match self.first(content, bytes, offset, last) {
                    Some(end) => {
                        last = end;
                        true
                    }
                    None => false,
                },
                Step::Pcre(pcre) if pcre.retry && !pcre.negated => {
                    return self.pcre(pcre, behind, bytes, offset, last, cx);
                }
                Step::Pcre(pcre) => {
                    let base = if pcre.relative { last } else { 0 };
                    let subject = bytes.get(base..).unwrap_or_default();
                    match pcre.find(subject, 0) {
                        Ok(Some((_, end))) if !pcre.negated => {
                            self.capture(pcre, subject, 0);
                            last = base + end;
                            true
                        }
                        Ok(found) => found.is_none() && pcre.negated,
                        Err(_) => {
                            self.counters.pcre_given_up += 1;
                            false
                        }
                    }
                }
                Step::ByteTest(test) => test.holds(bytes, last, &self.variables),
                Step::ByteJump(jump) => match jump.target(bytes, last, &self.variables) {
                    Some(target) => {
                        last = target;
                        true
                    }
                    None => false,
                },
                Step::ByteExtract(extract) => {
                    let read = extract.read(bytes, last, &self.variables);
                    self.remember(extract.variable, read, &mut last)
                }
                Step::ByteMath(math) => {
                    let read = math.read(bytes, last, &self.variables);
                    self.remember(math.variable, read, &mut last)
                }
                Step::IsDataAt(at) => at.holds(bytes.len(), last, &self.variables),
                Step::Base64(decode) => {
                    let mut decoded = Vec::new();
                    if self.nested >= MAX_NESTED || !decode.decode(bytes, last, &mut decoded) {
                        false
                    } else {
                        self.nested += 1;
                        let holds = self.steps(&decode.steps, &decoded, 0, 0, cx);
                        self.nested -= 1;
                        // What was decoded says nothing about another occurrence.
                        self.hopeless = false;
                        holds
                    }
                }
                Step::Check(check) => check.check(bytes, cx),
            };
            if !holds {
                self.hopeless |= !step.depends_on_before();
                return false;
            }
        }
        true
    }

    fn remember(&mut self, variable: u8, read: Option<(u64, usize)>, last: &mut usize) -> bool {
        let Some((value, end)) = read else { return false };
        if let Some(place) = self.variables.get_mut(usize::from(variable)) {
            *place = value;
        }
        *last = end;
        true
    }

    /// A content, and what follows behind each of its occurrences until that holds.
    fn content(
        &mut self,
        content: &Content,
        behind: &[Step],
        bytes: &[u8],
        offset: u64,
        last: usize,
        cx: &mut Context<'_>,
    ) -> bool {
        let Some((mut from, to)) = self.bounds(content, bytes, offset, last) else {
            self.hopeless |= !content.depends_on_before();
            return false;
        };
        let mut found_any = false;
        while let Some(start) = find_between(content, bytes, from, to) {
            found_any = true;
            if self.steps(behind, bytes, offset, start + content.bytes.len(), cx) {
                return true;
            }
            if self.hopeless || !self.may_retry() {
                return false;
            }
            from = start + 1;
        }
        self.hopeless |= !found_any && !content.depends_on_before();
        false
    }

    /// The same of a regular expression.
    fn pcre(
        &mut self,
        pcre: &Pcre,
        behind: &[Step],
        bytes: &[u8],
        offset: u64,
        last: usize,
        cx: &mut Context<'_>,
    ) -> bool {
        let base = if pcre.relative { last } else { 0 };
        let subject = bytes.get(base..).unwrap_or_default();
        let mut from = 0;
        loop {
            match pcre.find(subject, from) {
                Ok(Some((start, end))) => {
                    if self.steps(behind, bytes, offset, base + end, cx) {
                        self.capture(pcre, subject, from);
                        return true;
                    }
                    if self.hopeless || !self.may_retry() {
                        return false;
                    }
                    from = start + 1;
                }
                Ok(None) => return false,
                Err(_) => {
                    self.counters.pcre_given_up += 1;
                    return false;
                }
            }
        }
    }

    /// Keeps what an expression captures; few do. It takes the place of what tries before it
    /// captured, which are up to [`MAX_RETRIES`].
    #[inline]
    fn capture(&mut self, pcre: &Pcre, subject: &[u8], from: usize) {
        if !pcre.captures.is_empty() {
            pcre.capture(subject, from, &mut |Capture { whom, name, .. }, text| {
                let text = text.get(..MAX_TEXT).unwrap_or(text);
                let known = self.captured.iter_mut().find(|(of, n, _)| of == whom && n == name);
                match known {
                    Some((_, _, known)) => *known = text.into(),
                    None => self.captured.push((*whom, Arc::clone(name), text.into())),
                }
            });
        }
    }

    fn may_retry(&mut self) -> bool {
        if self.retries == 0 {
            return false;
        }
        self.retries -= 1;
        self.counters.retries_exhausted += u64::from(self.retries == 0);
        self.retries > 0
    }

    /// The end of the first occurrence.
    fn first(&self, content: &Content, bytes: &[u8], offset: u64, last: usize) -> Option<usize> {
        let (from, to) = self.bounds(content, bytes, offset, last)?;
        Some(find_between(content, bytes, from, to)? + content.bytes.len())
    }

    /// Whether a negated content is where it must not be.
    fn is_there(&self, content: &Content, bytes: &[u8], offset: u64, last: usize) -> bool {
        // Behind its depth nothing can be said about what a stream began with.
        if let (Some(depth), true) = (content.depth, offset > 0)
            && self.end_of(content, depth) <= i64::try_from(offset).unwrap_or(i64::MAX)
        {
            return true;
        }
        self.first(content, bytes, offset, last).is_some()
    }

    fn end_of(&self, content: &Content, depth: Amount) -> i64 {
        let from = content.offset.map_or(0, |offset| offset.value(&self.variables));
        from.saturating_add(depth.value(&self.variables))
    }

    /// Between which places a content has to be.
    fn bounds(
        &self,
        content: &Content,
        bytes: &[u8],
        offset: u64,
        last: usize,
    ) -> Option<(usize, usize)> {
        let length = bytes.len() as i64;
        let value = |amount: Option<Amount>| amount.map(|amount| amount.value(&self.variables));
        let (from, to) = if content.is_relative() {
            let distance = value(content.distance).unwrap_or(0);
            let begin = (last as i64).saturating_add(distance);
            let end = value(content.within).map_or(length, |within| begin.saturating_add(within));
            (begin.max(0), end.min(length))
        } else {
            let from = value(content.offset).unwrap_or(0);
            let mut to = match content.depth {
                Some(depth) => self.end_of(content, depth),
                None if content.starts => content.bytes.len() as i64,
                None => i64::MAX,
            };
            if to != i64::MAX {
                to = to.saturating_sub(i64::try_from(offset).unwrap_or(i64::MAX));
            }
            (from, to.min(length))
        };
        if from > to || to <= 0 {
            return None;
        }
        Some((usize::try_from(from).ok()?, usize::try_from(to).ok()?))
    }
}

/// The first occurrence between two places.
#[inline]
fn find_between(content: &Content, bytes: &[u8], from: usize, to: usize) -> Option<usize> {
    let length = content.bytes.len();
    if content.ends {
        // There is one place where it can be.
        let start = bytes.len().checked_sub(length)?;
        let fits = start >= from && bytes.len() <= to;
        return (fits && content.equals(bytes.get(start..)?)).then_some(start);
    }
    Some(from + content.find(bytes.get(from..to)?)?)
}

#[cfg(test)]
mod tests;
