//! The index beside a segment.
//!
//! ```text
//! header   "FTIX" 1 0 0 0, time of the earliest packet, time of the latest (8 bytes each)
//! then, in the order of the segment, any of
//! 1  key     family and fragment flag, protocol, two ports, two addresses of 4 or 16 bytes
//! 2  packet  time (8), offset (4), length of its block (4), number of its key (4)
//! 3  block   offset (4), length (4) of blocks that are no packets
//! ```
//! All numbers are little-endian; keys count from 0. A packet stands there once for each of its
//! keys, or once with no key. The file only grows, but for the two times in the header, so a crash
//! costs its end at most.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::IpAddr;
use std::path::Path;

use ahash::AHashMap;
use flowtrack_event::{RawPacket, Timestamp};

use super::key::{Key, keys_of};
use crate::file::pcapng::Pcapng;
use crate::file::step::{Records, Step};

/// What an index knows of one packet, by one of its keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    pub ts: Timestamp,
    pub place: Place,
    /// Number of its key; none for a packet without addresses.
    pub key: Option<u32>,
}

/// Where a block is in its segment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    pub offset: u32,
    pub len: u32,
}

impl Place {
    pub fn end(self) -> u32 {
        self.offset.saturating_add(self.len)
    }
}

/// The index of one segment in memory.
#[derive(Default, Debug)]
pub struct Index {
    pub keys: Vec<Key>,
    pub entries: Vec<Entry>,
    /// Blocks that are no packets, needed to understand the packets.
    pub blocks: Vec<Place>,
}

impl Index {
    /// Reads the index file at `path` as far as it is whole; empty where there is none.
    pub fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap_or_default();
        let mut index = Self::default();
        let Some(mut rest) = bytes.strip_prefix(&MAGIC).and_then(|rest| rest.get(16..)) else {
            return index;
        };
        while let Some(after) = index.read_one(rest) {
            rest = after;
        }
        index
    }

    /// Adds what `bytes` begin with; answers what follows, or none where they are no whole record.
    fn read_one<'b>(&mut self, bytes: &'b [u8]) -> Option<&'b [u8]> {
        let (tag, mut rest) = bytes.split_first()?;
        match *tag {
            TAG_KEY => self.keys.push(read_key(&mut rest)?),
            TAG_PACKET => {
                let ts = Timestamp::from_nanos(i64::from_le_bytes(*take(&mut rest)?));
                let place = Place { offset: number(&mut rest)?, len: number(&mut rest)? };
                let key = Some(number(&mut rest)?).filter(|&key| (key as usize) < self.keys.len());
                self.entries.push(Entry { ts, place, key });
            }
            TAG_BLOCK => {
                self.blocks.push(Place { offset: number(&mut rest)?, len: number(&mut rest)? });
            }
            _ => return None,
        }
        Some(rest)
    }

    /// Where in the segment the part begins that this index does not know.
    pub fn end(&self) -> u32 {
        let packets = self.entries.last().map_or(0, |entry| entry.place.end());
        let blocks = self.blocks.last().map_or(0, |place| place.end());
        packets.max(blocks)
    }
}

/// Earliest and latest packet by the header of an index file; none where it has no header.
pub fn read_span(path: &Path) -> Option<(Timestamp, Timestamp)> {
    let mut head = [0; 24];
    File::open(path).ok()?.read_exact(&mut head).ok()?;
    let mut rest = head.strip_prefix(&MAGIC)?;
    let first = i64::from_le_bytes(*take(&mut rest)?);
    let last = i64::from_le_bytes(*take(&mut rest)?);
    Some((Timestamp::from_nanos(first), Timestamp::from_nanos(last)))
}

/// Makes an index, packet by packet.
#[derive(Default)]
pub struct IndexBuilder {
    /// With a quick hash, which is seeded: half of the thread's own work is to look up keys.
    numbers: AHashMap<Key, u32>,
    records: Vec<u8>,
    span: Option<(Timestamp, Timestamp)>,
}

impl IndexBuilder {
    /// Adds a packet whose block is at `place`.
    pub fn packet(&mut self, packet: &RawPacket<'_>, place: Place) {
        let (first, last) = self.span.unwrap_or((packet.ts, packet.ts));
        self.span = Some((first.min(packet.ts), last.max(packet.ts)));
        let mut none = true;
        keys_of(packet, |key| {
            none = false;
            let next = self.numbers.len() as u32;
            let number = *self.numbers.entry(key).or_insert_with(|| {
                write_key(&mut self.records, &key);
                next
            });
            write_packet(&mut self.records, packet.ts, place, number);
        });
        if none {
            write_packet(&mut self.records, packet.ts, place, NO_KEY);
        }
    }

