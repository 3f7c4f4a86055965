//! From the text of rule files to signatures, one bad rule never costing another.

use crate::keywords::{Refused, understand};
use crate::lang::{
    Headers, Problem, Rule, Selection, Span, Variables, parse_disabled_rules, parse_rules,
};
use crate::signature::Signature;
use ahash::AHashMap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Reads rule files one after the other.
#[derive(Debug)]
pub struct Loader {
    /// What rules are understood with: variables, classes, references.
    pub headers: Headers,
    /// Which of the rules are wanted.
    pub selection: Selection,
    loaded: Loaded,
    /// Place of each signature by generator and number.
    known: AHashMap<(u32, u32), usize>,
}

/// What became of the rules.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Those that can be matched.
    pub signatures: Vec<Signature>,
    /// File and place of each of them.
    pub places: Vec<(Arc<str>, Span)>,
    /// What is wrong with the others, and what is odd about some.
    pub problems: Vec<Problem>,
    /// How many were left out without being wrong, by reason.
    pub skipped: BTreeMap<&'static str, u32>,
    /// How many were left out because they are not wanted.
    pub unwanted: u32,
    /// How many were wrong.
    pub refused: u32,
    /// How many were replaced by a later revision.
    pub replaced: u32,
    /// How many rules there were.
    pub read: u32,
}

impl Loader {
    /// With these variables, and every rule wanted.
    pub fn new(variables: Variables) -> Self {
        Self {
            headers: Headers::new(variables),
            selection: Selection::default(),
            loaded: Loaded::default(),
            known: AHashMap::new(),
        }
    }

    /// Adds the rules of a file.
    pub fn add(&mut self, file: &str, text: &str) {
        let (rules, problems) = parse_rules(file, text);
        self.loaded.refused += problems.len() as u32;
        self.loaded.read += problems.len() as u32;
        self.loaded.problems.extend(problems);
        let file: Arc<str> = file.into();
        for rule in rules {
            self.consider(&file, &rule, false);
        }
        if self.selection.enables_some() {
            for rule in parse_disabled_rules(text) {
                self.consider(&file, &rule, true);
            }
        }
    }

    /// What became of all of them.
    pub fn finish(self) -> Loaded {
        self.loaded
    }

    fn consider(&mut self, file: &Arc<str>, rule: &Rule, in_comment: bool) {
        if !self.selection.wants(file, rule, in_comment) {
            // A rule in a comment was never meant to be loaded.
            if !in_comment {
                self.loaded.read += 1;
                self.loaded.unwanted += 1;
            }
            return;
        }
        self.loaded.read += 1;
        let Some(text) = self.selection.changed(file, rule) else {
            return self.understand(file, rule);
        };
        let (mut changed, problems) = parse_rules(file, &text);
        match changed.pop() {
            Some(changed) => self.understand(file, &Rule { at: rule.at, ..changed }),
            None => {
                let message = problems.into_iter().next().map(|problem| problem.message);
                let message = format!("as changed: {}", message.unwrap_or_default());
                self.refuse(file, rule, rule.at, None, message);
            }
        }
    }

    fn understand(&mut self, file: &Arc<str>, rule: &Rule) {
        match understand(rule, &mut self.headers) {
            Ok(understood) => {
                for (at, message) in understood.warnings {
                    self.loaded.problems.push(Problem {
                        file: file.clone(),
                        at,
                        sid: rule.sid(),
                        keyword: None,
                        message,
                        fatal: false,
                    });
                }
                self.keep(file, rule, understood.signature);
            }
            Err(Refused { at, keyword, message, skip: Some(reason) }) => {
                *self.loaded.skipped.entry(reason).or_default() += 1;
                self.loaded.problems.push(Problem {
                    file: file.clone(),
                    at,
                    sid: rule.sid(),
                    keyword,
                    message: format!("left out: {message}"),
                    fatal: false,
                });
            }
            Err(Refused { at, keyword, message, skip: None }) => {
                self.refuse(file, rule, at, keyword, message);
            }
        }
    }

