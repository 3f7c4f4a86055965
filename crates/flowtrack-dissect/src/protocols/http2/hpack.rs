//! Header compression (RFC 7541): blocks in, fields out, with limits.
//!
//! What is kept of a block is capped, yet all of it is read, so that the table stays the same as
//! that of the sender. Work is linear in the bytes of a block: a reference to a long field costs
//! nothing once the cap is reached.

use super::huffman;
use crate::Reader;
use std::borrow::Cow;
use std::collections::VecDeque;

/// Bytes that the fields of one direction of a stream may have.
const LIST_CAP: usize = 64 * 1024;
/// Fields that one direction of a stream may have.
const FIELDS_CAP: usize = 1024;
/// Size of a table that nobody changed.
const TABLE_USUAL: usize = 4096;
/// Largest table followed.
const TABLE_CAP: usize = 64 * 1024;
/// What an entry counts beside its bytes.
const ENTRY: usize = 32;

/// What was wrong with a block, by the names of anomalies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Bad(pub(super) &'static str);

const INVALID: Bad = Bad("invalid_header");
const OVERFLOW: Bad = Bad("header_integer_overflow");
/// The block ends inside a field.
const CUT: Bad = Bad("extra_header_data");

/// Fields in their order.
#[derive(Clone, Default, Debug)]
pub(super) struct List {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// Whether fields were left out.
    pub(super) is_cut: bool,
}

/// What stands in a block.
#[derive(Clone, Copy, Debug)]
enum Entry {
    /// A field: where its name and its value end.
    Field { at: usize, name_end: usize, end: usize },
    /// The sender changed the size of its table.
    SizeUpdate(u32),
}

/// What stands in a block, for a reader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Item<'a> {
    /// Name and value.
    Field(&'a [u8], &'a [u8]),
    /// The sender changed the size of its table.
    SizeUpdate(u32),
}

impl List {
    /// Adds a field, where there is room.
    pub(super) fn push(&mut self, name: &[u8], value: &[u8]) {
        let weight = name.len() + value.len();
        if self.bytes.len() + weight > LIST_CAP || self.entries.len() >= FIELDS_CAP {
            self.is_cut = true;
            return;
        }
        let at = self.bytes.len();
        self.bytes.extend_from_slice(name);
        let name_end = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.entries.push(Entry::Field { at, name_end, end: self.bytes.len() });
    }

    /// How many entries it has.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes it keeps alive.
    pub(super) fn weight(&self) -> usize {
        self.bytes.len() + self.entries.len() * size_of::<Entry>()
    }

    /// All entries from the `from`th on.
    pub(super) fn items(&self, from: usize) -> impl Iterator<Item = Item<'_>> {
        self.entries.get(from..).unwrap_or_default().iter().map(|entry| match *entry {
            Entry::SizeUpdate(size) => Item::SizeUpdate(size),
            Entry::Field { at, name_end, end } => Item::Field(
                self.bytes.get(at..name_end).unwrap_or_default(),
                self.bytes.get(name_end..end).unwrap_or_default(),
            ),
        })
    }

    /// All fields from the `from`th entry on.
    pub(super) fn fields(&self, from: usize) -> impl Iterator<Item = NameAndValue<'_>> {
        self.items(from).filter_map(|item| match item {
            Item::Field(name, value) => Some((name, value)),
            Item::SizeUpdate(_) => None,
        })
    }
}

type NameAndValue<'a> = (&'a [u8], &'a [u8]);

/// A field of the table.
#[derive(Debug)]
struct Known {
    /// Empty where it was not seen.
    name: Cow<'static, [u8]>,
    value: Vec<u8>,
}

impl Known {
    fn size(&self) -> usize {
        ENTRY + self.name.len() + self.value.len()
    }
}

/// Undoes the compression of one direction.
#[derive(Debug)]
pub(super) struct Decoder {
    /// Newest first.
    table: VecDeque<Known>,
    size: usize,
    limit: usize,
    /// Whether there are entries that were never seen.
    partial: bool,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { table: VecDeque::new(), size: 0, limit: TABLE_USUAL, partial: false }
    }
}

impl Decoder {
    /// A block was missed: what the table holds is not known any more.
    pub(super) fn lose(&mut self) {
        self.table.clear();
        self.size = 0;
        self.partial = true;
    }

    /// Reads a whole block; what comes before an error is in `list`.
    pub(super) fn decode(&mut self, block: &[u8], list: &mut List) -> Result<(), Bad> {
        let read = self.read(block, list);
        if read.is_err() {
            self.lose();
        }
        read
    }

