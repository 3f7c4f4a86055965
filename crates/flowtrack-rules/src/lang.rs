//! The rule language as text: what a rule says, before anybody knows what its words mean.
//!
//! [`parse_rules`] turns a file into [`Rule`]s, [`Headers`] turns the part before a rule's
//! parenthesis into what a packet can be asked ([`HeaderMatch`]), with [`Variables`] for the names
//! in it. [`Classifications`], [`References`] and [`ThresholdConfig`] are the small files that stand
//! beside rules.

mod address;
mod ast;
mod class;
mod header;
mod lines;
mod list;
mod parse;
mod port;
mod range;
mod reference;
mod selection;
mod threshold;
mod variables;

pub use address::Addresses;
pub use ast::{
    Action, ActionOrder, ActionScope, Arrow, Header, HeaderSpans, Opt, Problem, Rule, Span,
};
pub use class::{Class, Classifications};
pub use header::{Base, Carrier, HeaderMatch, Headers, Protocol, Side};
use lines::logical_lines;
pub use parse::{option_text, parse_disabled_rules, parse_rules};
pub use port::Ports;
pub use range::{Point, RangeSet};
pub use reference::References;
pub use selection::Selection;
pub use threshold::{
    Threshold, ThresholdConfig, ThresholdEntry, ThresholdKind, ThresholdRule, Track,
};
pub use variables::Variables;

/// The known word that is nearest to one that is not known, where one is near enough to be meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Two slips in a word of six letters are a typing error, in a word of three another word.
    let allowed = (word.chars().count() / 3).clamp(1, 4);
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        // Of equally many slips, the beginning of a word is the last to be mistyped.
        .min_by(|(a, x), (b, y)| {
            let alike = |candidate| strsim::jaro_winkler(word, candidate);
            a.cmp(b).then_with(|| alike(y).total_cmp(&alike(x)))
        })
        .map(|(_, candidate)| candidate)
}

/// The end of a message about an unknown word: `; did you mean "content"?`, or nothing.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, known).map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"))
}
