//! NetBIOS name service (RFC 1002 section 4.2); named only.

use crate::{First, Probe, Protocol, Reader, Transport};
use flowtrack_event::AppProto;

const NAME: AppProto = AppProto("netbios-ns");

/// Whether a message has one question or one answer about an encoded name.
fn is_message(bytes: &[u8]) -> bool {
    let mut r = Reader::new(bytes);
    let header = (r.skip(4), r.u16(), r.u16(), r.skip(4));
    let ((Some(()), Some(asked), Some(answered), Some(())), Some(0x20)) = (header, r.u8()) else {
        return false;
    };
    // Half a byte becomes a letter from A to P (RFC 1001 section 14.1).
    let is_name = r.take(32).is_some_and(|name| name.iter().all(|b| (b'A'..=b'P').contains(b)));
    is_name && (1..=64).contains(&asked.max(answered))
}

/// NetBIOS name service.
pub struct NetbiosNs;

impl Protocol for NetbiosNs {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Udp
    }

    fn ports(&self) -> &'static [u16] {
        &[137]
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        Probe::content(first.has_port(self.ports()) && is_message(first.bytes))
    }
}
