//! NetBIOS datagram service (RFC 1002 section 4.4); named only.

use crate::{First, Probe, Protocol, Transport};
use flowtrack_event::AppProto;

const NAME: AppProto = AppProto("netbios-dgm");
/// Bytes of the shortest message.
const HEADER: usize = 10;

/// NetBIOS datagram service.
pub struct NetbiosDgm;

impl Protocol for NetbiosDgm {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Udp
    }

    fn ports(&self) -> &'static [u16] {
        &[138]
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        let [kind, _, _, _, a, b, c, d, ..] = *first.bytes else { return Probe::No };
        // The datagram tells its sender's address, or none.
        let is_known = (0x10..=0x16).contains(&kind) && [a, b, c, d] != [0; 4];
        Probe::content(is_known && first.bytes.len() >= HEADER && first.has_port(self.ports()))
    }
}