    /// Adds a block that is no packet.
    pub fn block(&mut self, place: Place) {
        self.records.push(TAG_BLOCK);
        self.records.extend(place.offset.to_le_bytes());
        self.records.extend(place.len.to_le_bytes());
    }

    /// Different keys so far.
    pub fn keys(&self) -> usize {
        self.numbers.len()
    }

    /// Bytes that the next [`IndexBuilder::append`] will add.
    pub fn pending(&self) -> usize {
        self.records.len()
    }

    /// Writes what came since the last call behind what is in `file`, of which `len` bytes are
    /// good; answers how many are now.
    pub fn append(&mut self, file: &mut File, len: u64) -> io::Result<u64> {
        let (first, last) = self.span.unwrap_or_default();
        let times = [first.nanos().to_le_bytes(), last.nanos().to_le_bytes()];
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&MAGIC)?;
        file.write_all(times.as_flattened())?;
        let len = len.max(HEADER);
        file.seek(SeekFrom::Start(len))?;
        file.write_all(&self.records)?;
        let len = len + self.records.len() as u64;
        self.records.clear();
        Ok(len)
    }
}

/// Adds to `index` what `segment` has from `index.end()` on: what was written after the index, or
/// lost from it. Stops at the first block that is not whole.
pub fn complete(index: &mut Index, segment: &mut File, parser: &mut Pcapng) -> io::Result<()> {
    let mut builder = IndexBuilder::default();
    for (number, &key) in index.keys.iter().enumerate() {
        builder.numbers.insert(key, number as u32);
    }
    let mut offset = index.end();
    segment.seek(SeekFrom::Start(u64::from(offset)))?;
    let mut bytes = Vec::new();
    // A segment is bounded, and so is what is read of it at once.
    while Read::take(&*segment, CHUNK).read_to_end(&mut bytes)? > 0 {
        let mut used = 0;
        loop {
            let (len, packet) = match parser.next(&bytes[used..]) {
                Step::Packet { used, packet } => (used, Some(packet)),
                Step::Skip(used) => (used, None),
                Step::Need(_) => break,
                // Torn by a crash: nothing behind it can be trusted.
                Step::Broken(_) => {
                    index.absorb(&builder.records);
                    return Ok(());
                }
            };
            let place = Place { offset, len: len as u32 };
            match packet {
                Some(packet) => builder.packet(&packet, place),
                None => builder.block(place),
            }
            used += len;
            offset = place.end();
        }
        bytes.drain(..used);
    }
    index.absorb(&builder.records);
    Ok(())
}

impl Index {
    fn absorb(&mut self, mut records: &[u8]) {
        while let Some(rest) = self.read_one(records) {
            records = rest;
        }
    }
}

fn write_packet(records: &mut Vec<u8>, ts: Timestamp, place: Place, key: u32) {
    records.push(TAG_PACKET);
    records.extend(ts.nanos().to_le_bytes());
    for number in [place.offset, place.len, key] {
        records.extend(number.to_le_bytes());
    }
}

fn write_key(records: &mut Vec<u8>, key: &Key) {
    let [(low, low_port), (high, high_port)] = key.ends;
    let flags = u8::from(low.is_ipv6()) | u8::from(key.fragment) << 1;
    records.extend([TAG_KEY, flags, key.proto]);
    records.extend(low_port.to_le_bytes());
    records.extend(high_port.to_le_bytes());
    for address in [low, high] {
        match address {
            IpAddr::V4(address) => records.extend(address.octets()),
            IpAddr::V6(address) => records.extend(address.octets()),
        }
    }
}

fn read_key(bytes: &mut &[u8]) -> Option<Key> {
    let [flags, proto] = *take(bytes)?;
    let low_port = u16::from_le_bytes(*take(bytes)?);
    let high_port = u16::from_le_bytes(*take(bytes)?);
    let mut address = || {
        Some(match flags & 1 {
            0 => IpAddr::from(*take::<4>(bytes)?),
            _ => IpAddr::from(*take::<16>(bytes)?),
        })
    };
    let ends = [(address()?, low_port), (address()?, high_port)];
    Some(Key { ends, proto, fragment: flags & 2 != 0 })
}

fn number(bytes: &mut &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(*take(bytes)?))
}

/// The next `N` bytes.
fn take<'b, const N: usize>(bytes: &mut &'b [u8]) -> Option<&'b [u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(first)
}

const MAGIC: [u8; 8] = *b"FTIX\x01\0\0\0";
/// Magic and two times.
const HEADER: u64 = 24;

const TAG_KEY: u8 = 1;
const TAG_PACKET: u8 = 2;
const TAG_BLOCK: u8 = 3;

/// Stands for the key of a packet that has none.
const NO_KEY: u32 = u32::MAX;

/// Read of a segment at once when its index is made anew.
const CHUNK: u64 = 4 << 20;
