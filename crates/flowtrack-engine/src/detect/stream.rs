//! Bytes of one direction of a stream that wait to be judged.

use flowtrack_event::Chunk;
use std::collections::VecDeque;

/// Acknowledged bytes that are judged without anything else asking for it.
const CHUNK: u64 = 2560;
/// Bytes that may wait; where more come unacknowledged, they are judged as they are.
const MAX_WAITING: usize = 256 * 1024;

/// Pieces before holes that may wait; more are not judged.
const MAX_PIECES: usize = 64;

/// What waits of one direction.
#[derive(Default, Debug)]
pub(crate) struct Waiting {
    bytes: Vec<u8>,
    /// Bytes of the stream before them.
    offset: u64,
    /// Offset up to which the receiver acknowledged.
    acked: u64,
    /// Offset at which something was complete, so that what is before is judged.
    complete: Option<u64>,
    /// Whether nothing comes any more.
    over: bool,
    /// Pieces that ended in a hole, with their offsets.
    pieces: VecDeque<(u64, Vec<u8>)>,
}

impl Waiting {
    /// The next piece of the stream, kept or only counted. A hole parts what is judged together.
    pub(crate) fn add(&mut self, chunk: Chunk<'_>, keep: bool) {
        match chunk {
            Chunk::Bytes(bytes) if keep => self.bytes.extend_from_slice(bytes),
            Chunk::Bytes(bytes) => self.offset += bytes.len() as u64,
            Chunk::Gap(hole) => {
                let end = self.end();
                if !self.bytes.is_empty() && self.pieces.len() < MAX_PIECES {
                    self.pieces.push_back((self.offset, std::mem::take(&mut self.bytes)));
                }
                self.bytes.clear();
                self.offset = end + hole;
            }
        }
    }

    /// Bytes of the stream so far.
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }

    pub(crate) fn acknowledged(&mut self, offset: u64) {
        self.acked = self.acked.max(offset);
    }

    /// Something ended here: a request, a response.
    pub(crate) fn complete_here(&mut self) {
        self.complete = Some(self.end());
    }

    /// The session is closed.
    pub(crate) fn end_here(&mut self) {
        self.over = true;
    }

    /// Whether what lies before `offset` is acknowledged.
    pub(crate) fn is_acked(&self, offset: u64) -> bool {
        self.over || self.acked >= offset
    }

    /// What is to be judged now, with its offset; `all` where nothing follows.
    pub(crate) fn take(&mut self, all: bool, into: &mut Vec<u8>) -> Option<u64> {
        if let Some((offset, piece)) = self.pieces.pop_front() {
            *into = piece;
            return Some(offset);
        }
        let end = self.end();
        let ready = if all { end } else { self.acked.min(end) };
        let waiting = ready.saturating_sub(self.offset);
        let is_time = all
            || self.over
            || waiting >= CHUNK
            || self.bytes.len() > MAX_WAITING
            || self.complete.is_some_and(|at| ready >= at);
        if !is_time {
            return None;
        }
        let waiting = if self.bytes.len() > MAX_WAITING { end - self.offset } else { waiting };
        if self.complete.is_some_and(|at| self.offset + waiting >= at) {
            self.complete = None;
        }
        if waiting == 0 {
            return None;
        }
        let at = self.offset;
        into.clear();
        if at + waiting == end {
            // The memory of the piece before serves for what comes.
            std::mem::swap(into, &mut self.bytes);
        } else {
            into.extend(self.bytes.drain(..waiting as usize));
        }
        self.offset += waiting;
        if self.bytes.is_empty() && self.bytes.capacity() > 16 * 1024 {
            self.bytes = Vec::new();
        }
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(waiting: &mut Waiting, all: bool) -> Option<(u64, usize)> {
        let mut bytes = Vec::new();
        waiting.take(all, &mut bytes).map(|at| (at, bytes.len()))
    }

    #[test]
    fn bytes_are_judged_once_and_when_acknowledged() {
        let mut waiting = Waiting::default();
        waiting.add(Chunk::Bytes(&[0; 2000]), true);
        waiting.acknowledged(2000);
        assert_eq!(taken(&mut waiting, false), None);
        waiting.add(Chunk::Bytes(&[0; 2000]), true);
        assert_eq!(taken(&mut waiting, false), None);
        waiting.acknowledged(3000);
        assert_eq!(taken(&mut waiting, false), Some((0, 3000)));
        assert_eq!(taken(&mut waiting, false), None);
        assert_eq!(taken(&mut waiting, true), Some((3000, 1000)));
        assert_eq!(taken(&mut waiting, true), None);
    }

    #[test]
    fn a_hole_parts_what_is_judged() {
        let mut waiting = Waiting::default();
        waiting.add(Chunk::Bytes(&[0; 10]), true);
        waiting.add(Chunk::Gap(5), true);
        waiting.add(Chunk::Bytes(&[0; 3]), true);
        assert_eq!(taken(&mut waiting, true), Some((0, 10)));
        assert_eq!(taken(&mut waiting, true), Some((15, 3)));
    }

    #[test]
    fn what_is_complete_need_not_wait_for_more() {
        let mut waiting = Waiting::default();
        waiting.add(Chunk::Bytes(&[0; 10]), true);
        waiting.complete_here();
        assert_eq!(taken(&mut waiting, false), None);
        waiting.acknowledged(10);
        assert_eq!(taken(&mut waiting, false), Some((0, 10)));
        waiting.add(Chunk::Bytes(&[0; 10]), true);
        waiting.acknowledged(20);
        assert_eq!(taken(&mut waiting, false), None);
    }
}
