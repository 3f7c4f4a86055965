//! RADIUS (RFC 2865): who is let into a network; named only.

use crate::{First, Probe, Protocol, Reader, Transport};
use flowtrack_event::AppProto;

const NAME: AppProto = AppProto("radius");

/// Whether the attributes fill a message to its end.
fn has_sane_attributes(mut r: Reader<'_>) -> bool {
    while let Some(_kind) = r.u8() {
        let inside = r.u8().and_then(|length| usize::from(length).checked_sub(2));
        if inside.and_then(|length| r.skip(length)).is_none() {
            return false;
        }
    }
    true
}

/// RADIUS.
pub struct Radius;

impl Protocol for Radius {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Udp
    }

    fn ports(&self) -> &'static [u16] {
        &[1812, 1813, 1645, 1646, 3799]
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        let mut r = Reader::new(first.bytes);
        let header = (r.u8(), r.u8(), r.u16(), r.skip(16));
        let (Some(code), Some(_id), Some(length), Some(())) = header else { return Probe::No };
        let is_known = matches!(code, 1..=5 | 11..=13 | 40..=45);
        let is_whole = usize::from(length) == first.bytes.len();
        Probe::content(
            is_known && is_whole && first.has_port(self.ports()) && has_sane_attributes(r),
        )
    }
}
