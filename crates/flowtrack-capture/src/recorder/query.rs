//! Finding packets in the recorder's folder.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use flowtrack_event::{CaptureStats, FlowKey, IfaceId, RawPacket, Timestamp};

use super::index::{Index, Place, complete, read_span};
use super::segment::Paths;
use crate::batch::{Batch, Handler};
use crate::file::pcapng::Pcapng;
use crate::file::step::{Records, Step};
use crate::{Burst, Interface, PacketBuffer, PacketSource, SourceError};

/// Which packets to find. Without hosts and flows, all of the span of time.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Query {
    /// Not before.
    pub since: Option<Timestamp>,
    /// Not after.
    pub until: Option<Timestamp>,
    /// Packets from or to any of these hosts, inside tunnels too.
    pub hosts: Vec<IpAddr>,
    /// Packets of any of these flows, in both directions, inside tunnels too; with the ICMP errors
    /// about them. For protocols without ports, all between the two hosts.
    pub flows: Vec<FlowKey>,
    /// At most so many.
    pub limit: Option<u64>,
}

/// The packets that a query found, in the order of their time within each segment.
///
/// A segment that is deleted meanwhile is left out.
pub struct Selection {
    query: Query,
    /// Segments not yet read, the next one last.
    segments: Vec<Paths>,
    current: Option<Found>,
    interfaces: Vec<Interface>,
    found: u64,
    buffer: PacketBuffer,
    errors: u64,
}

/// What was found in one segment.
struct Found {
    file: File,
    parser: Pcapng,
    /// Ids of the segment's interfaces in the selection, by their place in the segment.
    ids: Vec<IfaceId>,
    /// The next one last.
    places: Vec<Place>,
}

impl Selection {
    /// Looks through the folder `dir`, which may be in use by a recorder.
    ///
    /// # Errors
    /// [`SourceError::System`] where the folder cannot be read.
    pub fn open(dir: &Path, query: Query) -> Result<Self, SourceError> {
        let mut segments = Paths::all(dir).map_err(|source| SourceError::System {
            what: format!("cannot read recorded packets in {}", dir.display()),
            source,
        })?;
        segments.retain(|paths| query.may_be_in(paths));
        segments.reverse();
        Ok(Self {
            query,
            segments,
            current: None,
            interfaces: Vec::new(),
            found: 0,
            buffer: PacketBuffer::new(),
            errors: 0,
        })
    }

    /// Fills the buffer with the next packets; leaves it empty at the end.
    fn fill(&mut self) {
        self.buffer.clear();
        while self.buffer.len() < Batch::CAPACITY && !self.is_enough() {
            let Some(found) = &mut self.current else {
                let Some(paths) = self.segments.pop() else { return };
                // Deleted by now, or damaged: what others have can still be had.
                match Found::open(&paths, &self.query, &mut self.interfaces) {
                    Ok(found) => self.current = Some(found),
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                    Err(_) => self.errors += 1,
                }
                continue;
            };
            let Some(place) = found.places.pop() else {
                self.current = None;
                continue;
            };
            match found.read(place, self.found + 1, &mut self.buffer) {
                Ok(true) => self.found += 1,
                Ok(false) | Err(_) => self.errors += 1,
            }
        }
    }

    fn is_enough(&self) -> bool {
        self.query.limit.is_some_and(|limit| self.found >= limit)
    }
}

impl Query {
    /// Whether a segment may have anything of the span of time.
    fn may_be_in(&self, paths: &Paths) -> bool {
        let Some((first, last)) = read_span(&paths.index) else { return true };
        // The header of an index is a batch behind.
        let last = last.plus(SLACK);
        self.since.is_none_or(|since| last >= since)
            && self.until.is_none_or(|until| first <= until.plus(SLACK))
    }

    fn wants_time(&self, ts: Timestamp) -> bool {
        self.since.is_none_or(|since| ts >= since) && self.until.is_none_or(|until| ts <= until)
    }

