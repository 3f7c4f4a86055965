//! STUN (RFC 8489) and TURN (RFC 8656): how peers behind address translation meet; named only.

use crate::{
    Dissector, First, Malformed, Moment, Next, Outcome, Probe, Protocol, Reader, Transport, Wants,
};
use flowtrack_event::{AppProto, Chunk, Direction};

const NAME: AppProto = AppProto("stun");
/// Bytes of a message's header.
const HEADER: usize = 20;
/// Stands in every header.
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

/// Whether the attributes fill a message to its end.
fn has_sane_attributes(message: &[u8]) -> bool {
    let mut r = Reader::new(message.get(HEADER..).unwrap_or_default());
    while !r.is_empty() {
        let sane = r.u16().and_then(|_kind| {
            let length = usize::from(r.u16()?);
            r.skip(length.next_multiple_of(4))
        });
        if sane.is_none() {
            return false;
        }
    }
    true
}

/// STUN and TURN.
pub struct Stun;

impl Protocol for Stun {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Both
    }

    fn ports(&self) -> &'static [u16] {
        &[3478, 3479, 5349]
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        let Some(header) = first.bytes.first_chunk::<HEADER>() else {
            let may_come = !first.udp && first.bytes.first().is_some_and(|&b| b < 0x40);
            return if may_come && first.has_port(self.ports()) {
                Probe::NeedMore
            } else {
                Probe::No
            };
        };
        let &[t0, t1, l0, l1, c0, c1, c2, c3, ..] = header;
        let (kind, length) = (u16::from_be_bytes([t0, t1]), u16::from_be_bytes([l0, l1]));
        // The two upper bits tell it from the media that share its port (RFC 7983).
        if kind & 0xc000 != 0 || length % 4 != 0 {
            return Probe::No;
        }
        let is_whole = HEADER + usize::from(length) == first.bytes.len();
        if [c0, c1, c2, c3] == COOKIE {
            return Probe::content(is_whole || !first.udp);
        }
        // RFC 3489 had no cookie.
        let is_known = matches!(kind & 0x3eef, 1..=4) && has_sane_attributes(first.bytes);
        Probe::content(is_whole && first.udp && is_known && first.has_port(self.ports()))
    }

    fn dissector(&self, _wants: Wants) -> Option<Box<dyn Dissector>> {
        Some(Box::new(Meeting))
    }
}

/// Waits for what the peers do once they have met.
struct Meeting;

impl Dissector for Meeting {
    fn feed(
        &mut self,
        at: &Moment<'_>,
        _direction: Direction,
        chunk: Chunk<'_>,
        _out: &mut Outcome,
    ) -> Result<Next, Malformed> {
        if !at.is_udp() {
            return Ok(Next::Done);
        }
        // A DTLS record has a type from 20 to 25 and a version that counts down from 0xfeff.
        Ok(match chunk {
            Chunk::Bytes([20..=25, 0xfe, 0xfc..=0xff, ..]) => {
                Next::Change { consumed: 0, to: None }
            }
            _ => Next::More,
        })
    }
}
