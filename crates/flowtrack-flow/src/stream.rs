//! TCP streams: segments in any order in, bytes in the order of the end host out
//! (RFC 9293 section 3.10).
//!
//! Data that comes in order is passed on by reference and never kept, because an end host hands it
//! to its application at once: a later segment cannot change it any more. Only what lies behind a
//! hole is copied. Overlap policies therefore decide among kept segments alone. Of the last segments
//! passed on a hash stays, which tells whether they come again with other bytes.
//!
//! A hole is given up when the receiver acknowledged it (it has the bytes, we never will), when the
//! stream keeps more than its share, or at the end.

#[cfg(test)]
mod tests;

use ahash::RandomState;
use flowtrack_event::Chunk;

/// Segments passed on of which a hash is kept.
const RECENT: usize = 4;

/// What bounds reassembly.
#[derive(Clone, Copy, Debug)]
pub struct StreamLimits {
    /// Bytes that one direction may keep behind holes.
    pub stream_bytes: usize,
    /// Segments that one direction may keep behind holes.
    pub stream_segments: usize,
    /// Bytes that all streams of a worker may keep.
    pub total_bytes: usize,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self { stream_bytes: 512 * 1024, stream_segments: 1024, total_bytes: 64 * 1024 * 1024 }
    }
}

/// What all streams of a worker share.
#[derive(Debug, Default)]
pub struct StreamMemory {
    limits: StreamLimits,
    used: usize,
    /// Segments that were not kept because a cap was reached.
    pub dropped: u64,
    /// Holes given up.
    pub gaps: u64,
    /// Segments that repeat bytes which are kept, or were passed on just before with other values.
    pub overlaps: u64,
    /// Those among them that repeat them with other values.
    pub overlaps_differ: u64,
    hasher: RandomState,
}

impl StreamMemory {
    /// Nothing kept yet.
    pub fn new(limits: StreamLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Bytes kept now.
    pub fn used(&self) -> usize {
        self.used
    }
}

/// Whose bytes win where kept segments overlap, after the operating systems that behave so.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum OverlapPolicy {
    /// What came first stays.
    First,
    /// What came last stays.
    Last,
    /// The newer wins where it begins earlier (BSD, Windows before Vista, macOS).
    #[default]
    Bsd,
    /// The newer wins where it begins earlier, or at the same place and ends later.
    Linux,
    /// The newer wins where it ends later.
    Solaris,
}

impl OverlapPolicy {
    /// Whether the newer of two overlapping segments wins; segments as (begin, end).
    fn newer_wins(self, old: (u64, u64), new: (u64, u64)) -> bool {
        match self {
            Self::First => false,
            Self::Last => true,
            Self::Bsd => new.0 < old.0,
            Self::Linux => new.0 < old.0 || (new.0 == old.0 && new.1 > old.1),
            Self::Solaris => new.1 > old.1,
        }
    }
}

/// What became of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Placed {
    /// Bytes passed on because of it, its own and those it made contiguous.
    pub delivered: u64,
    /// Whether it repeats bytes with other values.
    pub differs: bool,
    /// Whether it was dropped because a cap was reached.
    pub dropped: bool,
}

/// One direction of a TCP session.
#[derive(Debug, Default)]
pub struct Stream {
    /// Sequence number of the next byte to pass on.
    next: u32,
    /// Offset of that byte from the beginning of the stream.
    offset: u64,
    /// Offset up to which the receiver acknowledged.
    acked: u64,
    /// Segments behind a hole, by offset, not overlapping.
    kept: Vec<Kept>,
    kept_bytes: usize,
    /// The last segments passed on, the newest at the place before `turn`.
    recent: [Passed; RECENT],
    turn: u8,
    started: bool,
    /// Whether bytes were never seen.
    gap: bool,
}

/// What is remembered of a segment that was passed on. Offsets are the low half only: these
/// segments lie close together.
#[derive(Clone, Copy, Default, Debug)]
struct Passed {
    at: u32,
    len: u32,
    hash: u32,
}

#[derive(Debug)]
struct Kept {
    at: u64,
    data: Box<[u8]>,
}

impl Kept {
    fn end(&self) -> u64 {
        self.at + self.data.len() as u64
    }
}

impl Stream {
    /// Notes the SYN: the stream begins behind it. A repeated SYN with another number counts as
    /// long as no byte was passed on.
    pub fn syn(&mut self, seq: u32, memory: &mut StreamMemory) {
        if !self.started || (self.offset == 0 && self.next != seq.wrapping_add(1)) {
            self.forget(memory);
            self.started = true;
            self.next = seq.wrapping_add(1);
        }
    }

    /// Whether any byte or SYN was seen.
    pub fn started(&self) -> bool {
        self.started
    }

    /// Bytes passed on or given up so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Offset of a sequence number, where the stream has begun and it lies in it.
    pub fn offset_of(&self, seq: u32) -> Option<u64> {
        let ahead = seq.wrapping_sub(self.next) as i32;
        self.started.then(|| self.offset.checked_add_signed(i64::from(ahead)))?
    }

