//! Segments: pairs of a pcapng file and its index.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use flowtrack_event::{RawPacket, Timestamp};

use super::index::{IndexBuilder, Place};
use crate::{Comments, Interface, PacketWriter, PcapngWriter, WriteError};

/// A segment that is being written.
pub struct Segment {
    paths: Paths,
    /// The file once more, to cut it when writing into it failed.
    file: File,
    writer: PcapngWriter<File>,
    index: File,
    builder: IndexBuilder,
    /// Bytes of file and index that are whole and written.
    good: (u64, u64),
    /// Packets that are not yet written, and their bytes.
    pending: Volume,
    opened: Instant,
}

/// So many packets.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Volume {
    pub packets: u64,
    pub bytes: u64,
}

/// Where a segment and its index are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Paths {
    pub segment: PathBuf,
    pub index: PathBuf,
}

impl Segment {
    /// Begins a segment whose first packet is of `start`.
    pub fn create(dir: &Path, start: Timestamp, interfaces: &[Interface]) -> io::Result<Self> {
        let (paths, file) = Paths::create(dir, start)?;
        let index = File::create(&paths.index)?;
        let comments = Comments {
            application: concat!("FlowTrack ", env!("CARGO_PKG_VERSION")).to_owned(),
            ..Comments::default()
        };
        let mut writer = PcapngWriter::new(file.try_clone()?, comments);
        writer.declare(interfaces);
        Ok(Self {
            paths,
            file,
            writer,
            index,
            builder: IndexBuilder::default(),
            good: (0, 0),
            pending: Volume::default(),
            opened: Instant::now(),
        })
    }

    /// Tells the interfaces that packets name.
    pub fn declare(&mut self, interfaces: &[Interface]) {
        self.writer.declare(interfaces);
    }

    /// Adds a packet; it is on disk after the next [`Segment::flush`].
    pub fn write(&mut self, packet: &RawPacket<'_>) -> Result<(), WriteError> {
        let place = |from: u64, to: u64| Place { offset: from as u32, len: (to - from) as u32 };
        let before = self.writer.position();
        self.writer.introduce(packet)?;
        let begin = self.writer.position();
        if begin > before {
            self.builder.block(place(before, begin));
        }
        self.writer.write(packet, "")?;
        self.builder.packet(packet, place(begin, self.writer.position()));
        self.pending.packets += 1;
        self.pending.bytes += packet.data.len() as u64;
        Ok(())
    }

    /// Writes everything to disk: the segment first, so that the index never points behind it.
    /// Answers what was written.
    pub fn flush(&mut self) -> Result<Volume, WriteError> {
        self.writer.flush()?;
        self.good.0 = self.writer.position();
        self.good.1 = self.builder.append(&mut self.index, self.good.1)?;
        Ok(std::mem::take(&mut self.pending))
    }

    /// Where it is.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// Bytes of segment and index together.
    pub fn bytes(&self) -> u64 {
        self.writer.position() + self.good.1 + self.builder.pending() as u64
    }

    /// Whether the next packet should rather begin a new segment: this one has become full of
    /// flows, or old.
    pub fn is_over(&self, max_age: Option<Duration>) -> bool {
        self.builder.keys() >= MAX_KEYS
            || max_age.is_some_and(|age| self.opened.elapsed() >= age / 8)
    }

    /// Gives up the segment after an error, and keeps of it what is whole.
    pub fn abandon(self) {
        let Self { paths, file, writer, index, good, .. } = self;
        // Tries to write what it still holds; the cut takes that away again.
        drop(writer);
        if good.0 == 0 {
            paths.delete();
            return;
        }
        let _ = file.set_len(good.0);
        let _ = index.set_len(good.1);
    }
}

impl Paths {
    /// Makes the file of a new segment; its name tells its first packet's time.
    fn create(dir: &Path, start: Timestamp) -> io::Result<(Self, File)> {
        let stem = jiff::Timestamp::from_nanosecond(i128::from(start.nanos()))
            .unwrap_or_default()
            .strftime("%Y%m%dT%H%M%S.%9fZ")
            .to_string();
        for again in 0..MAX_SAME_TIME {
            // As when a capture is played again with its own times.
            let suffix = if again == 0 { String::new() } else { format!("-{again:04}") };
            let paths = Self::of(dir.join(format!("{stem}{suffix}.{EXTENSION}")));
            match OpenOptions::new().write(true).create_new(true).open(&paths.segment) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                file => return Ok((paths, file?)),
            }
        }
        Err(io::Error::from(io::ErrorKind::AlreadyExists))
    }

    fn of(segment: PathBuf) -> Self {
        Self { index: segment.with_extension("index"), segment }
    }

    /// All segments in `dir`, by the time of their first packet.
    pub fn all(dir: &Path) -> io::Result<Vec<Self>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == EXTENSION) {
                all.push(Self::of(path));
            }
        }
        all.sort();
        Ok(all)
    }

    /// Bytes that both files take.
    pub fn bytes(&self) -> u64 {
        let len = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
        len(&self.segment) + len(&self.index)
    }

    /// How long ago the segment was last written to.
    pub fn age(&self) -> Duration {
        let written = fs::metadata(&self.segment).and_then(|metadata| metadata.modified());
        written.ok().and_then(|at| SystemTime::now().duration_since(at).ok()).unwrap_or_default()
    }

    /// Deletes both; the index last, which alone is nothing.
    pub fn delete(&self) {
        let _ = fs::remove_file(&self.segment);
        let _ = fs::remove_file(&self.index);
    }
}

const EXTENSION: &str = "pcapng";

/// Flows and hosts that an index knows: bounds the memory for it, 16 MiB.
const MAX_KEYS: usize = 200_000;

/// Segments that begin at the same nanosecond.
const MAX_SAME_TIME: u32 = 10_000;
