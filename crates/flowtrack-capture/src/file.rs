//! Capture files: pcap and pcapng, plain or packed, from disk or from standard input.
//!
//! What a file is, its content tells, never its name. Every packet before damage is delivered,
//! then [`SourceError::Broken`] says where the damage is.
//!
//! Files are read, not mapped: a mapped file that another program shortens kills the process. One
//! buffer that stays in the second-level cache makes reading about as cheap as mapping.

mod pcap;
pub(crate) mod pcapng;
mod raw;
pub(crate) mod step;
#[cfg(test)]
mod tests;
mod unpack;
mod window;

use crate::batch::{Batch, Handler};
use crate::{Burst, Interface, PacketSource, SourceError};
use flowtrack_event::CaptureStats;
use pcap::Pcap;
use pcapng::Pcapng;
use raw::Raw;
use std::io;
use std::path::Path;
use std::time::Duration;
use step::{Broken, Records, Step};
use window::{Filled, Window};

/// Bytes of a block, or of a packet where the file announces such, that are believed.
const MAX_BLOCK: u32 = 64 * 1024 * 1024;

/// How a file is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileOptions {
    /// Size of the read buffer. Larger than the second-level cache makes reading slower.
    pub buffer_bytes: usize,
}

impl Default for FileOptions {
    fn default() -> Self {
        Self { buffer_bytes: 512 * 1024 }
    }
}

/// The packets of a capture file.
///
/// A pipe may have nothing to read for a while, and only then it says [`Burst::Idle`].
pub struct FileSource {
    name: String,
    window: Window,
    format: Format,
    packets: u64,
    /// Found behind the packets of the last burst.
    damage: Option<SourceError>,
    over: bool,
}

enum Format {
    /// Not yet known.
    Unknown,
    Pcap(Pcap),
    Pcapng(Pcapng),
}

/// Where collecting a burst stopped.
enum Stop {
    /// The burst is full.
    Full,
    /// What follows has so many bytes at least.
    Need(usize),
    Broken(Broken),
}

impl FileSource {
    /// Opens the file at `path`, or standard input where that is `-`.
    ///
    /// # Errors
    /// Where the file cannot be opened, or is no capture. What a pipe carries is looked at with the
    /// first burst.
    pub fn open(path: impl AsRef<Path>, options: FileOptions) -> Result<Self, SourceError> {
        let path = path.as_ref();
        let (name, raw) = match path.to_str() {
            Some("-") => ("standard input".to_owned(), Raw::standard_input()),
            _ => (path.display().to_string(), Raw::open(path)),
        };
        let raw = raw.map_err(|source| SourceError::System {
            what: format!("cannot open {name}"),
            source,
        })?;
        let mut source = Self {
            name,
            window: Window::new(raw, options.buffer_bytes.max(4096)),
            format: Format::Unknown,
            packets: 0,
            damage: None,
            over: false,
        };
        if !source.window.is_pipe() {
            source.recognise(Duration::ZERO)?;
        }
        Ok(source)
    }

    /// Reads the beginning of the file; answers whether enough of it was there.
    fn recognise(&mut self, wait: Duration) -> Result<bool, SourceError> {
        let filled = loop {
            let filled = self.fill(4, wait)?;
            if filled == Filled::NotYet {
                return Ok(false);
            }
            if !self.window.unpack() {
                break filled;
            }
        };
        let Some(&magic) =
            self.window.bytes().first_chunk::<4>().filter(|_| filled == Filled::Enough)
        else {
            return Err(self.broken(Broken::new(self.window.bytes().len(), self.too_short())));
        };
        if magic == Pcapng::MAGIC {
            self.format = Format::Pcapng(Pcapng::new());
            return Ok(true);
        }
        if !Pcap::recognises(magic) {
            return Err(self.broken(Broken::new(0, no_capture(self.window.bytes()))));
        }
        match self.fill(Pcap::HEADER, wait)? {
            Filled::NotYet => return Ok(false),
            Filled::Enough | Filled::End => {}
        }
        let Some(header) = self.window.bytes().first_chunk() else {
            let at = self.window.bytes().len();
            return Err(self.broken(Broken::new(at, "the file ends inside its header")));
        };
        let pcap = Pcap::parse(header).map_err(|broken| self.broken(broken))?;
        self.window.consume(Pcap::HEADER);
        self.format = Format::Pcap(pcap);
        Ok(true)
    }

