//! Keywords of old rules that look into the payload in a way of their own.

use crate::builder::{Builder, Complaint, Keyword, Value};
use crate::context::Context;
use crate::signature::{Check, Test};
use std::net::Ipv4Addr;

/// A message of Sun RPC that calls.
const RPC_CALL: u32 = 0;
/// Objects of ASN.1 inside one another that are looked at.
const MAX_DEPTH: usize = 16;
/// Objects of ASN.1 that are looked at in one buffer.
const MAX_OBJECTS: usize = 256;

pub(crate) const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "asn1",
        aliases: &[],
        doc: "oddly encoded ASN.1: oversize_length N, bitstring_overflow, double_overflow, offsets",
        example: r"alert udp any any -> any 161 (asn1:oversize_length 1024, absolute_offset 0; sid:1;)",
        parse: asn1,
    },
    Keyword {
        name: "ftpbounce",
        aliases: &[],
        doc: "a PORT command that names another host than the client",
        example: r#"alert tcp any any -> any 21 (content:"PORT"; nocase; ftpbounce; sid:1;)"#,
        parse: |builder, value| {
            value.none()?;
            builder.check(Bounce);
            Ok(())
        },
    },
    Keyword {
        name: "rpc",
        aliases: &[],
        doc: "a call of Sun RPC: program, version and procedure, * for any",
        example: r"alert udp any any -> any 111 (rpc:100000,*,3; sid:1;)",
        parse: rpc,
    },
    Keyword {
        name: "prefilter",
        aliases: &[],
        doc: "accepted: which signatures are judged first is chosen by their contents",
        example: r"alert tcp any any -> any any (flags:S; prefilter; sid:1;)",
        parse: |_, value| value.none(),
    },
];

/// `asn1`.
#[derive(Clone, Copy, Default, Debug)]
struct Asn1 {
    oversize: Option<u64>,
    bit_string: bool,
    double: bool,
    offset: i64,
}

impl Check for Asn1 {
    fn check(&self, bytes: &[u8], _cx: &mut Context<'_>) -> bool {
        let from = usize::try_from(self.offset).unwrap_or(0);
        let mut left = MAX_OBJECTS;
        bytes.get(from..).is_some_and(|bytes| self.odd(bytes, 0, &mut left))
    }
}

impl Asn1 {
    fn odd(&self, mut bytes: &[u8], depth: usize, left: &mut usize) -> bool {
        while let Some(object) = Object::read(bytes) {
            if *left == 0 || depth > MAX_DEPTH {
                return false;
            }
            *left -= 1;
            if self.oversize.is_some_and(|limit| object.length > limit) {
                return true;
            }
            if self.bit_string
                && object.tag == 3
                && object.content.first().is_some_and(|unused| *unused > 7)
            {
                return true;
            }
            // A real number as text longer than any program reserved for it.
            if self.double
                && object.tag == 9
                && object.length > 256
                && object.content.first().is_some_and(|form| form & 0xc0 == 0)
            {
                return true;
            }
            if object.constructed && self.odd(object.content, depth + 1, left) {
                return true;
            }
            bytes = object.rest;
        }
        false
    }
}

/// One object of BER, as far as it is there.
struct Object<'a> {
    tag: u8,
    constructed: bool,
    length: u64,
    content: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Object<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (&identifier, bytes) = bytes.split_first()?;
        let (&first, mut bytes) = bytes.split_first()?;
        let mut length = u64::from(first & 0x7f);
        if first & 0x80 != 0 {
            let count = usize::from(first & 0x7f);
            let (digits, rest) =
                bytes.split_at_checked(count).filter(|_| (1..=8).contains(&count))?;
            length = digits.iter().fold(0, |length, digit| length << 8 | u64::from(*digit));
            bytes = rest;
        }
        let there = usize::try_from(length).unwrap_or(usize::MAX).min(bytes.len());
        let (content, rest) = bytes.split_at(there);
        let (tag, constructed) = (identifier & 0x1f, identifier & 0x20 != 0);
        Some(Self { tag, constructed, length, content, rest })
    }
}