    fn read(&mut self, block: &[u8], list: &mut List) -> Result<(), Bad> {
        let mut r = Reader::new(block);
        while let Some(&first) = r.rest().first() {
            // The bits at the top of the first byte say what it is (RFC 7541 section 6).
            if first & 0x80 != 0 {
                let index = integer(&mut r, 7)?;
                if index == 0 {
                    return Err(INVALID);
                }
                if let Some((name, value)) = self.entry(index)?
                    && !name.is_empty()
                {
                    list.push(name, value);
                }
            } else if first & 0xe0 == 0x20 {
                let size = integer(&mut r, 5)?;
                if list.entries.len() < FIELDS_CAP {
                    list.entries.push(Entry::SizeUpdate(size));
                }
                let size = size as usize;
                if size > TABLE_CAP {
                    self.partial = true;
                }
                self.limit = size.min(TABLE_CAP);
                self.shrink(self.limit);
            } else {
                let (bits, is_kept) = if first & 0x40 != 0 { (6, true) } else { (4, false) };
                let index = integer(&mut r, bits)?;
                let name = match index {
                    0 => Cow::Owned(string(&mut r)?),
                    index => self.name(index)?,
                };
                let value = string(&mut r)?;
                if !name.is_empty() {
                    list.push(&name, &value);
                }
                if is_kept {
                    self.insert(Known { name, value });
                }
            }
        }
        Ok(())
    }

    /// A field by its index; `None` where it is one that was not seen.
    fn entry(&self, index: u32) -> Result<Option<NameAndValue<'_>>, Bad> {
        let index = index as usize;
        if let Some(&(name, value)) = STATIC.get(index.wrapping_sub(1)) {
            return Ok(Some((name.as_bytes(), value.as_bytes())));
        }
        match self.table.get(index.wrapping_sub(STATIC.len() + 1)) {
            Some(known) => Ok(Some((&known.name, &known.value))),
            None if self.partial => Ok(None),
            None => Err(INVALID),
        }
    }

    /// The name of a field by its index; empty where it was not seen.
    fn name(&self, index: u32) -> Result<Cow<'static, [u8]>, Bad> {
        if let Some(&(name, _)) = STATIC.get((index as usize).wrapping_sub(1)) {
            return Ok(Cow::Borrowed(name.as_bytes()));
        }
        let entry = self.entry(index)?;
        Ok(Cow::Owned(entry.map_or_else(Vec::new, |(name, _)| name.to_vec())))
    }

    fn insert(&mut self, known: Known) {
        let size = known.size();
        if size > self.limit {
            // A field larger than the table empties it (RFC 7541 section 4.4).
            self.shrink(0);
            return;
        }
        self.shrink(self.limit - size);
        self.size += size;
        self.table.push_front(known);
    }

    /// Drops the oldest entries until no more than `size` is taken.
    fn shrink(&mut self, size: usize) {
        while self.size > size {
            let Some(oldest) = self.table.pop_back() else { break };
            self.size = self.size.saturating_sub(oldest.size());
        }
    }
}

/// An integer whose first bits are those at the end of the next byte (RFC 7541 section 5.1).
fn integer(r: &mut Reader<'_>, bits: u32) -> Result<u32, Bad> {
    let mask = (1_u32 << bits) - 1;
    let first = u32::from(r.u8().ok_or(CUT)?) & mask;
    if first < mask {
        return Ok(first);
    }
    let mut value = u64::from(first);
    for shift in (0..).step_by(7) {
        let byte = r.u8().ok_or(CUT)?;
        if shift > 28 {
            return Err(OVERFLOW);
        }
        value += u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    u32::try_from(value).map_err(|_| OVERFLOW)
}

/// A string, perhaps in Huffman code (RFC 7541 section 5.2).
fn string(r: &mut Reader<'_>) -> Result<Vec<u8>, Bad> {
    let is_huffman = r.rest().first().is_some_and(|b| b & 0x80 != 0);
    let length = integer(r, 7)?;
    let bytes = r.take(length as usize).ok_or(CUT)?;
    if !is_huffman {
        return Ok(bytes.to_vec());
    }
    let mut text = Vec::with_capacity(bytes.len() * 8 / 5);
    huffman::decode(bytes, &mut text).ok_or(INVALID)?;
    Ok(text)
}

/// The fields that every table begins with (RFC 7541 appendix A).
const STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

#[cfg(test)]
mod tests;