    /// Numbers of the keys that are wanted; none where all are.
    fn wanted_keys(&self, index: &Index) -> Option<Vec<bool>> {
        if self.hosts.is_empty() && self.flows.is_empty() {
            return None;
        }
        let wanted = index.keys.iter().map(|key| {
            self.hosts.iter().any(|&host| key.has_host(host))
                || self.flows.iter().any(|flow| key.may_be_of(flow))
        });
        Some(wanted.collect())
    }
}

impl Found {
    fn open(paths: &Paths, query: &Query, all: &mut Vec<Interface>) -> io::Result<Self> {
        let mut file = File::open(&paths.segment)?;
        let mut index = Index::read(&paths.index);
        let mut parser = Pcapng::new();
        // An index that points behind its segment is another's, or the segment was cut.
        let len = file.metadata()?.len();
        index.entries.retain(|entry| u64::from(entry.place.end()) <= len);
        index.blocks.retain(|place| u64::from(place.end()) <= len);
        let mut bytes = Vec::new();
        for &place in &index.blocks {
            read_at(&mut file, place, &mut bytes)?;
            let mut rest = bytes.as_slice();
            while let Step::Skip(used) = parser.next(rest) {
                rest = rest.get(used..).unwrap_or_default();
                if rest.is_empty() {
                    break;
                }
            }
        }
        complete(&mut index, &mut file, &mut parser)?;
        let wanted = query.wanted_keys(&index);
        let mut matches: Vec<_> = index
            .entries
            .iter()
            .filter(|entry| query.wants_time(entry.ts))
            .filter(|entry| {
                wanted.as_ref().is_none_or(|wanted| {
                    entry.key.is_some_and(|key| wanted.get(key as usize) == Some(&true))
                })
            })
            .map(|entry| (entry.ts, entry.place))
            .collect();
        // Backwards, since they are taken from the end.
        matches.sort_unstable_by(|a, b| b.cmp(a));
        // A packet with several keys stands there several times.
        matches.dedup();
        let places = matches.into_iter().map(|(_, place)| place).collect();
        let mut ids = Vec::new();
        for interface in parser.interfaces() {
            let known = all.iter().position(|known| known == interface).unwrap_or_else(|| {
                all.push(interface.clone());
                all.len() - 1
            });
            ids.push(IfaceId(known as u16));
        }
        Ok(Self { file, parser, ids, places })
    }

    /// Reads the packet at `place`; answers whether there is one.
    fn read(&mut self, place: Place, number: u64, into: &mut PacketBuffer) -> io::Result<bool> {
        let mut bytes = Vec::new();
        read_at(&mut self.file, place, &mut bytes)?;
        let Step::Packet { packet, .. } = self.parser.next(&bytes) else { return Ok(false) };
        let iface = self.ids.get(usize::from(packet.iface.0)).copied().unwrap_or_default();
        into.push(&RawPacket { iface, number, ..packet });
        Ok(true)
    }
}

impl PacketSource for Selection {
    fn next_burst(&mut self, _: Duration, f: &mut Handler<'_>) -> Result<Burst, SourceError> {
        self.fill();
        let mut batch = Batch::new();
        for packet in self.buffer.iter() {
            batch.push(packet);
        }
        let count = batch.len();
        batch.deliver(f);
        Ok(if count == 0 { Burst::End } else { Burst::Packets(count) })
    }

    fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    fn stats(&mut self) -> CaptureStats {
        CaptureStats { kernel_packets: self.found, errors: self.errors, ..CaptureStats::default() }
    }
}

fn read_at(file: &mut File, place: Place, into: &mut Vec<u8>) -> io::Result<()> {
    into.clear();
    into.resize(place.len as usize, 0);
    file.seek(SeekFrom::Start(u64::from(place.offset)))?;
    file.read_exact(into)
}

/// More than the age of a batch, and than workers differ in time.
const SLACK: Duration = Duration::from_secs(2);
