//! DNP3 (IEEE 1815): link frames, transport segments, application fragments and their objects.

mod objects;
mod record;

use crate::{
    Both, Dissector, Field, First, Keyword, Malformed, Moment, Next, Outcome, Pending, Probe,
    Protocol, Reader, Take, Transport, Wants,
};
use flowtrack_event::{AppProto, Chunk, Confidence, Direction};
use record::{FIELDS, Link, Message};

const NAME: AppProto = AppProto("dnp3");
const START: [u8; 2] = [0x05, 0x64];
/// Bytes of a link header with its CRC.
const HEADER: usize = 10;
/// User data comes in blocks of so many bytes, each with a CRC of two.
const BLOCK: usize = 16;
/// Longest frame: 250 bytes of user data with their CRCs.
const FRAME_CAP: usize = 292;
/// Requests in a row without an answer that are no flood.
const UNANSWERED_CAP: u32 = 32;
/// Longest application fragment put together.
const FRAGMENT_CAP: usize = 64 * 1024;

/// DNP3.
pub struct Dnp3;

impl Protocol for Dnp3 {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Tcp
    }

    fn ports(&self) -> &'static [u16] {
        &[20_000]
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        let n = first.bytes.len().min(START.len());
        if first.bytes.get(..n) != START.get(..n) {
            return Probe::No;
        }
        let Some(header) = first.bytes.first_chunk::<HEADER>() else { return Probe::NeedMore };
        let [.., low, high] = *header;
        let whole = header.get(..HEADER - 2).unwrap_or_default();
        if header[2] >= 5 && crc(whole) == u16::from_le_bytes([low, high]) {
            Probe::Match(Confidence::Content)
        } else {
            Probe::No
        }
    }

    fn dissector(&self, wants: Wants) -> Option<Box<dyn Dissector>> {
        (wants.records || wants.buffers)
            .then(|| Box::new(Reading { wants, ..Reading::default() }) as Box<dyn Dissector>)
    }

    fn fields(&self) -> &'static [Field] {
        FIELDS
    }

    fn keywords(&self) -> &'static [Keyword] {
        record::KEYWORDS
    }
}

/// CRC-16/DNP: polynomial 0x3d65, reflected, inverted at the end.
fn crc(bytes: &[u8]) -> u16 {
    let mut crc = 0u16;
    for byte in bytes {
        crc ^= u16::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xa6bc } else { crc >> 1 };
        }
    }
    !crc
}

#[derive(Default)]
struct Reading {
    wants: Wants,
    sides: Both<Side>,
    tx_id: u64,
    /// Requests since the last answer.
    unanswered: u32,
}

#[derive(Default)]
struct Side {
    pending: Pending,
    /// Segments of a fragment that is not complete.
    fragment: Vec<u8>,
    next_sequence: Option<u8>,
}

