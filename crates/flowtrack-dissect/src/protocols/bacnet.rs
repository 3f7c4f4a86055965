//! BACnet/IP (ASHRAE 135 annex J): building automation; named only.

use crate::{First, Probe, Protocol, Transport};
use flowtrack_event::AppProto;

const NAME: AppProto = AppProto("bacnet");

/// BACnet/IP.
pub struct Bacnet;

impl Protocol for Bacnet {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Udp
    }

    fn ports(&self) -> &'static [u16] {
        &[47808]
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        // Type 0x81, a known function, and the length of the whole.
        let Some((&[0x81, function, l0, l1], rest)) = first.bytes.split_first_chunk::<4>() else {
            return Probe::No;
        };
        let is_whole = usize::from(u16::from_be_bytes([l0, l1])) == first.bytes.len();
        // Of those that carry a message, its version comes next or behind an address.
        let version = match function {
            0x04 => rest.get(6),
            0x09..=0x0b => rest.first(),
            0..=0x0c => Some(&1),
            _ => None,
        };
        Probe::content(is_whole && version == Some(&1))
    }
}