    /// Words for a file without even a magic number.
    fn too_short(&self) -> &'static str {
        match self.window.bytes().len() {
            0 => "the file is empty, not even a header is there",
            _ => "not a capture, only a few bytes long",
        }
    }

    /// The next burst, or what stands in its place.
    fn burst(&mut self, wait: Duration, f: &mut Handler<'_>) -> Result<Burst, SourceError> {
        if matches!(self.format, Format::Unknown) && !self.recognise(wait)? {
            return Ok(Burst::Idle);
        }
        loop {
            let mut batch = Batch::new();
            let bytes = self.window.bytes();
            let (used, stop) = match &mut self.format {
                Format::Pcap(pcap) => collect(pcap, bytes, self.packets, &mut batch),
                Format::Pcapng(pcapng) => collect(pcapng, bytes, self.packets, &mut batch),
                Format::Unknown => (0, Stop::Need(4)),
            };
            let count = batch.len();
            batch.deliver(f);
            self.packets += count as u64;
            self.window.consume(used);
            match stop {
                Stop::Broken(broken) => {
                    let error = self.broken(broken);
                    if count == 0 {
                        return Err(error);
                    }
                    self.damage = Some(error);
                    return Ok(Burst::Packets(count));
                }
                Stop::Full => return Ok(Burst::Packets(count)),
                Stop::Need(_) if count > 0 => return Ok(Burst::Packets(count)),
                Stop::Need(need) => match self.fill(need, wait)? {
                    Filled::Enough => {}
                    Filled::NotYet => return Ok(Burst::Idle),
                    Filled::End => return self.end(need),
                },
            }
        }
    }

    /// The end of the input: a good one only between two packets.
    fn end(&self, need: usize) -> Result<Burst, SourceError> {
        let there = self.window.bytes().len();
        if there == 0 {
            return Ok(Burst::End);
        }
        let what = match &self.format {
            Format::Pcapng(_) => "block",
            Format::Pcap(_) | Format::Unknown => "packet",
        };
        Err(self.broken(Broken::new(
            there,
            format!(
                "the file is cut off: {there} bytes of a {what} that has {need} at least, behind {} \
                 packets",
                self.packets
            ),
        )))
    }

    fn fill(&mut self, need: usize, wait: Duration) -> Result<Filled, SourceError> {
        self.window.fill(need, wait).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => {
                self.broken(Broken::new(self.window.bytes().len(), error.to_string()))
            }
            _ => SourceError::System { what: format!("cannot read {}", self.name), source: error },
        })
    }

    /// Damage counted from the beginning of the window.
    fn broken(&self, broken: Broken) -> SourceError {
        SourceError::Broken {
            file: self.name.clone(),
            offset: self.window.offset() + broken.at as u64,
            what: broken.what,
        }
    }
}

impl PacketSource for FileSource {
    fn next_burst(&mut self, wait: Duration, f: &mut Handler<'_>) -> Result<Burst, SourceError> {
        if self.over {
            return Ok(Burst::End);
        }
        let burst = match self.damage.take() {
            Some(damage) => Err(damage),
            None => self.burst(wait, f),
        };
        self.over = matches!(burst, Ok(Burst::End) | Err(_));
        burst
    }

    fn interfaces(&self) -> &[Interface] {
        match &self.format {
            Format::Unknown => &[],
            Format::Pcap(pcap) => pcap.interfaces(),
            Format::Pcapng(pcapng) => pcapng.interfaces(),
        }
    }

    fn stats(&mut self) -> CaptureStats {
        CaptureStats { kernel_packets: self.packets, ..CaptureStats::default() }
    }

    fn progress(&self) -> (u64, Option<u64>) {
        self.window.progress()
    }
}

/// Puts packets from `bytes` into `batch` as long as there are some and there is room; answers
/// with the bytes used.
fn collect<'a>(
    records: &mut impl Records,
    bytes: &'a [u8],
    packets_before: u64,
    batch: &mut Batch<'a>,
) -> (usize, Stop) {
    let mut at = 0;
    while !batch.is_full() {
        match records.next(&bytes[at..]) {
            Step::Packet { used, mut packet } => {
                at += used;
                packet.number = packets_before + batch.len() as u64 + 1;
                batch.push(packet);
            }
            Step::Skip(used) => at += used,
            Step::Need(need) => return (at, Stop::Need(need)),
            Step::Broken(broken) => return (at, Stop::Broken(*broken)),
        }
    }
    (at, Stop::Full)
}

/// Why a file that begins so is no capture, and what to do about the usual other ones.
fn no_capture(begin: &[u8]) -> String {
    let hint = match begin {
        [b'B', b'Z', b'h', ..] => "packed with bzip2, unpack it first",
        [0xFD, b'7', b'z', b'X', b'Z', ..] => "packed with xz, unpack it first",
        [0x04, 0x22, 0x4D, 0x18, ..] => "packed with lz4, unpack it first",
        [b'P', b'K', 3, 4, ..] => "a zip archive, unpack it first",
        [0x1F, 0x8B, ..] | [0x28, 0xB5, 0x2F, 0xFD, ..] => "packed twice, unpack it once",
        [b's', b'n', b'o', b'o', ..] => "a snoop capture, convert it with editcap",
        [b'<' | b'{' | b'[', ..] => "text",
        _ => "neither pcap nor pcapng, plain or packed with gzip or zstd",
    };
    let bytes: Vec<_> = begin.iter().take(4).map(|b| format!("{b:02x}")).collect();
    format!("not a capture, begins with {}: {hint}", bytes.join(" "))
}
