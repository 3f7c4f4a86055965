//! Bytes of one direction of a stream that wait to be judged.

use flowtrack_event::Chunk;
use std::collections::VecDeque;

/// Acknowledged bytes that are judged without anything else asking for it.
const CHUNK: u64 = 2560;
/// Bytes that may wait; where more come unacknowledged, they are judged as they are.
const MAX_WAITING: usize = 256 * 1024;

/// Pieces before holes that may wait; more are not judged.
const MAX_PIECES: usize = 64;

/// Bytes that were judged and are kept at most until what follows them is moved to the front.
const MAX_JUDGED: usize = 16 * 1024;

/// What waits of one direction.
#[derive(Default, Debug)]
pub(crate) struct Waiting {
    /// Bytes, of which the first `judged` do not wait any more.
    bytes: Vec<u8>,
    judged: usize,
    /// Bytes of the stream before those that wait.
    offset: u64,
    /// Offset up to which the receiver acknowledged.
    acked: u64,
    /// Offset at which something was complete, so that what is before is judged.
    complete: Option<u64>,
    /// Whether nothing comes any more.
    over: bool,
    /// Pieces that ended in a hole, with their offsets.
    pieces: VecDeque<Piece>,
}

/// A part of a stream that is to be judged at once, taken out of what waits; what is behind it comes
/// along, so that nothing need be copied.
#[derive(Default, Debug)]
pub(crate) struct Piece {
    bytes: Vec<u8>,
    from: usize,
    to: usize,
    /// Bytes of the stream before it.
    pub(crate) offset: u64,
}

impl Piece {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(self.from..self.to).unwrap_or_default()
    }
}

impl Waiting {
    /// The next piece of the stream, kept or only counted. A hole parts what is judged together.
    pub(crate) fn add(&mut self, chunk: Chunk<'_>, keep: bool) {
        match chunk {
            Chunk::Bytes(bytes) if keep => {
                if self.judged > MAX_JUDGED && self.judged > self.bytes.len() / 2 {
                    self.bytes.drain(..self.judged);
                    self.judged = 0;
                }
                self.bytes.extend_from_slice(bytes);
            }
            Chunk::Bytes(bytes) => self.offset += bytes.len() as u64,
            Chunk::Gap(hole) => {
                let (offset, end) = (self.offset, self.end());
                let (from, to) = (std::mem::take(&mut self.judged), self.bytes.len());
                if from < to && self.pieces.len() < MAX_PIECES {
                    let bytes = std::mem::take(&mut self.bytes);
                    self.pieces.push_back(Piece { bytes, from, to, offset });
                }
                self.bytes.clear();
                self.offset = end + hole;
            }
        }
    }

    /// How many bytes wait.
    fn len(&self) -> usize {
        self.bytes.len() - self.judged
    }

    /// Bytes of the stream so far.
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.len() as u64
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

    /// Bytes that are here and acknowledged.
    pub(crate) fn acked(&self) -> u64 {
        self.acked.min(self.end())
    }

    /// Whether the session is closed.
    pub(crate) const fn is_over(&self) -> bool {
        self.over
    }

    /// Whether what lies before `offset` is acknowledged.
    pub(crate) fn is_acked(&self, offset: u64) -> bool {
        self.over || self.acked >= offset
    }

    /// What is to be judged now; `all` where nothing follows. It is given back when it was.
    pub(crate) fn take(&mut self, all: bool) -> Option<Piece> {
        if let Some(piece) = self.pieces.pop_front() {
            return Some(piece);
        }
        let end = self.end();
        let ready = if all { end } else { self.acked.min(end) };
        let waiting = ready.saturating_sub(self.offset);
        let is_time = all
            || self.over
            || waiting >= CHUNK
            || self.len() > MAX_WAITING
            || self.complete.is_some_and(|at| ready >= at);
        if !is_time {
            return None;
        }
        let waiting = if self.len() > MAX_WAITING { end - self.offset } else { waiting };
        if self.complete.is_some_and(|at| self.offset + waiting >= at) {
            self.complete = None;
        }
        if waiting == 0 {
            return None;
        }
        let offset = self.offset;
        self.offset += waiting;
        let from = std::mem::take(&mut self.judged);
        let to = from + waiting as usize;
        Some(Piece { bytes: std::mem::take(&mut self.bytes), from, to, offset })
    }

    /// Takes back a piece that was judged, for what is behind it and for its memory.
    pub(crate) fn give_back(&mut self, piece: Piece) {
        let Piece { mut bytes, to, .. } = piece;
        if to < bytes.len() {
            (self.bytes, self.judged) = (bytes, to);
        } else if self.bytes.capacity() == 0 && bytes.capacity() <= MAX_JUDGED {
            bytes.clear();
            self.bytes = bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(waiting: &mut Waiting, all: bool) -> Option<(u64, usize)> {
        let piece = waiting.take(all)?;
        let taken = (piece.offset, piece.bytes().len());
        waiting.give_back(piece);
        Some(taken)
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
    fn pieces_are_the_bytes_of_the_stream_in_order() {
        let stream: Vec<u8> = (0..100_000_u32).map(|at| ((at * 7) >> 3) as u8).collect();
        let (mut waiting, mut judged) = (Waiting::default(), Vec::new());
        let mut judge = |waiting: &mut Waiting, all| {
            while let Some(piece) = waiting.take(all) {
                assert_eq!(piece.offset, judged.len() as u64);
                judged.extend_from_slice(piece.bytes());
                waiting.give_back(piece);
            }
        };
        for (at, bytes) in stream.chunks(1460).enumerate() {
            waiting.add(Chunk::Bytes(bytes), true);
            // The receiver is some segments behind.
            waiting.acknowledged((at as u64).saturating_sub(20) * 1460 + 700);
            judge(&mut waiting, false);
        }
        judge(&mut waiting, true);
        assert_eq!(judged, stream);
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
