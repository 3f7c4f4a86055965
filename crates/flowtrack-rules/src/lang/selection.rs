//! Which rules of a set are wanted, and what is changed in them: lists as rule managers of the
//! field write them.
//!
//! A line names rules: `2019401`, `1:2019401`, several with commas between them, `re:EXPRESSION`
//! for those whose text matches, `group:NAME` for those of a file (with or without `.rules`, `*`
//! for any letters), `metadata:NAME VALUE`. In lists of changes follow two texts in quotes: an
//! expression, and what replaces it; `$1` or `\1` stands for what its first group matched.

use super::ast::{Problem, Rule};
use super::lines::logical_lines;
use fancy_regex::{Regex, RegexBuilder};

/// How far an expression may go astray on one rule before it counts as not matching.
const BACKTRACK_LIMIT: usize = 100_000;

/// Which rules are wanted.
#[derive(Default, Debug)]
pub struct Selection {
    enabled: Vec<Matcher>,
    disabled: Vec<Matcher>,
    changes: Vec<(Matcher, Regex, String)>,
}

/// Which rules a line of a list means.
#[derive(Debug)]
enum Matcher {
    Sid(u32, u32),
    Text(Regex),
    Group(String),
    Metadata(String, String),
}

impl Selection {
    /// Adds a list of rules that are wanted even where they stand in a comment.
    pub fn enable(&mut self, file: &str, text: &str) -> Vec<Problem> {
        let (matchers, problems) = list(file, text);
        self.enabled.extend(matchers);
        problems
    }

    /// Adds a list of rules that are not wanted.
    pub fn disable(&mut self, file: &str, text: &str) -> Vec<Problem> {
        let (matchers, problems) = list(file, text);
        self.disabled.extend(matchers);
        problems
    }

    /// Adds a list of changes.
    pub fn modify(&mut self, file: &str, text: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        for line in logical_lines(text) {
            match change(line.text.trim()) {
                Ok(changes) => self.changes.extend(changes),
                Err(message) => problems.push(problem(file, &line, message)),
            }
        }
        problems
    }

    /// Whether rules in comments may be wanted.
    pub fn enables_some(&self) -> bool {
        !self.enabled.is_empty()
    }

    /// Whether a rule is wanted: one that is both enabled and disabled is.
    pub fn wants(&self, file: &str, rule: &Rule, in_comment: bool) -> bool {
        if self.enabled.iter().any(|matcher| matcher.fits(file, rule)) {
            return true;
        }
        !in_comment && !self.disabled.iter().any(|matcher| matcher.fits(file, rule))
    }

    /// The text of a rule with all changes made; nothing where none concerns it.
    pub fn changed(&self, file: &str, rule: &Rule) -> Option<String> {
        let mut changed: Option<String> = None;
        for (_, expression, replacement) in
            self.changes.iter().filter(|(matcher, ..)| matcher.fits(file, rule))
        {
            let text = changed.as_deref().unwrap_or(&rule.text);
            // An expression that goes astray changes nothing.
            if let Ok(new) = expression.try_replacen(text, 0, replacement.as_str()) {
                changed = Some(new.into_owned());
            }
        }
        changed.filter(|text| **text != *rule.text)
    }
}

impl Matcher {
    fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Some(expression) = text.strip_prefix("re:") {
            return Ok(Self::Text(regex(expression.trim())?));
        }
        if let Some(name) = text.strip_prefix("group:") {
            return Ok(Self::Group(name.trim().to_ascii_lowercase()));
        }
        if let Some(pair) = text.strip_prefix("metadata:") {
            let (name, value) = pair
                .trim()
                .split_once(char::is_whitespace)
                .ok_or("expected metadata: name value")?;
            return Ok(Self::Metadata(name.to_owned(), value.trim().to_owned()));
        }
        let (gid, sid) = text.split_once(':').unwrap_or(("1", text));
        match (gid.trim().parse(), sid.trim().parse()) {
            (Ok(gid), Ok(sid)) => Ok(Self::Sid(gid, sid)),
            _ => Err(format!(
                "\"{text}\" names no rule: expected 2019401, 1:2019401, re:EXPRESSION, group:FILE \
                 or metadata: NAME VALUE"
            )),
        }
    }

    fn fits(&self, file: &str, rule: &Rule) -> bool {
        match self {
            Self::Sid(gid, sid) => {
                let number = rule.option("gid").and_then(|gid| gid.value.as_deref()?.parse().ok());
                rule.sid() == Some(*sid) && number.unwrap_or(1) == *gid
            }
            Self::Text(expression) => expression.is_match(&*rule.text).unwrap_or(false),
            Self::Group(name) => {
                let file = file.rsplit('/').next().unwrap_or(file).to_ascii_lowercase();
                glob(name, &file) || glob(name, file.strip_suffix(".rules").unwrap_or(&file))
            }
            Self::Metadata(name, value) => rule
                .option("metadata")
                .and_then(|option| option.value.as_deref())
                .is_some_and(|text| {
                    text.split(',')
                        .filter_map(|pair| pair.trim().split_once(' '))
                        .any(|(n, v)| n == name && v.trim() == value)
                }),
        }
    }
}

/// Whether a name fits a pattern in which `*` stands for any letters.
fn glob(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.split_once(part) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    true
}

