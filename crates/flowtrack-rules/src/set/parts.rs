//! The parts about the payload of signatures about transactions.
//!
//! What such a part finds is kept with the flow until a transaction is judged. Hundreds of signatures
//! ask the same (`content:!"Cookie|3a|"`), so equal parts are looked for once and share a mark.

use crate::builder::Source;
use crate::signature::{Search, Signature, Step};
use crate::state::VarId;
use ahash::AHashMap;

/// The parts so far: for the bytes they look for, the signatures that do, and their marks.
#[derive(Default)]
pub(super) struct Parts(AHashMap<Vec<u8>, Vec<(u32, VarId)>>);

impl Parts {
    /// The mark of the part of a signature, and whether it is the first with just that part.
    pub(super) fn add(&mut self, signatures: &[Signature], index: u32) -> Option<(VarId, bool)> {
        let signature = signatures.get(index as usize)?;
        let own = VarId::of(&format!("payload of {}:{}", signature.info.gid, signature.sid()));
        let alike = self.0.entry(text(signature)).or_default();
        let known = alike.iter().find(|(other, _)| {
            signatures.get(*other as usize).is_some_and(|other| asks_the_same(other, signature))
        });
        if let Some((_, shared)) = known {
            return Some((*shared, false));
        }
        alike.push((index, own));
        Some((own, true))
    }
}

/// What is looked for before there is a transaction: in payloads, and in the packets that carry them.
fn searches(signature: &Signature) -> impl Iterator<Item = &Search> {
    let searches = signature.searches.iter();
    searches.filter(|search| !matches!(search.buffer.source, Source::Transaction))
}

/// The bytes and expressions that are looked for, in a row.
fn text(signature: &Signature) -> Vec<u8> {
    let mut text = Vec::new();
    for step in searches(signature).flat_map(|search| &search.steps) {
        match step {
            Step::Content(content) => text.extend_from_slice(&content.bytes),
            Step::Pcre(pcre) => text.extend_from_slice(pcre.pattern().as_bytes()),
            _ => {}
        }
    }
    text
}

/// Whether the parts of two signatures hold of the same payloads.
fn asks_the_same(one: &Signature, other: &Signature) -> bool {
    one.direction == other.direction
        && one.apps == other.apps
        && one.header == other.header
        && searches(one).count() == searches(other).count()
        && searches(one).zip(searches(other)).all(|(one, other)| is_same_search(one, other))
}

/// Whether two searches are known to be the same.
fn is_same_search(one: &Search, other: &Search) -> bool {
    one.buffer == other.buffer
        && one.absent == other.absent
        && one.transforms.is_empty()
        && other.transforms.is_empty()
        && one.steps.len() == other.steps.len()
        && one.steps.iter().zip(&other.steps).all(|(one, other)| is_same(one, other))
}

/// Whether two steps are known to be the same.
fn is_same(one: &Step, other: &Step) -> bool {
    match (one, other) {
        (Step::Content(one), Step::Content(other)) => one == other,
        (Step::Pcre(one), Step::Pcre(other)) => one.is_same(other),
        (Step::IsDataAt(one), Step::IsDataAt(other)) => one == other,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keywords::understand;
    use crate::lang::{Headers, Variables, parse_rules};

    #[test]
    fn equal_parts_share_a_mark() {
        let rule = |sid: u32, destination: &str, part: &str| {
            format!(
                "alert http any any -> {destination} (flow:to_server; http.uri; content:\"/{sid}\"; \
                 pkt_data; {part} sid:{sid};)\n"
            )
        };
        let text = [
            rule(1, "any any", "content:!\"Cookie|3a|\";"),
            rule(2, "any any", "content:!\"Cookie|3a|\";"),
            rule(3, "any any", "content:!\"Cookie|3a|\"; nocase;"),
            rule(4, "any 8080", "content:!\"Cookie|3a|\";"),
            rule(5, "any any", "content:\"Cookie|3a|\";"),
            rule(6, "any any", "content:!\"Cookie|3a|\"; pcre:\"/a+/\";"),
            rule(7, "any any", "content:!\"Cookie|3a|\"; pcre:\"/a+/i\";"),
            rule(8, "any any", "content:!\"Cookie|3a|\"; pcre:\"/a+/i\";"),
            rule(9, "any any", "content:!\"Cookie|3a|\"; tcp.hdr; content:\"|50 18|\";"),
        ];
        let (rules, problems) = parse_rules("test", &text.concat());
        assert_eq!(problems, []);
        let mut headers = Headers::new(Variables::default());
        let signatures: Vec<_> =
            rules.iter().map(|rule| understand(rule, &mut headers).unwrap().signature).collect();
        let mut parts = Parts::default();
        let added: Vec<_> = (0..9).map(|index| parts.add(&signatures, index).unwrap()).collect();
        let is_new: Vec<_> = added.iter().map(|(_, is_new)| *is_new).collect();
        assert_eq!(is_new, [true, false, true, true, true, true, true, false, true]);
        assert_eq!((added[0].0, added[6].0), (added[1].0, added[7].0));
    }
}
