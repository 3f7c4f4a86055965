//! `dataset` and `datarep`: sets of values, with a number for each where they have reputations.

use super::vars::VarId;
use ahash::AHashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// What a data set holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DatasetKind {
    /// Any bytes.
    String,
    /// MD5 sums, as 16 bytes.
    Md5,
    /// SHA-1 sums, as 20 bytes.
    Sha1,
    /// SHA-256 sums, as 32 bytes.
    Sha256,
    /// IPv4 addresses.
    Ipv4,
    /// Addresses of both versions.
    Ip,
}

impl DatasetKind {
    /// The kind of this name.
    pub fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "string" => Self::String,
            "md5" => Self::Md5,
            "sha256" => Self::Sha256,
            "ipv4" => Self::Ipv4,
            "ip" | "ipv6" => Self::Ip,
            _ => return None,
        })
    }

    /// The value that stands for a buffer's bytes; `None` where they are none of this kind.
    fn value(self, bytes: &[u8]) -> Option<Box<[u8]>> {
        let fits = match self {
            Self::String => !bytes.is_empty(),
            Self::Md5 => bytes.len() == 16,
            Self::Sha1 => bytes.len() == 20,
            Self::Sha256 => bytes.len() == 32,
            Self::Ipv4 => bytes.len() == 4,
            Self::Ip => matches!(bytes.len(), 4 | 16),
        };
        if !fits {
            return None;
        }
        // An IPv4 address and the IPv6 address that maps it are one.
        if self == Self::Ip
            && let Ok(bytes) = <[u8; 4]>::try_from(bytes)
        {
            return Some(Ipv4Addr::from(bytes).to_ipv6_mapped().octets().into());
        }
        Some(bytes.into())
    }

    /// The value that a line of a file says.
    fn parse(self, text: &str) -> Option<Box<[u8]>> {
        match self {
            Self::String => self.value(&base64(text)?),
            Self::Md5 | Self::Sha1 | Self::Sha256 => self.value(&hex(text)?),
            Self::Ipv4 => {
                let addr: Ipv4Addr = text.parse().ok()?;
                self.value(&addr.octets())
            }
            Self::Ip => match text.parse().ok()? {
                IpAddr::V4(addr) => self.value(&addr.octets()),
                IpAddr::V6(addr) => self.value(&addr.octets()),
            },
        }
    }
}

/// A data set as rules name it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DatasetSpec {
    /// Its name.
    pub name: Arc<str>,
    /// What it holds.
    pub kind: DatasetKind,
    /// The file that it is filled from, as written.
    pub load: Option<Arc<str>>,
    /// Whether that file need not be there yet (`state`).
    pub may_be_missing: bool,
    /// How that file is written.
    pub form: DatasetForm,
}

impl DatasetSpec {
    /// By what the set is found at run time.
    pub fn id(&self) -> VarId {
        VarId::of(&format!("set {}", self.name))
    }
}

/// How the file of a data set is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DatasetForm {
    /// A value a line.
    Lines,
    /// One JSON document; the values stand under `value` in the objects of the list at `array`.
    Json {
        /// Path to the list; the document itself where empty.
        array: Arc<str>,
        /// Path to the value inside an object.
        value: Arc<str>,
    },
    /// A JSON object a line.
    Ndjson {
        /// Path to the value inside an object.
        value: Arc<str>,
    },
}

/// Values a set may hold.
const CAP: usize = 4_000_000;
/// Bytes that all values of a set may take.
const MAX_BYTES: usize = 256 * 1024 * 1024;

/// What is known of a value.
#[derive(Clone, Copy, Debug)]
struct Entry {
    reputation: u16,
    /// Whether a rule added it, and no file.
    is_added: bool,
}

/// A set of values.
#[derive(Clone, Debug)]
pub struct Dataset {
    kind: DatasetKind,
    values: AHashMap<Box<[u8]>, Entry>,
    bytes: usize,
    /// Values that did not fit.
    pub dropped: u64,
    /// Lines that could not be read.
    pub bad_lines: u64,
}

impl Dataset {
    /// An empty set.
    pub fn new(kind: DatasetKind) -> Self {
        Self { kind, values: AHashMap::new(), bytes: 0, dropped: 0, bad_lines: 0 }
    }

    /// What it holds.
    pub const fn kind(&self) -> DatasetKind {
        self.kind
    }

