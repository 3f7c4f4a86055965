//! Choosing the one content of a signature that is searched for first.

use crate::builder::Source;
use crate::keywords::content::Content;
use crate::keywords::rarity::commonness;
use crate::signature::{Kind, Search, Signature, Step};

/// Chooses the fast pattern where the rule does not, or where its choice cannot serve.
pub(super) fn fast_pattern(signature: &mut Signature) {
    let is_transaction = signature.kind == Kind::Transaction;
    let serves = |search: &Search| match search.buffer.source {
        Source::Payload => !is_transaction,
        Source::Transaction => is_transaction,
        Source::Packet(_) => false,
    };
    if let Some((search, step)) = signature.fast_pattern {
        let chosen = signature.searches.get(search).filter(|search| serves(search));
        let is_usable = chosen.is_some_and(|search| {
            search.absent.is_none()
                && matches!(search.steps.get(step), Some(Step::Content(content)) if !content.negated)
        });
        if is_usable {
            return;
        }
    }
    signature.fast_pattern = best(&signature.searches, serves);
}

/// The bytes of the fast pattern.
pub(super) fn pattern_of(signature: &Signature) -> Option<&[u8]> {
    let (search, step) = signature.fast_pattern?;
    match signature.searches.get(search)?.steps.get(step)? {
        Step::Content(content) => Some(content.fast_bytes()),
        _ => None,
    }
}

/// Whether a part of it is about the payload.
pub(super) fn has_payload(signature: &Signature) -> bool {
    signature.searches.iter().any(is_payload)
}

/// The pattern of that part.
pub(super) fn payload_pattern(signature: &Signature) -> Option<&[u8]> {
    let (search, step) = best(&signature.searches, is_payload)?;
    match signature.searches.get(search)?.steps.get(step)? {
        Step::Content(content) => Some(content.fast_bytes()),
        _ => None,
    }
}

fn is_payload(search: &Search) -> bool {
    matches!(search.buffer.source, Source::Payload)
}

/// The strongest content of the searches that serve.
fn best(searches: &[Search], serves: impl Fn(&Search) -> bool) -> Option<(usize, usize)> {
    let searches = searches.iter().enumerate().filter(|(_, search)| serves(search));
    let contents =
        searches.filter(|(_, search)| search.absent.is_none()).flat_map(|(at, search)| {
            search.steps.iter().enumerate().filter_map(move |(step, found)| match found {
                Step::Content(content) if !content.negated => Some(((at, step), content)),
                _ => None,
            })
        });
    contents
        .max_by_key(|(place, content)| (strength(content), std::cmp::Reverse(*place)))
        .map(|(place, _)| place)
}

/// How seldom a content is likely to be found: many different, rare bytes.
fn strength(content: &Content) -> u32 {
    let bytes = content.fast_bytes();
    let mut seen = [false; 256];
    bytes
        .iter()
        .map(|byte| {
            let rarity = 300 - u32::from(commonness(*byte));
            let is_new =
                seen.get_mut(usize::from(*byte)).is_some_and(|seen| !std::mem::replace(seen, true));
            if is_new { rarity } else { 10 }
        })
        .sum()
}