    /// Whether bytes were never seen.
    pub fn has_gap(&self) -> bool {
        self.gap
    }

    /// Whether segments wait behind a hole.
    pub fn is_waiting(&self) -> bool {
        !self.kept.is_empty()
    }

    /// Takes a segment and passes on what is now contiguous.
    ///
    /// Where the stream did not begin with a SYN, it begins with the first segment.
    pub fn segment(
        &mut self,
        seq: u32,
        data: &[u8],
        policy: OverlapPolicy,
        memory: &mut StreamMemory,
        pass: &mut dyn FnMut(Chunk<'_>),
    ) -> Placed {
        if !self.started {
            self.started = true;
            self.next = seq;
        }
        let begin = self.offset;
        let mut placed = Placed::default();
        let ahead = seq.wrapping_sub(self.next) as i32;
        if ahead <= 0 {
            let old = ahead.unsigned_abs() as usize;
            let again = data.get(..old).unwrap_or(data);
            // A keep-alive repeats the last byte, and may put anything there.
            let keeps_alive = old == 1 && data.len() == 1;
            if !again.is_empty()
                && !keeps_alive
                && self.differs_from_passed(ahead.unsigned_abs(), again, memory)
            {
                memory.overlaps += 1;
                memory.overlaps_differ += 1;
                placed.differs = true;
            }
            match data.get(old..) {
                Some(fresh) if !fresh.is_empty() => {
                    placed.differs |= self.in_order(fresh, policy, memory, pass);
                }
                _ => {}
            }
        } else {
            let at = self.offset + u64::from(ahead.unsigned_abs());
            if !data.is_empty() {
                self.keep(at, data, policy, memory, &mut placed);
            }
            self.give_up_acked(memory, pass);
            if self.kept_bytes > memory.limits.stream_bytes / 2
                || self.kept.len() > memory.limits.stream_segments / 2
            {
                // More waits behind this hole than a sender can have in flight without it.
                self.skip_hole(memory, pass);
            }
        }
        placed.delivered = self.offset - begin;
        placed
    }

    /// Passes over a byte that goes beside the stream: the urgent one, which end hosts hand over
    /// apart from the others (BSD sockets, RFC 6093 section 3.2). It has a sequence number, yet no
    /// place. Says whether it could: only where nothing waits behind a hole.
    pub fn skip_urgent(&mut self, seq: u32) -> bool {
        let is_next = self.started && self.next == seq && self.kept.is_empty();
        if is_next {
            self.next = self.next.wrapping_add(1);
        }
        is_next
    }

    /// Notes what the receiver acknowledged; a hole below it will not fill any more.
    pub fn acknowledged(
        &mut self,
        ack: u32,
        memory: &mut StreamMemory,
        pass: &mut dyn FnMut(Chunk<'_>),
    ) {
        if !self.started {
            return;
        }
        let ahead = ack.wrapping_sub(self.next) as i32;
        if ahead > 0 {
            self.acked = self.acked.max(self.offset + u64::from(ahead.unsigned_abs()));
            self.give_up_acked(memory, pass);
        }
    }

    /// Passes on all that is kept, with its holes; nothing more will come.
    pub fn finish(&mut self, memory: &mut StreamMemory, pass: &mut dyn FnMut(Chunk<'_>)) {
        while !self.kept.is_empty() {
            self.skip_hole(memory, pass);
        }
    }

    /// Drops all that is kept.
    pub fn forget(&mut self, memory: &mut StreamMemory) {
        memory.used = memory.used.saturating_sub(self.kept_bytes);
        self.kept = Vec::new();
        self.kept_bytes = 0;
    }

    /// Whether bytes that lie `back` behind the next one were passed on with other values, as far
    /// as whole segments are remembered.
    fn differs_from_passed(&self, back: u32, again: &[u8], memory: &StreamMemory) -> bool {
        let begin = (self.offset as u32).wrapping_sub(back);
        self.recent.iter().filter(|passed| passed.len > 0).any(|passed| {
            let from = passed.at.wrapping_sub(begin) as usize;
            let same_place =
                from.checked_add(passed.len as usize).and_then(|until| again.get(from..until));
            same_place.is_some_and(|bytes| memory.hasher.hash_one(bytes) as u32 != passed.hash)
        })
    }

    /// Takes bytes that are the next ones; says whether they repeat kept ones with other values.
    fn in_order(
        &mut self,
        fresh: &[u8],
        policy: OverlapPolicy,
        memory: &mut StreamMemory,
        pass: &mut dyn FnMut(Chunk<'_>),
    ) -> bool {
        let end = self.offset + fresh.len() as u64;
        let mut placed = Placed::default();
        if self.kept.first().is_none_or(|k| k.at >= end) {
            self.deliver(fresh, memory, pass);
        } else {
            // The newcomer begins before what is kept; the policy decides byte by byte.
            self.keep(self.offset, fresh, policy, memory, &mut placed);
            if placed.dropped {
                self.deliver(fresh, memory, pass);
            }
        }
        self.drain(memory, pass);
        placed.differs
    }

    fn deliver(&mut self, bytes: &[u8], memory: &StreamMemory, pass: &mut dyn FnMut(Chunk<'_>)) {
        let hash = memory.hasher.hash_one(bytes) as u32;
        if let Some(oldest) = self.recent.get_mut(usize::from(self.turn)) {
            *oldest = Passed { at: self.offset as u32, len: bytes.len() as u32, hash };
        }
        self.turn = (self.turn + 1) % RECENT as u8;
        pass(Chunk::Bytes(bytes));
        self.advance(bytes.len() as u64);
    }

    fn advance(&mut self, by: u64) {
        self.offset += by;
        self.next = self.next.wrapping_add(by as u32);
    }

    /// Copies a segment that is not contiguous yet, giving overlapping bytes to their owner.
    fn keep(
        &mut self,
        at: u64,
        data: &[u8],
        policy: OverlapPolicy,
        memory: &mut StreamMemory,
        placed: &mut Placed,
    ) {
        if self.kept_bytes + data.len() > memory.limits.stream_bytes
            || self.kept.len() >= memory.limits.stream_segments
            || memory.used + data.len() > memory.limits.total_bytes
        {
            memory.dropped += 1;
            placed.dropped = true;
            return;
        }
        let end = at + data.len() as u64;
        let first = self.kept.partition_point(|k| k.end() <= at);
        let last = self.kept.partition_point(|k| k.at < end);
        if first == last {
            self.insert(first, at, data.into(), memory);
            return;
        }
        // The union of the newcomer and all it touches becomes one segment: kept segments never
        // overlap, and each merge removes what it merged, so the work stays linear.
        memory.overlaps += 1;
        let touched: Vec<Kept> = self.kept.drain(first..last).collect();
        let begin = touched.first().map_or(at, |k| k.at.min(at));
        let until = touched.last().map_or(end, |k| k.end().max(end));
        let mut bytes = vec![0; (until - begin) as usize];
        copy_to(&mut bytes, at - begin, data);
        let removed: usize = touched.iter().map(|k| k.data.len()).sum();
        for old in touched {
            let (from, to) = (old.at.max(at), old.end().min(end));
            let theirs = old.data.get((from - old.at) as usize..(to - old.at) as usize);
            let ours = data.get((from - at) as usize..(to - at) as usize);
            placed.differs |= theirs != ours;
            let new_wins = policy.newer_wins((old.at, old.end()), (at, end));
            copy_to(&mut bytes, old.at - begin, &old.data);
            if new_wins {
                copy_to(&mut bytes, from - begin, ours.unwrap_or_default());
            }
        }
        memory.overlaps_differ += u64::from(placed.differs);
        self.kept_bytes -= removed;
        memory.used = memory.used.saturating_sub(removed);
        self.insert(first, begin, bytes.into(), memory);
    }

    fn insert(&mut self, index: usize, at: u64, data: Box<[u8]>, memory: &mut StreamMemory) {
        self.kept_bytes += data.len();
        memory.used += data.len();
        self.kept.insert(index, Kept { at, data });
    }

    /// Passes on kept segments that have become contiguous.
    fn drain(&mut self, memory: &mut StreamMemory, pass: &mut dyn FnMut(Chunk<'_>)) {
        let ready = {
            let mut end = self.offset;
            self.kept
                .iter()
                .take_while(|k| {
                    let contiguous = k.at <= end;
                    end = end.max(k.end());
                    contiguous
                })
                .count()
        };
        if ready == 0 {
            return;
        }
        let mut kept = std::mem::take(&mut self.kept);
        for segment in kept.drain(..ready) {
            self.kept_bytes -= segment.data.len();
            memory.used = memory.used.saturating_sub(segment.data.len());
            let old = self.offset.saturating_sub(segment.at) as usize;
            if let Some(fresh) = segment.data.get(old..).filter(|rest| !rest.is_empty()) {
                self.deliver(fresh, memory, pass);
            }
        }
        self.kept = kept;
    }

    fn give_up_acked(&mut self, memory: &mut StreamMemory, pass: &mut dyn FnMut(Chunk<'_>)) {
        while self.kept.first().is_some_and(|k| k.at <= self.acked) {
            self.skip_hole(memory, pass);
        }
    }

    /// Tells the hole before the first kept segment and passes on what follows it.
    fn skip_hole(&mut self, memory: &mut StreamMemory, pass: &mut dyn FnMut(Chunk<'_>)) {
        if let Some(hole) = self.kept.first().map(|k| k.at.saturating_sub(self.offset)) {
            if hole > 0 {
                self.gap = true;
                memory.gaps += 1;
                pass(Chunk::Gap(hole));
                self.advance(hole);
            }
            self.drain(memory, pass);
        }
    }
}

/// Copies `bytes` to `buffer[at..]`, as far as they fit.
fn copy_to(buffer: &mut [u8], at: u64, bytes: &[u8]) {
    if let Some(target) = buffer.get_mut(at as usize..).and_then(|b| b.get_mut(..bytes.len())) {
        target.copy_from_slice(bytes);
    }
}
