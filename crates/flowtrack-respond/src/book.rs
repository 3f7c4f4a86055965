//! The book of blocks: what is in force, what was, and who came back.
//!
//! It is a file, so that a program that was killed, and the command line without a program, know
//! what the firewall holds. Writing replaces it whole; a file that cannot be read is set aside.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use flowtrack_event::Timestamp;
use serde::{Deserialize, Serialize};

use crate::decision::Decision;
use crate::net::{Net, What};

/// A block in force.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Block {
    /// What is blocked.
    pub what: What,
    /// Who wanted it: `admin`, or the name of a detector or rule.
    pub who: String,
    /// Why, in words.
    pub why: String,
    /// Whether no person was asked.
    pub automatic: bool,
    /// Since when, in microseconds since the epoch.
    pub since_us: i64,
    /// Until when; while it is to be confirmed, until when that may be done.
    pub until_us: i64,
    /// Until when it lasts once it is confirmed; none where nothing is to be confirmed.
    #[serde(default)]
    pub confirmed_until_us: Option<i64>,
    /// Packets that it stopped, as read last.
    pub packets: u64,
    /// Bytes of these packets.
    pub bytes: u64,
    /// Packets and bytes that it had stopped when the firewall began to count anew.
    #[serde(default)]
    pub(crate) before: [u64; 2],
}

impl Block {
    /// What is decided, wanted by a person, from now on.
    pub(crate) fn new(decision: Decision, who: String, why: String, now: Timestamp) -> Self {
        Self {
            what: decision.what(),
            who,
            why,
            automatic: false,
            since_us: now.micros(),
            until_us: decision.until().micros(),
            confirmed_until_us: None,
            packets: 0,
            bytes: 0,
            before: [0, 0],
        }
    }

    /// Until when.
    pub const fn until(&self) -> Timestamp {
        Timestamp::from_micros(self.until_us)
    }

    /// Whether a person has to confirm it.
    pub const fn is_to_be_confirmed(&self) -> bool {
        self.confirmed_until_us.is_some()
    }

    /// Takes over what the firewall counted since it counts; whether that is more than before.
    pub(crate) fn count(&mut self, packets: u64, bytes: u64) -> bool {
        let [packets_before, bytes_before] = self.before;
        let known = (self.packets, self.bytes);
        self.packets = packets_before.saturating_add(packets);
        self.bytes = bytes_before.saturating_add(bytes);
        (self.packets, self.bytes) != known
    }

    /// Notes that the firewall begins to count anew.
    pub(crate) fn recount(&mut self) {
        self.before = [self.packets, self.bytes];
    }
}

/// A block that has ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PastBlock {
    /// As it was.
    #[serde(flatten)]
    pub block: Block,
    /// When it ended, in microseconds since the epoch.
    pub ended_us: i64,
    /// Why it ended, in words.
    pub end: String,
}

/// How often an address was blocked automatically.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Offender {
    times: u32,
    last_us: i64,
}

/// What is in force, what was, and who came back.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub(crate) struct Book {
    version: u32,
    pub blocks: Vec<Block>,
    pub past: VecDeque<PastBlock>,
    offenders: HashMap<IpAddr, Offender>,
}