    /// Keeps a signature; of several with one number, that of the highest revision.
    fn keep(&mut self, file: &Arc<str>, rule: &Rule, signature: Signature) {
        let place = (file.clone(), rule.at);
        let id = (signature.info.gid, signature.info.sid);
        let Some(&at) = self.known.get(&id) else {
            self.known.insert(id, self.loaded.signatures.len());
            self.loaded.signatures.push(signature);
            self.loaded.places.push(place);
            return;
        };
        let (Some(known), Some(known_place)) =
            (self.loaded.signatures.get_mut(at), self.loaded.places.get_mut(at))
        else {
            return;
        };
        if signature.info.rev > known.info.rev {
            self.loaded.replaced += 1;
            *known = signature;
            *known_place = place;
        } else {
            let (first, span) = known_place.clone();
            let message = format!(
                "sid {} is taken by {first}:{}, whose revision {} is not lower",
                id.1, span.line, known.info.rev
            );
            self.refuse(file, rule, rule.at, None, message);
        }
    }

    fn refuse(
        &mut self,
        file: &Arc<str>,
        rule: &Rule,
        at: Span,
        keyword: Option<Arc<str>>,
        message: String,
    ) {
        self.loaded.refused += 1;
        self.loaded.problems.push(Problem {
            file: file.clone(),
            at,
            sid: rule.sid(),
            keyword,
            message,
            fatal: true,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Loaded {
        let mut loader = Loader::new(Variables::default());
        loader.add("f", text);
        loader.finish()
    }

    #[test]
    fn one_bad_rule_costs_no_other() {
        let loaded = load(
            "alert ip any any -> any any (ttl:1; sid:1;)\n\
             alert ip any any -> any any (tttl:1; sid:2;)\n\
             nonsense\n\
             alert ip any any -> any any (requires:version >= 99; what; sid:4;)\n\
             alert ip any any -> any any (ttl:5; sid:5;)\n",
        );
        assert_eq!(loaded.signatures.len(), 2);
        assert_eq!((loaded.read, loaded.refused), (5, 2));
        assert_eq!(loaded.skipped.values().sum::<u32>(), 1);
        let text: Vec<_> = loaded.problems.iter().map(ToString::to_string).collect();
        assert!(
            text.contains(&"f:2:30: unknown keyword \"tttl\"; did you mean \"ttl\"?".to_owned()),
            "{text:?}"
        );
    }

    #[test]
    fn rules_of_a_firewall_are_left_out_and_not_wrong() {
        let loaded = load(
            "accept:hook tcp:all any any -> any any (sid:1;)\n\
             accept:flow,pass:flow,alert tls:<client_hello_done any any -> any any (sid:2;)\n\
             drop:flow,alert tcp any any -> any any (ttl:1; sid:3;)\n",
        );
        assert_eq!((loaded.read, loaded.refused, loaded.signatures.len()), (3, 0, 1));
        assert_eq!(loaded.skipped.get("for a firewall"), Some(&2));
    }

    #[test]
    fn the_highest_revision_stays() {
        let loaded = load(
            "alert ip any any -> any any (ttl:1; sid:1; rev:1;)\n\
             alert ip any any -> any any (ttl:2; sid:1; rev:3;)\n\
             alert ip any any -> any any (ttl:3; sid:1; rev:3;)\n\
             alert ip any any -> any any (ttl:3; gid:2; sid:1; rev:1;)\n",
        );
        assert_eq!((loaded.read, loaded.replaced, loaded.refused), (4, 1, 1));
        assert_eq!(loaded.signatures[0].info.rev, 3);
        assert_eq!(loaded.places[0].1.line, 2);
        assert_eq!(
            loaded.problems[0].message,
            "sid 1 is taken by f:2, whose revision 3 is not lower"
        );
    }

    #[test]
    fn rules_are_chosen_and_changed() {
        let mut loader = Loader::new(Variables::default());
        assert_eq!(loader.selection.enable("e", "2"), []);
        assert_eq!(loader.selection.disable("d", "1"), []);
        assert_eq!(loader.selection.modify("m", "3 \"ttl:1\" \"ttl:x\""), []);
        loader.add(
            "f",
            "alert ip any any -> any any (ttl:1; sid:1;)\n\
             # alert ip any any -> any any (ttl:1; sid:2;)\n\
             # alert is a word, and so is (any)\n\
             alert ip any any -> any any (ttl:1; sid:3;)\n",
        );
        let loaded = loader.finish();
        assert_eq!(loaded.signatures.len(), 1);
        assert_eq!(loaded.signatures[0].info.sid, 2);
        assert_eq!((loaded.read, loaded.unwanted, loaded.refused), (3, 1, 1));
    }
}