    /// How many values it holds.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Takes in the lines of a file: a value each, with its reputation behind a comma. Strings are
    /// in base64, sums in hexadecimal digits.
    pub fn load(&mut self, text: &str) {
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (value, reputation) = match line.split_once(',') {
                Some((value, number)) => (value.trim(), number.trim().parse().ok()),
                None => (line, Some(0)),
            };
            match (self.kind.parse(value), reputation) {
                (Some(value), Some(reputation)) => {
                    self.insert(value, Entry { reputation, is_added: false });
                }
                _ => self.bad_lines += 1,
            }
        }
    }

    /// Takes in one value of a file in another form than lines, written as in a file of lines, or,
    /// for strings, as it is.
    pub fn load_value(&mut self, text: &str) {
        let value = match self.kind {
            DatasetKind::String => self.kind.value(text.as_bytes()),
            kind => kind.parse(text),
        };
        match value {
            Some(value) => {
                self.insert(value, Entry { reputation: 0, is_added: false });
            }
            None => self.bad_lines += 1,
        }
    }

    /// The reputation of a buffer's bytes, where they are in the set.
    pub fn get(&self, bytes: &[u8]) -> Option<u16> {
        let value = self.kind.value(bytes)?;
        self.values.get(&value).map(|entry| entry.reputation)
    }

    /// Adds a buffer's bytes; says whether they are new.
    pub fn add(&mut self, bytes: &[u8]) -> bool {
        let entry = Entry { reputation: 0, is_added: true };
        self.kind.value(bytes).is_some_and(|value| self.insert(value, entry))
    }

    /// Takes a buffer's bytes out; says whether they were in the set.
    pub fn remove(&mut self, bytes: &[u8]) -> bool {
        let Some(value) = self.kind.value(bytes) else { return false };
        let was_there = self.values.remove(&value).is_some();
        if was_there {
            self.bytes = self.bytes.saturating_sub(value.len());
        }
        was_there
    }

    /// Takes over what rules added to the set that this one takes the place of.
    pub fn keep_added(&mut self, before: &Self) {
        if before.kind == self.kind {
            for (value, entry) in before.values.iter().filter(|(_, entry)| entry.is_added) {
                self.insert(value.clone(), *entry);
            }
        }
    }

    fn insert(&mut self, value: Box<[u8]>, entry: Entry) -> bool {
        if self.values.contains_key(&value) {
            return false;
        }
        if self.values.len() >= CAP || self.bytes + value.len() > MAX_BYTES {
            self.dropped += 1;
            return false;
        }
        self.bytes += value.len();
        self.values.insert(value, entry);
        true
    }
}

/// Decodes base64 with or without padding; `None` where it is none.
pub(crate) fn base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut have) = (0_u32, 0_u32);
    for byte in text.bytes() {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(digit);
        have += 6;
        if have >= 8 {
            have -= 8;
            out.push((bits >> have) as u8);
        }
    }
    Some(out)
}

/// Decodes hexadecimal digits; `None` where they are none.
pub(crate) fn hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|d| d as u8);
    let (pairs, _) = text.as_bytes().as_chunks::<2>();
    pairs.iter().map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_by_kind() {
        let mut strings = Dataset::new(DatasetKind::String);
        strings.load("Zm9v\nYmFy,7\n\n!!\n");
        assert_eq!((strings.get(b"foo"), strings.get(b"bar")), (Some(0), Some(7)));
        assert_eq!((strings.len(), strings.bad_lines), (2, 1));
        let mut sums = Dataset::new(DatasetKind::Md5);
        sums.load("00112233445566778899aabbccddeeff");
        let sum: Vec<u8> = (0..16).map(|i| i * 0x11).collect();
        assert!(sums.get(&sum).is_some());
        let mut ips = Dataset::new(DatasetKind::Ip);
        ips.load("10.0.0.1\n2001:db8::1");
        assert!(ips.get(&[10, 0, 0, 1]).is_some());
    }

    #[test]
    fn a_set_that_is_read_again_keeps_what_rules_added() {
        let mut before = Dataset::new(DatasetKind::String);
        before.load("Zm9v\nYmFy,7\n");
        assert!(before.add(b"added") && !before.add(b"foo"));
        let mut after = Dataset::new(DatasetKind::String);
        after.load("YmFy,9\n");
        after.keep_added(&before);
        assert_eq!([b"foo", b"bar"].map(|value| after.get(value)), [None, Some(9)]);
        assert_eq!((after.get(b"added"), after.len()), (Some(0), 2));
    }

    #[test]
    fn values_come_and_go() {
        let mut set = Dataset::new(DatasetKind::String);
        assert!(set.add(b"a") && !set.add(b"a"));
        assert!(set.remove(b"a") && !set.remove(b"a"));
        assert!(set.is_empty() && !set.add(b""));
    }
}
