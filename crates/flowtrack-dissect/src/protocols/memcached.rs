//! Memcached, as text or binary, over TCP and UDP.

use crate::brief::{Brief, BriefReading, Messages, Step, rest_of_line};
use crate::greeting::begins_with;
use crate::{Dissector, Field, First, Malformed, Probe, Protocol, Transport, Wants};
use flowtrack_event::{AppProto, Confidence, Direction};

const NAME: AppProto = AppProto("memcached");
const PORTS: &[u16] = &[11211];
const FIELDS: &[Field] = &[
    Field::added("commands", "array", "commands used"),
    Field::added("keys", "array", "first keys"),
];
/// Bytes before the text of a datagram.
const DATAGRAM_HEADER: usize = 8;
/// Bytes of the header of a binary message.
const BINARY_HEADER: usize = 24;
const COMMANDS: &[&[u8]] = &[
    b"get ",
    b"gets ",
    b"set ",
    b"add ",
    b"replace ",
    b"append ",
    b"prepend ",
    b"cas ",
    b"delete ",
    b"incr ",
    b"decr ",
    b"touch ",
    b"stats",
    b"version",
    b"flush_all",
    b"verbosity ",
    b"gat ",
    b"quit",
];
const ANSWERS: &[&[u8]] = &[
    b"VALUE ",
    b"STAT ",
    b"STORED\r",
    b"END\r",
    b"NOT_FOUND\r",
    b"DELETED\r",
    b"ERROR\r",
    b"VERSION ",
    b"NOT_STORED\r",
    b"OK\r",
    b"EXISTS\r",
    b"TOUCHED\r",
];

/// Memcached.
pub struct Memcached;

impl Protocol for Memcached {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Both
    }

    fn ports(&self) -> &'static [u16] {
        PORTS
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        // Its words are too common for other ports.
        if !first.has_port(PORTS) {
            return Probe::No;
        }
        let bytes = if first.udp {
            first.bytes.get(DATAGRAM_HEADER..).unwrap_or_default()
        } else {
            first.bytes
        };
        let (words, magic) = match first.direction {
            Direction::ToServer => (COMMANDS, 0x80),
            Direction::ToClient => (ANSWERS, 0x81),
        };
        if bytes.first() == Some(&magic) {
            return match bytes.get(4..6) {
                Some([_, 0]) => Probe::Match(Confidence::Content),
                Some(_) => Probe::No,
                None => Probe::NeedMore,
            };
        }
        match begins_with(bytes, words) {
            Some(true) => Probe::Match(Confidence::Content),
            Some(false) if !first.udp => Probe::NeedMore,
            _ => Probe::No,
        }
    }

    fn dissector(&self, wants: Wants) -> Option<Box<dyn Dissector>> {
        BriefReading::<MemcachedMessages>::dissector(wants)
    }

    fn fields(&self) -> &'static [Field] {
        FIELDS
    }
}

#[derive(Default)]
struct MemcachedMessages {
    /// Bytes of a value that follow its command.
    value: usize,
}

impl Messages for MemcachedMessages {
    const NAME: AppProto = NAME;
    const CAP: usize = 64 * 1024;

    fn read(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        brief: &mut Brief,
    ) -> Result<Step, Malformed> {
        if direction == Direction::ToClient {
            // What is answered is not kept.
            return Ok(Step::Used(bytes.len()));
        }
        if self.value > 0 {
            let n = self.value.min(bytes.len());
            self.value -= n;
            return Ok(Step::Used(n));
        }
        match bytes.first() {
            Some(0x80) => return Ok(binary(bytes, brief)),
            // The header of a datagram: a number, which datagram of how many, and a zero.
            Some(_) if bytes.get(2..4) == Some(&[0, 0]) && bytes.get(6..8) == Some(&[0, 0]) => {
                return Ok(Step::Used(DATAGRAM_HEADER));
            }
            _ => {}
        }
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            return Ok(rest_of_line(bytes));
        };
        let line = bytes.get(..end).unwrap_or_default().trim_ascii();
        let mut words = line.split(|&b| b == b' ').filter(|word| !word.is_empty());
        let Some(command) = words.next() else { return Ok(Step::Used(end + 1)) };
        brief.list("commands", command.get(..32).unwrap_or(command));
        if let Some(key) = words.next() {
            brief.list("keys", key);
        }
        if matches!(command, b"set" | b"add" | b"replace" | b"append" | b"prepend" | b"cas") {
            let length = words.nth(2).and_then(|word| std::str::from_utf8(word).ok()?.parse().ok());
            self.value = length.map_or(0, |length: usize| length.saturating_add(2));
        }
        Ok(Step::Used(end + 1))
    }
}

fn binary(bytes: &[u8], brief: &mut Brief) -> Step {
    let Some([_, code, k0, k1, extras, _, _, _, b0, b1, b2, b3, ..]) =
        bytes.first_chunk::<BINARY_HEADER>()
    else {
        return Step::Need(BINARY_HEADER);
    };
    let total = BINARY_HEADER.saturating_add(u32::from_be_bytes([*b0, *b1, *b2, *b3]) as usize);
    if bytes.len() < total {
        return Step::Need(total);
    }
    brief.list("commands", code_name(*code).as_bytes());
    let from = BINARY_HEADER + usize::from(*extras);
    let key = bytes.get(from..from + usize::from(u16::from_be_bytes([*k0, *k1])));
    if let Some(key) = key.filter(|key| !key.is_empty()) {
        brief.list("keys", key);
    }
    Step::Used(total)
}

const fn code_name(code: u8) -> &'static str {
    match code {
        0x00 | 0x09 | 0x0c | 0x0d => "get",
        0x01 | 0x11 => "set",
        0x02 | 0x12 => "add",
        0x03 | 0x13 => "replace",
        0x04 | 0x14 => "delete",
        0x05 | 0x15 => "incr",
        0x06 | 0x16 => "decr",
        0x07 | 0x17 => "quit",
        0x08 | 0x18 => "flush",
        0x0a => "noop",
        0x0b => "version",
        0x0e | 0x19 => "append",
        0x0f | 0x1a => "prepend",
        0x10 => "stat",
        0x1c => "touch",
        0x20..=0x22 => "sasl",
        _ => "other",
    }
}