impl Book {
    /// Reads the book; an empty one where there is none, or where it was set aside.
    pub fn read(path: &Path) -> std::io::Result<Self> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => return Err(e),
        };
        match serde_json::from_slice::<Self>(&text) {
            Ok(book) if book.version <= VERSION => Ok(book),
            _ => {
                let aside = beside(path, ".broken");
                std::fs::rename(path, &aside)?;
                tracing::warn!(book = %path.display(), moved_to = %aside.display(),
                    "the book of blocks cannot be read and was moved aside");
                Ok(Self::default())
            }
        }
    }

    /// Writes the book: whole, or not at all.
    pub fn write(&mut self, path: &Path) -> std::io::Result<()> {
        self.version = VERSION;
        let new = beside(path, ".new");
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_data()?;
        std::fs::rename(&new, path)
    }

    pub fn find(&self, what: What) -> Option<&Block> {
        self.blocks.iter().find(|block| block.what == what)
    }

    pub fn find_mut(&mut self, what: What) -> Option<&mut Block> {
        self.blocks.iter_mut().find(|block| block.what == what)
    }

    /// The block that an address falls under.
    pub fn covers(&self, net: Net) -> Option<&Block> {
        self.blocks.iter().find(|block| matches!(block.what, What::Net(other) if other.covers(net)))
    }

    /// Takes a block out and keeps it among the past ones.
    pub fn end(&mut self, what: What, end: &str, now: Timestamp) -> Option<Block> {
        let at = self.blocks.iter().position(|block| block.what == what)?;
        let block = self.blocks.swap_remove(at);
        self.past.push_back(PastBlock {
            block: block.clone(),
            ended_us: now.micros(),
            end: end.to_owned(),
        });
        while self.past.len() > MAX_PAST {
            self.past.pop_front();
        }
        Some(block)
    }

    /// How often an address was blocked before, as far as that is remembered.
    pub fn times(&self, address: IpAddr, now: Timestamp, memory_secs: u64) -> u32 {
        let since = now.micros().saturating_sub(micros(memory_secs));
        self.offenders.get(&address).filter(|o| o.last_us >= since).map_or(0, |o| o.times)
    }

    /// Notes that an address is blocked once more, until then.
    pub fn note_offender(
        &mut self,
        address: IpAddr,
        now: Timestamp,
        until: Timestamp,
        memory_secs: u64,
    ) {
        let times = self.times(address, now, memory_secs).saturating_add(1);
        if self.offenders.len() >= MAX_OFFENDERS && !self.offenders.contains_key(&address) {
            let oldest = self.offenders.iter().min_by_key(|(_, o)| o.last_us).map(|(a, _)| *a);
            oldest.and_then(|oldest| self.offenders.remove(&oldest));
        }
        self.offenders.insert(address, Offender { times, last_us: until.micros() });
    }
}

fn micros(secs: u64) -> i64 {
    i64::try_from(secs.saturating_mul(1_000_000)).unwrap_or(i64::MAX)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

const VERSION: u32 = 1;
/// Blocks that are remembered after their end.
const MAX_PAST: usize = 1_000;
/// Addresses that are remembered as having been blocked.
const MAX_OFFENDERS: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn block(what: &str) -> Block {
        Block {
            what: what.parse().unwrap(),
            who: "admin".into(),
            why: "because".into(),
            automatic: false,
            since_us: 1,
            until_us: 2,
            confirmed_until_us: Some(3),
            packets: 4,
            bytes: 5,
            before: [0, 0],
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("blocks.json");
        let mut book = Book::read(&path).unwrap();
        book.blocks = vec![block("192.0.2.1"), block("2001:db8::/64"), block("udp/53")];
        book.note_offender("192.0.2.1".parse().unwrap(), Timestamp::ZERO, Timestamp::ZERO, 9);
        book.end("udp/53".parse().unwrap(), "over", Timestamp::from_secs(1)).unwrap();
        book.write(&path).unwrap();
        assert_eq!(Book::read(&path).unwrap(), book);
    }

    #[test]
    fn a_broken_book_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("blocks.json");
        std::fs::write(&path, "{").unwrap();
        assert_eq!(Book::read(&path).unwrap(), Book::default());
        assert!(folder.path().join("blocks.json.broken").exists());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut book = Book::default();
        for n in 0..MAX_OFFENDERS as u32 + 5 {
            let at = Timestamp::from_secs(i64::from(n));
            book.note_offender(IpAddr::from(n.to_be_bytes()), at, at, u64::MAX);
            book.blocks.push(block("192.0.2.1"));
            book.end("192.0.2.1".parse().unwrap(), "over", at).unwrap();
        }
        assert_eq!((book.offenders.len(), book.past.len()), (MAX_OFFENDERS, MAX_PAST));
    }
}