impl Dissector for Reading {
    fn feed(
        &mut self,
        _at: &Moment<'_>,
        direction: Direction,
        chunk: Chunk<'_>,
        out: &mut Outcome,
    ) -> Result<Next, Malformed> {
        let mut side = std::mem::take(self.sides.of(direction));
        let Chunk::Bytes(bytes) = chunk else {
            // The next frame is found again by its start.
            *self.sides.of(direction) = Side::default();
            return Ok(Next::More);
        };
        let mut pending = std::mem::take(&mut side.pending);
        pending.records(bytes, FRAME_CAP, |b| -> Result<Take, Malformed> {
            let Some(header) = b.first_chunk::<HEADER>() else { return Ok(Take::Need(HEADER)) };
            let [s0, s1, length, control, d0, d1, c0, c1, crc_low, crc_high] = *header;
            if [s0, s1] != START {
                let skip = memchr::memchr(START[0], b.get(1..).unwrap_or_default());
                return Ok(Take::Used(skip.map_or(b.len(), |at| at + 1)));
            }
            let user = usize::from(length).checked_sub(5);
            let Some(user) = user else {
                out.anomaly("len_too_small", Some(self.tx_id));
                return Ok(Take::Used(2));
            };
            let whole = header.get(..HEADER - 2).unwrap_or_default();
            if crc(whole) != u16::from_le_bytes([crc_low, crc_high]) {
                out.anomaly("bad_link_crc", Some(self.tx_id));
                return Ok(Take::Used(2));
            }
            let total = HEADER + user + 2 * user.div_ceil(BLOCK);
            let Some(blocks) = b.get(HEADER..total) else { return Ok(Take::Need(total)) };
            let link = Link {
                control,
                dst: u16::from_le_bytes([d0, d1]),
                src: u16::from_le_bytes([c0, c1]),
            };
            if let Some(segment) = user_data(blocks) {
                self.segment(&mut side, direction, link, &segment, out);
            } else {
                out.anomaly("bad_transport_crc", Some(self.tx_id));
            }
            Ok(Take::Used(total))
        })?;
        side.pending = pending;
        *self.sides.of(direction) = side;
        Ok(Next::More)
    }
}

/// The blocks without their CRCs; `None` where one is wrong.
fn user_data(blocks: &[u8]) -> Option<Vec<u8>> {
    let mut data = Vec::with_capacity(blocks.len());
    for block in blocks.chunks(BLOCK + 2) {
        let (bytes, sum) = block.split_last_chunk::<2>()?;
        if crc(bytes) != u16::from_le_bytes(*sum) {
            return None;
        }
        data.extend_from_slice(bytes);
    }
    Some(data)
}

impl Reading {
    /// One transport segment: its header, and a piece of a fragment.
    fn segment(
        &mut self,
        side: &mut Side,
        direction: Direction,
        link: Link,
        segment: &[u8],
        out: &mut Outcome,
    ) {
        const FIN: u8 = 0x80;
        const FIR: u8 = 0x40;
        let Some((&header, piece)) = segment.split_first() else { return };
        let sequence = header & 0x3f;
        if header & FIR != 0 {
            side.fragment.clear();
        } else if side.next_sequence != Some(sequence) {
            side.next_sequence = None;
            return;
        }
        side.next_sequence = Some(sequence.wrapping_add(1) & 0x3f);
        if side.fragment.len() + piece.len() > FRAGMENT_CAP {
            side.next_sequence = None;
            return;
        }
        side.fragment.extend_from_slice(piece);
        if header & FIN != 0 {
            side.next_sequence = None;
            let fragment = std::mem::take(&mut side.fragment);
            self.fragment(direction, link, fragment, out);
        }
    }

    /// A whole application fragment.
    fn fragment(&mut self, direction: Direction, link: Link, bytes: Vec<u8>, out: &mut Outcome) {
        let mut r = Reader::new(&bytes);
        let (Some(control), Some(function)) = (r.u8(), r.u8()) else {
            out.anomaly("malformed", Some(self.tx_id));
            return;
        };
        let indications = if function >= record::RESPONSE {
            let Some(indications) = r.u16() else {
                out.anomaly("malformed", Some(self.tx_id));
                return;
            };
            Some(indications)
        } else {
            None
        };
        let read = objects::read(r, function);
        let (objects, complete) = (read.list, read.complete);
        if let Some(anomaly) = read.anomaly {
            out.anomaly(anomaly, Some(self.tx_id));
        }
        self.unanswered =
            if function < record::RESPONSE { self.unanswered.saturating_add(1) } else { 0 };
        if self.unanswered == UNANSWERED_CAP + 1 {
            out.anomaly("flooded", Some(self.tx_id));
        }
        let bytes = if self.wants.buffers { bytes } else { Vec::new() };
        let message =
            Message { direction, link, control, function, indications, objects, complete, bytes };
        out.transaction(direction, self.tx_id, message);
        self.tx_id += 1;
    }
}
