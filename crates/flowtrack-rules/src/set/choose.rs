//! Choosing the one content of a signature that is searched for first.

use crate::builder::Source;
use crate::keywords::content::{Amount, Content};
use crate::keywords::rarity::commonness;
use crate::prefilter::Wanted;
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

/// The fast pattern, to be reported as `value`.
pub(super) fn pattern_of(signature: &Signature, value: u32) -> Option<Wanted> {
    wanted(signature, signature.fast_pattern?, value)
}

/// A content as what is searched for first: where it may be is known as far as the rule says it in
/// numbers.
fn wanted(signature: &Signature, (search, step): (usize, usize), value: u32) -> Option<Wanted> {
    let Step::Content(content) = signature.searches.get(search)?.steps.get(step)? else {
        return None;
    };
    let bytes = content.fast_bytes();
    let mut wanted = Wanted::anywhere(bytes, content.nocase, value);
    if content.chop.is_some() {
        return Some(wanted);
    }
    let fixed = |amount: Option<Amount>| match amount {
        None => Some(0),
        Some(Amount::Fixed(number)) => u32::try_from(number).ok(),
        Some(Amount::Variable(_)) => None,
    };
    if content.starts {
        wanted.to = bytes.len() as u32;
    } else if let Some(offset) = fixed(content.offset) {
        wanted.from = offset;
        if let (Some(_), Some(depth)) = (content.depth, fixed(content.depth)) {
            wanted.to = offset.saturating_add(depth);
        }
    }
    Some(wanted)
}

/// The pattern that payloads are searched for first, to be reported as `value`.
pub(super) fn first_in_payload(signature: &Signature, value: u32) -> Option<Wanted> {
    if signature.kind == Kind::Transaction {
        wanted(signature, best(&signature.searches, is_payload)?, value)
    } else {
        pattern_of(signature, value)
    }
}

/// Whether that pattern costs little to search for, or there is none.
pub(super) fn is_cheap(index: u32, signature: &Signature) -> bool {
    first_in_payload(signature, index).is_none_or(|pattern| pattern.is_cheap())
}

/// Whether payloads are searched for a pattern of it first. A costly pattern is not searched for
/// where a mark on the flow says more.
pub(super) fn is_searched_for(signature: &Signature, index: u32) -> bool {
    first_in_payload(signature, index).is_some_and(|pattern| {
        let is_asked = signature.kind != Kind::Transaction && signature.mark().is_some();
        pattern.is_cheap() || !is_asked
    })
}

/// Whether a part of it is about the payload.
pub(super) fn has_payload(signature: &Signature) -> bool {
    signature.searches.iter().any(is_payload)
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
