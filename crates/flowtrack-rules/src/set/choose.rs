//! Choosing the one content of a signature that is searched for first.

use crate::builder::Source;
use crate::keywords::content::{Amount, Content};
use crate::keywords::rarity::commonness;
use crate::prefilter::Wanted;
use crate::signature::{Kind, Search, Signature, Step};

/// Chooses the fast pattern where the rule does not, or where its choice cannot serve. A content
/// that stands near the beginning costs nothing to search for: it is taken instead of one that
/// costs much.
pub(super) fn fast_pattern(signature: &mut Signature) {
    let is_transaction = signature.kind == Kind::Transaction;
    let serves = |search: &Search| match search.buffer.source {
        Source::Payload => !is_transaction,
        Source::Transaction => is_transaction,
        Source::Packet(_) => false,
    };
    let chosen = signature.fast_pattern.filter(|(search, step)| {
        signature.searches.get(*search).filter(|search| serves(search)).is_some_and(|search| {
            search.absent.is_none()
                && matches!(search.steps.get(*step), Some(Step::Content(content)) if !content.negated)
        })
    });
    let chosen = chosen.or_else(|| best(&signature.searches, serves));
    let is_dear = |place| wanted(signature, place, 0).is_some_and(|pattern| !pattern.is_cheap());
    let near = match chosen {
        Some(place) if !is_transaction && is_dear(place) => near(signature),
        _ => None,
    };
    signature.fast_pattern = near.or(chosen);
}

/// The strongest content of the payload that has to be near its beginning.
fn near(signature: &Signature) -> Option<(usize, usize)> {
    let is_near = |place| wanted(signature, place, 0).is_some_and(|pattern| pattern.to <= NEAR);
    contents(&signature.searches, is_payload)
        .filter(|(place, content)| strength(content) >= STRONG && is_near(*place))
        .max_by_key(|(place, content)| (strength(content), std::cmp::Reverse(*place)))
        .map(|(place, _)| place)
}

/// A content that has to end before is searched for at next to no cost.
const NEAR: u32 = 32;
/// Strength of a content that is seldom at its place by chance: two bytes of which one is rare.
const STRONG: u32 = 300;

/// The fast pattern, to be reported as `value`.
pub(super) fn pattern_of(signature: &Signature, value: u32) -> Option<Wanted> {
    wanted(signature, signature.fast_pattern?, value)
}

/// A content as what is searched for first, and where it may be as far as the rule says so in
/// numbers.
fn wanted(signature: &Signature, (search, step): (usize, usize), value: u32) -> Option<Wanted> {
    let search = signature.searches.get(search)?;
    let Step::Content(content) = search.steps.get(step)? else { return None };
    let before = search.steps.get(..step)?;
    // Whether what is searched always is the beginning of something.
    let is_whole = match search.buffer.source {
        Source::Payload => signature.kind == Kind::Packet,
        Source::Transaction | Source::Packet(_) => true,
    };
    let start = Reach { from: 0, to: is_whole.then_some(0) };
    let place = before.iter().fold(start, Reach::behind).of(content);
    let bytes = content.fast_bytes();
    let (ahead, length) = match content.chop {
        Some((ahead, length)) => (i64::from(ahead), i64::from(length)),
        None => (0, bytes.len() as i64),
    };
    let behind = content.bytes.len() as i64 - ahead - length;
    let mut to = place.to.map(|to| to - behind);
    // A payload ends where its size allows at most.
    if let (Source::Payload, true, Some(size)) =
        (search.buffer.source, is_whole, signature.largest_payload())
    {
        let end = size as i64 - behind;
        to = Some(to.map_or(end, |to| to.min(end)));
    }
    Some(Wanted {
        from: u32::try_from(place.from.max(0) + ahead).unwrap_or(u32::MAX),
        to: to.map_or(u32::MAX, |to| u32::try_from(to.max(0)).unwrap_or(u32::MAX)),
        ..Wanted::anywhere(bytes, content.nocase, value)
    })
}

/// Where something may begin in what is searched, and must have ended in its stream.
#[derive(Clone, Copy)]
struct Reach {
    from: i64,
    to: Option<i64>,
}

impl Reach {
    const ANYWHERE: Self = Self { from: 0, to: None };

    /// Where a content may be, if the step before it ended here.
    fn of(self, content: &Content) -> Self {
        let fixed = |amount: Option<Amount>, none: i64| match amount {
            None => Some(none),
            Some(Amount::Fixed(number)) => Some(number),
            Some(Amount::Variable(_)) => None,
        };
        if content.is_relative() {
            let Some(distance) = fixed(content.distance, 0) else { return Self::ANYWHERE };
            let to = match (self.to, content.within) {
                (Some(to), Some(Amount::Fixed(within))) => {
                    Some(to.saturating_add(distance).saturating_add(within))
                }
                _ => None,
            };
            return Self { from: self.from.saturating_add(distance).max(0), to };
        }
        let Some(from) = fixed(content.offset, 0) else { return Self::ANYWHERE };
        let to = match content.depth {
            Some(Amount::Fixed(depth)) => Some(from.saturating_add(depth)),
            None if content.starts => Some(content.bytes.len() as i64),
            Some(Amount::Variable(_)) | None => None,
        };
        Self { from: from.max(0), to }
    }

