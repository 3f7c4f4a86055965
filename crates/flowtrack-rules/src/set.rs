//! Many signatures, arranged so that few of them have to be judged.

use crate::builder::{Memory, Usage};
use crate::context::Requirements;
use crate::lang::Action;
use crate::signature::{Kind, Signature};
use std::cmp::Reverse;

/// Signatures that workers share; it never changes.
#[derive(Debug, Default)]
pub struct RuleSet {
    signatures: Vec<Signature>,
}

impl RuleSet {
    /// Arranges signatures. Their place in the set is the order in which they are judged.
    pub fn compile(mut signatures: Vec<Signature>) -> Self {
        signatures.sort_by_cached_key(order);
        Self { signatures }
    }

    /// The signatures, in the order in which they are judged.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// The signature of a [`Hit`](crate::Hit).
    pub fn get(&self, index: u32) -> Option<&Signature> {
        self.signatures.get(index as usize)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.signatures.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.signatures.is_empty()
    }

    /// What has to be done for them.
    pub fn requirements(&self) -> Requirements {
        let mut needed = Requirements::default();
        for signature in &self.signatures {
            match signature.kind {
                Kind::Transaction => needed.transactions = true,
                Kind::Stream => needed.streams = true,
                Kind::PacketAndStream => (needed.packets, needed.streams) = (true, true),
                Kind::Addresses | Kind::Packet | Kind::Recognition | Kind::App => {
                    needed.packets = true;
                }
            }
            needed = needed.or(signature.requirements);
        }
        needed
    }
}

/// What is judged first: passes, then whatever writes what others read, then the urgent.
fn order(signature: &Signature) -> impl Ord + use<> {
    let action = match signature.action {
        Action::Pass => 0,
        Action::Drop => 1,
        Action::Reject | Action::RejectBoth | Action::RejectDst => 2,
        Action::Alert | Action::Config => 3,
    };
    let usage = |memory| {
        let of_it = signature.usage.iter().filter(|(known, _)| *known == memory);
        let (mut writes, mut reads) = (false, false);
        for (_, usage) in of_it {
            writes |= *usage != Usage::Read;
            reads |= *usage != Usage::Write;
        }
        Reverse(match (writes, reads) {
            (true, false) => 3,
            (true, true) => 2,
            (false, true) => 1,
            (false, false) => 0,
        })
    };
    let memories = [Memory::FlowBits, Memory::FlowInt, Memory::HostBits, Memory::XBits].map(usage);
    (action, memories, signature.info.severity)
}
