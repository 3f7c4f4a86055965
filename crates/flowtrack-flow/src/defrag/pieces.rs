//! The bytes of an incomplete packet: which are there, and which of several count.

use super::FragmentPolicy;

/// What is there of a packet's payload, without overlaps and in order.
#[derive(Default, Debug)]
pub(super) struct Pieces {
    /// All payload received, in the order it came; what lost stays until the packet is done.
    bytes: Vec<u8>,
    pub(super) list: Vec<Piece>,
    /// Payload bytes covered by pieces.
    covered: usize,
    /// Pieces being put in place of others.
    replacement: Vec<Piece>,
}

/// A stretch of payload that came in one fragment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    begin: u32,
    end: u32,
    /// Where its first byte stands in [`Pieces::bytes`].
    at: u32,
    /// The whole fragment, by which policies decide.
    fragment: (u32, u32),
}

impl Piece {
    /// The part of it between two places, which it must cover.
    fn part(self, begin: u32, end: u32) -> Self {
        Self { begin, end, at: self.at + (begin - self.begin), ..self }
    }
}

/// What a fragment shares with earlier ones.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Overlap {
    /// Any byte.
    pub(super) any: bool,
    /// A byte with another value.
    pub(super) differs: bool,
}

impl Pieces {
    /// None yet; `buffer` is used again.
    pub(super) fn new(buffer: Vec<u8>) -> Self {
        Self { bytes: buffer, ..Self::default() }
    }

    pub(super) fn into_buffer(self) -> Vec<u8> {
        self.bytes
    }

    /// Bytes received.
    pub(super) fn kept(&self) -> usize {
        self.bytes.len()
    }

    /// Memory it takes.
    pub(super) fn cost(&self) -> usize {
        self.bytes.capacity()
            + (self.list.capacity() + self.replacement.capacity()) * size_of::<Piece>()
    }

    /// Length of the payload as far as it is known.
    pub(super) fn end(&self) -> usize {
        self.list.last().map_or(0, |last| last.end as usize)
    }

    /// Whether everything up to [`Pieces::end`] is there.
    pub(super) fn has_no_hole(&self) -> bool {
        self.covered == self.end()
    }

    /// Appends the payload, which must have no hole.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.reserve(self.end());
        for piece in &self.list {
            out.extend_from_slice(self.bytes_of(*piece));
        }
    }

    /// Adds what a fragment brings.
    pub(super) fn add(&mut self, begin: u32, data: &[u8], policy: FragmentPolicy) -> Overlap {
        let end = begin + data.len() as u32;
        let new = Piece { begin, end, at: self.bytes.len() as u32, fragment: (begin, end) };
        self.bytes.extend_from_slice(data);
        let first = self.list.partition_point(|piece| piece.end <= begin);
        let last = self.list.partition_point(|piece| piece.begin < end);
        if first == last {
            self.list.insert(first, new);
            self.covered += data.len();
            return Overlap::default();
        }
        self.add_over(first, last, new, policy)
    }

    /// Adds a piece that overlaps those from `first` up to `last`.
    fn add_over(
        &mut self,
        first: usize,
        last: usize,
        new: Piece,
        policy: FragmentPolicy,
    ) -> Overlap {
        let mut replacement = std::mem::take(&mut self.replacement);
        let mut differs = false;
        let mut done = new.begin;
        for &old in self.list.get(first..last).unwrap_or_default() {
            let (begin, end) = (old.begin.max(new.begin), old.end.min(new.end));
            if old.begin < new.begin {
                push(&mut replacement, old.part(old.begin, new.begin));
            }
            if done < begin {
                push(&mut replacement, new.part(done, begin));
                self.covered += (begin - done) as usize;
            }
            let (ours, theirs) = (old.part(begin, end), new.part(begin, end));
            differs |= self.bytes_of(ours) != self.bytes_of(theirs);
            let newer_wins = policy.newer_wins(old.fragment, new.fragment);
            push(&mut replacement, if newer_wins { theirs } else { ours });
            if new.end < old.end {
                push(&mut replacement, old.part(new.end, old.end));
            }
            done = end;
        }
        if done < new.end {
            push(&mut replacement, new.part(done, new.end));
            self.covered += (new.end - done) as usize;
        }
        self.list.splice(first..last, replacement.drain(..));
        self.replacement = replacement;
        Overlap { any: true, differs }
    }

    fn bytes_of(&self, piece: Piece) -> &[u8] {
        let at = piece.at as usize;
        self.bytes.get(at..at + (piece.end - piece.begin) as usize).unwrap_or_default()
    }
}

/// Appends a piece, to the one before it where they are of the same fragment.
fn push(list: &mut Vec<Piece>, piece: Piece) {
    if let Some(last) = list.last_mut()
        && (last.fragment, last.end) == (piece.fragment, piece.begin)
        && last.at + (last.end - last.begin) == piece.at
    {
        last.end = piece.end;
    } else {
        list.push(piece);
    }
}