fn asn1(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    const EXPECTED: &str = "expected oversize_length N, bitstring_overflow, double_overflow, absolute_offset N or relative_offset N";
    let mut asn1 = Asn1::default();
    for option in value.needed(EXPECTED)?.split(',').map(str::trim) {
        match option.split_once(' ').map(|(key, number)| (key, number.trim().parse::<i64>())) {
            None if option == "bitstring_overflow" => asn1.bit_string = true,
            None if option == "double_overflow" => asn1.double = true,
            Some(("oversize_length", Ok(number))) => asn1.oversize = u64::try_from(number).ok(),
            Some(("absolute_offset" | "relative_offset", Ok(number))) => asn1.offset = number,
            _ => return Err(Complaint::new(EXPECTED)),
        }
    }
    builder.check(asn1);
    Ok(())
}

/// `ftpbounce`.
#[derive(Clone, Copy, Debug)]
struct Bounce;

impl Check for Bounce {
    fn check(&self, bytes: &[u8], cx: &mut Context<'_>) -> bool {
        let Some(std::net::IpAddr::V4(client)) = cx.key.map(|key| key.src) else { return false };
        named_host(bytes).is_some_and(|named| named != client)
    }
}

/// The host that a PORT command names.
fn named_host(bytes: &[u8]) -> Option<Ipv4Addr> {
    let at = bytes.windows(4).position(|window| window.eq_ignore_ascii_case(b"port"))?;
    let rest = bytes.get(at + 4..)?;
    let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(rest.len());
    let line = std::str::from_utf8(rest.get(..end)?).ok()?;
    let mut numbers = line.trim().split(',').map(|number| number.trim().parse::<u8>().ok());
    let mut next = || numbers.next().flatten();
    Some(Ipv4Addr::new(next()?, next()?, next()?, next()?))
}

/// `rpc`.
#[derive(Clone, Copy, Debug)]
struct Rpc {
    program: u32,
    version: Option<u32>,
    procedure: Option<u32>,
}

impl Test for Rpc {
    fn test(&self, cx: &mut Context<'_>) -> bool {
        let Some(packet) = cx.packet else { return false };
        // Over a stream the length of the record comes first.
        let is_tcp = matches!(packet.transport, flowtrack_wire::Transport::Tcp(_));
        let call = packet.payload.get(if is_tcp { 4 } else { 0 }..).unwrap_or_default();
        let word = |at: usize| {
            call.get(at..at + 4)?.first_chunk().map(|bytes: &[u8; 4]| u32::from_be_bytes(*bytes))
        };
        word(4) == Some(RPC_CALL)
            && word(12) == Some(self.program)
            && self.version.is_none_or(|version| word(16) == Some(version))
            && self.procedure.is_none_or(|procedure| word(20) == Some(procedure))
    }
}

fn rpc(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    const EXPECTED: &str = "expected program, version or *, procedure or *";
    let mut numbers = value.needed(EXPECTED)?.split(',').map(str::trim);
    let mut next = || match numbers.next() {
        None | Some("*") => Ok(None),
        Some(number) => number.parse().map(Some).map_err(|_| Complaint::new(EXPECTED)),
    };
    let program = next()?.ok_or_else(|| Complaint::new(EXPECTED))?;
    builder.packet_test(Rpc { program, version: next()?, procedure: next()? });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_objects_are_found_inside_others() {
        let mut left = MAX_OBJECTS;
        let rule = Asn1 { oversize: Some(1000), bit_string: true, ..Asn1::default() };
        assert!(!rule.odd(&[0x30, 3, 2, 1, 5], 0, &mut left));
        assert!(rule.odd(&[0x30, 6, 4, 0x82, 0x10, 0, 1, 2], 0, &mut left));
        assert!(rule.odd(&[0x30, 4, 3, 2, 9, 0], 0, &mut left));
        assert!(!rule.odd(&[0x80; 300], 0, &mut left), "no end of it");
    }

    #[test]
    fn the_host_of_a_port_command() {
        assert_eq!(named_host(b"PORT 10,0,0,1,4,5\r\n"), Some(Ipv4Addr::new(10, 0, 0, 1)));
        assert_eq!(named_host(b"port 10,0,0\r\n"), None);
        assert_eq!(named_host(b"USER a\r\n"), None);
    }
}
