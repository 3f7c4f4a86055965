//! Keywords about the headers of packets.

pub(super) mod checksum;
pub(super) mod event;
pub(super) mod icmp;
pub(super) mod ip;
pub(super) mod link;
pub(super) mod sctp;
pub(super) mod tcp;

use super::number::{Comparison, ListComparison};
use crate::builder::{Buffer, Builder, Complaint, PacketBytes, Value};
use crate::context::Context;
use crate::signature::Test;
use flowtrack_event::IpProto;
use flowtrack_wire::{Ip, Packet};
use smallvec::SmallVec;

/// Reads a number of a packet; none where it has no such header.
type Read = fn(&Packet<'_>) -> Option<u64>;

/// A number in a header.
#[derive(Debug)]
struct Number {
    read: Read,
    comparison: Comparison,
}

impl Test for Number {
    fn test(&self, cx: &mut Context<'_>) -> bool {
        cx.packet.and_then(self.read).is_some_and(|number| self.comparison.holds(number))
    }

    fn cost(&self) -> u8 {
        0
    }
}

/// Adds a condition on a number of at most `max`.
fn number(
    builder: &mut Builder<'_>,
    value: &Value<'_>,
    max: u64,
    read: Read,
) -> Result<(), Complaint> {
    let text = unquoted(value.needed("a number, such as 7, <7, >7, 3-9 or !7")?);
    let comparison = Comparison::parse(text, max)?;
    builder.packet_test(Number { read, comparison });
    Ok(())
}

/// Reads the numbers of a packet.
type ReadAll = fn(&Packet<'_>, &mut SmallVec<[u64; 8]>);

/// Numbers of which a packet has several.
#[derive(Debug)]
struct Numbers {
    read: ReadAll,
    comparison: ListComparison,
}

impl Test for Numbers {
    fn test(&self, cx: &mut Context<'_>) -> bool {
        let Some(packet) = cx.packet else { return false };
        let mut numbers = SmallVec::new();
        (self.read)(packet, &mut numbers);
        self.comparison.holds(&numbers)
    }
}

/// Adds a condition on a list of numbers of at most `max`.
fn numbers(
    builder: &mut Builder<'_>,
    value: &Value<'_>,
    max: u64,
    by_name: &dyn Fn(&str) -> Option<u64>,
    read: ReadAll,
) -> Result<(), Complaint> {
    let text = value.needed("a number, and which of them: 7, or 7,all")?;
    let comparison = ListComparison::parse(text, max, by_name)?;
    builder.packet_test(Numbers { read, comparison });
    Ok(())
}

/// Makes a part of the headers the buffer that what follows is looked for in.
fn buffer(
    builder: &mut Builder<'_>,
    value: &Value<'_>,
    name: &'static str,
    bytes: PacketBytes,
) -> Result<(), Complaint> {
    value.none()?;
    builder.set_buffer(&Buffer::of_packet(name, bytes))
}

/// The IP header of packets whose payload is of this protocol.
fn carrier<'a, 'p>(packet: &'a Packet<'p>, proto: IpProto) -> Option<&'a Ip<'p>> {
    packet.ip().filter(|ip| ip.proto == proto && ip.fragment.is_none_or(|f| f.offset == 0))
}

/// A byte, 16 or 32 bits of a header, in network order.
fn be8(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at).copied().map(u64::from)
}

fn be16(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u64::from(u16::from_be_bytes(*bytes)))
}

fn be32(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u64::from(u32::from_be_bytes(*bytes)))
}

fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

/// How bits of a header are compared (`flags`, `fragbits`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum BitsMode {
    /// These and no others.
    Exactly,
    /// These, and maybe others.
    AtLeast,
    /// One of these.
    Any,
    /// Not these.
    NotThese,
}

impl BitsMode {
    fn by_mark(mark: char) -> Option<Self> {
        match mark {
            '+' => Some(Self::AtLeast),
            '*' => Some(Self::Any),
            '!' | '-' => Some(Self::NotThese),
            '=' => Some(Self::Exactly),
            _ => None,
        }
    }

    const fn holds(self, bits: u8, these: u8) -> bool {
        match self {
            Self::Exactly => bits == these,
            Self::AtLeast => bits & these == these,
            Self::Any => bits & these != 0,
            Self::NotThese => bits & these != these,
        }
    }
}

/// Mode and bits of a word of letters; `letter` says what each means.
fn bits(
    text: &str,
    expected: &str,
    letter: impl Fn(char) -> Option<u8>,
) -> Result<(BitsMode, u8), Complaint> {
    let (mut mode, mut bits) = (BitsMode::Exactly, 0);
    for (at, c) in text.char_indices().filter(|(_, c)| !c.is_whitespace()) {
        if let Some(found) = BitsMode::by_mark(c) {
            mode = found;
        } else if let Some(bit) = letter(c) {
            bits |= bit;
        } else {
            return Err(Complaint::at(at, format!("\"{c}\" is no flag: expected {expected}")));
        }
    }
    Ok((mode, bits))
}

#[cfg(test)]
mod tests;