    /// Where a step ends that may begin here.
    fn behind(self, step: &Step) -> Self {
        match step {
            Step::Content(content) if !content.negated => {
                let place = self.of(content);
                let end = place.from.saturating_add(content.bytes.len() as i64);
                Self { from: end, to: place.to }
            }
            Step::Pcre(pcre) if !pcre.negated => Self::ANYWHERE,
            Step::ByteJump(_) | Step::ByteExtract(_) | Step::ByteMath(_) => Self::ANYWHERE,
            Step::Content(_)
            | Step::Pcre(_)
            | Step::ByteTest(_)
            | Step::IsDataAt(_)
            | Step::Base64(_)
            | Step::Check(_) => self,
        }
    }
}

/// The pattern that payloads are searched for first, to be reported as `value`.
pub(super) fn first_in_payload(signature: &Signature, value: u32) -> Option<Wanted> {
    if signature.kind == Kind::Transaction {
        let best = best(&signature.searches, is_payload)?;
        let is_dear = wanted(signature, best, value).is_some_and(|pattern| !pattern.is_cheap());
        wanted(signature, near(signature).filter(|_| is_dear).unwrap_or(best), value)
    } else {
        pattern_of(signature, value)
    }
}

/// Whether that pattern costs little to search for, or there is none.
pub(super) fn is_cheap(signature: &Signature) -> bool {
    first_in_payload(signature, 0).is_none_or(|pattern| pattern.is_cheap())
}

/// Whether payloads are searched for a pattern of it first. A costly pattern is not searched for
/// where a mark on the flow says more.
pub(super) fn is_searched_for(signature: &Signature) -> bool {
    first_in_payload(signature, 0).is_some_and(|pattern| {
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
    contents(searches, serves)
        .max_by_key(|(place, content)| (strength(content), std::cmp::Reverse(*place)))
        .map(|(place, _)| place)
}

/// The contents that must be there of the searches that serve, with their places.
fn contents(
    searches: &[Search],
    serves: impl Fn(&Search) -> bool,
) -> impl Iterator<Item = ((usize, usize), &Content)> {
    let serve = move |search: &Search| serves(search) && search.absent.is_none();
    searches.iter().enumerate().filter(move |(_, search)| serve(search)).flat_map(|(at, search)| {
        search.steps.iter().enumerate().filter_map(move |(step, found)| match found {
            Step::Content(content) if !content.negated => Some(((at, step), content)),
            _ => None,
        })
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keywords::understand;
    use crate::lang::{Headers, Variables, parse_rules};

    /// The first pattern of a rule: bytes, and between which places.
    fn first(options: &str) -> (Vec<u8>, u32, u32) {
        let text = format!("alert tcp any any -> any any ({options} sid:1;)");
        let (rules, problems) = parse_rules("test", &text);
        assert_eq!(problems, []);
        let mut headers = Headers::new(Variables::default());
        let rule = rules.first().unwrap();
        let mut signature = understand(rule, &mut headers).unwrap().signature;
        fast_pattern(&mut signature);
        let wanted = first_in_payload(&signature, 0).unwrap();
        (wanted.bytes, wanted.from, wanted.to)
    }

    #[test]
    fn places_follow_from_what_stands_before() {
        const ANY: u32 = u32::MAX;
        let after = |options: &str| {
            let (_, from, to) =
                first(&format!("content:\"0\"; depth:5; offset:1; {options} fast_pattern;"));
            (from, to)
        };
        assert_eq!(after("content:\"longlong\"; distance:2; within:9;"), (4, 17));
        assert_eq!(after("content:\"longlong\"; distance:-4; within:9;"), (0, 11));
        assert_eq!(after("content:\"longlong\"; distance:2;"), (4, ANY));
        assert_eq!(after("content:!\"x\"; content:\"longlong\"; within:9;"), (2, 15));
        assert_eq!(after("byte_jump:1,0; content:\"longlong\"; within:9;"), (0, ANY));
        assert_eq!(after("byte_test:1,>,1,0; content:\"longlong\"; within:9;"), (2, 15));
        assert_eq!(after("pcre:\"/x/\"; content:\"longlong\"; within:9;"), (0, ANY));
        // A stream may be judged from a later place on.
        assert_eq!(first("content:\"longlong\"; within:9;"), (b"longlong".to_vec(), 0, ANY));
        assert_eq!(first("dsize:>1; content:\"longlong\"; within:9;").2, 9);
    }

    #[test]
    fn a_payload_is_searched_no_further_than_its_size() {
        assert_eq!(first("dsize:5; content:\"MINFO\";"), (b"MINFO".to_vec(), 0, 5));
        assert_eq!(first("dsize:<25; content:\"8_=_8\";").2, 24);
        assert_eq!(first("dsize:55<>65; content:\"x.bin\"; fast_pattern:1,2;").2, 62);
        assert_eq!(first("dsize:>25; content:\"8_=_8\";").2, u32::MAX);
    }

    #[test]
    fn what_stands_near_the_beginning_is_searched_for_rather_than_what_is_dear() {
        let (bytes, ..) = first("content:\"MZ\"; startswith; content:\"PE|00 00|\"; fast_pattern;");
        assert_eq!(bytes, b"MZ");
        let (bytes, ..) = first("content:\"|00 00|\"; depth:2; content:\"PE|00 00|\";");
        assert_eq!(bytes, b"PE\0\0");
        let (bytes, ..) = first("content:\"MZ\"; depth:2; content:\"This program\";");
        assert_eq!(bytes, b"This program");
    }
}
