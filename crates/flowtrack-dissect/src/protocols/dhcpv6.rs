//! DHCP for IPv6 (RFC 8415); named only.

use crate::{First, Probe, Protocol, Reader, Transport};
use flowtrack_event::AppProto;

const NAME: AppProto = AppProto("dhcpv6");

/// Whether the options fill a message to its end.
fn has_sane_options(mut r: Reader<'_>) -> bool {
    while !r.is_empty() {
        let length = r.u16().and_then(|_code| r.u16());
        if length.and_then(|length| r.skip(usize::from(length))).is_none() {
            return false;
        }
    }
    true
}

/// DHCPv6.
pub struct Dhcpv6;

impl Protocol for Dhcpv6 {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Udp
    }

    fn ports(&self) -> &'static [u16] {
        &[546, 547]
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        let mut r = Reader::new(first.bytes);
        let Some(kind) = r.u8() else { return Probe::No };
        let header = match kind {
            1..=11 => 3,
            // Relayed: hops and two addresses.
            12 | 13 => 33,
            _ => return Probe::No,
        };
        let is_sane = r.skip(header).is_some() && !r.is_empty() && has_sane_options(r);
        Probe::content(is_sane && first.has_port(self.ports()))
    }
}