fn list(file: &str, text: &str) -> (Vec<Matcher>, Vec<Problem>) {
    let (mut matchers, mut problems) = (Vec::new(), Vec::new());
    for line in logical_lines(text) {
        match matchers_of(line.text.trim()) {
            Ok(found) => matchers.extend(found),
            Err(message) => problems.push(problem(file, &line, message)),
        }
    }
    (matchers, problems)
}

/// What one line names; behind a `#` may stand why.
fn matchers_of(line: &str) -> Result<Vec<Matcher>, String> {
    if line.starts_with(|c: char| c.is_ascii_digit()) {
        let numbers = line.split('#').next().unwrap_or_default();
        return numbers.split(',').map(Matcher::parse).collect();
    }
    Ok(vec![Matcher::parse(line)?])
}

/// `WHICH "expression" "replacement"`.
fn change(line: &str) -> Result<Vec<(Matcher, Regex, String)>, String> {
    const EXPECTED: &str =
        "expected which rules, then two texts in quotes: 2019401 \"from\" \"to\"";
    let (which, rest) = line.split_once('"').ok_or(EXPECTED)?;
    let rest = rest.trim_end().strip_suffix('"').ok_or(EXPECTED)?;
    let (from, to) = rest.split_once("\" \"").ok_or(EXPECTED)?;
    let which = which.trim().strip_prefix("modifysid").map_or(which.trim(), str::trim);
    // Lists of an older manager write `*` for all rules and a bar between the texts.
    let matchers =
        if which == "*" { vec![Matcher::Group("*".to_owned())] } else { matchers_of(which)? };
    let replacement = references(to);
    matchers.into_iter().map(|matcher| Ok((matcher, regex(from)?, replacement.clone()))).collect()
}

/// `\1` as `${1}`, and every other dollar as itself.
fn references(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek().copied()) {
            ('\\' | '$', Some(digit)) if digit.is_ascii_digit() => {
                chars.next();
                out.push_str(&format!("${{{digit}}}"));
            }
            ('$', _) => out.push_str("$$"),
            _ => out.push(c),
        }
    }
    out
}

fn regex(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(text)
        .backtrack_limit(BACKTRACK_LIMIT)
        .build()
        .map_err(|error| format!("\"{text}\" is no expression: {error}"))
}

fn problem(file: &str, line: &super::lines::Line<'_>, message: String) -> Problem {
    Problem { file: file.into(), at: line.span(0), sid: None, keyword: None, message, fatal: true }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::parse_rules;

    fn rule(sid: u32) -> Rule {
        let text = format!(
            "alert tcp any any -> any 80 (msg:\"ET SCAN x\"; metadata:a b, created_at 2020; sid:{sid};)"
        );
        parse_rules("x", &text).0.remove(0)
    }

    fn wants(disable: &str, file: &str, sid: u32) -> bool {
        let mut selection = Selection::default();
        assert_eq!(selection.disable("d", disable), []);
        selection.wants(file, &rule(sid), false)
    }

    #[test]
    fn lists_name_rules_in_many_ways() {
        assert!(!wants("# why\n1,2, 1:3 # and why", "x", 3) && wants("1,2", "x", 3));
        assert!(wants("3:3", "x", 3));
        assert!(!wants("re:ET (SCAN|DOS)", "x", 1) && wants("re:^drop", "x", 1));
        assert!(!wants("group:emerging-scan", "/rules/emerging-scan.rules", 1));
        assert!(!wants("group:*scan*", "emerging-scan.rules", 1) && wants("group:dos", "scan", 1));
        assert!(!wants("metadata: created_at 2020", "x", 1) && wants("metadata: a c", "x", 1));
    }

    #[test]
    fn what_is_enabled_goes_first() {
        let mut selection = Selection::default();
        assert_eq!(selection.enable("e", "7"), []);
        assert_eq!(selection.disable("d", "re:."), []);
        assert!(selection.wants("x", &rule(7), false) && selection.wants("x", &rule(7), true));
        assert!(!selection.wants("x", &rule(8), false) && !selection.wants("x", &rule(8), true));
    }

    #[test]
    fn changes() {
        let mut selection = Selection::default();
        let text = "5 \"^alert\" \"drop\"\nre:SCAN \"any (\\d+)\" \"$HOME_NET \\1\"\n";
        assert_eq!(selection.modify("m", text), []);
        let changed = selection.changed("x", &rule(5)).unwrap();
        assert!(changed.starts_with("drop tcp any any -> $HOME_NET 80 ("), "{changed}");
        let mut none = Selection::default();
        assert_eq!(none.modify("m", "5 \"nothing\" \"x\""), []);
        assert_eq!(none.changed("x", &rule(5)), None);
    }

    #[test]
    fn mistakes_say_where() {
        let mut selection = Selection::default();
        let wrong: Vec<_> =
            selection.disable("d", "\nfoo\nre:(\n").iter().map(ToString::to_string).collect();
        assert!(wrong[0].starts_with("d:2:1: \"foo\" names no rule"), "{wrong:?}");
        assert!(wrong[1].starts_with("d:3:1: \"(\" is no expression"), "{wrong:?}");
        assert_eq!(selection.modify("m", "5 x y").len(), 1);
    }
}
